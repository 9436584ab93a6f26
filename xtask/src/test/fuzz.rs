//! The fuzz targets, built with coverage by hand and run for a while.
//!
//! cargo-fuzz would do the same, but asks for a nightly compiler and takes minutes to build.
//! The stages under test hold no `unsafe`, so the address sanitizer, which alone needs nightly,
//! would find nothing there; coverage and comparisons are traced by stable flags.

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use anyhow::Context as _;

use super::outcome::run as run_counted;
use super::{Args, Outcome};
use crate::cmd::{cargo, run as run_command};
use crate::paths;

/// Without a target, cargo would instrument build scripts too.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The webhook's decision: its answers stand between users and their pods.
const DECISION: &str = "review";

/// What cargo-fuzz passes, less the sanitizer.
const FLAGS: [&str; 8] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
    "-Coverflow-checks",
];

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let package = paths::root().join("fuzz");
    let targets = chosen(targets(&package)?, &args.fuzz_target)?;
    let programs = build()?;
    let one = |target: &str| {
        let binary = programs.join(target);
        let seconds = args.fuzz_seconds.unwrap_or(usual_seconds(target));
        fuzz(&package, target, &binary, seconds)
    };
    side_by_side(targets, one)
}

/// Builds the targets, and says where their programs are.
pub(super) fn build() -> anyhow::Result<PathBuf> {
    let build_dir = paths::target_dir().join("fuzz");
    let mut build = cargo();
    build
        .args(["build", "--release", "--target", TARGET])
        .current_dir(paths::root().join("fuzz"))
        .env("CARGO_TARGET_DIR", &build_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"));
    run_command(&mut build).context("the fuzz targets do not build")?;
    Ok(build_dir.join(TARGET).join("release"))
}

/// Each target has one thread, so there are as many at once as processors.
fn side_by_side(
    targets: Vec<String>,
    one: impl Fn(&str) -> anyhow::Result<Outcome> + Sync,
) -> anyhow::Result<Outcome> {
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let waiting = Mutex::new(targets.into_iter());
    let next = || {
        waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next()
    };
    let work = || {
        let mut outcome = Outcome::default();
        while let Some(target) = next() {
            outcome = outcome.and(one(&target)?);
        }
        anyhow::Ok(outcome)
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let mut ended = running.into_iter().map(ScopedJoinHandle::join);
        ended.try_fold(Outcome::default(), |sum, outcome| {
            let outcome = outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok(sum.and(outcome?))
        })
    })
}

fn fuzz(package: &Path, target: &str, binary: &Path, seconds: u32) -> anyhow::Result<Outcome> {
    let corpus = package.join("corpus").join(target);
    let artifacts = package.join("artifacts").join(target);
    for dir in [&corpus, &artifacts] {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let mut fuzz = crate::cmd::command(binary);
    fuzz.arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        // A single input may take seconds on a busy machine; ten are a hang.
        .args([
            "-timeout=10",
            "-rss_limit_mb=1024",
            "-max_len=16384",
            "-verbosity=0",
        ])
        .arg("-print_final_stats=1")
        .arg(&corpus);
    let seeds = package.join("seeds").join(target);
    if seeds.exists() {
        fuzz.arg(seeds);
    }
    run_counted(
        &fuzz,
        Duration::from_mins(5) + Duration::from_secs(seconds.into()),
    )
}

/// How long a target runs where nobody says.
fn usual_seconds(target: &str) -> u32 {
    if target == DECISION { 30 } else { 10 }
}

/// Those targets that are wanted: all if none is named.
fn chosen(targets: Vec<String>, named: &[String]) -> anyhow::Result<Vec<String>> {
    if let Some(unknown) = named.iter().find(|name| !targets.contains(name)) {
        anyhow::bail!("there is no fuzz target {unknown}; there are {targets:?}");
    }
    let wanted = |target: &String| named.is_empty() || named.contains(target);
    Ok(targets.into_iter().filter(wanted).collect())
}

/// The names of the targets: the binaries of the package.
fn targets(package: &Path) -> anyhow::Result<Vec<String>> {
    let dir = package.join("targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry
            .with_context(|| format!("cannot list {}", dir.display()))?
            .path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(
                path.file_stem()
                    .map(|name| name.to_string_lossy().into_owned()),
            );
        }
    }
    names.sort();
    let manifest =
        fs::read_to_string(package.join("Cargo.toml")).context("cannot read fuzz/Cargo.toml")?;
    for name in &names {
        if !manifest.contains(&format!("name = \"{name}\"")) {
            anyhow::bail!("fuzz/targets/{name}.rs is not a binary in fuzz/Cargo.toml");
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_runs_once_and_a_failure_is_told() {
        let names: Vec<String> = (0..7).map(|number| format!("t{number}")).collect();
        let seen = Mutex::new(Vec::new());
        let one = |target: &str| {
            seen.lock().unwrap().push(target.to_owned());
            Ok(Outcome::passed())
        };
        let outcome = side_by_side(names.clone(), one).unwrap();
        assert_eq!(outcome.tally.passed, 7);
        let mut ran = seen.into_inner().unwrap();
        ran.sort();
        assert_eq!(ran, names);
        let fails = |target: &str| match target {
            "t5" => anyhow::bail!("t5"),
            _ => Ok(Outcome::passed()),
        };
        assert!(side_by_side(names, fails).is_err());
    }

    #[test]
    fn the_decision_is_a_target_and_runs_for_longer() {
        let all = targets(&paths::root().join("fuzz")).unwrap();
        assert!(all.iter().any(|target| target == DECISION));
        assert!(usual_seconds(DECISION) >= 30);
        let only = chosen(all.clone(), &[DECISION.to_owned()]).unwrap();
        assert_eq!(only, [DECISION]);
        assert_eq!(chosen(all.clone(), &[]).unwrap(), all);
        assert!(chosen(all, &["nonsense".to_owned()]).is_err());
    }
}
