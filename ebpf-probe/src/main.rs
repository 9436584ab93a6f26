//! kaos-probe.

mod demo;
mod export;
mod view;

use clap::Parser as _;

fn main() -> anyhow::Result<()> {
    let options = demo::Options::parse();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build()?.block_on(demo::run(options))
}
