//! `cargo xtask bench`.

/// Options of `bench`.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(Args {}: &Args) -> anyhow::Result<()> {
    anyhow::bail!("not there yet")
}
