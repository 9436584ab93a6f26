//! Programs as Debian has them, unpacked into a folder.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use super::{Cache, Peer, Recipe, debian};

const SUITE: &str = "bookworm";

/// One package of the same name; what it needs is part of any Debian.
pub(crate) struct Packaged {
    name: &'static str,
    about: &'static str,
}

/// `usr/bin/prometheus` and `usr/bin/promtool`, in its folder.
pub(crate) const PROMETHEUS: Packaged = Packaged {
    name: "prometheus",
    about: "Prometheus 2.42 with promtool from Debian bookworm, unpacked into a folder (20 MB to fetch)",
};

/// `usr/bin/hey`, in its folder.
pub(crate) const HEY: Packaged = Packaged {
    name: "hey",
    about: "hey 0.1.4, a load tool for HTTP, from Debian bookworm, unpacked into a folder (2 MB to fetch)",
};

impl Peer for Packaged {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn install(&self, cache: &Cache) -> Result<PathBuf> {
        let recipe = Recipe {
            name: self.name,
            what: self.about,
            inputs: &[SUITE, self.name],
        };
        cache.entry(&recipe, |folder| {
            let versions = debian::unpack(SUITE, &[self.name], folder)?;
            Ok(fs::write(folder.join("versions.txt"), versions)?)
        })
    }
}
