//! Which processes there are, which of them are opted in, and what they are: the only module
//! that touches `/proc`.

pub(crate) mod cgroup;
mod describe;
mod files;
mod golang;
pub(crate) mod host;
pub(crate) mod inspect;
mod libraries;
mod pods;
mod ports;
pub(crate) mod proc;
mod python;
mod redact;
mod requests;
mod script;
mod sdk;
mod selector;
#[cfg(test)]
mod tests;
mod upkeep;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use probe_common::maps::{PROCESS_HELD, Process as Policy};
use probe_core::ids::ProcessId;
use probe_core::stitch::facts::ProcessFacts;
use rustix::process::{Pid, Signal, kill_process};

#[cfg(test)]
pub(crate) use self::golang::PROGRAMS as GO_PROGRAMS;
use self::libraries::Libraries;
use self::proc::Process;
use self::python::Pythons;
pub(crate) use self::requests::{Asked, Request, Requests, queue};
use self::sdk::Sdks;
use self::selector::Host;
pub(crate) use self::selector::Selector;
use crate::export::resource::Registry;
use crate::feed::ProcessEvent;
use crate::kernel::{Control, Counters};
use crate::kubernetes::Node;

/// The most processes whose looks are kept.
const MOST: usize = 16_384;
/// How often the kernel half's counters are read.
const COUNTING: Duration = Duration::from_secs(1);
/// How discovery works.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Which processes are opted in.
    pub(crate) selectors: Vec<Selector>,
    /// The policy that they get.
    pub(crate) policy: u32,
    /// Whether command lines go into resources.
    pub(crate) command_lines: bool,
    /// Whether opted-in processes are held at each new library until it was looked at: only for
    /// a command of our own.
    pub(crate) hold: bool,
    /// What is known of this node's pods, which opts their containers in.
    pub(crate) node: Option<Node>,
    /// Whether ended processes are forgotten here: an exporter does so itself, with their series.
    pub(crate) forget: bool,
}

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    /// By the kernel half.
    pub(crate) kernel: Counters,
    /// Files whose TLS library is hooked.
    pub(crate) hooked: usize,
    /// Files whose TLS library could not be hooked.
    pub(crate) failed: usize,
}

/// The discovery thread's state.
pub(crate) struct Discovery {
    options: Options,
    control: Control,
    libraries: Libraries,
    pythons: Pythons,
    registry: Arc<Registry>,
    facts: Sender<(ProcessId, ProcessFacts)>,
    /// Opted-in processes, with the start time that the kernel half uses once it is known.
    opted_in: HashMap<u32, u64>,
    /// The policies of those of them that their pods opted in.
    by_pods: HashMap<u32, u32>,
    /// What they looked like when they started their program: a short-lived one is gone before
    /// anybody asks.
    looks: HashMap<u32, Process>,
    /// Those of them whose own SDK may report their model calls.
    sdks: Sdks,
    boot_id: String,
    counted: Box<dyn FnMut(&Counted) + Send>,
    counted_at: Instant,
    /// Records that the ring had refused when it was last looked at.
    refused: u64,
    /// Some of them may have told of processes that were not looked at since.
    is_behind: bool,
    caught_up_at: Option<Instant>,
    swept_at: Instant,
}

impl Discovery {
    /// Opts in what the selectors mean among the processes that run already. `descriptors`: how
    /// many files may be open, if that is limited.
    pub(crate) fn new(
        options: Options,
        mut control: Control,
        registry: Arc<Registry>,
        facts: Sender<(ProcessId, ProcessFacts)>,
        counted: Box<dyn FnMut(&Counted) + Send>,
        descriptors: Option<u64>,
    ) -> anyhow::Result<Self> {
        control.set_policy(std::process::id(), Policy::default())?;
        let mut discovery = Self {
            options,
            control,
            libraries: Libraries::new(descriptors),
            pythons: Pythons::new(),
            registry,
            facts,
            opted_in: HashMap::new(),
            by_pods: HashMap::new(),
            looks: HashMap::new(),
            sdks: Sdks::default(),
            boot_id: proc::boot_id(),
            counted,
            counted_at: Instant::now(),
            refused: 0,
            is_behind: false,
            caught_up_at: None,
            swept_at: Instant::now(),
        };
        if discovery.options.selectors.contains(&Selector::All) {
            discovery
                .control
                .set_default_policy(discovery.options.policy)?;
        }
        for tgid in proc::all()? {
            discovery.consider(tgid);
        }
        for selector in &discovery.options.selectors {
            if let Selector::Pid(pid) = selector
                && !discovery.opted_in.contains_key(pid)
            {
                tracing::warn!(pid, "there is no such process");
            }
        }
        Ok(discovery)
    }

    /// Works until the other end is gone.
    pub(crate) fn run(mut self, requests: &Asked) {
        loop {
            // A program that starts maps dozens of files within milliseconds: one look at its
            // maps serves all that wait.
            let mut changed = BTreeSet::new();
            match requests.next(COUNTING) {
                Ok(first) => self.take(first, &mut changed),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            while let Some(next) = requests.waiting() {
                self.take(next, &mut changed);
            }
            if self.counted_at.elapsed() >= COUNTING {
                self.count();
            }
            if requests.has_missed() || self.should_catch_up() {
                self.catch_up(&mut changed);
            }
            for tgid in changed {
                self.look_at_libraries(tgid);
                self.release(tgid);
            }
        }
        self.count();
        self.end();
    }

    /// Takes the probe out of the way. A command's children may go on when it has ended, and one
    /// of them may be held at this moment.
    fn end(self) {
        let hold = self.options.hold;
        for tgid in self.control.end() {
            if hold && tgid != std::process::id() {
                go_on(tgid);
            }
        }
    }

    fn take(&mut self, request: Request, changed: &mut BTreeSet<u32>) {
        match request {
            Request::Event(ProcessEvent::Exec(id)) => {
                self.consider(id.tgid);
            }
            Request::Event(ProcessEvent::Fork { child }) => {
                self.opted_in.insert(child.tgid, child.start);
            }
            Request::Event(ProcessEvent::Map(id)) => {
                changed.insert(id.tgid);
            }
            Request::Event(ProcessEvent::Exit(id, at)) => {
                self.opted_in.remove(&id.tgid);
                self.looks.remove(&id.tgid);
                self.by_pods.remove(&id.tgid);
                self.registry.ended(id, at);
            }
            Request::Describe(id) => self.describe(id),
            Request::Pods => self.look_at_pods(),
            Request::OptIn(tgid, done) => {
                self.opt_in(tgid, self.options.policy);
                let _ = done.send(());
            }
        }
    }

    /// Opts a process in if a selector means it.
    fn consider(&mut self, tgid: u32) {
        if tgid == std::process::id() {
            return;
        }
        let Some(process) = proc::process(tgid) else {
            return;
        };
        let selectors = &self.options.selectors;
        if self.opted_in.contains_key(&tgid) {
            self.look_at_libraries(tgid);
        } else if selectors.iter().any(|s| s.matches(&process, &ThisHost)) {
            self.opt_in(tgid, self.options.policy);
        } else if !self.opt_in_by_pod(tgid, &process.place) {
            return;
        }
        if self.looks.len() < MOST {
            self.looks.insert(tgid, process);
        }
    }

    fn opt_in(&mut self, tgid: u32, policy: u32) {
        let flags = if self.options.hold { PROCESS_HELD } else { 0 };
        // The kernel half fills in the start: /proc knows it to a clock tick only.
        let policy = Policy {
            policy,
            flags,
            start: 0,
        };
        if let Err(error) = self.control.set_policy(tgid, policy) {
            tracing::warn!(pid = tgid, error = format!("{error:#}"), "cannot opt in");
            return;
        }
        self.opted_in.entry(tgid).or_insert(0);
        self.look_at_libraries(tgid);
    }

    /// Lets a held process go on, now that its libraries were looked at.
    fn release(&self, tgid: u32) {
        if self.options.hold {
            go_on(tgid);
        }
    }

    fn look_at_libraries(&mut self, tgid: u32) {
        for mapped in proc::mapped(tgid) {
            self.libraries.meet(tgid, &mapped, &mut self.control);
            self.pythons.meet(tgid, &mapped, &mut self.control);
        }
    }
}

/// The host that this runs on.
struct ThisHost;

impl Host for ThisHost {
    fn ports(&self, tgid: u32) -> Vec<u16> {
        ports::of(tgid)
    }

    fn parent(&self, tgid: u32) -> Option<u32> {
        proc::parent(tgid)
    }
}

/// Continues a process. A stop that is still pending is taken back by this (signal(7)).
fn go_on(tgid: u32) {
    if let Some(pid) = i32::try_from(tgid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::CONT);
    }
}
