//! Prometheus, from Debian.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use super::{Cache, Peer, Recipe, debian};

const SUITE: &str = "bookworm";
const PACKAGE: &str = "prometheus";

/// `usr/bin/prometheus` and `usr/bin/promtool`, in its folder.
pub(crate) struct Prometheus;

impl Peer for Prometheus {
    fn name(&self) -> &'static str {
        PACKAGE
    }

    fn about(&self) -> &'static str {
        "Prometheus 2.42 with promtool from Debian bookworm, unpacked into a folder (20 MB to fetch)"
    }

    fn install(&self, cache: &Cache) -> Result<PathBuf> {
        let recipe = Recipe {
            name: self.name(),
            what: self.about(),
            inputs: &[SUITE, PACKAGE],
        };
        cache.entry(&recipe, |folder| {
            let versions = debian::unpack(SUITE, &[PACKAGE], folder)?;
            Ok(fs::write(folder.join("versions.txt"), versions)?)
        })
    }
}
