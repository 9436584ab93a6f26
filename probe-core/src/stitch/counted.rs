//! The two ends of a call whose connection does not tell that they belong together.
//!
//! TLS through memory (asyncio, Node) has no socket that we know, and addresses are rewritten on
//! the way to a container's published port or a Service. Both ends are seen and neither knows of
//! the other, so each would count the generation. The response's id is in both.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher as _;

/// Ends that are remembered until the other one comes.
const MOST: usize = 4096;

/// The ends of unjoined model calls whose other end has not been seen.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// By the response's id.
    open: HashMap<u64, Ends>,
    order: VecDeque<u64>,
    hasher: RandomState,
}

/// How often each end was seen without the other. Some servers give all responses one id.
#[derive(Debug, Default)]
struct Ends {
    servers: u32,
    clients: u32,
}

impl Counted {
    /// A server's end; true when a client's end was seen before, which counts the generation.
    /// That of a proxy may be the one that it forwards by, so a proxy has no such match.
    pub(super) fn server(&mut self, id: &str, is_proxy: bool) -> bool {
        let ends = self.ends(id);
        let matches = !is_proxy && take(&mut ends.clients);
        if !matches {
            ends.servers = ends.servers.saturating_add(1);
        }
        matches
    }

    /// A client's end; true when its server's end was seen before.
    pub(super) fn client(&mut self, id: &str) -> bool {
        let ends = self.ends(id);
        let matches = take(&mut ends.servers);
        if !matches {
            ends.clients = ends.clients.saturating_add(1);
        }
        matches
    }

    /// Ids are as long as a server likes; who sends them cannot choose their hashes.
    fn ends(&mut self, id: &str) -> &mut Ends {
        let key = self.hasher.hash_one(id);
        if !self.open.contains_key(&key) {
            self.order.push_back(key);
            self.make_room();
        }
        self.open.entry(key).or_default()
    }

    fn make_room(&mut self) {
        while self.order.len() > MOST {
            if let Some(oldest) = self.order.pop_front() {
                self.open.remove(&oldest);
            }
        }
    }
}

fn take(seen: &mut u32) -> bool {
    let there = *seen > 0;
    *seen = seen.saturating_sub(1);
    there
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_one_match() {
        let mut counted = Counted::default();
        for _ in 0..3 {
            assert!(!counted.server("constant", false));
        }
        for _ in 0..3 {
            assert!(counted.client("constant"));
        }
        assert!(!counted.client("constant"));
        assert!(counted.server("constant", false));
    }

    #[test]
    fn a_proxy_is_no_match_for_its_own_call() {
        let mut counted = Counted::default();
        assert!(!counted.client("one"), "the model is elsewhere");
        assert!(!counted.server("one", true));
        assert!(counted.client("one"), "who asked the proxy");
    }

    #[test]
    fn what_has_no_match_is_forgotten() {
        let mut counted = Counted::default();
        for number in 0..3 * MOST {
            assert!(!counted.client(&number.to_string()));
        }
        assert!(counted.open.len() <= MOST && counted.order.len() <= MOST);
        assert!(counted.server(&(3 * MOST - 1).to_string(), false));
        assert!(!counted.server("0", false));
    }
}
