//! The real servers, agents and clients that demo and tests run against.
//!
//! Each is installed once into a folder outside the checkout (see [`cache`]) and knows nothing
//! of kaos-telemetry. `cargo xtask peers --help` gives them to other tests and to people.

mod agent;
pub(crate) mod cache;
mod chromium;
mod cli;
mod clients;
mod collector;
mod command;
mod coredns;
pub(crate) mod debian;
pub(crate) mod golang;
mod helm;
pub(crate) mod http;
mod kubernetes;
mod litellm;
mod llama;
mod mcp;
mod model;
mod node;
mod ollama;
mod packaged;
mod phoenix;
mod python;
mod running;
mod terminal;
mod tls;
mod tls_programs;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

pub(crate) use agent::Agent;
pub(crate) use cache::Cache;
pub(crate) use cli::{Args, run};
pub(crate) use collector::Collector;
pub(crate) use coredns::CoreDns;
pub(crate) use helm::Helm;
pub(crate) use kubernetes::Kubernetes;
pub(crate) use litellm::LiteLlm;
pub(crate) use llama::Llama;
pub(crate) use mcp::McpServer;
pub(crate) use model::TinyModel;
pub(crate) use node::Node;
pub(crate) use packaged::HEY;
pub(crate) use phoenix::Phoenix;
pub(crate) use running::{Ready, Running};

use cache::Recipe;

/// A real part that can be installed and perhaps be started.
pub(crate) trait Peer: Sync {
    /// Its name on the command line and in the cache.
    fn name(&self) -> &'static str;

    /// What it is, with its pinned version.
    fn about(&self) -> &'static str;

    /// Installs it unless it is there, and gives its folder.
    fn install(&self, cache: &Cache) -> Result<PathBuf>;

    /// How to start it, for the peers that serve.
    fn service(&self, _cache: &Cache, _serving: &Serving) -> Result<Option<Service>> {
        Ok(None)
    }
}

/// What a peer is told when it is started.
pub(crate) struct Serving {
    /// The port on loopback that it shall serve.
    pub(crate) port: u16,
    /// Variables of its environment, over our own and over the peer's defaults.
    pub(crate) env: Vec<(String, String)>,
    /// More arguments, behind the peer's own.
    pub(crate) args: Vec<String>,
    /// The model server behind it, such as `http://127.0.0.1:18080`; only proxies and agents.
    pub(crate) upstream: Option<String>,
    /// Serve TLS with the certificate of the peer `tls`.
    pub(crate) tls: bool,
    /// Where it keeps its log and its state.
    pub(crate) dir: PathBuf,
}

/// How a peer is started, and when it is ready.
pub(crate) struct Service {
    command: Command,
    ready: Ready,
}

/// Installs a peer if need be, starts it and waits until it answers.
///
/// `label` names its log, `LABEL.log` in `serving.dir`.
pub(crate) fn start(
    peer: &dyn Peer,
    label: &str,
    cache: &Cache,
    serving: &Serving,
) -> Result<Running> {
    std::fs::create_dir_all(&serving.dir)
        .with_context(|| format!("cannot make {}", serving.dir.display()))?;
    let mut service = peer
        .service(cache, serving)?
        .with_context(|| format!("{} is not a server: it can only be installed", peer.name()))?;
    service.command.args(&serving.args);
    forget_our_environment(&mut service.command);
    service.command.envs(serving.env.iter().cloned());
    let log = serving.dir.join(format!("{label}.log"));
    Running::start(label, service.command, &service.ready, &log)
}

/// Every peer, in the order in which they are installed.
pub(crate) fn all() -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(python::Uv),
        Box::new(tls::Tls),
        Box::new(TinyModel),
        Box::new(Llama),
        Box::new(LiteLlm),
        Box::new(Agent::NOW),
        Box::new(Agent::MID_2026),
        Box::new(McpServer::STATELESS),
        Box::new(McpServer::SESSIONS),
        Box::new(clients::PythonClients),
        Box::new(clients::NodeClients),
        Box::new(Phoenix),
        Box::new(ollama::Ollama),
        Box::new(Collector),
        Box::new(tls_programs::Bun),
        Box::new(tls_programs::GoTls),
        Box::new(tls_programs::GoHttp),
        Box::new(chromium::Chromium),
        Box::new(Kubernetes::NEWEST),
        Box::new(CoreDns),
        Box::new(Node),
        Box::new(Helm),
        Box::new(packaged::PROMETHEUS),
        Box::new(HEY),
    ]
}

impl Serving {
    /// On a port with a folder, and nothing else.
    pub(crate) fn new(port: u16, dir: &Path) -> Self {
        Self {
            port,
            env: Vec::new(),
            args: Vec::new(),
            upstream: None,
            tls: false,
            dir: dir.to_owned(),
        }
    }

    /// With one more variable in the environment.
    pub(crate) fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// With a model server behind it.
    pub(crate) fn upstream(mut self, url: String) -> Self {
        self.upstream = Some(url);
        self
    }

    fn upstream_or_default(&self) -> &str {
        self.upstream.as_deref().unwrap_or("http://127.0.0.1:18080")
    }
}

/// A peer shall run as on a machine of its own: without what our own shell was told about
/// Python (which makes it start ten times slower) and about telemetry.
fn forget_our_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let cargo = text.starts_with("CARGO") || text.starts_with("RUST");
        if text.starts_with("OTEL_") || text.starts_with("PYTHON") || cargo {
            command.env_remove(&name);
        }
    }
    command.env("PYTHONUNBUFFERED", "1");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let peers = all();
        for (at, peer) in peers.iter().enumerate() {
            assert!(peers[..at].iter().all(|other| other.name() != peer.name()));
        }
    }
}
