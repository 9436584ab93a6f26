//! The annotation that says what was done.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::outcome::Reason;
use crate::facts::Kind;

/// Variables by container, in the order in which they were injected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Injected(BTreeMap<String, Vec<String>>);

#[derive(Serialize)]
struct Status<'a> {
    version: &'static str,
    config: &'a str,
    kind: &'static str,
    containers: &'a BTreeMap<String, Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

#[derive(Deserialize)]
struct Earlier {
    #[serde(default)]
    containers: BTreeMap<String, Vec<String>>,
}

impl Injected {
    /// What the annotation of an earlier call says. Nothing is decided by it: it names who wrote
    /// an entry.
    pub(crate) fn read(annotation: Option<&str>) -> Self {
        let earlier = annotation.and_then(|it| serde_json::from_str::<Earlier>(it).ok());
        Self(earlier.map(|it| it.containers).unwrap_or_default())
    }

    pub(crate) fn has(&self, container: &str, name: &str) -> bool {
        let names = self.0.get(container).into_iter().flatten();
        { names }.any(|it| it == name)
    }

    pub(crate) fn add(&mut self, container: &str, name: &str) {
        let names = self.0.entry(container.to_owned()).or_default();
        if !names.iter().any(|it| it == name) {
            names.push(name.to_owned());
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
