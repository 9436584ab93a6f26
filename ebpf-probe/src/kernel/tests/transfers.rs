//! What calls move: whole, in segments, in messages, and what a peek only looks at.

use super::*;

#[test]
fn write_and_read_are_recorded_byte_for_byte_on_both_sides() {
    let mut rig = Rig::new(POLICY_FULL);
    let (mut client, mut server) = pair();
    client.write_all(HEAD).unwrap();
    client.write_all(b"{\"a\": 12}").unwrap();
    let mut got = vec![0; HEAD.len() + 9];
    server.read_exact(&mut got).unwrap();
    let seen = rig.seen(port(&client), |s| s.has(OUT, got.len()));
    assert_eq!(seen.bytes(OUT), got);
    assert_eq!(seen.holes(OUT), []);
    let open = seen.open.unwrap();
    assert_eq!(
        (open.peer_port, &open.local[..4]),
        (port(&server), &[127, 0, 0, 1][..])
    );
    assert_eq!(open.flags & probe_common::record::LATE, 0);
    let seen = rig.seen(port(&server), |s| s.has(IN, got.len()));
    assert_eq!(seen.bytes(IN), got);
    assert_eq!(seen.holes(IN), []);
}

#[test]
fn every_segment_of_a_vector_is_recorded() {
    let mut rig = Rig::new(POLICY_FULL);
    let (mut client, mut server) = pair();
    let parts = [
        IoSlice::new(&HEAD[..20]),
        IoSlice::new(b""),
        IoSlice::new(&HEAD[20..]),
    ];
    assert_eq!(client.write_vectored(&parts).unwrap(), HEAD.len());
    let (mut a, mut b) = ([0; 7], [0; 500]);
    let n = server
        .read_vectored(&mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)])
        .unwrap();
    assert_eq!(n, HEAD.len());
    assert_eq!(rig.seen(port(&client), |s| s.has(OUT, n)).bytes(OUT), HEAD);
    assert_eq!(rig.seen(port(&server), |s| s.has(IN, n)).bytes(IN), HEAD);
}

/// Sends each text as a message of one `sendmmsg`.
fn send_messages(client: &TcpStream, texts: &[&[u8]]) {
    let vectors: Vec<_> = texts.iter().map(|text| [IoSlice::new(text)]).collect();
    let mut none: Vec<_> = texts
        .iter()
        .map(|_| rustix::net::SendAncillaryBuffer::default())
        .collect();
    let messages = vectors.iter().zip(&mut none);
    let mut messages: Vec<_> = messages
        .map(|(vector, none)| rustix::net::MMsgHdr::new(vector, none))
        .collect();
    let sent = rustix::net::sendmmsg(client, &mut messages, SendFlags::empty()).unwrap();
    assert_eq!(sent, texts.len());
}

#[test]
fn several_messages_of_one_system_call_are_recorded_or_a_hole() {
    let mut rig = Rig::new(POLICY_FULL);
    let (mut client, _server) = pair();
    send_messages(&client, &[HEAD]);
    send_messages(&client, &[b"abc", b"defgh"]);
    client.write_all(b"ijk").unwrap();
    // The functions of the kernel send one after the other.
    let (want, holes) = match rig.control.tap().0 {
        Tap::Syscalls => ([HEAD, b"ijk"].concat(), vec![(HEAD.len() as u64, 8)]),
        Tap::Fentry | Tap::Kprobe => ([HEAD, b"abcdefghijk"].concat(), vec![]),
    };
    let seen = rig.seen(port(&client), |s| s.has(OUT, want.len()));
    assert_eq!(seen.bytes(OUT), want);
    assert_eq!(seen.holes(OUT), holes);
}

#[test]
fn messages_are_recorded_and_a_peek_is_not() {
    let mut rig = Rig::new(POLICY_FULL);
    let (client, server) = pair();
    rustix::net::send(&client, HEAD, SendFlags::empty()).unwrap();
    let mut got = [0; 500];
    rustix::net::recv(&server, &mut got, RecvFlags::PEEK).unwrap();
    let (n, _) = rustix::net::recv(&server, &mut got, RecvFlags::empty()).unwrap();
    assert_eq!(n, HEAD.len());
    let more = [IoSlice::new(b"abc"), IoSlice::new(b"def")];
    rustix::net::sendmsg(
        &client,
        &more,
        &mut rustix::net::SendAncillaryBuffer::default(),
        SendFlags::empty(),
    )
    .unwrap();
    let mut buffers = [IoSliceMut::new(&mut got)];
    rustix::net::recvmsg(
        &server,
        &mut buffers,
        &mut rustix::net::RecvAncillaryBuffer::default(),
        RecvFlags::empty(),
    )
    .unwrap();
    let want = [HEAD, b"abcdef"].concat();
    assert_eq!(
        rig.seen(port(&client), |s| s.has(OUT, want.len()))
            .bytes(OUT),
        want
    );
    let seen = rig.seen(port(&server), |s| s.has(IN, want.len()));
    assert_eq!(seen.bytes(IN), want);
    assert_eq!(seen.holes(IN), []);
}

/// Looks at what waits by `recvmmsg`, which takes its flags elsewhere than its kin.
#[expect(unsafe_code, reason = "rustix has no recvmmsg")]
fn peek_messages(server: &TcpStream) -> u32 {
    let mut buffer = [0_u8; 500];
    let mut vector = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: all zeros is an empty message.
    let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
    message.msg_hdr.msg_iov = &raw mut vector;
    message.msg_hdr.msg_iovlen = 1;
    let (fd, flags) = (server.as_raw_fd(), libc::MSG_PEEK);
    // SAFETY: one message with one buffer, all of which outlive the call.
    let n = unsafe { libc::recvmmsg(fd, &raw mut message, 1, flags, std::ptr::null_mut()) };
    assert_eq!(n, 1);
    message.msg_len
}

#[test]
fn messages_that_are_looked_at_only_have_not_moved() {
    let mut rig = Rig::new(POLICY_FULL);
    let (mut client, mut server) = pair();
    client.write_all(HEAD).unwrap();
    assert_eq!(peek_messages(&server) as usize, HEAD.len());
    server.read_exact(&mut [0; HEAD.len()]).unwrap();
    let seen = rig.seen(port(&server), |s| s.has(IN, HEAD.len()));
    assert_eq!(seen.bytes(IN), HEAD);
    assert_eq!(seen.holes(IN), []);
}
