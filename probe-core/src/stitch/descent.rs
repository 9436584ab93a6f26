//! Whom a context works for, as soon as that is certain: before any answer.
//!
//! asyncio reads each connection in a context of that connection's own. What descends from one
//! works for that connection, and what was copied from it during a request for that request, for
//! HTTP/1 serves one at a time. uvloop reads all connections in one context: that says nothing.

use super::contexts::{Party, birth};
use super::inside::Caller;
use super::requests::{Request, Requests};
use crate::call::ExchangeKey;
use crate::ids::Nanos;

/// The request that the caller works for, where nothing that may yet come can say otherwise.
pub(super) fn by_descent(requests: &Requests, caller: &Caller<'_>) -> Option<ExchangeKey> {
    let contexts = requests.contexts();
    let mut below = Vec::new();
    for context in contexts.line(caller.context.token) {
        let born = birth(context)?;
        if let Some(reader) = contexts.reader(context) {
            let conn = reader.conn?;
            let writers = below.iter().map(|(_, context)| *context).chain([context]);
            let mut writers = writers.filter_map(|context| contexts.writer(context));
            if writers.any(|writer| writer.conn != Some(conn)) {
                return None;
            }
            return current(requests, reader, &below, caller.start);
        }
        below.push((born, context));
    }
    None
}

/// Which of a connection's requests was under way when the first of these contexts was copied
/// that was not copied between two requests, or else when the call was made.
fn current(
    requests: &Requests,
    reader: &Party,
    below: &[(Nanos, u64)],
    start: Nanos,
) -> Option<ExchangeKey> {
    let births = below.iter().rev().map(|(born, _)| *born);
    for at in births.chain([start]) {
        match at_that_time(requests, reader, at) {
            Found::One(key, request) => {
                let certain = is_last(requests, reader, key, start)
                    && answers_none_other(requests, below, key, request);
                return certain.then_some(key);
            }
            Found::Between => {}
            Found::Unknown => return None,
        }
    }
    None
}

enum Found<'a> {
    One(ExchangeKey, &'a Request),
    Between,
    Unknown,
}

fn at_that_time<'a>(requests: &'a Requests, reader: &Party, at: Nanos) -> Found<'a> {
    let known = |key: &ExchangeKey| requests.get(*key).map(|request| (*key, request));
    let mut newest_first = reader.requests.iter().rev().filter_map(known);
    let Some((key, request)) = newest_first.find(|(_, request)| request.start <= at) else {
        // Nothing is forgotten before a connection's first request.
        let first = reader.requests.iter().find_map(known);
        return match first {
            Some((key, _)) if key.exchange == 0 => Found::Between,
            _ => Found::Unknown,
        };
    };
    match request.over {
        _ if !request.alone => Found::Unknown,
        _ if request.gone().is_some_and(|gone| gone < at) => Found::Between,
        Some(_) if !request.is_past() => Found::Unknown,
        _ if request.may_be_over(at) => Found::Unknown,
        _ => Found::One(key, request),
    }
}

/// A task may outlive its request, or serve the connection's next one too: who answers that
/// tells.
fn is_last(requests: &Requests, reader: &Party, key: ExchangeKey, start: Nanos) -> bool {
    let later = reader
        .requests
        .iter()
        .filter(|k| k.exchange > key.exchange)
        .filter_map(|k| requests.get(*k));
    later
        .filter(|request| request.start <= start)
        .all(Request::is_settled)
}

/// What was born during the request has answered no other.
fn answers_none_other(
    requests: &Requests,
    below: &[(Nanos, u64)],
    key: ExchangeKey,
    request: &Request,
) -> bool {
    let during = below.iter().filter(|(born, _)| *born >= request.start);
    let mut writers = during.filter_map(|(_, context)| requests.contexts().writer(*context));
    writers.all(|writer| writer.requests.iter().all(|k| *k == key))
}
