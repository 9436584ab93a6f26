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
/// An address that endpoints of Services may have. It is on the loopback device.
pub(super) const ADDRESS: &str = "10.77.0.1";

/// Goes on in a network namespace of our own: the process becomes this very program again, with
/// the same arguments.
pub(crate) fn enter() -> Result<()> {
    if std::env::var_os(INSIDE).is_some() {
        return up();
    }
    for program in ["unshare", "setpriv", "ip"] {
        if which(program).is_none() {
            bail!("there is no program `{program}`: install util-linux and iproute2");
        }
    }
    let mut unshare = Command::new("unshare");
    if !is_root() {
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

fn up() -> Result<()> {
    let address = format!("{ADDRESS}/32");
    run(Command::new("ip").args(["link", "set", "dev", "lo", "up"]))?;
    run(Command::new("ip").args(["address", "replace", &address, "dev", "lo"]))
}
