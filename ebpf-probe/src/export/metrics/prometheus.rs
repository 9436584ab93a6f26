//! Metrics as `OpenMetrics` text, which Prometheus reads.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::definitions::Definition;
use super::record::Metrics;
use super::series::{Instrument, Label, Series};
use crate::export::resource::Resource;
use crate::export::selfmetrics::{Counters, Reading};

/// The content type of what [`text`] returns (`OpenMetrics` 1.0).
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A label's name and value.
type Pair = (String, String);

/// All metrics as text.
pub(crate) fn text(metrics: &Arc<Metrics>, counters: &Counters) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(All {
        metrics: Arc::clone(metrics),
        counters: counters.clone(),
    }));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct All {
    metrics: Arc<Metrics>,
    counters: Counters,
}

impl Collector for All {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for reading in self.counters.read() {
            own(&mut encoder, &reading)?;
        }
        let state = self.metrics.lock();
        for instrument in &state.instruments {
            let resource = |process| state.resources.get(&process).map(AsRef::as_ref);
            let mut rows: Vec<_> = instrument
                .series
                .iter()
                .map(|(key, series)| (pairs(&key.labels, key.process.and_then(resource)), series))
                .collect();
            rows.sort_by(|left, right| left.0.cmp(&right.0));
            family(&mut encoder, instrument, &rows)?;
        }
        Ok(())
    }
}

fn own(encoder: &mut DescriptorEncoder<'_>, reading: &Reading) -> fmt::Result {
    let kind = if reading.def.monotonic {
        MetricType::Counter
    } else {
        MetricType::Gauge
    };
    let name = underscored(reading.def.name);
    let unit = unit(reading.def.unit);
    let mut family = encoder.encode_descriptor(&name, reading.def.help, unit.as_ref(), kind)?;
    let monotonic = reading.def.monotonic;
    for (label, value) in &reading.values {
        match reading.def.label {
            Some(name) => number(
                &mut family.encode_family(&[(name, label)])?,
                monotonic,
                *value,
            )?,
            None => number(&mut family, monotonic, *value)?,
        }
    }
    Ok(())
}

fn number(encoder: &mut MetricEncoder<'_>, monotonic: bool, value: u64) -> fmt::Result {
    if monotonic {
        encoder.encode_counter::<NoLabelSet, u64, u64>(&value, None)
    } else {
        encoder.encode_gauge(&i64::try_from(value).unwrap_or(i64::MAX))
    }
}

fn family(
    encoder: &mut DescriptorEncoder<'_>,
    instrument: &Instrument,
    rows: &[(Vec<Pair>, &Series)],
) -> fmt::Result {
    let Definition {
        name,
        unit: otel_unit,
        help,
        bounds,
    } = instrument.definition;
    let kind = if bounds.is_empty() {
        MetricType::Counter
    } else {
        MetricType::Histogram
    };
    let (name, unit) = (underscored(name), unit(otel_unit));
    let mut family = encoder.encode_descriptor(&name, help, unit.as_ref(), kind)?;
    for (labels, series) in rows {
        let mut encoder = family.encode_family(labels)?;
        if bounds.is_empty() {
            encoder.encode_counter::<NoLabelSet, f64, u64>(&series.sum, None)?;
        } else {
            let upper = bounds.iter().copied().chain([f64::INFINITY]);
            let buckets: Vec<_> = upper.zip(series.buckets.iter().copied()).collect();
            encoder.encode_histogram::<NoLabelSet>(series.sum, series.count, &buckets, None)?;
        }
    }
    Ok(())
}

/// The labels, with two of the resource: which service, and which of its processes.
fn pairs(labels: &[(&'static str, Label)], resource: Option<&Resource>) -> Vec<Pair> {
    let of_resource = ["service.name", "service.instance.id"].into_iter();
    let of_resource = of_resource.filter_map(|name| {
        let value = resource?.text(name)?;
        Some((underscored(name), value.to_owned()))
    });
    let own = labels.iter().map(|(name, label)| {
        let value = match label {
            Label::Text(text) => text.clone(),
            Label::Int(number) => number.to_string(),
            Label::Bool(flag) => flag.to_string(),
        };
        (underscored(name), value)
    });
    of_resource.chain(own).collect()
}

/// Dots become underscores, as OpenTelemetry's rules for Prometheus have it.
fn underscored(name: &str) -> String {
    name.replace('.', "_")
}

/// Annotations in braces are no units there.
fn unit(unit: &str) -> Option<Unit> {
    match unit {
        "s" => Some(Unit::Seconds),
        "By" => Some(Unit::Bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use probe_core::conventions::Profile;

    use super::*;
    use crate::export::clock::Clock;
    use crate::export::selfmetrics::{CALLS, LOST_BYTES};
    use crate::export::testing::{agent, chat};
    use probe_core::span::Value;

    fn render(profile: Profile, model: &str) -> String {
        let counters = Counters::default();
        counters.cell(&LOST_BYTES).add(5);
        counters.labelled(&CALLS, "chat").add(2);
        let metrics = Arc::new(Metrics::new(profile, &counters));
        let mut span = chat();
        span.attributes[2].value = Value::String(model.to_owned());
        metrics.record(&span, &Arc::new(agent()), Clock::with_offset(0));
        text(&metrics, &counters).unwrap()
    }

    #[test]
    fn counters_and_histograms_are_rendered() {
        let text = render(Profile::V1_41, "gpt-4o");
        for line in [
            "# TYPE kaos_probe_lost_bytes counter",
            "kaos_probe_lost_bytes_total 5",
            "kaos_probe_calls_total{operation=\"chat\"} 2",
            "# TYPE gen_ai_client_operation_duration_seconds histogram",
            "# EOF",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
        let labels = "service_name=\"agent.py\",service_instance_id=\"instance-1\",\
                      gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"openai\",\
                      gen_ai_request_model=\"gpt-4o\",gen_ai_response_model=\"gpt-4o-2024\",\
                      server_address=\"localhost\",server_port=\"8000\"";
        for (bound, count) in [("1.28", 0), ("2.56", 1), ("81.92", 1), ("+Inf", 1)] {
            let line = format!(
                "gen_ai_client_operation_duration_seconds_bucket{{le=\"{bound}\",{labels}}} {count}"
            );
            assert!(text.contains(&line), "{line}\n{text}");
        }
        let sum = format!("gen_ai_client_operation_duration_seconds_sum{{{labels}}} 1.5");
        assert!(text.contains(&sum), "{text}");
    }

    #[test]
    fn counters_of_the_development_profile_end_in_total() {
        let text = render(Profile::GenAiDev, "gpt-4o");
        let name = "gen_ai_client_inference_usage_input_tokens_total{";
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line.contains("gen_ai_token_modality=\"unknown\""));
        assert!(line.ends_with(" 10.0"), "{line}");
    }

    #[test]
    fn a_model_s_name_cannot_break_the_text() {
        let text = render(Profile::V1_41, "a\"} 1\nevil 666\\");
        assert!(!text.lines().any(|line| line.starts_with("evil")), "{text}");
        assert!(text.contains(r#"gen_ai_request_model="a\"} 1\nevil 666\\""#));
    }
}
