//! The thread that reads the ring.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use probe_core::ids::{ConnId, ProcessId};
use probe_core::stitch::facts::ProcessFacts;
use probe_core::stream::Record;

use super::{Leaving, Pipeline};
use crate::discover::{Request, Requests};
use crate::export::clock::monotonic_now;
use crate::export::selfmetrics;
use crate::feed::{self, Input, ProcessEvent};
use crate::kernel::Feed;

/// How long the reader sleeps at the most: what waits in the stitcher must leave.
const IDLE: Duration = Duration::from_millis(100);
/// How long records gather after the first one, so that a busy host does not wake the reader for
/// each.
const GATHER: Duration = Duration::from_millis(3);
/// The same while a burst comes in: a stream at full speed fills the ring within milliseconds.
const GATHER_BURST: Duration = Duration::from_micros(300);
/// Bytes of one round that make a burst.
const BURST: usize = 256 << 10;
/// The reading thread's nice value: its work is short, and seldom can wait.
const PRIORITY: i32 = -10;
/// Records taken before anything else is done; among that is the credit for what they began.
const BATCH: usize = 512;
/// Batches between two looks at everything else; more records than the ring holds by default.
const TURNS: usize = 256;

/// The ends of the channels that the driver holds.
pub(crate) struct Handles {
    /// To discovery.
    pub(crate) requests: Requests,
    /// From discovery.
    pub(crate) facts: Receiver<(ProcessId, ProcessFacts)>,
    /// Takes calls that ended, and spans.
    pub(crate) spans: Box<dyn FnMut(Leaving) + Send>,
    /// The probe's own counters.
    pub(crate) counters: selfmetrics::Counters,
    /// Set to end.
    pub(crate) stop: Arc<AtomicBool>,
}

/// Reads records until it is told to stop.
pub(crate) struct Driver {
    feed: Feed,
    pipeline: Pipeline,
    handles: Handles,
    /// Processes that discovery was asked about.
    described: HashMap<u32, ProcessId>,
    /// Where the kernel half keeps TLS connections.
    objects: HashMap<ConnId, (u32, u64)>,
}

impl Driver {
    /// A driver of these stages.
    pub(crate) fn new(feed: Feed, pipeline: Pipeline, handles: Handles) -> Self {
        Self {
            feed,
            pipeline,
            handles,
            described: HashMap::new(),
            objects: HashMap::new(),
        }
    }

    /// Works until it is told to stop; then everything that waits goes out.
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        // What the ring cannot hold while others compute is lost for good. Not allowed to: then
        // like everybody else.
        let _ = rustix::process::setpriority_process(None, PRIORITY);
        loop {
            let stop = self.handles.stop.load(Ordering::Acquire);
            // As much as may wait when the end is asked for, and no more: a host that never falls
            // silent must not keep us.
            let mut bytes = 0;
            for _ in 0..TURNS {
                if self.turn(&mut bytes) < BATCH {
                    break;
                }
            }
            self.publish();
            if stop {
                break;
            }
            self.feed.wait(IDLE)?;
            std::thread::sleep(if bytes < BURST { GATHER } else { GATHER_BURST });
        }
        self.pipeline.drain(monotonic_now());
        self.send_spans();
        Ok(())
    }

    /// Takes up to a batch of records and hands on what comes of them; adds their `bytes`.
    fn turn(&mut self, bytes: &mut usize) -> usize {
        while let Ok((id, facts)) = self.handles.facts.try_recv() {
            self.pipeline.process(id, facts);
        }
        let now = monotonic_now();
        let Self {
            feed,
            pipeline,
            handles,
            described,
            objects,
        } = self;
        let mut gone = Vec::new();
        let taken = feed.drain(BATCH, |raw| {
            *bytes += raw.len();
            match feed::read(raw) {
                Some(Input::Stream(record)) => {
                    if let Record::Open(info) = &record {
                        describe(info.process, described, handles);
                    }
                    if let Record::Closed(id, ..) = &record {
                        objects.remove(id);
                    }
                    pipeline.record(&record, now);
                }
                Some(Input::TlsObject(info, object)) => {
                    describe(info.process, described, handles);
                    objects.insert(info.id, (info.process.tgid, object));
                    pipeline.record(&Record::Open(info), now);
                }
                Some(Input::Http2(info)) => {
                    describe(info.process, described, handles);
                }
                Some(Input::Process(event)) => {
                    match event {
                        ProcessEvent::Exit(id, at) => {
                            described.remove(&id.tgid);
                            gone.extend(pipeline.process_gone(id, at, now));
                        }
                        ProcessEvent::Exec(id) => {
                            described.remove(&id.tgid);
                            gone.extend(pipeline.memory_gone(id, now, now));
                        }
                        ProcessEvent::Fork { .. } | ProcessEvent::Map(_) => {}
                    }
                    ask(handles, Request::Event(event));
                }
                None => {}
            }
        });
        for id in gone {
            if let Some((tgid, object)) = self.objects.remove(&id) {
                self.feed.forget_tls(tgid, object);
            }
        }
        for (id, grant) in self.pipeline.grants() {
            self.feed.grant(id.0, grant);
        }
        self.pipeline.tick(now);
        self.send_spans();
        taken
    }

    fn publish(&self) {
        let counted = self.pipeline.counters();
        let set = |def, value| self.handles.counters.cell(def).set(value);
        set(&selfmetrics::RECORDS, counted.records);
        set(&selfmetrics::LOST_BYTES, counted.missed_bytes);
        set(&selfmetrics::LATE_ATTACHMENTS, counted.late);
        set(&selfmetrics::CONNECTIONS, self.pipeline.len() as u64);
        let stitched = self.pipeline.stitched();
        for (kind, count) in [
            ("exact", stitched.exact),
            ("inferred", stitched.inferred),
            ("none_idle", stitched.idle),
            ("none_several", stitched.several),
            ("none_other_context", stitched.other),
            ("none_shared_context", stitched.shared),
            ("none_crowded", stitched.crowded),
            ("none_undecided", stitched.undecided),
            ("contradicted", stitched.contradicted),
            ("requests_refused", stitched.requests_refused),
        ] {
            let def = &selfmetrics::PARENTS;
            self.handles.counters.labelled(def, kind).set(count);
        }
    }

    fn send_spans(&mut self) {
        for leaving in self.pipeline.leaving() {
            (self.handles.spans)(leaving);
        }
    }
}

/// Asks discovery about a process that is seen for the first time.
fn describe(id: ProcessId, described: &mut HashMap<u32, ProcessId>, handles: &Handles) {
    if described.get(&id.tgid) != Some(&id) && ask(handles, Request::Describe(id)) {
        described.insert(id.tgid, id);
    }
}

/// Asks discovery; `false` when that has too much to do.
fn ask(handles: &Handles, request: Request) -> bool {
    let asked = handles.requests.send(request);
    if !asked {
        handles.counters.cell(&selfmetrics::REQUESTS_REFUSED).add(1);
    }
    asked
}
