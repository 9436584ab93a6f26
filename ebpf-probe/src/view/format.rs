//! Durations, times, token counts and names as the views show them.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use probe_core::span::{Span, SpanKind, Value};

use super::escape::escape;
use crate::export::resource::Resource;

/// Seconds, three digits or so: `250µs`, `25ms`, `1.50s`, `2m05s`.
pub(super) fn duration(seconds: f64) -> String {
    if seconds < 0.001 {
        format!("{:.0}µs", seconds * 1e6)
    } else if seconds < 1.0 {
        format!("{:.0}ms", seconds * 1e3)
    } else if seconds < 60.0 {
        format!("{seconds:.2}s")
    } else {
        let whole = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let whole = whole.as_secs();
        format!("{}m{:02}s", whole / 60, whole % 60)
    }
}

/// How long a span took, seconds.
pub(super) fn seconds(span: &Span) -> f64 {
    span.end.saturating_sub(span.start) as f64 / 1e9
}

/// The time of day in a zone, with milliseconds.
pub(super) fn time_of_day(unix_nanos: u64, zone: &TimeZone) -> String {
    let time = Timestamp::from_nanosecond(unix_nanos.into()).unwrap_or_default();
    let time = time.to_zoned(zone.clone());
    time.strftime("%H:%M:%S%.3f").to_string()
}

/// RFC 3339 in UTC with nine digits of a second.
pub(super) fn rfc3339(unix_nanos: u64) -> String {
    let time = Timestamp::from_nanosecond(unix_nanos.into()).unwrap_or_default();
    format!("{time:.9}")
}

/// `input/output`, with a dash for what was not reported; empty where neither was.
pub(super) fn tokens(input: Option<u64>, output: Option<u64>) -> String {
    let count = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |it| it.to_string());
    match (input, output) {
        (None, None) => String::new(),
        (input, output) => format!("{}/{}", count(input), count(output)),
    }
}

/// Who it was: `agent.py/42`, in a container `agent.py@c0ffee012345`.
pub(super) fn process(span: &Span, resource: &Resource) -> String {
    let name = resource.text("service.name").unwrap_or("?");
    let name = escape(name);
    match resource.text("container.id") {
        Some(id) => {
            let short: String = escape(id).chars().take(12).collect();
            format!("{name}@{short}")
        }
        None => format!("{name}/{}", span.process.tgid),
    }
}

/// Which way the call goes, seen from the process.
pub(super) const fn direction(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Client => "→",
        SpanKind::Server => "←",
        SpanKind::Internal => "·",
    }
}

/// The error, or else the HTTP status.
pub(super) fn status(span: &Span) -> String {
    let summary = &span.summary;
    match (&summary.error, summary.status) {
        (Some(error), _) => escape(error).into_owned(),
        (None, _) if span.error.is_some() => "error".to_owned(),
        (None, Some(status)) => status.to_string(),
        (None, None) => "ok".to_owned(),
    }
}

/// The model, tool or agent.
pub(super) fn target(span: &Span) -> Cow<'_, str> {
    span.summary
        .target
        .as_deref()
        .map_or(Cow::Borrowed(""), escape)
}

/// The first four bytes of an id, as hexadecimal digits.
pub(super) fn short_id(id: &[u8]) -> String {
    hex(id.get(..4).unwrap_or(id))
}

/// Hexadecimal digits, lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
    digits.collect()
}

/// The value of a span's string attribute.
pub(super) fn text<'a>(span: &'a Span, name: &str) -> Option<&'a str> {
    let mut attributes = span.attributes.iter();
    match &attributes.find(|it| it.name == name)?.value {
        Value::Static(text) => Some(text),
        Value::String(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::testing::{agent, chat, failed_tool};

    #[test]
    fn durations_have_about_three_digits() {
        let cases = [
            (0.000_25, "250µs"),
            (0.025, "25ms"),
            (1.5, "1.50s"),
            (59.99, "59.99s"),
            (125.4, "2m05s"),
        ];
        for (seconds, shown) in cases {
            assert_eq!(duration(seconds), shown);
        }
    }

    #[test]
    fn times_keep_their_digits() {
        let time = 1_700_000_000_120_000_000;
        assert_eq!(rfc3339(time), "2023-11-14T22:13:20.120000000Z");
        assert_eq!(time_of_day(time, &TimeZone::UTC), "22:13:20.120");
        let ahead = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(time_of_day(time, &ahead), "00:13:20.120");
        assert_eq!(rfc3339(u64::MAX), "2554-07-21T23:34:33.709551615Z");
    }

    #[test]
    fn unreported_tokens_are_dashes() {
        assert_eq!(tokens(None, None), "");
        assert_eq!(tokens(Some(3), None), "3/-");
        assert_eq!(tokens(Some(3), Some(0)), "3/0");
    }

    #[test]
    fn a_process_is_named_by_container_or_number() {
        assert_eq!(process(&chat(), &agent()), "agent.py@c0ffee012345");
        let unknown = Resource::unknown(chat().process);
        assert_eq!(process(&chat(), &unknown), "unknown_service/42");
    }

    #[test]
    fn an_error_hides_the_status() {
        assert_eq!(status(&chat()), "200");
        assert_eq!(status(&failed_tool()), "-32602");
    }
}
