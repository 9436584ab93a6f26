//! A port on which packets vanish.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::net::{AddressFamily, SocketType, bind, listen, socket};

/// Connections that are tried to fill the queue; Linux takes one more than the backlog says.
const FILL: usize = 8;

/// A listener whose queue is full and that takes nobody out of it: the kernel drops each further
/// SYN without a word, as a firewall does.
#[derive(Debug)]
pub struct Blackhole {
    port: u16,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl Blackhole {
    /// On a free port of all addresses.
    pub fn open() -> Result<Self> {
        let fd: OwnedFd = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        bind(&fd, &SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))?;
        listen(&fd, 0)?;
        let listener = TcpListener::from(fd);
        let port = listener.local_addr().context("its port")?.port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut queue = Vec::new();
        for _ in 0..FILL {
            match TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
                Ok(stream) => queue.push(stream),
                Err(_) => {
                    return Ok(Self {
                        port,
                        _listener: listener,
                        _queue: queue,
                    });
                }
            }
        }
        bail!("the kernel takes every connection")
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_answers_and_nobody_refuses() {
        let hole = Blackhole::open().expect("opens");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, hole.port()));
        let error = TcpStream::connect_timeout(&address, Duration::from_millis(300));
        let kind = error.expect_err("no answer").kind();
        assert_eq!(kind, std::io::ErrorKind::TimedOut);
    }
}
