//! What `/proc` says of a process. Everything there is hostile input: sizes are capped, and a
//! process may be gone at any line.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::cgroup::{self, Place};

/// The most bytes of an environment or a command line that are looked at.
const TEXT_CAP: u64 = 256 << 10;
/// The most bytes of `maps` that are looked at.
const MAPS_CAP: u64 = 4 << 20;

/// What a process looks like from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its number.
    pub(crate) tgid: u32,
    /// Start time in nanoseconds since boot, rounded down to a clock tick (10 ms).
    pub(crate) start_tick: u64,
    /// Its parent's number.
    pub(crate) parent: u32,
    /// Its name, at most 15 bytes.
    pub(crate) comm: String,
    /// Path of its executable, as its own mount namespace has it.
    pub(crate) executable: Option<PathBuf>,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// Its container, and the pod around that.
    pub(crate) place: Place,
    /// Its cgroup's path (version 2, else the first of version 1).
    pub(crate) cgroup: Option<String>,
    /// The variables of its environment that matter here.
    pub(crate) environment: Environment,
    /// The user that runs it.
    pub(crate) uid: Option<u32>,
}

/// The variables that matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    /// `AGENT_NAME`
    pub(crate) agent_name: Option<String>,
    /// `OTEL_SERVICE_NAME`
    pub(crate) otel_service_name: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`
    pub(crate) otel_resource_attributes: Option<String>,
    /// Where its SDK would export traces, by the variable that says so most closely:
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_ENDPOINT`.
    pub(crate) otlp_endpoints: [Option<String>; 3],
}

/// A file that a process has mapped executable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mapped {
    /// Device and inode: what the kernel hooks.
    pub(crate) inode: (u64, u64),
    /// The path in the process's own mount namespace.
    pub(crate) path: PathBuf,
    /// Where its first executable part begins in memory …
    pub(crate) start: u64,
    /// … and in the file.
    pub(crate) offset: u64,
    /// The first and last address, as `maps` and `map_files` have them.
    pub(crate) range: String,
}

/// Reads what is known of a process; `None` when it is gone.
pub(crate) fn process(tgid: u32) -> Option<Process> {
    let stat = text(tgid, "stat")?;
    let (comm, parent, start_tick) = parse_stat(&stat)?;
    let cgroup = text(tgid, "cgroup").unwrap_or_default();
    Some(Process {
        tgid,
        start_tick,
        parent,
        comm,
        executable: std::fs::read_link(path(tgid, "exe")).ok(),
        arguments: parse_list(&bytes(tgid, "cmdline", TEXT_CAP).unwrap_or_default()).collect(),
        place: cgroup::place(&cgroup),
        cgroup: cgroup_path(&cgroup),
        environment: environment(&bytes(tgid, "environ", TEXT_CAP).unwrap_or_default()),
        uid: std::fs::metadata(path(tgid, "")).ok().map(|m| m.uid()),
    })
}

/// The parent of a process; `None` when it is gone.
pub(crate) fn parent(tgid: u32) -> Option<u32> {
    parse_stat(&text(tgid, "stat")?).map(|(_, parent, _)| parent)
}

/// All processes, by number.
pub(crate) fn all() -> io::Result<Vec<u32>> {
    let names =
        std::fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter_map(|name| name.parse().ok()).collect())
}

/// The files that a process has mapped executable, each once.
pub(crate) fn mapped(tgid: u32) -> Vec<Mapped> {
    let maps = bytes(tgid, "maps", MAPS_CAP).unwrap_or_default();
    let mut found: Vec<Mapped> = Vec::new();
    for line in String::from_utf8_lossy(&maps).lines() {
        if let Some(mapped) = parse_map(line)
            && !found.iter().any(|known| known.inode == mapped.inode)
        {
            found.push(mapped);
        }
    }
    found
}

/// Whether a uprobe was hit in it: the kernel then maps a page for its own use.
pub(crate) fn is_hooked(tgid: u32) -> bool {
    let maps = bytes(tgid, "maps", MAPS_CAP).unwrap_or_default();
    String::from_utf8_lossy(&maps)
        .lines()
        .any(|line| line.ends_with(" [uprobes]"))
}

/// Whether its program is one of 32 bits: an ELF file says so in its fifth byte (`EI_CLASS`).
pub(crate) fn is_32_bit(tgid: u32) -> bool {
    const NARROW: &[u8] = b"\x7fELF\x01";
    bytes(tgid, "exe", NARROW.len() as u64).is_some_and(|head| head == NARROW)
}

/// Where a file of a process's mount namespace is found from here.
pub(crate) fn through_root(tgid: u32, file: &Path) -> PathBuf {
    let mut path = path(tgid, "root");
    path.push(file.strip_prefix("/").unwrap_or(file));
    path
}

/// Where a mapped file is found whatever became of its path.
pub(crate) fn map_file(tgid: u32, mapped: &Mapped) -> PathBuf {
    path(tgid, &format!("map_files/{}", mapped.range))
}

/// Whether there is such a process.
pub(crate) fn exists(tgid: u32) -> bool {
    path(tgid, "").exists()
}

/// Where another process finds a descriptor of this one.
pub(crate) fn own_descriptor(descriptor: i32) -> PathBuf {
    path(std::process::id(), &format!("fd/{descriptor}"))
}

/// The id of this boot; empty when it cannot be read.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|s| s.trim().to_owned())
        .unwrap_or_default()
}

fn path(tgid: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{tgid}/{name}"))
}

fn bytes(tgid: u32, name: &str, cap: u64) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path(tgid, name))
        .ok()?
        .take(cap)
        .read_to_end(&mut content)
        .ok()?;
    Some(content)
}

fn text(tgid: u32, name: &str) -> Option<String> {
    bytes(tgid, name, TEXT_CAP).map(|b| String::from_utf8_lossy(&b).into_owned())
}

/// Name, parent and start of a `stat` line. The name stands in parentheses and may hold any
/// byte, parentheses and blanks among them (proc(5)).
fn parse_stat(stat: &str) -> Option<(String, u32, u64)> {
    const NANOS_PER_TICK: u64 = 10_000_000;
    let (head, tail) = stat.rsplit_once(") ")?;
    let comm = head.split_once(" (")?.1;
    let mut fields = tail.split(' ');
    let parent = fields.nth(1)?.parse().ok()?;
    let ticks: u64 = fields.nth(17)?.parse().ok()?;
    Some((
        comm.to_owned(),
        parent,
        ticks.saturating_mul(NANOS_PER_TICK),
    ))
}

fn parse_list(bytes: &[u8]) -> impl Iterator<Item = String> {
    let parts = bytes.split(|b| *b == 0).filter(|part| !part.is_empty());
    parts.map(|part| String::from_utf8_lossy(part).into_owned())
}

fn environment(bytes: &[u8]) -> Environment {
    let mut found = Environment::default();
    for variable in bytes.split(|b| *b == 0) {
        let Some(at) = variable.iter().position(|b| *b == b'=') else {
            continue;
        };
        let slot = match &variable[..at] {
            b"AGENT_NAME" => &mut found.agent_name,
            b"OTEL_SERVICE_NAME" => &mut found.otel_service_name,
            b"OTEL_RESOURCE_ATTRIBUTES" => &mut found.otel_resource_attributes,
            b"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" => &mut found.otlp_endpoints[0],
            b"OTEL_EXPORTER_OTLP_ENDPOINT" => &mut found.otlp_endpoints[1],
            b"OTEL_ENDPOINT" => &mut found.otlp_endpoints[2],
            _ => continue,
        };
        let value = String::from_utf8_lossy(&variable[at + 1..]).into_owned();
        *slot = (!value.is_empty()).then_some(value);
    }
    found
}

/// A line of `maps`: `from-to perms offset major:minor inode path`.
fn parse_map(line: &str) -> Option<Mapped> {
    let mut fields = line.splitn(6, ' ');
    let range = fields.next()?.to_owned();
    let permissions = fields.next()?;
    let offset = fields.next()?;
    let (major, minor) = fields.next()?.split_once(':')?;
    let inode: u64 = fields.next()?.parse().ok()?;
    let path = fields.next()?.trim_start();
    if inode == 0 || !permissions.contains('x') || !path.starts_with('/') {
        return None;
    }
    let major = u64::from_str_radix(major, 16).ok()?;
    let minor = u64::from_str_radix(minor, 16).ok()?;
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    Some(Mapped {
        inode: ((major << 32) | minor, inode),
        path: PathBuf::from(path),
        start: u64::from_str_radix(range.split_once('-')?.0, 16).ok()?,
        offset: u64::from_str_radix(offset, 16).ok()?,
        range,
    })
}

fn cgroup_path(cgroup: &str) -> Option<String> {
    let lines = || cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let unified = cgroup.lines().find_map(|line| line.strip_prefix("0::"));
    unified.or_else(|| lines().next()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "42 (a) R (x) ) S 7 1 1 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 1";
        assert_eq!(
            parse_stat(stat),
            Some(("a) R (x) ".to_owned(), 7, 123_450_000_000))
        );
        assert_eq!(parse_stat("42 (x"), None);
        assert_eq!(parse_stat("42 (x) S 1"), None);
    }

    #[test]
    fn this_process_is_found() {
        let me = process(std::process::id()).unwrap();
        assert_eq!(me.executable, std::env::current_exe().ok());
        assert!(me.start_tick > 0);
        assert!(all().unwrap().contains(&me.tgid));
        assert!(
            mapped(me.tgid)
                .iter()
                .any(|m| Some(&m.path) == me.executable.as_ref())
        );
        assert!(process(u32::MAX).is_none());
    }

    #[test]
    fn only_files_mapped_executable_count() {
        let line =
            "7f00-7f01 r-xp 00001000 fe:00 1234                       /usr/lib/my lib.so (deleted)";
        let mapped = parse_map(line).unwrap();
        assert_eq!(mapped.path, Path::new("/usr/lib/my lib.so"));
        assert_eq!(mapped.inode, (0xfe << 32, 1234));
        for other in [
            "7f00-7f01 r--p 00000000 fe:00 1234 /usr/lib/x.so",
            "7f00-7f01 r-xp 00000000 00:00 0 [vdso]",
            "7f00-7f01 r-xp 00000000 00:00 0 ",
            "nonsense",
        ] {
            assert_eq!(parse_map(other), None, "{other}");
        }
    }

    #[test]
    fn the_environment_gives_only_what_matters() {
        let found = environment(b"PATH=/bin\0AGENT_NAME=boss\0OTEL_SERVICE_NAME=\0broken\0");
        assert_eq!(found.agent_name.as_deref(), Some("boss"));
        assert_eq!(found.otel_service_name, None);
    }
}
