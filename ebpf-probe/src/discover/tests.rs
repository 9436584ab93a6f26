//! Discovery with the kernel half of this kernel, against processes that are really there. Needs
//! root, as the kernel half's own tests do.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use probe_common::maps::{POLICY_FULL, counter};
use probe_common::record::{Header, Kind};

use super::*;
use crate::kernel::tests::{Alone, alone};
use crate::kernel::{self, Feed};

/// The smallest ring: it is soon full.
const RING: u32 = 1 << 16;

/// A shell of a name that no other program of this host has.
struct Shell {
    file: PathBuf,
}

impl Shell {
    fn new(test: &str) -> Self {
        let file = std::env::temp_dir().join(format!("{test}-{}", std::process::id()));
        std::fs::copy("/bin/sh", &file).unwrap();
        Self { file }
    }

    fn selector(&self) -> Selector {
        Selector::Executable(self.file.to_string_lossy().into_owned())
    }

    fn start(&self, script: &str) -> Child {
        let mut command = Command::new(&self.file);
        command.args(["-c", script]).stdin(Stdio::piped());
        command.stdout(Stdio::piped());
        command.spawn().unwrap()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.file);
    }
}

fn discovery(selectors: Vec<Selector>) -> (Alone, Feed, Discovery) {
    let alone = alone();
    let options = Options {
        selectors,
        policy: POLICY_FULL,
        command_lines: false,
        hold: false,
        node: None,
        forget: true,
    };
    let (feed, control) =
        kernel::load(RING, None).expect("these tests want root and a kernel with BTF");
    let (facts, _) = std::sync::mpsc::channel();
    let registry = Arc::new(Registry::default());
    let counted = Box::new(|_: &Counted| ());
    let discovery = Discovery::new(options, control, registry, facts, counted, None);
    (alone, feed, discovery.unwrap())
}

/// Starts programs until the ring refuses to tell of one.
fn fill(discovery: &Discovery) {
    let refused = || discovery.control.counters()[counter::RING_FULL as usize];
    let before = refused();
    for _ in 0..10_000 {
        Command::new("true").status().unwrap();
        if refused() > before {
            return;
        }
    }
    panic!("the ring is never full");
}

fn kill(tgid: u32) {
    kill_process(Pid::from_raw(tgid.cast_signed()).unwrap(), Signal::KILL).unwrap();
}

fn await_fork_of(tgid: u32, feed: &mut Feed) -> bool {
    let end = Instant::now() + Duration::from_secs(10);
    let mut forked = false;
    while !forked && Instant::now() < end {
        feed.drain(100_000, |raw| {
            let (header, _) = Header::parse(raw).unwrap();
            forked |= header.tgid == tgid && header.kind == Kind::Fork as u8;
        });
        feed.wait(Duration::from_millis(20)).unwrap();
    }
    forked
}

#[test]
fn a_program_whose_start_the_ring_refused_to_tell_is_opted_in_all_the_same() {
    let shell = Shell::new("lost-exec");
    let (_alone, mut feed, discovery) = discovery(vec![shell.selector()]);
    fill(&discovery);
    let mut child = shell.start("while sleep 0.05; do :; done");
    let (requests, asked) = queue();
    let thread = std::thread::spawn(move || discovery.run(&asked));
    // Only of who is opted in it is told that it made a child.
    let forked = await_fork_of(child.id(), &mut feed);
    child.kill().unwrap();
    child.wait().unwrap();
    drop(requests);
    thread.join().unwrap();
    assert!(forked, "it was never opted in");
}

#[test]
fn ended_processes_are_forgotten() {
    let (_alone, _feed, mut discovery) = discovery(Vec::new());
    let registry = Arc::clone(&discovery.registry);
    let id = ProcessId { tgid: 1, start: 1 };
    registry.insert(id, Arc::default());
    discovery.count();
    assert_eq!(registry.len(), 1);
    registry.ended(id, 0);
    discovery.count();
    assert_eq!(registry.len(), 0);
}

#[test]
fn a_process_is_opted_in_with_the_children_that_it_has_already() {
    let shell = Shell::new("family");
    let mut parent = shell.start("sleep 1000 & echo $!; wait");
    let mut line = String::new();
    let stdout = parent.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    let child: u32 = line.trim().parse().unwrap();
    let (_alone, _feed, discovery) = discovery(vec![Selector::Pid(parent.id())]);
    let mut captured: Vec<_> = discovery.opted_in.into_keys().collect();
    captured.sort_unstable();
    kill(child);
    parent.kill().unwrap();
    parent.wait().unwrap();
    let mut wanted = [parent.id(), child];
    wanted.sort_unstable();
    assert_eq!(captured, wanted);
}

#[test]
fn who_ended_and_who_was_born_unheard_is_found_out() {
    let shell = Shell::new("lost-end");
    let mut parent = shell.start("read go; sleep 1000 & wait");
    let (_alone, _feed, mut discovery) = discovery(vec![Selector::Pid(parent.id())]);
    fill(&discovery);
    parent.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    let child = loop {
        let captured = discovery.control.captured();
        if let Some(child) = captured.into_keys().find(|tgid| *tgid != parent.id()) {
            break child;
        }
        assert!(Instant::now() < end, "it makes no child");
    };
    parent.kill().unwrap();
    parent.wait().unwrap();
    discovery.count();
    let behind = discovery.should_catch_up();
    let before: Vec<_> = discovery.opted_in.keys().copied().collect();
    discovery.catch_up(&mut BTreeSet::new());
    let after: Vec<_> = discovery.opted_in.keys().copied().collect();
    kill(child);
    assert!(behind);
    discovery.is_behind = true;
    assert!(!discovery.should_catch_up(), "not so soon again");
    assert_eq!((before, after), (vec![parent.id()], vec![child]));
}
