//! End-to-end tests of the probe.
fn main() {}
