//! kaos-probe.
fn main() {}
