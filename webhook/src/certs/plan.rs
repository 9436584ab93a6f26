//! What to do next about certificates, from what is stored, what clients trust, and the time.
//!
//! The Secret holds one generation or two, each with an authority of its own.
//! A renewal puts a new one beside the old; clients are told to trust both; a while after both
//! are seen to be trusted the new one is served; after the overlap the old one goes.
//! Nothing else is stored: every replica sees the same and comes to the same end, so there is no
//! leader, and whoever loses a race finds the work done.

use std::time::{Duration, SystemTime};

use super::issue::BACKDATE;
use super::pair::{Age, Authority, Pair};

/// The times of a rotation.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// How long a certificate is valid; it is renewed after two thirds of that.
    pub life: Duration,
    /// How long the old authority stays trusted once a new one was issued.
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
    /// Whom the API servers are told to trust: the certificates common to all entries of the
    /// webhook configuration. `None` while that was never seen, or does not exist.
    pub bundle: Option<&'a [Authority]>,
    /// Since when the newest generation is covered by the bundle, as this replica saw it.
    pub covered_since: Option<SystemTime>,
    /// The wall clock.
    pub now: SystemTime,
}

/// What to write into the Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Keep,
    /// A fresh newest generation in place of one that is of no use. `previous` stays or goes.
    Replace {
        /// Whether the previous generation is still of use.
        keep_previous: bool,
    },
    /// A fresh newest generation; the one that was newest becomes the previous.
    Rotate,
    /// The previous generation goes.
    DropPrevious,
}

/// Which generation to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serve {
    /// The newest.
    Newest,
    /// The previous one.
    Previous,
    /// Whatever is served already: nothing better is stored.
    Last,
}

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
            let keep_previous = previous == Some(Age::Good);
            return Step::Replace { keep_previous };
        }
    };
    let issued = newest.not_before() + BACKDATE;
    match known.previous {
        Generation::Absent if known.now >= renewal(newest, times) => Step::Rotate,
        Generation::Absent => Step::Keep,
        // Of no use, so nobody serves it.
        _ if previous != Some(Age::Good) => Step::DropPrevious,
        _ if settled(known, times) && known.now >= issued + times.overlap => Step::DropPrevious,
        _ => Step::Keep,
    }
}

/// Which generation to serve.
#[must_use]
pub fn serve(known: &Known<'_>, times: &Times) -> Serve {
    let newest = age(known.newest, known.now) == Some(Age::Good);
    let previous = match known.previous {
        Generation::Read(pair) if pair.age(known.now) == Age::Good => {
            // Unknown trust is no reason against it: it was served until now.
            known.bundle.is_none_or(|it| pair.chains_to(it, known.now))
        }
        _ => false,
    };
    match (newest, previous) {
        (true, true) if settled(known, times) => Serve::Newest,
        (_, true) => Serve::Previous,
        (true, false) => Serve::Newest,
        (false, false) => Serve::Last,
    }
}

/// Which generation to serve where somebody else issues, and so has only one: the newest that is
/// good.
#[must_use]
pub fn serve_only(known: &Known<'_>) -> Serve {
    if age(known.newest, known.now) == Some(Age::Good) {
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
/// Authorities of ours that are neither stored nor younger than the newest are dropped; younger
/// ones were just staged by another replica. Foreign ones go with the next write, but are no
/// reason for one: what somebody else writes in a loop is not to be answered in a loop.
#[must_use]
pub fn bundle(known: &Known<'_>, told: &[Authority]) -> Option<Vec<Authority>> {
    let Generation::Read(newest) = known.newest else {
        return None;
    };
    let mut wanted = newest.authorities().to_vec();
    if let Generation::Read(previous) = known.previous
        && previous.age(known.now) == Age::Good
    {
        wanted.extend_from_slice(previous.authorities());
    }
    let youngest = newest.authorities().iter().map(Authority::not_before).max();
    let staged = |it: &&Authority| it.is_ours() && Some(it.not_before()) > youngest;
    let is_wanted = |it: &Authority| wanted.contains(it);
    let missing = wanted.iter().any(|it| !told.contains(it));
    let dead = told
        .iter()
        .any(|it| it.is_ours() && !is_wanted(it) && !staged(&it));
    if !missing && !dead {
        return None;
    }
    let others: Vec<_> = told
        .iter()
        .filter(staged)
        .filter(|it| !is_wanted(it))
        .cloned()
        .collect();
    wanted.extend(others);
    Some(wanted)
}

fn settled(known: &Known<'_>, times: &Times) -> bool {
    known
        .covered_since
        .is_some_and(|since| known.now >= since + times.settle)
}

fn age(generation: Generation<'_>, now: SystemTime) -> Option<Age> {
    match generation {
        Generation::Absent | Generation::Bad => None,
        Generation::Read(pair) => Some(pair.age(now)),
    }
}

#[cfg(test)]
mod tests;
