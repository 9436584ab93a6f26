//! Which client's call and which server's call are the two ends of one.

use super::Stitcher;
use super::calls::Live;
use crate::call::{Call, CallKey, CallKind};
use crate::ids::{Nanos, Role};

/// How much later than it happened a write may be seen: its thread can lose its processor between
/// the write and our program. The other end may have read, served and answered by then.
const SEEN_LATE: Nanos = 20_000_000;

impl Stitcher {
    /// Joins a call with its other end if that is known for certain.
    pub(super) fn try_join(&mut self, key: CallKey) {
        let Some(peer) = self.find_peer(key) else {
            return;
        };
        for (one, other) in [(key, peer), (peer, key)] {
            if let Some(live) = self.calls.get_mut(&one) {
                live.peer = Some(other);
                if live.call.is_some() {
                    self.wake.push_back(one);
                }
            }
            self.wake_waiters(one.into());
        }
    }

    /// The n-th exchange of one end is the n-th of the other where both were seen from their
    /// first byte. A hole between two exchanges shifts the numbers unnoticed, so where the times
    /// speak against it both must have ended and agree. Where one was joined late or is known to
    /// have a hole, numbers say nothing: then the one finished call of the same method and path
    /// that fits in time, if there is just one.
    fn find_peer(&self, key: CallKey) -> Option<CallKey> {
        let live = self.calls.get(&key).filter(|l| is_free(l))?;
        let conn = self.connections.get(key.conn)?;
        let other = self.connections.get(conn.peer?)?;
        if conn.counted && other.counted {
            let peer = CallKey {
                conn: conn.peer?,
                ..key
            };
            let found = self.calls.get(&peer)?;
            let both_ended = live.call.is_some() && found.call.is_some();
            let late = if both_ended { SEEN_LATE } else { 0 };
            return (fits(live, found, late) && agree(live, found)).then_some(peer);
        }
        [0, SEEN_LATE]
            .into_iter()
            .find_map(|late| self.only_pair(key, &conn.calls, &other.calls, late))
    }

    /// The only one of the other end's finished calls that fits, if this is the only one that fits
    /// it.
    fn only_pair(
        &self,
        key: CallKey,
        own: &[CallKey],
        others: &[CallKey],
        late: Nanos,
    ) -> Option<CallKey> {
        let peer = self.only_fit(key, others, late)?;
        self.only_fit(peer, own, late).filter(|back| *back == key)?;
        let (live, found) = (self.calls.get(&key)?, self.calls.get(&peer)?);
        let certain = live.call.is_some() && found.call.is_some();
        (certain && agree(live, found)).then_some(peer)
    }

    fn only_fit(&self, key: CallKey, among: &[CallKey], late: Nanos) -> Option<CallKey> {
        let live = self.calls.get(&key)?;
        let mut fitting = among.iter().filter(|k| {
            let other = self.calls.get(k);
            k.part == key.part && other.is_some_and(|other| fits(live, other, late))
        });
        let found = fitting.next().copied();
        found.filter(|_| fitting.next().is_none())
    }

    /// Calls at the other end of this call's connection that wait for it.
    pub(super) fn wake_peers_of(&mut self, key: CallKey) {
        let peer = self.calls.get(&key).and_then(|l| l.peer);
        self.wake.extend(peer);
        let other = self.connections.get(key.conn).and_then(|c| c.peer);
        if let Some(other) = other.and_then(|id| self.connections.get(id)) {
            let waiting = |k: &&CallKey| self.calls.get(k).is_some_and(|l| l.call.is_some());
            self.wake.extend(other.calls.iter().filter(waiting));
        }
    }
}

/// Nothing is known of its other end yet.
const fn is_free(live: &Live) -> bool {
    live.peer.is_none() && live.far.is_none() && live.client.is_none()
}

fn fits(one: &Live, other: &Live, late: Nanos) -> bool {
    one.role != other.role && is_free(other) && one.overlaps(other, late)
}

/// Whether method, path and the id in the body are the same, as far as both are known. The target
/// in absolute form and the one in origin form have the same path.
fn agree(one: &Live, other: &Live) -> bool {
    let (Some(a), Some(b)) = (one.call.as_deref(), other.call.as_deref()) else {
        return true;
    };
    let same_id = match (id(a), id(b)) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    same_request(a, b) && same_id
}

fn same_request(a: &Call, b: &Call) -> bool {
    debug_assert_ne!(a.role == Role::Client, b.role == Role::Client);
    a.http.method == b.http.method && a.http.path == b.http.path
}

/// What both ends read in the bodies.
fn id(call: &Call) -> Option<&str> {
    if let CallKind::Mcp(mcp) = &call.kind {
        return mcp.request_id.as_deref();
    }
    match &call.kind {
        CallKind::Inference(inference) => inference.response_id.as_deref(),
        CallKind::Agent(agent) => agent.request_id.as_deref(),
        _ => None,
    }
}
