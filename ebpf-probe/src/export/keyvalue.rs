//! `key=value,key2=value2` lists of environment variables, with percent-encoded values.
//!
//! The format is W3C Baggage without properties: `OTEL_RESOURCE_ATTRIBUTES` and
//! `OTEL_EXPORTER_OTLP_HEADERS` use it (OpenTelemetry specification, resource SDK and
//! protocol exporter).

use thiserror::Error;

/// The most entries that are read; a process may put anything into its environment.
const MAX_ENTRIES: usize = 128;

/// What is wrong with a list. It names no value: keys of accounts stand in headers.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum ListError {
    /// An entry has no `=` or no key.
    #[error("entry {0} is not key=value")]
    NotAPair(usize),
    /// A value is not percent-encoded UTF-8.
    #[error("entry {0} is not percent-encoded UTF-8")]
    BadEncoding(usize),
    /// There are too many entries.
    #[error("more than {MAX_ENTRIES} entries")]
    TooMany,
}

/// Reads a list. As the specification asks, one bad entry makes the whole list invalid.
pub(crate) fn parse(list: &str) -> Result<Vec<(String, String)>, ListError> {
    let mut pairs = Vec::new();
    for (index, entry) in list.split(',').enumerate() {
        let entry = entry.trim();
        if entry.is_empty() {
            continue;
        }
        if pairs.len() == MAX_ENTRIES {
            return Err(ListError::TooMany);
        }
        let (key, value) = entry.split_once('=').ok_or(ListError::NotAPair(index))?;
        let key = decode(key.trim()).ok_or(ListError::BadEncoding(index))?;
        if key.is_empty() {
            return Err(ListError::NotAPair(index));
        }
        let value = decode(value.trim()).ok_or(ListError::BadEncoding(index))?;
        pairs.push((key, value));
    }
    Ok(pairs)
}

/// Undoes percent-encoding (RFC 3986, section 2.1).
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let high = char::from(rest.next()?).to_digit(16)?;
        let low = char::from(rest.next()?).to_digit(16)?;
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn lists_are_split_trimmed_and_decoded() {
        let list = " service.name=a%20b , k= v=w ,,empty=";
        let expected = pairs(&[("service.name", "a b"), ("k", "v=w"), ("empty", "")]);
        assert_eq!(parse(list), Ok(expected));
        assert_eq!(parse(""), Ok(Vec::new()));
    }

    #[test]
    fn one_bad_entry_makes_the_list_invalid() {
        assert_eq!(parse("a=b,c"), Err(ListError::NotAPair(1)));
        assert_eq!(parse("=b"), Err(ListError::NotAPair(0)));
        assert_eq!(parse("a=%zz"), Err(ListError::BadEncoding(0)));
        assert_eq!(parse("a=%f"), Err(ListError::BadEncoding(0)));
        assert_eq!(parse("a=%ff"), Err(ListError::BadEncoding(0)));
        assert_eq!(parse(&"a=b,".repeat(129)), Err(ListError::TooMany));
    }
}
