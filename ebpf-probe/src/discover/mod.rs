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

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use probe_common::maps::{PROCESS_HELD, Process as Policy};
use probe_core::ids::ProcessId;
use probe_core::stitch::facts::ProcessFacts;
use rustix::process::{Pid, Signal, kill_process};

use self::libraries::Libraries;
use self::proc::Process;
use self::python::Pythons;
pub(crate) use self::requests::{Asked, Request, Requests, queue};
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
    counted: Box<dyn FnMut(&Counters) + Send>,
    counted_at: Instant,
    swept_at: Instant,
}

impl Discovery {
    /// Opts in what the selectors mean among the processes that run already.
    pub(crate) fn new(
        options: Options,
        mut control: Control,
        registry: Arc<Registry>,
        facts: Sender<(ProcessId, ProcessFacts)>,
        counted: Box<dyn FnMut(&Counters) + Send>,
    ) -> anyhow::Result<Self> {
        control.set_policy(std::process::id(), Policy::default())?;
        let mut discovery = Self {
            options,
            control,
            libraries: Libraries::default(),
            pythons: Pythons::default(),
            registry,
            facts,
            opted_in: HashMap::new(),
            by_pods: HashMap::new(),
            looks: HashMap::new(),
            boot_id: proc::boot_id(),
            counted,
            counted_at: Instant::now(),
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
        Ok(discovery)
    }

    /// Works until the other end is gone.
    pub(crate) fn run(mut self, requests: &Asked) {
        loop {
            let first = match requests.next(COUNTING) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => {
                    self.count();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            // A program that starts maps dozens of files within milliseconds: one look at its
            // maps serves all that wait.
            let mut changed = BTreeSet::new();
            self.take(first, &mut changed);
            while let Some(next) = requests.waiting() {
                self.take(next, &mut changed);
            }
            if requests.has_missed() {
                self.catch_up(&mut changed);
            }
            for tgid in changed {
                self.look_at_libraries(tgid);
                self.release(tgid);
            }
            if self.counted_at.elapsed() > COUNTING {
                self.count();
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

    fn count(&mut self) {
        (self.counted)(&self.control.counters());
        self.look_for_ports();
        self.rest();
        if self.swept_at.elapsed() > SWEEPING {
            self.sweep();
        }
        self.counted_at = Instant::now();
    }

    /// Requests were dropped: what they would have told is found by looking at every process.
    fn catch_up(&mut self, changed: &mut BTreeSet<u32>) {
        let alive: HashSet<u32> = proc::all().unwrap_or_default().into_iter().collect();
        let gone = |tgid: &u32, _: &mut u64| !alive.contains(tgid);
        for (tgid, start) in self.opted_in.extract_if(gone) {
            self.looks.remove(&tgid);
            self.by_pods.remove(&tgid);
            let id = ProcessId { tgid, start };
            self.registry.ended(id, clock::monotonic_now());
        }
        for tgid in alive {
            self.consider(tgid);
            if self.opted_in.contains_key(&tgid) {
                changed.insert(tgid);
            }
        }
    }

    /// Takes hooks away from files that no observed process has mapped for long: a hook keeps the
    /// file system of a container that is gone.
    fn sweep(&mut self) {
        let tgids = self.opted_in.keys();
        let mapped = tgids.flat_map(|tgid| proc::mapped(*tgid));
        let used: HashSet<_> = mapped.map(|mapped| mapped.inode).collect();
        self.libraries.forget_unused(&used, &mut self.control);
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
        } else if selectors.iter().any(|s| s.matches(&process, &ports::of)) {
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
        let resource = identity::resource(id, &self.identity(&process, names));
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
