//! Long bodies: pieces, credit, tails, and who never answers.

use super::*;

#[test]
fn a_long_write_comes_in_pieces_up_to_its_credit_and_then_its_tail() {
    let mut rig = Rig::new(POLICY_FULL);
    let (mut client, mut server) = pair();
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        server.read_to_end(&mut all).unwrap();
        all
    });
    let mut body = HEAD.to_vec();
    body.extend((0..3_000_000u32).map(|n| (n % 251) as u8));
    client.write_all(&body).unwrap();
    let local = port(&client);
    drop(client);
    assert_eq!(reader.join().unwrap(), body);
    let seen = rig.seen(local, |s| s.events.iter().any(|e| e.0 == Kind::Closed));
    let mut next = 0;
    for (_, offset, len, bytes) in seen.data.iter().filter(|d| d.0 == OUT) {
        assert!(*offset >= next, "offsets go back");
        assert!(bytes.len() as u64 <= *len);
        let at = usize::try_from(*offset).unwrap();
        assert_eq!(bytes[..], body[at..at + bytes.len()]);
        next = offset + len;
    }
    assert_eq!(next, body.len() as u64);
    assert_eq!(
        seen.bytes(OUT)[..usize::try_from(CREDIT).unwrap()],
        body[..usize::try_from(CREDIT).unwrap()]
    );
    assert!(!seen.holes(OUT).is_empty());
    assert_eq!(seen.bytes(OUT).last(), body.last());
}

#[test]
fn an_answer_runs_on_beyond_its_credit_while_the_ring_has_room() {
    let mut rig = Rig::new(POLICY_FULL);
    let (mut client, mut server) = pair();
    let local = port(&client);
    client.write_all(HEAD).unwrap();
    server.read_exact(&mut [0; HEAD.len()]).unwrap();
    let answer = b"HTTP/1.1 200 OK\r\n\r\n";
    let body = vec![b'x'; 8 << 10];
    let writer = std::thread::spawn(move || {
        server.write_all(answer).unwrap();
        // Beyond the credit, but less than makes the ring half full on both sides.
        for _ in 0..CREDIT / (8 << 10) + 20 {
            server.write_all(&body).unwrap();
        }
        server
    });
    let mut all = Vec::new();
    let n = answer.len() + (CREDIT as usize) + 20 * (8 << 10);
    all.resize(n, 0);
    client.read_exact(&mut all).unwrap();
    let seen = rig.seen(local, |s| s.has(IN, n));
    assert_eq!(seen.bytes(IN).len(), n);
    assert_eq!(seen.holes(IN), []);
    drop((client, writer.join().unwrap()));
}

#[test]
fn the_programs_for_older_kernels_record_long_writes_too() {
    let mut rig = Rig::older();
    let (mut client, mut server) = pair();
    let body: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        server.read_to_end(&mut all).unwrap();
    });
    client.write_all(HEAD).unwrap();
    client.write_all(&body).unwrap();
    let want = [HEAD, &body].concat();
    let seen = rig.seen(port(&client), |s| s.has(OUT, want.len()));
    assert_eq!(seen.bytes(OUT), want);
    drop(client);
    reader.join().unwrap();
}

#[test]
fn a_grant_lifts_the_credit() {
    let mut rig = Rig::new(POLICY_FULL);
    // What was granted to connections that are gone does not stand in the way.
    for gone in 1..=2 * u64::from(CONNECTIONS) {
        rig.feed.grant(gone, Grant::default());
    }
    let (mut client, mut server) = pair();
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        server.read_to_end(&mut all).unwrap();
    });
    client.write_all(HEAD).unwrap();
    let local = port(&client);
    let conn = rig.seen(local, |s| s.has(OUT, HEAD.len())).conn;
    rig.feed.grant(
        conn,
        Grant {
            until: [0, u64::MAX],
            ..Grant::default()
        },
    );
    let body = vec![b'x'; 2 << 20];
    let at_once = if rig.control.has_loops() {
        body.len()
    } else {
        1 << 20
    };
    for part in body.chunks(at_once) {
        client.write_all(part).unwrap();
    }
    // The records above were taken; the ones from here on carry the same connection.
    let mut bytes = 0;
    let end = Instant::now() + PATIENCE;
    while bytes < body.len() && Instant::now() < end {
        rig.feed.drain(10_000, |raw| {
            let (header, captured) = Header::parse(raw).unwrap();
            if header.conn == conn && header.direction == OUT {
                assert_eq!(captured.len() as u64, header.len);
                bytes += captured.len();
            }
        });
        rig.feed.wait(Duration::from_millis(20)).unwrap();
    }
    assert_eq!(bytes, body.len());
    drop(client);
    reader.join().unwrap();
}

#[test]
fn a_tunnel_that_nobody_reads_costs_nothing_more() {
    let mut rig = Rig::new(POLICY_FULL);
    let (mut client, mut server) = pair();
    client.write_all(HEAD).unwrap();
    let seen = rig.seen(port(&client), |s| s.has(OUT, HEAD.len()));
    let tunnel = Grant {
        ignore: 1,
        ..Grant::default()
    };
    rig.feed.grant(seen.conn, tunnel);
    server.read_exact(&mut [0; HEAD.len()]).unwrap();
    let piece = vec![b'x'; 64 << 10];
    let mut sink = piece.clone();
    for _ in 0..40 {
        client.write_all(&piece).unwrap();
        server.read_exact(&mut sink).unwrap();
    }
    client.shutdown(Shutdown::Both).unwrap();
    drop(client);
    let local = seen.open.unwrap().local_port;
    let seen = rig.seen(local, |s| s.events.iter().any(|e| e.0 == Kind::Closed));
    let end = seen.data.iter().map(|d| d.1 + d.2).max().unwrap();
    assert!(end <= CREDIT + (128 << 10), "{end}");
    assert!(seen.events.iter().any(|e| e.0 == Kind::Closed));
}
