//! `cargo xtask demo`.

/// Options of `demo`.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(Args {}: &Args) -> anyhow::Result<()> {
    anyhow::bail!("not there yet")
}
