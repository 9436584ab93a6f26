//! `cargo xtask setup`: what the other chores need, installed once. It may be repeated.

mod apt;
pub(crate) mod build_cache;
mod route;
mod tools;

pub(crate) use route::{Route, linker};

use anyhow::Context as _;

/// Options of `setup`.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Only say what is missing, install nothing; the exit code is 1 if anything is.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(Args { check }: &Args) -> anyhow::Result<()> {
    if *check {
        return report();
    }
    build_cache::bound()?;
    tools::rust_components()?;
    apt::install("the tests", &apt::TEST_PACKAGES)?;
    let route = Route::prepare()?;
    println!("setup: kernel programs are built by {route}");
    tools::bpf_linker(&route)?;
    tools::cargo_deny().context("cargo-deny is what checks the licences of dependencies")?;
    println!("setup: all is there");
    Ok(())
}

/// What a plain build needs, without the tools of the tests.
pub(crate) fn for_build() -> anyhow::Result<Route> {
    let route = Route::prepare()?;
    tools::bpf_linker(&route)?;
    Ok(route)
}

fn report() -> anyhow::Result<()> {
    let mut missing = Vec::new();
    missing.extend(
        apt::missing(&apt::TEST_PACKAGES)
            .into_iter()
            .map(String::from),
    );
    match Route::find() {
        Some(route) => println!("setup: kernel programs are built by {route}"),
        None => missing.push("a Rust compiler with the sources of `core` (rust-src)".to_owned()),
    }
    missing.extend(tools::missing()?);
    if missing.is_empty() {
        println!("setup: all is there");
        return Ok(());
    }
    for what in &missing {
        println!("setup: missing: {what}");
    }
    anyhow::bail!(
        "{} things are missing; `cargo xtask setup` installs them",
        missing.len()
    )
}
