//! `cargo xtask image`: container images of our programs, made without a daemon.

pub(crate) mod archive;
pub(crate) mod base;
mod check;
mod dockerfile;
mod sbom;
pub(crate) mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::build::{self, kernel};
use crate::cmd::{cargo, run as run_command};
use crate::peers::Cache;
use crate::{paths, setup};
use archive::{Archive, Image};
use base::Base;
use dockerfile::Dockerfile;
use sbom::Program;
use tree::{Layer, Tree};

/// Where the images are said to be, until somebody publishes them.
const REGISTRY: &str = "ghcr.io/kaos-telemetry";

/// Our programs, and which crates are in them. The probe carries the kernel half.
const PROGRAMS: [Program<'static>; 2] = [
    Program {
        name: "kaos-probe",
        packages: &[("", "ebpf-probe"), ("ebpf-probe/kernel", "probe-kernel")],
    },
    Program {
        name: "kaos-webhook",
        packages: &[("", "kaos-webhook")],
    },
];

/// Options of `image`.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Where archives and lists of parts go [default: `images` in cargo's target folder]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Take the programs of this folder as they are, instead of building them for a release.
    #[arg(long)]
    programs: Option<PathBuf>,
    /// Unpack the archives that are there, and run each program inside (wants root).
    #[arg(long, conflicts_with = "programs")]
    check: bool,
}

/// Makes both images, or checks them.
pub(crate) fn run(args: &Args) -> Result<()> {
    let out = match &args.out {
        Some(folder) => std::path::absolute(folder)?,
        None => paths::target_dir().join("images"),
    };
    if args.check {
        return check::all(PROGRAMS.map(|program| program.name), &out);
    }
    let programs = match &args.programs {
        Some(folder) => std::path::absolute(folder)?,
        None => released()?,
    };
    fs::create_dir_all(&out).with_context(|| format!("make {}", out.display()))?;
    let base = Base::fetch(&Cache::from_env()?)?;
    for program in PROGRAMS {
        let image = ours(&base, program.name, &programs, Tree::layer)?;
        let Archive { bytes, digest } = image.archive()?;
        let again = image.archive()?;
        ensure!(again.bytes == bytes, "{}: not the same twice", program.name);
        let file = out.join(format!("{}.tar", program.name));
        fs::write(&file, &bytes).with_context(|| format!("write {}", file.display()))?;
        let parts = sbom::document(&program, version(), &base.packages()?)?;
        let list = out.join(format!("{}.cdx.json", program.name));
        fs::write(&list, serde_json::to_string_pretty(&parts)? + "\n")?;
        let kib = bytes.len() >> 10;
        println!(
            "image: {} {} {digest} ({kib} KiB)",
            file.display(),
            image.reference
        );
        let count = parts["components"].as_array().map_or(0, Vec::len);
        println!("image: {} ({count} parts)", list.display());
    }
    Ok(())
}

/// Both archives of programs in a folder, uncompressed and in another: for a cluster of tests.
pub(crate) fn write_ours(cache: &Cache, programs: &Path, out: &Path) -> Result<Vec<PathBuf>> {
    let base = Base::fetch(cache)?;
    let write = |program: &Program<'_>| {
        let file = out.join(format!("{}.tar", program.name));
        fs::write(
            &file,
            ours(&base, program.name, programs, Tree::plain_layer)?
                .archive()?
                .bytes,
        )?;
        Ok(file)
    };
    PROGRAMS.iter().map(write).collect()
}

/// The folder with both programs as they are shipped.
fn released() -> Result<PathBuf> {
    let route = setup::for_build()?;
    kernel::build(&route)?;
    let probe = build::probe(true)?;
    let mut webhook = cargo();
    webhook.args(["build", "--release", "--package", "kaos-webhook"]);
    run_command(&mut webhook)?;
    let folder = probe.parent().context("a program lies in a folder")?;
    Ok(folder.to_owned())
}

/// An image of ours by its Dockerfile.
fn ours(
    base: &Base,
    name: &str,
    programs: &Path,
    layer: fn(&Tree) -> Result<Layer>,
) -> Result<Image> {
    let file = paths::root().join(format!("images/{name}.Dockerfile"));
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let said = Dockerfile::read(&text).with_context(|| file.display().to_string())?;
    let mut own = Tree::default();
    for (from, to) in &said.copies {
        own.program(to.trim_start_matches('/'), &programs.join(from))?;
    }
    let labels: serde_json::Map<String, serde_json::Value> = { said.labels.into_iter() }
        .map(|(name, value)| (name, value.into()))
        .collect();
    Ok(Image {
        reference: format!("{REGISTRY}/{name}:{}", version()),
        layers: vec![layer(&base.tree()?)?, layer(&own)?],
        config: json!({
            "User": said.user,
            "Entrypoint": said.entrypoint,
            "Cmd": said.cmd,
            "Env": ["PATH=/usr/bin"],
            "WorkingDir": "/",
            "Labels": labels,
        }),
    })
}

/// The workspace's version, which is the chart's `appVersion`.
const fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> String {
        fs::read_to_string(paths::root().join(path)).unwrap()
    }

    #[test]
    fn dockerfiles_and_chart_mean_the_same_images() {
        let chart = read("charts/kaos-telemetry/Chart.yaml");
        assert!(chart.contains(&format!("\nappVersion: {}\n", version())));
        let values = read("charts/kaos-telemetry/values.yaml");
        for program in PROGRAMS {
            let name = program.name;
            let repository = format!("repository: {REGISTRY}/{name}\n");
            assert!(values.contains(&repository), "{name}");
            let said = Dockerfile::read(&read(&format!("images/{name}.Dockerfile"))).unwrap();
            assert_eq!(said.entrypoint, [format!("/usr/bin/{name}")]);
            assert_eq!(said.copies, [(name.to_owned(), said.entrypoint[0].clone())]);
            // Nobody shall be root who need not; the chart runs the webhook as this user too.
            let root = name == "kaos-probe";
            assert_eq!(said.user, if root { "0:0" } else { "65532:65532" });
        }
    }
}
