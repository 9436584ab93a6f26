//! Feeds a reader with an exchange in pieces, and looks at what comes of it.

use crate::call::{AgentCall, Call, CallKind, Inference, Mcp, Options, Output, Reader, Timing};
use crate::ids::{ConnId, ConnInfo, Context, Nanos, ProcessId, Role, Transport};
use crate::message::{End, Handler, Headers, Interest, Piece, RequestHead, ResponseHead};

/// One exchange.
#[derive(Clone, Debug)]
pub(super) struct Script {
    method: &'static str,
    target: String,
    request_headers: Vec<(&'static str, String)>,
    request: Vec<u8>,
    status: u16,
    response_headers: Vec<(&'static str, String)>,
    response: Vec<u8>,
    end: End,
    cap: usize,
}

impl Script {
    /// A request that is answered by 200 and no body.
    pub(super) fn new(method: &'static str, target: &str) -> Self {
        Self {
            method,
            target: target.to_owned(),
            request_headers: vec![("Host", "model.example:8080".to_owned())],
            request: Vec::new(),
            status: 200,
            response_headers: Vec::new(),
            response: Vec::new(),
            end: End::Complete,
            cap: 0,
        }
    }

    /// JSON that is posted.
    pub(super) fn post(target: &str, body: &str) -> Self {
        let mut script = Self::new("POST", target).header("content-type", "application/json");
        script.request = body.as_bytes().to_vec();
        script
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request_headers.retain(|(n, _)| *n != name);
        self.request_headers.push((name, value.to_owned()));
        self
    }

    pub(super) fn answer(mut self, kind: &str, body: &str) -> Self {
        self.response_headers
            .push(("Content-Type", kind.to_owned()));
        self.response = body.as_bytes().to_vec();
        self
    }

    pub(super) fn json(self, body: &str) -> Self {
        self.answer("application/json", body)
    }

    pub(super) fn sse(self, body: &str) -> Self {
        self.answer("text/event-stream; charset=utf-8", body)
    }

    pub(super) fn response_header(mut self, name: &'static str, value: &str) -> Self {
        self.response_headers.push((name, value.to_owned()));
        self
    }

    pub(super) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(super) fn ends(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    pub(super) fn cap(mut self, cap: usize) -> Self {
        self.cap = cap;
        self
    }

    /// Reads it whole, and in all the pieces that it can be cut into.
    pub(super) fn run(&self) -> Vec<Call> {
        let whole = self.with(&mut |body| vec![body]);
        let expected = timeless(&whole);
        for cut in 1..self.request.len().max(self.response.len()) {
            let calls = self.with(&mut |body| {
                let (head, tail) = body.split_at(cut.min(body.len()));
                vec![head, tail]
            });
            assert_eq!(timeless(&calls), expected, "cut at {cut}");
        }
        let calls = self.with(&mut |body| body.chunks(1).collect());
        assert_eq!(timeless(&calls), expected, "byte by byte");
        self.with_holes();
        whole
    }

    /// Reads it, and expects one call.
    pub(super) fn call(&self) -> Call {
        let mut calls = self.run();
        assert_eq!(calls.len(), 1, "{calls:#?}");
        calls.remove(0)
    }

    /// A hole anywhere in the answer is survived and marked.
    fn with_holes(&self) {
        let size = self.response.len();
        for from in 0..size {
            let to = (from + 1 + from % 37).min(size);
            let mut run = Run::new(self);
            run.request(&[&self.request]);
            run.response_head();
            run.response(&self.response[..from]);
            run.gap((to - from) as u64);
            run.response(&self.response[to..]);
            for call in run.end() {
                let over = call.capture.missed_bytes == 0 && call.ended == End::Complete;
                assert!(over || call.capture.missed_bytes == (to - from) as u64);
            }
        }
    }

    fn with<'a>(&'a self, cut: &mut impl FnMut(&'a [u8]) -> Vec<&'a [u8]>) -> Vec<Call> {
        let mut run = Run::new(self);
        run.request(&cut(&self.request));
        run.response_head();
        for piece in cut(&self.response) {
            run.response(piece);
        }
        run.end()
    }
}

/// The calls without what depends on how the bytes were cut.
fn timeless(calls: &[Call]) -> Vec<Call> {
    let some = |at: Option<Nanos>| at.map(|_| 0);
    let strip = |call: &Call| Call {
        start: 0,
        end: 0,
        timing: Timing {
            response_start: some(call.timing.response_start),
            first_chunk: some(call.timing.first_chunk),
            first_token: some(call.timing.first_token),
            last_chunk: some(call.timing.last_chunk),
            gaps: crate::gaps::Gaps {
                buckets: call.timing.gaps.buckets,
                ..crate::gaps::Gaps::default()
            },
            ..call.timing
        },
        ..call.clone()
    };
    calls.iter().map(strip).collect()
}

/// A reader in the middle of a script. The clock is 1000 at the request, 2000 at the response's
/// head, and one more with each byte of a body.
pub(super) struct Run<'a> {
    script: &'a Script,
    pub(super) reader: Reader,
    pub(super) interest: Interest,
    pub(super) clock: Nanos,
    outputs: Vec<Output>,
}

impl<'a> Run<'a> {
    pub(super) fn new(script: &'a Script) -> Self {
        let info = ConnInfo {
            id: ConnId(7),
            process: ProcessId { tgid: 1, start: 2 },
            transport: Transport::Plain,
            endpoints: None,
            late: false,
            accepted: None,
        };
        let options = Options {
            content_cap: script.cap,
        };
        let mut run = Self {
            script,
            reader: Reader::new(&info, options),
            interest: Interest::Heads,
            clock: 1000,
            outputs: Vec::new(),
        };
        let fields = fields(&script.request_headers);
        let head = RequestHead {
            method: script.method,
            target: &script.target,
            minor_version: 1,
            headers: Headers::new(&fields),
            at: run.clock,
            context: Context {
                tid: 11,
                ..Context::default()
            },
        };
        run.interest = run.reader.request_head(0, &head, Role::Client);
        run
    }

    pub(super) fn request(&mut self, pieces: &[&[u8]]) {
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            self.clock += piece.len() as Nanos;
            self.reader.request_body(0, Piece::Bytes(piece), self.clock);
        }
        self.reader.request_end(0, self.clock);
    }

    pub(super) fn response_head(&mut self) {
        self.clock = 2000;
        let fields = fields(&self.script.response_headers);
        let head = ResponseHead {
            status: self.script.status,
            headers: Headers::new(&fields),
            at: self.clock,
            context: Context {
                tid: 12,
                ..Context::default()
            },
        };
        self.reader.response_head(0, &head);
    }

    pub(super) fn response(&mut self, piece: &[u8]) {
        if !piece.is_empty() {
            self.clock += piece.len() as Nanos;
            self.reader
                .response_body(0, Piece::Bytes(piece), self.clock);
        }
    }

    pub(super) fn gap(&mut self, bytes: u64) {
        self.reader.response_body(0, Piece::Gap(bytes), self.clock);
    }

    /// Everything so far.
    pub(super) fn outputs(&mut self) -> &[Output] {
        self.outputs.extend(self.reader.outputs());
        &self.outputs
    }

    /// Ends the exchange. Each call that was started must be finished, once, and no other.
    pub(super) fn end(mut self) -> Vec<Call> {
        self.reader.end(0, self.script.end, self.clock + 5);
        let mut open = Vec::new();
        let mut calls = Vec::new();
        for output in self.outputs().to_vec() {
            match output {
                Output::Started(started) => {
                    assert!(!open.contains(&started.key));
                    open.push(started.key);
                }
                Output::Finished(call) => {
                    let at = open.iter().position(|key| *key == call.key).unwrap();
                    open.remove(at);
                    assert!(call.end >= call.start);
                    calls.push(*call);
                }
                Output::Asked(_)
                | Output::Read(..)
                | Output::Answered(_)
                | Output::Blurred(..)
                | Output::Over(..) => {}
            }
        }
        assert!(open.is_empty(), "not finished: {open:?}");
        calls
    }
}

fn fields<'a>(headers: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a [u8])> {
    headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect()
}

/// An event stream of these data lines.
pub(super) fn sse(data: &[&str]) -> String {
    let mut stream = String::new();
    for data in data {
        stream.extend(["data: ", data, "\n\n"]);
    }
    stream
}

impl Call {
    pub(super) fn inference(&self) -> &Inference {
        match &self.kind {
            CallKind::Inference(inference) => inference,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn mcp(&self) -> &Mcp {
        match &self.kind {
            CallKind::Mcp(mcp) => mcp,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn agent(&self) -> &AgentCall {
        match &self.kind {
            CallKind::Agent(agent) => agent,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn error_kind(&self) -> Option<&str> {
        self.error.as_ref().map(|error| error.kind.as_str())
    }
}
