//! A streamed answer through OpenSSL and memory, with both ends in one thread: no system call
//! disturbs what is measured.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::ssl::{ErrorCode, Ssl, SslContext, SslMethod, SslStream, SslVerifyMode};
use openssl::x509::{X509, X509Builder, X509NameBuilder};

use super::{Batches, Plan, Work, http, pause};

type Bytes = Rc<RefCell<VecDeque<u8>>>;

/// One end of a connection through memory.
struct End {
    incoming: Bytes,
    outgoing: Bytes,
}

impl Read for End {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.incoming.borrow_mut().read(into)? {
            0 if !into.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }
}

impl Write for End {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) struct Tls {
    server: SslContext,
    client: SslContext,
}

impl Tls {
    pub(super) fn new() -> anyhow::Result<Self> {
        let key = PKey::from_ec_key(EcKey::generate(&*EcGroup::from_curve_name(
            Nid::X9_62_PRIME256V1,
        )?)?)?;
        let mut server = SslContext::builder(SslMethod::tls_server())?;
        server.set_certificate(&*certificate(&key)?)?;
        server.set_private_key(&key)?;
        let mut client = SslContext::builder(SslMethod::tls_client())?;
        client.set_verify(SslVerifyMode::NONE);
        Ok(Self {
            server: server.build(),
            client: client.build(),
        })
    }

    /// A connection that has shaken hands: the server's end and the client's.
    fn connect(&self) -> anyhow::Result<(SslStream<End>, SslStream<End>)> {
        let (up, down) = (Bytes::default(), Bytes::default());
        let end = |incoming: &Bytes, outgoing: &Bytes| End {
            incoming: Rc::clone(incoming),
            outgoing: Rc::clone(outgoing),
        };
        let mut server = SslStream::new(Ssl::new(&self.server)?, end(&up, &down))?;
        let mut client = SslStream::new(Ssl::new(&self.client)?, end(&down, &up))?;
        for _ in 0..8 {
            let connected = is_done(client.connect())?;
            if is_done(server.accept())? && connected {
                return Ok((server, client));
            }
        }
        bail!("the handshake does not end")
    }
}

impl Work for Tls {
    fn measure(&mut self, plan: Plan) -> anyhow::Result<String> {
        let (mut server, mut client) = self.connect()?;
        let mut buffer = [0; 1024];
        client.write_all(&http::request("bench"))?;
        let n = server.read(&mut buffer).context("read the request")?;
        anyhow::ensure!(n > 0, "no request");
        server.write_all(http::HEAD)?;
        let n = client.read(&mut buffer)?;
        anyhow::ensure!(n == http::HEAD.len(), "no head");
        let chunk = http::chunk();
        let (mut writes, mut reads) = (Batches::default(), Batches::default());
        for _ in 0..plan.batches {
            let start = Instant::now();
            for _ in 0..plan.operations {
                server.write_all(&chunk)?;
            }
            writes.end(start, plan.operations);
            let start = Instant::now();
            for _ in 0..plan.operations {
                let n = client.read(&mut buffer)?;
                anyhow::ensure!(n == http::CHUNK, "a chunk is one TLS record");
            }
            reads.end(start, plan.operations);
            pause(plan);
        }
        server.write_all(http::END)?;
        let n = client.read(&mut buffer)?;
        anyhow::ensure!(n == http::END.len(), "no end");
        Ok(format!(
            "write={:.1} read={:.1}",
            writes.typical(),
            reads.typical()
        ))
    }
}

/// Whether a step of the handshake was the last one.
fn is_done(step: Result<(), openssl::ssl::Error>) -> anyhow::Result<bool> {
    match step {
        Ok(()) => Ok(true),
        Err(error) if error.code() == ErrorCode::WANT_READ => Ok(false),
        Err(error) => Err(error).context("the handshake failed"),
    }
}

/// A certificate of `localhost` for a day, by its own key.
pub(crate) fn certificate(key: &PKey<openssl::pkey::Private>) -> anyhow::Result<X509> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COMMONNAME, "localhost")?;
    let name = name.build();
    let mut builder = X509Builder::new()?;
    builder.set_version(2)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(&name)?;
    builder.set_pubkey(key)?;
    builder.set_not_before(&*Asn1Time::days_from_now(0)?)?;
    builder.set_not_after(&*Asn1Time::days_from_now(1)?)?;
    let names = openssl::x509::extension::SubjectAlternativeName::new()
        .dns("localhost")
        .build(&builder.x509v3_context(None, None))?;
    builder.append_extension(names)?;
    builder.sign(key, MessageDigest::sha256())?;
    Ok(builder.build())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::stats::field;

    #[test]
    fn a_stream_goes_through_memory() {
        let plan = Plan {
            batches: 2,
            operations: 5,
            pause: Duration::ZERO,
        };
        let mut work = Tls::new().unwrap();
        for _ in 0..2 {
            let said = work.measure(plan).unwrap();
            assert!(field::<f64>(&said, "write").unwrap() > 0.0, "{said}");
            assert!(field::<f64>(&said, "read").unwrap() > 0.0, "{said}");
        }
    }
}
