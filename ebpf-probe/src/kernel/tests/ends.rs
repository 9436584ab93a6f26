//! How connections end, and are told of late.

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::*;

#[test]
fn ends_are_told_with_who_made_them() {
    let mut rig = Rig::new(POLICY_FULL);
    let (mut client, mut server) = pair();
    client.write_all(HEAD).unwrap();
    server.read_exact(&mut [0; HEAD.len()]).unwrap();
    server.write_all(b"HTTP/1.1 200 OK\r\n\r\nbody").unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    let (c, s) = (port(&client), port(&server));
    drop((client, server));
    let seen = rig.seen(c, |s| s.events.iter().any(|e| e.0 == Kind::Closed));
    assert_eq!(seen.events, [(Kind::HalfClosed, IN), (Kind::Closed, OUT)]);
    assert_eq!(seen.holes(IN), [], "a FIN is no byte");
    let seen = rig.seen(s, |s| s.events.iter().any(|e| e.0 == Kind::Closed));
    assert_eq!(seen.events.first(), Some(&(Kind::HalfClosed, OUT)));
}

/// An answer and then a reset, both before the client reads.
fn answered_and_reset(rig: &mut Rig) -> (TcpStream, &'static [u8]) {
    const ANSWER: &[u8] = b"HTTP/1.1 413 Too Large\r\nconnection: close\r\n\r\n";
    let (mut client, mut server) = pair();
    client.write_all(HEAD).unwrap();
    server.read_exact(&mut [0; HEAD.len()]).unwrap();
    server.write_all(ANSWER).unwrap();
    rustix::net::sockopt::set_socket_linger(&server, Some(Duration::ZERO)).unwrap();
    let local = port(&server);
    drop(server);
    rig.seen(local, |s| s.events.iter().any(|e| e.0 == Kind::Closed));
    wait_for_hangup(&client);
    (client, ANSWER)
}

/// The reset has come: whoever closes now is not the one that ended it.
fn wait_for_hangup(socket: &TcpStream) {
    let until = Instant::now() + PATIENCE;
    let mut socket = [PollFd::new(socket, PollFlags::empty())];
    while !socket[0].revents().contains(PollFlags::HUP) {
        assert!(Instant::now() < until, "no reset");
        poll(&mut socket, Some(&TICK)).unwrap();
    }
}

/// How long a wait is before the deadline is looked at.
const TICK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

#[test]
fn what_was_unread_at_a_reset_comes_before_the_end() {
    let mut rig = Rig::new(POLICY_FULL);
    let (mut client, answer) = answered_and_reset(&mut rig);
    let local = port(&client);
    let seen = rig.seen(local, |s| s.has(OUT, HEAD.len()));
    assert_eq!(seen.events, [], "not over yet");
    client.read_exact(&mut vec![0; answer.len()]).unwrap();
    let seen = rig.seen(local, |s| s.events.iter().any(|e| e.0 == Kind::Closed));
    assert_eq!(seen.bytes(IN), answer);
    assert_eq!(seen.events, [(Kind::Closed, IN)]);
}

#[test]
fn a_reset_whose_bytes_are_never_read_ends_with_the_socket() {
    let mut rig = Rig::new(POLICY_FULL);
    let (client, _) = answered_and_reset(&mut rig);
    let local = port(&client);
    drop(client);
    let seen = rig.seen(local, |s| s.events.iter().any(|e| e.0 == Kind::Closed));
    assert_eq!(seen.events, [(Kind::Closed, IN)]);
}

#[test]
fn a_connection_whose_opening_was_refused_is_told_at_its_next_head() {
    let mut rig = Rig::with_ring(POLICY_FULL, 1 << 16);
    let (mut noise, _peer) = pair();
    noise.write_all(HEAD).unwrap();
    // As much as the ring holds.
    noise.write_all(&vec![b'x'; 1 << 16]).unwrap();
    for _ in 0..1000 {
        noise.write_all(b"small").unwrap();
    }
    // What is left has no room for data, but for a few openings.
    let mut others: Vec<_> = (0..4).map(|_| pair()).collect();
    for (other, _) in &mut others {
        other.write_all(HEAD).unwrap();
    }
    let (mut client, mut server) = pair();
    client.write_all(HEAD).unwrap();
    server.read_exact(&mut [0; HEAD.len()]).unwrap();
    assert!(rig.seen(port(&noise), |_| true).open.is_some());
    server.write_all(b"HTTP/1.1 204 No\r\n\r\n").unwrap();
    client.read_exact(&mut [0; 19]).unwrap();
    client.write_all(HEAD).unwrap();
    let seen = rig.seen(port(&client), |s| s.has(OUT, HEAD.len()));
    assert_eq!(seen.bytes(OUT), HEAD);
    let open = seen.open.unwrap();
    assert_ne!(open.flags & probe_common::record::LATE, 0);
}
