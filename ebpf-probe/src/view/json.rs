//! One JSON object per span. The format is documented in docs/json.md and kept stable: fields
//! may be added, none renamed or removed.

use std::collections::BTreeMap;
use std::io;

use probe_core::span::{Attribute, Span, SpanKind, Value};
use serde::Serialize;
use serde_json::Value as Json;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

use super::escape::is_dangerous;
use super::format::{hex, rfc3339};
use crate::export::clock::Clock;
use crate::export::resource::Resource;

/// The object of a span, in one line.
pub(crate) fn object(span: &Span, resource: &Resource, clock: Clock) -> String {
    let object = Object {
        trace_id: hex(&span.trace.0),
        span_id: hex(&span.id.0),
        parent_span_id: span.parent.map(|id| hex(&id.0)),
        kind: match span.kind {
            SpanKind::Client => "CLIENT",
            SpanKind::Server => "SERVER",
            SpanKind::Internal => "INTERNAL",
        },
        name: &span.name,
        start_time: rfc3339(clock.unix(span.start)),
        end_time: rfc3339(clock.unix(span.end)),
        status: Status {
            code: if span.error.is_some() {
                "ERROR"
            } else {
                "UNSET"
            },
            message: span.error.as_deref().unwrap_or(""),
        },
        resource: resource
            .attributes
            .iter()
            .map(|(name, it)| (name.as_str(), value(it)))
            .collect(),
        attributes: map(&span.attributes),
        events: events(span, clock),
        links: span
            .links
            .iter()
            .map(|link| Link {
                trace_id: hex(&link.trace.0),
                span_id: hex(&link.span.0),
            })
            .collect(),
    };
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, Safe(CompactFormatter));
    object
        .serialize(&mut serializer)
        .expect("all keys are strings and a vector takes all bytes");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

#[derive(Serialize)]
struct Object<'a> {
    trace_id: String,
    span_id: String,
    parent_span_id: Option<String>,
    kind: &'static str,
    name: &'a str,
    start_time: String,
    end_time: String,
    status: Status<'a>,
    resource: BTreeMap<&'a str, Json>,
    attributes: BTreeMap<&'a str, Json>,
    events: Vec<Event<'a>>,
    links: Vec<Link>,
}

#[derive(Serialize)]
struct Status<'a> {
    code: &'static str,
    message: &'a str,
}

#[derive(Serialize)]
struct Event<'a> {
    name: &'a str,
    time: String,
    attributes: BTreeMap<&'a str, Json>,
}

#[derive(Serialize)]
struct Link {
    trace_id: String,
    span_id: String,
}

fn events(span: &Span, clock: Clock) -> Vec<Event<'_>> {
    let events = span.events.iter().map(|event| Event {
        name: event.name,
        time: rfc3339(clock.unix(event.at)),
        attributes: map(&event.attributes),
    });
    events.collect()
}

fn map(attributes: &[Attribute]) -> BTreeMap<&str, Json> {
    let attributes = attributes.iter();
    attributes.map(|it| (it.name, value(&it.value))).collect()
}

/// A float that JSON has no word for becomes `null`.
fn value(value: &Value) -> Json {
    match value {
        Value::Static(text) => Json::from(*text),
        Value::String(text) => Json::from(text.as_str()),
        Value::Int(number) => Json::from(*number),
        Value::Float(number) => Json::from(*number),
        Value::Bool(flag) => Json::from(*flag),
        Value::Strings(texts) => Json::from(texts.clone()),
    }
}

/// Escapes, beside what JSON must escape, what a terminal would act upon: the output is as safe
/// to look at as that of the other views, and means the same.
struct Safe(CompactFormatter);

impl Formatter for Safe {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        for part in fragment.split_inclusive(is_dangerous) {
            let last = part.chars().next_back().filter(|it| is_dangerous(*it));
            let safe = part.len() - last.map_or(0, char::len_utf8);
            self.0.write_string_fragment(writer, &part[..safe])?;
            if let Some(character) = last {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::testing::{agent, chat, failed_tool};

    const CLOCK: Clock = Clock::with_offset(1_700_000_000_000_000_000);

    #[test]
    fn the_object_is_the_documented_one() {
        let expected = include_str!("json/golden.json");
        let spans = [chat(), failed_tool()];
        let lines = spans.map(|span| object(&span, &agent(), CLOCK) + "\n");
        assert_eq!(lines.concat(), expected);
    }

    #[test]
    fn a_float_without_a_word_is_null() {
        assert_eq!(value(&Value::Float(f64::NAN)), Json::Null);
    }

    #[test]
    fn what_a_terminal_acts_upon_is_escaped_and_means_the_same() {
        let mut span = chat();
        span.name = "a\u{9b}b\x1b\u{202e}\u{e0001}\"é".to_owned();
        let line = object(&span, &agent(), CLOCK);
        assert!(!line.chars().any(is_dangerous), "{line}");
        let parsed: Json = serde_json::from_str(&line).unwrap();
        assert_eq!(parsed["name"], span.name);
    }
}
