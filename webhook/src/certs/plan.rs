//! What to do next about certificates, from what is stored, what clients trust, and the time.
//!
//! The Secret holds one generation or two, each with an authority of its own.
//! A renewal puts a new one beside the old; clients are told to trust both; a while after both
//! are seen to be trusted the new one is served; after the overlap the old one goes from the
//! Secret, and after another one its authority from what clients are told to trust.
//! Nothing else is stored: every replica comes to the same end, so there is no leader, and whoever
//! loses a race finds the work done. Replicas and API servers see each thing in their own time:
//! each wait is counted from what a replica itself has seen without a break, never from a date in a
//! certificate.

use std::time::{Duration, SystemTime};

mod since;

pub use since::Since;

use super::issue::BACKDATE;
use super::pair::{Age, Authority, Pair};

/// The times of a rotation.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// How long a certificate is valid; it is renewed after two thirds of that.
    pub life: Duration,
    /// How long the old certificate stays stored once the new one is seen to be trusted, and then
    /// how long its authority stays trusted once it is stored no more: replicas that look late, or
    /// have just begun, may serve it.
    pub overlap: Duration,
    /// How long a new authority must have been seen in the webhook configuration before a
    /// certificate of it is served: API servers learn of it each in its own time.
    pub settle: Duration,
    /// What is added to two thirds of the life, so that replicas do not all renew at once.
    pub jitter: Duration,
}

/// What one generation in the Secret is.
#[derive(Clone, Copy, Debug)]
pub enum Generation<'a> {
    /// There is none.
    Absent,
    /// Something is there that cannot be served.
    Bad,
    /// A certificate that matches its key, names and issuer, of any age.
    Read(&'a Pair),
}

/// What one replica knows.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The generation that was issued last.
    pub newest: Generation<'a>,
    /// The one before it.
    pub previous: Generation<'a>,
    /// What this replica serves, stored or not: a Secret may be deleted or spoilt by hand.
    pub served: Option<&'a Pair>,
    /// Whom the API servers are told to trust: the certificates common to all entries of the
    /// webhook configuration. `None` while that was never seen, or does not exist.
    pub bundle: Option<&'a [Authority]>,
    /// Since when the newest generation is covered by the bundle, as this replica saw it.
    pub covered_since: Option<SystemTime>,
    /// Since when, beside that, it saw no previous one.
    pub alone_since: Option<SystemTime>,
    /// The wall clock.
    pub now: SystemTime,
}

/// What to write into the Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Keep,
    /// A fresh newest generation in place of one that is of no use.
    Replace {
        /// What becomes the previous one.
        previous: Former,
    },
    /// A fresh newest generation; the one that was newest becomes the previous.
    Rotate,
    /// The previous generation goes.
    DropPrevious,
}

/// The previous generation beside one that replaces another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Former {
    /// None: there is none of use.
    Absent,
    /// The stored one stays.
    Stored,
    /// What is served, which was stored and is not any more.
    Served,
}

/// Which generation to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serve {
    /// The newest.
    Newest,
    /// The previous one.
    Previous,
    /// Whatever is served already: nothing better is stored, or nobody trusts it yet.
    Last,
}

/// Authorities that are kept beside those that are wanted.
const LINGERING: usize = 8;

/// What to write into the Secret.
#[must_use]
pub fn step(known: &Known<'_>, times: &Times) -> Step {
    let previous = age(known.previous, known.now);
    let newest = match known.newest {
        Generation::Read(newest) if newest.age(known.now) == Age::Good => newest,
        // Written by a replica whose clock is ahead. As long as there is another one, wait.
        Generation::Read(newest)
            if newest.age(known.now) == Age::NotYet && previous == Some(Age::Good) =>
        {
            return Step::Keep;
        }
        Generation::Absent | Generation::Bad | Generation::Read(_) => {
            let previous = match previous {
                Some(Age::Good) => Former::Stored,
                _ if served_is_good(known) => Former::Served,
                _ => Former::Absent,
            };
            return Step::Replace { previous };
        }
    };
    match known.previous {
        Generation::Absent if known.now >= renewal(newest, times) => Step::Rotate,
        Generation::Absent => Step::Keep,
        // Of no use, so nobody serves it.
        _ if previous != Some(Age::Good) => Step::DropPrevious,
        _ if lasted(known.covered_since, times.overlap, known.now) => Step::DropPrevious,
        _ => Step::Keep,
    }
}

/// Which generation to serve.
#[must_use]
pub fn serve(known: &Known<'_>, times: &Times) -> Serve {
    let newest = match known.newest {
        Generation::Read(pair) if pair.age(known.now) == Age::Good => Some(pair),
        Generation::Absent | Generation::Bad | Generation::Read(_) => None,
    };
    if newest.is_some() && lasted(known.covered_since, times.settle, known.now) {
        return Serve::Newest;
    }
    // Before the previous one: that may have been put back by hand, and trusted only just now.
    if served_is_good(known) {
        return Serve::Last;
    }
    if let Generation::Read(previous) = known.previous
        && is_good(previous, known)
    {
        return Serve::Previous;
    }
    let valid = |pair: &Pair| pair.age(known.now) == Age::Good;
    match newest {
        // Somebody wiped the bundle: what is served is what API servers know that have not heard.
        Some(newest) if !is_good(newest, known) && known.served.is_some_and(valid) => Serve::Last,
        Some(_) => Serve::Newest,
        None => Serve::Last,
    }
}

/// How long a new certificate of somebody else's is trusted before it is served.
const SETTLE: Duration = Duration::from_secs(10);

/// Which generation to serve where somebody else issues, and so has only one: the newest that is
/// good, once API servers have had time to hear of its authority. Until then what is served stays
/// as long as they trust it.
#[must_use]
pub fn serve_only(known: &Known<'_>) -> Serve {
    let trusted = known.bundle.is_some() && served_is_good(known);
    let settled = lasted(known.covered_since, SETTLE, known.now);
    if age(known.newest, known.now) == Some(Age::Good) && (settled || !trusted) {
        Serve::Newest
    } else {
        Serve::Last
    }
}

/// When a certificate is to be renewed.
#[must_use]
pub fn renewal(pair: &Pair, times: &Times) -> SystemTime {
    let issued = pair.not_before() + BACKDATE;
    let life = pair.not_after().duration_since(issued).unwrap_or_default();
    issued + life * 2 / 3 + times.jitter
}

/// Whom the API servers must be told to trust, if one entry, `told`, needs to be written.
///
/// Authorities of ours that are neither stored nor served nor younger than the newest are dropped
/// once the newest has been alone for the overlap: until then another replica may serve what is
/// stored no more. Younger ones were just staged by another replica. Foreign ones go with the next
/// write, but are no reason for one: what somebody else writes in a loop is not to be answered in a
/// loop.
#[must_use]
pub fn bundle(known: &Known<'_>, times: &Times, told: &[Authority]) -> Option<Vec<Authority>> {
    let Generation::Read(newest) = known.newest else {
        return None;
    };
    let mut wanted = newest.authorities().to_vec();
    if let Generation::Read(previous) = known.previous
        && previous.age(known.now) == Age::Good
    {
        wanted.extend_from_slice(previous.authorities());
    }
    if let Some(served) = known.served
        && served.age(known.now) == Age::Good
    {
        let more = served.authorities().iter();
        let more: Vec<_> = more.filter(|it| !wanted.contains(it)).cloned().collect();
        wanted.extend(more);
    }
    let youngest = newest.authorities().iter().map(Authority::not_before).max();
    let overlapping = !lasted(known.alone_since, times.overlap, known.now);
    let lingers =
        |it: &&Authority| it.is_ours() && (overlapping || Some(it.not_before()) > youngest);
    let is_wanted = |it: &Authority| wanted.contains(it);
    let missing = wanted.iter().any(|it| !told.contains(it));
    let dead = |it: &Authority| it.is_ours() && !is_wanted(it) && !lingers(&it);
    if !missing && !told.iter().any(dead) {
        return None;
    }
    let others = told.iter().filter(lingers).filter(|it| !is_wanted(it));
    let mut others: Vec<_> = others.cloned().collect();
    // A Secret that is deleted again and again must not fill the configuration.
    others.sort_by_key(|it| std::cmp::Reverse(it.not_before()));
    others.truncate(LINGERING);
    wanted.extend(others);
    Some(wanted)
}

/// Good by the clock, and trusted. Unknown trust is no reason against what was served until now.
fn is_good(pair: &Pair, known: &Known<'_>) -> bool {
    let trusted = |bundle: &[Authority]| pair.chains_to(bundle, known.now);
    pair.age(known.now) == Age::Good && known.bundle.is_none_or(trusted)
}

fn served_is_good(known: &Known<'_>) -> bool {
    known.served.is_some_and(|pair| is_good(pair, known))
}

/// Whether what began at `since` has held for so long.
fn lasted(since: Option<SystemTime>, time: Duration, now: SystemTime) -> bool {
    since.is_some_and(|since| now >= since + time)
}

fn age(generation: Generation<'_>, now: SystemTime) -> Option<Age> {
    match generation {
        Generation::Absent | Generation::Bad => None,
        Generation::Read(pair) => Some(pair.age(now)),
    }
}

#[cfg(test)]
mod tests;
