//! Accepts connections and serves the calls that come on them, one thread for each connection.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context as _, Result};
use openssl::ssl::SslAcceptor;

use super::conn::Conn;
use super::dialect;
use super::log::{Log, Outcome, Record};
use super::request::{Reader, Request};
use super::tls::Certificates;
use super::wire::{self, After};
use crate::clock::monotonic;

/// Room for the encoders; what is not touched costs address space only.
const STACK: usize = 2 << 20;

/// How the fake runs.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where it listens; port 0 takes any.
    pub listen: Vec<SocketAddr>,
    /// Where it listens with TLS.
    pub listen_tls: Vec<SocketAddr>,
    /// The certificate for TLS.
    pub certificates: Option<Certificates>,
    /// Its log.
    pub log: Option<PathBuf>,
    /// A part of every id that it gives.
    pub run: String,
    /// For load: no log, and all chunks of a stream are the same.
    pub fast: bool,
}

struct Fake {
    log: Log,
    run: String,
    calls: AtomicU64,
    fast: bool,
}

/// Serves until the process ends. `ready` gets the addresses, plain ones first.
pub fn serve(options: Options, ready: impl FnOnce(&[SocketAddr]) -> Result<()>) -> Result<()> {
    let log = if options.fast {
        None
    } else {
        options.log.as_deref()
    };
    let fake = Arc::new(Fake {
        log: Log::create(log).context("open the log")?,
        run: options.run,
        calls: AtomicU64::new(1),
        fast: options.fast,
    });
    let acceptor = options
        .certificates
        .map(|files| files.acceptor())
        .transpose()?;
    let mut listeners = Vec::new();
    for address in options.listen {
        listeners.push((TcpListener::bind(address).context("listen")?, None));
    }
    for address in options.listen_tls {
        let acceptor = acceptor.clone().context("TLS needs a certificate")?;
        listeners.push((
            TcpListener::bind(address).context("listen")?,
            Some(acceptor),
        ));
    }
    let addresses: io::Result<Vec<_>> = listeners.iter().map(|(l, _)| l.local_addr()).collect();
    ready(&addresses?)?;
    thread::scope(|scope| {
        for (listener, acceptor) in &listeners {
            scope.spawn(|| accept(listener, acceptor.as_ref(), &fake));
        }
    });
    Ok(())
}

fn accept(listener: &TcpListener, acceptor: Option<&SslAcceptor>, fake: &Arc<Fake>) {
    for stream in listener.incoming() {
        // An accept can fail because the client has gone already; that does not end the service.
        let Ok(stream) = stream else { continue };
        let (fake, acceptor) = (Arc::clone(fake), acceptor.cloned());
        let serve = move || {
            // A client that goes away is no failure of the fake, and its log says so.
            drop(fake.connection(stream, acceptor.as_ref()));
        };
        if thread::Builder::new()
            .stack_size(STACK)
            .spawn(serve)
            .is_err()
        {
            eprintln!("kaos-fake: no thread for a connection");
        }
    }
}

impl Fake {
    fn connection(&self, stream: TcpStream, acceptor: Option<&SslAcceptor>) -> Result<()> {
        stream.set_nodelay(true)?;
        let port = stream.local_addr()?.port();
        let mut conn = match acceptor {
            Some(acceptor) => Conn::Tls(acceptor.accept(stream)?),
            None => Conn::Plain(stream),
        };
        let mut reader = Reader::default();
        let mut nth = 0;
        let after = loop {
            let Some(request) = reader.next(&mut conn)? else {
                break After::Close;
            };
            nth += 1;
            let after = self.call(&mut conn, &request, nth, port)?;
            if after != After::Keep {
                break after;
            }
        };
        match after {
            After::Reset => conn.reset(),
            After::Keep | After::Close => conn.close(),
        }
        Ok(())
    }

    fn call(&self, conn: &mut Conn, request: &Request, nth: u32, port: u16) -> Result<After> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let reply = dialect::reply(request, call, &self.run);
        let mut record = Record {
            call,
            facts: reply.facts.clone(),
            method: request.method.clone(),
            path: request.path.clone(),
            traceparent: request.header("traceparent").map(str::to_owned),
            peer_port: conn.peer()?.port(),
            port,
            tls: conn.is_tls(),
            nth,
            start: request.start,
            ..Record::default()
        };
        let sent = wire::send(conn, &reply, request.wants_close(), self.fast, &mut record);
        if sent.is_err() {
            record.outcome = Outcome::ClientGone;
            record.end = monotonic();
            record.done = record.end;
        }
        self.log.write(&record)?;
        Ok(sent?)
    }
}
