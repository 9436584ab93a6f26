//! The small agent system that the demo watches; it knows nothing of kaos-telemetry.
//!
//! ```text
//! user → boss ──A2A──► worker ──► MCP server (tools)
//!          │              │
//!          └──► LiteLLM ◄─┘ ──► llama.cpp's server
//! ```

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;

use super::traced::Client;
use super::work::CHAT;
use crate::peers::{self, Agent, Cache, LiteLlm, Llama, McpServer, Peer, Running, Serving, http};

/// The parts as they run. They stop when this is dropped, the ones in front first.
pub(crate) struct System {
    ports: Ports,
    user: Client,
    boss: Running,
    worker: Running,
    proxy: Running,
    tools: Running,
    model: Running,
}

/// Where on loopback each part serves.
#[derive(Clone, Copy)]
pub(crate) struct Ports {
    /// llama.cpp's server.
    pub(crate) model: u16,
    /// LiteLLM.
    pub(crate) proxy: u16,
    /// The MCP server.
    pub(crate) tools: u16,
    /// The agent that works.
    pub(crate) worker: u16,
    /// The agent that users talk to.
    pub(crate) boss: u16,
}

/// What the model server itself counted since its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tokens {
    /// Of prompts, those taken from its cache included.
    pub(crate) input: u64,
    /// Generated.
    pub(crate) output: u64,
}

/// Installs what is missing.
pub(crate) fn install(cache: &Cache) -> Result<()> {
    let parts: [&dyn Peer; 4] = [&Llama, &LiteLlm, &McpServer::STATELESS, &Agent::NOW];
    for part in parts {
        part.install(cache)?;
        crate::interrupt::check()?;
    }
    Ok(())
}

impl System {
    /// Starts all parts at once, since none asks another before it is asked; logs go to `dir`.
    pub(crate) fn start(cache: &Cache, dir: &Path) -> Result<Self> {
        let ports = Ports::free()?;
        let user = Client::start(&Agent::NOW.install(cache)?, dir, ports.boss, CHAT)?;
        let serving = |port| Serving::new(port, dir);
        let proxy = serving(ports.proxy).upstream(loopback(ports.model));
        let worker = agent("worker", serving(ports.worker), ports)
            .env("AGENT_DESCRIPTION", "Looks things up with its tools")
            .env("MCP_SERVERS", "weather")
            .env("MCP_SERVER_weather_URL", loopback(ports.tools));
        let boss = agent("boss", serving(ports.boss), ports)
            .env("AGENT_DESCRIPTION", "Hands work on to the worker")
            .env("PEER_AGENTS", "worker")
            .env("PEER_AGENT_WORKER_CARD_URL", loopback(ports.worker));
        thread::scope(|scope| {
            let start = |peer: &'static dyn Peer, label, serving| {
                let part = scope.spawn(move || start(cache, peer, label, &serving));
                move || {
                    part.join()
                        .map_err(|_panic| anyhow!("{label} was not started"))?
                }
            };
            let model = start(&Llama, "model", serving(ports.model));
            let proxy = start(&LiteLlm, "proxy", proxy);
            let tools = start(&McpServer::STATELESS, "tools", serving(ports.tools));
            let worker = start(&Agent::NOW, "worker", worker);
            let boss = start(&Agent::NOW, "boss", boss);
            Ok(Self {
                ports,
                user,
                boss: boss()?,
                worker: worker()?,
                proxy: proxy()?,
                tools: tools()?,
                model: model()?,
            })
        })
    }

    /// Where the parts serve.
    pub(crate) fn ports(&self) -> Ports {
        self.ports
    }

    /// A user of it that has telemetry of its own.
    pub(crate) fn user(&self) -> &Client {
        &self.user
    }

    /// What each process is.
    pub(crate) fn names(&self) -> [(u32, &'static str); 6] {
        [
            (self.user.pid(), "user"),
            (self.boss.pid(), "boss"),
            (self.worker.pid(), "worker"),
            (self.proxy.pid(), "proxy"),
            (self.tools.pid(), "tools"),
            (self.model.pid(), "model"),
        ]
    }

    /// Whether work went through all the parts, by the log of the worker, which stands behind
    /// the boss and before all others.
    ///
    /// A KAOS agent whose model or worker fails answers 200 and says so in words, so that its
    /// own answer proves nothing.
    pub(crate) fn check_the_chain(&self) -> Result<()> {
        let log = self.worker.log();
        for (part, request) in [
            ("model", "/v1/chat/completions \"HTTP/1.1 200"),
            ("MCP server", "/mcp \"HTTP/1.1 200"),
        ] {
            if !log.contains(request) {
                bail!("the worker reached no {part}; the logs say why");
            }
        }
        Ok(())
    }

    /// The model server's own account, by its `/metrics`.
    pub(crate) fn model_servers_account(&self) -> Result<Tokens> {
        let answer = http::get(self.ports.model, "/metrics", Duration::from_secs(5))?;
        Tokens::of_metrics(&answer.body)
    }
}

impl Ports {
    fn free() -> Result<Self> {
        Ok(Self {
            model: http::free_port()?,
            proxy: http::free_port()?,
            tools: http::free_port()?,
            worker: http::free_port()?,
            boss: http::free_port()?,
        })
    }
}

impl Tokens {
    /// Reads them from the text of llama.cpp's `/metrics`.
    fn of_metrics(text: &str) -> Result<Self> {
        let counter = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
                .and_then(|value| serde_json::from_str::<Value>(value.trim()).ok())
                .and_then(|value| value.as_f64())
                .with_context(|| format!("the model server's /metrics has no {name}"))
        };
        let prompt = counter("llamacpp:prompt_tokens_total")?;
        let cached = counter("llamacpp:prompt_tokens_cached_total")?;
        let predicted = counter("llamacpp:tokens_predicted_total")?;
        #[expect(clippy::cast_sign_loss, reason = "counters are never negative")]
        let (input, output) = ((prompt + cached) as u64, predicted as u64);
        Ok(Self { input, output })
    }

    /// What came on top of an earlier account.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            input: self.input.saturating_sub(earlier.input),
            output: self.output.saturating_sub(earlier.output),
        }
    }
}

fn start(cache: &Cache, peer: &dyn Peer, label: &str, serving: &Serving) -> Result<Running> {
    let running = peers::start(peer, label, cache, serving)?;
    println!(
        "  {label:<8} 127.0.0.1:{:<6} pid {:<8} ready in {:.1} s, {:.0} MB   {}",
        serving.port,
        running.pid(),
        running.started_in().as_secs_f64(),
        running.resident_kib().unwrap_or(0) as f64 / 1024.0,
        peer.about()
    );
    Ok(running)
}

fn agent(name: &str, serving: Serving, ports: Ports) -> Serving {
    serving
        .upstream(loopback(ports.proxy))
        .env("AGENT_NAME", name)
}

fn loopback(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_prompt_tokens_belong_to_the_input() {
        let text = "# HELP llamacpp:prompt_tokens_total x\n\
            llamacpp:prompt_tokens_total 21\n\
            llamacpp:prompt_tokens_cached_total 1.2e+2\n\
            llamacpp:tokens_predicted_total 20\n\
            llamacpp:tokens_predicted_seconds_total 0.01\n";
        let tokens = Tokens::of_metrics(text).expect("reads");
        assert_eq!(
            tokens,
            Tokens {
                input: 141,
                output: 20
            }
        );
    }

    #[test]
    fn a_missing_counter_is_named() {
        let error = Tokens::of_metrics("a 1\n").expect_err("fails").to_string();
        assert!(error.contains("prompt_tokens_total"), "{error}");
    }
}
