//! The steps that need root and a kernel: end-to-end tests and the demo.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::outcome::run;
use super::{Args, Outcome};
use crate::cmd::{cargo, command, is_root, limited, run as run_command, which};
use crate::paths;
use crate::peers::Cache;

/// The clients and real servers of the matrix.
const PEERS: [&str; 10] = [
    "tls",
    "python-clients",
    "node-clients",
    "tiny-model",
    "llama",
    "litellm",
    "agent",
    "mcp",
    "mcp-sessions",
    "ollama",
];

const TRACEFS: &str = "/sys/kernel/tracing";

/// Every call of the fidelity matrix, once and exactly.
pub(super) fn fidelity(_: &Args) -> anyhow::Result<Outcome> {
    if let Some(why) = not_here()? {
        return Ok(Outcome::skipped(why));
    }
    end_to_end(&["fidelity"], &PEERS, Duration::from_mins(20))
}

/// What a real collector receives.
pub(super) fn otlp(_: &Args) -> anyhow::Result<Outcome> {
    if let Some(why) = not_here()? {
        return Ok(Outcome::skipped(why));
    }
    end_to_end(&["otlp"], &["collector"], Duration::from_mins(2))
}

/// Parents inside processes, a quick selection; `e2e parents` runs all.
pub(super) fn parents(_: &Args) -> anyhow::Result<Outcome> {
    if let Some(why) = not_here()? {
        return Ok(Outcome::skipped(why));
    }
    end_to_end(
        &["parents", "--quick"],
        &["litellm", "go-http"],
        Duration::from_mins(3),
    )
}

/// What doctor says of programs with TLS of every kind.
pub(super) fn doctor(_: &Args) -> anyhow::Result<Outcome> {
    if let Some(why) = not_here()? {
        return Ok(Outcome::skipped(why));
    }
    let peers = ["bun", "go-tls", "python-clients"];
    end_to_end(&["doctor"], &peers, Duration::from_mins(2))
}

/// Runs a command of `e2e`, with what it needs.
fn end_to_end(what: &[&str], peers: &[&str], time: Duration) -> anyhow::Result<Outcome> {
    let e2e = e2e()?;
    let mut install = xtask()?;
    install.args(["peers", "install"]).args(peers);
    run_command(&mut limited(&install, Duration::from_mins(15)))?;
    run(command(e2e).args(what), time)
}

/// Builds the program that holds ours against real ones, and says where it is.
fn e2e() -> anyhow::Result<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--profile", "tests", "--package", "e2e"]);
    build.args(["--bin", "e2e"]);
    run_command(&mut limited(&build, Duration::from_mins(15)))?;
    Ok(paths::target_dir().join("tests/e2e"))
}

/// What of the webhook each run of the tests holds against the API server.
const WEBHOOK_SCENARIOS: [&str; 9] = [
    "resources",
    "environment",
    "size",
    "outage",
    "rollout",
    "caBundle",
    "prompts",
    "rotation under load",
    "departure under load",
];

/// The webhook against a real API server, and its outages.
pub(super) fn webhook(_: &Args) -> anyhow::Result<Outcome> {
    if let Some(why) = no_cluster() {
        return Ok(Outcome::skipped(why));
    }
    let e2e = e2e_and_webhook()?;
    let mut install = xtask()?;
    install.args(["peers", "install", "kubernetes", "agent"]);
    run_command(&mut limited(&install, Duration::from_mins(30)))?;
    let mut webhook = xtask()?;
    webhook.args(["cluster", "run", "--"]);
    webhook.arg(e2e).arg("webhook");
    // One certificate; five, the Secret's damages and the machine's own pace are a command of their
    // own, `cargo xtask cluster run -- target/tests/e2e webhook --only load`.
    webhook.args(["--rotations", "1"]);
    for scenario in WEBHOOK_SCENARIOS {
        webhook.args(["--only", scenario]);
    }
    run(&webhook, Duration::from_mins(15))
}

/// The chart by real helm, against a real API server.
pub(super) fn chart(_: &Args) -> anyhow::Result<Outcome> {
    if let Some(why) = no_cluster() {
        return Ok(Outcome::skipped(why));
    }
    let e2e = e2e_and_webhook()?;
    let cache = Cache::from_env()?;
    let mut install = xtask()?;
    install.args(["peers", "install"]);
    install.args(["kubernetes", "helm", "prometheus", "collector"]);
    run_command(&mut limited(&install, Duration::from_mins(30)))?;
    let mut chart = xtask()?;
    chart
        .env("KAOS_HELM", cache.peers().join("helm/helm"))
        .env("KAOS_COLLECTOR", cache.peers().join("collector/otelcol"))
        .env(
            "KAOS_PROMTOOL",
            cache.peers().join("prometheus/usr/bin/promtool"),
        )
        .args(["cluster", "run", "--"])
        .arg(e2e)
        .arg("chart");
    run(&chart, Duration::from_mins(5))
}

/// Images of both programs, which are run inside them.
pub(super) fn image(_: &Args) -> anyhow::Result<Outcome> {
    if !is_root() {
        return Ok(Outcome::skipped("a change of root wants root"));
    }
    run_command(xtask()?.arg("image"))?;
    let mut check = xtask()?;
    check.args(["image", "--check"]);
    run(&check, Duration::from_mins(2))
}

/// The whole on a real node, from the images of the step before.
pub(super) fn node(_: &Args) -> anyhow::Result<Outcome> {
    if let Some(why) = no_cluster() {
        return Ok(Outcome::skipped(why));
    }
    if let Some(why) = not_here()? {
        return Ok(Outcome::skipped(why));
    }
    e2e()?;
    let mut install = xtask()?;
    install.args([
        "peers",
        "install",
        "kubernetes",
        "coredns",
        "node",
        "collector",
    ]);
    install.args(["helm", "llama", "tiny-model", "agent", "litellm"]);
    run_command(&mut limited(&install, Duration::from_mins(30)))?;
    let mut test = xtask()?;
    test.args(["cluster", "test"]);
    run(&test, Duration::from_mins(8))
}

/// Why no control plane can be built and started here, if it cannot.
fn no_cluster() -> Option<String> {
    let programs = ["go", "ip", "unshare"].into_iter();
    let missing = { programs }.find(|program| which(program).is_none());
    missing.map(|program| format!("there is no program {program}"))
}

/// Builds the webhook as it is shipped, and what holds it against real parts; says where that is.
pub(super) fn e2e_and_webhook() -> anyhow::Result<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--release", "--package", "kaos-webhook"]);
    run_command(&mut limited(&build, Duration::from_mins(20)))?;
    e2e()
}

/// The README's first command.
pub(super) fn demo(_: &Args) -> anyhow::Result<Outcome> {
    if let Some(why) = not_here()? {
        return Ok(Outcome::skipped(why));
    }
    let mut demo = xtask()?;
    demo.args(["demo", "--fast"]);
    run(&demo, Duration::from_mins(20))
}

/// Why programs cannot be loaded into this machine's kernel, if they cannot. Mounts tracefs,
/// which on small systems nobody has done.
fn not_here() -> anyhow::Result<Option<&'static str>> {
    if !is_root() {
        return Ok(Some("loading programs into the kernel wants root"));
    }
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Ok(Some("this kernel has no BTF (/sys/kernel/btf/vmlinux)"));
    }
    if !Path::new(TRACEFS).join("events").exists() {
        println!("mounting tracefs on {TRACEFS}");
        run_command(command("mount").args(["-t", "tracefs", "tracefs", TRACEFS]))?;
    }
    Ok(None)
}

fn xtask() -> anyhow::Result<std::process::Command> {
    Ok(command(paths::ourselves()?))
}
