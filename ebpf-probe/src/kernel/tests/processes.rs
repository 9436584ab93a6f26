//! Whose bytes are recorded, and when nothing is attached.

use super::*;

#[test]
fn a_process_that_is_off_and_what_is_not_http_leave_no_record() {
    let mut rig = Rig::new(POLICY_OFF);
    // The tap is there for somebody else.
    rig.opt_in(1);
    let (mut client, mut server) = pair();
    client.write_all(HEAD).unwrap();
    server.read_exact(&mut [0; HEAD.len()]).unwrap();
    rig.opt_in(std::process::id());
    let (mut other, mut peer) = pair();
    other.write_all(b"*1\r\n$4\r\nPING\r\n").unwrap();
    peer.read_exact(&mut [0; 14]).unwrap();
    other.write_all(HEAD).unwrap();
    let (mut last, _peer) = pair();
    last.write_all(HEAD).unwrap();
    let mut all = Vec::new();
    let end = Instant::now() + PATIENCE;
    while !all
        .iter()
        .any(|s: &Seen| s.open.is_some_and(|o| o.local_port == port(&last)))
    {
        assert!(Instant::now() < end, "the last connection was not seen");
        rig.feed.drain(10_000, |raw| take(&mut all, raw));
        rig.feed.wait(Duration::from_millis(20)).unwrap();
    }
    let opened = all.iter().filter(|seen| seen.open.is_some());
    assert_eq!(opened.count(), 1, "{all:?}");
}

#[test]
fn a_thread_that_starts_a_program_does_not_end_its_process() {
    let mut rig = Rig::new(POLICY_FULL);
    let script = "import os, threading\n\
        threading.Thread(target=lambda: os.execv('/bin/true', ['true'])).start()\n\
        threading.Event().wait()";
    let mut child = std::process::Command::new("python3")
        .args(["-c", script])
        .spawn()
        .unwrap();
    let tgid = child.id();
    child.wait().unwrap();
    let mut seen = Vec::new();
    let end = Instant::now() + PATIENCE;
    while !seen.contains(&Kind::Exit) && Instant::now() < end {
        rig.feed.drain(100_000, |raw| {
            let (header, _) = Header::parse(raw).unwrap();
            let kind = Kind::from_u8(header.kind).unwrap();
            if header.tgid == tgid && matches!(kind, Kind::Exec | Kind::Exit) {
                seen.push(kind);
            }
        });
        rig.feed.wait(Duration::from_millis(20)).unwrap();
    }
    assert!(seen.ends_with(&[Kind::Exec, Kind::Exit]), "{seen:?}");
    assert_eq!(seen.iter().filter(|kind| **kind == Kind::Exit).count(), 1);
}

#[test]
fn the_socket_tap_is_attached_only_while_somebody_is_opted_in() {
    let mut rig = Rig::new(POLICY_OFF);
    assert!(!rig.control.taps_sockets());
    rig.opt_in(std::process::id());
    let (mut client, _server) = pair();
    client.write_all(HEAD).unwrap();
    assert!(
        rig.seen(port(&client), |s| s.has(OUT, HEAD.len()))
            .open
            .is_some()
    );
    rig.control.rest().unwrap();
    assert!(!rig.control.taps_sockets());
    client.write_all(HEAD).unwrap();
    rig.opt_in(std::process::id());
    client.write_all(HEAD).unwrap();
    let n = 2 * HEAD.len();
    let seen = rig.seen(port(&client), |s| s.has(OUT, n));
    assert_eq!(
        seen.bytes(OUT).len(),
        n,
        "what was sent meanwhile is not recorded"
    );
    assert_eq!(
        seen.holes(OUT),
        [(HEAD.len() as u64, HEAD.len() as u64)],
        "but told as a hole"
    );
}

#[test]
fn the_counters_of_the_kernel_half_can_be_read() {
    let rig = Rig::new(POLICY_OFF);
    assert_eq!(
        rig.control.counters()[probe_common::maps::counter::RING_FULL as usize],
        0
    );
    assert_eq!(capture::NO_TURN, 2);
}

#[test]
fn the_programs_for_go_load_when_they_are_wanted() {
    let mut rig = Rig::new(POLICY_OFF);
    for program in crate::discover::GO_PROGRAMS {
        rig.control.load(program).unwrap();
    }
}
