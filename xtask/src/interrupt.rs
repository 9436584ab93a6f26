//! Ctrl-C and SIGTERM: a chore that started processes ends them before it ends itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Result, bail};

static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From here on, Ctrl-C and SIGTERM are only noted; a second one ends the process at once.
pub(crate) fn listen() -> Result<()> {
    let asked = ASKED.get_or_init(|| Arc::new(AtomicBool::new(false)));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // In this order: the first signal finds the flag unset and only sets it.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(asked))?;
        signal_hook::flag::register(signal, Arc::clone(asked))?;
    }
    Ok(())
}

/// Whether somebody asked to stop.
pub(crate) fn asked() -> bool {
    ASKED
        .get()
        .is_some_and(|asked| asked.load(Ordering::Relaxed))
}

/// An error once somebody asked to stop, so that `?` unwinds to where things are cleaned up.
pub(crate) fn check() -> Result<()> {
    if asked() {
        bail!("stopped");
    }
    Ok(())
}
