//! kaos-probe.

mod export;
mod view;

fn main() {}
