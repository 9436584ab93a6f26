//! Serves what is good, keeps the last good, and says which it is.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;

use super::pair::{Age, Authority, BadPair, Pair, Texts};
use crate::metrics::{Attempt, Metrics};
use crate::readiness::{Condition, Readiness};
use crate::serve::Served;

/// What whoever brings certificates needs.
#[derive(Clone, Debug)]
pub struct Keeper {
    /// Where good ones go.
    pub served: Arc<Served>,
    /// Where reads are counted.
    pub metrics: Arc<Metrics>,
    /// Where [`Condition::Certificate`] and [`Condition::Bundle`] are said.
    pub readiness: Readiness,
    /// Who computes.
    pub provider: Arc<CryptoProvider>,
    /// The names that a certificate must be for.
    pub names: Vec<ServerName<'static>>,
}

impl Keeper {
    /// Reads, checks and counts.
    pub fn read(&self, texts: &Texts) -> Result<Arc<Pair>, BadPair> {
        let pair = Pair::read(texts, &self.names, &self.provider);
        let attempt = if pair.is_ok() {
            Attempt::Ok
        } else {
            Attempt::Failed
        };
        self.metrics.certificate_read(attempt);
        pair.map(Arc::new)
    }

    /// Serves `pair` unless it is served already.
    pub fn serve(&self, pair: &Arc<Pair>) {
        let current = self.served.current();
        if current.is_some_and(|current| current.is(pair)) {
            return;
        }
        let until = unix(pair.not_after());
        tracing::info!(until, "Serving another certificate.");
        self.metrics.certificate_expiry.set(until);
        self.served.publish(Arc::clone(pair));
    }

    /// Says whether what is served is good at `now` for clients that trust `bundle`.
    /// `trouble` is why there is nothing better.
    pub fn judge(&self, bundle: Option<&[Authority]>, trouble: Option<&str>, now: SystemTime) {
        let Some(pair) = self.served.current() else {
            let why = trouble.unwrap_or("none was found yet").to_owned();
            self.readiness.set(Condition::Certificate, Err(why));
            return;
        };
        let state = match pair.age(now) {
            Age::Good => Ok(()),
            Age::NotYet => Err(BadPair::NotYet.to_string()),
            Age::Expired => Err(BadPair::Expired.to_string()),
        };
        self.readiness.set(Condition::Certificate, state);
        let state = match bundle {
            None => Err("the webhook configuration was not found".to_owned()),
            Some(bundle) if pair.chains_to(bundle, now) => Ok(()),
            Some(_) => Err("caBundle does not cover the served certificate".to_owned()),
        };
        self.readiness.set(Condition::Bundle, state);
    }
}

/// Seconds since 1970.
fn unix(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
