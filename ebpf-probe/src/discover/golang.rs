//! Go programs: the tap of their own TLS, and where they keep what their goroutines are.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use object::ReadCache;
use probe_common::maps::Go;
use probe_elf::go::{GoSites, Hook, go_sites};
use probe_elf::tls::Cost;

use super::libraries::{Library, attach_all};
use crate::kernel::Control;

/// The sites of a file; `None` when it is no Go program.
pub(super) fn sites(file: &File) -> Option<GoSites> {
    // What cannot be read as ELF is told of where TLS libraries are looked for.
    go_sites(&ReadCache::new(file)).ok()?
}

/// Attaches the taps; there may be nothing to attach.
pub(super) fn attach(path: &Path, found: &GoSites, control: &mut Control) -> Library {
    if found.tls.is_empty() && found.client.is_empty() {
        return Library::None;
    }
    if found.worst_cost() == Cost::SingleStep {
        tracing::info!(file = %path.display(), "hooks of this build are slow; see docs/tls.md");
    }
    // A pooled connection's writer is hooked before anybody hands something over to it, and a
    // read's end before its beginning: neither waits for what does not come.
    let sites = found.client.iter().rev().chain(found.tls.iter().rev());
    let places = sites.map(|site| (program(site.hook), site.file_offset));
    attach_all(path, places, control)
}

/// The program for a hook.
const fn program(hook: Hook) -> &'static str {
    match hook {
        Hook::TlsRead => "go_tls_read",
        Hook::TlsCopies => "go_tls_copies",
        Hook::TlsReturns => "go_tls_returns",
        Hook::TlsWrite => "go_tls_write",
        Hook::TlsClose => "go_tls_close",
        Hook::HandsOver => "go_hands_over",
        Hook::WritesFor => "go_writes_for",
    }
}

/// Every program of this kind.
#[cfg(test)]
pub(crate) const PROGRAMS: [&str; 7] = [
    program(Hook::TlsRead),
    program(Hook::TlsCopies),
    program(Hook::TlsReturns),
    program(Hook::TlsWrite),
    program(Hook::TlsClose),
    program(Hook::HandsOver),
    program(Hook::WritesFor),
];

/// Where goroutines of this version have their ids; `None` where that is not known for certain.
pub(super) fn layout(found: &GoSites) -> Option<Go> {
    let (goid, parent) = match minor(found.version.as_deref()?)? {
        18..=20 => (152, 0),
        21 | 22 | 25 => (152, 272),
        23 | 24 => (160, 280),
        26 => (152, 280),
        _ => return None,
    };
    Some(Go {
        generation: 0,
        goid,
        parent,
    })
}

/// The same for one more process, or one more program of a process.
pub(super) fn newest(go: Go) -> Go {
    static GENERATION: AtomicU32 = AtomicU32::new(1);
    Go {
        generation: GENERATION.fetch_add(1, Ordering::Relaxed),
        ..go
    }
}

/// `26` of `go1.26.8`, `go1.26rc1` and `go1.26.8 X:greenteagc`.
fn minor(version: &str) -> Option<u16> {
    let rest = version.strip_prefix("go1.")?;
    let end = rest.find(|c: char| !c.is_ascii_digit());
    rest.get(..end.unwrap_or(rest.len()))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goid(version: &str) -> Option<u16> {
        let found = GoSites {
            version: Some(version.to_owned()),
            ..GoSites::default()
        };
        layout(&found).map(|go| go.goid)
    }

    #[test]
    fn only_known_versions_have_a_layout() {
        assert_eq!(goid("go1.22.5"), Some(152));
        assert_eq!(goid("go1.23rc1"), Some(160));
        assert_eq!(goid("go1.26.8 X:nojsonv2"), Some(152));
        assert_eq!(goid("go1.17"), None);
        assert_eq!(goid("go1.99"), None);
        assert_eq!(goid("devel go1.27-abcdef"), None);
    }

    #[test]
    fn each_process_is_another_generation() {
        let go = Go::default();
        assert_ne!(newest(go).generation, newest(go).generation);
    }
}
