//! `cargo xtask test`.

/// Options of `test`.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(Args {}: &Args) -> anyhow::Result<()> {
    anyhow::bail!("not there yet")
}
