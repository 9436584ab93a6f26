//! `kaos-webhook explain`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kaos_webhook::{Facts, Settings, explain};

/// Options of `explain`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A Pod or a List of pods, YAML or JSON; `-` is the standard input.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: PathBuf,
    /// The configuration; without it the defaults hold.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let settings = match &args.config {
        None => Settings::default(),
        Some(path) => Settings::from_yaml(&text_of(path)?)
            .with_context(|| format!("{} is refused", path.display()))?,
    };
    let facts = Facts::new(settings);
    let pods = text_of(&args.file)?;
    let report = explain(&pods, &facts)
        .with_context(|| format!("{} cannot be explained", args.file.display()))?;
    super::print(&report)
}

fn text_of(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(drop)
    } else {
        std::fs::read_to_string(path).map(|all| text = all)
    };
    read.with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text)
}
