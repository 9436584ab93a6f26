//! One connection through the stages stream, message and call, and the credit it is worth.

use probe_common::maps::{CREDIT, Grant};
use probe_core::call::{Options, Output, Reader, Wish};
use probe_core::ids::{ConnInfo, Direction, Nanos, Transport};
use probe_core::message::{Closed, Connection as Messages, Held, Losses};
use probe_core::stream::{Assembler, Data};

/// Bytes at the end of a long body that are worth more than what stands before them: usage and
/// finish reasons come last.
const TAIL: u64 = 32 << 10;

/// What came of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Bytes that were missed before or behind it.
    pub(super) missed: u64,
    /// Bytes of it that came when their place had passed.
    pub(super) stale: u64,
    /// It shows that the connection was joined late.
    pub(super) late: bool,
}

/// One connection.
pub(super) struct Connection {
    tgid: u32,
    tls: bool,
    assembler: Assembler,
    messages: Messages,
    reader: Reader,
    grant: Grant,
    /// When it was opened or last moved bytes.
    used: Nanos,
    /// Directions whose first bytes may have been missed and are still to come.
    unsure: [bool; 2],
    /// What its messages under way took when that was last looked at.
    held: Held,
}

impl Connection {
    pub(super) fn new(info: &ConnInfo, options: Options, now: Nanos) -> Self {
        Self {
            tgid: info.process.tgid,
            tls: info.transport == Transport::Tls,
            assembler: Assembler::new(info.late),
            messages: Messages::new(info.late),
            reader: Reader::new(info, options),
            grant: Grant::default(),
            used: now,
            unsure: [info.late; 2],
            held: Held::default(),
        }
    }

    /// What its messages under way took when that was last looked at.
    pub(super) const fn held(&self) -> Held {
        self.held
    }

    /// Looks at what they take: before, and now.
    pub(super) fn weigh(&mut self) -> (Held, Held) {
        let now = self.messages.held();
        (std::mem::replace(&mut self.held, now), now)
    }

    /// Forgets what was kept of heads.
    pub(super) fn shed_heads(&mut self, at: Nanos) {
        self.messages.shed_heads(at, &mut self.reader);
    }

    /// Gives decoders up.
    pub(super) fn shed_decoders(&mut self) {
        self.messages.shed_decoders();
    }

    /// When it was opened or last moved bytes.
    pub(super) const fn used(&self) -> Nanos {
        self.used
    }

    /// Takes bytes.
    pub(super) fn data(&mut self, data: &Data<'_>) -> Taken {
        self.used = data.at;
        let late = self.is_late(data);
        let stale = self.assembler.dropped();
        let parts = self.assembler.push(data);
        let stale = self.assembler.dropped() - stale;
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
        Taken {
            missed: parts.gap_before + parts.gap_after,
            stale,
            late,
        }
    }

    /// Whether it shows now, for the first time, that something passed before the first head. A
    /// TLS connection says that it may be late whenever its socket is not known.
    fn is_late(&mut self, data: &Data<'_>) -> bool {
        let unsure = std::mem::take(&mut self.unsure[data.direction.index()]);
        let late = unsure && data.offset > 0;
        if late {
            self.unsure = [false; 2];
        }
        late
    }

    /// What could not be read since the last time.
    pub(super) fn take_losses(&mut self) -> Losses {
        self.messages.take_losses()
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
        grant.ignore = u64::from(self.messages.is_ignored());
        if grant == self.grant {
            return None;
        }
        self.grant = grant;
        Some(grant)
    }
}
