//! KAOS agents: the server that KAOS runs in each agent's pod.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::tls::Tls;
use super::{Cache, Peer, Recipe, Service, Serving, python};

/// A KAOS agent server, of one of two generations of its libraries.
///
/// Tell it who it is by `AGENT_NAME`, `AGENT_INSTRUCTIONS`, `MCP_SERVERS`,
/// `MCP_SERVER_<name>_URL`, `PEER_AGENTS` and `PEER_AGENT_<NAME>_CARD_URL`.
pub(crate) struct Agent {
    name: &'static str,
    about: &'static str,
    lock: &'static str,
}

impl Agent {
    /// Of today: httpx2, stateless MCP.
    pub(crate) const NOW: Self = Self {
        name: "agent",
        about: "KAOS agent server, pydantic-ai-server 0.8.4 (170 MB)",
        lock: include_str!("../../../tests/peers/python/agent.txt"),
    };

    /// Of July 2026: httpx, MCP with sessions and event streams.
    pub(crate) const MID_2026: Self = Self {
        name: "agent-mid-2026",
        about: "KAOS agent server, pydantic-ai-server 0.6.0 with the libraries of 2026-07-15",
        lock: include_str!("../../../tests/peers/python/agent-mid-2026.txt"),
    };
}

impl Peer for Agent {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn install(&self, cache: &Cache) -> Result<PathBuf> {
        let recipe = Recipe {
            name: self.name,
            what: self.about,
            inputs: &[self.lock],
        };
        python::venv(cache, &recipe, self.lock)
    }

    fn service(&self, cache: &Cache, serving: &Serving) -> Result<Option<Service>> {
        let port = serving.port;
        let upstream = serving.upstream_or_default();
        let mut command = Command::new(self.install(cache)?.join("bin/uvicorn"));
        command
            .env("AGENT_NAME", self.name)
            .env("AGENT_PORT", port.to_string())
            .env("MODEL_API_URL", format!("{upstream}/v1"))
            .env("MODEL_NAME", "tiny")
            .env("OPENAI_API_KEY", "not-needed")
            .args(["--factory", "pais.server:get_app"])
            .args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        let arguments = ["--ssl-keyfile", "--ssl-certfile"];
        let ready = Tls::ready(cache, serving, "/ready", arguments, &mut command)?;
        Ok(Some(Service { command, ready }))
    }
}
