//! Where a span stands: its trace, its parent, and how that was found.

use super::ids::IdSource;
use crate::call::Call;
use crate::trace_context::{SpanId, TraceContext, TraceId};

/// Flags of a trace that we begin: sampled, and with a random trace id (W3C level 2).
const OWN_FLAGS: u8 = 0b11;

/// How a parent was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// It stood on the request.
    Wire,
    /// It is our span of the connection's other end.
    Peer,
    /// It is the request that the process served with this call, known for certain.
    Exact,
    /// It is the request that the process seems to have served with this call.
    Inferred,
    /// There is none.
    None,
    /// That is not settled.
    Open,
}

impl Source {
    /// The value of `telemetry.kaos.parent`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Wire => "wire",
            Self::Peer => "peer",
            Self::Exact => "exact",
            Self::Inferred => "inferred",
            Self::None => "none",
            Self::Open => "",
        }
    }
}

/// A span's place in its trace.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lineage {
    pub(super) trace: TraceId,
    pub(super) parent: Option<SpanId>,
    pub(super) remote: bool,
    pub(super) flags: u8,
    pub(super) state: String,
    pub(super) source: Source,
    /// A context of the request that is not the parent, though it should have been: the span's
    /// trace was settled by its child before the context was seen.
    pub(super) missed: Option<TraceContext>,
}

impl Lineage {
    /// No place yet.
    pub(super) const fn open() -> Self {
        Self {
            trace: TraceId([0; 16]),
            parent: None,
            remote: false,
            flags: 0,
            state: String::new(),
            source: Source::Open,
            missed: None,
        }
    }

    /// A new trace.
    pub(super) fn root(ids: &mut IdSource) -> Self {
        Self {
            trace: ids.trace(),
            parent: None,
            remote: false,
            flags: OWN_FLAGS,
            state: String::new(),
            source: Source::None,
            missed: None,
        }
    }

    /// A child of the context on the wire.
    pub(super) fn of_wire(context: &TraceContext) -> Self {
        Self {
            trace: context.trace,
            parent: Some(context.parent),
            remote: true,
            flags: context.flags,
            state: context.state.clone(),
            source: Source::Wire,
            missed: None,
        }
    }

    /// The child of the span `id` that stands here: the same trace, flags and state.
    pub(super) fn child(&self, id: SpanId, source: Source) -> Self {
        Self {
            parent: Some(id),
            remote: false,
            source,
            missed: None,
            ..self.clone()
        }
    }

    /// The contexts of the request that are not the parent: links.
    pub(super) fn links<'a>(&'a self, call: &'a Call) -> impl Iterator<Item = &'a TraceContext> {
        let header = call.header_trace.as_ref();
        let other = move |c: &&TraceContext| Some(c.parent) != self.parent || c.trace != self.trace;
        // A server's span under our client's span needs no link to the client's own parent.
        let named = call.trace.clone();
        let header = header
            .filter(move |c| {
                named
                    .as_ref()
                    .is_none_or(|n| n.parent != c.parent || n.trace != c.trace)
            })
            .filter(other);
        header.into_iter().chain(self.missed.as_ref())
    }
}
