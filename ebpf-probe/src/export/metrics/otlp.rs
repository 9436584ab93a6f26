//! Metrics to OTLP's protobuf messages, cumulative.

use std::collections::HashMap;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1 as otlp;
use otlp::metric::Data;
use otlp::number_data_point::Value as Number;
use probe_core::ids::ProcessId;
use probe_core::span::Value;

use super::definitions::Definition;
use super::record::Metrics;
use super::series::{Labels, Series};
use crate::export::encode;
use crate::export::resource::Resource;
use crate::export::selfmetrics::Reading;

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`
const CUMULATIVE: i32 = otlp::AggregationTemporality::Cumulative as i32;

/// A process and its points of each metric.
type Groups = HashMap<Option<ProcessId>, Vec<(&'static Definition, Vec<(Labels, Series)>)>>;

/// One request with all metrics: one `ResourceMetrics` for each observed process, and one for
/// the probe itself with its own counters.
pub(crate) fn request(
    metrics: &Metrics,
    readings: &[Reading],
    own: &Resource,
    times: Times,
) -> ExportMetricsServiceRequest {
    let schema_url = metrics.profile().schema_url().unwrap_or_default();
    let state = metrics.lock();
    let mut groups = Groups::new();
    groups.entry(None).or_default();
    for instrument in &state.instruments {
        for (key, series) in &instrument.series {
            let group = groups.entry(key.process).or_default();
            if group.last().map(|(it, _)| it.name) != Some(instrument.definition.name) {
                group.push((instrument.definition, Vec::new()));
            }
            if let Some((_, points)) = group.last_mut() {
                points.push((key.labels.clone(), series.clone()));
            }
        }
    }
    let groups = groups.into_iter().map(|(process, group)| {
        let observed = process.and_then(|it| state.resources.get(&it));
        let resource = observed.map_or(own, AsRef::as_ref);
        let points = group.into_iter();
        let mut metrics: Vec<_> = points
            .map(|(definition, points)| metric(definition, points, times.now))
            .collect();
        if process.is_none() {
            metrics.extend(readings.iter().map(|it| own_metric(it, times)));
        }
        resource_metrics(resource, metrics, schema_url)
    });
    ExportMetricsServiceRequest {
        resource_metrics: groups.collect(),
    }
}

/// Times since the epoch, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// When the probe started: the start of its own counters.
    pub(crate) start: u64,
    /// Now.
    pub(crate) now: u64,
}

fn resource_metrics(
    resource: &Resource,
    metrics: Vec<otlp::Metric>,
    schema_url: &str,
) -> otlp::ResourceMetrics {
    let scope_metrics = vec![otlp::ScopeMetrics {
        scope: Some(encode::scope()),
        metrics,
        schema_url: schema_url.to_owned(),
    }];
    otlp::ResourceMetrics {
        resource: Some(encode::resource(resource)),
        scope_metrics,
        schema_url: schema_url.to_owned(),
    }
}

fn metric(definition: &Definition, points: Vec<(Labels, Series)>, now: u64) -> otlp::Metric {
    let points = points.into_iter();
    let data = if definition.bounds.is_empty() {
        Data::Sum(otlp::Sum {
            data_points: points.map(|it| sum_point(it, now)).collect(),
            aggregation_temporality: CUMULATIVE,
            is_monotonic: true,
        })
    } else {
        let points = points.map(|it| histogram_point(it, definition.bounds, now));
        Data::Histogram(otlp::Histogram {
            data_points: points.collect(),
            aggregation_temporality: CUMULATIVE,
        })
    };
    otlp::Metric {
        name: definition.name.to_owned(),
        description: definition.help.to_owned(),
        unit: definition.unit.to_owned(),
        data: Some(data),
        ..otlp::Metric::default()
    }
}

fn sum_point((labels, series): (Labels, Series), now: u64) -> otlp::NumberDataPoint {
    otlp::NumberDataPoint {
        attributes: attributes(&labels),
        start_time_unix_nano: series.start,
        time_unix_nano: now,
        value: Some(Number::AsInt(series.sum as i64)),
        ..otlp::NumberDataPoint::default()
    }
}

fn histogram_point(
    (labels, series): (Labels, Series),
    bounds: &[f64],
    now: u64,
) -> otlp::HistogramDataPoint {
    otlp::HistogramDataPoint {
        attributes: attributes(&labels),
        start_time_unix_nano: series.start,
        time_unix_nano: now,
        count: series.count,
        sum: Some(series.sum),
        bucket_counts: series.buckets,
        explicit_bounds: bounds.to_vec(),
        min: Some(series.min),
        max: Some(series.max),
        ..otlp::HistogramDataPoint::default()
    }
}

fn attributes(labels: &Labels) -> Vec<KeyValue> {
    let labels = labels.iter();
    let attributes = labels.map(|(name, label)| encode::key_value(name, &label.value()));
    attributes.collect()
}

fn own_metric(reading: &Reading, times: Times) -> otlp::Metric {
    let points = reading.values.iter().map(|(label, value)| {
        let label_name = reading.def.label;
        let labels = label_name.map(|it| encode::key_value(it, &Value::String(label.clone())));
        otlp::NumberDataPoint {
            attributes: labels.into_iter().collect(),
            start_time_unix_nano: times.start,
            time_unix_nano: times.now,
            value: Some(Number::AsInt(i64::try_from(*value).unwrap_or(i64::MAX))),
            ..otlp::NumberDataPoint::default()
        }
    });
    let data_points = points.collect();
    let data = if reading.def.monotonic {
        Data::Sum(otlp::Sum {
            data_points,
            aggregation_temporality: CUMULATIVE,
            is_monotonic: true,
        })
    } else {
        Data::Gauge(otlp::Gauge { data_points })
    };
    otlp::Metric {
        name: reading.def.name.to_owned(),
        description: reading.def.help.to_owned(),
        unit: reading.def.unit.to_owned(),
        data: Some(data),
        ..otlp::Metric::default()
    }
}

#[cfg(test)]
mod tests {
    use probe_core::conventions::Profile;

    use std::sync::Arc;

    use super::*;
    use crate::export::clock::Clock;
    use crate::export::selfmetrics::{CONNECTIONS, Counters, SPANS_DROPPED};
    use crate::export::testing::{agent, chat, failed_tool};

    fn collect() -> Vec<(String, Vec<otlp::Metric>)> {
        let counters = Counters::default();
        counters.labelled(&SPANS_DROPPED, "queue_full").add(3);
        counters.cell(&CONNECTIONS).set(2);
        let metrics = Metrics::new(Profile::V1_41, &counters);
        let resource = Arc::new(agent());
        for _ in 0..2 {
            metrics.record(&chat(), &resource, Clock::with_offset(7));
        }
        metrics.record(&failed_tool(), &resource, Clock::with_offset(7));
        let mut own = Resource::default();
        own.set("service.name", Value::Static("kaos-probe"));
        let times = Times { start: 1, now: 9 };
        let request = request(&metrics, &counters.read(), &own, times);
        let groups = request.resource_metrics.into_iter().map(|mut group| {
            let resource = group.resource.unwrap();
            let name = resource.attributes[0].value.clone().unwrap();
            (format!("{name:?}"), group.scope_metrics.remove(0).metrics)
        });
        groups.collect()
    }

    fn find<'a>(groups: &'a [(String, Vec<otlp::Metric>)], service: &str, name: &str) -> &'a Data {
        let group = groups.iter().find(|(it, _)| it.contains(service)).unwrap();
        let metric = group.1.iter().find(|metric| metric.name == name).unwrap();
        metric.data.as_ref().unwrap()
    }

    #[test]
    fn a_process_s_metrics_stand_under_its_resource() {
        let groups = collect();
        assert_eq!(groups.len(), 2);
        let duration = find(&groups, "agent.py", "gen_ai.client.operation.duration");
        let Data::Histogram(histogram) = duration else {
            panic!("{duration:?}");
        };
        assert_eq!(histogram.aggregation_temporality, CUMULATIVE);
        let point = &histogram.data_points[0];
        assert_eq!((point.count, point.sum), (2, Some(3.0)));
        assert_eq!(point.bucket_counts.iter().sum::<u64>(), 2);
        assert_eq!(point.bucket_counts[8], 2);
        assert_eq!(point.explicit_bounds.len() + 1, point.bucket_counts.len());
        assert_eq!(point.start_time_unix_nano, 1_000_000_007);
        assert_eq!(point.time_unix_nano, 9);
        let tokens = find(&groups, "agent.py", "gen_ai.client.token.usage");
        let Data::Histogram(tokens) = tokens else {
            panic!("{tokens:?}");
        };
        assert_eq!(tokens.data_points.len(), 2);
        find(&groups, "agent.py", "mcp.server.operation.duration");
    }

    #[test]
    fn the_probe_s_own_counters_stand_under_its_own() {
        let groups = collect();
        let dropped = find(&groups, "kaos-probe", "kaos_probe.spans.dropped");
        let Data::Sum(sum) = dropped else {
            panic!("{dropped:?}");
        };
        assert!(sum.is_monotonic);
        assert_eq!(sum.data_points[0].value, Some(Number::AsInt(3)));
        assert_eq!(sum.data_points[0].attributes[0].key, "reason");
        let connections = find(&groups, "kaos-probe", "kaos_probe.connections");
        assert!(matches!(connections, Data::Gauge(_)));
    }
}
