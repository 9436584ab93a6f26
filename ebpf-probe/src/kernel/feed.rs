//! The stream of records, and the credit that goes back.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use aya::Ebpf;
use aya::maps::{HashMap, Map, MapData, RingBuf};
use probe_common::capture::Connection;
use probe_common::maps::{Grant, TlsKey};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::pod::Pod;

/// Records out, grants in.
pub(crate) struct Feed {
    ring: RingBuf<MapData>,
    grants: HashMap<MapData, u64, Pod<Grant>>,
    tls: HashMap<MapData, Pod<TlsKey>, Pod<Connection>>,
}

impl Feed {
    pub(super) fn new(ebpf: &mut Ebpf) -> anyhow::Result<Self> {
        Ok(Self {
            ring: RingBuf::try_from(take(ebpf, "RING")?)?,
            grants: HashMap::try_from(take(ebpf, "GRANTS")?)?,
            tls: HashMap::try_from(take(ebpf, "TLS_CONNECTIONS")?)?,
        })
    }

    /// Waits until there are records, at most `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) -> anyhow::Result<()> {
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let mut fds = [PollFd::new(&self.ring, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("cannot wait for records"),
        }
    }

    /// Hands over at most `most` records, each as raw bytes; returns how many there were.
    pub(crate) fn drain(&mut self, most: usize, mut record: impl FnMut(&[u8])) -> usize {
        for n in 0..most {
            match self.ring.next() {
                Some(item) => record(&item),
                None => return n,
            }
        }
        most
    }

    /// Allows more bytes of a connection than its credit. A full table means that the
    /// connection stays with its credit, which shows as a hole.
    pub(crate) fn grant(&mut self, conn: u64, grant: Grant) {
        let _ = self.grants.insert(conn, Pod(grant), 0);
    }

    /// Forgets a TLS connection whose process died without freeing it.
    pub(crate) fn forget_tls(&mut self, tgid: u32, ssl: u64) {
        let _ = self.tls.remove(&Pod(TlsKey { ssl, tgid, pad: 0 }));
    }
}

pub(super) fn take(ebpf: &mut Ebpf, name: &str) -> anyhow::Result<Map> {
    ebpf.take_map(name)
        .ok_or_else(|| anyhow!("the kernel half has no map {name}"))
}
