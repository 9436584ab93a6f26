//! What a collector's file exporter writes: OTLP's JSON, one request a line.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::fidelity::span::{Kind, SeenEvent, SeenSpan};

/// The spans of a line of `traces.jsonl`.
pub fn spans(line: &str) -> Result<Vec<SeenSpan>> {
    let request: Traces = serde_json::from_str(line).context("a line is no OTLP request")?;
    let mut spans = Vec::new();
    for of_process in request.resource_spans {
        let resource = map(of_process.resource.attributes);
        for scope in of_process.scope_spans {
            spans.extend(scope.spans.into_iter().map(|span| seen(span, &resource)));
        }
    }
    Ok(spans)
}

/// A histogram's sum of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Sum {
    /// The metric's name.
    pub metric: String,
    /// What tells the series from others.
    pub attributes: BTreeMap<String, Value>,
    /// The sum so far.
    pub sum: f64,
}

/// The sums of a line of `metrics.jsonl`.
pub fn sums(line: &str) -> Result<Vec<Sum>> {
    let request: Metrics = serde_json::from_str(line).context("a line is no OTLP request")?;
    let scopes = request.resource_metrics.into_iter();
    let metrics = scopes
        .flat_map(|of_process| of_process.scope_metrics)
        .flat_map(|scope| scope.metrics);
    let mut sums = Vec::new();
    for metric in metrics {
        let points = metric.histogram.map(|data| data.data_points);
        for point in points.unwrap_or_default() {
            sums.push(Sum {
                metric: metric.name.clone(),
                attributes: map(point.attributes),
                sum: point.sum,
            });
        }
    }
    Ok(sums)
}

fn seen(span: OtlpSpan, resource: &BTreeMap<String, Value>) -> SeenSpan {
    SeenSpan {
        trace_id: span.trace_id,
        span_id: span.span_id,
        parent_span_id: span.parent_span_id,
        kind: match span.kind {
            2 => Kind::Server,
            3 => Kind::Client,
            _ => Kind::Other,
        },
        name: span.name,
        start: span.start_time_unix_nano.parse().unwrap_or(0),
        end: span.end_time_unix_nano.parse().unwrap_or(0),
        failed: span.status.code == 2,
        resource: resource.clone(),
        attributes: map(span.attributes),
        events: span
            .events
            .into_iter()
            .map(|event| SeenEvent {
                name: event.name,
                attributes: map(event.attributes),
            })
            .collect(),
        arrived: 0,
    }
}

fn map(attributes: Vec<KeyValue>) -> BTreeMap<String, Value> {
    let attributes = attributes.into_iter();
    attributes.map(|it| (it.key, plain(&it.value))).collect()
}

/// A value without the word for its type; 64-bit integers are strings in OTLP's JSON.
fn plain(value: &Value) -> Value {
    let Some((kind, inner)) = value.as_object().and_then(|object| object.iter().next()) else {
        return Value::Null;
    };
    match kind.as_str() {
        "intValue" => inner
            .as_str()
            .and_then(|digits| digits.parse::<i64>().ok())
            .map_or_else(|| inner.clone(), Value::from),
        "arrayValue" => inner["values"]
            .as_array()
            .map(|values| values.iter().map(plain).collect())
            .unwrap_or_default(),
        _ => inner.clone(),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Traces {
    #[serde(default)]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans {
    #[serde(default)]
    resource: Resource,
    #[serde(default)]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Default, Deserialize)]
struct Resource {
    #[serde(default)]
    attributes: Vec<KeyValue>,
}

#[derive(Deserialize)]
struct ScopeSpans {
    #[serde(default)]
    spans: Vec<OtlpSpan>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OtlpSpan {
    trace_id: String,
    span_id: String,
    #[serde(default)]
    parent_span_id: String,
    kind: u8,
    name: String,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    #[serde(default)]
    status: Status,
    #[serde(default)]
    attributes: Vec<KeyValue>,
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    code: u8,
}

#[derive(Deserialize)]
struct Event {
    name: String,
    #[serde(default)]
    attributes: Vec<KeyValue>,
}

#[derive(Deserialize)]
struct KeyValue {
    key: String,
    #[serde(default)]
    value: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metrics {
    #[serde(default)]
    resource_metrics: Vec<ResourceMetrics>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceMetrics {
    #[serde(default)]
    scope_metrics: Vec<ScopeMetrics>,
}

#[derive(Deserialize)]
struct ScopeMetrics {
    #[serde(default)]
    metrics: Vec<Metric>,
}

#[derive(Deserialize)]
struct Metric {
    name: String,
    #[serde(default)]
    histogram: Option<Histogram>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Histogram {
    #[serde(default)]
    data_points: Vec<Point>,
}

#[derive(Deserialize)]
struct Point {
    #[serde(default)]
    attributes: Vec<KeyValue>,
    #[serde(default)]
    sum: f64,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_of_spans_is_read() {
        let line = r#"{"resourceSpans":[{"resource":{"attributes":[
            {"key":"process.pid","value":{"intValue":"7"}}]},"scopeSpans":[{"scope":{"name":"x"},
            "spans":[{"traceId":"ab","spanId":"cd","parentSpanId":"","flags":257,"name":"chat m",
            "kind":3,"startTimeUnixNano":"1000","endTimeUnixNano":"3000","attributes":[
            {"key":"gen_ai.request.model","value":{"stringValue":"m"}},
            {"key":"f","value":{"arrayValue":{"values":[{"stringValue":"stop"}]}}},
            {"key":"t","value":{"doubleValue":0.5}}],"events":[{"timeUnixNano":"2","name":"exception",
            "attributes":[]}],"status":{"code":2}}]}]}]}"#;
        let spans = spans(line).unwrap();
        let [span] = &spans[..] else {
            panic!("one span")
        };
        assert_eq!(
            (span.kind, span.pid(), span.key()),
            (Kind::Client, Some(7), Some("m"))
        );
        assert_eq!((span.start, span.end, span.failed), (1000, 3000, true));
        assert_eq!(span.attributes["f"], json!(["stop"]));
        assert_eq!(span.attributes["t"], json!(0.5));
        assert_eq!(span.events[0].name, "exception");
    }

    #[test]
    fn a_line_of_metrics_is_read() {
        let line = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"tokens",
            "histogram":{"dataPoints":[{"attributes":[{"key":"a","value":{"boolValue":true}}],
            "count":"2","sum":12}]}},{"name":"g","gauge":{}}]}]}]}"#;
        let sums = sums(line).unwrap();
        let [sum] = &sums[..] else { panic!("one sum") };
        assert_eq!(sum.metric, "tokens");
        assert!((sum.sum - 12.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_no_request_is_an_error() {
        assert!(spans("{").is_err());
        assert!(spans(r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{}]}]}]}"#).is_err());
    }
}
