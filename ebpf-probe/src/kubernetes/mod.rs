//! Kubernetes' side of opt-in and names: which containers of this node are captured, and what
//! their pods are called.
//!
//! `policy` decides, `names` names, `pods` keeps what is known; these are values alone. `watch`
//! asks the API server, for the pods of this node only.

mod names;
mod pods;
mod policy;
pub(crate) mod watch;
mod wire;

use std::sync::{Arc, PoisonError, RwLock};

use probe_common::maps::{POLICY_FULL, POLICY_HEADS, POLICY_OFF};

pub(crate) use names::Names;
use pods::Pods;
use policy::Capture;

use crate::discover::cgroup::Place;

/// What is known of the pods of this node. What was known last stays while the API server is
/// away.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node(Arc<RwLock<Pods>>);

/// What is known of a process by its container.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Known {
    /// Its policy, one of `POLICY_*`.
    pub(crate) policy: u32,
    /// What it is called.
    pub(crate) names: Names,
}

impl Node {
    /// What is known of a process that runs there; `None` outside of pods, and in pods that
    /// nobody told us of so far.
    pub(crate) fn known(&self, place: &Place) -> Option<Known> {
        let pods = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (verdict, names) = pods.find(place.pod.as_deref()?, place.container.as_deref())?;
        let policy = match verdict.capture {
            Capture::Off => POLICY_OFF,
            Capture::Heads => POLICY_HEADS,
            Capture::Full => POLICY_FULL,
        };
        Some(Known { policy, names })
    }

    fn change(&self, change: impl FnOnce(&mut Pods)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}
