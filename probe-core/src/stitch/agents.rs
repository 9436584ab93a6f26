//! Agents are not models: who of the servers is an agent.

use super::Stitcher;
use super::processes::Card;
use crate::call::{Call, CallKind, Operation};
use crate::ids::{ConnId, ProcessId, Role};

/// The agent at the far end of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Agent {
    /// Its name, where it is known.
    pub(super) name: Option<String>,
}

impl Agent {
    fn of(card: &Card) -> Self {
        Self {
            name: card.name.clone(),
        }
    }
}

impl Stitcher {
    /// Remembers an agent card that was served or fetched with success.
    pub(super) fn learn_card(&mut self, call: &Call) {
        let CallKind::AgentCard { name } = &call.kind else {
            return;
        };
        if !call.http.status.is_some_and(|s| (200..300).contains(&s)) {
            return;
        }
        let prefix = card_prefix(&call.http.path);
        let mut places = match call.role {
            Role::Server => vec![None],
            Role::Client => self.places(call).into_iter().map(Some).collect(),
        };
        for server in places.drain(..) {
            let card = Card {
                server,
                prefix: prefix.to_owned(),
                name: name.clone(),
            };
            if !self.processes.card(call.process, card) {
                self.counters.cards_refused += 1;
            }
        }
    }

    /// The agent that a call asks, if evidence says that it is one.
    ///
    /// The evidence is the server process's `AGENT_NAME`, or a card: served by the server's
    /// process, or fetched by the client's process from the same host and port, each under the
    /// same path (a gateway serves models and agents under one host).
    pub(super) fn agent_of(&self, call: &Call) -> Option<Agent> {
        let under: fn(&str, &str) -> bool = match &call.kind {
            CallKind::Inference(i) if i.operation == Operation::Chat => is_chat_under,
            CallKind::Agent(_) => is_under,
            _ => return None,
        };
        let fits = |card: &&Card| under(&call.http.path, &card.prefix);
        let server = match call.role {
            Role::Server => Some(call.process),
            Role::Client => self.peer_process(call.key.conn),
        };
        if let Some(agent) = server.and_then(|p| self.agent_process(p, fits)) {
            return Some(agent);
        }
        if call.role == Role::Server {
            return None;
        }
        let places = self.places(call);
        let there = |card: &&Card| card.server.as_ref().is_some_and(|s| places.contains(s));
        let cards = self.processes.cards(call.process).iter();
        cards
            .filter(there)
            .filter(fits)
            .max_by_key(|card| card.prefix.len())
            .map(Agent::of)
    }

    fn agent_process(&self, id: ProcessId, fits: impl Fn(&&Card) -> bool) -> Option<Agent> {
        if let Some(name) = self.processes.facts(id).and_then(|f| f.agent_name.clone()) {
            return Some(Agent { name: Some(name) });
        }
        let cards = self.processes.cards(id).iter();
        let own = cards.filter(|card| card.server.is_none());
        own.filter(fits)
            .max_by_key(|card| card.prefix.len())
            .map(Agent::of)
    }

    pub(super) fn peer_process(&self, conn: ConnId) -> Option<ProcessId> {
        let peer = self.connections.get(conn)?.peer?;
        Some(self.connections.get(peer)?.process)
    }

    /// The server of a client's call by its names: as the request says it, and by the socket.
    fn places(&self, call: &Call) -> Vec<(String, u16)> {
        let http = &call.http;
        let mut places = Vec::with_capacity(2);
        if let Some(host) = &http.host {
            let port = http.port.unwrap_or(if http.tls { 443 } else { 80 });
            places.push((host.to_ascii_lowercase(), port));
        }
        if let Some(endpoints) = self
            .connections
            .get(call.key.conn)
            .and_then(|c| c.endpoints)
        {
            let ip = endpoints.peer.ip().to_canonical().to_string();
            places.push((ip, endpoints.peer.port()));
        }
        places
    }
}

/// True for a path that begins with `prefix`, whole segments of it.
fn is_under(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix);
    rest.is_some_and(|r| r.is_empty() || r.starts_with('/'))
}

/// What stands before `/.well-known/` in the path of a card.
fn card_prefix(path: &str) -> &str {
    path.find("/.well-known/").map_or("", |at| &path[..at])
}

/// True for the chat endpoint that belongs to a card under `prefix`, and to no deeper service.
fn is_chat_under(path: &str, prefix: &str) -> bool {
    let Some(rest) = path.strip_prefix(prefix) else {
        return false;
    };
    let rest = rest.strip_prefix("/v1").unwrap_or(rest);
    matches!(rest, "/chat/completions" | "/responses" | "/messages")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_speaks_for_its_own_path_only() {
        let prefix = card_prefix("/ns/agent/boss/.well-known/agent.json");
        assert_eq!(prefix, "/ns/agent/boss");
        assert!(is_chat_under("/ns/agent/boss/v1/chat/completions", prefix));
        assert!(!is_chat_under("/ns/modelapi/m/v1/chat/completions", prefix));
        assert!(!is_chat_under(
            "/ns/agent/boss2/v1/chat/completions",
            prefix
        ));
        assert_eq!(card_prefix("/.well-known/agent-card.json"), "");
        assert!(is_chat_under("/v1/chat/completions", ""));
        assert!(!is_chat_under("/modelapi/v1/chat/completions", ""));
    }
}
