//! Who the parent of a span is.

use super::Stitcher;
use super::calls::Live;
use super::lineage::{Lineage, Source};
use crate::call::{Call, CallKey};
use crate::trace_context::TraceContext;

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
    pub(super) fn server_lineage(&mut self, live: &Live, trace: Option<&TraceContext>) -> Lineage {
        if let Some((id, lineage)) = &live.client {
            self.counters.joined += 1;
            return lineage.child(*id, Source::Peer);
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
        let lineage = settled.child(id, Source::Peer);
        if let Some(client) = live.peer.and_then(|p| self.calls.get_mut(&p)) {
            client.settled = Some(settled);
        }
        lineage
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
