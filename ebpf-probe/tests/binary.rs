//! What the program needs to run: one file and the C library.

use std::fs::File;

use object::ReadCache;

/// Parts of glibc. libm and libdl are its, and the loader is.
const LIBC: [&str; 4] = ["libc.so.", "libm.so.", "libdl.so.", "ld-linux-"];

#[test]
fn it_needs_nothing_but_libc() {
    let file = File::open(env!("CARGO_BIN_EXE_kaos-probe")).unwrap();
    let facts = probe_elf::runtime::inspect(&ReadCache::new(&file)).unwrap();
    let needed = facts.dynamic.needed;
    let others: Vec<_> = needed
        .iter()
        .filter(|name| !LIBC.iter().any(|libc| name.starts_with(libc)))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(!needed.is_empty(), "it is linked to a libc");
}
