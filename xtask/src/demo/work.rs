//! What the demo asks of its agent system: plain HTTP, as any program would send it, and once
//! from a program that has telemetry of its own.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::system::{Ports, System};
use super::traced::Caller;
use crate::peers::http;

/// The one model that the system serves.
pub(super) const MODEL: &str = "tiny";

/// Where questions go, on the agents as on the proxy.
pub(super) const CHAT: &str = "/v1/chat/completions";

/// A real model on a busy machine may take its time.
const ANSWER_WITHIN: Duration = Duration::from_mins(3);

/// One thing that somebody asks of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    /// A question to the boss, which hands it on to the worker.
    Agents(&'static str),
    /// The same, the answer as a stream.
    AgentsStreaming(&'static str),
    /// The same, whole, from a program with the OpenTelemetry SDK, which sends a `traceparent`.
    AgentsTraced(&'static str),
    /// A question straight to the proxy, the answer as a stream.
    Stream(&'static str),
    /// A model that nobody serves: an error, and meant to be one.
    Mistake,
}

/// A job that was done, and when.
pub(crate) struct Done {
    /// What.
    pub(crate) job: Job,
    /// From then.
    pub(crate) start: SystemTime,
    /// Until then.
    pub(crate) end: SystemTime,
    /// The asking program's own span, whose `traceparent` it sent.
    pub(crate) caller: Option<Caller>,
}

/// What a demo does in this order; `fast` takes the first and the last three.
pub(crate) fn jobs(fast: bool) -> Vec<Job> {
    let mut jobs = vec![
        Job::Agents("What is the weather in Oslo?"),
        Job::Agents("Is there wind in Lima, and who says so?"),
        Job::AgentsStreaming("Shall I take an umbrella to Rome?"),
        Job::AgentsTraced("Will it rain in Quito?"),
        Job::Stream("Tell me about spans."),
        Job::Mistake,
    ];
    if fast {
        jobs.drain(1..3);
    }
    jobs
}

impl Job {
    /// For the heading of its tree.
    pub(crate) fn title(self) -> String {
        match self {
            Self::Agents(question) => format!("to boss: “{question}”"),
            Self::AgentsStreaming(question) => format!("to boss, streaming: “{question}”"),
            Self::AgentsTraced(question) => format!("to boss, with a traceparent: “{question}”"),
            Self::Stream(question) => format!("to the proxy, streaming: “{question}”"),
            Self::Mistake => "to the proxy, for a model that it does not have".to_owned(),
        }
    }

    /// Sends it, waits for the whole answer, and checks that it is one.
    pub(crate) fn send(self, system: &System) -> Result<Done> {
        let ports = system.ports();
        let start = SystemTime::now();
        let mut caller = None;
        match self {
            Self::Agents(question) => ask(ports.boss, question, false)?,
            Self::AgentsStreaming(question) => ask(ports.boss, question, true)?,
            Self::AgentsTraced(question) => caller = Some(ask_traced(system, question)?),
            Self::Stream(question) => ask(ports.proxy, question, true)?,
            Self::Mistake => mistake(ports.proxy)?,
        }
        Ok(Done {
            job: self,
            start,
            end: SystemTime::now(),
            caller,
        })
    }
}

/// A call that costs no tokens, to see whether calls are seen: MCP's `initialize`.
pub(crate) fn greet(ports: Ports) -> Result<()> {
    let body = json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "demo", "version": "0"},
        },
    });
    post(ports.tools, "/mcp", &body).map(drop)
}

fn ask(port: u16, question: &str, stream: bool) -> Result<()> {
    let answer = post(port, CHAT, &body(question, stream))?;
    check(port, &answer, stream)
}

fn ask_traced(system: &System, question: &str) -> Result<Caller> {
    let (answer, caller) = system.user().post(&body(question, false))?;
    check(system.ports().boss, &answer, false)?;
    Ok(caller)
}

fn body(question: &str, stream: bool) -> Value {
    let mut body = json!({
        "model": MODEL,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": 60,
        "stream": stream,
    });
    if stream {
        body["stream_options"] = json!({"include_usage": true});
    }
    body
}

/// Whether it is a whole answer.
fn check(port: u16, answer: &http::Answer, stream: bool) -> Result<()> {
    if answer.status != 200 {
        bail!("port {port} answered {}: {}", answer.status, answer.body);
    }
    if stream {
        if !answer.body.contains("data: [DONE]") {
            bail!("port {port} broke off its stream");
        }
    } else {
        let body: Value = serde_json::from_str(&answer.body)?;
        body["choices"][0]["message"]["content"]
            .as_str()
            .with_context(|| format!("port {port} answered without content"))?;
    }
    Ok(())
}

fn mistake(port: u16) -> Result<()> {
    let body = json!({
        "model": "no-such-model",
        "messages": [{"role": "user", "content": "Hello?"}],
    });
    let answer = post(port, CHAT, &body)?;
    if answer.status < 400 {
        bail!("the proxy served a model that it does not have");
    }
    Ok(())
}

fn post(port: u16, path: &str, body: &Value) -> Result<http::Answer> {
    http::post(port, path, &body.to_string(), ANSWER_WITHIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_demo_keeps_one_of_each_kind_that_matters() {
        let jobs = jobs(true);
        assert_eq!(jobs.len(), 4);
        assert!(matches!(jobs[0], Job::Agents(_)));
        assert!(matches!(jobs[1], Job::AgentsTraced(_)));
        assert!(matches!(jobs[2], Job::Stream(_)));
        assert_eq!(jobs[3], Job::Mistake);
    }
}
