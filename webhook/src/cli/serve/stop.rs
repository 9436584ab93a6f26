//! The end: not ready, then drained, then stopped.

use std::time::Duration;

use kaos_webhook::readiness::{Condition, Readiness};
use kaos_webhook::serve::Phase;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Waits for SIGTERM or Ctrl-C and then goes through the phases. A second signal ends the process
/// at once.
pub(super) async fn asked(
    readiness: &Readiness,
    phase: &watch::Sender<Phase>,
    drain: Duration,
) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    signals.next().await;
    tokio::spawn(async move {
        signals.next().await;
        tracing::warn!("Ending at once.");
        std::process::exit(1);
    });
    tracing::info!(
        ?drain,
        "Ending: serving on until API servers have heard of it."
    );
    readiness.set(Condition::Running, Err("ending".to_owned()));
    phase.send_replace(Phase::Draining);
    tokio::time::sleep(drain).await;
    tracing::info!("Taking no new connection.");
    phase.send_replace(Phase::Stopped);
    Ok(())
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
