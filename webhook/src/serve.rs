//! Serves reviews over TLS.
//!
//! Only API servers call, and what they get holds no secret, so nobody is asked who they are:
//! limits of time, bytes and connections keep what else may come from doing harm.

mod body;
mod connection;
pub(crate) mod crowd;
mod review;
mod room;
mod shed;
mod timed;
mod tls;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

pub use review::{PATH, Reviewer, TIMEOUT_SECONDS};
pub use tls::{Served, config};

use self::crowd::Crowd;
use crate::metrics::Dropped;

/// What the kernel keeps of answers that a client does not read, for each connection: it would
/// else take megabytes, which count as the pod's memory and which no limit of ours sees.
const SEND_BUFFER: u32 = 64 << 10;

/// Connections that wait to be taken.
const BACKLOG: u32 = 1024;

/// What one client, or all together, may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections. One more takes the place of another, of the address that has most: of one
    /// that never completed a review, or is idle longest. Where that address is its own, and all of
    /// it is at work, it is closed at once, so that its API server fails open at once.
    pub connections: usize,
    /// The same for one address: API servers may come by one gateway, so it is not few.
    pub per_peer: usize,
    /// Reviews at the same time; more are answered unchanged. One address gets of these, and of
    /// the bytes below, at most three times what is free.
    pub in_flight: usize,
    /// Bytes of all bodies that are held at the same time, as they come; beyond it the same. The
    /// last quarter is for small ones.
    pub bodies: usize,
    /// Bytes of all answers that are not sent yet; beyond it pods are left unchanged, which takes
    /// next to nothing to say.
    pub answers: usize,
    /// Bytes of one body: 413 beyond it.
    pub body: usize,
    /// Time for a TLS handshake. API servers give up earlier; this is for those who never do.
    pub handshake: Duration,
    /// Time from the first byte of a request to the end of its head.
    pub head: Duration,
    /// Time in which a client must have read an answer.
    pub answer: Duration,
    /// Time without a request. API servers close after 90 s: theirs should be the first word.
    pub idle: Duration,
    /// Time in which a connection may still bring a request once the server has stopped: clients
    /// that were connecting do not know yet.
    pub linger: Duration,
    /// Time for a request in flight once the server has stopped.
    pub finish: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            per_peer: 512,
            in_flight: 512,
            bodies: 32 << 20,
            answers: 32 << 20,
            // An object of 1.5 MiB in etcd is up to 3 MiB of JSON, twice on an update.
            body: 7 << 20,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(2),
            answer: Duration::from_secs(5),
            idle: Duration::from_secs(150),
            linger: Duration::from_secs(1),
            finish: Duration::from_secs(5),
        }
    }
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not begun.
    Serving,
    /// Requests are answered, and each answer closes its connection.
    Draining,
    /// No new connection; requests in flight are answered.
    Stopped,
}

/// A server that has its address, but serves nothing yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
}

impl Server {
    /// Binds the address.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.set_reuseaddr(true)?;
        // Its connections inherit this.
        socket.set_send_buffer_size(SEND_BUFFER)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        Ok(Self { listener })
    }

    /// The address, with the port that the kernel chose where it was 0.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `phase` is [`Phase::Stopped`] and what was in flight has been answered.
    pub async fn serve(
        self,
        tls: TlsAcceptor,
        reviewer: Arc<Reviewer>,
        mut phase: watch::Receiver<Phase>,
    ) {
        let limits = reviewer.limits();
        let crowd = Crowd::new(limits.connections, limits.per_peer);
        let shared = Arc::new(connection::Shared {
            tls,
            reviewer,
            phase: phase.clone(),
        });
        loop {
            tokio::select! {
                () = reached(&mut phase, Phase::Stopped) => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => begin(stream, peer.ip(), &crowd, &shared),
                    // Out of descriptors, say: the pause keeps the loop from spinning.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                },
            }
        }
        drop(self.listener);
        let _elapsed = tokio::time::timeout(limits.finish, crowd.gone()).await;
    }
}

/// Waits for a phase, or for whoever would name it to be gone.
async fn reached(phase: &mut watch::Receiver<Phase>, wanted: Phase) {
    let _gone = phase.wait_for(|phase| *phase >= wanted).await;
}

fn begin(stream: TcpStream, peer: IpAddr, crowd: &Arc<Crowd>, shared: &Arc<connection::Shared>) {
    let entered = crowd.enter(peer);
    if entered.as_ref().is_none_or(|(_, crowded)| *crowded) {
        shared.reviewer.metrics().dropped(Dropped::Limit);
    }
    let Some((seat, _)) = entered else { return };
    // Answers are one small segment; waiting to fill it would cost an API server 40 ms.
    let _gone_already = stream.set_nodelay(true);
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        shared.reviewer.metrics().connections.inc();
        tokio::select! {
            () = connection::run(stream, &shared, &seat) => {}
            () = seat.wanted() => {}
        }
        shared.reviewer.metrics().connections.dec();
    });
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
