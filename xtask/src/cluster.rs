//! `cargo xtask cluster`: a real Kubernetes cluster of one node on this machine, in seconds.

mod host;
mod images;
pub(crate) mod network;
mod node;
mod pki;
mod plane;
mod state;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::interrupt;
use crate::paths;
use crate::peers::{Agent, Cache, Helm, Kubernetes, LiteLlm, Llama, Peer, TinyModel};
use plane::{Plan, Plane, bound_to_us};

/// Options of `cluster`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

const EXAMPLES: &str = "Examples:
  cargo xtask cluster up --node
  cargo xtask cluster enter -- kubectl get pods --all-namespaces
  cargo xtask cluster down
  cargo xtask cluster run --node -- bash
  cargo xtask cluster run -- kubectl version
  cargo xtask cluster run --version 1.35 -- bash";

#[derive(clap::Subcommand)]
enum Action {
    /// Start a cluster and leave it running: on loopback, or with a node in a network of its own.
    #[command(disable_version_flag = true)]
    Up(PlanArgs),
    /// Stop the cluster that `up` started, and remove all that was its.
    Down,
    /// Say what of the cluster runs.
    Status,
    /// Print the path of the administrator's kubeconfig.
    Kubeconfig,
    /// Run a command in the network and the mounts of the cluster that `up --node` started.
    Enter(EnterArgs),
    /// Install the chart from our images on a cluster of its own, let an agent work, and look at
    /// what arrives (wants root, and the programs of `cargo xtask image`).
    Test(TestArgs),
    /// Run a command beside a cluster of its own, in a network of its own, and stop both.
    ///
    /// The command has `KUBECONFIG`, kubectl on its `PATH`, and in `KAOS_CLUSTER_ADDRESS` an
    /// address that endpoints of Services may have.
    #[command(disable_version_flag = true)]
    Run(RunArgs),
}

#[derive(clap::Args)]
struct PlanArgs {
    /// The minor version of Kubernetes: 1.36 or 1.35.
    #[arg(long, default_value = Kubernetes::NEWEST.version)]
    version: String,
    /// Only etcd and API server: no controllers, no service accounts.
    #[arg(long)]
    bare: bool,
    /// A node too, with the images of the probe and the webhook as they were built for a release:
    /// containerd, kubelet, scheduler, kube-proxy and a name server (wants root).
    #[arg(long, conflicts_with = "bare")]
    node: bool,
}

#[derive(clap::Args)]
struct EnterArgs {
    /// The command with its arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

#[derive(clap::Args)]
struct TestArgs {
    /// Where logs, spans and state go, and stay [default: a folder that is removed at the end]
    #[arg(long)]
    keep: Option<PathBuf>,
    /// What takes minutes too: LiteLLM beside the agents, and longer outages.
    #[arg(long)]
    long: bool,
}

#[derive(clap::Args)]
struct RunArgs {
    #[command(flatten)]
    plan: PlanArgs,
    /// Where logs and state go, and stay [default: a folder that is removed at the end]
    #[arg(long)]
    keep: Option<PathBuf>,
    /// The command with its arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Runs the subcommand.
pub(crate) fn run(args: &Args) -> Result<()> {
    let home = std::path::absolute(paths::cache_dir()?)?.join("cluster");
    match &args.action {
        Action::Up(args) => up(args, &home),
        Action::Down => down(&home),
        Action::Status => status(&home),
        Action::Kubeconfig => kubeconfig(&home),
        Action::Enter(args) => enter(args, &home),
        Action::Test(args) => test(args),
        Action::Run(args) => beside(args),
    }
}

fn up(args: &PlanArgs, home: &Path) -> Result<()> {
    let plan = args.plan(true)?;
    if state::running(home)?.is_some_and(|parts| !parts.is_empty()) {
        bail!("a cluster is up already: `cargo xtask cluster down` stops it");
    }
    let cache = Cache::from_env()?;
    // Outside: there is no way to a registry from the network of a node.
    plan.install(&cache)?;
    if plan.node {
        network::enter(network::Own::Node)?;
    }
    interrupt::listen()?;
    plane::fresh(home)?;
    let start = Instant::now();
    let plane = Plane::start(&plan, &cache, home).inspect_err(|_| leave(&plan, home))?;
    let parts: Vec<(&str, u32)> = plane
        .parts
        .iter()
        .map(|(name, running)| (*name, running.pid()))
        .collect();
    state::write(home, &parts)?;
    std::fs::copy(&plane.kubeconfig, home.join("kubeconfig"))?;
    std::fs::write(
        home.join("programs"),
        plane.programs.as_os_str().as_encoded_bytes(),
    )?;
    let (programs, version) = (plane.programs.clone(), plan.kubernetes.version);
    for (_, running) in plane.parts {
        running.leave();
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "Kubernetes {version} is up after {seconds:.1} s; its logs are in {}",
        home.display()
    );
    if plan.node {
        println!("cargo xtask cluster enter -- kubectl get nodes");
        return Ok(());
    }
    println!("export KUBECONFIG={}", home.join("kubeconfig").display());
    println!("export PATH={}:$PATH", programs.display());
    Ok(())
}

/// Gives back what a node took that did not come to life. Its parts have been stopped.
fn leave(plan: &Plan, folder: &Path) {
    if plan.node
        && let Err(error) = host::give_back(folder)
    {
        eprintln!("something of the node is left: {error:#}");
    }
}

/// The process of the cluster whose namespaces are entered is its store, the first of all.
fn enter(args: &EnterArgs, home: &Path) -> Result<()> {
    let pid = state::pid(home, "etcd")?.context("no cluster is up")?;
    let (program, arguments) = args
        .command
        .split_first()
        .context("a command is required")?;
    let programs = std::fs::read_to_string(home.join("programs"))?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(PathBuf::from(programs)).chain(std::env::split_paths(&path));
    let status = std::process::Command::new("nsenter")
        .args(["--target", &pid.to_string(), "--net", "--mount", "--wdns=."])
        .arg(program)
        .args(arguments)
        .env("PATH", std::env::join_paths(paths)?)
        .env("KUBECONFIG", home.join("kubeconfig"))
        .env("KAOS_CLUSTER_ADDRESS", network::ADDRESS)
        .status()
        .context("cannot run nsenter")?;
    if !status.success() {
        bail!("the command failed: {status}");
    }
    Ok(())
}

fn down(home: &Path) -> Result<()> {
    if state::running(home)?.is_none() {
        println!("no cluster is up");
        return Ok(());
    }
    state::stop(home)?;
    println!("stopped; nothing is left of it");
    Ok(())
}

fn status(home: &Path) -> Result<()> {
    match state::running(home)?.unwrap_or_default().as_slice() {
        [] => println!("no cluster is up"),
        parts => println!("up: {}", parts.join(", ")),
    }
    Ok(())
}

fn kubeconfig(home: &Path) -> Result<()> {
    if state::running(home)?.unwrap_or_default().is_empty() {
        bail!("no cluster is up: `cargo xtask cluster up` starts one");
    }
    println!("{}", home.join("kubeconfig").display());
    Ok(())
}

/// What the end-to-end test of a node needs beside the cluster.
const PEERS: [&dyn Peer; 5] = [&Helm, &Llama, &TinyModel, &Agent::NOW, &LiteLlm];

fn test(args: &TestArgs) -> Result<()> {
    let cache = Cache::from_env()?;
    for peer in PEERS {
        peer.install(&cache)?;
    }
    let mut command: Vec<OsString> = vec!["env".into()];
    for (name, path) in [("KAOS_HELM", "helm/helm"), ("KAOS_PEERS", "")] {
        let mut variable = OsString::from(format!("{name}="));
        variable.push(cache.peers().join(path));
        command.push(variable);
    }
    command.extend([paths::target_dir().join("tests/e2e").into(), "node".into()]);
    if let Some(keep) = &args.keep {
        let keep = std::path::absolute(keep)?.join("spans");
        command.extend(["--keep".into(), keep.into()]);
    }
    if args.long {
        command.push("--long".into());
    }
    beside(&RunArgs {
        plan: PlanArgs {
            version: Kubernetes::NEWEST.version.to_owned(),
            bare: false,
            node: true,
        },
        keep: args.keep.clone(),
        command,
    })
}

fn beside(args: &RunArgs) -> Result<()> {
    let plan = args.plan.plan(false)?;
    let cache = Cache::from_env()?;
    // Outside: there is no way to a registry from the network that we enter.
    plan.install(&cache)?;
    network::enter(if plan.node {
        network::Own::Node
    } else {
        network::Own::Network
    })?;
    interrupt::listen()?;
    let temporary = std::env::temp_dir().join(format!("kaos-cluster-{}", std::process::id()));
    let folder = match &args.keep {
        Some(folder) => std::path::absolute(folder)?,
        None => temporary,
    };
    plane::fresh(&folder)?;
    let result = command_beside(&plan, &cache, &folder, &args.command);
    leave(&plan, &folder);
    if args.keep.is_none() {
        std::fs::remove_dir_all(&folder)?;
    }
    let status = result?;
    if !status.success() {
        bail!("the command failed: {status}");
    }
    Ok(())
}

fn command_beside(
    plan: &Plan,
    cache: &Cache,
    folder: &Path,
    words: &[OsString],
) -> Result<ExitStatus> {
    let start = Instant::now();
    let plane = Plane::start(plan, cache, folder)?;
    let seconds = start.elapsed().as_secs_f64();
    eprintln!(
        "Kubernetes {} is up after {seconds:.1} s",
        plan.kubernetes.version
    );
    let (program, arguments) = words.split_first().context("a command is required")?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(plane.programs.clone()).chain(std::env::split_paths(&path));
    let mut child = bound_to_us(program)
        .args(arguments)
        .env("PATH", std::env::join_paths(paths)?)
        .env("KUBECONFIG", &plane.kubeconfig)
        .env("KUBECACHEDIR", plane.kubeconfig.with_file_name("kubectl"))
        .env("KAOS_CLUSTER_ADDRESS", network::ADDRESS)
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if interrupt::asked() {
            // It heard of Ctrl-C itself, but not of a SIGTERM that was meant for us.
            pid.map(|pid| kill_process(pid, Signal::TERM).ok());
            return Ok(child.wait()?);
        }
        sleep(Duration::from_millis(20));
    }
}

impl PlanArgs {
    fn plan(&self, lasting: bool) -> Result<Plan> {
        let kubernetes = Kubernetes::of_version(&self.version)
            .with_context(|| format!("there is no version {}: 1.36 or 1.35", self.version))?;
        Ok(Plan {
            kubernetes,
            lasting,
            bare: self.bare,
            node: self.node,
        })
    }
}
