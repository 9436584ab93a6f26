//! Spans to OTLP's protobuf messages.

use std::collections::HashMap;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1 as common;
use opentelemetry_proto::tonic::resource::v1 as otlp_resource;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use probe_core::ids::ProcessId;
use probe_core::span::{Attribute, Event, Link, Span, SpanKind, Value};

use super::clock::Clock;
use super::resource::{Registry, Resource};

/// The name of our instrumentation scope.
pub(crate) const SCOPE: &str = "kaos-probe";

/// `SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK`: the next bit means something.
const HAS_IS_REMOTE: u32 = 0x100;
/// `SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK`: the parent is another process's span.
const IS_REMOTE: u32 = 0x200;

/// One request for a batch: one `ResourceSpans` for each process, in the order of first spans.
pub(crate) fn traces(
    batch: &[Arc<Span>],
    registry: &Registry,
    clock: Clock,
    schema_url: &str,
) -> ExportTraceServiceRequest {
    let mut places: HashMap<ProcessId, usize> = HashMap::new();
    let mut groups: Vec<(ProcessId, Vec<otlp::Span>)> = Vec::new();
    for item in batch {
        let place = *places.entry(item.process).or_insert(groups.len());
        if place == groups.len() {
            groups.push((item.process, Vec::new()));
        }
        groups[place].1.push(span(item, clock));
    }
    let resource_spans = groups.into_iter().map(|(process, spans)| {
        let scope_spans = vec![otlp::ScopeSpans {
            scope: Some(scope()),
            spans,
            schema_url: schema_url.to_owned(),
        }];
        otlp::ResourceSpans {
            resource: Some(resource(&registry.get(process))),
            scope_spans,
            schema_url: schema_url.to_owned(),
        }
    });
    ExportTraceServiceRequest {
        resource_spans: resource_spans.collect(),
    }
}

/// Our instrumentation scope.
pub(crate) fn scope() -> common::InstrumentationScope {
    common::InstrumentationScope {
        name: SCOPE.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..common::InstrumentationScope::default()
    }
}

/// A resource.
pub(crate) fn resource(resource: &Resource) -> otlp_resource::Resource {
    let attributes = resource.attributes.iter();
    otlp_resource::Resource {
        attributes: attributes.map(|(name, it)| key_value(name, it)).collect(),
        ..otlp_resource::Resource::default()
    }
}

/// An attribute.
pub(crate) fn key_value(name: &str, value: &Value) -> common::KeyValue {
    common::KeyValue {
        key: name.to_owned(),
        value: Some(any_value(value)),
        ..common::KeyValue::default()
    }
}

fn any_value(value: &Value) -> common::AnyValue {
    use common::any_value::Value as Any;
    let string = |text: &str| Any::StringValue(text.to_owned());
    let value = match value {
        Value::Static(text) => string(text),
        Value::String(text) => string(text),
        Value::Int(number) => Any::IntValue(*number),
        Value::Float(number) => Any::DoubleValue(*number),
        Value::Bool(flag) => Any::BoolValue(*flag),
        Value::Strings(texts) => {
            let values = texts.iter().map(|text| common::AnyValue {
                value: Some(string(text)),
            });
            Any::ArrayValue(common::ArrayValue {
                values: values.collect(),
            })
        }
    };
    common::AnyValue { value: Some(value) }
}

fn span(span: &Span, clock: Clock) -> otlp::Span {
    let remote = if span.parent_is_remote { IS_REMOTE } else { 0 };
    otlp::Span {
        trace_id: span.trace.0.to_vec(),
        span_id: span.id.0.to_vec(),
        trace_state: span.trace_state.clone(),
        parent_span_id: span.parent.map(|id| id.0.to_vec()).unwrap_or_default(),
        flags: u32::from(span.flags) | HAS_IS_REMOTE | remote,
        name: span.name.clone(),
        kind: kind(span.kind).into(),
        start_time_unix_nano: clock.unix(span.start),
        end_time_unix_nano: clock.unix(span.end),
        attributes: attributes(&span.attributes),
        events: span.events.iter().map(|it| event(it, clock)).collect(),
        links: span.links.iter().map(link).collect(),
        status: span.error.as_deref().map(error_status),
        ..otlp::Span::default()
    }
}

fn kind(kind: SpanKind) -> otlp::span::SpanKind {
    match kind {
        SpanKind::Client => otlp::span::SpanKind::Client,
        SpanKind::Server => otlp::span::SpanKind::Server,
        SpanKind::Internal => otlp::span::SpanKind::Internal,
    }
}

fn attributes(attributes: &[Attribute]) -> Vec<common::KeyValue> {
    let attributes = attributes.iter();
    attributes.map(|it| key_value(it.name, &it.value)).collect()
}

fn event(event: &Event, clock: Clock) -> otlp::span::Event {
    otlp::span::Event {
        time_unix_nano: clock.unix(event.at),
        name: event.name.to_owned(),
        attributes: attributes(&event.attributes),
        dropped_attributes_count: 0,
    }
}

fn link(link: &Link) -> otlp::span::Link {
    otlp::span::Link {
        trace_id: link.trace.0.to_vec(),
        span_id: link.span.0.to_vec(),
        ..otlp::span::Link::default()
    }
}

fn error_status(message: &str) -> otlp::Status {
    otlp::Status {
        message: message.to_owned(),
        code: otlp::status::StatusCode::Error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::testing::{PROCESS, agent, chat, failed_tool};

    fn encode(spans: Vec<Span>) -> ExportTraceServiceRequest {
        let registry = Registry::default();
        registry.insert(PROCESS, Arc::new(agent()));
        let batch: Vec<_> = spans.into_iter().map(Arc::new).collect();
        traces(&batch, &registry, Clock::with_offset(5), "schema")
    }

    #[test]
    fn spans_of_one_process_share_a_resource() {
        let mut other = chat();
        other.process.tgid = 43;
        let request = encode(vec![chat(), other, failed_tool()]);
        let groups = &request.resource_spans;
        assert_eq!(groups.len(), 2);
        assert_eq!(groups[0].schema_url, "schema");
        let scope = &groups[0].scope_spans[0];
        assert_eq!(scope.spans.len(), 2);
        assert_eq!(scope.schema_url, "schema");
        assert_eq!(scope.scope.as_ref().unwrap().name, "kaos-probe");
        let service = &groups[0].resource.as_ref().unwrap().attributes[0];
        assert_eq!(
            *service,
            key_value("service.name", &Value::Static("agent.py"))
        );
        let service = &groups[1].resource.as_ref().unwrap().attributes[0];
        assert_eq!(
            *service,
            key_value("service.name", &Value::Static("unknown_service"))
        );
    }

    #[test]
    fn every_field_of_a_span_arrives() {
        let request = encode(vec![failed_tool()]);
        let span = &request.resource_spans[0].scope_spans[0].spans[0];
        assert_eq!(span.trace_id, [0xab; 16]);
        assert_eq!(span.span_id, [2; 8]);
        assert_eq!(span.parent_span_id, [1; 8]);
        assert_eq!(span.trace_state, "vendor=1");
        assert_eq!(span.flags, 0x301);
        assert_eq!(span.kind, otlp::span::SpanKind::Server as i32);
        assert_eq!(span.start_time_unix_nano, 1_100_000_005);
        assert_eq!(span.end_time_unix_nano, 1_200_000_005);
        assert_eq!(span.status.as_ref().unwrap().code, 2);
        assert_eq!(span.events[0].time_unix_nano, 1_150_000_005);
        assert_eq!(span.events[0].name, "exception");
        assert_eq!(span.links[0].span_id, [4; 8]);
        assert_eq!(span.attributes.len(), 4);
    }

    #[test]
    fn a_span_without_error_has_no_status_and_no_parent() {
        let request = encode(vec![chat()]);
        let span = &request.resource_spans[0].scope_spans[0].spans[0];
        assert_eq!(span.status, None);
        assert_eq!(span.parent_span_id, [0; 0]);
        assert_eq!(span.flags, 0x101);
    }
}
