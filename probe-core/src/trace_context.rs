//! W3C Trace Context: `traceparent` and `tracestate`.
//!
//! Read by the rules of Trace Context level 2 (<https://www.w3.org/TR/trace-context-2/>). A
//! malformed `traceparent` is as good as none; a malformed `tracestate` is dropped alone.

use std::fmt;

use crate::message::Headers;

/// A trace id; never all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(pub [u8; 16]);

/// A span id; never all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId(pub [u8; 8]);

/// The context that a request carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// The span of the sender.
    pub parent: SpanId,
    /// The flags byte with unknown bits cleared (bit 0 sampled, bit 1 random).
    pub flags: u8,
    /// The `tracestate`, combined and checked; empty when there is none.
    pub state: String,
}

/// The most members that a `tracestate` may have (level 2, §3.3.1.1).
const MAX_MEMBERS: usize = 32;
/// What of a `tracestate` is kept at least, and here also at most (level 2, §3.3.1.5).
const MAX_STATE: usize = 512;
/// Members longer than this are the first to go when the limit is hit.
const LONG_MEMBER: usize = 128;

impl TraceContext {
    /// Whether the sender's trace is sampled.
    #[must_use]
    pub const fn sampled(&self) -> bool {
        self.flags & 1 == 1
    }

    /// The context in the fields of a request. More than one `traceparent` is none; several
    /// `tracestate` fields are one list.
    #[must_use]
    pub fn from_headers(headers: &Headers<'_>) -> Option<Self> {
        let mut parents = headers.all("traceparent");
        let parent = std::str::from_utf8(parents.next()?).ok()?;
        if parents.next().is_some() {
            return None;
        }
        // A value that is no text is handed on as one that no state may have.
        let states = headers
            .all("tracestate")
            .map(|v| std::str::from_utf8(v).unwrap_or("\0"));
        Self::parse(parent, states)
    }

    /// The context of a `traceparent` value and the `tracestate` values beside it, in order.
    #[must_use]
    #[expect(
        single_use_lifetimes,
        reason = "a lifetime in `impl Trait` cannot be left out yet"
    )]
    pub fn parse<'s>(
        traceparent: &str,
        tracestate: impl IntoIterator<Item = &'s str>,
    ) -> Option<Self> {
        let (trace, parent, flags) = parse_parent(trim(traceparent).as_bytes())?;
        let state = combine_state(tracestate).unwrap_or_default();
        Some(Self {
            trace,
            parent,
            flags,
            state,
        })
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// `version "-" trace-id "-" parent-id "-" flags`, lower-case hex, 55 bytes in version 00.
fn parse_parent(value: &[u8]) -> Option<(TraceId, SpanId, u8)> {
    let (fixed, extra) = value.split_at_checked(55)?;
    let dashes = [2, 35, 52].iter().all(|&at| fixed[at] == b'-');
    let [version] = hex(&fixed[..2])?;
    let trace: [u8; 16] = hex(&fixed[3..35])?;
    let parent: [u8; 8] = hex(&fixed[36..52])?;
    let [flags] = hex(&fixed[53..])?;
    let known_flags = match version {
        0 if extra.is_empty() => 0b11,
        1..=0xfe if extra.first().is_none_or(|&byte| byte == b'-') => 0b01,
        _ => return None,
    };
    if !dashes || trace == [0; 16] || parent == [0; 8] {
        return None;
    }
    Some((TraceId(trace), SpanId(parent), flags & known_flags))
}

fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Joins the values to one list; `None` if any member is malformed, a key comes twice, or there
/// are too many.
#[expect(
    single_use_lifetimes,
    reason = "a lifetime in `impl Trait` cannot be left out yet"
)]
fn combine_state<'s>(values: impl IntoIterator<Item = &'s str>) -> Option<String> {
    let mut members: Vec<&str> = Vec::new();
    for member in values
        .into_iter()
        .flat_map(|value| value.split(','))
        .map(trim)
    {
        if member.is_empty() {
            continue;
        }
        let (key, value) = member.split_once('=')?;
        let duplicate = members
            .iter()
            .any(|m| m.split_once('=').is_some_and(|(k, _)| k == key));
        if duplicate || members.len() == MAX_MEMBERS || !is_key(key) || !is_value(value) {
            return None;
        }
        members.push(member);
    }
    cut(&mut members);
    Some(members.join(","))
}

/// Drops members until the list keeps its limit: long ones first, then from the right.
fn cut(members: &mut Vec<&str>) {
    let size = |members: &[&str]| members.iter().map(|m| m.len() + 1).sum::<usize>();
    while size(members) > MAX_STATE + 1 {
        let last = members.len() - 1;
        let at = members
            .iter()
            .rposition(|m| m.len() > LONG_MEMBER)
            .unwrap_or(last);
        members.remove(at);
    }
}

fn is_key(key: &str) -> bool {
    let first = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let rest = |byte: u8| first(byte) || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@');
    key.len() <= 256 && key.bytes().next().is_some_and(first) && key.bytes().all(rest)
}

fn is_value(value: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'=' && byte != b',';
    (1..=256).contains(&value.len()) && value.bytes().all(allowed) && !value.ends_with(' ')
}

fn trim(value: &str) -> &str {
    value.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests;
