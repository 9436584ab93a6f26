//! Where bytes stand in their stream, also where the beginning was missed.

use super::*;

/// One thread's long write waits for room; another's short ones get in between and end first.
#[test]
fn a_call_that_was_overtaken_moves_no_offset_too_far() {
    // More than a socket's buffers hold, both ends together.
    const LONG: usize = 64 << 20;
    let mut rig = Rig::new(POLICY_FULL);
    let (mut client, mut server) = pair();
    client.write_all(HEAD).unwrap();
    let mut writer = client.try_clone().unwrap();
    let long = std::thread::spawn(move || writer.write(&vec![b'x'; LONG]).unwrap());
    let (mut read, mut short) = (0, 0);
    let mut buffer = vec![0; 64 << 10];
    // For as long as so little was read the write is under way.
    while read < LONG / 2 {
        read += server.read(&mut buffer).unwrap();
        if read > 1 << 20 && short < 1000 {
            short += usize::from(rustix::net::send(&client, b"y", SendFlags::DONTWAIT).is_ok());
        }
    }
    let reader = std::thread::spawn(move || std::io::copy(&mut server, &mut std::io::sink()));
    assert_eq!(long.join().unwrap(), LONG);
    assert!(short > 0, "nothing got in between");
    client.write_all(b"end").unwrap();
    let total = (HEAD.len() + LONG + short + 3) as u64;
    let end = |s: &Seen| s.data.iter().map(|d| d.1 + d.2).max().unwrap_or(0);
    let seen = rig.seen(port(&client), |s| end(s) >= total);
    assert_eq!(end(&seen), total);
    client.shutdown(Shutdown::Both).unwrap();
    reader.join().unwrap().unwrap();
}

#[test]
fn bytes_that_another_way_moved_are_a_hole() {
    let mut rig = Rig::new(POLICY_FULL);
    let (mut client, mut server) = pair();
    client.write_all(HEAD).unwrap();
    let mut file = std::fs::File::open("/proc/self/exe").unwrap();
    // Linux copies a file to a socket by sendfile or splice: no bytes pass through user memory.
    let sent = std::io::copy(&mut (&mut file).take(1000), &mut client).unwrap();
    client.write_all(b"after").unwrap();
    let mut got = vec![0; HEAD.len() + 1005];
    server.read_exact(&mut got).unwrap();
    let seen = rig.seen(port(&client), |s| s.bytes(OUT).ends_with(b"after"));
    let unseen: u64 = seen.holes(OUT).iter().map(|hole| hole.1).sum();
    let captured = seen.bytes(OUT).len() as u64;
    assert_eq!(sent, 1000);
    assert_eq!(captured + unseen, got.len() as u64, "{:?}", seen.holes(OUT));
    assert!(seen.bytes(OUT).starts_with(HEAD));
}

#[test]
fn an_older_connection_is_late_and_keeps_its_offsets() {
    let ((mut client, _server), mut rig) = Rig::after(used_pair, POLICY_FULL);
    client.write_all(HEAD).unwrap();
    let seen = rig.seen(port(&client), |s| s.has(OUT, HEAD.len()));
    assert_eq!(
        seen.open.unwrap().flags & probe_common::record::LATE,
        probe_common::record::LATE
    );
    assert_eq!(seen.bytes(OUT), HEAD);
    // The connecting side's SYN counts as one.
    assert!(matches!(seen.data[0].1, 300 | 301), "{}", seen.data[0].1);
}

#[test]
fn a_first_read_that_takes_the_end_along_begins_at_the_first_byte() {
    let earlier = || {
        let (mut client, server) = pair();
        client.write_all(HEAD).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        (client, server)
    };
    let ((_client, mut server), mut rig) = Rig::after(earlier, POLICY_FULL);
    assert_eq!(server.read(&mut [0; 2 * HEAD.len()]).unwrap(), HEAD.len());
    let seen = rig.seen(port(&server), |s| s.has(IN, HEAD.len()));
    assert_eq!(seen.data[0].1, 0, "a FIN is no byte");
    assert_eq!(seen.open.unwrap().flags & probe_common::record::LATE, 0);
}

#[test]
fn the_first_byte_of_a_head_that_was_read_alone_is_not_lost() {
    let ((mut client, mut server), mut rig) = Rig::after(used_pair, POLICY_FULL);
    client.write_all(HEAD).unwrap();
    // As Go's HTTP server waits for the next request.
    server.read_exact(&mut [0; 1]).unwrap();
    server.read_exact(&mut [0; HEAD.len() - 1]).unwrap();
    let seen = rig.seen(port(&server), |s| s.has(IN, HEAD.len()));
    assert_eq!(seen.bytes(IN), HEAD);
    assert_eq!((seen.data[0].1, seen.data[0].2), (300, 1));
    assert_eq!(seen.data[1].1, 301);
}
