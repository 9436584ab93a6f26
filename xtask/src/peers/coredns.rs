//! `CoreDNS`, as the name server of a cluster.

use std::path::PathBuf;

use anyhow::Result;

use super::kubernetes::Kubernetes;
use super::{Cache, Peer, Recipe, golang};

const MAIN: &str = include_str!("../../../tests/cluster/dns/main.go");

/// `coredns`, in its folder. It is built with the newest Kubernetes' own modules, so that the
/// client of the API server is compiled once.
pub(crate) struct CoreDns;

impl Peer for CoreDns {
    fn name(&self) -> &'static str {
        "coredns"
    }

    fn about(&self) -> &'static str {
        "CoreDNS 1.14.2, built from Go modules (half a minute beside Kubernetes)"
    }

    fn install(&self, cache: &Cache) -> Result<PathBuf> {
        let Kubernetes { module, sums, .. } = Kubernetes::NEWEST;
        let recipe = Recipe {
            name: self.name(),
            what: self.about(),
            inputs: &[MAIN, module, sums],
        };
        cache.entry(&recipe, |folder| {
            let files = [("main.go", MAIN), ("go.mod", module), ("go.sum", sums)];
            golang::build(&files, "-s -w", &folder.join("coredns"))
        })
    }
}
