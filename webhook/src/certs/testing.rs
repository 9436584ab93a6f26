//! Certificates for tests.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::registry::Registry;
use rustls::pki_types::ServerName;

use super::issue::{BACKDATE, issue};
use super::keeper::Keeper;
use super::pair::{Pair, Texts};
use crate::metrics::Metrics;
use crate::readiness::{Condition, Readiness};
use crate::serve::Served;

pub(crate) const NAME: &str = "webhook.kaos.svc";

pub(crate) fn day(n: u64) -> SystemTime {
    UNIX_EPOCH + days(20_000 + n)
}

pub(crate) fn days(n: u64) -> Duration {
    Duration::from_hours(n * 24)
}

pub(crate) fn names() -> Vec<ServerName<'static>> {
    vec![ServerName::try_from(NAME).unwrap()]
}

/// Texts issued at `issued` for `life`.
pub(crate) fn texts(issued: SystemTime, life: Duration) -> Texts {
    issue(&[NAME.to_owned()], issued, life).unwrap()
}

pub(crate) fn read(texts: &Texts) -> Pair {
    Pair::read(texts, &names(), &rustls::crypto::ring::default_provider()).unwrap()
}

pub(crate) fn pair(issued: SystemTime, life: Duration) -> Pair {
    let pair = read(&texts(issued, life));
    assert_eq!(pair.not_before() + BACKDATE, issued);
    pair
}

/// Serves nothing yet.
pub(crate) fn keeper() -> Keeper {
    Keeper {
        served: Arc::new(Served::default()),
        metrics: Arc::new(Metrics::new(&mut Registry::default())),
        readiness: Readiness::of(&[Condition::Certificate]),
        provider: Arc::new(rustls::crypto::ring::default_provider()),
        names: names(),
    }
}

/// A folder that goes with its owner.
pub(crate) struct Folder(std::path::PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("kaos-webhook-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _from_a_run_that_was_killed = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone_already = std::fs::remove_dir_all(&self.0);
    }
}
