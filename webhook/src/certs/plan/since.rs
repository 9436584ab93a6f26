//! For how long one replica has seen things as they are now.

use std::time::SystemTime;

use super::Generation;
use crate::certs::pair::{Authority, Pair};

/// What holds of the newest generation, and since when. Another generation begins from nothing:
/// that the one before it was trusted for months says nothing of it.
#[derive(Clone, Debug, Default)]
pub struct Since {
    newest: Option<Pair>,
    covered: Option<SystemTime>,
    alone: Option<SystemTime>,
}

impl Since {
    /// Takes in what is seen at `now`.
    pub fn look(
        &mut self,
        newest: Generation<'_>,
        previous: Generation<'_>,
        bundle: Option<&[Authority]>,
        now: SystemTime,
    ) {
        let newest = match newest {
            Generation::Read(pair) => Some(pair),
            Generation::Absent | Generation::Bad => None,
        };
        let same = match (newest, &self.newest) {
            (Some(newest), Some(before)) => newest.is(before),
            _ => false,
        };
        if !same {
            *self = Self {
                newest: newest.cloned(),
                ..Self::default()
            };
        }
        let covers = |bundle| newest.is_some_and(|it| it.chains_to(bundle, now));
        let covered = bundle.is_some_and(covers);
        let alone = covered && matches!(previous, Generation::Absent);
        self.covered = lasting(self.covered, covered, now);
        self.alone = lasting(self.alone, alone, now);
    }

    /// Since when API servers have been told to trust it.
    #[must_use]
    pub fn covered(&self) -> Option<SystemTime> {
        self.covered
    }

    /// Since when, beside that, no other generation has been stored.
    #[must_use]
    pub fn alone(&self) -> Option<SystemTime> {
        self.alone
    }
}

/// A clock that was set back must not make us wait for the time it came from.
fn lasting(since: Option<SystemTime>, holds: bool, now: SystemTime) -> Option<SystemTime> {
    let since = since.filter(|since| *since <= now);
    holds.then(|| since.unwrap_or(now))
}
