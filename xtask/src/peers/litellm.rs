//! The LiteLLM proxy.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::running::Ready;
use super::{Cache, Peer, Recipe, Service, Serving, python};

const LOCK: &str = include_str!("../../../tests/peers/python/litellm.txt");
const CONFIG: &str = include_str!("../../../tests/peers/litellm/config.yaml");

/// The proxy, with the models `tiny` (OpenAI format) and `tiny-ollama` behind it.
pub(crate) struct LiteLlm;

impl LiteLlm {
    /// The key that its clients send. It guards nothing but a port on loopback, and the proxy
    /// does not start without one.
    pub(crate) const KEY: &'static str = "sk-loopback-only-1f0c7b52a94e";
}

impl Peer for LiteLlm {
    fn name(&self) -> &'static str {
        "litellm"
    }

    fn about(&self) -> &'static str {
        "LiteLLM proxy 1.106.2 in a Python environment (570 MB)"
    }

    fn install(&self, cache: &Cache) -> Result<PathBuf> {
        let recipe = Recipe {
            name: self.name(),
            what: self.about(),
            inputs: &[LOCK],
        };
        python::venv(cache, &recipe, LOCK)
    }

    fn service(&self, cache: &Cache, serving: &Serving) -> Result<Option<Service>> {
        let port = serving.port;
        let config = serving.dir.join(format!("litellm-{port}.yaml"));
        let text = CONFIG.replace("UPSTREAM", serving.upstream_or_default());
        std::fs::write(&config, text)?;
        let mut command = Command::new(self.install(cache)?.join("bin/litellm"));
        command
            .env("LITELLM_MASTER_KEY", Self::KEY)
            // Its price list comes from its package and not from the network.
            .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
            .arg("--config")
            .arg(config)
            .args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        Ok(Some(Service {
            command,
            ready: Ready::Http {
                port,
                path: "/health/liveliness",
            },
            deadline: Duration::from_secs(180),
        }))
    }
}
