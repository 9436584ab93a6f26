//! Debian's packages.

use std::path::Path;

use anyhow::bail;

use crate::cmd::{command, is_root, read, run, which};

/// A package, and what another system has to have in its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Package {
    /// Debian's name of it.
    pub(crate) name: &'static str,
    /// A file whose presence does as well, where the package is not known.
    pub(crate) file: &'static str,
    /// What it is for.
    pub(crate) why: &'static str,
}

/// What the tests and the programs under test are built from and measured with.
pub(crate) const TEST_PACKAGES: [Package; 7] = [
    Package {
        name: "iproute2",
        file: "/sbin/ip",
        why: "gives the test's Kubernetes a network of its own",
    },
    Package {
        name: "g++",
        file: "/usr/bin/g++",
        why: "C++ compiler, for libFuzzer",
    },
    Package {
        name: "pkg-config",
        file: "/usr/bin/pkg-config",
        why: "finds libssl",
    },
    Package {
        name: "libssl-dev",
        file: "/usr/include/openssl/ssl.h",
        why: "OpenSSL's headers, for peers that speak TLS",
    },
    Package {
        name: "valgrind",
        file: "/usr/bin/valgrind",
        why: "counts instructions",
    },
    Package {
        name: "debootstrap",
        file: "/usr/sbin/debootstrap",
        why: "unpacks model servers",
    },
    Package {
        name: "curl",
        file: "/usr/bin/curl",
        why: "a client under test",
    },
];

/// True if this system has Debian's package tools.
pub(crate) fn is_debian() -> bool {
    Path::new("/usr/bin/apt-get").exists() && which("dpkg-query").is_some()
}

/// Those of `packages` that are not installed.
pub(crate) fn missing(packages: &[Package]) -> Vec<&'static str> {
    packages
        .iter()
        .filter(|package| !is_installed(package))
        .map(|package| package.name)
        .collect()
}

/// Installs those of `packages` that are missing, and says which and for whom.
pub(crate) fn install(whom: &str, packages: &[Package]) -> anyhow::Result<()> {
    let wanted: Vec<Package> = packages
        .iter()
        .copied()
        .filter(|package| !is_installed(package))
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    for Package { name, why, .. } in &wanted {
        println!("setup: {whom}: {name} is missing ({why})");
    }
    let names: Vec<&str> = wanted.iter().map(|package| package.name).collect();
    if !is_debian() {
        bail!(
            "this is not Debian; please install what Debian calls {} with your own package manager",
            names.join(", ")
        );
    }
    if !is_root() {
        bail!(
            "please run as root, or install yourself: apt-get install {}",
            names.join(" ")
        );
    }
    println!("setup: installing {}", names.join(" "));
    if apt_install(&names).is_err() {
        // The package lists may be absent or old; fetching them costs seconds, so only now.
        run(apt_get().arg("update"))?;
        apt_install(&names)?;
    }
    Ok(())
}

/// True if the package lists, or fresh ones, know every one of `names`.
pub(crate) fn can_have(names: &[&str]) -> bool {
    let known = || {
        names.iter().all(|name| {
            read(command("apt-cache").args(["policy", name])).is_ok_and(|said| {
                said.contains("Candidate:") && !said.contains("Candidate: (none)")
            })
        })
    };
    is_debian() && (known() || (is_root() && run(apt_get().arg("update")).is_ok() && known()))
}

fn is_installed(package: &Package) -> bool {
    if !is_debian() {
        return Path::new(package.file).exists();
    }
    read(command("dpkg-query").args(["-W", "-f=${db:Status-Status}", package.name]))
        .is_ok_and(|status| status == "installed")
}

fn apt_install(names: &[&str]) -> anyhow::Result<()> {
    run(apt_get()
        .args(["install", "-y", "--no-install-recommends"])
        .args(names))
}

fn apt_get() -> std::process::Command {
    let mut apt = command("apt-get");
    // Another apt may be running, as on a machine that has just booted.
    apt.args(["-q", "-o", "DPkg::Lock::Timeout=300"])
        .env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_cannot_exist_is_missing() {
        let package = Package {
            name: "no-such-package-here",
            file: "/no/such/file",
            why: "",
        };
        assert_eq!(missing(&[package]), ["no-such-package-here"]);
    }

    #[test]
    fn nothing_is_installed_when_nothing_is_wanted() {
        install("nobody", &[]).unwrap();
    }
}
