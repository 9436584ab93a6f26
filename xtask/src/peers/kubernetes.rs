//! The parts of a Kubernetes cluster, built from its Go modules.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Cache, Peer, Recipe, golang};

const MAIN: &str = include_str!("../../../tests/cluster/main.go");
/// The parts that the one program can be, by the name that it is called with.
const PARTS: [&str; 7] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubectl",
];

/// etcd and all parts of one minor version of Kubernetes, for control plane and node.
pub(crate) struct Kubernetes {
    name: &'static str,
    about: &'static str,
    /// Major and minor, as users say it.
    pub(crate) version: &'static str,
    patch: &'static str,
    pub(super) module: &'static str,
    pub(super) sums: &'static str,
}

impl Kubernetes {
    /// The newest minor version, which CI runs against.
    pub(crate) const NEWEST: Self = Self {
        name: "kubernetes",
        about: "Kubernetes 1.36.3, its parts built from Go modules (nine minutes of CPU)",
        version: "1.36",
        patch: "3",
        module: include_str!("../../../tests/cluster/go.mod"),
        sums: include_str!("../../../tests/cluster/go.sum"),
    };

    /// An older minor version that clusters still run.
    pub(crate) const OLDER: Self = Self {
        name: "kubernetes-1.35",
        about: "Kubernetes 1.35.4, its parts built from Go modules (nine minutes of CPU)",
        version: "1.35",
        patch: "4",
        module: include_str!("../../../tests/cluster/1.35.mod"),
        sums: include_str!("../../../tests/cluster/1.35.sum"),
    };

    /// The one of a version such as `1.36`.
    pub(crate) fn of_version(version: &str) -> Option<Self> {
        [Self::NEWEST, Self::OLDER]
            .into_iter()
            .find(|kubernetes| kubernetes.version == version)
    }

    /// What the linker writes into the program: without it, it calls itself v0.0.0.
    fn stamp(&self) -> String {
        let (major, minor) = self.version.split_once('.').unwrap_or((self.version, "0"));
        let full = format!("v{}.{}", self.version, self.patch);
        let stamps = [
            ("gitVersion", full.as_str()),
            ("gitMajor", major),
            ("gitMinor", minor),
            ("gitTreeState", "clean"),
        ];
        let mut flags = vec!["-s".to_owned(), "-w".to_owned()];
        for package in [
            "k8s.io/component-base/version",
            "k8s.io/client-go/pkg/version",
        ] {
            let stamp = |(name, value)| format!("-X {package}.{name}={value}");
            flags.extend(stamps.map(stamp));
        }
        flags.join(" ")
    }

    fn build(&self, folder: &Path) -> Result<()> {
        let files = [
            ("main.go", MAIN),
            ("go.mod", self.module),
            ("go.sum", self.sums),
        ];
        golang::build(&files, &self.stamp(), &folder.join("kube-one"))?;
        for part in PARTS {
            symlink("kube-one", folder.join(part))?;
        }
        Ok(())
    }
}

impl Peer for Kubernetes {
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
            inputs: &[MAIN, self.module, self.sums, &self.stamp()],
        };
        cache.entry(&recipe, |folder| self.build(folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_is_what_its_modules_say() {
        for kubernetes in [Kubernetes::NEWEST, Kubernetes::OLDER] {
            let Kubernetes { version, patch, .. } = kubernetes;
            let required = format!("k8s.io/kubernetes v{version}.{patch}\n");
            assert!(kubernetes.module.contains(&required), "{version}");
            assert!(kubernetes.about.contains(&format!("{version}.{patch}")));
            assert!(Kubernetes::of_version(version).is_some_and(|it| it.name == kubernetes.name));
        }
        assert!(Kubernetes::of_version("1.2").is_none());
    }
}
