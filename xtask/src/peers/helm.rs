//! helm.

use std::path::PathBuf;

use anyhow::Result;

use super::{Cache, Peer, Recipe, golang};

const MODULE: &str = "helm.sh/helm/v4/cmd/helm@v4.3.1";

/// `helm`, in its folder.
pub(crate) struct Helm;

impl Peer for Helm {
    fn name(&self) -> &'static str {
        "helm"
    }

    fn about(&self) -> &'static str {
        "helm 4.3.1, built from Go modules (four minutes of CPU)"
    }

    fn install(&self, cache: &Cache) -> Result<PathBuf> {
        let recipe = Recipe {
            name: self.name(),
            what: self.about(),
            inputs: &[MODULE],
        };
        cache.entry(&recipe, |folder| {
            golang::install(MODULE, folder, &[("CGO_ENABLED", "0")])
        })
    }
}
