//! TLS libraries in use, and the tap attached to each. A file is looked at once, by device and
//! inode, however many processes map it.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use object::ReadCache;
use probe_elf::tls::{Abi, Cost, Function, OpenSslSites, Site, When, openssl_sites};

use super::proc::{Mapped, through_root};
use crate::kernel::{Attached, Control};

/// The most files that are remembered; a host has far fewer.
const MOST: usize = 16_384;

/// What became of a file.
#[derive(Debug)]
pub(crate) enum Library {
    /// It has no functions of a TLS library that we know.
    None,
    /// The tap is attached.
    Attached(Vec<Attached>),
    /// It has them, but the tap could not be attached: why.
    Failed(String),
}

/// Every file that was looked at.
#[derive(Debug, Default)]
pub(crate) struct Libraries {
    files: HashMap<(u64, u64), Library>,
}

impl Libraries {
    /// Looks at a mapped file, if it is new, and attaches the tap; returns whether it did.
    pub(crate) fn meet(&mut self, tgid: u32, mapped: &Mapped, control: &mut Control) -> bool {
        if self.files.contains_key(&mapped.inode) || !self.has_room() {
            return false;
        }
        let Some((path, file)) = open(tgid, mapped) else {
            return false;
        };
        let library = match sites(&file) {
            None => Library::None,
            Some(Err(reason)) => Library::Failed(reason),
            Some(Ok(sites)) => attach(&path, &sites, control),
        };
        match &library {
            Library::Attached(sites) => tracing::debug!(
                file = %mapped.path.display(), sites = sites.len(), "attached the TLS tap"
            ),
            Library::Failed(reason) => tracing::warn!(
                file = %mapped.path.display(), %reason, "cannot attach the TLS tap"
            ),
            Library::None => {}
        }
        let attached = matches!(library, Library::Attached(_));
        self.files.insert(mapped.inode, library);
        attached
    }

    /// Makes room for one more file. Files without TLS are forgotten when there are too many: to
    /// look at one again costs little, and never to look at a new one costs its calls.
    fn has_room(&mut self) -> bool {
        if self.files.len() >= MOST {
            self.files
                .retain(|_, library| !matches!(library, Library::None));
        }
        self.files.len() < MOST
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

fn attach(path: &std::path::Path, found: &OpenSslSites, control: &mut Control) -> Library {
    if found.worst_cost() == Cost::SingleStep {
        tracing::info!(file = %path.display(), "hooks of this build are slow; see docs/tls.md");
    }
    let mut attached = Vec::new();
    // Returns first: an entry without its return would wait for nothing.
    let (returns, entries): (Vec<_>, Vec<_>) = found
        .sites
        .iter()
        .partition(|site| site.when == When::Return);
    for site in returns.into_iter().chain(entries) {
        match control.attach(program(site), path, site.file_offset) {
            Ok(link) => attached.push(link),
            Err(error) => {
                for link in attached {
                    let _ = control.detach(link);
                }
                return Library::Failed(format!("{error:#}"));
            }
        }
    }
    Library::Attached(attached)
}

/// Opens the mapped file by way of the process; the path may lead to another file by now.
fn open(tgid: u32, mapped: &Mapped) -> Option<(PathBuf, File)> {
    let path = through_root(tgid, &mapped.path);
    let file = File::open(&path).ok()?;
    let inode = file.metadata().ok()?.ino();
    // The device of `maps` and that of `stat` differ on some file systems (btrfs, overlayfs).
    (inode == mapped.inode.1).then_some((path, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_without_tls_make_room_and_attached_ones_stay() {
        let mut libraries = Libraries::default();
        libraries
            .files
            .insert((0, 0), Library::Attached(Vec::new()));
        for inode in 1..MOST as u64 {
            libraries.files.insert((0, inode), Library::None);
        }
        assert!(libraries.has_room());
        assert_eq!(libraries.files.len(), 1);
        assert!(matches!(libraries.files[&(0, 0)], Library::Attached(_)));
    }
}
