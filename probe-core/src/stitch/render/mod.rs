//! A call and what was decided about it → the span that exporters take.

mod agent;
mod http;
mod inference;
mod mcp;
mod outcome;
mod stub;
mod summary;

pub(super) use self::stub::Stub;

use std::borrow::Cow;
use std::sync::Arc;

use super::facts::ProcessFacts;
use super::lineage::Lineage;
use crate::call::{Call, CallKind};
use crate::conventions::{Attributes, Conventions, table};
use crate::ids::{Endpoints, Role};
use crate::message::End;
use crate::span::{Event, Link, Span, SpanKind};
use crate::trace_context::SpanId;

/// What a model call's far end is, for `telemetry.kaos.hop`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hop {
    /// The model's server, as far as seen.
    Origin,
    /// It forwards the call.
    Proxy,
    /// It is an agent.
    Agent,
}

impl Hop {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Proxy => "proxy",
            Self::Agent => "agent",
        }
    }
}

/// A call with everything that was decided about it.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) call: &'a Call,
    pub(super) endpoints: Option<&'a Endpoints>,
    pub(super) facts: Option<&'a ProcessFacts>,
    pub(super) conventions: &'a Conventions,
    /// `None` where it is no model call.
    pub(super) hop: Option<Hop>,
    /// Whether sums take this span.
    pub(super) counts: bool,
    /// The name of the agent at the far end, where it is an agent and its name is known.
    pub(super) agent: Option<&'a str>,
    pub(super) truncation_is_error: bool,
}

impl View<'_> {
    /// The server's end of the call is an agent, and the call asks it to work.
    pub(super) fn invokes_agent(&self) -> bool {
        match &self.call.kind {
            CallKind::Inference(_) => self.hop == Some(Hop::Agent),
            CallKind::Agent(a) => agent::invokes(&a.method),
            CallKind::Mcp(_) | CallKind::AgentCard { .. } | CallKind::Http => false,
        }
    }

    fn is_server(&self) -> bool {
        self.call.role == Role::Server
    }

    /// Seconds from the request's first byte to `at`.
    fn seconds_to(&self, at: Option<u64>) -> Option<f64> {
        at.map(|at| at.saturating_sub(self.call.start) as f64 / 1e9)
    }
}

/// Makes the span.
pub(super) fn span(view: &View<'_>, id: SpanId, lineage: &Lineage) -> Span {
    let call = view.call;
    let outcome = outcome::of(view);
    let mut list = Attributes::with_capacity(view.conventions, 40);
    let name = match &call.kind {
        CallKind::Inference(i) if view.invokes_agent() => agent::chat(view, i, &mut list),
        CallKind::Inference(i) => inference::attributes(view, i, &mut list),
        CallKind::Mcp(m) => mcp::attributes(view, m, &mut list),
        CallKind::Agent(a) => agent::attributes(view, a, &mut list),
        // A card is a span only where calls were made for it.
        CallKind::AgentCard { .. } | CallKind::Http => http::name(&call.http),
    };
    http::attributes(view, &mut list);
    common(view, lineage, &outcome, &mut list);
    Span {
        trace: lineage.trace,
        id,
        parent: lineage.parent,
        parent_is_remote: lineage.remote,
        trace_state: lineage.state.clone(),
        flags: lineage.flags,
        kind: match call.role {
            Role::Client => SpanKind::Client,
            Role::Server => SpanKind::Server,
        },
        name,
        start: call.start,
        end: call.end.max(call.start),
        error: outcome.is_error().then_some(Cow::Borrowed("")),
        attributes: list.finish(),
        events: exception(view, &outcome),
        links: lineage.links(call).map(link).collect(),
        process: call.process,
        late: false,
        left: false,
        summary: Arc::new(summary::of(view, lineage, &outcome)),
    }
}

fn link(context: &crate::trace_context::TraceContext) -> Link {
    Link {
        trace: context.trace,
        span: context.parent,
    }
}

fn common(
    view: &View<'_>,
    lineage: &Lineage,
    outcome: &outcome::Outcome<'_>,
    list: &mut Attributes<'_>,
) {
    let call = view.call;
    list.put_text(&table::ERROR_TYPE, outcome.kind());
    let source = Some(lineage.source.as_str());
    list.put_text(&table::PARENT, source.filter(|s| !s.is_empty()));
    if let Some(hop) = view.hop {
        list.put(&table::HOP, hop.as_str());
        list.put(&table::COUNTS, view.counts);
    }
    list.put_text(&table::REQUEST_ID, call.http.request_id.as_deref());
    if let Some(facts) = view.facts {
        list.put_text(&table::KAOS_RESOURCE, facts.kaos_resource.as_deref());
    }
    let capture = &call.capture;
    if capture.missed_bytes > 0 {
        list.put_count(&table::MISSED_BYTES, Some(capture.missed_bytes));
    }
    for (key, mark) in [
        (&table::UNDECODABLE, capture.undecodable),
        (&table::LIMITED, capture.limited),
        (&table::LOST_END, call.ended == End::Lost),
    ] {
        if mark {
            list.put(key, true);
        }
    }
}

/// `gen_ai.conversation.id` and KAOS's name of it, only where one is on the wire.
fn conversation(id: Option<&str>, list: &mut Attributes<'_>) {
    list.put_text(&table::CONVERSATION, id);
    list.put_text(&table::KAOS_SESSION, id);
}

/// The event that backends list as an exception. It names the type alone: a message would be the
/// provider's text.
fn exception(view: &View<'_>, outcome: &outcome::Outcome<'_>) -> Vec<Event> {
    if !outcome.is_error() {
        return Vec::new();
    }
    let mut list = Attributes::with_capacity(view.conventions, 1);
    list.put_text(&table::EXCEPTION_TYPE, outcome.kind());
    vec![Event {
        name: "exception",
        at: view.call.end.max(view.call.start),
        attributes: list.finish(),
    }]
}
