//! The addresses of a connection, as far as they tell which one it is.

use std::net::{IpAddr, SocketAddr};

use crate::ids::{Endpoints, Role, Transport};

/// What makes two ends meet: the addresses as one end sees them, the namespace where they are
/// only valid inside one, and the tap (a TLS connection's own socket is another connection with
/// the same addresses).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Address {
    transport: Transport,
    netns: u32,
    local: (IpAddr, u16),
    peer: (IpAddr, u16),
}

impl Address {
    /// `None` for addresses that can say nothing of the other end.
    pub(super) fn new(transport: Transport, endpoints: &Endpoints) -> Option<Self> {
        let (local, peer) = (normal(endpoints.local), normal(endpoints.peer));
        let known = |(ip, port): (IpAddr, u16)| !ip.is_unspecified() && port != 0;
        if !known(local) || !known(peer) {
            return None;
        }
        let scoped = is_scoped(local.0) || is_scoped(peer.0);
        if scoped && endpoints.netns == 0 {
            return None;
        }
        Some(Self {
            transport,
            netns: if scoped { endpoints.netns } else { 0 },
            local,
            peer,
        })
    }

    /// The same connection from its other end.
    pub(super) const fn flip(self) -> Self {
        Self {
            local: self.peer,
            peer: self.local,
            ..self
        }
    }
}

/// The client's address of a connection, as both ends see it: what stands between them may
/// replace the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Caller {
    transport: Transport,
    client: (IpAddr, u16),
}

impl Caller {
    /// `None` for addresses that are valid inside a namespace only: nothing translates those.
    pub(super) fn new(transport: Transport, endpoints: &Endpoints, role: Role) -> Option<Self> {
        let address = Address::new(transport, endpoints)?;
        if is_scoped(address.local.0) || is_scoped(address.peer.0) {
            return None;
        }
        let client = match role {
            Role::Server => address.peer,
            Role::Client => address.local,
        };
        Some(Self { transport, client })
    }
}

/// IPv4 addresses that a dual-stack socket shows as IPv6 are IPv4; flow labels and scopes are
/// one end's own.
pub(super) const fn normal(address: SocketAddr) -> (IpAddr, u16) {
    (address.ip().to_canonical(), address.port())
}

/// True for addresses that mean something inside one network namespace or link only.
const fn is_scoped(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local(),
    }
}
