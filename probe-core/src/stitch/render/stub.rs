//! The span of a client's call that a server's span named and that never came to an end.

use std::sync::Arc;

use crate::conventions::{Attributes, Conventions, Key, table};
use crate::ids::{Nanos, ProcessId};
use crate::span::{Attribute, Span, SpanKind, Summary};
use crate::stitch::lineage::Lineage;
use crate::trace_context::SpanId;

/// What the server's end knows of the call.
#[derive(Debug)]
pub(in crate::stitch) struct Stub {
    name: String,
    end: Nanos,
    attributes: Vec<Attribute>,
    summary: Summary,
}

impl Stub {
    /// What both ends of a call have in common.
    pub(in crate::stitch) fn of(server: &Span, conventions: Conventions) -> Self {
        const SHARED: [&Key; 8] = [
            &table::OPERATION,
            &table::PROVIDER,
            &table::REQUEST_MODEL,
            &table::AGENT_NAME,
            &table::TOOL_NAME,
            &table::MCP_METHOD,
            &table::JSONRPC_ID,
            &table::HOP,
        ];
        let shared = |a: &&Attribute| SHARED.iter().any(|k| k.name(&conventions) == Some(a.name));
        Self {
            name: server.name.clone(),
            end: server.end,
            attributes: server.attributes.iter().filter(shared).cloned().collect(),
            summary: Summary {
                operation: server.summary.operation.clone(),
                target: server.summary.target.clone(),
                provider: server.summary.provider,
                hop: server.summary.hop,
                ..Summary::default()
            },
        }
    }

    /// The client's span, as far as it is known, marked as cut off.
    pub(in crate::stitch) fn span(
        self,
        conventions: Conventions,
        process: ProcessId,
        start: Nanos,
        id: SpanId,
        lineage: &Lineage,
    ) -> Span {
        let mut list = Attributes::with_capacity(&conventions, 3);
        list.put(&table::PARENT, lineage.source.as_str());
        list.put(&table::LOST_END, true);
        if self.summary.hop.is_some() {
            list.put(&table::COUNTS, false);
        }
        let mut attributes = self.attributes;
        attributes.extend(list.finish());
        let summary = Summary {
            link: lineage.source.as_str(),
            ..self.summary
        };
        Span {
            trace: lineage.trace,
            id,
            parent: lineage.parent,
            parent_is_remote: lineage.remote,
            trace_state: lineage.state.clone(),
            flags: lineage.flags,
            kind: SpanKind::Client,
            name: self.name,
            start,
            end: self.end.max(start),
            error: None,
            attributes,
            events: Vec::new(),
            links: Vec::new(),
            process,
            late: false,
            left: false,
            summary: Arc::new(summary),
        }
    }
}
