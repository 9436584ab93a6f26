//! An MCP server with the tools of [`SERVER`], in both generations of the protocol.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::tls::Tls;
use super::{Cache, Peer, Recipe, Service, Serving, python};

const SERVER: &str = include_str!("../../../tests/peers/mcp/weather.py");

/// A fastmcp server that speaks streamable HTTP at `/mcp`.
pub(crate) struct McpServer {
    name: &'static str,
    about: &'static str,
    lock: &'static str,
}

impl McpServer {
    /// Protocol 2026-07-28: stateless, plain JSON answers.
    pub(crate) const STATELESS: Self = Self {
        name: "mcp",
        about: "MCP server on fastmcp 4.1.2 and mcp 2.3 (stateless)",
        lock: include_str!("../../../tests/peers/python/mcp.txt"),
    };

    /// Protocol 2025-11-25: sessions, answers as event streams.
    pub(crate) const SESSIONS: Self = Self {
        name: "mcp-sessions",
        about: "MCP server on fastmcp 3.4.4 and mcp 1.28.1 (sessions, event streams)",
        lock: include_str!("../../../tests/peers/python/mcp-sessions.txt"),
    };
}

impl Peer for McpServer {
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
        let script = serving.dir.join("weather.py");
        std::fs::write(&script, SERVER)?;
        let mut command = Command::new(self.install(cache)?.join("bin/python"));
        command
            .env("FASTMCP_CHECK_FOR_UPDATES", "off")
            .arg(script)
            .arg(port.to_string());
        let arguments = ["--ssl-keyfile", "--ssl-certfile"];
        // Any answer will do: MCP itself takes no plain GET.
        let ready = Tls::ready(cache, serving, "/", arguments, &mut command)?;
        Ok(Some(Service { command, ready }))
    }
}
