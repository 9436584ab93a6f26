//! One process in words, for `doctor`.

use object::ReadCache;
use probe_elf::go::GoSites;
use probe_elf::runtime::{Coverage, Facts, Runtime};
use probe_elf::tls::{Cost, OpenSslSites};

use super::files;
use super::proc::{self, Mapped};

/// What was found out about a process.
#[derive(Debug)]
pub(crate) struct Report {
    /// What it is.
    pub(crate) process: proc::Process,
    /// Its executable's runtime, in a word or two.
    pub(crate) runtime: String,
    /// Whether a hook of anybody's was hit in it already.
    pub(crate) is_hooked: bool,
    /// Whether it is a 32-bit program, whose system calls are not followed.
    pub(crate) is_32_bit: bool,
    /// The executable, and each mapped file that has TLS in it.
    pub(crate) files: Vec<MappedFile>,
    /// Files that could not be looked at, and why.
    pub(crate) unread: Vec<(String, String)>,
    /// Whether no file is mapped, or none can be seen.
    pub(crate) is_bare: bool,
}

/// A file in words.
#[derive(Debug)]
pub(crate) struct MappedFile {
    /// Its path in the process's own mount namespace.
    pub(crate) path: String,
    /// Each TLS library in it, and whether it is seen.
    pub(crate) coverage: Vec<Coverage>,
    /// Where it is hooked, if it is.
    pub(crate) hooks: Option<String>,
}

/// Looks at a process; `None` when there is none of that number.
pub(crate) fn process(tgid: u32) -> Option<Report> {
    let process = proc::process(tgid)?;
    let executable = process.executable.clone();
    let mut runtime = "unknown".to_owned();
    let (mut files, mut unread) = (Vec::new(), Vec::new());
    let all = proc::mapped(tgid);
    for mapped in &all {
        let is_executable = executable.as_ref() == Some(&mapped.path);
        let facts = match inspect(tgid, mapped) {
            Ok(Some(facts)) => facts,
            Ok(None) => continue,
            Err(why) => {
                unread.push((mapped.path.to_string_lossy().into_owned(), why));
                continue;
            }
        };
        if is_executable {
            runtime = name_of(&facts.runtime);
        }
        let coverage: Vec<Coverage> = facts
            .tls_coverage()
            .into_iter()
            .filter(|coverage| is_executable || coverage.library != "none")
            .collect();
        if is_executable || facts.openssl.is_some() || !facts.marks.tls.is_empty() {
            files.push(MappedFile {
                path: mapped.path.to_string_lossy().into_owned(),
                coverage,
                hooks: hooks_in(&facts),
            });
        }
    }
    Some(Report {
        process,
        runtime,
        is_hooked: proc::is_hooked(tgid),
        is_32_bit: proc::is_32_bit(tgid),
        files,
        unread,
        is_bare: all.is_empty(),
    })
}

/// Where a file is hooked, in words.
fn hooks_in(facts: &Facts) -> Option<String> {
    let openssl = facts.openssl.as_ref().map(hooks);
    openssl.or_else(|| facts.go.as_ref().and_then(go_hooks))
}

/// The hooked packages of a Go program, and what a hit costs.
fn go_hooks(found: &GoSites) -> Option<String> {
    let packages = [("crypto/tls", &found.tls), ("net/http", &found.client)];
    let hooked = packages.iter().filter(|(_, sites)| !sites.is_empty());
    let names: Vec<&str> = hooked.map(|(package, _)| *package).collect();
    let places = found.tls.len() + found.client.len();
    let cost = in_words(found.worst_cost());
    (places > 0).then(|| format!("{places} places in {}; {cost}", names.join(" and ")))
}

/// The hooked functions, and what a hit costs.
fn hooks(found: &OpenSslSites) -> String {
    let mut functions: Vec<&str> = found
        .sites
        .iter()
        .flat_map(|site| site.symbols.iter().copied())
        .collect();
    functions.sort_unstable();
    functions.dedup();
    let cost = in_words(found.worst_cost());
    format!(
        "{} places for {}; {cost}",
        found.sites.len(),
        functions.join(", ")
    )
}

const fn in_words(cost: Cost) -> &'static str {
    match cost {
        Cost::Emulated => "about half a microsecond a hit",
        Cost::SingleStep => "some microseconds a hit (docs/tls.md)",
    }
}

/// What a file is; `None` if it is no program or library of 64 bits, or why it cannot be told.
fn inspect(tgid: u32, mapped: &Mapped) -> Result<Option<Facts>, String> {
    let (path, _) = files::locate(tgid, mapped).map_err(|error| error.to_string())?;
    let file = files::open(&path, mapped).map_err(|error| error.to_string())?;
    match probe_elf::runtime::inspect(&ReadCache::new(&file)) {
        Ok(facts) => Ok(Some(facts)),
        Err(probe_elf::Error::NotElf) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

fn name_of(runtime: &Runtime) -> String {
    match runtime {
        Runtime::Go(go) => go.version.clone().unwrap_or_else(|| "Go".to_owned()),
        Runtime::Node => "Node.js".to_owned(),
        Runtime::Bun => "Bun".to_owned(),
        Runtime::Python(_) => "CPython".to_owned(),
        Runtime::Java => "Java".to_owned(),
        Runtime::Rust => "Rust".to_owned(),
        _ => "native code".to_owned(),
    }
}
