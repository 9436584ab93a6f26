//! Starts what every command needs: the kernel half, the reader's thread and discovery's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use probe_core::call;
use probe_core::stitch::{self, Stitcher};

use crate::discover::{Discovery, Options, Request, Requests, host, queue};
use crate::export::resource::Registry;
use crate::export::selfmetrics;
use crate::kernel;
use crate::pipeline::{Driver, Handles, Leaving, Pipeline};

/// How long discovery may take for what was asked of it.
const PATIENCE: Duration = Duration::from_secs(10);

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
    pub(super) counted: Box<dyn FnMut(&kernel::Counters) + Send>,
    /// Takes calls that ended, and spans, on the reader's thread.
    pub(super) spans: Box<dyn FnMut(Leaving) + Send>,
}

/// A running capture.
pub(super) struct Capture {
    stop: Arc<AtomicBool>,
    requests: Option<Requests>,
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
        let (feed, control) = kernel::load(setup.ring, setup.tap)?;
        let (requests, asked) = queue();
        let (facts, known) = channel();
        let discovery = Discovery::new(
            setup.discovery,
            control,
            setup.registry,
            facts,
            setup.counted,
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
            requests: Some(requests),
            reader,
            discovery,
        })
    }

    /// Opts a process in, and waits until it is.
    pub(super) fn opt_in(&self, tgid: u32) -> anyhow::Result<()> {
        let (done, finished) = channel();
        let requests = self
            .requests
            .as_ref()
            .ok_or_else(|| anyhow!("the capture has ended"))?;
        if !requests.send_surely(Request::OptIn(tgid, done)) {
            bail!("discovery has ended");
        }
        finished
            .recv_timeout(PATIENCE)
            .context("discovery does not answer")
    }

    /// Where discovery is asked. It ends only when nobody can ask any more.
    pub(super) fn requests(&self) -> Option<Requests> {
        self.requests.clone()
    }

    /// Whether both threads still work; they end by themselves only when something is wrong.
    pub(super) fn is_alive(&self) -> bool {
        !self.reader.is_finished() && !self.discovery.is_finished()
    }

    /// Ends the capture; what waits goes out first.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Release);
        let ended = self
            .reader
            .join()
            .map_err(|_panic| anyhow!("the reader's thread panicked"))?;
        self.requests = None;
        self.discovery
            .join()
            .map_err(|_panic| anyhow!("discovery's thread panicked"))?;
        ended
    }
}

fn seed() -> anyhow::Result<[u8; 32]> {
    let mut seed = [0u8; 32];
    getrandom::fill(&mut seed).map_err(|error| anyhow!("no random numbers: {error}"))?;
    Ok(seed)
}
