//! The cheapest probe that there can be, to compare with: it copies the bytes, and that is all.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use aya::maps::RingBuf;
use aya::programs::uprobe::{UProbeAttachLocation, UProbeScope};
use aya::programs::{BtfTracePoint, UProbe};
use aya::{Btf, Ebpf, EbpfLoader};
use probe_elf::ReadCache;
use probe_elf::tls::{Function, Site, When, openssl_sites};

use crate::cpu;

/// Loaded programs, with a thread that empties their ring; they go away with this value.
pub(crate) struct Floor {
    ebpf: Ebpf,
    stop: Arc<AtomicBool>,
    copies: Arc<AtomicU64>,
    reader: Option<JoinHandle<()>>,
}

impl Floor {
    /// Loads the programs for one process; none is attached.
    pub(crate) fn load(object: &Path, target: u32) -> anyhow::Result<Self> {
        let mut ebpf = EbpfLoader::new()
            .override_global("TARGET", &target, true)
            .load_file(object)
            .context("cannot load the floor's programs")?;
        let ring = ebpf.take_map("RING").context("the floor has no ring")?;
        let ring = RingBuf::try_from(ring)?;
        let stop = Arc::new(AtomicBool::new(false));
        let copies = Arc::new(AtomicU64::new(0));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&copies));
        let reader = thread::spawn(move || empty(ring, &stopped, &count));
        Ok(Self {
            ebpf,
            stop,
            copies,
            reader: Some(reader),
        })
    }

    /// Attaches the tap of plain sockets.
    pub(crate) fn attach_plain(&mut self) -> anyhow::Result<()> {
        let program: &mut BtfTracePoint = self
            .ebpf
            .program_mut("floor_plain")
            .context("no program floor_plain")?
            .try_into()?;
        program.load("sys_exit", &Btf::from_sys_fs()?)?;
        program.attach()?;
        Ok(())
    }

    /// Attaches a uprobe or uretprobe of ours to a place.
    pub(crate) fn attach(&mut self, name: &str, place: &Place) -> anyhow::Result<()> {
        let program: &mut UProbe = self
            .ebpf
            .program_mut(name)
            .ok_or_else(|| anyhow!("no program {name}"))?
            .try_into()?;
        if program.fd().is_err() {
            program.load()?;
        }
        let at = UProbeAttachLocation::AbsoluteOffset(place.offset);
        program.attach(at, &place.file, UProbeScope::AllProcesses)?;
        Ok(())
    }

    /// How many chunks were copied.
    pub(crate) fn copies(&self) -> u64 {
        self.copies.load(Ordering::Relaxed)
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn empty(mut ring: RingBuf<aya::maps::MapData>, stop: &AtomicBool, copies: &AtomicU64) {
    let _ = cpu::pin(cpu::OTHERS);
    while !stop.load(Ordering::Relaxed) {
        while ring.next().is_some() {
            copies.fetch_add(1, Ordering::Relaxed);
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// An instruction of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: PathBuf,
    pub(crate) offset: u64,
}

/// Where OpenSSL is hooked for the calls that the measured process makes.
#[derive(Debug)]
pub(crate) struct TlsPlaces {
    pub(crate) write: Place,
    pub(crate) write_return: Place,
    pub(crate) read: Place,
    pub(crate) read_return: Place,
}

/// The sites of the libssl that the process has mapped, as kaos-probe would choose them.
pub(crate) fn tls_places(pid: u32) -> anyhow::Result<TlsPlaces> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let file = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .find(|path| path.contains("libssl"))
        .map(PathBuf::from)
        .context("the measured process has no libssl")?;
    let opened = std::fs::File::open(&file)?;
    let sites = openssl_sites(&ReadCache::new(opened))?.context("libssl has no functions")?;
    let place = |function, when, symbol: &str| {
        let is_it = |site: &&Site| {
            site.function == function && site.when == when && site.symbols.contains(&symbol)
        };
        let site = sites.sites.iter().find(is_it);
        site.map(|site| Place {
            file: file.clone(),
            offset: site.file_offset,
        })
        .with_context(|| format!("no site for {symbol}"))
    };
    // The crate openssl calls the `_ex` forms, as CPython does.
    Ok(TlsPlaces {
        write: place(Function::Write, When::Entry, "SSL_write_ex")?,
        write_return: place(Function::Write, When::Return, "SSL_write_ex")?,
        read: place(Function::Read, When::Entry, "SSL_read_ex")?,
        read_return: place(Function::Read, When::Return, "SSL_read_ex")?,
    })
}
