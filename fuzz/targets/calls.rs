//! Bytes of both directions of a connection, with holes: messages and calls.
#![no_main]

use libfuzzer_sys::fuzz_target;
use probe_core::call::{Options, Output, Reader};
use probe_core::ids::{ConnId, ConnInfo, Context, Direction, ProcessId, Transport};
use probe_core::message::{Closed, Connection};

fuzz_target!(|input: (bool, Vec<(bool, u16, Vec<u8>)>)| {
    let (late, pieces) = input;
    let info = ConnInfo {
        id: ConnId(1),
        process: ProcessId { tgid: 1, start: 1 },
        transport: Transport::Plain,
        endpoints: None,
        late,
        accepted: None,
    };
    let mut messages = Connection::new(late);
    let mut reader = Reader::new(&info, Options { content_cap: 256 });
    let (mut open, mut asked) = (0_i64, 0_i64);
    let mut count = |reader: &mut Reader| {
        for output in reader.outputs() {
            match output {
                Output::Started(_) => open += 1,
                Output::Finished(_) => open -= 1,
                Output::Asked(_) => asked += 1,
                Output::Over(..) => asked -= 1,
                Output::Read(..) | Output::Answered(_) | Output::Blurred(..) => {}
            }
            assert!(open >= 0, "a call ended that had not begun");
            assert!(asked >= 0, "a request ended that had not begun");
        }
        open + asked
    };
    for (at, (out, hole, bytes)) in pieces.iter().enumerate() {
        let direction = if *out { Direction::Out } else { Direction::In };
        let at = at as u64;
        messages.gap(direction, u64::from(*hole), at, &mut reader);
        messages.data(direction, bytes, at, Context::default(), &mut reader);
        count(&mut reader);
    }
    messages.closed(pieces.len() as u64, Closed::Exit, &mut reader);
    assert_eq!(count(&mut reader), 0, "a call outlives its connection");
});
