//! TLS libraries and Go programs in use, and the tap attached to each. A file is looked at once,
//! by device and inode, however many processes map it.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use object::ReadCache;
use probe_common::maps::Go;
use probe_elf::tls::{Abi, Cost, Function, OpenSslSites, Site, When, openssl_sites};

use super::golang;
use super::proc::{self, Mapped, map_file, through_root};
use crate::kernel::{Attached, Control};

/// The most files that are remembered; a host has far fewer.
const MOST: usize = 16_384;
/// The most places that are hooked, some twelve in a file. Each is an open file.
const MOST_SITES: usize = 32_768;
/// Open files that are left for everything else.
const RESERVE: u64 = 256;
/// How long a file stays hooked that nobody has mapped: programs are started again.
pub(super) const UNUSED: Duration = Duration::from_mins(10);

/// What became of a file.
#[derive(Debug)]
pub(crate) enum Library {
    /// It has no functions of a TLS library that we know.
    None,
    /// The tap is attached.
    Attached(Vec<Attached>),
    /// It has them, but where to hook them cannot be told: why.
    Failed(String),
    /// It could not be looked at or hooked, and may be later: why.
    Refused(String),
}

/// Every file that was looked at.
#[derive(Debug)]
pub(crate) struct Libraries {
    files: HashMap<Inode, Known>,
    /// The most places that may be hooked.
    most_sites: usize,
}

/// Device and inode.
pub(super) type Inode = (u64, u64);

#[derive(Debug)]
struct Known {
    library: Library,
    /// Where a Go program keeps what its goroutines are.
    go: Option<Go>,
    /// `None` for a file that could not be reached.
    stamp: Option<Stamp>,
    /// When a process was last seen to have it mapped.
    used: Instant,
}

/// What changes when an inode's number is given to another file, or its content is replaced:
/// time of the last change, and size.
pub(super) type Stamp = (i64, i64, u64);

impl Libraries {
    /// None so far. `descriptors`: how many files may be open, if that is limited.
    pub(crate) fn new(descriptors: Option<u64>) -> Self {
        let room = descriptors.map_or(u64::MAX, |limit| limit.saturating_sub(RESERVE));
        Self {
            files: HashMap::new(),
            most_sites: usize::try_from(room).map_or(MOST_SITES, |room| room.min(MOST_SITES)),
        }
    }

    /// How many files are hooked, and how many with TLS in them are not.
    pub(crate) fn count(&self) -> (usize, usize) {
        let mut counts = (0, 0);
        for known in self.files.values() {
            match known.library {
                Library::None => {}
                Library::Attached(_) => counts.0 += 1,
                Library::Failed(_) | Library::Refused(_) => counts.1 += 1,
            }
        }
        counts
    }

    /// How many more places may be hooked.
    fn room_for_sites(&self) -> usize {
        let hooked = self.files.values().map(|known| match &known.library {
            Library::Attached(sites) => sites.len(),
            Library::None | Library::Failed(_) | Library::Refused(_) => 0,
        });
        self.most_sites.saturating_sub(hooked.sum())
    }

    /// Looks at a mapped file, if it is new, and attaches the tap; returns whether it did.
    pub(crate) fn meet(&mut self, tgid: u32, mapped: &Mapped, control: &mut Control) -> bool {
        let ((library, go), stamp) = match locate(tgid, mapped) {
            Ok((path, stamp)) => {
                if self.is_known(mapped.inode, stamp, control) {
                    self.say_go(tgid, mapped.inode, control);
                    return false;
                }
                if !self.has_room() {
                    return false;
                }
                let room = self.room_for_sites();
                let looked = look(&path, mapped, room, control);
                if matches!(looked.0, Library::Refused(_)) && !proc::exists(tgid) {
                    // The way to the file went through it; the next one leads there again.
                    return false;
                }
                (looked, Some(stamp))
            }
            // A process that is gone takes its files along, and nothing is lost.
            Err(_) if !proc::exists(tgid) => return false,
            Err(error) => {
                if self.files.contains_key(&mapped.inode) || !self.has_room() {
                    return false;
                }
                let failed = Library::Failed(format!("it cannot be reached: {error}"));
                ((failed, None), None)
            }
        };
        say(mapped, &library);
        let attached = matches!(library, Library::Attached(_));
        let used = Instant::now();
        let known = Known {
            library,
            go,
            stamp,
            used,
        };
        self.files.insert(mapped.inode, known);
        self.say_go(tgid, mapped.inode, control);
        attached
    }

    /// Tells the kernel half of the goroutines of a process that runs this file.
    fn say_go(&self, tgid: u32, inode: Inode, control: &mut Control) {
        let go = self.files.get(&inode).and_then(|known| known.go);
        if let Some(go) = go
            && let Err(error) = control.set_go(tgid, golang::newest(go))
        {
            let error = format!("{error:#}");
            tracing::warn!(pid = tgid, error, "cannot follow goroutines");
        }
    }

    /// Whether this very file was looked at. Another one of the same number is forgotten.
    fn is_known(&mut self, inode: Inode, stamp: Stamp, control: &mut Control) -> bool {
        let Some(known) = self.files.get_mut(&inode) else {
            return false;
        };
        if known.stamp == Some(stamp) {
            known.used = Instant::now();
            return true;
        }
        if let Some(known) = self.files.remove(&inode) {
            detach(known.library, control);
        }
        false
    }

    /// Makes room for one more file. Files without TLS are forgotten when there are too many: to
    /// look at one again costs little, and never to look at a new one costs its calls.
    fn has_room(&mut self) -> bool {
        if self.files.len() >= MOST {
            self.files
                .retain(|_, known| !matches!(known.library, Library::None));
        }
        self.files.len() < MOST
    }

    /// Takes the tap away from files that no process has had mapped for long; `used` now are these.
    pub(crate) fn forget_unused(&mut self, used: &HashSet<Inode>, control: &mut Control) {
        for library in self.unused(used, Instant::now()) {
            detach(library, control);
        }
    }

    /// Forgets the files that may be hooked later; whether there were any.
    pub(crate) fn forget_refused(&mut self) -> bool {
        let before = self.files.len();
        self.files
            .retain(|_, known| !matches!(known.library, Library::Refused(_)));
        self.files.len() < before
    }

    /// Forgets the files that were last used [`UNUSED`] before `now`, and gives what they were.
    fn unused(&mut self, used: &HashSet<Inode>, now: Instant) -> Vec<Library> {
        for (inode, known) in &mut self.files {
            if used.contains(inode) {
                known.used = now;
            }
        }
        let old = |_: &Inode, known: &mut Known| now.duration_since(known.used) >= UNUSED;
        let old = self.files.extract_if(old);
        old.map(|(_, known)| known.library).collect()
    }
}

/// What a new file is, with the tap attached if it can be and there is `room`.
fn look(path: &Path, mapped: &Mapped, room: usize, control: &mut Control) -> (Library, Option<Go>) {
    let file = match open(path, mapped) {
        Ok(file) => file,
        Err(error) => {
            let refused = Library::Refused(format!("it cannot be opened: {error}"));
            return (refused, None);
        }
    };
    let library = match sites(&file) {
        None => Library::None,
        Some(Err(reason)) => Library::Failed(reason),
        Some(Ok(found)) if found.sites.len() > room => Library::Refused(
            "too many places are hooked; raise the limit of open files (ulimit -n)".to_owned(),
        ),
        Some(Ok(sites)) => attach(path, &sites, control),
    };
    match golang::sites(&file) {
        // A Go program that calls OpenSSL has one of the two in use at most.
        Some(found) if matches!(library, Library::None) => (
            golang::attach(path, &found, control),
            golang::layout(&found),
        ),
        _ => (library, None),
    }
}

fn say(mapped: &Mapped, library: &Library) {
    let file = mapped.path.display();
    match library {
        Library::Attached(sites) => {
            tracing::debug!(%file, sites = sites.len(), "attached the TLS tap");
        }
        Library::Failed(reason) | Library::Refused(reason) => {
            tracing::warn!(%file, %reason, "cannot attach the TLS tap");
        }
        Library::None => {}
    }
}

fn detach(library: Library, control: &mut Control) {
    if let Library::Attached(links) = library {
        for link in links {
            if let Err(error) = control.detach(link) {
                tracing::warn!(error = format!("{error:#}"), "cannot detach the TLS tap");
            }
        }
    }
}

/// The sites of a file; `None` when it is no ELF file or has no functions of a TLS library.
pub(crate) fn sites(file: &File) -> Option<Result<OpenSslSites, String>> {
    match openssl_sites(&ReadCache::new(file)) {
        Ok(sites) => sites.map(Ok),
        Err(probe_elf::Error::NotElf) => None,
        Err(error) => Some(Err(error.to_string())),
    }
}

/// The program for a site.
pub(crate) const fn program(site: &Site) -> &'static str {
    match (site.function, site.when, site.abi) {
        (Function::Shutdown, _, _) => "tls_shutdown",
        (Function::Free, _, _) => "tls_free",
        (_, When::Return, _) => "tls_return",
        (Function::Read, When::Entry, Abi::Direct) => "tls_read",
        (Function::Read, When::Entry, _) => "tls_read_ex",
        (Function::Write, When::Entry, Abi::Direct) => "tls_write",
        (Function::Write, When::Entry, Abi::DirectEx | Abi::InnerRcx) => "tls_write_ex",
        (Function::Write, When::Entry, Abi::DirectEx2 | Abi::InnerR8) => "tls_write_ex2",
    }
}

fn attach(path: &Path, found: &OpenSslSites, control: &mut Control) -> Library {
    if found.worst_cost() == Cost::SingleStep {
        tracing::info!(file = %path.display(), "hooks of this build are slow; see docs/tls.md");
    }
    // Returns first: an entry without its return would wait for nothing.
    let (returns, entries): (Vec<_>, Vec<_>) = found
        .sites
        .iter()
        .partition(|site| site.when == When::Return);
    let places = returns.into_iter().chain(entries);
    let places = places.map(|site| (program(site), site.file_offset));
    attach_all(path, places, control)
}

/// Attaches programs at file offsets, all of them or none.
pub(super) fn attach_all(
    path: &Path,
    places: impl Iterator<Item = (&'static str, u64)>,
    control: &mut Control,
) -> Library {
    let mut attached = Vec::new();
    for (program, offset) in places {
        match control.attach(program, path, offset) {
            Ok(link) => attached.push(link),
            Err(error) => {
                for link in attached {
                    let _ = control.detach(link);
                }
                return Library::Refused(format!("{error:#}"));
            }
        }
    }
    Library::Attached(attached)
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

    use super::*;

    fn known(library: Library, used: Instant) -> Known {
        let stamp = Some((1, 2, 3));
        Known {
            library,
            go: None,
            stamp,
            used,
        }
    }

    #[test]
    fn files_without_tls_make_room_and_attached_ones_stay() {
        let mut libraries = Libraries::new(None);
        let now = Instant::now();
        let attached = known(Library::Attached(Vec::new()), now);
        libraries.files.insert((0, 0), attached);
        for inode in 1..MOST as u64 {
            let none = known(Library::None, now);
            libraries.files.insert((0, inode), none);
        }
        assert!(libraries.has_room());
        assert_eq!(libraries.files.len(), 1);
        let left = &libraries.files[&(0, 0)].library;
        assert!(matches!(left, Library::Attached(_)));
    }

    #[test]
    fn what_was_refused_is_tried_again_and_what_failed_is_not() {
        let mut libraries = Libraries::new(Some(1024));
        assert_eq!(libraries.room_for_sites(), 768);
        let now = Instant::now();
        let all = [
            Library::None,
            Library::Attached(Vec::new()),
            Library::Failed(String::new()),
            Library::Refused(String::new()),
        ];
        for (inode, library) in (0..).zip(all) {
            libraries.files.insert((0, inode), known(library, now));
        }
        assert_eq!(libraries.count(), (1, 2));
        assert!(libraries.forget_refused());
        assert_eq!(libraries.count(), (1, 1));
        assert!(!libraries.forget_refused());
    }

    #[test]
    fn a_file_is_forgotten_when_nobody_has_used_it_for_long() {
        let mut libraries = Libraries::new(None);
        let start = Instant::now();
        for inode in [1, 2] {
            let attached = known(Library::Attached(Vec::new()), start);
            libraries.files.insert((0, inode), attached);
        }
        let used = HashSet::from([(0, 1)]);
        assert!(libraries.unused(&used, start + UNUSED / 2).is_empty());
        assert_eq!(libraries.unused(&used, start + UNUSED).len(), 1);
        assert!(libraries.files.contains_key(&(0, 1)));
        let nobody = HashSet::new();
        assert!(libraries.unused(&nobody, start + UNUSED).is_empty());
        assert_eq!(libraries.unused(&nobody, start + UNUSED * 2).len(), 1);
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
