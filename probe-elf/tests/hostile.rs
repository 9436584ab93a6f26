//! Files that lie. Nothing may panic, hang or allocate without bound.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::File;
use std::io::Write as _;

use probe_elf::fuzz::read_all;
use probe_elf::{Error, ReadCache, runtime, tls};
use proptest::prelude::*;

const FIXTURES: [&[u8]; 6] = [
    include_bytes!("../fixtures/inner_rcx.so"),
    include_bytes!("../fixtures/inner_r8.so"),
    include_bytes!("../fixtures/jump_table.so"),
    include_bytes!("../fixtures/kept.so"),
    include_bytes!("../fixtures/go_copies.so"),
    include_bytes!("../fixtures/go_returns.so"),
];

#[test]
fn what_is_no_elf_is_said_to_be_none() {
    for file in [&b""[..], b"\x7fELF", b"#!/bin/sh\n", &[0; 4096]] {
        assert_eq!(tls::openssl_sites(file), Err(Error::NotElf));
        assert_eq!(runtime::inspect(file), Err(Error::NotElf));
    }
}

#[test]
fn an_unknown_processor_is_named() {
    let mut file = FIXTURES[0].to_vec();
    file[18..20].copy_from_slice(&243_u16.to_le_bytes()); // EM_RISCV
    assert_eq!(
        tls::openssl_sites(file.as_slice()),
        Err(Error::Machine { machine: 243 })
    );
}

/// A library with two symbol tables of `size` bytes, most of it a hole, and `sections` section
/// headers by its own account.
fn sparse(name: &str, size: u64, sections: u64) -> File {
    let header = |kind: u32, offset: u64, size: u64, link: u32| {
        let mut bytes = [0; 64];
        bytes[4..8].copy_from_slice(&kind.to_le_bytes());
        bytes[24..32].copy_from_slice(&offset.to_le_bytes());
        bytes[32..40].copy_from_slice(&size.to_le_bytes());
        bytes[40..44].copy_from_slice(&link.to_le_bytes());
        bytes
    };
    let mut file = FIXTURES[0][..64].to_vec();
    file[32..40].copy_from_slice(&0_u64.to_le_bytes()); // e_phoff
    file[40..48].copy_from_slice(&64_u64.to_le_bytes()); // e_shoff
    file[56..58].copy_from_slice(&0_u16.to_le_bytes()); // e_phnum
    let few = u16::try_from(sections).unwrap_or(0);
    file[60..62].copy_from_slice(&few.to_le_bytes()); // e_shnum, or "see section 0"
    file[62..64].copy_from_slice(&3_u16.to_le_bytes()); // e_shstrndx
    file.extend(header(0, 0, sections, 0));
    file.extend(header(11, 4096, size, 2)); // SHT_DYNSYM
    file.extend(header(3, 4096 + size, size, 0)); // SHT_STRTAB
    file.extend(header(3, 0, 1, 0));
    let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
    let mut made = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .unwrap();
    std::fs::remove_file(path).unwrap();
    made.write_all(&file).unwrap();
    made.set_len(8 << 30).unwrap();
    made
}

#[test]
fn tables_that_are_mostly_a_hole_are_not_read() {
    let refused = Err(Error::TooLarge {
        what: "set of tables",
    });
    let file = sparse("tables", 60 << 20, 4);
    assert_eq!(tls::openssl_sites(&ReadCache::new(&file)), refused);
    // Four GiB of section headers.
    let file = sparse("headers", 64, 64 << 20);
    assert_eq!(tls::openssl_sites(&ReadCache::new(&file)), refused);
    let file = sparse("small", 64, 4);
    assert_eq!(tls::openssl_sites(&ReadCache::new(&file)), Ok(None));
}

#[test]
fn a_file_cut_anywhere_is_survived() {
    for end in 0..FIXTURES[0].len() {
        read_all(&FIXTURES[0][..end]);
    }
}

#[test]
fn each_byte_may_be_anything() {
    for at in 0..FIXTURES[0].len() {
        for value in [0x00, 0xff] {
            let mut file = FIXTURES[0].to_vec();
            file[at] = value;
            read_all(&file);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn many_bytes_may_be_anything(
        which in 0..FIXTURES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
    ) {
        let mut file = FIXTURES[which].to_vec();
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        read_all(&file);
    }

    #[test]
    fn words_of_the_tables_may_be_anything(
        which in 0..FIXTURES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u64>()), 1..12),
    ) {
        let mut file = FIXTURES[which].to_vec();
        for (at, value) in changes {
            let at = at.index(file.len() / 8) * 8;
            file[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        read_all(&file);
    }

    /// Code that is anything behind headers that are right.
    #[test]
    fn code_may_be_anything(code in prop::collection::vec(any::<u8>(), 256)) {
        let mut file = FIXTURES[0].to_vec();
        file[0x290..0x390].copy_from_slice(&code);
        read_all(&file);
    }
}
