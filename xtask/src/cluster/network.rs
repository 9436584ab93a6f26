//! A network of a cluster's own: a namespace with loopback and one more address.
//!
//! The API server refuses Services whose endpoints are on loopback, and tests shall take no
//! address of the machine's.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::cmd::{is_root, run, which};
use crate::paths;

/// Set in the process that runs inside.
const INSIDE: &str = "KAOS_CLUSTER_INSIDE";
/// An address that endpoints of Services may have; the node's, if there is one.
pub(super) const ADDRESS: &str = "10.77.0.1";

/// How much is the cluster's own.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Own {
    /// The network.
    Network,
    /// The network, with a route for Services, and the mounts, which containers can share.
    Node,
}

/// Goes on in namespaces of our own: the process becomes this very program again, with the same
/// arguments.
pub(crate) fn enter(own: Own) -> Result<()> {
    if std::env::var_os(INSIDE).is_some() {
        return up(own);
    }
    for program in ["unshare", "setpriv", "ip"] {
        if which(program).is_none() {
            bail!("there is no program `{program}`: install util-linux and iproute2");
        }
    }
    let mut unshare = Command::new("unshare");
    if own == Own::Node {
        if !is_root() {
            bail!("a node wants root: it runs containers");
        }
        // runc refuses to share mounts with a container where nothing is shared.
        unshare.args(["--mount", "--propagation", "shared"]);
    } else if !is_root() {
        unshare.arg("--map-root-user");
    }
    let error = unshare
        .args(["--net", "--"])
        .arg(paths::ourselves()?)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .exec();
    Err(error).context("cannot run unshare")
}

fn up(own: Own) -> Result<()> {
    let ip = |words: &str| run(Command::new("ip").args(words.split(' ')));
    ip("link set dev lo up")?;
    if own == Own::Network {
        return ip(&format!("address replace {ADDRESS}/32 dev lo"));
    }
    // A cluster IP leads nowhere, but there must be a route to it for kube-proxy's rules to be
    // asked. Of the devices that have carrier without a machine beside us, all kernels have this.
    ip("link add node type veth peer name nowhere")?;
    ip("link set dev nowhere up")?;
    ip("link set dev node up")?;
    ip(&format!("address replace {ADDRESS}/24 dev node"))?;
    ip("route replace default via 10.77.0.254 dev node")
}
