//! What one request asks the fake to do, written in the model's name.
//!
//! SDKs let a caller set little more than the model, so the model's name is the script:
//! `fake-n20-i5-tabc` is 20 chunks, 5 ms apart, tagged `abc`. Tokens are separated by `-`;
//! unknown ones are ignored, so that any model name is served. The last token, `t…`, makes the
//! name unique: spans and log lines are matched by it.
//!
//! | token | meaning |
//! |---|---|
//! | `n20` | chunks of a stream, words of a plain answer (default 5) |
//! | `b64` | bytes of text in each chunk (default 8) |
//! | `i5` | milliseconds between chunks |
//! | `h200` | milliseconds before the head |
//! | `d15000` | milliseconds after the head, before the body |
//! | `s3x500` | 500 ms of silence after chunk 3 |
//! | `z500` | milliseconds between a stream's end mark and the end of its body |
//! | `w1` | bytes for each write call |
//! | `o7` | bytes for each HTTP chunk, wherever events begin and end |
//! | `j4` | events for each write call |
//! | `crlf` | CRLF as the line end of events |
//! | `ping` | comments or ping events between the chunks |
//! | `e429` | an error of this status, with the provider's body |
//! | `ee` | an error event in the middle of the stream |
//! | `cut`, `rst` | the connection is closed, or reset, in the middle |
//! | `len` | the answer ends for its length |
//! | `tool` | the answer is a tool call |
//! | `usage`, `nousage` | a usage chunk although not asked for, or never |
//! | `cached7`, `reason3` | cached input tokens, reasoning output tokens |
//! | `gzip`, `deflate`, `br`, `zstd` | content encoding |
//! | `close` | no keep-alive: the end of a stream's body is the end of the connection |
//! | `hints` | a 103 response before the real one |
//! | `hdr40` | KiB of extra response headers |
//! | `nohdr` | no `openai-*` and no `x-request-id` headers |
//! | `sse`, `json` | the form of an MCP answer, whatever the client prefers |
//! | `rpcerr`, `toolerr` | an MCP answer that is a JSON-RPC error, or has `isError` |

use std::time::Duration;

/// The wishes of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a token of the script by itself"
)]
pub struct Script {
    /// Chunks of a stream.
    pub chunks: u32,
    /// Bytes of text in each chunk.
    pub chunk_bytes: usize,
    /// Pause between chunks.
    pub interval: Duration,
    /// Pause before the head.
    pub before_head: Duration,
    /// Pause after the head.
    pub after_head: Duration,
    /// A pause after this many chunks.
    pub stall: Option<(u32, Duration)>,
    /// Pause between the end mark and the end of the body.
    pub before_end: Duration,
    /// How the bytes are cut into HTTP chunks and writes.
    pub cutting: Cutting,
    /// CRLF ends the lines of events.
    pub crlf: bool,
    /// Comments or pings between chunks.
    pub pings: bool,
    /// Answer with this error status.
    pub status: Option<u16>,
    /// How a stream goes wrong half-way.
    pub fault: Option<Fault>,
    /// End for length.
    pub length: bool,
    /// Answer with a tool call.
    pub tool: bool,
    /// Usage although not asked for (`true`), or never (`false`).
    pub usage: Option<bool>,
    /// Cached input tokens.
    pub cached: u64,
    /// Reasoning output tokens.
    pub reasoning: u64,
    /// Content encoding.
    pub encoding: Encoding,
    /// Close the connection after the answer.
    pub close: bool,
    /// Send 103 first.
    pub hints: bool,
    /// KiB of extra headers.
    pub header_kib: usize,
    /// No provider headers.
    pub no_headers: bool,
    /// MCP: answer as SSE (`true`) or JSON (`false`).
    pub mcp_sse: Option<bool>,
    /// MCP: a JSON-RPC error.
    pub rpc_error: bool,
    /// MCP: `isError`.
    pub tool_error: bool,
}

/// How bytes are cut on their way out. 0 means "not".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cutting {
    /// Bytes for each write call.
    pub write: usize,
    /// Bytes for each HTTP chunk.
    pub chunk: usize,
    /// Events for each write call.
    pub join: usize,
}

/// How a stream goes wrong in its middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An error event, then an orderly end.
    Event,
    /// The connection is closed.
    Cut,
    /// The connection is reset.
    Reset,
}

/// A content encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 1950, as RFC 9110 wants it.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

impl Encoding {
    /// The header's value; `None` where no header is sent.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Deflate => Some("deflate"),
            Self::Brotli => Some("br"),
            Self::Zstd => Some("zstd"),
        }
    }
}

impl Default for Script {
    fn default() -> Self {
        Self {
            chunks: 5,
            chunk_bytes: 8,
            interval: Duration::ZERO,
            before_head: Duration::ZERO,
            after_head: Duration::ZERO,
            stall: None,
            before_end: Duration::ZERO,
            cutting: Cutting::default(),
            crlf: false,
            pings: false,
            status: None,
            fault: None,
            length: false,
            tool: false,
            usage: None,
            cached: 0,
            reasoning: 0,
            encoding: Encoding::Identity,
            close: false,
            hints: false,
            header_kib: 0,
            no_headers: false,
            mcp_sse: None,
            rpc_error: false,
            tool_error: false,
        }
    }
}

impl Script {
    /// Reads a model's name (or an MCP tool's, where `_` separates the tokens as well).
    #[must_use]
    pub fn parse(name: &str) -> Self {
        let mut script = Self::default();
        for token in name.split(['-', '_', ':']) {
            // The tag is free text and may look like anything.
            if is_tag(token) {
                break;
            }
            if !script.word(token) {
                script.number(token);
            }
        }
        script
    }

    fn word(&mut self, token: &str) -> bool {
        match token {
            "crlf" => self.crlf = true,
            "ping" => self.pings = true,
            "ee" => self.fault = Some(Fault::Event),
            "cut" => self.fault = Some(Fault::Cut),
            "rst" => self.fault = Some(Fault::Reset),
            "len" => self.length = true,
            "tool" => self.tool = true,
            "usage" => self.usage = Some(true),
            "nousage" => self.usage = Some(false),
            "gzip" => self.encoding = Encoding::Gzip,
            "deflate" => self.encoding = Encoding::Deflate,
            "br" => self.encoding = Encoding::Brotli,
            "zstd" => self.encoding = Encoding::Zstd,
            "close" => self.close = true,
            "hints" => self.hints = true,
            "nohdr" => self.no_headers = true,
            "sse" => self.mcp_sse = Some(true),
            "json" => self.mcp_sse = Some(false),
            "rpcerr" => self.rpc_error = true,
            "toolerr" => self.tool_error = true,
            _ => return false,
        }
        true
    }

    fn number(&mut self, token: &str) -> Option<()> {
        let at = token.find(|c: char| c.is_ascii_digit())?;
        let (name, digits) = token.split_at(at);
        if name == "s" {
            let (after, pause) = digits.split_once('x')?;
            self.stall = Some((after.parse().ok()?, millis(pause.parse().ok()?)));
            return Some(());
        }
        let value: u32 = digits.parse().ok()?;
        match name {
            "n" => self.chunks = value.min(1_000_000),
            "b" => self.chunk_bytes = (value as usize).min(16 << 20),
            "i" => self.interval = millis(value),
            "h" => self.before_head = millis(value),
            "d" => self.after_head = millis(value),
            "z" => self.before_end = millis(value),
            "w" => self.cutting.write = value as usize,
            "o" => self.cutting.chunk = value as usize,
            "j" => self.cutting.join = value as usize,
            "e" => self.status = u16::try_from(value).ok().filter(|s| (400..600).contains(s)),
            "cached" => self.cached = u64::from(value),
            "reason" => self.reasoning = u64::from(value),
            "hdr" => self.header_kib = (value as usize).min(1024),
            _ => {}
        }
        Some(())
    }
}

fn is_tag(token: &str) -> bool {
    token.starts_with('t') && !matches!(token, "tool" | "toolerr")
}

fn millis(value: u32) -> Duration {
    Duration::from_millis(u64::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_token_by_token() {
        let script = Script::parse("fake-n20-b64-i5-d15000-s3x500-w1-o7-gzip-ee-e429-tool-tabc-n7");
        assert_eq!((script.chunks, script.chunk_bytes), (20, 64));
        assert_eq!(
            (script.interval, script.after_head),
            (millis(5), millis(15_000))
        );
        assert_eq!(script.stall, Some((3, millis(500))));
        assert_eq!(
            script.cutting,
            Cutting {
                write: 1,
                chunk: 7,
                join: 0
            }
        );
        assert_eq!(script.encoding, Encoding::Gzip);
        assert_eq!(script.fault, Some(Fault::Event));
        assert_eq!(script.status, Some(429));
        assert!(script.tool && !script.tool_error);
    }

    #[test]
    fn any_other_name_is_the_default() {
        for name in [
            "gpt-oss:20b",
            "",
            "llama3.2",
            "claude-sonnet-4-5-20250929",
            "e200",
            "s3x",
        ] {
            assert_eq!(Script::parse(name), Script::default(), "{name}");
        }
    }
}
