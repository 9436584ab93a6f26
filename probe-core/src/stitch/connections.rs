//! Which two connections are the two ends of one.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use super::address::{Address, Caller, normal};
use super::translated::Translated;
use crate::call::CallKey;
use crate::ids::{ConnId, ConnInfo, Endpoints, Nanos, ProcessId, Role, Transport};

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) process: ProcessId,
    pub(super) transport: Transport,
    pub(super) endpoints: Option<Endpoints>,
    /// Its exchanges are numbered from its first one: nothing was missed so far.
    pub(super) counted: bool,
    /// The other end, once known for certain.
    pub(super) peer: Option<ConnId>,
    /// The calls on it that have not left.
    pub(super) calls: Vec<CallKey>,
    pub(super) closed: Option<Nanos>,
    /// When its process accepted it.
    pub(super) accepted: Option<Nanos>,
    /// Which end of it is seen, once a call has told.
    role: Option<Role>,
    /// Two sockets had these addresses at once: nothing is certain any more.
    ambiguous: bool,
}

/// The connections that are known, bounded.
#[derive(Debug)]
pub(super) struct Connections {
    conns: HashMap<ConnId, Conn>,
    /// The newest connection of each address; older ones have closed or are ambiguous.
    by_address: HashMap<Address, ConnId>,
    /// All of them, by their client's address alone.
    translated: Translated,
    /// How many known connections have this local address.
    local: HashMap<IpAddr, usize>,
    order: VecDeque<ConnId>,
    capacity: usize,
}

impl Connections {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            conns: HashMap::new(),
            by_address: HashMap::new(),
            translated: Translated::default(),
            local: HashMap::new(),
            order: VecDeque::new(),
            capacity,
        }
    }

    pub(super) fn get(&self, id: ConnId) -> Option<&Conn> {
        self.conns.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.get_mut(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.conns.len()
    }

    /// Takes a connection in. Gives the one that must go to make room.
    pub(super) fn open(&mut self, info: &ConnInfo) -> Option<ConnId> {
        if self.conns.contains_key(&info.id) {
            self.bind(info);
            return None;
        }
        let oldest = (self.conns.len() >= self.capacity)
            .then(|| self.oldest())
            .flatten();
        self.conns.insert(
            info.id,
            Conn {
                process: info.process,
                transport: info.transport,
                endpoints: None,
                counted: !info.late,
                peer: None,
                calls: Vec::new(),
                closed: None,
                accepted: info.accepted,
                role: None,
                ambiguous: false,
            },
        );
        self.order.push_back(info.id);
        self.bind(info);
        oldest
    }

    fn oldest(&mut self) -> Option<ConnId> {
        loop {
            let id = self.order.pop_front()?;
            if self.conns.contains_key(&id) {
                return Some(id);
            }
        }
    }

    /// Learns the addresses of a connection, and looks for its other end. Addresses that say
    /// which connection it is are never replaced; such without a port (not yet connected) are.
    pub(super) fn bind(&mut self, info: &ConnInfo) {
        let Some(conn) = self.conns.get_mut(&info.id) else {
            return;
        };
        let transport = conn.transport;
        let Some(endpoints) = info.endpoints else {
            return;
        };
        let before = conn.endpoints;
        if before.is_some_and(|e| Address::new(transport, &e).is_some()) {
            return;
        }
        conn.endpoints = Some(endpoints);
        if let Some(before) = before {
            self.unlist(info.id, transport, &before, None);
        }
        *self.local.entry(normal(endpoints.local).0).or_default() += 1;
        if let Some(address) = Address::new(transport, &endpoints) {
            self.settle_address(info.id, address);
        }
        self.settle_caller(info.id);
    }

    /// A call on the connection says which end of it is seen.
    pub(super) fn plays(&mut self, id: ConnId, role: Role) {
        if let Some(conn) = self.conns.get_mut(&id).filter(|conn| conn.role.is_none()) {
            conn.role = Some(role);
            self.settle_caller(id);
        }
    }

    /// Joins what has the same client's address and nothing else in common.
    fn settle_caller(&mut self, id: ConnId) {
        let caller = self.conns.get(&id).and_then(|conn| {
            let (role, endpoints) = (conn.role?, conn.endpoints?);
            Some((Caller::new(conn.transport, &endpoints, role)?, role))
        });
        let Some((caller, role)) = caller else {
            return;
        };
        self.translated.list(id, caller, role);
        let ends = self.translated.only(caller, |id| self.is_open(id));
        let Some((client, server)) = ends else {
            return;
        };
        let free = |id| {
            let conn = self.conns.get(&id);
            conn.is_some_and(|c| c.peer.is_none() && !c.ambiguous)
        };
        if free(client) && free(server) {
            self.set_peer(client, Some(server));
            self.set_peer(server, Some(client));
        }
    }

    fn settle_address(&mut self, id: ConnId, address: Address) {
        let before = self.by_address.insert(address, id);
        if let Some(before) = before.filter(|b| self.is_open(*b)) {
            // Two live sockets cannot share their addresses: a close was missed, or they stand in
            // different networks. Which of them the other end belongs to would be a guess.
            self.doubt(before);
            self.doubt(id);
            return;
        }
        let Some(&other) = self.by_address.get(&address.flip()) else {
            return;
        };
        let free = self
            .conns
            .get(&other)
            .is_some_and(|o| o.closed.is_none() && o.peer.is_none() && !o.ambiguous);
        if free && other != id {
            self.set_peer(id, Some(other));
            self.set_peer(other, Some(id));
        }
    }

    fn is_open(&self, id: ConnId) -> bool {
        self.conns.get(&id).is_some_and(|c| c.closed.is_none())
    }

    fn doubt(&mut self, id: ConnId) {
        let peer = self.conns.get_mut(&id).and_then(|conn| {
            conn.ambiguous = true;
            conn.peer.take()
        });
        if let Some(peer) = peer {
            self.set_peer(peer, None);
        }
    }

    fn set_peer(&mut self, id: ConnId, peer: Option<ConnId>) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.peer = peer;
        }
    }

    /// Forgets a connection.
    pub(super) fn remove(&mut self, id: ConnId) {
        let Some(conn) = self.conns.remove(&id) else {
            return;
        };
        if let Some(peer) = conn.peer {
            self.set_peer(peer, None);
            // Its calls had their other end here; a new socket with these addresses is another.
            if let Some(peer) = self.conns.get_mut(&peer) {
                peer.ambiguous = true;
            }
        }
        if let Some(endpoints) = conn.endpoints {
            self.unlist(id, conn.transport, &endpoints, conn.role);
        }
        // Ids of removed connections pile up here only until as many again were removed.
        if self.order.len() > 2 * self.conns.len() + 64 {
            self.order.retain(|id| self.conns.contains_key(id));
        }
    }

    fn unlist(
        &mut self,
        id: ConnId,
        transport: Transport,
        endpoints: &Endpoints,
        role: Option<Role>,
    ) {
        if let Some(role) = role
            && let Some(caller) = Caller::new(transport, endpoints, role)
        {
            self.translated.unlist(id, caller, role);
        }
        let ip = normal(endpoints.local).0;
        if let Some(count) = self.local.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                self.local.remove(&ip);
            }
        }
        if let Some(address) = Address::new(transport, endpoints)
            && self.by_address.get(&address) == Some(&id)
        {
            self.by_address.remove(&address);
        }
    }

    /// Whether the other end of `id` is known, or may still become known: it is on this host as
    /// far as the addresses say.
    pub(super) fn may_have_peer(&self, id: ConnId) -> bool {
        let Some(conn) = self.conns.get(&id) else {
            return false;
        };
        if conn.peer.is_some() {
            return true;
        }
        let Some(endpoints) = conn.endpoints.filter(|_| !conn.ambiguous) else {
            return false;
        };
        let peer = normal(endpoints.peer).0;
        Address::new(conn.transport, &endpoints).is_some()
            && (peer.is_loopback() || self.local.contains_key(&peer))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn connections_that_come_and_go_leave_nothing() {
        let mut connections = Connections::new(8);
        for n in 0..10_000_u64 {
            let port = u16::try_from(n % 50_000 + 1).expect("a port");
            let info = ConnInfo {
                id: ConnId(n),
                process: ProcessId { tgid: 1, start: 1 },
                transport: Transport::Plain,
                endpoints: Some(Endpoints {
                    local: SocketAddr::from(([10, 0, 0, 1], port)),
                    peer: SocketAddr::from(([10, 0, 0, 2], 80)),
                    netns: 1,
                }),
                late: false,
                accepted: None,
            };
            assert_eq!(connections.open(&info), None);
            connections.remove(ConnId(n));
        }
        assert_eq!(connections.len(), 0);
        assert!(connections.order.len() < 100);
        assert!(connections.by_address.is_empty() && connections.local.is_empty());
        assert!(connections.translated.is_empty());
    }
}
