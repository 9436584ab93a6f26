//! The pods that may have been missed, and what was found of each.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use serde::Deserialize;

use super::Owner;
use webhook_core::names::{MIRROR, STATUS};
use webhook_core::{ComponentFacts, Facts, Kind, NamespaceFacts, resource_of};

/// Pods beyond this many are not followed until some go; a gauge says so.
const MAX_PODS: usize = 50_000;
/// A verdict is looked at again after this long though nothing that we watch has changed.
const JUDGE_AGAIN: Duration = Duration::from_mins(10);

/// Pods that may lack something, by uid.
#[derive(Debug, Default)]
pub struct Ledger {
    pods: HashMap<Box<str>, Entry>,
    /// Pods that there was no room for, as far as they are known: at most as many again.
    unfollowed: HashSet<Box<str>>,
}

/// A pod as its metadata shows it.
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
    /// The custom resource that it is made for, if its labels name one.
    pub resource: Option<(Kind, Box<str>)>,
    /// What we said of it when it was created; none if we never saw it.
    pub mark: Option<Mark>,
}

/// What matters of our annotation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Mark {
    /// The hash of the settings by which it was written.
    #[serde(default)]
    config: Box<str>,
    /// Why nothing was injected.
    reason: Option<Box<str>>,
}

impl Mark {
    /// Anybody may write the annotation: what cannot be read says nothing.
    fn read(annotation: &str) -> Self {
        serde_json::from_str(annotation).unwrap_or(Self {
            config: "".into(),
            reason: None,
        })
    }

    /// Whether it says that all was injected, by the settings of `config`.
    fn is_done(&self, config: &str) -> bool {
        self.reason.is_none() && *self.config == *config
    }
}

/// Pods to look at.
#[derive(Debug)]
pub struct Due {
    /// The first of them.
    pub pods: Vec<Candidate>,
    /// Whether there are more that nobody has judged yet.
    pub more: bool,
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
    /// What the pod's custom resource says.
    pub component: Option<ComponentFacts>,
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
    /// None for pods that are on their way out, or come from a file of a kubelet's.
    #[must_use]
    pub fn from_metadata(meta: &ObjectMeta) -> Option<Self> {
        let annotations = meta.annotations.as_ref();
        let get = |key| annotations.and_then(|all| all.get(key));
        if get(MIRROR).is_some() || meta.deletion_timestamp.is_some() {
            return None;
        }
        let labels = meta.labels.as_ref();
        let label = |key: &str| labels.and_then(|all| all.get(key)).map(String::as_str);
        Some(Self {
            uid: meta.uid.as_deref()?.into(),
            namespace: meta.namespace.as_deref()?.into(),
            name: meta.name.as_deref()?.into(),
            owner: Owner::of_pod(meta)?,
            resource: resource_of(label).map(|(kind, name)| (kind, name.into())),
            mark: get(STATUS).map(|it| Mark::read(it)),
        })
    }
}

impl Candidate {
    fn component<'f>(&self, facts: &'f Facts) -> Option<&'f ComponentFacts> {
        let (kind, name) = self.resource.as_ref()?;
        facts.component(*kind, &self.namespace, name)
    }
}

impl Grounds {
    /// What a verdict on this pod stands on by these facts.
    #[must_use]
    pub fn of(candidate: &Candidate, facts: &Facts) -> Self {
        Self {
            config_hash: facts.config_hash().into(),
            namespace: facts.namespace(&candidate.namespace).cloned(),
            component: candidate.component(facts).cloned(),
        }
    }

    fn hold(&self, candidate: &Candidate, facts: &Facts) -> bool {
        *self.config_hash == *facts.config_hash()
            && self.namespace.as_ref() == facts.namespace(&candidate.namespace)
            && self.component.as_ref() == candidate.component(facts)
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
            if entry.candidate != candidate {
                entry.candidate = candidate;
                entry.verdict = None;
            }
            return;
        }
        if self.pods.len() >= MAX_PODS {
            if self.unfollowed.len() < MAX_PODS {
                self.unfollowed.insert(candidate.uid);
            }
            return;
        }
        self.unfollowed.remove(&candidate.uid);
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
        self.unfollowed.remove(uid);
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

    /// The pods to look at, at most `limit`: those that nobody judged, then those whose verdict
    /// stands on other grounds or is old, the oldest first. Where nobody is opted in none needs a
    /// look.
    #[must_use]
    pub fn due(&self, now: Instant, limit: usize, facts: &Facts) -> Due {
        let mut due: Vec<_> = { self.pods.values() }
            .filter(|entry| entry.is_due(now, facts))
            .collect();
        due.sort_by_key(|entry| entry.verdict.as_ref().map(|verdict| verdict.at));
        let left_over = due.get(limit);
        Due {
            more: left_over.is_some_and(|entry| entry.verdict.is_none()),
            pods: { due.iter().take(limit) }
                .map(|it| it.candidate.clone())
                .collect(),
        }
    }

    /// Forgets what was found where nobody is opted in any more.
    pub fn forget(&mut self, opted_in: impl Fn(&str) -> bool) {
        for entry in self.pods.values_mut() {
            if entry.verdict.is_some() && !opted_in(&entry.candidate.namespace) {
                entry.verdict = None;
            }
        }
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

    /// How many pods are not followed because there are too many.
    #[must_use]
    pub fn unfollowed(&self) -> usize {
        self.unfollowed.len()
    }

    /// Whether there is room again for pods that had none; if so, they are to be listed again.
    pub fn makes_room(&mut self) -> bool {
        let room = !self.unfollowed.is_empty() && self.pods.len() < MAX_PODS - MAX_PODS / 10;
        if room {
            self.unfollowed.clear();
        }
        room
    }
}

impl Entry {
    fn missed(&self) -> bool {
        self.verdict.as_ref().is_some_and(|verdict| verdict.missed)
    }

    fn is_due(&self, now: Instant, facts: &Facts) -> bool {
        let namespace = facts.namespace(&self.candidate.namespace);
        let opted_in = namespace.is_some_and(NamespaceFacts::opted_in);
        let mark = self.candidate.mark.as_ref();
        let done = mark.is_some_and(|mark| mark.is_done(facts.config_hash()));
        match &self.verdict {
            _ if !opted_in => false,
            // Unless it counts as missed by other settings.
            None => !done,
            Some(verdict) if !verdict.grounds.hold(&self.candidate, facts) => true,
            Some(verdict) => now.saturating_duration_since(verdict.at) >= JUDGE_AGAIN,
        }
    }
}

impl Source {
    const fn bit(self) -> u8 {
        1 << (self.0 % 8)
    }
}

#[cfg(test)]
mod tests;
