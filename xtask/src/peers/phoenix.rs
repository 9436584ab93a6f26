//! Arize Phoenix, a trace UI that knows GenAI attributes.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::running::Ready;
use super::{Cache, Peer, Recipe, Service, Serving, python};

const LOCK: &str = include_str!("../../../tests/peers/python/phoenix.txt");

/// Its UI and OTLP/HTTP are on its port, OTLP/gRPC on the next.
pub(crate) struct Phoenix;

impl Peer for Phoenix {
    fn name(&self) -> &'static str {
        "phoenix"
    }

    fn about(&self) -> &'static str {
        "Arize Phoenix 20.26.1, a trace UI (620 MB)"
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
        let mut command = Command::new(self.install(cache)?.join("bin/phoenix"));
        command
            .env("PHOENIX_WORKING_DIR", serving.dir.join("phoenix"))
            .env("PHOENIX_HOST", "127.0.0.1")
            .env("PHOENIX_PORT", port.to_string())
            .env("PHOENIX_GRPC_PORT", (port + 1).to_string())
            .env("PHOENIX_TELEMETRY_ENABLED", "false")
            .env("PHOENIX_ALLOW_EXTERNAL_RESOURCES", "false")
            .arg("serve");
        Ok(Some(Service {
            command,
            ready: Ready::Http {
                port,
                path: "/healthz",
            },
        }))
    }
}
