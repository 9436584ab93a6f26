//! Files that lie. Nothing may panic, hang or allocate without bound.

use probe_elf::fuzz::read_all;
use probe_elf::{Error, runtime, tls};
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
