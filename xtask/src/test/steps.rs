//! The steps, in the order in which they run.

use std::process::Command;
use std::time::Duration;

use super::outcome::run;
use super::{Args, Outcome, Step, fuzz, system};
use crate::build::{OBJECT_VARIABLE, kernel};
use crate::cmd::{cargo, command, limited, succeeds};
use crate::setup::Route;
use crate::{build, paths, setup, tidy, vm};

/// The step after which third parties' programs can be built.
pub(super) const SETUP: &str = "setup";

pub(super) const STEPS: [Step; 19] = [
    Step {
        name: SETUP,
        about: "install what is missing",
        quick: false,
        parts: false,
        run: prepare,
    },
    Step {
        name: "fmt",
        about: "rustfmt, all packages",
        quick: true,
        parts: false,
        run: format,
    },
    Step {
        name: "tidy",
        about: "the rules of the house",
        quick: true,
        parts: false,
        run: check_rules,
    },
    Step {
        name: "build",
        about: "kernel programs and probe",
        quick: true,
        parts: false,
        run: build_both,
    },
    Step {
        name: "clippy",
        about: "lints, warnings denied",
        quick: true,
        parts: false,
        run: lint,
    },
    Step {
        name: "kernel-clippy",
        about: "lints, kernel half",
        quick: false,
        parts: false,
        run: lint_kernel,
    },
    Step {
        name: "deny",
        about: "licences, bans, sources, advisories",
        quick: false,
        parts: false,
        run: deny,
    },
    Step {
        name: "unit",
        about: "unit and property tests",
        quick: true,
        parts: false,
        run: unit,
    },
    Step {
        name: "fuzz",
        about: "each fuzz target for a moment",
        quick: false,
        parts: false,
        run: fuzz::run,
    },
    Step {
        name: "fidelity",
        about: "every call of many clients, once and exactly",
        quick: false,
        parts: true,
        run: system::fidelity,
    },
    Step {
        name: "otlp",
        about: "a real collector gets the same spans by gRPC and by HTTP",
        quick: false,
        parts: true,
        run: system::otlp,
    },
    Step {
        name: "parents",
        about: "which request each call inside a process is made for",
        quick: false,
        parts: true,
        run: system::parents,
    },
    Step {
        name: "doctor",
        about: "what doctor says of real programs",
        quick: false,
        parts: true,
        run: system::doctor,
    },
    Step {
        name: "vm",
        about: "every program and one conversation on other kernels",
        quick: false,
        parts: true,
        run: other_kernels,
    },
    Step {
        name: "webhook",
        about: "the webhook against a real API server",
        quick: false,
        parts: true,
        run: system::webhook,
    },
    Step {
        name: "chart",
        about: "the chart by real helm, against a real API server",
        quick: false,
        parts: true,
        run: system::chart,
    },
    Step {
        name: "image",
        about: "images of both programs, which run inside them",
        quick: false,
        parts: true,
        run: system::image,
    },
    Step {
        name: "node",
        about: "the whole on a real node, installed by helm",
        quick: false,
        parts: true,
        run: system::node,
    },
    Step {
        name: "demo",
        about: "the README's first command",
        quick: false,
        parts: true,
        run: system::demo,
    },
];

fn prepare(_: &Args) -> anyhow::Result<Outcome> {
    setup::run(&setup::Args::default())?;
    Ok(Outcome::passed())
}

fn format(_: &Args) -> anyhow::Result<Outcome> {
    let manifest = |path: &str| {
        let mut fmt = cargo();
        fmt.args(["fmt", "--all", "--check", "--manifest-path", path]);
        run(&fmt, Duration::from_mins(5))
    };
    let mut outcome = manifest("Cargo.toml")?;
    for package in ["fuzz/Cargo.toml", "ebpf-probe/kernel/Cargo.toml"] {
        if paths::root().join(package).exists() {
            outcome = outcome.and(manifest(package)?);
        }
    }
    Ok(outcome)
}

fn check_rules(_: &Args) -> anyhow::Result<Outcome> {
    tidy::run(&tidy::Args::default())?;
    Ok(Outcome::passed())
}

fn build_both(args: &Args) -> anyhow::Result<Outcome> {
    build::run(&build::Args {
        kernel: args.quick,
        ..build::Args::default()
    })?;
    Ok(Outcome::passed())
}

fn lint(_: &Args) -> anyhow::Result<Outcome> {
    let mut clippy = workspace_cargo();
    clippy.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]);
    run(&clippy, Duration::from_mins(25))
}

fn lint_kernel(_: &Args) -> anyhow::Result<Outcome> {
    let Some(route) = Route::find() else {
        return Ok(Outcome::skipped("no compiler for the kernel programs"));
    };
    match kernel::clippy(&route)? {
        Some(clippy) => run(&clippy, Duration::from_mins(10)),
        None => Ok(Outcome::skipped(format!("{route} has no clippy"))),
    }
}

fn unit(_: &Args) -> anyhow::Result<Outcome> {
    let mut test = workspace_cargo();
    test.args(["test", "--workspace", "--no-fail-fast"]);
    if std::env::var_os("CI").is_some() {
        // A change is judged there by what it changed: the same inputs in each run. Elsewhere
        // properties meet new ones each time.
        test.env("PROPTEST_RNG_SEED", "1");
    }
    run(&test, Duration::from_mins(30))
}

fn other_kernels(_: &Args) -> anyhow::Result<Outcome> {
    vm::quick()
}

fn deny(_: &Args) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    for manifest in [
        "Cargo.toml",
        "ebpf-probe/kernel/Cargo.toml",
        "fuzz/Cargo.toml",
    ] {
        if paths::root().join(manifest).exists() {
            let mut check = deny_for(manifest)?;
            check.args([
                "check",
                "--hide-inclusion-graph",
                "licenses",
                "bans",
                "sources",
            ]);
            outcome = outcome.and(run(&check, Duration::from_mins(5))?);
        }
    }
    // The database is a git repository on the public network.
    let mut fetch = deny_for("Cargo.toml")?;
    fetch.args(["fetch", "db"]);
    if !succeeds(&mut limited(&fetch, Duration::from_mins(1))) {
        let why = "advisories: the RustSec database cannot be reached from here";
        return Ok(outcome.and(Outcome::skipped(why)));
    }
    let mut check = deny_for("Cargo.toml")?;
    check.args(["check", "--disable-fetch", "advisories"]);
    Ok(outcome.and(run(&check, Duration::from_mins(5))?))
}

fn deny_for(manifest: &str) -> anyhow::Result<Command> {
    let mut deny = command(paths::tool("cargo-deny")?);
    deny.args(["--manifest-path", manifest, "--config", "deny.toml"]);
    Ok(deny)
}

/// Cargo for the workspace, with the kernel programs for `ebpf-probe` if they are built.
pub(super) fn workspace_cargo() -> Command {
    let mut cargo = cargo();
    let object = paths::kernel_object();
    if object.exists() {
        cargo.env(OBJECT_VARIABLE, object);
    }
    cargo
}
