//! Starts what every command needs: the kernel half, the reader's thread and discovery's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use probe_core::call;
use probe_core::stitch::{self, Stitcher};

use super::descriptors;
use crate::discover::{Counted, Discovery, Options, Request, Requests, host, queue};
use crate::export::resource::Registry;
use crate::export::selfmetrics;
use crate::kernel;
use crate::pipeline::{Driver, Handles, Leaving, Pipeline};

/// How long discovery may take for what was asked of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked whether the hooks are gone.
const LOOK: Duration = Duration::from_millis(10);

/// What to capture, and where to.
pub(super) struct Setup {
    /// Which processes.
    pub(super) discovery: Options,
    /// Names and limits of spans.
    pub(super) stitch: stitch::Config,
    /// Bytes of each part of the content that are kept; 0 for none.
    pub(super) content_cap: usize,
    /// Bytes of the ring.
    pub(super) ring: u32,
    /// The socket tap, if not the best one.
    pub(super) tap: Option<kernel::Tap>,
    /// Where resources are kept.
    pub(super) registry: Arc<Registry>,
    /// The probe's own counters.
    pub(super) counters: selfmetrics::Counters,
    /// Takes what was counted, now and then.
    pub(super) counted: Box<dyn FnMut(&Counted) + Send>,
    /// Takes calls that ended, and spans, on the reader's thread.
    pub(super) spans: Box<dyn FnMut(Leaving) + Send>,
}

/// A running capture.
pub(super) struct Capture {
    stop: Arc<AtomicBool>,
    requests: Requests,
    reader: JoinHandle<anyhow::Result<()>>,
    discovery: JoinHandle<()>,
}

impl Capture {
    /// Loads the kernel half and opts in what is there already. When this returns, what is
    /// opted in is captured.
    pub(super) fn start(setup: Setup) -> anyhow::Result<Self> {
        if let Some(missing) = host::missing_capabilities() {
            bail!(
                "the kernel does not let this user look at other processes (without {missing}): {}",
                host::CAPABLE
            );
        }
        descriptors::raise();
        let (feed, control) = kernel::load(setup.ring, setup.tap)?;
        let (requests, asked) = queue();
        let (facts, known) = channel();
        let discovery = Discovery::new(
            setup.discovery,
            control,
            setup.registry,
            facts,
            setup.counted,
            descriptors::limit(),
        )?;
        let stop = Arc::new(AtomicBool::new(false));
        let stitcher = Stitcher::new(setup.stitch, seed()?);
        let options = call::Options {
            content_cap: setup.content_cap,
        };
        let handles = Handles {
            requests: requests.clone(),
            facts: known,
            spans: setup.spans,
            counters: setup.counters,
            stop: Arc::clone(&stop),
        };
        let driver = Driver::new(feed, Pipeline::new(stitcher, options), handles);
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let reader = thread("reader")
            .spawn(|| driver.run())
            .context("cannot start a thread")?;
        let discovery = thread("discovery")
            .spawn(move || discovery.run(&asked))
            .context("cannot start a thread")?;
        Ok(Self {
            stop,
            requests,
            reader,
            discovery,
        })
    }

    /// Opts a process in, and waits until it is.
    pub(super) fn opt_in(&self, tgid: u32) -> anyhow::Result<()> {
        let (done, finished) = channel();
        if !self.requests.send_surely(Request::OptIn(tgid, done)) {
            bail!("discovery has ended");
        }
        finished
            .recv_timeout(PATIENCE)
            .context("discovery does not answer")
    }

    /// Where discovery is asked. It ends only when nobody can ask any more.
    pub(super) fn requests(&self) -> Requests {
        self.requests.clone()
    }

    /// Whether both threads still work; they end by themselves only when something is wrong.
    pub(super) fn is_alive(&self) -> bool {
        !self.reader.is_finished() && !self.discovery.is_finished()
    }

    /// Ends the capture; what waits goes out first.
    pub(super) fn stop(self) -> anyhow::Result<()> {
        let (drained, hooks) = self.drain();
        let detached = hooks.detach();
        drained.and(detached)
    }

    /// Ends the reading: what waits goes out. The hooks stay until they are taken away.
    pub(super) fn drain(self) -> (anyhow::Result<()>, Hooks) {
        self.stop.store(true, Ordering::Release);
        let ended = self.reader.join();
        let drained = ended.unwrap_or_else(|_panic| Err(anyhow!("the reader's thread panicked")));
        // Discovery ends when nobody can ask it any more.
        drop(self.requests);
        (drained, Hooks(self.discovery))
    }
}

/// What is left in the kernel of a capture that has ended.
pub(super) struct Hooks(JoinHandle<()>);

impl Hooks {
    /// Waits until they are taken away.
    pub(super) fn detach(self) -> anyhow::Result<()> {
        let ended = self.0.join();
        ended.map_err(|_panic| anyhow!("discovery's thread panicked"))
    }

    /// Waits until they are taken away, but not for long: the kernel does so itself when the
    /// program ends.
    pub(super) fn detach_until(self, end: Instant) -> anyhow::Result<()> {
        while !self.0.is_finished() {
            if Instant::now() >= end {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
        self.detach()
    }
}

fn seed() -> anyhow::Result<[u8; 32]> {
    let mut seed = [0u8; 32];
    getrandom::fill(&mut seed).map_err(|error| anyhow!("no random numbers: {error}"))?;
    Ok(seed)
}
