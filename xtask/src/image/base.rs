//! What lies below our programs: libc, who is trusted, and nothing else.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::tree::Tree;
use crate::peers::cache::Recipe;
use crate::peers::{Cache, debian};

const SUITE: &str = "bookworm";
const PACKAGES: [&str; 2] = ["libc6", "ca-certificates"];
/// What our programs load. Name resolution by DNS is part of libc itself since its version 2.34.
const LIBRARIES: [&str; 3] = ["ld-linux-x86-64.so.2", "libc.so.6", "libm.so.6"];
const VERSIONS: &str = "versions.txt";

/// Packages of Debian, unpacked.
pub(crate) struct Base {
    folder: PathBuf,
}

impl Base {
    /// Fetches them, or takes those of the cache.
    pub(crate) fn fetch(cache: &Cache) -> Result<Self> {
        let packages = PACKAGES.join(" ");
        let recipe = Recipe {
            name: "image-base",
            what: "libc and CA roots from Debian's packages (3 MB to fetch)",
            inputs: &[SUITE, &packages],
        };
        let folder = cache.entry(&recipe, |folder| {
            let versions = debian::unpack(SUITE, &PACKAGES, folder)?;
            Ok(fs::write(folder.join(VERSIONS), versions)?)
        })?;
        Ok(Self { folder })
    }

    /// Name, version and architecture of each package.
    pub(crate) fn packages(&self) -> Result<Vec<(String, String, String)>> {
        let text = fs::read_to_string(self.folder.join(VERSIONS))?;
        let package = |line: &str| {
            let mut words = line.split('_').map(str::to_owned);
            Some((words.next()?, words.next()?, words.next()?))
        };
        text.lines()
            .map(|line| package(line).with_context(|| format!("{line}: no package")))
            .collect()
    }

    /// The files of the image's lowest layer.
    pub(crate) fn tree(&self) -> Result<Tree> {
        let mut tree = Tree::default();
        let libraries = "lib/x86_64-linux-gnu";
        for library in LIBRARIES {
            let path = format!("{libraries}/{library}");
            tree.program(&path, &self.folder.join(&path))?;
        }
        let [loader, ..] = LIBRARIES;
        tree.link(
            &format!("lib64/{loader}"),
            &format!("/{libraries}/{loader}"),
        );
        tree.file("etc/ssl/certs/ca-certificates.crt", self.roots()?, 0o644);
        let users =
            "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n";
        tree.file("etc/passwd", users, 0o644);
        tree.file("etc/group", "root:x:0:\nnonroot:x:65532:\n", 0o644);
        tree.file("etc/nsswitch.conf", "hosts: files dns\n", 0o644);
        for package in PACKAGES {
            let path = format!("usr/share/doc/{package}/copyright");
            tree.file(&path, fs::read(self.folder.join(&path))?, 0o644);
        }
        Ok(tree)
    }

    /// All authorities of the package, in one file: what its own installation script would make.
    fn roots(&self) -> Result<Vec<u8>> {
        let mut files = listed(&self.folder.join("usr/share/ca-certificates/mozilla"))?;
        files.sort();
        let mut roots = Vec::new();
        for file in files {
            roots.extend(fs::read(file)?);
            if !roots.ends_with(b"\n") {
                roots.push(b'\n');
            }
        }
        ensure!(!roots.is_empty(), "the package ca-certificates holds none");
        Ok(roots)
    }
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    Ok(entries
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .map(|it| it.path())
        .collect())
}
