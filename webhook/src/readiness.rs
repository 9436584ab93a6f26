//! Whether API servers should call this replica, and if not, why.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What must be good before a replica is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// A certificate is served, and its time is now.
    Certificate,
    /// API servers are told to trust that certificate.
    Bundle,
    /// Settings were read.
    Settings,
    /// The namespaces were listed once.
    Namespaces,
    /// The custom resources of all kinds were listed once, or their kind does not exist: what
    /// they turn off is known.
    Components,
    /// The end has not begun.
    Running,
}

impl Condition {
    const fn label(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Bundle => "ca-bundle",
            Self::Settings => "settings",
            Self::Namespaces => "namespaces",
            Self::Components => "components",
            Self::Running => "running",
        }
    }
}

/// The state of all conditions; clones share it. Nothing on the admission path looks at it.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<Mutex<BTreeMap<Condition, Result<(), String>>>>);

impl Readiness {
    /// Waits for each of `conditions`.
    #[must_use]
    pub fn of(conditions: &[Condition]) -> Self {
        let waiting = |it: &Condition| (*it, Err("not yet".to_owned()));
        Self(Arc::new(Mutex::new(
            conditions.iter().map(waiting).collect(),
        )))
    }

    /// Says how a condition stands; those that nobody waits for are passed over.
    pub fn set(&self, condition: Condition, state: Result<(), String>) {
        if let Some(slot) = self.lock().get_mut(&condition)
            && *slot != state
        {
            match &state {
                Ok(()) => tracing::info!(condition = condition.label(), "Good."),
                Err(why) => tracing::warn!(condition = condition.label(), %why, "Not good."),
            }
            *slot = state;
        }
    }

    /// Whether one is good; those that nobody waits for are.
    #[must_use]
    pub fn is_good(&self, condition: Condition) -> bool {
        self.lock().get(&condition).is_none_or(Result::is_ok)
    }

    /// Whether all conditions are good.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.lock().values().all(Result::is_ok)
    }

    /// A line for each condition, as the API server's own `/readyz?verbose` has them.
    #[must_use]
    pub fn report(&self) -> String {
        let mut text = String::new();
        for (condition, state) in &*self.lock() {
            let label = condition.label();
            let _ = match state {
                Ok(()) => writeln!(text, "[+] {label} ok"),
                Err(why) => writeln!(text, "[-] {label}: {why}"),
            };
        }
        text
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Condition, Result<(), String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_conditions_must_be_good_at_the_same_time() {
        let readiness = Readiness::of(&[Condition::Certificate, Condition::Settings]);
        assert!(!readiness.is_ready());
        readiness.set(Condition::Certificate, Ok(()));
        readiness.set(Condition::Bundle, Err("nobody waits for it".to_owned()));
        assert!(!readiness.is_ready());
        assert_eq!(
            readiness.report(),
            "[+] certificate ok\n[-] settings: not yet\n"
        );
        assert!(readiness.is_good(Condition::Certificate));
        assert!(!readiness.is_good(Condition::Settings) && readiness.is_good(Condition::Bundle));
        readiness.set(Condition::Settings, Ok(()));
        assert!(readiness.is_ready());
        readiness.set(Condition::Certificate, Err("expired".to_owned()));
        assert!(!readiness.is_ready());
        assert!(readiness.report().contains("[-] certificate: expired\n"));
    }
}
