//! How many files this program may have open: each place that is hooked is one, and the usual
//! limit of 1024 is that of some 85 libraries.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as it goes. Where that is refused there are fewer hooks.
pub(super) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    set(limit.maximum);
}

/// The limit now; `None` is none.
pub(super) fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Sets the limit; it may be lowered, and raised again.
pub(super) fn set(current: Option<u64>) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current, maximum }) {
        tracing::warn!(%error, "cannot change the limit of open files");
    }
}
