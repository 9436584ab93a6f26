//! The few facts that terminals, filters and metrics take.

use super::outcome::Outcome;
use super::{Hop, View, agent, http, inference, mcp};
use crate::call::{CallKind, Inference};
use crate::span::Summary;
use crate::stitch::lineage::Lineage;

/// The summary of a span.
pub(super) fn of(view: &View<'_>, lineage: &Lineage, outcome: &Outcome<'_>) -> Summary {
    let call = view.call;
    let timing = &call.timing;
    let (address, port) = http::server(view);
    let mut summary = Summary {
        status: call.http.status,
        error: outcome.kind().map(str::to_owned),
        stream: timing.stream,
        link: lineage.source.as_str(),
        server: address.map(|a| (a, port)),
        hop: view.hop.map(Hop::as_str),
        counts: view.counts,
        ..Summary::default()
    };
    if timing.stream {
        summary.time_to_first_chunk = view.seconds_to(timing.first_chunk);
        summary.chunk_gaps = Some(timing.gaps).filter(|gaps| gaps.count() > 0);
        summary.time_to_first_token = view.seconds_to(timing.first_token);
    }
    match &call.kind {
        CallKind::Inference(i) => model(view, i, &mut summary),
        CallKind::Mcp(m) => {
            summary.operation = if m.method == "tools/call" {
                "execute_tool".to_owned()
            } else {
                m.method.clone()
            };
            summary.target = mcp::target(m).map(str::to_owned);
        }
        CallKind::Agent(a) => {
            summary.target = view.agent.map(str::to_owned);
            summary.operation = if agent::invokes(&a.method) {
                summary.provider = Some("a2a");
                "invoke_agent".to_owned()
            } else {
                a.method.clone()
            };
        }
        CallKind::AgentCard { .. } | CallKind::Http => summary.operation = http::name(&call.http),
    }
    summary
}

fn model(view: &View<'_>, i: &Inference, summary: &mut Summary) {
    summary.provider = Some(i.provider);
    summary.finish_reasons.clone_from(&i.finish_reasons);
    if view.invokes_agent() {
        "invoke_agent".clone_into(&mut summary.operation);
        summary.target = view.agent.map(str::to_owned);
        return;
    }
    inference::operation(i.operation).clone_into(&mut summary.operation);
    summary.target.clone_from(&i.request_model);
    summary.response_model.clone_from(&i.response_model);
    summary.input_tokens = i.usage.input;
    summary.output_tokens = i.usage.output;
}
