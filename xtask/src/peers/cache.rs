//! The folder outside the checkout where peers are installed, once.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::paths;

/// Stands in a folder whose installation came to its end.
const COMPLETE: &str = ".complete";

/// Where installed peers live: in `peers` of [`paths::cache_dir`].
pub(crate) struct Cache {
    root: PathBuf,
}

/// What makes one installation differ from another: everything that its result depends on.
pub(crate) struct Recipe<'a> {
    /// The peer's name; it starts the folder's name.
    pub(crate) name: &'a str,
    /// Told to the user when the installation starts.
    pub(crate) what: &'a str,
    /// Pinned versions, scripts, lock files: a change in any of them makes a new folder.
    pub(crate) inputs: &'a [&'a str],
}

impl Cache {
    /// Finds the cache's root by the environment; makes no folder yet.
    pub(crate) fn from_env() -> Result<Self> {
        Ok(Self::at(std::path::absolute(paths::cache_dir()?)?))
    }

    /// A cache at a given root.
    pub(crate) fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder that holds the peers; `peers/NAME` is a link to the newest of that name.
    pub(crate) fn peers(&self) -> PathBuf {
        self.root.join("peers")
    }

    /// Where a recipe's result is or would be.
    fn folder(&self, recipe: &Recipe<'_>) -> PathBuf {
        self.peers()
            .join(format!("{}-{}", recipe.name, key(recipe.inputs)))
    }

    /// The folder with the recipe's result; built by `build` if it is not there.
    ///
    /// Two processes that want the same peer wait for each other; an installation that was cut
    /// off is thrown away and done again.
    pub(crate) fn entry(
        &self,
        recipe: &Recipe<'_>,
        build: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let folder = self.folder(recipe);
        if folder.join(COMPLETE).exists() {
            return Ok(folder);
        }
        fs::create_dir_all(self.peers())
            .with_context(|| format!("cannot make {}", self.peers().display()))?;
        let lock = File::create(self.peers().join(format!(".{}.lock", recipe.name)))?;
        lock.lock()?;
        if folder.join(COMPLETE).exists() {
            return Ok(folder);
        }
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        eprintln!("installing {}: {}", recipe.name, recipe.what);
        let start = Instant::now();
        build(&folder).with_context(|| format!("cannot install {}", recipe.name))?;
        fs::write(folder.join(COMPLETE), recipe.inputs.join("\n"))?;
        let link = self.peers().join(recipe.name);
        if link.is_symlink() {
            fs::remove_file(&link)?;
        }
        symlink(&folder, &link)?;
        let seconds = start.elapsed().as_secs_f64();
        eprintln!("installed {} in {seconds:.1} s", recipe.name);
        Ok(folder)
    }
}

/// FNV-1a over all inputs with their lengths, in 16 hex digits.
///
/// No cryptography is needed, the inputs are ours; but the standard library's hasher promises
/// no stable result, and a cache key must outlive the compiler.
fn key(inputs: &[&str]) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut eat = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for input in inputs {
        eat(&(input.len() as u64).to_le_bytes());
        eat(input.as_bytes());
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("can be removed");
        }
        folder
    }

    const RECIPE: Recipe<'static> = Recipe {
        name: "thing",
        what: "a thing",
        inputs: &["1.0", "make"],
    };

    #[test]
    fn a_key_depends_on_each_input_and_on_where_it_ends() {
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["a"]), key(&["b"]));
        assert_eq!(key(&["a", "b"]), key(&["a", "b"]));
    }

    #[test]
    fn an_entry_is_built_once() {
        let root = scratch("once");
        let cache = Cache::at(root.clone());
        let mut built = 0;
        for _ in 0..2 {
            let folder = cache
                .entry(&RECIPE, |folder| {
                    built += 1;
                    Ok(fs::write(folder.join("file"), "x")?)
                })
                .expect("installs");
            assert!(folder.join("file").exists());
            assert!(cache.peers().join("thing/file").exists());
        }
        assert_eq!(built, 1);
        fs::remove_dir_all(root).expect("can be removed");
    }

    #[test]
    fn a_failed_entry_is_built_again_from_nothing() {
        let root = scratch("again");
        let cache = Cache::at(root.clone());
        let failed = cache.entry(&RECIPE, |folder| {
            fs::write(folder.join("half"), "x")?;
            anyhow::bail!("the network is away")
        });
        assert!(failed.is_err());
        assert!(!cache.folder(&RECIPE).join(COMPLETE).exists());
        let folder = cache.entry(&RECIPE, |_| Ok(())).expect("installs");
        assert!(!folder.join("half").exists());
        fs::remove_dir_all(root).expect("can be removed");
    }
}
