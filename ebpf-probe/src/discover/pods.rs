//! Opting in by pods.

use probe_common::maps::{POLICY_OFF, Process as Policy};
use probe_core::ids::ProcessId;

use super::cgroup::Place;
use super::{Discovery, ThisHost, proc};
use crate::kubernetes::Known;

impl Discovery {
    /// What Kubernetes knows of a process that runs there.
    pub(super) fn known(&self, place: &Place) -> Option<Known> {
        self.options.node.as_ref()?.known(place)
    }

    /// Opts a process in if its pod means its container; whether it did.
    pub(super) fn opt_in_by_pod(&mut self, tgid: u32, place: &Place) -> bool {
        let policy = self.known(place).map_or(POLICY_OFF, |known| known.policy);
        if policy == POLICY_OFF {
            return false;
        }
        self.opt_in(tgid, policy);
        self.by_pods.insert(tgid, policy);
        true
    }

    /// What is known of pods has changed: some processes are captured from now on, some no
    /// longer, and some have other names.
    pub(super) fn look_at_pods(&mut self) {
        for tgid in proc::all().unwrap_or_default() {
            match self.opted_in.get(&tgid) {
                None => self.consider(tgid),
                Some(start) => self.look_again(ProcessId {
                    tgid,
                    start: *start,
                }),
            }
        }
    }

    fn look_again(&mut self, id: ProcessId) {
        let Some(process) = proc::process(id.tgid) else {
            return;
        };
        let Some(known) = self.known(&process.place) else {
            return;
        };
        let mut selectors = self.options.selectors.iter();
        let selected = selectors.any(|it| it.matches(&process, &ThisHost));
        if !selected && known.policy == POLICY_OFF {
            self.opt_out(id.tgid);
            return;
        }
        let before = self.by_pods.get(&id.tgid).copied();
        if !selected && before != Some(known.policy) {
            self.opt_in_by_pod(id.tgid, &process.place);
        }
        if id.start != 0 {
            self.describe(id);
        }
    }

    /// Ends the capture of a process. What was captured goes out still.
    fn opt_out(&mut self, tgid: u32) {
        if let Err(error) = self.control.set_policy(tgid, Policy::default()) {
            tracing::warn!(pid = tgid, error = format!("{error:#}"), "cannot opt out");
            return;
        }
        self.opted_in.remove(&tgid);
        self.looks.remove(&tgid);
        self.by_pods.remove(&tgid);
    }
}
