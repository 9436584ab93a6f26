//! What discovery does now and then: counts, catches up with what the ring refused, lets go of
//! what nobody uses.

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

use probe_common::maps::counter;
use probe_core::ids::ProcessId;

use super::{Counted, Discovery, Selector, proc};
use crate::export::clock;

/// How often every process is looked at for what the ring refused to tell, at the most: a ring
/// that is full for long must not cost that each second.
const CATCHING_UP: Duration = Duration::from_secs(5);
/// How often libraries that nobody uses are looked for.
const SWEEPING: Duration = Duration::from_mins(2);

impl Discovery {
    /// What is done now and then.
    pub(super) fn count(&mut self) {
        let kernel = self.control.counters();
        let (hooked, failed) = self.libraries.count();
        (self.counted)(&Counted {
            kernel,
            hooked,
            failed,
        });
        let refused = kernel[counter::RING_FULL as usize];
        self.is_behind |= refused != self.refused;
        self.refused = refused;
        self.look_for_ports();
        self.look_for_exports();
        self.rest();
        if self.options.forget {
            self.registry.sweep(clock::monotonic_now());
        }
        if self.swept_at.elapsed() > SWEEPING {
            self.sweep();
        }
        self.counted_at = Instant::now();
    }

    /// Whether the ring has refused records, and nobody looked at every process of late.
    pub(super) fn should_catch_up(&self) -> bool {
        let lately = |at: Instant| at.elapsed() < CATCHING_UP;
        self.is_behind && !self.caught_up_at.is_some_and(lately)
    }

    /// Records or requests were dropped: what they would have told is found by looking at every
    /// process. Who ended and who inherited a policy stands in the kernel half's own table.
    pub(super) fn catch_up(&mut self, changed: &mut BTreeSet<u32>) {
        self.is_behind = false;
        self.caught_up_at = Some(Instant::now());
        let captured = self.control.captured();
        // A number without a policy, or with another start, is another process by now.
        let gone = |tgid: &u32, start: &mut u64| {
            let now = captured.get(tgid).copied();
            now.is_none_or(|now| now != 0 && *start != 0 && now != *start)
        };
        for (tgid, start) in self.opted_in.extract_if(gone) {
            self.looks.remove(&tgid);
            self.by_pods.remove(&tgid);
            let id = ProcessId { tgid, start };
            self.registry.ended(id, clock::monotonic_now());
        }
        for (tgid, start) in captured {
            self.opted_in.entry(tgid).or_insert(start);
        }
        for tgid in proc::all().unwrap_or_default() {
            self.consider(tgid);
            // Its libraries were looked at just now, but it may wait for that.
            if self.options.hold && self.opted_in.contains_key(&tgid) {
                changed.insert(tgid);
            }
        }
    }

    /// Takes hooks away from files that no observed process has mapped for long: a hook keeps the
    /// file system of a container that is gone. What could not be hooked is tried again.
    fn sweep(&mut self) {
        let tgids = self.opted_in.keys();
        let mapped = tgids.flat_map(|tgid| proc::mapped(*tgid));
        let used: HashSet<_> = mapped.map(|mapped| mapped.inode).collect();
        self.libraries.forget_unused(&used, &mut self.control);
        if self.libraries.forget_refused() {
            let tgids: Vec<u32> = self.opted_in.keys().copied().collect();
            for tgid in tgids {
                self.look_at_libraries(tgid);
            }
        }
        self.pythons.forget_unused(&used, &mut self.control);
        self.swept_at = Instant::now();
    }

    /// Spares the host what only opted-in processes need, while there are none.
    fn rest(&mut self) {
        if self.opted_in.is_empty()
            && !self.options.selectors.contains(&Selector::All)
            && let Err(error) = self.control.rest()
        {
            tracing::warn!(error = format!("{error:#}"), "cannot detach the socket tap");
        }
    }

    /// An SDK connects with its first export: then its process is another one to the stitcher.
    fn look_for_exports(&mut self) {
        let opted_in = &self.opted_in;
        self.sdks
            .retain(|id| opted_in.get(&id.tgid) == Some(&id.start));
        for id in self.sdks.connected() {
            self.describe(id);
        }
    }

    /// A port is opened long after the program has started: selectors by port look again.
    fn look_for_ports(&mut self) {
        let selectors = &self.options.selectors;
        if !selectors.iter().any(|s| matches!(s, Selector::Port(_))) {
            return;
        }
        for tgid in proc::all().unwrap_or_default() {
            if !self.opted_in.contains_key(&tgid) {
                self.consider(tgid);
            }
        }
    }
}
