//! The annotation that says what was done.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::outcome::Reason;
use super::variables::ROWS;
use crate::facts::Kind;

/// A longer annotation is none that this webhook wrote.
const MAX_BYTES: usize = 128 * 1024;

/// Variables of ours by container, in the order in which they were injected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Injected(BTreeMap<String, Vec<&'static str>>);

#[derive(Serialize)]
struct Status<'a> {
    version: &'static str,
    config: &'a str,
    kind: &'static str,
    containers: &'a BTreeMap<String, Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

#[derive(Deserialize)]
struct Earlier {
    #[serde(default)]
    containers: BTreeMap<String, Vec<String>>,
}

/// What a pod's annotation says of how it was created. Anybody may write it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Recorded {
    /// Of the webhook.
    #[serde(default)]
    pub(crate) version: String,
    /// The hash of the configuration.
    #[serde(default)]
    pub(crate) config: String,
    /// The label of the reason why nothing was injected.
    pub(crate) reason: Option<String>,
}

impl Recorded {
    /// None if it cannot be read.
    pub(crate) fn read(annotation: &str) -> Option<Self> {
        let annotation = Some(annotation).filter(|it| it.len() <= MAX_BYTES);
        serde_json::from_str(annotation?).ok()
    }
}

impl Injected {
    /// What the annotation of an earlier call says, as far as it could be ours. It names who wrote
    /// an entry, in reports and where it matters whether the KAOS operator did; a user who lies
    /// here misleads the probe's `capture` of a proxy, which is the user's to choose anyway.
    pub(crate) fn read(annotation: Option<&str>) -> Self {
        let annotation = annotation.filter(|it| it.len() <= MAX_BYTES);
        let earlier = annotation.and_then(|it| serde_json::from_str::<Earlier>(it).ok());
        let mut injected = Self::default();
        for (container, names) in earlier.map(|it| it.containers).unwrap_or_default() {
            for name in names {
                if let Some(row) = ROWS.iter().find(|row| row.name == name) {
                    injected.add(&container, row.name);
                }
            }
        }
        injected
    }

    pub(crate) fn has(&self, container: &str, name: &str) -> bool {
        let names = self.0.get(container).into_iter().flatten();
        { names }.any(|it| *it == name)
    }

    pub(crate) fn add(&mut self, container: &str, name: &'static str) {
        let names = self.0.entry(container.to_owned()).or_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }

    /// The annotation's value.
    pub(crate) fn write(&self, config: &str, kind: Kind, reason: Option<Reason>) -> String {
        let status = Status {
            version: env!("CARGO_PKG_VERSION"),
            config,
            kind: kind.as_str(),
            containers: &self.0,
            reason: reason.map(Reason::label),
        };
        serde_json::to_string(&status).expect("strings and maps of strings are JSON")
    }
}
