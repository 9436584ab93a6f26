//! `OTEL_RESOURCE_ATTRIBUTES`: how its values are written, and merged with what is there.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Attributes in their order, keys once each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attributes<'a>(Vec<(&'a str, Value<'a>)>);

/// An attribute's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// As it is; encoded when written.
    Text(Cow<'a, str>),
    /// The value of a variable that the kubelet fills in.
    Variable(&'static str),
}

/// A value as it is.
pub(crate) fn text(text: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(text))
}

impl<'a> Attributes<'a> {
    /// Adds an attribute unless its key is there.
    pub(crate) fn add(&mut self, key: &'a str, value: Value<'a>) {
        if !self.0.iter().any(|(it, _)| *it == key) {
            self.0.push((key, value));
        }
    }

    /// What to put before `there` so that each key of ours is set, and each of theirs stays.
    ///
    /// `there` follows: of keys that come twice, SDKs take the last. None if nothing is missing.
    pub(crate) fn before(&self, there: &str) -> Option<String> {
        let theirs: Vec<&str> = there
            .split(',')
            .filter_map(|item| item.split_once('='))
            .map(|(key, _)| key.trim())
            .collect();
        let mut out = String::new();
        for (key, value) in &self.0 {
            let key = encoded(key);
            if theirs.contains(&key.as_str()) {
                continue;
            }
            if !out.is_empty() {
                out.push(',');
            }
            out.push_str(&key);
            out.push('=');
            match value {
                Value::Text(text) => out.push_str(&encoded(text)),
                Value::Variable(name) => {
                    out.push_str("$(");
                    out.push_str(name);
                    out.push(')');
                }
            }
        }
        if out.is_empty() {
            return None;
        }
        if !there.trim().is_empty() && !there.starts_with(',') {
            out.push(',');
        }
        Some(out)
    }
}

/// `key=value,key=value` as a user writes it: spaces around are dropped, nothing is decoded.
/// None if something is no pair.
pub(crate) fn pairs(text: &str) -> Option<Vec<(&str, &str)>> {
    let items = text.split(',').map(str::trim).filter(|it| !it.is_empty());
    items
        .map(|item| {
            let (key, value) = item.split_once('=')?;
            let (key, value) = (key.trim(), value.trim());
            (!key.is_empty()).then_some((key, value))
        })
        .collect()
}

/// Percent-encoded where an SDK would else drop the whole variable, and nowhere else; `$` doubled,
/// for the kubelet takes `$(X)` for a reference.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'$' => out.push_str("$$"),
            b',' | b'=' | b'%' | b'"' | b'\\' | b';' => {
                let _ = write!(out, "%{byte:02X}");
            }
            byte if byte.is_ascii_graphic() => out.push(char::from(byte)),
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// A literal value that the kubelet leaves as it is.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_must_be_is_encoded() {
        assert_eq!(encoded("a-b_c.d/e:f(g)"), "a-b_c.d/e:f(g)");
        assert_eq!(encoded("a,b=c%d é"), "a%2Cb%3Dc%25d%20%C3%A9");
        assert_eq!(encoded("$(HOME) $$"), "$$(HOME)%20$$$$");
    }

    #[test]
    fn keys_that_are_there_stay_and_come_last() {
        let mut ours = Attributes::default();
        ours.add("a", text("1"));
        ours.add("b", Value::Variable("POD"));
        ours.add("a", text("2"));
        assert_eq!(ours.before("").unwrap(), "a=1,b=$(POD)");
        assert_eq!(ours.before(" a = 9").unwrap(), "b=$(POD),");
        assert_eq!(ours.before(",a=9").unwrap(), "b=$(POD)");
        assert_eq!(ours.before("$(MORE)").unwrap(), "a=1,b=$(POD),");
        assert_eq!(ours.before("b=,a=").as_deref(), None);
    }

    #[test]
    fn pairs_are_read_as_they_are() {
        assert_eq!(
            pairs(" a=1, b = x=y ,"),
            Some(vec![("a", "1"), ("b", "x=y")])
        );
        assert_eq!(pairs("a"), None);
        assert_eq!(pairs("=1"), None);
    }
}
