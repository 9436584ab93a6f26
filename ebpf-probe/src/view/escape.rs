//! Text from the wire, made safe for a terminal and cut to a width.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar as _;

/// Replaces every character that a terminal acts upon, or that reorders or hides text: a model's
/// name must not move the cursor, set the title or forge another line.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_dangerous) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_dangerous(character) {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

/// Control characters (C0, DEL, C1), line and paragraph separators, and the invisible marks that
/// change the direction of text (Unicode TR 36, "Bidirectional Text Spoofing").
pub(super) const fn is_dangerous(character: char) -> bool {
    matches!(
        character,
        '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// How many columns an escaped text takes.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// Cuts an escaped text to at most `max` columns; a cut ends in `…`.
pub(super) fn cut(text: &str, max: usize) -> Cow<'_, str> {
    if width(text) <= max {
        return Cow::Borrowed(text);
    }
    let mut kept = String::new();
    let mut used = 1;
    for character in text.chars() {
        used += columns(character);
        if used > max {
            break;
        }
        kept.push(character);
    }
    if max > 0 {
        kept.push('…');
    }
    Cow::Owned(kept)
}

/// Cuts and fills up to exactly `columns` columns.
pub(super) fn fit(text: &str, columns: usize, right: bool) -> String {
    let text = cut(text, columns);
    let gap = columns - width(&text).min(columns);
    let mut fitted = String::new();
    let written = if right {
        write!(fitted, "{:gap$}{text}", "")
    } else {
        write!(fitted, "{text}{:gap$}", "")
    };
    written.expect("writing into a string cannot fail");
    fitted
}

fn columns(character: char) -> usize {
    character.width().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_acts_upon_is_escaped() {
        assert_eq!(escape("plain ünïcode 模型"), "plain ünïcode 模型");
        assert_eq!(escape("a\x1b]0;t\x07\r\nb"), r"a\u{1b}]0;t\u{7}\r\nb");
        assert_eq!(escape("\u{9b}31m\x7f"), r"\u{9b}31m\u{7f}");
        assert_eq!(escape("ab\u{202e}cd\u{2066}"), r"ab\u{202e}cd\u{2066}");
    }

    #[test]
    fn cutting_counts_columns_not_bytes() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("模型模型", 5), "模型…");
        assert_eq!(cut("模型", 3), "模…");
        assert_eq!(cut("abc", 0), "");
        assert_eq!(fit("ab", 4, false), "ab  ");
        assert_eq!(fit("ab", 4, true), "  ab");
        assert_eq!(fit("abcdef", 4, true), "abc…");
    }

    proptest! {
        #[test]
        fn nothing_dangerous_is_left_and_widths_hold(text in any::<String>(), max in 0_usize..20) {
            let safe = escape(&text);
            prop_assert!(!safe.chars().any(is_dangerous));
            prop_assert!(!safe.chars().any(char::is_control));
            prop_assert!(width(&cut(&safe, max)) <= max);
            prop_assert!(width(&fit(&safe, max, false)) == max);
        }
    }
}
