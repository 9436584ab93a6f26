//! Packages of another Debian suite, unpacked into a folder: nothing is installed.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::command::{output, quiet, which};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Fetches packages of `suite` through an apt that has lists of its own, so that signatures are
/// checked and the machine's sources stay as they are, and unpacks them into `into`.
///
/// Dependencies are not followed: the caller names all that is needed. Gives the versions found,
/// one `package_version_architecture` per line.
pub(crate) fn unpack(suite: &str, packages: &[&str], into: &Path) -> Result<String> {
    let names = packages.iter().map(|&name| name.to_owned()).collect();
    with_lists(suite, into, |_| Ok(names))
}

/// Like [`unpack`], of what `package` depends on, directly or not, and `wanted` wants.
pub(crate) fn unpack_what(
    suite: &str,
    package: &str,
    wanted: fn(&str) -> bool,
    into: &Path,
) -> Result<String> {
    with_lists(suite, into, |work| {
        let mut depends = apt("apt-cache", work);
        depends.args(["depends", "--recurse", "--important", package]);
        let found: Vec<String> = output(&mut depends)?
            .lines()
            .filter(|line| wanted(line))
            .map(str::to_owned)
            .collect();
        if found.is_empty() {
            bail!("{package} of {suite} depends on nothing that is wanted");
        }
        Ok(found)
    })
}

/// Fetches the lists of `suite`, and then the packages that `choose` names.
fn with_lists(
    suite: &str,
    into: &Path,
    choose: impl FnOnce(&Path) -> Result<Vec<String>>,
) -> Result<String> {
    if which("apt-get").is_none() || !Path::new(KEYRING).exists() {
        bail!("this needs Debian's apt-get and {KEYRING} (package debian-archive-keyring)");
    }
    let work = into.join(".apt");
    let debs = work.join("debs");
    for folder in ["lists/partial", "cache/archives/partial", "debs"] {
        fs::create_dir_all(work.join(folder))?;
    }
    fs::write(work.join("status"), "")?;
    fs::write(
        work.join("sources.list"),
        format!("deb [signed-by={KEYRING}] http://deb.debian.org/debian {suite} main\n"),
    )?;
    quiet(apt("apt-get", &work).arg("update"))?;
    let packages = choose(&work)?;
    let mut download = apt("apt-get", &work);
    quiet(download.current_dir(&debs).arg("download").args(packages))?;
    let mut versions = Vec::new();
    for deb in fs::read_dir(&debs)? {
        let deb = deb?.path();
        quiet(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(into))?;
        let name = deb.file_stem().context("a .deb has a name")?;
        versions.push(name.to_string_lossy().replace("%3a", ":"));
    }
    fs::remove_dir_all(work)?;
    versions.sort();
    Ok(versions.join("\n"))
}

fn apt(program: &str, work: &Path) -> Command {
    let mut command = Command::new(program);
    let work = work.display();
    command.args(["-q", "-o", "APT::Sandbox::User=root"]);
    for option in [
        format!("Dir::Etc::sourcelist={work}/sources.list"),
        "Dir::Etc::sourceparts=/dev/null".to_owned(),
        format!("Dir::State::lists={work}/lists"),
        format!("Dir::State::status={work}/status"),
        format!("Dir::Cache={work}/cache"),
        "Acquire::Languages=none".to_owned(),
    ] {
        command.args(["-o", &option]);
    }
    command
}
