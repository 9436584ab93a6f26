//! Certificates from a folder, as kubelets mount Secrets.
//!
//! The contents are compared, now and then: notifications on a path miss the way in which a
//! mounted Secret changes, by a symbolic link to another folder.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use super::bundle::Bundle;
use super::keeper::Keeper;
use super::pair::{Age, Authority, BadPair, Pair, Texts};
use super::plan::{self, Generation, Known, Serve, Since};

/// How often the files are read.
const PERIOD: Duration = Duration::from_secs(1);

/// More than any certificate.
const MAX_BYTES: u64 = 1 << 20;

/// Serves what is in a folder, forever.
pub async fn run(folder: PathBuf, keeper: Keeper, mut bundle: watch::Receiver<Option<Bundle>>) {
    let mut source = Source::new(folder);
    let mut ticks = tokio::time::interval(PERIOD);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            // At once: nobody is ready before. Where nobody watches, only the ticks are left.
            Ok(()) = bundle.changed() => {}
        }
        let now = SystemTime::now();
        let common = bundle.borrow_and_update().as_ref().map(Bundle::common);
        source.look(&keeper, common.as_deref(), now);
        keeper.judge(common.as_deref(), source.trouble.as_deref(), now);
    }
}

/// A folder and what was last seen in it.
#[derive(Debug)]
struct Source {
    folder: PathBuf,
    seen: Option<Texts>,
    /// The last good one.
    newest: Option<Arc<Pair>>,
    since: Since,
    trouble: Option<String>,
}

impl Source {
    fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            seen: None,
            newest: None,
            since: Since::default(),
            trouble: None,
        }
    }

    /// Looks once: serves what is new and good, as soon as API servers trust it.
    fn look(&mut self, keeper: &Keeper, bundle: Option<&[Authority]>, now: SystemTime) {
        self.read(keeper, now);
        let newest = self.newest.as_deref();
        let newest = newest.map_or(Generation::Absent, Generation::Read);
        self.since.look(newest, Generation::Absent, bundle, now);
        let served = keeper.served.current();
        let known = Known {
            newest,
            previous: Generation::Absent,
            served: served.as_deref(),
            bundle,
            covered_since: self.since.covered(),
            alone_since: self.since.alone(),
            now,
        };
        if let (Serve::Newest, Some(pair)) = (plan::serve_only(&known), &self.newest) {
            keeper.serve(pair);
        }
    }

    fn read(&mut self, keeper: &Keeper, now: SystemTime) {
        let texts = match read(&self.folder) {
            Ok(texts) => texts,
            Err(error) => return self.complain(format!("{}: {error}", self.folder.display())),
        };
        if self.seen.as_ref() == Some(&texts) {
            return;
        }
        let pair = keeper.read(&texts).and_then(|pair| match pair.age(now) {
            Age::Good => Ok(pair),
            Age::NotYet => Err(BadPair::NotYet),
            Age::Expired => Err(BadPair::Expired),
        });
        match pair {
            Ok(pair) => {
                self.newest = Some(pair);
                self.trouble = None;
                self.seen = Some(texts);
            }
            Err(error) => {
                // One that is too early may become good without a change.
                self.seen = Some(texts).filter(|_| error != BadPair::NotYet);
                self.complain(error.to_string());
            }
        }
    }

    fn complain(&mut self, why: String) {
        if self.trouble.as_ref() != Some(&why) {
            tracing::warn!(%why, "Refused a certificate; the last good one stays.");
            self.trouble = Some(why);
        }
    }
}

fn read(folder: &Path) -> io::Result<Texts> {
    let file = |name: &str| bounded(&folder.join(name));
    let ca = match file("ca.crt") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other?,
    };
    Ok(Texts {
        cert: file("tls.crt")?,
        key: file("tls.key")?,
        ca,
    })
}

fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(MAX_BYTES)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
