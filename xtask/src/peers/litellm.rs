//! The LiteLLM proxy.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::tls::Tls;
use super::{Cache, Peer, Recipe, Service, Serving, python};

const LOCK: &str = include_str!("../../../tests/peers/python/litellm.txt");
const CONFIG: &str = include_str!("../../../tests/peers/litellm/config.yaml");

/// The proxy, with the models `tiny` (OpenAI format) and `tiny-ollama` behind it.
pub(crate) struct LiteLlm;

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
            // As in KAOS: it has no key and takes whatever its clients send. KAOS agents send
            // `not-needed`, whatever their environment says.
            .env(
                "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY",
                "true",
            )
            // Its price list comes from its package and not from the network.
            .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
            .arg("--config")
            .arg(config)
            .args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        let arguments = ["--ssl_keyfile_path", "--ssl_certfile_path"];
        let ready = Tls::ready(
            cache,
            serving,
            "/health/liveliness",
            arguments,
            &mut command,
        )?;
        Ok(Some(Service { command, ready }))
    }
}
