//! What the probe has in the kernel and in memory.

use std::collections::HashSet;
use std::os::fd::AsFd as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use aya::Pod;
use aya::maps::{HashMap, Map, MapData, MapInfo};
use probe_common::capture::Connection;
use probe_common::maps::{ContextKey, Go, Process, Python};
use probe_common::record::Line;

/// A key of `CONTEXTS`, and its value: a number, whether it was told, the line.
const CONTEXT_KEY: usize = size_of::<ContextKey>();
const ORIGIN: usize = 16 + size_of::<Line>();

/// What a probe has at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    /// Bytes of its own memory.
    pub(super) resident: u64,
    /// Processes in any of its maps.
    pub(super) processes: HashSet<u32>,
    /// Connections.
    pub(super) sockets: usize,
    /// Contexts; the map gives up the oldest by itself.
    pub(super) contexts: usize,
}

impl Sample {
    /// What the probe of this process has now.
    pub(super) fn of(probe: u32) -> Result<Self> {
        let mut sample = Self {
            resident: resident(probe)?,
            ..Self::default()
        };
        let mut seen = HashSet::new();
        for id in map_ids(probe)? {
            // A map may go away meanwhile, and one may have several descriptors.
            if seen.insert(id)
                && let Ok(info) = MapInfo::from_id(id)
            {
                sample.add(&info)?;
            }
        }
        if sample.processes.is_empty() {
            bail!("the probe has no processes in its maps");
        }
        Ok(sample)
    }

    fn add(&mut self, info: &MapInfo) -> Result<()> {
        match info.name_as_str() {
            Some("PROCESSES") => self
                .processes
                .extend(keys::<u32, { size_of::<Process>() }>(info)?),
            Some("PYTHONS") => self
                .processes
                .extend(keys::<u32, { size_of::<Python>() }>(info)?),
            Some("GOS") => self
                .processes
                .extend(keys::<u32, { size_of::<Go>() }>(info)?),
            Some("SOCKETS") => {
                self.sockets = keys::<u64, { size_of::<Connection>() }>(info)?.len();
            }
            Some("CONTEXTS") => self.contexts = keys::<[u8; CONTEXT_KEY], ORIGIN>(info)?.len(),
            _ => {}
        }
        Ok(())
    }
}

/// The keys of a map whose values have so many bytes.
fn keys<K: Pod, const VALUE: usize>(info: &MapInfo) -> Result<Vec<K>> {
    let fd = info.fd()?.as_fd().try_clone_to_owned()?;
    let map = Map::from_map_data(MapData::from_fd(fd)?)?;
    let map: HashMap<MapData, K, [u8; VALUE]> = map.try_into()?;
    // Keys that go away during the walk begin it anew.
    Ok(map.keys().filter_map(Result::ok).collect())
}

/// The maps that a process has descriptors of.
fn map_ids(pid: u32) -> Result<Vec<u32>> {
    let folder = format!("/proc/{pid}/fdinfo");
    let entries = std::fs::read_dir(&folder).with_context(|| format!("read {folder}"))?;
    let infos = entries.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok());
    Ok(infos.filter_map(|info| number(&info, "map_id:")).collect())
}

fn resident(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"))?;
    let kib: u64 = number(&status, "VmRSS:").context("a process has a VmRSS")?;
    Ok(kib << 10)
}

/// The number after `name` at the beginning of a line.
fn number<T: std::str::FromStr>(text: &str, name: &str) -> Option<T> {
    let mut lines = text.lines();
    let rest = lines.find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}
