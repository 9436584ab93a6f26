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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn with_state(states: &[&str]) -> String {
        TraceContext::parse(GOOD, states.iter().copied())
            .unwrap()
            .state
    }

    #[test]
    fn reads_and_shows_ids() {
        let context = TraceContext::parse(GOOD, []).unwrap();
        assert_eq!(
            context.trace.to_string(),
            "0af7651916cd43dd8448eb211c80319c"
        );
        assert_eq!(context.parent.to_string(), "b7ad6b7169203331");
        assert!(context.sampled());
        assert_eq!(context.state, "");
    }

    #[test]
    fn judges_the_parent_strictly() {
        let id = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";
        let flags = |value: String| TraceContext::parse(&value, []).map(|c| c.flags);
        let cases = [
            (format!("00-{id}-00"), Some(0)),
            (format!(" \t00-{id}-01 \t"), Some(1)),
            (format!("00-{id}-ff"), Some(3)),
            (format!("00-{id}-01-"), None),
            (format!("00-{id}-01-more"), None),
            (format!("00-{id}-0"), None),
            (format!("00-{id}-0G"), None),
            (format!("00-{id}-0A"), None),
            (format!("01-{id}-03"), Some(1)),
            (format!("cc-{id}-01-what-the-future-brings"), Some(1)),
            (format!("cc-{id}-01.what"), None),
            (format!("ff-{id}-01"), None),
            (format!("0x-{id}-01"), None),
            (format!("0-{id}-01"), None),
            (format!("00-{}-01", id.to_uppercase()), None),
            (format!("00_{id}-01"), None),
            (format!("00-{id}_01"), None),
            (
                "00-00000000000000000000000000000000-b7ad6b7169203331-01".to_owned(),
                None,
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01".to_owned(),
                None,
            ),
            (String::new(), None),
            ("\u{e9}".repeat(40), None),
        ];
        for (value, wanted) in cases {
            assert_eq!(flags(value.clone()), wanted, "{value:?}");
        }
    }

    #[test]
    fn combines_the_state() {
        assert_eq!(
            with_state(&["a=1, b=2 ", "", "c=3,,\td=4"]),
            "a=1,b=2,c=3,d=4"
        );
        assert_eq!(with_state(&["t@s=x y", "0k_-*/=!"]), "t@s=x y,0k_-*/=!");
    }

    #[test]
    fn drops_a_bad_state_alone() {
        for bad in [
            "a", "=1", "a=", "A=1", "a=1,a=2", "a=b=c", "_a=1", "a=\u{e9}", "a =1", "a=\0",
        ] {
            assert_eq!(with_state(&["ok=1", bad]), "", "{bad:?}");
        }
        let many: Vec<String> = (0..33).map(|i| format!("k{i}=v")).collect();
        assert_eq!(with_state(&[&many.join(",")]), "");
        assert_eq!(with_state(&[&many[..32].join(",")]), many[..32].join(","));
    }

    #[test]
    fn a_long_state_loses_its_long_members_first() {
        let long = format!("long={}", "x".repeat(200));
        let short: Vec<String> = (0..9).map(|i| format!("k{i}={}", "y".repeat(40))).collect();
        assert_eq!(with_state(&[&long, &short.join(",")]), short.join(","));
        let shorts: Vec<String> = (10..30)
            .map(|i| format!("k{i}={}", "y".repeat(40)))
            .collect();
        assert_eq!(with_state(&[&shorts.join(",")]), shorts[..11].join(","));
    }

    #[test]
    fn takes_the_fields_of_a_request() {
        let take = |fields: &[(&str, &[u8])]| TraceContext::from_headers(&Headers::new(fields));
        let parent = GOOD.as_bytes();
        let state = take(&[
            ("Tracestate", b"a=1"),
            ("TRACEPARENT", parent),
            ("tracestate", b"b=2"),
        ]);
        assert_eq!(state.unwrap().state, "a=1,b=2");
        assert_eq!(
            take(&[("traceparent", parent), ("Traceparent", parent)]),
            None
        );
        assert_eq!(take(&[("tracestate", b"a=1")]), None);
        let broken = take(&[("traceparent", parent), ("tracestate", b"a=\xff")]);
        assert_eq!(broken.unwrap().state, "");
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_harm(parent in ".{0,80}", states in prop::collection::vec(".{0,600}", 0..4)) {
            let _ = TraceContext::parse(&parent, states.iter().map(String::as_str));
            let kept = with_state(&states.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert!(kept.len() <= MAX_STATE);
        }
    }
}
