//! What the stages counted, under the names of `/metrics`.

use probe_core::stitch;

use super::{Counters, Pipeline};
use crate::export::selfmetrics::{
    self, BYTES, CONNECTIONS, Cell, Def, LATE_ATTACHMENTS, LOST_BYTES, PARENTS, READER, RECORDS,
    STITCHER, TRUNCATED_BODIES, UNKNOWN_ENCODINGS,
};

/// A metric, the value of its label (empty where it has none), and its value.
type Value = (&'static Def, &'static str, u64);

/// The cells that the reader's thread keeps up to date.
pub(super) struct Published {
    cells: Vec<Cell>,
}

impl Published {
    pub(super) fn new(counters: &selfmetrics::Counters) -> Self {
        let zeros = values(&Counters::default(), &stitch::Counters::default(), 0);
        let cells = zeros.map(|(def, label, _)| counters.labelled(def, label));
        Self {
            cells: cells.into(),
        }
    }

    pub(super) fn set(&self, pipeline: &Pipeline) {
        let connections = pipeline.len() as u64;
        let now = values(&pipeline.counters(), &pipeline.stitched(), connections);
        for (cell, (_, _, value)) in self.cells.iter().zip(now) {
            cell.set(value);
        }
    }
}

const fn values(read: &Counters, stitched: &stitch::Counters, connections: u64) -> [Value; 36] {
    let unread = &read.unread;
    [
        (&RECORDS, "", read.records),
        (&BYTES, "", read.bytes),
        (&LOST_BYTES, "", read.missed_bytes),
        (&TRUNCATED_BODIES, "", read.truncated_bodies),
        (&UNKNOWN_ENCODINGS, "", read.undecodable_bodies),
        (&LATE_ATTACHMENTS, "", read.late),
        (&CONNECTIONS, "", connections),
        (&READER, "orphan_records", read.orphans),
        (&READER, "evicted_connections", read.evicted),
        (&READER, "shed_heads", read.shed_heads),
        (&READER, "shed_decoders", read.shed_decoders),
        (&READER, "stale_bytes", read.stale_bytes),
        (&READER, "malformed_heads", unread.malformed_heads),
        (&READER, "long_heads", unread.long_heads),
        (&READER, "lost_pipelines", unread.pipelines),
        (&READER, "lost_chunks", unread.chunks),
        (&READER, "upgraded_connections", unread.upgrades),
        (&PARENTS, "exact", stitched.exact),
        (&PARENTS, "inferred", stitched.inferred),
        (&PARENTS, "none_idle", stitched.idle),
        (&PARENTS, "none_several", stitched.several),
        (&PARENTS, "none_other_context", stitched.other),
        (&PARENTS, "none_shared_context", stitched.shared),
        (&PARENTS, "none_crowded", stitched.crowded),
        (&PARENTS, "none_undecided", stitched.undecided),
        (&PARENTS, "contradicted", stitched.contradicted),
        (&PARENTS, "requests_refused", stitched.requests_refused),
        (&STITCHER, "joined", stitched.joined),
        (&STITCHER, "held", stitched.held),
        (&STITCHER, "hold_expired", stitched.hold_expired),
        (&STITCHER, "runner_calls", stitched.runner_calls),
        (&STITCHER, "abandoned_calls", stitched.abandoned),
        (&STITCHER, "refused_calls", stitched.calls_refused),
        (
            &STITCHER,
            "evicted_connections",
            stitched.connections_evicted,
        ),
        (&STITCHER, "refused_processes", stitched.processes_refused),
        (&STITCHER, "refused_agent_cards", stitched.cards_refused),
    ]
}
