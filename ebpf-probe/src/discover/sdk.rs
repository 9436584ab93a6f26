//! Which processes report their model calls themselves.
//!
//! Variables are no evidence: the webhook writes them into every component, and most have no SDK
//! that reads them. Evidence is an established connection to the endpoint that they name, of a
//! program whose SDK has a span for each of its model calls. Of others it would tell that they
//! export something, and their calls would be lost.

use std::collections::HashMap;

use probe_core::ids::ProcessId;

use super::ports;
use super::proc::Process;

/// Where OTLP by gRPC goes that names no port.
const PORT: u16 = 4317;

/// The processes of such programs.
#[derive(Debug, Default)]
pub(super) struct Sdks {
    map: HashMap<ProcessId, Sdk>,
}

#[derive(Clone, Copy, Debug)]
struct Sdk {
    port: u16,
    connected: bool,
}

impl Sdks {
    /// Takes a process in; whether it was seen to report its model calls. Once it was, it does:
    /// an SDK keeps spans while its collector is away.
    pub(super) fn meet(&mut self, id: ProcessId, process: &Process) -> bool {
        let Some(port) = port(process) else {
            self.map.remove(&id);
            return false;
        };
        let connected = self.map.get(&id).is_some_and(|sdk| sdk.connected)
            || ports::is_connected(id.tgid, port);
        self.map.insert(id, Sdk { port, connected });
        connected
    }

    /// Those that have connected since they were looked at last.
    pub(super) fn connected(&self) -> Vec<ProcessId> {
        let waiting = self.map.iter().filter(|(_, sdk)| !sdk.connected);
        let connected = waiting.filter(|(id, sdk)| ports::is_connected(id.tgid, sdk.port));
        connected.map(|(id, _)| *id).collect()
    }

    /// Forgets the others.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&ProcessId) -> bool) {
        self.map.retain(|id, _| keep(id));
    }
}

/// The port to which a process exports traces, if its SDK has a span for each model call.
fn port(process: &Process) -> Option<u16> {
    let mut arguments = process.arguments.iter();
    if !arguments.any(|argument| is_reporting(argument)) {
        return None;
    }
    let mut endpoints = process.environment.otlp_endpoints.iter().flatten();
    endpoints.next().and_then(|endpoint| port_of(endpoint))
}

/// `pais` (KAOS's agents: `pais run`, `uvicorn pais.server:get_app`) and LiteLLM.
fn is_reporting(argument: &str) -> bool {
    let name = argument.rsplit('/').next().unwrap_or_default();
    matches!(name, "pais" | "litellm") || name.starts_with("pais.server:")
}

/// `http://collector:4317/path`, or the same without a scheme.
fn port_of(endpoint: &str) -> Option<u16> {
    let rest = endpoint
        .split_once("://")
        .map_or(endpoint, |(_, rest)| rest);
    let authority = rest.split('/').next()?;
    if authority.is_empty() {
        return None;
    }
    match authority.rsplit_once(':') {
        Some((_, port)) if !port.ends_with(']') => port.parse().ok(),
        _ => Some(PORT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(words: &str, endpoints: [Option<&str>; 3]) -> Process {
        let mut process = Process {
            arguments: words.split(' ').map(str::to_owned).collect(),
            ..Process::default()
        };
        process.environment.otlp_endpoints = endpoints.map(|it| it.map(str::to_owned));
        process
    }

    #[test]
    fn only_programs_that_report_model_calls_are_meant() {
        let here = [None, Some("http://collector:4317"), None];
        for words in [
            "python -m uvicorn pais.server:get_app --factory",
            "/usr/local/bin/python /usr/local/bin/pais run agent.py",
            "/v/bin/python /v/bin/litellm --config /etc/litellm/config.yaml",
        ] {
            assert_eq!(port(&process(words, here)), Some(4317), "{words}");
            assert_eq!(port(&process(words, [None; 3])), None, "{words}");
        }
        for words in ["fastmcp run server.py:mcp", "python app.py", "node pi.js"] {
            assert_eq!(port(&process(words, here)), None, "{words}");
        }
    }

    #[test]
    fn the_closest_variable_names_the_port() {
        let words = "pais run";
        let all = [
            Some("http://a:1/v1/traces"),
            Some("http://b:2"),
            Some("c:3"),
        ];
        assert_eq!(port(&process(words, all)), Some(1));
        assert_eq!(port(&process(words, [None, None, Some("c:3")])), Some(3));
        for (endpoint, want) in [
            ("http://collector", Some(4317)),
            ("http://[::1]:9", Some(9)),
            ("http://[::1]", Some(4317)),
            ("http://x:nonsense", None),
            ("http://", None),
        ] {
            assert_eq!(port_of(endpoint), want, "{endpoint}");
        }
    }
}
