//! Who the parent of a span is.

use super::Stitcher;
use super::calls::Live;
use super::lineage::{Lineage, Source};
use crate::call::{Call, CallKey, CallKind};
use crate::ids::{ProcessId, Role};
use crate::message::End;
use crate::trace_context::{SpanId, TraceContext};

impl Stitcher {
    /// The app's own context on the request, else a parent inside the process, else a new trace.
    /// Once a server's span has named this one, its trace stands.
    pub(super) fn client_lineage(&mut self, live: &mut Live, call: &Call) -> Lineage {
        let Some(mut settled) = live.settled.take() else {
            let verdict = self.verdict(call.key, live, Some(call), call.trace.as_ref());
            return self
                .inside_lineage(verdict)
                .unwrap_or_else(|| self.own_lineage(call.trace.as_ref()));
        };
        settled.missed = call
            .trace
            .clone()
            .filter(|t| settled.trace != t.trace || settled.parent != Some(t.parent));
        settled
    }

    /// Our span of the client's end, else the request's context, else a new trace.
    /// `call` is the server's end, once that has ended.
    pub(super) fn server_lineage(
        &mut self,
        live: &Live,
        call: Option<&Call>,
        trace: Option<&TraceContext>,
    ) -> Lineage {
        if let Some(lineage) = &live.client {
            self.counters.joined += 1;
            return lineage.clone();
        }
        let client = live.peer.and_then(|p| self.calls.get(&p));
        let Some((id, settled, header)) =
            client.map(|c| (c.span, c.settled.clone(), c.header.clone()))
        else {
            return self.own_lineage(trace);
        };
        self.counters.joined += 1;
        // Both ends read the same request, so this is the context that the client's end will
        // find too when it has ended.
        let settled = settled.unwrap_or_else(|| self.client_place(live.peer, trace, header));
        let left = self.will_be_left(live, call);
        let lineage = below(&settled, id, left);
        if let Some(client) = live.peer.and_then(|p| self.calls.get_mut(&p)) {
            client.settled = Some(settled);
            client.passed_over = left;
        }
        lineage
    }

    /// Whether the client's span of the call that this server has served is left to the client's
    /// SDK. What fails after all is exported beside the server's span.
    fn will_be_left(&self, server: &Live, call: Option<&Call>) -> bool {
        let client = server.peer.and_then(|p| self.calls.get(&p));
        client.is_some_and(|client| self.is_reported(client.process))
            && call.is_some_and(|call| matches!(call.kind, CallKind::Inference(_)))
    }

    /// Whether a client's span is left to its process's own SDK: one of a model call that went
    /// well, and that no other span has named.
    pub(super) fn is_left(&self, live: &Live, call: &Call, is_named: bool) -> bool {
        live.role == Role::Client
            && self.is_reported(live.process)
            && matches!(call.kind, CallKind::Inference(_))
            && call.ended == End::Complete
            && call.error.is_none()
            && (live.passed_over || !is_named)
    }

    fn is_reported(&self, process: ProcessId) -> bool {
        let facts = self.processes.facts(process);
        self.config.leave_to_sdk && facts.is_some_and(|facts| facts.reports_calls)
    }

    /// Where the client's span will stand that the server's is about to name.
    fn client_place(
        &mut self,
        client: Option<CallKey>,
        server: Option<&TraceContext>,
        header: Option<TraceContext>,
    ) -> Lineage {
        let client = client.and_then(|key| Some((key, self.calls.get(&key)?)));
        let finished = client.and_then(|(_, live)| live.call.as_deref());
        let context = match finished {
            Some(call) => call.trace.clone(),
            None => server.cloned().or(header),
        };
        let verdict =
            client.and_then(|(key, live)| self.verdict(key, live, finished, context.as_ref()));
        self.inside_lineage(verdict)
            .unwrap_or_else(|| self.own_lineage(context.as_ref()))
    }

    /// The child of a context on the wire, or a new trace.
    pub(super) fn own_lineage(&mut self, context: Option<&TraceContext>) -> Lineage {
        context.map_or_else(|| Lineage::root(&mut self.ids), Lineage::of_wire)
    }
}

/// The place of a server's span whose client's stands at `client`: below it, or where it is itself
/// if that is not exported.
pub(super) fn below(client: &Lineage, id: SpanId, left: bool) -> Lineage {
    if left {
        return Lineage {
            missed: None,
            ..client.clone()
        };
    }
    client.child(id, Source::Peer)
}
