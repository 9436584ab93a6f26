//! TLS libraries and Go programs in use, and the tap attached to each. A file is looked at once,
//! by device and inode, however many processes map it.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::time::Instant;

use object::ReadCache;
use probe_common::maps::Go;
use probe_elf::tls::{Abi, Cost, Function, OpenSslSites, Site, When, openssl_sites};

use super::files::{Files, Inode, Stamp, locate, open};
use super::golang;
use super::proc::{self, Mapped};
use crate::kernel::{Attached, Control};

/// The most places that are hooked, some twelve in a file. Each is an open file.
const MOST_SITES: usize = 32_768;
/// Open files that are left for everything else.
const RESERVE: u64 = 256;
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
    files: Files<Looked>,
    /// The most places that may be hooked.
    most_sites: usize,
}

#[derive(Debug)]
struct Looked {
    library: Library,
    /// Where a Go program keeps what its goroutines are.
    go: Option<Go>,
}

impl Libraries {
    /// None so far. `descriptors`: how many files may be open, if that is limited.
    pub(crate) fn new(descriptors: Option<u64>) -> Self {
        let room = descriptors.map_or(u64::MAX, |limit| limit.saturating_sub(RESERVE));
        Self {
            files: Files::new(),
            most_sites: usize::try_from(room).map_or(MOST_SITES, |room| room.min(MOST_SITES)),
        }
    }

    /// How many files are hooked, and how many with TLS in them are not.
    pub(crate) fn count(&self) -> (usize, usize) {
        let mut counts = (0, 0);
        for known in self.files.iter() {
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
        let hooked = self.files.iter().map(|known| match &known.library {
            Library::Attached(sites) => sites.len(),
            Library::None | Library::Failed(_) | Library::Refused(_) => 0,
        });
        self.most_sites.saturating_sub(hooked.sum())
    }

    /// Looks at a mapped file, if it is new, and attaches the tap; returns whether it did.
    pub(crate) fn meet(&mut self, tgid: u32, mapped: &Mapped, control: &mut Control) -> bool {
        let (looked, stamp) = match locate(tgid, mapped) {
            Ok((path, stamp)) => {
                if self.is_known(mapped.inode, stamp, control) {
                    self.say_go(tgid, mapped.inode, control);
                    return false;
                }
                if !self.has_room() {
                    return false;
                }
                let looked = look(&path, mapped, self.room_for_sites(), control);
                if matches!(looked.library, Library::Refused(_)) && !proc::exists(tgid) {
                    // The way to the file went through it; the next one leads there again.
                    return false;
                }
                (looked, Some(stamp))
            }
            // A process that is gone takes its files along, and nothing is lost.
            Err(_) if !proc::exists(tgid) => return false,
            Err(error) => {
                if self.files.get(mapped.inode).is_some() || !self.has_room() {
                    return false;
                }
                let failed = Library::Failed(format!("it cannot be reached: {error}"));
                (Looked::without_go(failed), None)
            }
        };
        say(mapped, &looked.library);
        let attached = matches!(looked.library, Library::Attached(_));
        self.files.insert(mapped.inode, stamp, looked);
        self.say_go(tgid, mapped.inode, control);
        attached
    }

    /// Tells the kernel half of the goroutines of a process that runs this file.
    fn say_go(&self, tgid: u32, inode: Inode, control: &mut Control) {
        let go = self.files.get(inode).and_then(|known| known.go);
        if let Some(go) = go
            && let Err(error) = control.set_go(tgid, golang::newest(go))
        {
            let error = format!("{error:#}");
            tracing::warn!(pid = tgid, error, "cannot follow goroutines");
        }
    }

    /// Whether this very file was looked at. Another one of the same number is forgotten.
    fn is_known(&mut self, inode: Inode, stamp: Stamp, control: &mut Control) -> bool {
        if self.files.is_known(inode, stamp) {
            return true;
        }
        if let Some(known) = self.files.remove(inode) {
            detach(known.library, control);
        }
        false
    }

    /// Makes room for one more file. Files without TLS are forgotten when there are too many: to
    /// look at one again costs little, and never to look at a new one costs its calls.
    fn has_room(&mut self) -> bool {
        self.files
            .has_room(|known| !matches!(known.library, Library::None))
    }

    /// Takes the tap away from files that no process has had mapped for long; `used` now are these.
    pub(crate) fn forget_unused(&mut self, used: &HashSet<Inode>, control: &mut Control) {
        for known in self.files.unused(used, Instant::now()) {
            detach(known.library, control);
        }
    }

    /// Forgets the files that may be hooked later; whether there were any.
    pub(crate) fn forget_refused(&mut self) -> bool {
        self.files
            .forget(|known| matches!(known.library, Library::Refused(_)))
    }
}

impl Looked {
    const fn without_go(library: Library) -> Self {
        Self { library, go: None }
    }
}

/// What a new file is, with the tap attached if it can be and there is `room`.
fn look(path: &Path, mapped: &Mapped, room: usize, control: &mut Control) -> Looked {
    let file = match open(path, mapped) {
        Ok(file) => file,
        Err(error) => {
            let refused = Library::Refused(format!("it cannot be opened: {error}"));
            return Looked::without_go(refused);
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
        Some(found) if matches!(library, Library::None) => Looked {
            library: golang::attach(path, &found, control),
            go: golang::layout(&found),
        },
        _ => Looked::without_go(library),
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

#[cfg(test)]
mod tests {
    use super::super::files;
    use super::*;

    fn with(all: impl IntoIterator<Item = Library>) -> Libraries {
        let mut libraries = Libraries::new(Some(1024));
        for (inode, library) in (0..).zip(all) {
            let looked = Looked::without_go(library);
            libraries.files.insert((0, inode), Some((1, 2, 3)), looked);
        }
        libraries
    }

    #[test]
    fn files_without_tls_make_room_and_attached_ones_stay() {
        let attached = [Library::Attached(Vec::new())];
        let none = (1..files::MOST).map(|_| Library::None);
        let mut libraries = with(attached.into_iter().chain(none));
        assert!(libraries.has_room());
        let left: Vec<_> = libraries.files.iter().map(|it| &it.library).collect();
        assert!(matches!(left[..], [Library::Attached(_)]));
    }

    #[test]
    fn what_was_refused_is_tried_again_and_what_failed_is_not() {
        let mut libraries = with([
            Library::None,
            Library::Attached(Vec::new()),
            Library::Failed(String::new()),
            Library::Refused(String::new()),
        ]);
        assert_eq!(libraries.room_for_sites(), 768);
        assert_eq!(libraries.count(), (1, 2));
        assert!(libraries.forget_refused());
        assert_eq!(libraries.count(), (1, 1));
        assert!(!libraries.forget_refused());
    }
}
