//! Ways for bytes into a socket that are not `write` and its kin: recorded, or a hole of just
//! their length. Never other bytes.

#![expect(unsafe_code, reason = "rustix has none of these ways")]

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::ptr;

use super::*;

/// Holds what was recorded against what was written: by `write` before and after `way`, which sends
/// `text`. `seen` says whether the tap sees that.
fn between(rig: &mut Rig, text: &[u8], seen: bool, way: impl FnOnce(&TcpStream)) {
    let (mut client, mut server) = pair();
    client.write_all(HEAD).unwrap();
    way(&client);
    client.write_all(b"ijk").unwrap();
    let mut sent = vec![0; HEAD.len() + text.len() + 3];
    server.read_exact(&mut sent).unwrap();
    assert_eq!(sent, [HEAD, text, b"ijk"].concat());
    let (want, holes) = if seen {
        (sent, vec![])
    } else {
        let hole = (HEAD.len() as u64, text.len() as u64);
        ([HEAD, b"ijk"].concat(), vec![hole])
    };
    let seen = rig.seen(port(&client), |s| s.has(OUT, want.len()));
    assert_eq!(seen.bytes(OUT), want);
    assert_eq!(seen.holes(OUT), holes);
    assert_eq!(seen.events, [], "nothing has ended");
}

#[test]
fn what_sendfile_moves_is_a_hole() {
    let mut rig = Rig::new(POLICY_FULL);
    let text: Vec<u8> = (0..5000_u32).map(|n| (n % 251) as u8).collect();
    let path = std::env::temp_dir().join(format!("kaos-sendfile-{}", std::process::id()));
    std::fs::write(&path, &text).unwrap();
    let file = std::fs::File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    between(&mut rig, &text, false, |client| {
        assert_eq!(rustix::fs::sendfile(client, &file, None, 5000), Ok(5000));
    });
}

#[test]
fn what_is_sent_without_a_copy_is_recorded_and_its_receipt_ends_nothing() {
    const MSG_ZEROCOPY: u32 = 0x400_0000;
    let mut rig = Rig::new(POLICY_FULL);
    let text = vec![b'z'; 20_000];
    between(&mut rig, &text, true, |client| {
        let on: libc::c_int = 1;
        // SAFETY: the option is an int.
        let set = unsafe {
            libc::setsockopt(
                client.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ZEROCOPY,
                (&raw const on).cast(),
                4,
            )
        };
        assert_eq!(set, 0);
        let flags = SendFlags::from_bits_retain(MSG_ZEROCOPY);
        assert_eq!(rustix::net::send(client, &text, flags), Ok(text.len()));
        let end = Instant::now() + PATIENCE;
        // The receipt is a message of no bytes.
        while receipt(client) != 0 {
            assert!(Instant::now() < end, "no receipt came");
            std::thread::sleep(Duration::from_millis(5));
        }
    });
}

/// Takes a message from the queue of errors; -1 if there is none.
fn receipt(client: &TcpStream) -> isize {
    let mut control = [0_u64; 32];
    // SAFETY: all zeros is an empty message.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control);
    // SAFETY: the message and its buffer outlive the call.
    unsafe { libc::recvmsg(client.as_raw_fd(), &raw mut message, libc::MSG_ERRQUEUE) }
}

#[test]
fn what_io_uring_sends_is_recorded_by_functions_and_a_hole_for_system_calls() {
    let mut rig = Rig::new(POLICY_FULL);
    let seen = rig.control.tap().0 != Tap::Syscalls;
    between(&mut rig, b"abcdefgh", seen, |client| {
        assert_eq!(Uring::new().send(client, b"abcdefgh"), 8);
    });
}

/// An `io_uring` for one operation, as `io_uring_setup(2)` says.
struct Uring {
    ring: OwnedFd,
    parameters: Parameters,
}

/// `struct io_uring_params`.
#[derive(Default)]
#[repr(C)]
struct Parameters {
    submissions: u32,
    completions: u32,
    others: [u32; 8],
    /// Offsets of head, tail, mask, entries, flags, dropped, array.
    submission: [u32; 10],
    /// Offsets of head, tail, mask, entries, overflow, cqes.
    completion: [u32; 10],
}

const OFFSET_OF_ENTRIES: i64 = 0x1000_0000;
const SEND: u8 = 26;
const WAIT: u32 = 1;

impl Uring {
    fn new() -> Self {
        let mut parameters = Parameters::default();
        // SAFETY: the kernel fills in the parameters.
        let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, &raw mut parameters) };
        assert!(fd >= 0, "{}", std::io::Error::last_os_error());
        Self {
            // SAFETY: the descriptor is new and nobody else's.
            ring: unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).unwrap()) },
            parameters,
        }
    }

    /// Sends the bytes and gives what the operation gave.
    fn send(self, stream: &TcpStream, bytes: &[u8]) -> i32 {
        let Parameters {
            submission: [_, tail, _, _, _, _, array, ..],
            completion: [_, _, _, _, _, results, ..],
            ..
        } = self.parameters;
        let (ring, entry) = (self.map(0), self.map(OFFSET_OF_ENTRIES));
        // SAFETY: the kernel said where in its two areas these fields are; it looks at them in the
        // call only. The bytes outlive the operation, for which the call waits.
        unsafe {
            entry.write(SEND);
            entry
                .add(4)
                .cast::<i32>()
                .write_unaligned(stream.as_raw_fd());
            entry
                .add(16)
                .cast::<*const u8>()
                .write_unaligned(bytes.as_ptr());
            entry
                .add(24)
                .cast::<u32>()
                .write_unaligned(u32::try_from(bytes.len()).unwrap());
            ring.add(array as usize).cast::<u32>().write_unaligned(0);
            ring.add(tail as usize).cast::<u32>().write_unaligned(1);
            let done = libc::syscall(
                libc::SYS_io_uring_enter,
                self.ring.as_raw_fd(),
                1,
                1,
                WAIT,
                ptr::null::<u8>(),
                0,
            );
            assert_eq!(done, 1, "{}", std::io::Error::last_os_error());
            ring.add(results as usize + 8)
                .cast::<i32>()
                .read_unaligned()
        }
    }

    /// One of its areas; given back with the process.
    fn map(&self, offset: i64) -> *mut u8 {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let fd = self.ring.as_raw_fd();
        // SAFETY: a new mapping at an address that the kernel chooses.
        let at = unsafe {
            libc::mmap(
                ptr::null_mut(),
                4096,
                protection,
                libc::MAP_SHARED,
                fd,
                offset,
            )
        };
        assert_ne!(at, libc::MAP_FAILED);
        at.cast()
    }
}
