//! Raw records in, typed records out. Knows nothing of protocols.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use probe_common::record::{
    ADDRESSED, BLOCKING, HTTP2, Header, IN, Kind, LATE, OUT, Open, TLS, line,
};
use probe_core::ids::{
    ConnId, ConnInfo, Context, ContextInfo, Direction, Endpoints, Nanos, ProcessId, Transport,
};
use probe_core::stream::{Data, Record};

const AF_INET6: u16 = 10;

/// A record of the kernel half.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    /// Something about a connection.
    Stream(Record<'a>),
    /// A connection speaks HTTP/2: it is counted and named.
    Http2(ConnInfo),
    /// Where a TLS connection is kept in the kernel's table, to be thrown out with its process.
    TlsObject(ConnInfo, u64),
    /// Something about a process.
    Process(ProcessEvent),
}

/// What happened to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProcessEvent {
    /// It started a program.
    Exec(ProcessId),
    /// It made a child, and the child has its policy.
    Fork {
        /// The child.
        child: ProcessId,
    },
    /// It ended.
    Exit(ProcessId, Nanos),
    /// It mapped a file executable.
    Map(ProcessId),
}

/// Reads one record; `None` when it is not one (a kernel half of another version).
pub(crate) fn read(raw: &[u8]) -> Option<Input<'_>> {
    let (header, bytes) = Header::parse(raw)?;
    let conn = ConnId(header.conn);
    let process = ProcessId {
        tgid: header.tgid,
        start: header.start,
    };
    Some(match Kind::from_u8(header.kind)? {
        Kind::Data => Input::Stream(Record::Data(Data {
            conn,
            direction: direction(header.direction)?,
            offset: header.offset,
            len: header.len,
            bytes,
            at: header.at,
            context: Context {
                tid: header.tid,
                token: header.token,
                blocking: header.flags & BLOCKING != 0,
            },
        })),
        Kind::Open => {
            let open = Open::parse(bytes)?;
            let info = info(&header, &open);
            if open.flags & HTTP2 != 0 {
                Input::Http2(info)
            } else if open.flags & TLS != 0 {
                Input::TlsObject(info, open.pointer)
            } else {
                Input::Stream(Record::Open(info))
            }
        }
        Kind::Bound => Input::Stream(Record::Bound(info(&header, &Open::parse(bytes)?))),
        Kind::Context => Input::Stream(Record::Context(ContextInfo {
            token: header.token,
            ancestors: line(bytes)?,
        })),
        Kind::HalfClosed => Input::Stream(Record::HalfClosed(
            conn,
            direction(header.direction)?,
            header.at,
        )),
        Kind::Closed => Input::Stream(Record::Closed(
            conn,
            direction(header.direction)?,
            header.at,
        )),
        Kind::Exec => Input::Process(ProcessEvent::Exec(process)),
        Kind::Fork => Input::Process(ProcessEvent::Fork {
            child: ProcessId {
                tgid: u32::try_from(header.conn).ok()?,
                start: header.start,
            },
        }),
        Kind::Exit => Input::Process(ProcessEvent::Exit(process, header.at)),
        Kind::Map => Input::Process(ProcessEvent::Map(process)),
    })
}

fn direction(n: u8) -> Option<Direction> {
    match n {
        IN => Some(Direction::In),
        OUT => Some(Direction::Out),
        _ => None,
    }
}

fn info(header: &Header, open: &Open) -> ConnInfo {
    let addressed = open.flags & ADDRESSED != 0;
    ConnInfo {
        id: ConnId(header.conn),
        process: ProcessId {
            tgid: header.tgid,
            start: header.start,
        },
        accepted: (header.offset != 0).then_some(header.offset),
        transport: if open.flags & TLS != 0 {
            Transport::Tls
        } else {
            Transport::Plain
        },
        endpoints: addressed.then(|| Endpoints {
            local: address(open.family, &open.local, open.local_port),
            peer: address(open.family, &open.peer, open.peer_port),
            netns: open.netns,
        }),
        late: open.flags & LATE != 0,
    }
}

fn address(family: u16, bytes: &[u8; 16], port: u16) -> SocketAddr {
    let ip = if family == AF_INET6 {
        IpAddr::V6(Ipv6Addr::from(*bytes)).to_canonical()
    } else {
        IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]))
    };
    SocketAddr::new(ip, port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use probe_common::record::HEADER;

    fn raw(kind: u8, direction: u8, body: &[u8]) -> Vec<u8> {
        let mut b = vec![0u8; HEADER];
        b[0] = kind;
        b[1] = direction;
        b[4..8].copy_from_slice(&u32::try_from(body.len()).unwrap().to_ne_bytes());
        b[16..24].copy_from_slice(&9u64.to_ne_bytes());
        b.extend_from_slice(body);
        b
    }

    #[test]
    fn data_keeps_its_bytes_and_direction() {
        let raw = raw(Kind::Data as u8, OUT, b"hello");
        let Some(Input::Stream(Record::Data(data))) = read(&raw) else {
            panic!()
        };
        assert_eq!(
            (data.conn, data.direction, data.bytes),
            (ConnId(9), Direction::Out, &b"hello"[..])
        );
    }

    #[test]
    fn what_is_no_record_is_refused() {
        assert!(read(&[]).is_none());
        assert!(read(&raw(99, IN, b"")).is_none());
        assert!(read(&raw(Kind::Data as u8, 7, b"")).is_none());
        assert!(read(&raw(Kind::Open as u8, IN, b"short")).is_none());
        let cut = raw(Kind::Data as u8, IN, b"hello");
        assert!(read(&cut[..cut.len() - 1]).is_none());
    }

    #[test]
    fn mapped_addresses_are_shown_as_ipv4() {
        let mut bytes = [0u8; 16];
        bytes[10..12].copy_from_slice(&[0xff, 0xff]);
        bytes[12..].copy_from_slice(&[127, 0, 0, 1]);
        assert_eq!(address(AF_INET6, &bytes, 80).to_string(), "127.0.0.1:80");
    }
}
