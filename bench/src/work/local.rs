//! System calls of a process that has nothing to do with HTTP.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use super::{Batches, Plan, Work, pause};

/// Bytes of each write and read.
const SIZE: usize = 64;

pub(super) struct Local {
    reader: Box<dyn Read>,
    writer: Box<dyn Write>,
}

impl Local {
    pub(super) fn pipe() -> anyhow::Result<Self> {
        let (reader, writer) = std::io::pipe()?;
        Ok(Self {
            reader: Box::new(reader),
            writer: Box::new(writer),
        })
    }

    pub(super) fn socket() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let writer = TcpStream::connect(listener.local_addr()?)?;
        writer.set_nodelay(true)?;
        let (reader, _) = listener.accept()?;
        Ok(Self {
            reader: Box::new(reader),
            writer: Box::new(writer),
        })
    }
}

impl Work for Local {
    fn measure(&mut self, plan: Plan) -> anyhow::Result<String> {
        let mut bytes = [b'x'; SIZE];
        let mut pairs = Batches::default();
        for _ in 0..plan.batches {
            let start = Instant::now();
            for _ in 0..plan.operations {
                self.writer.write_all(&bytes)?;
                self.reader.read_exact(&mut bytes)?;
            }
            pairs.end(start, plan.operations);
            pause(plan);
        }
        Ok(format!("pair={:.1}", pairs.typical()))
    }
}
