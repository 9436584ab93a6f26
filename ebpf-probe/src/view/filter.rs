//! Which spans are shown.

use std::time::Duration;

use clap::Args;
use probe_core::span::Span;

use super::format::seconds;
use crate::export::resource::Resource;
use crate::pattern::glob;

/// The filters of `watch` and `run`. A span is shown if it passes all that are given; of values
/// given several times one is enough.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct Filter {
    /// Show only calls of this process.
    #[arg(long = "pid", value_name = "PID")]
    pub(crate) pids: Vec<u32>,
    /// Show only calls of processes that have this name, or whose executable, script or service
    /// has it (`*` and `?` stand for any text and any character).
    #[arg(long = "comm", value_name = "NAME")]
    pub(crate) comms: Vec<String>,
    /// Show only calls of the container whose id begins so.
    #[arg(long = "container", value_name = "ID")]
    pub(crate) containers: Vec<String>,
    /// Show only calls of this model, tool or agent (`*` and `?` as above).
    #[arg(long = "model", value_name = "NAME")]
    pub(crate) models: Vec<String>,
    /// Show only calls that failed.
    #[arg(long)]
    pub(crate) errors: bool,
    /// Show only calls that took at least so long: 500ms, 1.5s, 2m.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) min_duration: Option<Duration>,
}

impl Filter {
    /// Whether a span is to be shown.
    pub(crate) fn matches(&self, span: &Span, resource: &Resource) -> bool {
        let error = span.error.is_some() || span.summary.error.is_some();
        let long = self
            .min_duration
            .is_none_or(|least| seconds(span) >= least.as_secs_f64());
        (!self.errors || error)
            && long
            && (self.pids.is_empty() || self.pids.contains(&span.process.tgid))
            && self.matches_comm(resource)
            && self.matches_container(resource)
            && self.matches_model(span)
    }

    fn matches_comm(&self, resource: &Resource) -> bool {
        let names = ["process.executable.name", "service.name"];
        self.comms.is_empty()
            || names
                .iter()
                .filter_map(|name| resource.text(name))
                .chain(resource.comm.as_deref())
                .any(|name| self.comms.iter().any(|pattern| glob(pattern, name)))
    }

    fn matches_container(&self, resource: &Resource) -> bool {
        let id = resource.text("container.id").unwrap_or("");
        self.containers.is_empty()
            || self
                .containers
                .iter()
                .any(|start| !start.is_empty() && id.starts_with(start.as_str()))
    }

    fn matches_model(&self, span: &Span) -> bool {
        let names = [&span.summary.target, &span.summary.response_model];
        self.models.is_empty()
            || names
                .into_iter()
                .flatten()
                .any(|name| self.models.iter().any(|pattern| glob(pattern, name)))
    }
}

/// Reads `500ms`, `1.5s`, `2m`, or seconds without a unit.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let number_end = text.find(|it: char| !it.is_ascii_digit() && it != '.');
    let (number, unit) = text.split_at(number_end.unwrap_or(text.len()));
    let scale = match unit.trim() {
        "" | "s" => 1.0,
        "ms" => 1e-3,
        "us" | "µs" => 1e-6,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("`{unit}` is none of us, ms, s, m, h")),
    };
    let number: f64 = number.parse().map_err(|_error| "not a number".to_owned())?;
    Duration::try_from_secs_f64(number * scale).map_err(|_error| "too long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::testing::{agent, chat, failed_tool};

    fn passes(change: impl FnOnce(&mut Filter)) -> [bool; 2] {
        let mut filter = Filter::default();
        change(&mut filter);
        let mut resource = agent();
        resource.comm = Some("uvicorn".to_owned());
        [chat(), failed_tool()].map(|span| filter.matches(&span, &resource))
    }

    fn one(text: &str) -> Vec<String> {
        vec![text.to_owned()]
    }

    #[test]
    fn each_filter_lets_through_what_it_should() {
        assert_eq!(passes(|_| {}), [true, true]);
        assert_eq!(passes(|it| it.errors = true), [false, true]);
        assert_eq!(passes(|it| it.pids = vec![1, 42]), [true, true]);
        assert_eq!(passes(|it| it.pids = vec![4]), [false, false]);
        assert_eq!(passes(|it| it.comms = one("python*")), [true, true]);
        assert_eq!(passes(|it| it.comms = one("agent.py")), [true, true]);
        assert_eq!(passes(|it| it.comms = one("uvicorn")), [true, true]);
        assert_eq!(passes(|it| it.comms = one("python")), [false, false]);
        assert_eq!(passes(|it| it.containers = one("c0ffee")), [true, true]);
        assert_eq!(passes(|it| it.containers = one("0ffee")), [false, false]);
        assert_eq!(passes(|it| it.containers = one("")), [false, false]);
        assert_eq!(passes(|it| it.models = one("gpt-*-2024")), [true, false]);
        assert_eq!(passes(|it| it.models = one("search")), [false, true]);
        let second = Some(Duration::from_secs(1));
        assert_eq!(passes(|it| it.min_duration = second), [true, false]);
    }

    #[test]
    fn wildcards_match_whole_names() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("a?c", "abc"),
            ("*b*d", "abcbd"),
            ("**", "x"),
        ] {
            assert!(glob(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("a", "ab"),
            ("?", ""),
            ("*b", "abc"),
            ("a*b", "ab c"),
        ] {
            assert!(!glob(pattern, text), "{pattern} {text}");
        }
        assert!(!glob(&"*a".repeat(50), &"a".repeat(49)));
    }

    #[test]
    fn durations_are_read() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_mins(2)));
        assert_eq!(parse_duration("3"), Ok(Duration::from_secs(3)));
        for bad in ["", "s", "1x", "1.2.3s", "99999999999999999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
