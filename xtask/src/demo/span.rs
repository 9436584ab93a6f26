//! The spans that `kaos-probe watch --json` prints, one object a line (docs/json.md).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::traced::Caller;

/// One span, as far as the demo shows it.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    /// Its trace.
    trace: String,
    /// Its id.
    id: String,
    /// Its parent's id, if it has one.
    parent: Option<String>,
    /// `client`, `server` or `internal`.
    pub(crate) kind: String,
    /// Its name.
    pub(crate) name: String,
    /// Since the epoch.
    pub(crate) start: Duration,
    /// Since the epoch.
    pub(crate) end: Duration,
    /// The status is ERROR.
    failed: bool,
    resource: Value,
    attributes: Value,
}

impl Span {
    /// Reads one line.
    pub(crate) fn parse(line: &str) -> Result<Self> {
        let span: Value = serde_json::from_str(line)?;
        let text = |name: &str| {
            let value = span[name].as_str().map(str::to_owned);
            value.with_context(|| format!("a span without {name}"))
        };
        let time = |name: &str| {
            let value = span[name].as_str().and_then(rfc3339);
            value.with_context(|| format!("a span without {name}"))
        };
        Ok(Self {
            trace: text("trace_id")?,
            id: text("span_id")?,
            parent: span["parent_span_id"].as_str().map(str::to_owned),
            kind: text("kind")?.to_ascii_lowercase(),
            name: text("name")?,
            start: time("start_time")?,
            end: time("end_time")?,
            failed: span["status"]["code"] == "ERROR",
            resource: span["resource"].clone(),
            attributes: span["attributes"].clone(),
        })
    }

    /// Whether `other` is its parent.
    pub(crate) fn is_child_of(&self, other: &Self) -> bool {
        self.parent.as_ref() == Some(&other.id) && self.trace == other.trace
    }

    /// Whether its parent is the span of whoever asked from outside.
    pub(crate) fn is_called_by(&self, caller: &Caller) -> bool {
        self.parent.as_ref() == Some(&caller.span) && self.trace == caller.trace
    }

    /// How long it took.
    pub(crate) fn duration(&self) -> Duration {
        self.end.saturating_sub(self.start)
    }

    /// A text attribute.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.attributes[name].as_str()
    }

    /// What went wrong, if anything did. A server's span whose client is to blame has an
    /// `error.type` without the status ERROR: the conventions want it so.
    pub(crate) fn error(&self) -> Option<&str> {
        let unknown = self.failed.then_some("unknown");
        self.text("error.type").or(unknown)
    }

    /// A numeric attribute.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        self.attributes[name].as_f64()
    }

    /// An attribute that counts something.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.attributes[name].as_u64().unwrap_or(0)
    }

    /// Whether a boolean attribute is true.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.attributes[name].as_bool() == Some(true)
    }

    /// Whose span it is.
    pub(crate) fn service(&self) -> &str {
        self.resource["service.name"].as_str().unwrap_or("?")
    }

    /// The process whose span it is.
    pub(crate) fn pid(&self) -> Option<u64> {
        self.resource["process.pid"].as_u64()
    }

    /// Whether it began between two moments.
    pub(crate) fn began_within(&self, from: SystemTime, to: SystemTime) -> bool {
        let since_epoch = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
        // The probe's clock offset to the epoch is known to a millisecond or so.
        let slack = Duration::from_millis(5);
        self.start + slack >= since_epoch(from) && self.start <= since_epoch(to) + slack
    }
}

/// `2026-11-21T12:45:17.123456789Z`.
fn rfc3339(text: &str) -> Option<Duration> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-').map(str::parse::<u64>);
    let mut part = || date.next()?.ok();
    let (year, month, day) = (part()?, part()?, part()?);
    let (hms, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut hms = hms.split(':').map(str::parse::<u64>);
    let mut part = || hms.next()?.ok();
    let (hour, minute, second) = (part()?, part()?, part()?);
    let in_range = (1970..10_000).contains(&year) && (1..=12).contains(&month);
    if !in_range || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let nanos: u64 = if fraction.is_empty() {
        0
    } else {
        format!("{:0<9.9}", fraction).parse().ok()?
    };
    let seconds = days_since_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(Duration::from_secs(seconds) + Duration::from_nanos(nanos))
}

/// Days since 1970-01-01 in the Gregorian calendar, for years from 1970.
fn days_since_epoch(year: u64, month: u64, day: u64) -> u64 {
    // Counted from March, so that the leap day is a year's last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let before_year = year * 365 + year / 4 - year / 100 + year / 400;
    before_year + (153 * month + 2) / 5 + (day - 1) - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let want = Some(Duration::new(1_795_265_117, 123_000_000));
        assert_eq!(rfc3339("2026-11-21T12:45:17.123Z"), want);
        assert_eq!(rfc3339("2026-11-21T12:45:17.123000000Z"), want);
        assert_eq!(
            rfc3339("2024-02-29T00:00:01Z"),
            Some(Duration::from_secs(1_709_164_801))
        );
        assert_eq!(rfc3339("1970-01-01T00:00:00Z"), Some(Duration::ZERO));
        assert_eq!(rfc3339("2026-13-21T12:45:17Z"), None);
        assert_eq!(rfc3339("yesterday"), None);
    }

    #[test]
    fn a_span_is_read() {
        let span = Span::parse(
            r#"{"trace_id":"aa","span_id":"bb","parent_span_id":null,"kind":"CLIENT",
            "name":"chat tiny","start_time":"1970-01-01T00:00:01.000000000Z",
            "end_time":"1970-01-01T00:00:01.500000000Z","status":{"code":"ERROR","message":""},
            "resource":{"service.name":"uvicorn","process.pid":7},
            "attributes":{"gen_ai.usage.input_tokens":7,"telemetry.kaos.counts":true}}"#,
        )
        .expect("reads");
        assert_eq!(span.parent, None);
        assert_eq!(span.kind, "client");
        assert!(span.is("telemetry.kaos.counts"));
        assert_eq!(span.error(), Some("unknown"));
        assert_eq!(span.duration(), Duration::from_millis(500));
        assert_eq!(span.count("gen_ai.usage.input_tokens"), 7);
        assert_eq!((span.service(), span.pid()), ("uvicorn", Some(7)));
    }
}
