//! What a node of a cluster has beside the kubelet, from Debian's packages.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Cache, Peer, Recipe, debian};

const SUITE: &str = "bookworm";
/// `libseccomp2`, which runc loads, is there wherever apt is.
const PACKAGES: &[&str] = &[
    "containerd",
    "runc",
    "containernetworking-plugins",
    "catatonit",
    "nftables",
    "libnftables1",
    "libnftnl11",
    "libjansson4",
    "libmnl0",
    "libedit2",
    "libbsd0",
    "libmd0",
];

/// containerd, runc, network plugins and `nft` in `usr`, unpacked; nothing is installed. In `bin`
/// is what others look for on their search path.
pub(crate) struct Node;

impl Node {
    /// Where the network plugins are.
    pub(crate) fn plugins(folder: &Path) -> PathBuf {
        folder.join("usr/lib/cni")
    }
}

impl Peer for Node {
    fn name(&self) -> &'static str {
        "node"
    }

    fn about(&self) -> &'static str {
        "containerd, runc and network plugins from Debian bookworm (48 MB to fetch)"
    }

    fn install(&self, cache: &Cache) -> Result<PathBuf> {
        let recipe = Recipe {
            name: self.name(),
            what: self.about(),
            inputs: &[SUITE, &PACKAGES.join(" "), "bin v1"],
        };
        cache.entry(&recipe, |folder| {
            let versions = debian::unpack(SUITE, PACKAGES, folder)?;
            fs::write(folder.join("versions.txt"), versions)?;
            fs::create_dir(folder.join("bin"))?;
            let libraries = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
            // Its libraries are not the machine's.
            let script = format!(
                "#!/bin/sh\nLD_LIBRARY_PATH='{0}/{libraries}' exec '{0}/usr/sbin/nft' \"$@\"\n",
                folder.display()
            );
            let nft = folder.join("bin/nft");
            fs::write(&nft, script)?;
            Ok(fs::set_permissions(nft, fs::Permissions::from_mode(0o755))?)
        })
    }
}
