//! Which processes there are, which of them are opted in, and what they are: the only module
//! that touches `/proc`.

pub(crate) mod cgroup;
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
mod selector;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use probe_common::maps::{PROCESS_HELD, Process as Policy, counter};
use probe_core::ids::ProcessId;
use probe_core::stitch::facts::ProcessFacts;
use rustix::process::{Pid, Signal, kill_process};

#[cfg(test)]
pub(crate) use self::golang::PROGRAMS as GO_PROGRAMS;
use self::libraries::Libraries;
use self::proc::Process;
use self::python::Pythons;
pub(crate) use self::requests::{Asked, Request, Requests, queue};
use self::selector::Host;
pub(crate) use self::selector::Selector;
use crate::export::resource::Registry;
use crate::export::{clock, identity};
use crate::feed::ProcessEvent;
use crate::kernel::{Control, Counters};
use crate::kubernetes::{Names, Node};

/// The most processes whose looks are kept.
const MOST: usize = 16_384;
/// How often the kernel half's counters are read.
const COUNTING: Duration = Duration::from_secs(1);
/// How often every process is looked at for what the ring refused to tell, at the most: a ring
/// that is full for long must not cost that each second.
const CATCHING_UP: Duration = Duration::from_secs(5);
/// How often libraries that nobody uses are looked for.
const SWEEPING: Duration = Duration::from_mins(2);

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
            pythons: Pythons::default(),
            registry,
            facts,
            opted_in: HashMap::new(),
            by_pods: HashMap::new(),
            looks: HashMap::new(),
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

    /// What is done now and then.
    fn count(&mut self) {
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
    fn should_catch_up(&self) -> bool {
        let lately = |at: Instant| at.elapsed() < CATCHING_UP;
        self.is_behind && !self.caught_up_at.is_some_and(lately)
    }

    /// Records or requests were dropped: what they would have told is found by looking at every
    /// process. Who ended and who inherited a policy stands in the kernel half's own table.
    fn catch_up(&mut self, changed: &mut BTreeSet<u32>) {
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

    /// Spares the host what only opted-in processes need, while there are none.
    fn rest(&mut self) {
        if self.opted_in.is_empty()
            && !self.options.selectors.contains(&Selector::All)
            && let Err(error) = self.control.rest()
        {
            tracing::warn!(error = format!("{error:#}"), "cannot detach the socket tap");
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

    fn look_at_libraries(&mut self, tgid: u32) {
        for mapped in proc::mapped(tgid) {
            self.libraries.meet(tgid, &mapped, &mut self.control);
            self.pythons.meet(tgid, &mapped, &mut self.control);
        }
    }

    /// Says what a process is, to the stitcher and to the exporters.
    fn describe(&mut self, id: ProcessId) {
        let now = proc::process(id.tgid).or_else(|| self.looks.get(&id.tgid).cloned());
        let Some(process) = now.filter(|process| is_same(process, id)) else {
            return;
        };
        self.opted_in.insert(id.tgid, id.start);
        let parent = self.opted_in.get(&process.parent).map(|start| ProcessId {
            tgid: process.parent,
            start: *start,
        });
        let known = self.known(&process.place);
        let facts = ProcessFacts {
            executable: process
                .executable
                .as_ref()
                .map(|path| path.to_string_lossy().into_owned())
                .unwrap_or_default(),
            parent,
            agent_name: process.environment.agent_name.clone(),
            kaos_resource: known.as_ref().and_then(|it| it.names.kaos_resource.clone()),
        };
        let names = known.map(|it| it.names);
        let mut resource = identity::resource(id, &self.identity(&process, names));
        resource.comm = Some(process.comm);
        self.registry.insert(id, Arc::new(resource));
        let _ = self.facts.send((id, facts));
    }

    fn identity(&self, process: &Process, names: Option<Names>) -> identity::Facts {
        let name = process
            .executable
            .as_ref()
            .and_then(|path| path.file_name());
        identity::Facts {
            otel_service_name: process.environment.otel_service_name.clone(),
            otel_resource_attributes: process.environment.otel_resource_attributes.clone(),
            executable: name.map(|name| name.to_string_lossy().into_owned()),
            executable_path: process
                .executable
                .as_ref()
                .map(|p| p.to_string_lossy().into_owned()),
            // An agent is better known by its name than by the server that runs it.
            script: process
                .environment
                .agent_name
                .clone()
                .or_else(|| script::of(process)),
            command_line: self
                .options
                .command_lines
                .then(|| redact::command_line(&process.arguments)),
            owner: process.uid.map(|uid| uid.to_string()),
            parent_pid: Some(process.parent),
            created: clock::created(process.start_tick),
            container_id: process.place.container.clone(),
            kubernetes: names,
            boot_id: self.boot_id.clone(),
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

/// Whether what stands in `/proc` now is the process that the kernel half means. Its clock ticks
/// are coarser; a start of 0 means that the kernel half does not know.
const fn is_same(process: &Process, id: ProcessId) -> bool {
    const TICK: u64 = 10_000_000;
    id.start == 0 || process.start_tick == id.start / TICK * TICK
}
