//! The kernels: Debian's for virtual machines, unpacked and not installed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::peers::cache::{Cache, Recipe};
use crate::peers::debian;

/// The package that depends on a suite's newest kernel.
const META: &str = "linux-image-cloud-amd64";

/// A kernel of the matrix.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernel {
    name: &'static str,
    /// The suite of Debian that has it.
    suite: &'static str,
    /// The socket taps that it takes.
    taps: &'static [&'static str],
}

const EVERY_TAP: &[&str] = &["fentry", "kprobe", "syscalls"];

/// All of them, the oldest first.
pub(super) const KERNELS: [Kernel; 4] = [
    Kernel {
        name: "5.10",
        suite: "bullseye",
        // Without loops the verifier takes minutes for each function.
        taps: &["syscalls"],
    },
    Kernel {
        name: "6.1",
        suite: "bookworm",
        taps: EVERY_TAP,
    },
    Kernel {
        name: "6.12",
        suite: "bookworm-backports",
        taps: EVERY_TAP,
    },
    Kernel {
        name: "sid",
        suite: "sid",
        taps: EVERY_TAP,
    },
];

/// Those that are named, or all.
pub(super) fn choose(names: &[String]) -> Result<Vec<Kernel>> {
    let known = || KERNELS.map(|kernel| kernel.name).join(", ");
    for name in names {
        if !KERNELS.iter().any(|kernel| kernel.name == name) {
            bail!("there is no kernel {name}; there are {}", known());
        }
    }
    let wanted = |kernel: &Kernel| names.is_empty() || names.iter().any(|n| n == kernel.name);
    Ok(KERNELS.into_iter().filter(wanted).collect())
}

impl Kernel {
    /// What the command line calls it.
    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether its programs may loop (`bpf_loop`, 5.17).
    pub(super) const fn has_loops(&self) -> bool {
        self.taps.len() > 1
    }

    /// The socket taps that it takes, as `--tap` calls them.
    pub(super) const fn taps(&self) -> &'static [&'static str] {
        self.taps
    }

    /// The image to boot; fetched if it is not there yet.
    pub(super) fn image(&self) -> Result<PathBuf> {
        let Self { name, suite, .. } = *self;
        let recipe = Recipe {
            name: &format!("kernel-{name}"),
            what: &format!("the kernel of Debian {suite}"),
            inputs: &[suite, META],
        };
        let folder = Cache::from_env()?.entry(&recipe, |folder| {
            debian::unpack_what(suite, META, is_kernel, folder).map(drop)
        })?;
        find(&folder)?.with_context(|| format!("no vmlinuz in {}", folder.display()))
    }
}

/// True for the packages that may hold the image: `linux-image-6.1.0-50-cloud-amd64`, and in
/// newer suites `linux-binary-…`.
fn is_kernel(package: &str) -> bool {
    ["linux-image-", "linux-binary-"].iter().any(|start| {
        let rest = package.strip_prefix(start);
        rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    })
}

/// The first file below `folder` whose name begins with `vmlinuz`.
fn find(folder: &Path) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if let Some(found) = find(&path)? {
                return Ok(Some(found));
            }
        } else if entry.file_name().to_string_lossy().starts_with("vmlinuz") {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_chosen_by_name() {
        assert_eq!(choose(&[]).unwrap().len(), KERNELS.len());
        let one = choose(&["6.1".to_owned()]).unwrap();
        assert_eq!(one.len(), 1);
        let error = choose(&["2.4".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("5.10, 6.1"), "{error}");
    }

    #[test]
    fn packages_with_an_image_are_told_from_others() {
        assert!(is_kernel("linux-image-6.1.0-50-cloud-amd64"));
        assert!(is_kernel("linux-binary-7.2.13+deb14-cloud-amd64"));
        assert!(!is_kernel("linux-image-cloud-amd64"));
        assert!(!is_kernel("linux-modules-7.2.13+deb14-cloud-amd64"));
    }
}
