//! One connection through the stages stream, message and call, and the credit it is worth.

use probe_common::maps::{CREDIT, Grant};
use probe_core::call::{Options, Output, Reader, Wish};
use probe_core::ids::{ConnInfo, Direction, Nanos, Transport};
use probe_core::message::{Closed, Connection as Messages};
use probe_core::stream::{Assembler, Data};

/// Bytes at the end of a long body that are worth more than what stands before them: usage and
/// finish reasons come last.
const TAIL: u64 = 32 << 10;

/// One connection.
pub(super) struct Connection {
    tgid: u32,
    tls: bool,
    assembler: Assembler,
    messages: Messages,
    reader: Reader,
    grant: Grant,
}

impl Connection {
    pub(super) fn new(info: &ConnInfo, options: Options) -> Self {
        // A call is followed from its head on, so what was missed before is no loss of its own.
        let whole = ConnInfo {
            late: false,
            ..info.clone()
        };
        Self {
            tgid: info.process.tgid,
            tls: info.transport == Transport::Tls,
            assembler: Assembler::new(info.late),
            messages: Messages::new(info.late),
            reader: Reader::new(&whole, options),
            grant: Grant::default(),
        }
    }

    /// Takes bytes; returns how many of them were missed.
    pub(super) fn data(&mut self, data: &Data<'_>) -> u64 {
        let parts = self.assembler.push(data);
        let Self {
            messages, reader, ..
        } = self;
        if parts.gap_before > 0 {
            messages.gap(data.direction, parts.gap_before, data.at, reader);
        }
        if !parts.bytes.is_empty() {
            messages.data(data.direction, parts.bytes, data.at, data.context, reader);
        }
        if parts.gap_after > 0 {
            messages.gap(data.direction, parts.gap_after, data.at, reader);
        }
        parts.gap_before + parts.gap_after
    }

    pub(super) fn half_closed(&mut self, direction: Direction, at: Nanos) {
        self.messages.half_closed(direction, at, &mut self.reader);
    }

    pub(super) fn closed(&mut self, at: Nanos, why: Closed) {
        self.messages.closed(at, why, &mut self.reader);
    }

    pub(super) fn outputs(&mut self) -> impl Iterator<Item = Output> + '_ {
        self.reader.outputs()
    }

    /// The process that it cannot outlive: TLS objects live in its memory, sockets do not.
    pub(super) const fn dies_with(&self) -> Option<u32> {
        if self.tls { Some(self.tgid) } else { None }
    }

    /// What the kernel half is to capture beyond its credit, when that changed.
    pub(super) fn grant(&mut self, data: &Data<'_>) -> Option<Grant> {
        let mut grant = self.grant;
        let side = data.direction.index();
        let end = data.offset.saturating_add(data.len);
        match self.reader.take_wish() {
            Some(Wish::Unlimited) => grant.until = [u64::MAX; 2],
            Some(Wish::Full) => grant = Grant::default(),
            // A tail that never comes: answers do not run on beyond their credit.
            Some(Wish::Demote) => {
                grant = Grant {
                    tail_from: [u64::MAX; 2],
                    tail_to: [u64::MAX; 2],
                    ..Grant::default()
                }
            }
            None => {}
        }
        if let Some(left) = self.messages.body_end(data.direction)
            && left > CREDIT / 2
            && grant.tail_to[side] != end.saturating_add(left)
        {
            grant.tail_from[side] = end.saturating_add(left.saturating_sub(TAIL));
            grant.tail_to[side] = end.saturating_add(left);
        }
        if grant == self.grant {
            return None;
        }
        self.grant = grant;
        Some(grant)
    }
}
