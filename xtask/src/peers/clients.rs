//! The client libraries that the end-to-end tests drive.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use super::command::{quiet, which};
use super::{Cache, Peer, Recipe, python};

const PYTHON_LOCK: &str = include_str!("../../../tests/peers/python/clients.txt");
const NODE_PACKAGE: &str = include_str!("../../../tests/peers/node/package.json");
const NODE_LOCK: &str = include_str!("../../../tests/peers/node/package-lock.json");

/// A Python environment with the SDKs and HTTP libraries: `bin/python`.
pub(crate) struct PythonClients;

/// A `node_modules` with the SDKs; scripts that lie in this folder can import them.
pub(crate) struct NodeClients;

impl Peer for PythonClients {
    fn name(&self) -> &'static str {
        "python-clients"
    }

    fn about(&self) -> &'static str {
        "openai, anthropic, ollama, httpx, httpx2, aiohttp, requests and mcp for Python"
    }

    fn install(&self, cache: &Cache) -> Result<PathBuf> {
        let recipe = Recipe {
            name: self.name(),
            what: self.about(),
            inputs: &[PYTHON_LOCK],
        };
        python::venv(cache, &recipe, PYTHON_LOCK)
    }
}

impl Peer for NodeClients {
    fn name(&self) -> &'static str {
        "node-clients"
    }

    fn about(&self) -> &'static str {
        "openai, @anthropic-ai/sdk, ollama, @modelcontextprotocol/sdk and undici for Node"
    }

    fn install(&self, cache: &Cache) -> Result<PathBuf> {
        let recipe = Recipe {
            name: self.name(),
            what: self.about(),
            inputs: &[NODE_PACKAGE, NODE_LOCK],
        };
        cache.entry(&recipe, |folder| {
            if which("npm").is_none() {
                bail!("there is no npm: install Node 20 or newer (https://nodejs.org)");
            }
            std::fs::write(folder.join("package.json"), NODE_PACKAGE)?;
            std::fs::write(folder.join("package-lock.json"), NODE_LOCK)?;
            quiet(Command::new("npm").current_dir(folder).args([
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
            ]))
        })
    }
}
