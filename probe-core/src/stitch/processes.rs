//! What is known of processes, and which of their calls are under way.

use std::collections::HashMap;

use super::facts::ProcessFacts;
use crate::call::CallKey;
use crate::ids::{ProcessId, Role};

/// Agent cards that a process served or fetched; more than this many are not remembered.
const MAX_CARDS: usize = 64;

/// Evidence that an agent answers at a place: a card was served there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Card {
    /// Host and port as the client asks for them; `None` for a card that the process served.
    pub(super) server: Option<(String, u16)>,
    /// The path before `/.well-known/`: gateways serve agents and models under one host.
    pub(super) prefix: String,
    /// The agent's name.
    pub(super) name: Option<String>,
}

/// The calls of a process that are under way.
#[derive(Debug, Default)]
pub(super) struct Running {
    pub(super) servers: Vec<CallKey>,
    pub(super) clients: Vec<CallKey>,
}

#[derive(Debug, Default)]
struct Process {
    facts: Option<ProcessFacts>,
    cards: Vec<Card>,
    running: Running,
    gone: bool,
}

impl Process {
    const fn is_empty(&self) -> bool {
        (self.facts.is_none() && self.cards.is_empty() || self.gone)
            && self.running.servers.is_empty()
            && self.running.clients.is_empty()
    }
}

/// The processes.
#[derive(Debug)]
pub(super) struct Processes {
    map: HashMap<ProcessId, Process>,
    capacity: usize,
}

impl Processes {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            map: HashMap::new(),
            capacity,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// Learns facts; false when there is no room for one more process.
    pub(super) fn seen(&mut self, id: ProcessId, facts: ProcessFacts) -> bool {
        match self.entry(id) {
            Some(process) => {
                process.facts = Some(facts);
                // An exec ends what the process was, under the same id.
                process.gone = false;
                true
            }
            None => false,
        }
    }

    /// The process ended: it is forgotten when its last call has left. Gives its calls.
    pub(super) fn gone(&mut self, id: ProcessId) -> Vec<CallKey> {
        let Some(process) = self.map.get_mut(&id) else {
            return Vec::new();
        };
        process.gone = true;
        let Running { servers, clients } = &process.running;
        let calls = servers.iter().chain(clients).copied().collect();
        self.tidy(id);
        calls
    }

    pub(super) fn facts(&self, id: ProcessId) -> Option<&ProcessFacts> {
        self.map.get(&id)?.facts.as_ref()
    }

    pub(super) fn running(&self, id: ProcessId) -> Option<&Running> {
        self.map.get(&id).map(|p| &p.running)
    }

    /// A call began; false when there is no room for one more process.
    pub(super) fn begin(&mut self, id: ProcessId, role: Role, key: CallKey) -> bool {
        let Some(process) = self.entry(id) else {
            return false;
        };
        match role {
            Role::Client => process.running.clients.push(key),
            Role::Server => process.running.servers.push(key),
        }
        true
    }

    /// A call left.
    pub(super) fn end(&mut self, id: ProcessId, role: Role, key: CallKey) {
        if let Some(process) = self.map.get_mut(&id) {
            let list = match role {
                Role::Client => &mut process.running.clients,
                Role::Server => &mut process.running.servers,
            };
            if let Some(at) = list.iter().position(|k| *k == key) {
                list.swap_remove(at);
            }
        }
        self.tidy(id);
    }

    /// A card was served or fetched; false when there is no room for it.
    pub(super) fn card(&mut self, id: ProcessId, card: Card) -> bool {
        let Some(process) = self.entry(id) else {
            return false;
        };
        let same = |c: &&mut Card| c.server == card.server && c.prefix == card.prefix;
        if let Some(known) = process.cards.iter_mut().find(same) {
            if card.name.is_some() {
                known.name = card.name;
            }
            return true;
        }
        let room = process.cards.len() < MAX_CARDS;
        if room {
            process.cards.push(card);
        }
        room
    }

    pub(super) fn cards(&self, id: ProcessId) -> &[Card] {
        self.map.get(&id).map_or(&[], |p| &p.cards)
    }

    fn entry(&mut self, id: ProcessId) -> Option<&mut Process> {
        if !self.map.contains_key(&id) && self.map.len() >= self.capacity {
            return None;
        }
        Some(self.map.entry(id).or_default())
    }

    fn tidy(&mut self, id: ProcessId) {
        if self.map.get(&id).is_some_and(Process::is_empty) {
            self.map.remove(&id);
        }
    }
}

/// Helpers: children that run their parent's own executable.
impl Processes {
    /// `child` is a helper of `parent`. Both are alive, so the parent's number is enough: its
    /// start time may not have been known when the child was looked at.
    pub(super) fn is_helper(&self, child: ProcessId, parent: ProcessId) -> bool {
        let (Some(child), Some(facts)) = (self.facts(child), self.facts(parent)) else {
            return false;
        };
        child.parent.is_some_and(|p| p.tgid == parent.tgid)
            && !child.executable.is_empty()
            && child.executable == facts.executable
    }

    /// The process is a helper of some known process. Looks at all of them: for rare questions.
    pub(super) fn is_own_helper(&self, id: ProcessId) -> bool {
        self.map.keys().any(|parent| self.is_helper(id, *parent))
    }

    /// Some known process is a helper of this one. Looks at all of them: for rare questions.
    pub(super) fn has_helper(&self, id: ProcessId) -> bool {
        self.map.keys().any(|child| self.is_helper(*child, id))
    }
}
