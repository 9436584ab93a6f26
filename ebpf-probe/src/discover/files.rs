//! Files that processes have mapped: each is looked at once, by device and inode, however many
//! map it, and again when it is another one by now.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::proc::{Mapped, map_file, through_root};

/// The most files that are remembered; a host has far fewer.
pub(super) const MOST: usize = 16_384;
/// How long a file stays hooked that nobody has mapped: programs are started again.
const UNUSED: Duration = Duration::from_mins(10);

/// Device and inode.
pub(super) type Inode = (u64, u64);

/// What changes when an inode's number is given to another file, or its content is replaced:
/// time of the last change, and size.
pub(super) type Stamp = (i64, i64, u64);

/// What was found out about each file.
#[derive(Debug)]
pub(super) struct Files<T> {
    known: HashMap<Inode, Known<T>>,
}

#[derive(Debug)]
struct Known<T> {
    what: T,
    /// `None` for a file that could not be reached.
    stamp: Option<Stamp>,
    /// When a process was last seen to have it mapped.
    used: Instant,
}

impl<T> Files<T> {
    /// None so far.
    pub(super) fn new() -> Self {
        Self {
            known: HashMap::new(),
        }
    }

    pub(super) fn get(&self, inode: Inode) -> Option<&T> {
        self.known.get(&inode).map(|known| &known.what)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.known.values().map(|known| &known.what)
    }

    pub(super) fn insert(&mut self, inode: Inode, stamp: Option<Stamp>, what: T) {
        let used = Instant::now();
        self.known.insert(inode, Known { what, stamp, used });
    }

    pub(super) fn remove(&mut self, inode: Inode) -> Option<T> {
        self.known.remove(&inode).map(|known| known.what)
    }

    /// Whether this very file was looked at, which is in use then. Another one may stand under its
    /// number.
    pub(super) fn is_known(&mut self, inode: Inode, stamp: Stamp) -> bool {
        let known = self.known.get_mut(&inode);
        let Some(known) = known.filter(|known| known.stamp == Some(stamp)) else {
            return false;
        };
        known.used = Instant::now();
        true
    }

    /// Whether there is room for one more; when there are too many, only those that `stay` do.
    pub(super) fn has_room(&mut self, stay: impl Fn(&T) -> bool) -> bool {
        if self.known.len() >= MOST {
            self.known.retain(|_, known| stay(&known.what));
        }
        self.known.len() < MOST
    }

    /// Forgets those that `go`; whether there were any.
    pub(super) fn forget(&mut self, go: impl Fn(&T) -> bool) -> bool {
        let before = self.known.len();
        self.known.retain(|_, known| !go(&known.what));
        self.known.len() < before
    }

    /// Forgets the files that were last used [`UNUSED`] before `now`, and gives what they were.
    /// `used` now are these.
    pub(super) fn unused(&mut self, used: &HashSet<Inode>, now: Instant) -> Vec<T> {
        for (inode, known) in &mut self.known {
            if used.contains(inode) {
                known.used = now;
            }
        }
        let old = |_: &Inode, known: &mut Known<T>| now.duration_since(known.used) >= UNUSED;
        let old = self.known.extract_if(old);
        old.map(|(_, known)| known.what).collect()
    }
}

/// Finds the mapped file by way of the process. Its path may be gone or lead to another file by
/// now, as after an update; then it is found by the mapping.
pub(super) fn locate(tgid: u32, mapped: &Mapped) -> io::Result<(PathBuf, Stamp)> {
    let path = through_root(tgid, &mapped.path);
    match stamp(&path, mapped) {
        Ok(stamp) => Ok((path, stamp)),
        Err(error) => {
            let path = map_file(tgid, mapped);
            let stamp = stamp(&path, mapped).map_err(|_same| error)?;
            Ok((path, stamp))
        }
    }
}

/// Opens a file that was located. What stands at its path may be another one by now, a pipe even,
/// which must not hold us up.
pub(super) fn open(path: &Path, mapped: &Mapped) -> io::Result<File> {
    let mut options = File::options();
    let file = options
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let found = file.metadata()?;
    if found.ino() != mapped.inode.1 || !found.is_file() {
        return Err(io::Error::other("another file stands at its path"));
    }
    Ok(file)
}

fn stamp(path: &Path, mapped: &Mapped) -> io::Result<Stamp> {
    let found = std::fs::metadata(path)?;
    // The device of `maps` and that of `stat` differ on some file systems (btrfs, overlayfs).
    if found.ino() != mapped.inode.1 {
        return Err(io::Error::other("another file stands at its path"));
    }
    Ok((found.ctime(), found.ctime_nsec(), found.size()))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::super::proc;
    use super::*;

    #[test]
    fn a_file_is_forgotten_when_nobody_has_used_it_for_long() {
        let mut files = Files::new();
        for inode in [1, 2] {
            files.insert((0, inode), None, inode);
        }
        // Not before either was inserted.
        let start = Instant::now();
        let used = HashSet::from([(0, 1)]);
        assert!(files.unused(&used, start + UNUSED / 2).is_empty());
        assert_eq!(files.unused(&used, start + UNUSED), [2]);
        let nobody = HashSet::new();
        assert!(files.unused(&nobody, start + UNUSED).is_empty());
        assert_eq!(files.unused(&nobody, start + UNUSED * 2), [1]);
    }

    #[test]
    fn another_file_under_the_same_number_is_not_known() {
        let mut files = Files::new();
        files.insert((0, 1), Some((1, 2, 3)), ());
        assert!(files.is_known((0, 1), (1, 2, 3)));
        assert!(!files.is_known((0, 1), (1, 2, 4)));
        assert!(!files.is_known((0, 2), (1, 2, 3)));
    }

    #[test]
    fn a_pipe_that_takes_the_place_of_a_file_holds_nobody_up() {
        let path = std::env::temp_dir().join(format!("pipe-{}", std::process::id()));
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let mapped = Mapped {
            inode: (0, std::fs::metadata(&path).unwrap().ino()),
            path: path.clone(),
            start: 0,
            offset: 0,
            range: String::new(),
        };
        let opened = open(&path, &mapped);
        std::fs::remove_file(path).unwrap();
        assert!(opened.is_err());
    }

    #[test]
    fn a_program_whose_file_was_replaced_is_found_by_its_mapping() {
        let file = std::env::temp_dir().join(format!("libraries-{}", std::process::id()));
        std::fs::copy("/bin/sleep", &file).unwrap();
        let mut child = Command::new(&file)
            .arg("1000")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        // The kernel lets us go on before it has mapped the new program.
        let mapped = loop {
            let mut all = proc::mapped(child.id()).into_iter();
            if let Some(mapped) = all.find(|mapped| mapped.path == file) {
                break mapped;
            }
            assert!(Instant::now() < deadline, "it is never mapped");
            std::thread::yield_now();
        };
        let (path, stamp) = locate(child.id(), &mapped).unwrap();
        assert!(path.ends_with(file.strip_prefix("/").unwrap()));
        std::fs::write(file.with_extension("new"), "no program").unwrap();
        std::fs::rename(file.with_extension("new"), &file).unwrap();
        let found = locate(child.id(), &mapped);
        child.kill().unwrap();
        child.wait().unwrap();
        std::fs::remove_file(file).unwrap();
        let (path, same) = found.unwrap();
        assert!(path.to_string_lossy().contains("map_files"), "{path:?}");
        // The lost name is a change too.
        assert_eq!(same.2, stamp.2);
    }
}
