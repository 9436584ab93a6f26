//! An initramfs of files of this host, each at its own path: programs come with the libraries
//! that they are linked to, so that the guest is this system with another kernel below.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::cmd::{command, read, succeeds};

/// What is in it, by its path there.
#[derive(Default)]
pub(super) struct Initramfs {
    entries: BTreeMap<PathBuf, Entry>,
}

enum Entry {
    Folder,
    /// The contents of this file.
    File(PathBuf),
}

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;

impl Initramfs {
    /// Adds a folder and those above it.
    pub(super) fn folder(&mut self, path: impl AsRef<Path>) {
        for path in path.as_ref().ancestors() {
            if path != Path::new("/") && path != Path::new("") {
                self.entries.insert(path.to_owned(), Entry::Folder);
            }
        }
    }

    /// Adds a file at its own path.
    pub(super) fn file(&mut self, path: &Path) -> Result<()> {
        let source = path
            .canonicalize()
            .with_context(|| format!("{} is missing", path.display()))?;
        self.file_as(path, source);
        Ok(())
    }

    fn file_as(&mut self, path: &Path, source: PathBuf) {
        if let Some(folder) = path.parent() {
            self.folder(folder);
        }
        self.entries.insert(path.to_owned(), Entry::File(source));
    }

    /// Adds a program or a library with all that it is linked to.
    pub(super) fn linked(&mut self, path: &Path) -> Result<()> {
        self.file(path)?;
        // Static programs, and scripts, have nothing to list.
        let Ok(listed) = read(command("ldd").arg(path)) else {
            return Ok(());
        };
        for library in listed.split_whitespace().filter(|w| w.starts_with('/')) {
            self.file(Path::new(library))?;
        }
        Ok(())
    }

    /// Adds a program that we built, without what only a debugger wants of it: a tenth remains.
    pub(super) fn built(&mut self, path: &Path, small: &Path) -> Result<()> {
        self.linked(path)?;
        let mut strip = command("strip");
        strip.arg("--strip-debug").arg("-o").arg(small).arg(path);
        if !succeeds(&mut strip) {
            bail!("cannot strip {}; are the binutils there?", path.display());
        }
        self.file_as(path, small.to_owned());
        Ok(())
    }

    /// Adds all files of a folder but those below a name in `without`. Libraries among them
    /// come with what they are linked to.
    pub(super) fn tree(&mut self, folder: &Path, without: &[&str]) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (name, path) = (entry.file_name(), entry.path());
            if without.iter().any(|word| *word == name.to_string_lossy()) {
                continue;
            }
            if path.is_dir() {
                self.tree(&path, without)?;
            } else if path.extension().is_some_and(|e| e == "so") {
                self.linked(&path)?;
            } else if path.is_file() {
                self.file(&path)?;
            }
        }
        Ok(())
    }

    /// Writes it as the kernel reads it (Documentation/driver-api/early-userspace/buffer-format),
    /// with a program `name` of this text.
    pub(super) fn write(&self, to: &Path, name: &str, text: &str) -> Result<()> {
        let file =
            fs::File::create(to).with_context(|| format!("cannot write {}", to.display()))?;
        let mut out = std::io::BufWriter::new(file);
        record(&mut out, 1, name, PROGRAM, 0, text.as_bytes())?;
        for (number, (path, entry)) in (2..).zip(&self.entries) {
            let name = path.strip_prefix("/").unwrap_or(path);
            let (mode, time, bytes) = match entry {
                Entry::Folder => (FOLDER, 0, Vec::new()),
                // Python compares the times of its sources with those that it compiled.
                Entry::File(source) => (PROGRAM, fs::metadata(source)?.mtime(), fs::read(source)?),
            };
            record(
                &mut out,
                number,
                &name.to_string_lossy(),
                mode,
                time,
                &bytes,
            )?;
        }
        record(&mut out, 0, "TRAILER!!!", 0, 0, &[])?;
        out.flush()?;
        Ok(())
    }
}

fn record(
    out: &mut impl std::io::Write,
    number: u32,
    name: &str,
    mode: u32,
    time: i64,
    bytes: &[u8],
) -> Result<()> {
    let size = u32::try_from(bytes.len()).context("a file of 4 GiB")?;
    let time = u32::try_from(time).unwrap_or(0);
    let name_size = u32::try_from(name.len())? + 1;
    let mut head = String::from("070701");
    for field in [number, mode, 0, 0, 1, time, size, 0, 0, 0, 0, name_size, 0] {
        use std::fmt::Write as _;
        write!(head, "{field:08x}")?;
    }
    head.push_str(name);
    head.push('\0');
    for part in [head.as_bytes(), bytes] {
        out.write_all(part)?;
        out.write_all(&[0; 3][..part.len().next_multiple_of(4) - part.len()])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_begin_at_multiples_of_four() {
        let mut out = Vec::new();
        record(&mut out, 1, "ab", PROGRAM, 0, b"12345").unwrap();
        assert_eq!(out.len() % 4, 0);
        assert!(out.starts_with(b"07070100000001000081ed"));
        let name = out.windows(3).position(|w| w == b"ab\0").unwrap();
        assert_eq!(name, 110);
        assert_eq!(&out[116..121], b"12345");
    }

    #[test]
    fn folders_come_before_what_is_in_them() {
        let mut initramfs = Initramfs::default();
        initramfs.file(Path::new("/bin/sh")).unwrap();
        let paths: Vec<_> = initramfs.entries.keys().cloned().collect();
        assert_eq!(paths, [Path::new("/bin"), Path::new("/bin/sh")]);
    }
}
