//! Sites in small libraries of known shape (fixtures/*.s, put together by fixtures/build.sh).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says so"
)]

use probe_elf::image::Image;
use probe_elf::tls::{self, Abi, Cost, Function, OpenSslSites, Site, When};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../fixtures/", $name, ".so")).as_slice()
    };
}

fn sites(file: &[u8]) -> OpenSslSites {
    tls::openssl_sites(file)
        .unwrap()
        .expect("the fixture defines OpenSSL functions")
}

/// The sites that serve a function.
fn of<'s>(found: &'s OpenSslSites, symbol: &str) -> Vec<&'s Site> {
    found
        .sites
        .iter()
        .filter(|site| site.symbols.contains(&symbol))
        .collect()
}

fn one<'s>(found: &'s OpenSslSites, symbol: &str, when: When) -> &'s Site {
    let mut sites = of(found, symbol)
        .into_iter()
        .filter(|site| site.when == when);
    let site = sites
        .next()
        .unwrap_or_else(|| panic!("no {when:?} site for {symbol}"));
    assert_eq!(sites.next(), None, "{symbol} has one {when:?} site");
    site
}

fn code_at(file: &[u8], site: &Site) -> Vec<u8> {
    let at = usize::try_from(site.file_offset).unwrap();
    file[at..at + 5].to_vec()
}

/// Both hooks on the function itself, single-stepped: what is done when nothing can be proven.
fn assert_falls_back(file: &[u8], symbol: &str) {
    let found = sites(file);
    for when in [When::Entry, When::Return] {
        let site = one(&found, symbol, when);
        assert_eq!(site.cost, Cost::SingleStep, "{symbol}");
        assert!(
            matches!(site.abi, Abi::Direct | Abi::DirectEx),
            "{symbol}: {:?}",
            site.abi
        );
        assert_eq!(
            code_at(file, site)[..3],
            [0x48, 0x83, 0xec],
            "sub rsp, the first instruction"
        );
        assert_eq!(site.return_stack_delta, 8);
    }
}

#[test]
fn a_wrapper_is_hooked_at_its_call_and_at_its_callee() {
    let file = fixture!("inner_rcx");
    let found = sites(file);
    for symbol in ["SSL_read", "SSL_read_ex", "SSL_write", "SSL_write_ex"] {
        let entry = one(&found, symbol, When::Entry);
        assert_eq!(
            (entry.abi, entry.cost),
            (Abi::InnerRcx, Cost::Emulated),
            "{symbol}"
        );
        assert_eq!(code_at(file, entry)[0], 0xe8, "{symbol}: a call");
        assert_eq!(entry.return_stack_delta, 0);
        let exit = one(&found, symbol, When::Return);
        assert_eq!(
            (exit.abi, exit.cost),
            (Abi::InnerRcx, Cost::Emulated),
            "{symbol}"
        );
        assert_eq!(code_at(file, exit)[..2], [0x41, 0x55], "{symbol}: push r13");
    }
    assert_eq!(found.worst_cost(), Cost::Emulated);
}

#[test]
fn functions_with_one_callee_share_its_return_site() {
    let found = sites(fixture!("inner_rcx"));
    let [read, write] = ["SSL_read", "SSL_write"].map(|name| one(&found, name, When::Return));
    assert_eq!(read.symbols, ["SSL_read", "SSL_read_ex"]);
    assert_eq!(write.symbols, ["SSL_write", "SSL_write_ex"]);
    assert_ne!(read.address, write.address);
    assert_eq!(
        (read.function, write.function),
        (Function::Read, Function::Write)
    );
}

#[test]
fn only_the_entry_of_shutdown_and_free_is_hooked() {
    let file = fixture!("inner_rcx");
    let found = sites(file);
    let shutdown = one(&found, "SSL_shutdown", When::Entry);
    assert_eq!(code_at(file, shutdown)[0], 0x53, "push rbx");
    let free = one(&found, "SSL_free", When::Entry);
    assert_eq!(
        code_at(file, free)[0],
        0x74,
        "the je behind the test, emulated"
    );
    assert_eq!(free.cost, Cost::Emulated);
    assert_eq!(
        of(&found, "SSL_shutdown").len() + of(&found, "SSL_free").len(),
        2
    );
}

#[test]
fn peeks_have_no_sites() {
    let found = sites(fixture!("inner_rcx"));
    assert!(of(&found, "SSL_peek").is_empty());
    assert!(
        found
            .sites
            .iter()
            .all(|site| !site.symbols.iter().any(|name| name.contains("peek")))
    );
}

#[test]
fn flags_push_the_count_to_the_fifth_argument() {
    let file = fixture!("inner_r8");
    let found = sites(file);
    for symbol in ["SSL_write", "SSL_write_ex2"] {
        assert_eq!(
            one(&found, symbol, When::Entry).abi,
            Abi::InnerR8,
            "{symbol}"
        );
        let exit = one(&found, symbol, When::Return);
        assert_eq!(
            (exit.abi, exit.cost),
            (Abi::InnerR8, Cost::Emulated),
            "{symbol}"
        );
        assert_eq!(
            code_at(file, exit)[..2],
            [0x41, 0x57],
            "push r15, right behind endbr64"
        );
    }
}

#[test]
fn a_function_that_jumps_to_a_hooked_one_gets_no_site() {
    let found = sites(fixture!("inner_r8"));
    assert!(
        of(&found, "SSL_write_ex").is_empty(),
        "it would be counted twice"
    );
    let forwards: Vec<_> = found
        .forwards
        .iter()
        .map(|way| (way.from, way.to))
        .collect();
    assert_eq!(forwards, [("SSL_write_ex", "SSL_write_ex2")]);
    assert!(found.uncertain.is_empty());
}

#[test]
fn a_possible_double_count_is_named() {
    let found = sites(fixture!("maybe_forward"));
    assert_eq!(found.uncertain, ["SSL_write_ex"]);
    assert_eq!(one(&found, "SSL_write_ex", When::Entry).abi, Abi::DirectEx);
    assert_eq!(
        one(&found, "SSL_write_ex2", When::Entry).abi,
        Abi::DirectEx2
    );
}

#[test]
fn an_emulated_first_instruction_is_hooked_itself() {
    let file = fixture!("direct");
    let found = sites(file);
    let expected = [
        ("SSL_read", Abi::Direct, [0x55, 0x48]),
        ("SSL_read_ex", Abi::DirectEx, [0x41, 0x54]),
        ("SSL_write", Abi::Direct, [0x41, 0x57]),
    ];
    for (symbol, abi, code) in expected {
        for when in [When::Entry, When::Return] {
            let site = one(&found, symbol, when);
            assert_eq!(
                (site.abi, site.cost, site.return_stack_delta),
                (abi, Cost::Emulated, 8)
            );
            assert_eq!(code_at(file, site)[..2], code, "{symbol}");
        }
    }
}

#[test]
fn arguments_may_be_kept_over_another_call() {
    let file = fixture!("kept");
    let found = sites(file);
    let entry = one(&found, "SSL_read_ex", When::Entry);
    assert_eq!((entry.abi, entry.cost), (Abi::InnerRcx, Cost::Emulated));
    let exit = one(&found, "SSL_read_ex", When::Return);
    let call = code_at(file, entry);
    let distance = i32::from_le_bytes(call[1..5].try_into().unwrap());
    let callee = entry
        .address
        .wrapping_add(5)
        .wrapping_add_signed(i64::from(distance));
    assert_eq!(
        exit.address, callee,
        "the second call, not the check before it"
    );
}

#[test]
fn a_tail_jump_keeps_the_return_address_on_top() {
    let file = fixture!("tail");
    let found = sites(file);
    let entry = one(&found, "SSL_read_ex", When::Entry);
    assert_eq!((entry.abi, entry.return_stack_delta), (Abi::InnerRcx, 8));
    assert!(matches!(code_at(file, entry)[0], 0xe9 | 0xeb), "a jump");
    assert_eq!(
        one(&found, "SSL_read_ex", When::Return).return_stack_delta,
        8
    );
}

#[test]
fn what_peeking_shares_is_not_hooked() {
    assert_falls_back(fixture!("shared_peek"), "SSL_read");
    assert_falls_back(fixture!("shared_peek"), "SSL_write");
}

#[test]
fn a_way_around_the_callee_is_refused() {
    assert_falls_back(fixture!("bypass"), "SSL_read_ex");
}

#[test]
fn more_ways_than_a_wrapper_has_are_not_looked_at() {
    assert_falls_back(fixture!("many_ways"), "SSL_read_ex");
}

#[test]
fn a_changed_argument_is_refused() {
    assert_falls_back(fixture!("clobbered"), "SSL_read_ex");
    assert_falls_back(fixture!("clobbered"), "SSL_write_ex");
}

#[test]
fn an_argument_that_differs_by_path_is_refused() {
    assert_falls_back(fixture!("joined"), "SSL_read_ex");
    assert_falls_back(fixture!("joined"), "SSL_write_ex");
}

#[test]
fn a_jump_into_an_instruction_is_refused() {
    assert_falls_back(fixture!("overlap"), "SSL_read_ex");
}

#[test]
fn a_callee_that_is_single_stepped_wins_nothing() {
    assert_falls_back(fixture!("stepped_callee"), "SSL_read");
}

#[test]
fn a_jump_table_is_refused_also_for_free() {
    let file = fixture!("jump_table");
    assert_falls_back(file, "SSL_read_ex");
    let found = sites(file);
    let free = one(&found, "SSL_free", When::Entry);
    assert_eq!(free.cost, Cost::SingleStep);
    assert_eq!(
        code_at(file, free)[..3],
        [0x48, 0x85, 0xff],
        "test rdi, rdi: the first"
    );
}

#[test]
fn offsets_and_addresses_agree() {
    for file in [
        fixture!("inner_rcx"),
        fixture!("inner_r8"),
        fixture!("direct"),
    ] {
        let image = Image::parse(file).unwrap();
        for site in sites(file).sites {
            assert_eq!(image.offset_of(site.address), Some(site.file_offset));
            assert_eq!(image.address_of(site.file_offset), Some(site.address));
            assert!(image.is_code(site.address));
        }
    }
}

#[test]
fn arm_is_hooked_at_the_functions_entries() {
    let mut file = fixture!("inner_rcx").to_vec();
    file[18..20].copy_from_slice(&183_u16.to_le_bytes()); // e_machine: EM_AARCH64
    let found = sites(&file);
    let read = one(&found, "SSL_read", When::Entry);
    assert_eq!(
        (read.abi, read.cost, read.return_stack_delta),
        (Abi::Direct, Cost::SingleStep, 0)
    );
    assert_eq!(one(&found, "SSL_write_ex", When::Return).abi, Abi::DirectEx);
    assert_eq!(of(&found, "SSL_free").len(), 1);
}

#[test]
fn a_file_that_only_imports_the_functions_has_no_sites() {
    // The fixture calls `raise`, and nothing of OpenSSL, under another name.
    let mut file = fixture!("direct").to_vec();
    while let Some(at) = file.windows(4).position(|bytes| bytes == b"SSL_") {
        file[at] = b'X';
    }
    assert_eq!(tls::openssl_sites(file.as_slice()), Ok(None));
}
