//! A streamed answer over TCP; the peer reads it on another processor.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use anyhow::bail;

use super::{Batches, Plan, Work, http, pause};

pub(super) struct Plain {
    listener: TcpListener,
}

impl Plain {
    pub(super) fn new() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        Ok(Self { listener })
    }
}

impl Work for Plain {
    fn hello(&self) -> String {
        let port = self.listener.local_addr().map_or(0, |a| a.port());
        format!("port={port}")
    }

    fn measure(&mut self, plan: Plan) -> anyhow::Result<String> {
        let (mut stream, _) = self.listener.accept()?;
        stream.set_nodelay(true)?;
        read_request(&mut stream)?;
        stream.write_all(http::HEAD)?;
        let chunk = http::chunk();
        let mut writes = Batches::default();
        for _ in 0..plan.batches {
            let start = Instant::now();
            for _ in 0..plan.operations {
                stream.write_all(&chunk)?;
            }
            writes.end(start, plan.operations);
            pause(plan);
        }
        stream.write_all(http::END)?;
        Ok(format!("write={:.1}", writes.typical()))
    }
}

fn read_request(stream: &mut TcpStream) -> anyhow::Result<()> {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    // Its body ends as no head does.
    while !request.ends_with(b"}") {
        let n = stream.read(&mut piece)?;
        if n == 0 {
            bail!("the peer has gone before its request was whole");
        }
        request.extend_from_slice(&piece[..n]);
    }
    Ok(())
}
