//! A hash of everything that an artefact is made of, kept beside it.

use std::fs;
use std::hash::{DefaultHasher, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// A running hash. It is no protection against malice, only against work done twice.
pub(crate) struct Stamp {
    hasher: DefaultHasher,
}

impl Stamp {
    pub(crate) fn new() -> Self {
        Self {
            hasher: DefaultHasher::new(),
        }
    }

    /// Takes in `text`.
    pub(crate) fn text(&mut self, text: &str) {
        self.hasher.write_usize(text.len());
        self.hasher.write(text.as_bytes());
    }

    /// Takes in the names and contents of all files below `dir`, without folders named `target`.
    pub(crate) fn tree(&mut self, dir: &Path) -> anyhow::Result<()> {
        for file in files(dir)? {
            let name = file.strip_prefix(dir).unwrap_or(&file);
            self.text(&name.to_string_lossy());
            let bytes =
                fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            self.hasher.write_usize(bytes.len());
            self.hasher.write(&bytes);
        }
        Ok(())
    }

    /// True if `file` was written by [`Self::write`] of an equal stamp.
    pub(crate) fn is_in(&self, file: &Path) -> bool {
        fs::read_to_string(file).is_ok_and(|kept| kept == self.line())
    }

    /// Keeps the stamp in `file`.
    pub(crate) fn write(&self, file: &Path) -> anyhow::Result<()> {
        fs::write(file, self.line()).with_context(|| format!("cannot write {}", file.display()))
    }

    fn line(&self) -> String {
        format!("{:016x}\n", self.hasher.finish())
    }
}

/// All files below `dir` in a fixed order.
fn files(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let context = || format!("cannot list {}", dir.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(context)? {
        let entry = entry.with_context(context)?;
        let kind = entry.file_type().with_context(context)?;
        if kind.is_file() {
            found.push(entry.path());
        } else if kind.is_dir() && entry.file_name() != "target" {
            found.extend(files(&entry.path())?);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_changes_with_names_and_contents_but_not_with_artefacts() {
        let dir = std::env::temp_dir().join(format!("xtask-stamp-{}", std::process::id()));
        fs::create_dir_all(dir.join("target")).unwrap();
        fs::create_dir_all(dir.join("src")).unwrap();
        fs::write(dir.join("src/a"), "1").unwrap();
        let line = || {
            let mut stamp = Stamp::new();
            stamp.tree(&dir).unwrap();
            stamp.line()
        };
        let first = line();
        fs::write(dir.join("target/b"), "2").unwrap();
        assert_eq!(line(), first);
        fs::write(dir.join("src/a"), "2").unwrap();
        let changed = line();
        assert_ne!(changed, first);
        fs::rename(dir.join("src/a"), dir.join("src/c")).unwrap();
        assert_ne!(line(), changed);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_stamp_is_found_again() {
        let file = std::env::temp_dir().join(format!("xtask-kept-{}", std::process::id()));
        let mut stamp = Stamp::new();
        stamp.text("x");
        assert!(!stamp.is_in(&file));
        stamp.write(&file).unwrap();
        assert!(stamp.is_in(&file));
        stamp.text("y");
        assert!(!stamp.is_in(&file));
        fs::remove_file(file).unwrap();
    }
}
