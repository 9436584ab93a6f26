//! `cargo xtask build`.

/// Options of `build`.
#[derive(clap::Args, Default)]
pub(crate) struct Args {}

pub(crate) fn run(Args {}: &Args) -> anyhow::Result<()> {
    anyhow::bail!("not there yet")
}
