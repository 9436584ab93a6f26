//! Writing JSON text, for opted-in content.

use std::fmt::Write as _;

use crate::json::{At, Scanner, Schema, Sink, Value};

/// Appends `text` as a JSON string.
pub(super) fn push_string(json: &mut String, text: &str) {
    json.push('"');
    for char in text.chars() {
        match char {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            control if control < ' ' => {
                // Writing to a string cannot fail.
                let _ = write!(json, "\\u{:04x}", u32::from(control));
            }
            other => json.push(other),
        }
    }
    json.push('"');
}

/// Appends `text` as it is if it is an object or array, else as a JSON string: arguments come
/// as JSON, as JSON in a string, cut, and as anything that a model makes up.
pub(super) fn push_json(json: &mut String, text: &str) {
    if text.trim_start().starts_with(['{', '[']) && is_one_value(text) {
        json.push_str(text.trim());
    } else {
        push_string(json, text);
    }
}

/// Whether the brackets and strings of `text` are those of one value.
fn is_one_value(text: &str) -> bool {
    struct Ends(u32, bool);
    impl Sink<()> for Ends {
        fn value(&mut self, (): (), _at: At<'_>, _value: Value<'_>) {}

        fn end(&mut self, complete: bool) {
            self.0 += 1;
            self.1 = complete;
        }
    }
    let mut ends = Ends(0, false);
    Scanner::new(0).feed(&Schema::new(&[]), text.as_bytes(), &mut ends);
    ends.0 == 1 && ends.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped() {
        let mut json = String::new();
        push_string(&mut json, "a\"\\\n\u{1}é");
        assert_eq!(json, r#""a\"\\\n\u0001é""#);
    }

    #[test]
    fn only_whole_values_stand_as_they_are() {
        let pushed = |text: &str| {
            let mut json = String::new();
            push_json(&mut json, text);
            json
        };
        assert_eq!(pushed(r#" {"a":[1]} "#), r#"{"a":[1]}"#);
        assert_eq!(pushed(r#"{"a":[1"#), r#""{\"a\":[1""#);
        assert_eq!(pushed("{} {}"), r#""{} {}""#);
        assert_eq!(pushed("12"), r#""12""#);
    }
}
