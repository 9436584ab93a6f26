//! Whose spans these are: one resource per observed process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use probe_core::ids::{Nanos, ProcessId};
use probe_core::span::Value;

/// How long a process's resource outlives it: its last calls may still be on their way.
pub(crate) const FORGET_AFTER: Nanos = 60_000_000_000;

/// The most processes that are kept. Beyond it the one that ended first is forgotten early, and
/// if all are alive new ones are exported under [`Resource::unknown`].
const MAX_PROCESSES: usize = 16_384;

/// A resource: who made the telemetry, in OpenTelemetry's terms.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Resource {
    /// Attributes by their OpenTelemetry names, each name once.
    pub(crate) attributes: Vec<(String, Value)>,
    /// The name of the process in `/proc`, for filters; it is not exported.
    pub(crate) comm: Option<String>,
}

impl Resource {
    /// The resource of a process of which nothing is known but its number.
    pub(crate) fn unknown(process: ProcessId) -> Self {
        Self {
            attributes: vec![
                ("service.name".to_owned(), Value::Static("unknown_service")),
                ("process.pid".to_owned(), Value::Int(process.tgid.into())),
            ],
            comm: None,
        }
    }

    /// An attribute's value.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        let mut attributes = self.attributes.iter();
        attributes
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// The value of an attribute that is a string.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Static(text) => Some(text),
            Value::String(text) => Some(text),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Strings(_) => None,
        }
    }

    /// Sets an attribute, in the place of its old value if there is one.
    pub(crate) fn set(&mut self, name: &str, value: Value) {
        match self.attributes.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = value,
            None => self.attributes.push((name.to_owned(), value)),
        }
    }
}

/// The resources of all observed processes. Discovery fills it, exporters read it.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    entries: Mutex<HashMap<ProcessId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    resource: Arc<Resource>,
    /// When the process ended, on the monotonic clock.
    ended: Option<Nanos>,
}

impl Registry {
    /// Sets or replaces the resource of a process.
    pub(crate) fn insert(&self, process: ProcessId, resource: Arc<Resource>) {
        let mut entries = self.lock();
        if entries.len() >= MAX_PROCESSES && !entries.contains_key(&process) {
            let ended = entries
                .iter()
                .filter_map(|(id, entry)| Some((entry.ended?, *id)));
            let Some((_, first)) = ended.min() else {
                return;
            };
            entries.remove(&first);
        }
        let ended = entries.get(&process).and_then(|entry| entry.ended);
        entries.insert(process, Entry { resource, ended });
    }

    /// The resource of a process, or one that says that nothing is known.
    pub(crate) fn get(&self, process: ProcessId) -> Arc<Resource> {
        let known = self
            .lock()
            .get(&process)
            .map(|entry| Arc::clone(&entry.resource));
        known.unwrap_or_else(|| Arc::new(Resource::unknown(process)))
    }

    /// Notes that a process ended, at a time of the monotonic clock.
    pub(crate) fn ended(&self, process: ProcessId, at: Nanos) {
        if let Some(entry) = self.lock().get_mut(&process) {
            entry.ended.get_or_insert(at);
        }
    }

    /// Forgets the processes that ended [`FORGET_AFTER`] before `now`, and says which.
    pub(crate) fn sweep(&self, now: Nanos) -> Vec<ProcessId> {
        let mut forgotten = Vec::new();
        self.lock().retain(|process, entry| {
            let keep = entry
                .ended
                .is_none_or(|ended| now.saturating_sub(ended) < FORGET_AFTER);
            if !keep {
                forgotten.push(*process);
            }
            keep
        });
        forgotten
    }

    /// How many processes are known.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// A panic elsewhere leaves the map whole: no update has a half-way state.
    fn lock(&self) -> MutexGuard<'_, HashMap<ProcessId, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(tgid: u32) -> ProcessId {
        ProcessId { tgid, start: 1 }
    }

    #[test]
    fn a_process_is_forgotten_sixty_seconds_after_its_end() {
        let registry = Registry::default();
        let mut resource = Resource::default();
        resource.set("service.name", Value::Static("a"));
        registry.insert(process(1), Arc::new(resource.clone()));
        registry.insert(process(2), Arc::new(resource));
        registry.ended(process(1), 1_000);
        registry.ended(process(1), 9_000);
        assert_eq!(registry.sweep(1_000 + FORGET_AFTER - 1), []);
        assert_eq!(registry.get(process(1)).text("service.name"), Some("a"));
        assert_eq!(registry.sweep(1_000 + FORGET_AFTER), [process(1)]);
        assert_eq!(
            registry.get(process(1)).text("service.name"),
            Some("unknown_service")
        );
        assert_eq!(registry.len(), 1);
    }

    #[test]
    fn a_full_registry_gives_up_the_process_that_ended_first() {
        let registry = Registry::default();
        let resource = Arc::new(Resource::default());
        for tgid in 0..MAX_PROCESSES as u32 {
            registry.insert(process(tgid), Arc::clone(&resource));
        }
        registry.insert(process(99_999), Arc::clone(&resource));
        assert_eq!(registry.len(), MAX_PROCESSES);
        assert!(registry.get(process(99_999)).get("process.pid").is_some());
        registry.ended(process(7), 20);
        registry.ended(process(8), 10);
        registry.insert(process(99_999), Arc::clone(&resource));
        assert_eq!(registry.len(), MAX_PROCESSES);
        assert!(registry.get(process(8)).get("process.pid").is_some());
        assert!(registry.get(process(99_999)).get("process.pid").is_none());
    }

    #[test]
    fn setting_twice_replaces() {
        let mut resource = Resource::unknown(process(4));
        resource.set("service.name", Value::Static("b"));
        assert_eq!(resource.text("service.name"), Some("b"));
        assert_eq!(resource.attributes.len(), 2);
        assert_eq!(resource.text("process.pid"), None);
    }
}
