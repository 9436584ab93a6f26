//! Where the programs under test lie.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// The program `name` of this workspace: the one beside us, else the released one.
///
/// `cargo xtask test` builds us with cargo's profile `tests` and holds us against what is shipped;
/// a build by hand finds both in one folder.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let us = std::env::current_exe().context("find ourselves")?;
    let beside = us.with_file_name(name);
    if beside.exists() {
        return Ok(beside);
    }
    let target = us.parent().and_then(std::path::Path::parent);
    let target = target.context("we lie in no folder of a build")?;
    Ok(target.join("release").join(name))
}
