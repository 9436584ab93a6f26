//! From a span to measurements.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use probe_core::conventions::Profile;
use probe_core::ids::ProcessId;
use probe_core::span::{Span, SpanKind, Value};

use super::definitions::{self as def, Definition};
use super::series::{Instrument, Key, Label, Labels};
use crate::export::clock::Clock;
use crate::export::resource::Resource;
use crate::export::selfmetrics::{Cell, Counters, SERIES_OVERFLOWS};

/// Attributes of model calls, and of tools and agents.
const GEN_AI: &[&str] = &[
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "gen_ai.agent.name",
    "gen_ai.tool.name",
    "server.address",
    "server.port",
];

/// Attributes of MCP operations: the span's but for session, request and resource ids.
const MCP: &[&str] = &[
    "mcp.method.name",
    "mcp.protocol.version",
    "gen_ai.operation.name",
    "gen_ai.tool.name",
    "gen_ai.prompt.name",
    "jsonrpc.protocol.version",
    "network.protocol.name",
    "network.protocol.version",
    "network.transport",
    "rpc.response.status_code",
    "server.address",
    "server.port",
];

/// All metrics of all observed processes.
#[derive(Debug)]
pub(crate) struct Metrics {
    profile: Profile,
    overflows: Cell,
    state: Mutex<State>,
}

/// The series, and the resources that they are sent under.
#[derive(Debug, Default)]
pub(super) struct State {
    /// By name, in the order of first use.
    pub(super) instruments: Vec<Instrument>,
    /// The processes that have series.
    pub(super) resources: HashMap<ProcessId, Arc<Resource>>,
    /// Processes that are forgotten, but were not sent for the last time yet.
    gone: HashSet<ProcessId>,
}

impl Metrics {
    /// No measurements yet.
    pub(crate) fn new(profile: Profile, counters: &Counters) -> Self {
        Self {
            profile,
            overflows: counters.cell(&SERIES_OVERFLOWS),
            state: Mutex::default(),
        }
    }

    /// Which names are used.
    pub(crate) const fn profile(&self) -> Profile {
        self.profile
    }

    /// Measures a span of a process.
    pub(crate) fn record(&self, span: &Span, resource: &Arc<Resource>, clock: Clock) {
        let measurements = measurements(span, self.profile);
        let mut state = self.lock();
        if !measurements.is_empty() {
            let resource = Arc::clone(resource);
            state.resources.entry(span.process).or_insert(resource);
        }
        // A series begins with the first call that it measures.
        let now = clock.unix(span.start);
        for (definition, labels, value) in measurements {
            let key = Key {
                process: Some(span.process),
                labels,
            };
            if !state.instrument(definition).add(key, value, now) {
                self.overflows.add(1);
            }
        }
        self.record_chunks(span, &mut state, now);
    }

    /// Measures every chunk of a client's stream after the first.
    fn record_chunks(&self, span: &Span, state: &mut State, now: u64) {
        let Some(gaps) = span.summary.chunk_gaps else {
            return;
        };
        if span.kind == SpanKind::Server || !is_inference(span) {
            return;
        }
        let definition = match self.profile {
            Profile::V1_41 => &def::CLIENT_PER_CHUNK,
            Profile::GenAiDev => &def::INFERENCE_PER_CHUNK,
        };
        let key = Key {
            process: Some(span.process),
            labels: labels(span, GEN_AI, false),
        };
        if !state.instrument(definition).add_gaps(key, &gaps, now) {
            self.overflows.add(1);
        }
    }

    /// Notes that a process is forgotten. Its series stay until [`Metrics::drop_gone`], so that
    /// a process which lived shorter than the export interval is sent at least once.
    pub(crate) fn forget(&self, process: ProcessId) {
        let mut state = self.lock();
        if state.resources.contains_key(&process) {
            state.gone.insert(process);
        }
    }

    /// The forgotten processes whose series stand in what is collected from now on.
    pub(crate) fn gone(&self) -> Vec<ProcessId> {
        self.lock().gone.iter().copied().collect()
    }

    /// Drops the series of forgotten processes that were sent for the last time.
    pub(crate) fn drop_gone(&self, sent: &[ProcessId]) {
        let mut state = self.lock();
        for process in sent {
            state.gone.remove(process);
            state.resources.remove(process);
        }
        for instrument in &mut state.instruments {
            instrument.retain(|process| !sent.contains(&process));
        }
    }

    /// A panic elsewhere leaves at most one measurement out.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn instrument(&mut self, definition: &'static Definition) -> &mut Instrument {
        let names = self.instruments.iter();
        let place = names.map(|it| it.definition.name);
        let place = place.into_iter().position(|name| name == definition.name);
        let place = place.unwrap_or_else(|| {
            self.instruments.push(Instrument::new(definition));
            self.instruments.len() - 1
        });
        &mut self.instruments[place]
    }
}

type Measurement = (&'static Definition, Labels, f64);

/// Everything that one span measures.
fn measurements(span: &Span, profile: Profile) -> Vec<Measurement> {
    let seconds = span.end.saturating_sub(span.start) as f64 / 1e9;
    let mut found = Vec::new();
    if text(span, "mcp.method.name").is_some() {
        let definition = match span.kind {
            SpanKind::Server => &def::MCP_SERVER,
            SpanKind::Client | SpanKind::Internal => &def::MCP_CLIENT,
        };
        found.push((definition, labels(span, MCP, true), seconds));
        return found;
    }
    let duration = duration(span, profile);
    found.push((duration, labels(span, GEN_AI, true), seconds));
    if is_inference(span) {
        add_streaming(&mut found, span, profile, seconds);
        if span.summary.counts {
            add_tokens(&mut found, span, profile);
        }
    }
    found
}

/// The metric of a call's duration. v1.41 has none of its own for agents and tools; there the
/// operation's name tells them apart.
fn duration(span: &Span, profile: Profile) -> &'static Definition {
    let operation = span.summary.operation.as_str();
    match (profile, operation, span.kind) {
        (Profile::GenAiDev, "invoke_agent", _) => &def::INVOKE_AGENT,
        (Profile::GenAiDev, "execute_tool", _) => &def::EXECUTE_TOOL,
        (_, _, SpanKind::Server) => &def::SERVER_DURATION,
        (Profile::GenAiDev, "chat" | "text_completion" | "generate_content", _) => {
            &def::INFERENCE_DURATION
        }
        _ => &def::CLIENT_DURATION,
    }
}

fn is_inference(span: &Span) -> bool {
    let operation = span.summary.operation.as_str();
    !matches!(operation, "invoke_agent" | "execute_tool")
}

fn add_streaming(found: &mut Vec<Measurement>, span: &Span, profile: Profile, seconds: f64) {
    let summary = &span.summary;
    if span.kind == SpanKind::Server {
        let Some(first) = summary.time_to_first_token else {
            return;
        };
        if span.error.is_some() || !summary.stream {
            return;
        }
        let labels = labels(span, GEN_AI, false);
        if let Some(tokens) = summary.output_tokens.filter(|count| *count > 1) {
            let each = (seconds - first).max(0.0) / (tokens - 1) as f64;
            found.push((&def::SERVER_PER_TOKEN, labels.clone(), each));
        }
        found.push((&def::SERVER_FIRST_TOKEN, labels, first));
    } else if let Some(first) = summary.time_to_first_chunk.filter(|_| summary.stream) {
        let definition = match profile {
            Profile::V1_41 => &def::CLIENT_FIRST_CHUNK,
            Profile::GenAiDev => &def::INFERENCE_FIRST_CHUNK,
        };
        found.push((definition, labels(span, GEN_AI, false), first));
    }
}

/// Token metrics. They are recorded for the span that counts, on whichever side it was seen:
/// where only the server is observed its tokens must not be lost.
fn add_tokens(found: &mut Vec<Measurement>, span: &Span, profile: Profile) {
    let (input, output) = (span.summary.input_tokens, span.summary.output_tokens);
    let mut add = |definition, count: Option<u64>, label: Option<(&'static str, &str)>| {
        if let Some(count) = count {
            let mut labels = labels(span, GEN_AI, profile == Profile::GenAiDev);
            if let Some((name, value)) = label {
                labels.retain(|(name, _)| *name != "error.type");
                labels.push((name, Label::Text(value.to_owned())));
            }
            found.push((definition, labels, count as f64));
        }
    };
    if profile == Profile::V1_41 {
        add(
            &def::TOKEN_USAGE,
            input,
            Some(("gen_ai.token.type", "input")),
        );
        add(
            &def::TOKEN_USAGE,
            output,
            Some(("gen_ai.token.type", "output")),
        );
        return;
    }
    add(&def::INFERENCE_INPUT, input, None);
    add(&def::INFERENCE_OUTPUT, output, None);
    // Providers do not say of which modality tokens are, but for parts that are not read.
    let modality = Some(("gen_ai.token.modality", "unknown"));
    add(&def::USAGE_INPUT, input, modality);
    add(&def::USAGE_OUTPUT, output, modality);
    let parts = [
        (
            &def::USAGE_CACHE_READ,
            "gen_ai.usage.cache_read.input_tokens",
        ),
        (
            &def::USAGE_CACHE_WRITE,
            "gen_ai.usage.cache_write.input_tokens",
        ),
        (
            &def::USAGE_REASONING,
            "gen_ai.usage.reasoning.output_tokens",
        ),
    ];
    for (definition, attribute) in parts {
        add(definition, count(span, attribute), modality);
    }
}

/// The span's attributes of these names, and `error.type` where the metric has it.
fn labels(span: &Span, names: &[&'static str], with_error: bool) -> Labels {
    let error = with_error.then_some("error.type");
    let names = names.iter().copied().chain(error);
    let labels = names.filter_map(|name| Some((name, Label::of(attribute(span, name)?)?)));
    labels.collect()
}

fn attribute<'a>(span: &'a Span, name: &str) -> Option<&'a Value> {
    let mut attributes = span.attributes.iter();
    attributes.find(|it| it.name == name).map(|it| &it.value)
}

fn text<'a>(span: &'a Span, name: &str) -> Option<&'a str> {
    match attribute(span, name)? {
        Value::Static(text) => Some(text),
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn count(span: &Span, name: &str) -> Option<u64> {
    match attribute(span, name)? {
        Value::Int(count) => u64::try_from(*count).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
