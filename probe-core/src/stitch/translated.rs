//! The two ends of a connection whose server's address was translated on the way.
//!
//! A Kubernetes Service has an address of its own, which the node's rules replace by a pod's: the
//! client's end never sees where its server is. The client's own address stays, and is enough
//! while one open connection has it. Which end is which says the first call on it.

use std::collections::HashMap;

use super::address::Caller;
use crate::ids::{ConnId, Role};

/// Connections by the address of their client.
#[derive(Debug, Default)]
pub(super) struct Translated {
    clients: HashMap<Caller, Vec<ConnId>>,
    servers: HashMap<Caller, Vec<ConnId>>,
}

impl Translated {
    /// This end of a connection became known, and its client's address.
    pub(super) fn list(&mut self, id: ConnId, caller: Caller, role: Role) {
        self.side(role).entry(caller).or_default().push(id);
    }

    /// It is forgotten.
    pub(super) fn unlist(&mut self, id: ConnId, caller: Caller, role: Role) {
        let side = self.side(role);
        if let Some(listed) = side.get_mut(&caller) {
            listed.retain(|it| *it != id);
            if listed.is_empty() {
                side.remove(&caller);
            }
        }
    }

    /// The only client's and the only server's end with this address, of those that are open.
    pub(super) fn only(
        &self,
        caller: Caller,
        is_open: impl Fn(ConnId) -> bool,
    ) -> Option<(ConnId, ConnId)> {
        let only = |side: &HashMap<Caller, Vec<ConnId>>| {
            let mut open = side.get(&caller)?.iter().filter(|id| is_open(**id));
            let first = *open.next()?;
            open.next().is_none().then_some(first)
        };
        Some((only(&self.clients)?, only(&self.servers)?))
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.clients.is_empty() && self.servers.is_empty()
    }

    const fn side(&mut self, role: Role) -> &mut HashMap<Caller, Vec<ConnId>> {
        match role {
            Role::Client => &mut self.clients,
            Role::Server => &mut self.servers,
        }
    }
}
