//! kaos-probe.

mod export;

fn main() {}
