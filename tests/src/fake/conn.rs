//! One connection of the fake, plain or inside TLS.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use openssl::ssl::SslStream;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::sockopt::set_socket_linger;

/// A connection. TLS goes through the system's libssl, so that the server side of a TLS call
/// is seen by the same hooks as any other program's.
#[derive(Debug)]
pub enum Conn {
    /// Plain.
    Plain(TcpStream),
    /// Inside TLS.
    Tls(SslStream<TcpStream>),
}

impl Conn {
    /// The client's address.
    pub fn peer(&self) -> io::Result<SocketAddr> {
        self.socket().peer_addr()
    }

    /// True inside TLS.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Closes in an orderly way.
    pub fn close(mut self) {
        if let Self::Tls(stream) = &mut self {
            // The client may be gone already; there is nobody to tell.
            drop(stream.shutdown());
        }
    }

    /// Resets the connection: the client gets ECONNRESET.
    pub fn reset(self) {
        let lingering = set_socket_linger(self.socket(), Some(Duration::ZERO));
        debug_assert!(lingering.is_ok(), "a socket that is ours takes the option");
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref(),
        }
    }
}

impl Read for Conn {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(out),
            Self::Tls(stream) => {
                // A thread that sits inside SSL_read when the probe comes cannot be seen to leave
                // it. Servers wait for the socket first, and so does this one.
                if stream.ssl().pending() == 0 {
                    poll(&mut [PollFd::new(stream.get_ref(), PollFlags::IN)], None)?;
                }
                stream.read(out)
            }
        }
    }
}

impl Write for Conn {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
