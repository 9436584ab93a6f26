//! One line of `kaos-probe watch --json`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::Value;

/// A span as the probe printed it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeenSpan {
    /// The trace.
    pub trace_id: String,
    /// The span.
    pub span_id: String,
    /// Its parent; empty for a root.
    pub parent_span_id: String,
    /// Which side of the call it is of.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Nanoseconds since the epoch.
    pub start: u64,
    /// Nanoseconds since the epoch.
    pub end: u64,
    /// The status is ERROR.
    pub failed: bool,
    /// Resource attributes.
    pub resource: BTreeMap<String, Value>,
    /// Attributes.
    pub attributes: BTreeMap<String, Value>,
    /// Events.
    pub events: Vec<SeenEvent>,
    /// When its line was read: nanoseconds since the epoch.
    pub arrived: u64,
}

/// An event of a span, its time aside.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct SeenEvent {
    /// Its name.
    pub name: String,
    /// Its attributes.
    #[serde(default)]
    pub attributes: BTreeMap<String, Value>,
}

/// Span kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `CLIENT`
    Client,
    /// `SERVER`
    Server,
    /// Anything else.
    #[default]
    Other,
}

#[derive(Deserialize)]
struct Line {
    trace_id: String,
    span_id: String,
    #[serde(default)]
    parent_span_id: Option<String>,
    kind: String,
    name: String,
    start_time: String,
    end_time: String,
    #[serde(default)]
    status: Value,
    #[serde(default)]
    resource: BTreeMap<String, Value>,
    #[serde(default)]
    attributes: BTreeMap<String, Value>,
    #[serde(default)]
    events: Vec<SeenEvent>,
}

impl SeenSpan {
    /// Reads a line.
    pub fn parse(line: &str, arrived: u64) -> Result<Self> {
        let line: Line =
            serde_json::from_str(line).context("a span's line is not as documented")?;
        let code = line.status["code"].as_str().unwrap_or_default();
        let kind = line.kind.to_ascii_lowercase();
        Ok(Self {
            kind: match kind.trim_start_matches("span_kind_") {
                "client" => Kind::Client,
                "server" => Kind::Server,
                _ => Kind::Other,
            },
            trace_id: line.trace_id,
            span_id: line.span_id,
            parent_span_id: line.parent_span_id.unwrap_or_default(),
            name: line.name,
            start: epoch_nanos(&line.start_time)?,
            end: epoch_nanos(&line.end_time)?,
            failed: code.to_ascii_lowercase().ends_with("error"),
            resource: line.resource,
            attributes: line.attributes,
            events: line.events,
            arrived,
        })
    }

    /// A string attribute.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).and_then(Value::as_str)
    }

    /// `process.pid` of its resource.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        let pid = self.resource.get("process.pid")?.as_u64()?;
        u32::try_from(pid).ok()
    }

    /// A call of a tool.
    #[must_use]
    pub fn is_tool(&self) -> bool {
        self.attributes.contains_key("gen_ai.tool.name")
    }

    /// What tells calls apart: the model that was asked for, the tool, or the agent's context.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        [
            "gen_ai.request.model",
            "gen_ai.tool.name",
            "gen_ai.conversation.id",
        ]
        .into_iter()
        .find_map(|name| self.text(name))
    }
}

/// An RFC 3339 time in UTC as nanoseconds since the epoch.
pub fn epoch_nanos(text: &str) -> Result<u64> {
    let bad = || format!("{text:?} is no RFC 3339 time in UTC");
    let body = text
        .strip_suffix('Z')
        .or_else(|| text.strip_suffix("+00:00"));
    let (date, time) = body
        .and_then(|body| body.split_once('T'))
        .with_context(bad)?;
    let numbers = |text: &str, by: char| -> Result<Vec<u64>> {
        text.split(by)
            .map(|n| n.parse().with_context(bad))
            .collect()
    };
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [year, month, day] = numbers(date, '-')?[..] else {
        bail!(bad())
    };
    let [hour, minute, second] = numbers(time, ':')?[..] else {
        bail!(bad())
    };
    let nanos: u64 = format!("{fraction:0<9}")
        .get(..9)
        .with_context(bad)?
        .parse()?;
    if !(1970..2200).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        bail!(bad());
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Ok(seconds * 1_000_000_000 + nanos)
}

/// Days from 1970-01-01 in the Gregorian calendar, years counted from March.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap = year / 4 - year / 100 + year / 400;
    year * 365 + leap + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_nanosecond() {
        assert_eq!(epoch_nanos("1970-01-01T00:00:00Z").unwrap(), 0);
        assert_eq!(
            epoch_nanos("2000-02-29T12:00:00.5Z").unwrap(),
            951_825_600_500_000_000
        );
        let nanos = epoch_nanos("2026-11-21T13:06:01.123456789Z").unwrap();
        assert_eq!(nanos, 1_795_266_361_123_456_789);
        for bad in [
            "",
            "2026-11-21",
            "2026-11-21T13:06:01+01:00",
            "2026-13-21T00:00:00Z",
        ] {
            assert!(epoch_nanos(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_line_is_read() {
        let line = r#"{"trace_id":"a","span_id":"b","parent_span_id":"","kind":"CLIENT",
            "name":"chat m","start_time":"1970-01-01T00:00:01Z","end_time":"1970-01-01T00:00:02Z",
            "status":{"code":"ERROR"},"resource":{"process.pid":7},
            "attributes":{"gen_ai.request.model":"m"}}"#;
        let span = SeenSpan::parse(line, 3).unwrap();
        assert_eq!(
            (span.kind, span.pid(), span.key()),
            (Kind::Client, Some(7), Some("m"))
        );
        assert!(span.failed && span.start == 1_000_000_000 && span.end == 2_000_000_000);
        assert!(SeenSpan::parse("{}", 0).is_err());
    }
}
