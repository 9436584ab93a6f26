//! The pods that may have been missed, and what was found of each.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Owner;
use webhook_core::NamespaceFacts;
use webhook_core::names::{MIRROR, STATUS};

/// Pods beyond this many are not followed; a counter says so.
const MAX_PODS: usize = 50_000;
/// A verdict is looked at again after this long though nothing that we watch has changed.
const JUDGE_AGAIN: Duration = Duration::from_mins(10);

/// Pods without our annotation, by uid.
#[derive(Debug, Default)]
pub struct Ledger {
    pods: HashMap<Box<str>, Entry>,
    overflow: u64,
}

/// A pod without our annotation, as its metadata shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its uid, which a later pod of the same name does not have.
    pub uid: Box<str>,
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// The workload that made it, or itself.
    pub owner: Owner,
}

/// Which of the watches saw a pod: each has its own selector, and a pod may match several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source(pub u8);

/// What a verdict stands on; it is looked at again when this changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grounds {
    /// The configuration's hash.
    pub config_hash: Box<str>,
    /// What is known of the pod's namespace.
    pub namespace: Option<NamespaceFacts>,
}

#[derive(Debug)]
struct Entry {
    candidate: Candidate,
    sources: u8,
    /// Sources that are in the middle of a new list and have not named this pod yet.
    unseen: u8,
    verdict: Option<Verdict>,
}

#[derive(Debug)]
struct Verdict {
    missed: bool,
    grounds: Grounds,
    at: Instant,
}

impl Candidate {
    /// None for pods that were injected into, are on their way out, or come from a file of a
    /// kubelet's.
    #[must_use]
    pub fn from_metadata(meta: &ObjectMeta) -> Option<Self> {
        let annotations = meta.annotations.as_ref();
        let has = |key| annotations.is_some_and(|all| all.contains_key(key));
        if has(STATUS) || has(MIRROR) || meta.deletion_timestamp.is_some() {
            return None;
        }
        Some(Self {
            uid: meta.uid.as_deref()?.into(),
            namespace: meta.namespace.as_deref()?.into(),
            name: meta.name.as_deref()?.into(),
            owner: Owner::of_pod(meta)?,
        })
    }
}

impl Ledger {
    /// A watch saw this pod, new or changed.
    pub fn seen(&mut self, source: Source, meta: &ObjectMeta) {
        let Some(candidate) = Candidate::from_metadata(meta) else {
            return self.gone(source, meta);
        };
        let bit = source.bit();
        if let Some(entry) = self.pods.get_mut(&candidate.uid) {
            entry.sources |= bit;
            entry.unseen &= !bit;
            return;
        }
        if self.pods.len() >= MAX_PODS {
            self.overflow = self.overflow.saturating_add(1);
            return;
        }
        let entry = Entry {
            candidate,
            sources: bit,
            unseen: 0,
            verdict: None,
        };
        self.pods.insert(entry.candidate.uid.clone(), entry);
    }

    /// A watch saw this pod go, or stop to match its selector.
    pub fn gone(&mut self, source: Source, meta: &ObjectMeta) {
        let Some(uid) = meta.uid.as_deref() else {
            return;
        };
        let drop = self.pods.get_mut(uid).is_some_and(|entry| {
            entry.sources &= !source.bit();
            entry.sources == 0
        });
        if drop {
            self.pods.remove(uid);
        }
    }

    /// A watch begins to list all its pods anew.
    pub fn relisting(&mut self, source: Source) {
        for entry in self.pods.values_mut() {
            entry.unseen |= entry.sources & source.bit();
        }
    }

    /// A watch has listed all its pods: what it did not name is gone.
    pub fn relisted(&mut self, source: Source) {
        self.pods.retain(|_, entry| {
            if entry.unseen & source.bit() != 0 {
                entry.sources &= !source.bit();
                entry.unseen &= !source.bit();
            }
            entry.sources != 0
        });
    }

    /// The pods to look at: those that nobody judged, or whose verdict stands on other grounds.
    #[must_use]
    pub fn due(&self, now: Instant, grounds: impl Fn(&str) -> Grounds) -> Vec<Candidate> {
        let stale = |entry: &&Entry| {
            entry.verdict.as_ref().is_none_or(|verdict| {
                now.saturating_duration_since(verdict.at) >= JUDGE_AGAIN
                    || verdict.grounds != grounds(&entry.candidate.namespace)
            })
        };
        let due = self.pods.values().filter(stale);
        due.map(|entry| entry.candidate.clone()).collect()
    }

    /// Notes whether the webhook would have injected into a pod, and on what grounds.
    pub fn judge(&mut self, uid: &str, missed: bool, grounds: Grounds, now: Instant) {
        if let Some(entry) = self.pods.get_mut(uid) {
            entry.verdict = Some(Verdict {
                missed,
                grounds,
                at: now,
            });
        }
    }

    /// How many pods run without what the webhook would have given them.
    #[must_use]
    pub fn missed(&self) -> usize {
        self.pods.values().filter(|entry| entry.missed()).count()
    }

    /// The same by namespace and owner.
    #[must_use]
    pub fn missed_by_owner(&self) -> BTreeMap<(Box<str>, Owner), usize> {
        let mut owners = BTreeMap::new();
        for entry in self.pods.values().filter(|entry| entry.missed()) {
            let Candidate {
                namespace, owner, ..
            } = entry.candidate.clone();
            *owners.entry((namespace, owner)).or_insert(0) += 1;
        }
        owners
    }

    /// How many pods were not followed because there are too many.
    #[must_use]
    pub fn overflow(&self) -> u64 {
        self.overflow
    }
}

impl Entry {
    fn missed(&self) -> bool {
        self.verdict.as_ref().is_some_and(|verdict| verdict.missed)
    }
}

impl Source {
    const fn bit(self) -> u8 {
        1 << (self.0 % 8)
    }
}

#[cfg(test)]
mod tests;
