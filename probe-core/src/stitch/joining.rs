//! Which client's call and which server's call are the two ends of one.

use super::Stitcher;
use super::calls::Live;
use crate::call::{Call, CallKey};
use crate::ids::Role;

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
    /// first byte. Where one was joined late or has a hole, numbers say nothing: then the one
    /// finished call of the same method and path that overlaps in time, if there is just one.
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
            return (fits(live, found) && agree(live, found)).then_some(peer);
        }
        let peer = self.only_fit(key, live, &other.calls)?;
        let found = self.calls.get(&peer)?;
        // The same must hold the other way round: there it is this call alone.
        self.only_fit(peer, found, &conn.calls)?;
        let certain = live.call.is_some() && found.call.is_some();
        (certain && agree(live, found)).then_some(peer)
    }

    fn only_fit(&self, key: CallKey, live: &Live, among: &[CallKey]) -> Option<CallKey> {
        let mut fitting = among.iter().filter(|k| {
            k.part == key.part && self.calls.get(k).is_some_and(|other| fits(live, other))
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

fn fits(one: &Live, other: &Live) -> bool {
    one.role != other.role && is_free(other) && one.overlaps(other)
}

/// Whether method and path are the same, as far as both are known. The target in absolute form
/// and the one in origin form have the same path.
fn agree(one: &Live, other: &Live) -> bool {
    let (Some(a), Some(b)) = (one.call.as_deref(), other.call.as_deref()) else {
        return true;
    };
    same_request(a, b)
}

fn same_request(a: &Call, b: &Call) -> bool {
    debug_assert_ne!(a.role == Role::Client, b.role == Role::Client);
    a.http.method == b.http.method && a.http.path == b.http.path
}
