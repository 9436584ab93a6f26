//! Which of the requests that a process serves a call of that process was made for.
//!
//! A wrong parent is worse than none, so each rule says what makes it certain.
//! - **Thread.** Who reads a request and waits for its bytes (a blocking socket) runs no event
//!   loop, and works for that request until its answer is written by the same thread.
//! - **Context.** The runtime's own context, which programs carry along from task to task. The
//!   context that makes the call is the one that writes the answer, or both descend from one
//!   that no other connection has. It may be certain from how the request was read (`descent`);
//!   else it is settled when every answer that could tell has begun. What outlives its request
//!   may be a worker for all: only while nothing else is served it is certain that it is not.
//! - Where neither is to be had, the one request under way, or the one that shares an id with the
//!   call on the wire: inferred.

use super::contexts::{Party, birth, starter};
use super::descent::by_descent;
use super::requests::{Request, Requests};
use crate::call::ExchangeKey;
use crate::ids::{ConnId, Context, Nanos, ProcessId};
use crate::trace_context::TraceContext;

/// How long after its request's end a call is likely one of that request's, though the process
/// serves others too.
const AFTERMATH: Nanos = 5_000_000_000;
/// A request that has no answer for so long is not waited for.
const STUCK: Nanos = 300_000_000_000;
/// Nor is one taken for under way that has none for so long: its end was lost.
const FORGOTTEN: Nanos = 3_600_000_000_000;

/// A call that the process makes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller<'a> {
    pub(super) process: ProcessId,
    /// What wrote the request's first byte.
    pub(super) context: Context,
    /// When it did.
    pub(super) start: Nanos,
    /// The trace context on the request.
    pub(super) trace: Option<&'a TraceContext>,
    /// The session that the request names.
    pub(super) session: Option<&'a str>,
    /// The other end of the call's connection: a server may read before the write returns, and
    /// nobody is asked on behalf of the question itself.
    pub(super) other_end: Option<ConnId>,
    /// How long it has waited.
    pub(super) patience: Patience,
}

/// Which answers a call waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Patience {
    /// All that could tell.
    #[default]
    Whole,
    /// Those to requests that have come to their end.
    Short,
    /// None.
    Over,
}

/// What is known of a call's parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The process did it for this request.
    Exact(ExchangeKey),
    /// Nothing else comes into question, as far as is known.
    Inferred(ExchangeKey),
    /// Nobody can tell.
    None(Why),
    /// That depends on what becomes of this request.
    Wait(ExchangeKey),
}

/// Why a call has no parent inside its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The process served no request then.
    Idle,
    /// It served several, and nothing tells which.
    Several,
    /// The call's context worked for none of them.
    Other,
    /// The call's context worked for several of them.
    Shared,
    /// Too many calls waited to be told.
    Crowded,
}

type Flight<'a> = [(ExchangeKey, &'a Request)];

/// Finds the request that a call was made for.
pub(super) fn judge(requests: &Requests, caller: &Caller<'_>) -> Verdict {
    let mut flight = requests.in_flight(caller.process, caller.start);
    flight.retain(|(key, _)| Some(key.conn) != caller.other_end);
    let by_runtime = || {
        by_descent(requests, caller)
            .map(Verdict::Exact)
            .or_else(|| by_context(requests, &flight, caller))
            .map(|verdict| outlived(requests, &flight, caller, verdict))
    };
    by_thread(requests, &flight, caller)
        .or_else(|| by_starter(requests, &flight, caller))
        .or_else(by_runtime)
        .unwrap_or_else(|| {
            if requests.knows(caller.process, caller.start) {
                infer(&flight, caller)
            } else {
                Verdict::None(Why::Crowded)
            }
        })
}

/// Who answers is known when the answer begins; until then it is known of processes that were
/// seen to answer where they read. A thread that waits for several requests at once works for
/// none of them alone; one whose end may have gone by unseen is no longer its own for certain.
fn by_thread(requests: &Requests, flight: &Flight<'_>, caller: &Caller<'_>) -> Option<Verdict> {
    let thread = caller.context.tid;
    let at = caller.start;
    let mut own = flight.iter().filter(|(_, r)| {
        let is_its = r.context.blocking && r.context.tid == thread;
        is_its && !r.may_be_over(at) && !r.was_upgraded(at)
    });
    let (key, request) = own.next()?;
    if own.next().is_some() {
        return Some(Verdict::None(Why::Shared));
    }
    Some(match request.answered {
        Some((by, _)) if by.tid != thread => Verdict::None(Why::Other),
        Some(_) => Verdict::Exact(*key),
        None if request.over.is_some() || requests.keeps_threads(caller.process) => {
            Verdict::Exact(*key)
        }
        None if !tells(request, caller) => Verdict::Inferred(*key),
        None => Verdict::Wait(*key),
    })
}

/// Who was started by a context that serves a request works for that request; but when it was
/// started nobody knows, and programs have workers that they start with the first request.
fn by_starter(requests: &Requests, flight: &Flight<'_>, caller: &Caller<'_>) -> Option<Verdict> {
    let reader = requests.contexts().reader(starter(caller.context.token)?)?;
    let conn = reader.conn?;
    let mut served = flight.iter().filter(|(key, _)| key.conn == conn);
    Some(match (served.next(), served.next()) {
        (Some((key, _)), None) => Verdict::Inferred(*key),
        _ => Verdict::None(Why::Other),
    })
}

/// The request's answer is still to come, and can be waited for.
fn tells(request: &Request, caller: &Caller<'_>) -> bool {
    let comes = match caller.patience {
        Patience::Whole => true,
        Patience::Short => request.read,
        Patience::Over => false,
    };
    comes && !request.is_settled() && caller.start.saturating_sub(request.start) < STUCK
}

/// The last request whose answer can be waited for. The one that came last is answered last, as a
/// rule, so a call that waits for all of them asks seldom.
fn last_that_tells(flight: &Flight<'_>, caller: &Caller<'_>) -> Option<ExchangeKey> {
    let telling = flight.iter().filter(|(_, request)| tells(request, caller));
    let last = telling.max_by_key(|(key, request)| (request.start, *key));
    last.map(|(key, _)| *key)
}

/// A task that outlives the request that made it may work for whoever comes. While others were
/// served too, the call may be theirs, unless its task has written that answer and no other.
fn outlived(
    requests: &Requests,
    flight: &Flight<'_>,
    caller: &Caller<'_>,
    verdict: Verdict,
) -> Verdict {
    let (Verdict::Exact(key) | Verdict::Inferred(key)) = verdict else {
        return verdict;
    };
    let gone = requests.get(key).and_then(Request::gone);
    let Some(gone) = gone.filter(|gone| *gone < caller.start) else {
        return verdict;
    };
    let known = requests.knows(caller.process, caller.start);
    if known && flight.iter().all(|(other, _)| *other == key) {
        return verdict;
    }
    let writer = requests.contexts().writer(caller.context.token);
    if writer.is_some_and(|writer| writer.requests == [key]) {
        return last_that_tells(flight, caller).map_or(verdict, Verdict::Wait);
    }
    if caller.start - gone <= AFTERMATH {
        Verdict::Inferred(key)
    } else {
        Verdict::None(Why::Other)
    }
}

fn by_context(requests: &Requests, flight: &Flight<'_>, caller: &Caller<'_>) -> Option<Verdict> {
    let own = caller.context.token;
    if own == 0 {
        return None;
    }
    let open: Vec<_> = flight.iter().filter(|(_, r)| !r.is_settled()).collect();
    let wait = last_that_tells(flight, caller).map(Verdict::Wait);
    let mut below = caller.start;
    for context in requests.contexts().line(own) {
        if let Some(writer) = requests.contexts().writer(context) {
            let claims = claims(requests, context, writer, below);
            // Whose task writes the answer works for it until it is over, whatever other
            // connections do.
            let alone = |key| {
                let gone = requests.get(key).and_then(Request::gone);
                context == own
                    && gone.is_none_or(|gone| gone >= caller.start)
                    && open.iter().all(|(key, _)| Some(key.conn) != writer.conn)
            };
            return Some(match claims {
                Claims::One(key, born) if open.is_empty() || born && alone(key) => {
                    Verdict::Exact(key)
                }
                _ if wait.is_some() => wait?,
                Claims::One(key, _) => Verdict::Inferred(key),
                Claims::Shared => Verdict::None(Why::Shared),
                Claims::None => Verdict::None(Why::Other),
            });
        }
        below = birth(context).unwrap_or(below);
    }
    let has_context = |r: &Request| r.answered.is_some_and(|(by, _)| by.token != 0);
    wait.or_else(|| {
        let others = flight.iter().any(|(_, request)| has_context(request));
        others.then_some(Verdict::None(Why::Other))
    })
}

enum Claims {
    /// This request; true when the context was born for it.
    One(ExchangeKey, bool),
    None,
    Shared,
}

/// Which request a context worked for when what lies `below` it happened: the birth of the next
/// context, or the call itself. One that was born for a request and answered more than that one
/// is a connection's task.
fn claims(requests: &Requests, context: u64, writer: &Party, below: Nanos) -> Claims {
    let (Some(conn), Some(birth)) = (writer.conn, birth(context)) else {
        return Claims::Shared;
    };
    let mut found = Claims::None;
    for key in &writer.requests {
        let Some(request) = requests.get(*key) else {
            continue;
        };
        let own = birth >= request.start && writer.requests.len() == 1;
        let of_connection = request.accepted.is_some_and(|at| birth >= at);
        if own || of_connection && is_current(requests, *key, request, below) {
            if matches!(found, Claims::One(..)) {
                return Claims::Shared;
            }
            debug_assert_eq!(key.conn, conn, "these have one connection");
            found = Claims::One(*key, own);
        }
    }
    found
}

/// Whether the request was the connection's current one: it was read, and the next one was not.
fn is_current(requests: &Requests, key: ExchangeKey, request: &Request, at: Nanos) -> bool {
    let next = requests.get(ExchangeKey {
        exchange: key.exchange + 1,
        ..key
    });
    let ended = request.over.map_or(Nanos::MAX, |(at, _)| at);
    request.start <= at && next.is_none_or(|next| next.start > at && next.start >= ended)
}

fn infer(flight: &Flight<'_>, caller: &Caller<'_>) -> Verdict {
    if flight.is_empty() {
        return Verdict::None(Why::Idle);
    }
    let told = |request: &Request| shares_id(request, caller);
    if let [(key, request)] = flight {
        let forgot = caller.start - request.start > FORGOTTEN && request.answered.is_none();
        return if forgot || request.may_be_over(caller.start) {
            Verdict::None(Why::Several)
        } else {
            Verdict::Inferred(*key)
        };
    }
    let mut those = flight.iter().filter(|(_, request)| told(request));
    match (those.next(), those.next()) {
        (Some((key, _)), None) => Verdict::Inferred(*key),
        _ => Verdict::None(Why::Several),
    }
}

/// Whether the call repeats an id of the request: the caller's trace context, or its session.
fn shares_id(request: &Request, caller: &Caller<'_>) -> bool {
    let trace = |t: &TraceContext| (t.trace, t.parent);
    let same_trace =
        caller.trace.is_some() && caller.trace.map(trace) == request.trace.as_ref().map(trace);
    let same_session =
        caller.session.is_some() && caller.session == request.http.session_id.as_deref();
    same_trace || same_session
}
