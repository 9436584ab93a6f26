//! Do two observers say the same of the same calls? Pure.
//!
//! Each probe makes up its own ids and reads its own clock, so ids are compared by what they
//! point to, and times within a tolerance. All else must be equal.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::fidelity::span::{Kind, SeenSpan};

/// How far two probes' times of one moment may be apart, in nanoseconds.
const APART: u64 = 20_000_000;

/// What a span is of: the call's key, and the side.
type Place<'a> = (&'a str, Kind);

/// In what the exported account differs from the printed one. Either may be the wrong one: each is
/// another probe's.
#[must_use]
pub fn differences(printed: &[SeenSpan], exported: &[SeenSpan]) -> Vec<String> {
    let (printed, exported) = (Account::new(printed), Account::new(exported));
    let mut wrong = Vec::new();
    for (place, spans) in &printed.spans {
        let others = exported.spans.get(place).map_or(&[][..], Vec::as_slice);
        match (&spans[..], others) {
            ([a], [b]) => {
                let found = printed.differences(a, &exported, b);
                wrong.extend(found.into_iter().map(|what| format!("{place:?}: {what}")));
            }
            (spans, others) => wrong.push(format!(
                "{place:?}: {} printed spans, {} exported",
                spans.len(),
                others.len()
            )),
        }
    }
    let strangers = (exported.spans.keys()).filter(|at| !printed.spans.contains_key(*at));
    wrong.extend(strangers.map(|place| format!("{place:?}: only exported")));
    wrong
}

/// One probe's spans.
struct Account<'a> {
    spans: BTreeMap<Place<'a>, Vec<&'a SeenSpan>>,
    /// What its span ids stand for.
    ids: BTreeMap<&'a str, &'a SeenSpan>,
}

/// A parent, without ids that a probe made up.
#[derive(Debug, PartialEq)]
enum Parent<'a> {
    None,
    /// A span of the same account, and whether it is of the same trace.
    Span(Place<'a>, bool),
    /// It came on the wire, with the trace.
    Wire(&'a str, &'a str),
}

impl<'a> Account<'a> {
    fn new(spans: &'a [SeenSpan]) -> Self {
        let mut account = Self {
            spans: BTreeMap::new(),
            ids: BTreeMap::new(),
        };
        for span in spans {
            account.spans.entry(place(span)).or_default().push(span);
            account.ids.insert(&span.span_id, span);
        }
        account
    }

    fn parent(&self, span: &'a SeenSpan) -> Parent<'a> {
        if span.parent_span_id.is_empty() {
            return Parent::None;
        }
        match self.ids.get(span.parent_span_id.as_str()) {
            Some(parent) => Parent::Span(place(parent), parent.trace_id == span.trace_id),
            None => Parent::Wire(&span.parent_span_id, &span.trace_id),
        }
    }

    fn differences(&self, a: &'a SeenSpan, other: &Self, b: &SeenSpan) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut differ = |what: &str, a: String, b: String| {
            if a != b {
                wrong.push(format!("{what}: printed {a}, exported {b}"));
            }
        };
        differ("name", a.name.clone(), b.name.clone());
        differ("failed", a.failed.to_string(), b.failed.to_string());
        differ(
            "events",
            format!("{:?}", a.events),
            format!("{:?}", b.events),
        );
        let parents = (self.parent(a), other.parent(b));
        differ(
            "parent",
            format!("{:?}", parents.0),
            format!("{:?}", parents.1),
        );
        wrong.extend(maps("resource", &a.resource, &b.resource));
        wrong.extend(maps("attribute", &a.attributes, &b.attributes));
        for (what, a, b) in [("start", a.start, b.start), ("end", a.end, b.end)] {
            if a.abs_diff(b) > APART {
                wrong.push(format!("{what}: {} ns apart", a.abs_diff(b)));
            }
        }
        wrong
    }
}

fn place(span: &SeenSpan) -> Place<'_> {
    (span.key().unwrap_or(&span.name), span.kind)
}

fn maps(what: &str, a: &BTreeMap<String, Value>, b: &BTreeMap<String, Value>) -> Vec<String> {
    let names = a
        .keys()
        .chain(b.keys().filter(|name| !a.contains_key(*name)));
    let differ = names.filter(|name| !equal(name, a.get(*name), b.get(*name)));
    let show = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
    differ
        .map(|name| {
            format!(
                "{what} {name}: printed {}, exported {}",
                show(a.get(name)),
                show(b.get(name))
            )
        })
        .collect()
}

/// Attributes that are times, in seconds, may differ a little.
fn equal(name: &str, a: Option<&Value>, b: Option<&Value>) -> bool {
    let seconds = |value: Option<&Value>| value.filter(|_| name.contains("time_"))?.as_f64();
    match (seconds(a), seconds(b)) {
        #[expect(clippy::cast_precision_loss, reason = "a small constant")]
        (Some(a), Some(b)) => (a - b).abs() * 1e9 <= APART as f64,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pair(salt: &str) -> [SeenSpan; 2] {
        let span = |kind, id: &str, parent: &str| SeenSpan {
            kind,
            trace_id: format!("t{salt}"),
            span_id: id.to_owned(),
            parent_span_id: parent.to_owned(),
            name: "chat m".to_owned(),
            attributes: [
                ("gen_ai.request.model".to_owned(), json!("m")),
                ("gen_ai.response.time_to_first_chunk".to_owned(), json!(0.1)),
            ]
            .into(),
            ..SeenSpan::default()
        };
        let (client, server) = (format!("c{salt}"), format!("s{salt}"));
        [
            span(Kind::Client, &client, "wire"),
            span(Kind::Server, &server, &client),
        ]
    }

    #[test]
    fn made_up_ids_and_small_times_do_not_matter() {
        let one = pair("1").map(|mut span| {
            span.trace_id = "w".to_owned();
            span
        });
        let mut other = one.clone();
        other[0].span_id = "c2".to_owned();
        other[1].parent_span_id = "c2".to_owned();
        other[1].start += APART;
        let first_chunk = json!(0.101);
        let name = "gen_ai.response.time_to_first_chunk".to_owned();
        other[1].attributes.insert(name, first_chunk);
        assert_eq!(differences(&one, &other), Vec::<String>::new());
    }

    #[test]
    fn every_difference_is_found() {
        let one = pair("1");
        let changes: [fn(&mut Vec<SeenSpan>); 9] = [
            |spans| spans[0].name = "chat n".to_owned(),
            |spans| spans[0].kind = Kind::Other,
            |spans| spans[0].parent_span_id.clear(),
            |spans| spans[1].parent_span_id = "x".to_owned(),
            |spans| spans[1].trace_id = "x".to_owned(),
            |spans| spans[0].end += APART + 1,
            |spans| drop(spans[1].resource.insert("a".to_owned(), json!(1))),
            |spans| drop(spans[1].attributes.insert("a".to_owned(), json!(1))),
            |spans| drop(spans.pop()),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut other = one.to_vec();
            change(&mut other);
            assert!(!differences(&one, &other).is_empty(), "{number}");
            assert!(!differences(&other, &one).is_empty(), "{number}");
        }
    }
}
