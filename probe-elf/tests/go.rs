//! Where Go programs of known content are hooked (fixtures/go_*.s).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use probe_elf::go::{GoSites, Hook, go_sites};
use probe_elf::image::Image;
use probe_elf::symbols;
use probe_elf::tls::Cost;

const COPIES: &[u8] = include_bytes!("../fixtures/go_copies.so");
const RETURNS: &[u8] = include_bytes!("../fixtures/go_returns.so");
/// `push %rbp` behind `cmp 16(%r14), %rsp` and a short `jbe`.
const BEHIND_THE_CHECK: &[u8] = &[0x49, 0x3b, 0x66, 0x10, 0x76];

fn sites(file: &[u8]) -> GoSites {
    go_sites(file).unwrap().unwrap()
}

fn hooks(found: &GoSites) -> Vec<(Hook, Cost)> {
    let all = found.tls.iter().chain(&found.client);
    all.map(|site| (site.hook, site.cost)).collect()
}

fn address(file: &[u8], name: &'static str) -> u64 {
    let image = Image::parse(file).unwrap();
    symbols::find(&image, &[name]).unwrap()[0].address
}

#[test]
fn what_is_read_is_seen_at_the_one_copy() {
    let found = sites(COPIES);
    assert_eq!(found.version.as_deref(), Some("go1.26.8"));
    let all = [
        Hook::TlsRead,
        Hook::TlsWrite,
        Hook::TlsClose,
        Hook::TlsCopies,
        Hook::HandsOver,
        Hook::WritesFor,
    ];
    assert_eq!(hooks(&found), all.map(|hook| (hook, Cost::Emulated)));
    assert_eq!(found.worst_cost(), Cost::Emulated);
    assert_eq!(found.tls[3].address, address(COPIES, "copies"));
}

#[test]
fn a_function_begins_behind_the_check_of_its_stack() {
    let found = sites(COPIES);
    let read = usize::try_from(found.tls[0].file_offset).unwrap();
    assert_eq!(COPIES[read], 0x55, "push %rbp");
    assert!(COPIES[..read - 1].ends_with(BEHIND_THE_CHECK));
    let found = sites(RETURNS);
    assert_eq!(found.tls[0].address, address(RETURNS, "check"));
}

#[test]
fn where_there_are_two_copies_the_ways_out_are_hooked() {
    let found = sites(RETURNS);
    let [.., first, second] = found.tls.as_slice() else {
        panic!("{found:?}");
    };
    let expected = |at, name| {
        let site: &probe_elf::go::Site = at;
        assert_eq!((site.hook, site.cost), (Hook::TlsReturns, Cost::SingleStep));
        assert_eq!(site.address, address(RETURNS, name));
    };
    expected(first, "first_return");
    expected(second, "second_return");
    assert_eq!(found.worst_cost(), Cost::SingleStep);
}

/// The text is taken to start where the first function's code makes sense, so a table that leads
/// anywhere else gives nothing.
#[test]
fn other_code_is_not_hooked() {
    let check = memchr::memmem::find(COPIES, BEHIND_THE_CHECK).unwrap();
    for wrong in [0xc3, 0x90, 0x06] {
        let mut file = COPIES.to_vec();
        file[check] = wrong;
        assert!(sites(&file).tls.is_empty(), "{wrong:#x}");
    }
}

#[test]
fn a_jump_around_the_beginning_is_seen() {
    let mut file = COPIES.to_vec();
    // The jump back to the start, which follows the call that grows the stack, goes one byte on.
    let start = memchr::memmem::find(COPIES, BEHIND_THE_CHECK).unwrap();
    let back = (start..file.len() - 2).find(|at| file[*at] == 0xeb && file[at + 2] == 0xcc);
    file[back.unwrap() + 1] += 4;
    assert!(sites(&file).tls.is_empty());
}

#[test]
fn what_is_no_go_program_has_no_sites() {
    let other = include_bytes!("../fixtures/direct.so");
    assert_eq!(go_sites(other.as_slice()), Ok(None));
}
