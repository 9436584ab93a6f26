//! A terminal's text as a page, for pictures of it.

use std::fmt::Write as _;

/// A page that shows `text` as a terminal would: SGR escape sequences (ECMA-48, 8.3.117) for
/// bold, dim and the eight colours are followed, other sequences are left out.
pub(crate) fn page(text: &str) -> String {
    let mut page = String::from(HEAD);
    let mut style = Style::default();
    let mut parts = text.split('\x1b');
    push(&mut page, &style, parts.next().unwrap_or_default());
    for part in parts {
        let Some(sequence) = part.strip_prefix('[') else {
            continue;
        };
        let end = sequence.find(|c: char| c.is_ascii_alphabetic());
        let Some(end) = end else { continue };
        let (parameters, rest) = sequence.split_at(end);
        if rest.starts_with('m') {
            style.follow(parameters);
        }
        push(&mut page, &style, &rest[1..]);
    }
    page + "</pre>\n"
}

/// Width and height of the page in pixels, for the font below.
pub(crate) fn size(text: &str) -> (usize, usize) {
    let plain = |line: &str| {
        let mut parts = line.split('\x1b');
        let first = parts.next().unwrap_or_default().chars().count();
        let rest = parts.map(|part| {
            let end = part.find(|c: char| c.is_ascii_alphabetic());
            end.map_or(0, |end| part[end + 1..].chars().count())
        });
        first + rest.sum::<usize>()
    };
    let columns = text.lines().map(plain).max().unwrap_or(0);
    (columns * 17 / 2 + 50, text.lines().count() * 20 + 48)
}

const HEAD: &str = "<!doctype html><meta charset=utf-8><style>\
body{margin:0;background:#16181d}\
pre{margin:0;padding:24px;color:#d6d9e0;font:14px/20px 'DejaVu Sans Mono',monospace}\
</style><pre>";

/// Black to white, as terminals with a dark ground show them.
const COLOURS: [&str; 8] = [
    "#5c6370", "#f07178", "#a5d977", "#f2c66d", "#7aa2f7", "#c792ea", "#6fd3e3", "#e8eaf0",
];

/// How text is drawn.
#[derive(Default)]
struct Style {
    bold: bool,
    dim: bool,
    colour: Option<&'static str>,
}

impl Style {
    fn follow(&mut self, parameters: &str) {
        for parameter in parameters.split(';') {
            match parameter.parse::<usize>() {
                Ok(1) => self.bold = true,
                Ok(2) => self.dim = true,
                Ok(22) => (self.bold, self.dim) = (false, false),
                Ok(39) => self.colour = None,
                Ok(n @ 30..=37) => self.colour = COLOURS.get(n - 30).copied(),
                Ok(n @ 90..=97) => self.colour = COLOURS.get(n - 90).copied(),
                Ok(0) | Err(_) => *self = Self::default(),
                Ok(_) => {}
            }
        }
    }
}

fn push(page: &mut String, style: &Style, text: &str) {
    let mut css = String::new();
    if style.bold {
        css.push_str("font-weight:bold;");
    }
    if style.dim {
        css.push_str("opacity:.6;");
    }
    if let Some(colour) = style.colour {
        let _ = write!(css, "color:{colour}");
    }
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    if css.is_empty() {
        page.push_str(&text);
    } else if !text.is_empty() {
        let _ = write!(page, "<span style=\"{css}\">{text}</span>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_followed_and_text_is_escaped() {
        let page = page("a<b \x1b[1;31mred\x1b[0m \x1b[2mdim\x1b[K\x1b[m end");
        assert!(page.contains("a&lt;b <span style=\"font-weight:bold;color:#f07178\">red</span> "));
        assert!(page.contains("<span style=\"opacity:.6;\">dim</span>"));
        assert!(page.ends_with(" end</pre>\n"), "{page}");
    }

    #[test]
    fn sequences_take_no_room() {
        assert_eq!(size("\x1b[31mab\x1b[0m\nabcd"), (4 * 17 / 2 + 50, 88));
    }
}
