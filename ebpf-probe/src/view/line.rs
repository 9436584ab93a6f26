//! One line per call.

use anstyle::{AnsiColor, Style};
use probe_core::span::Span;

use super::escape::{cut, escape, fit, width};
use super::format;
use super::terminal::Terminal;
use crate::export::clock::Clock;
use crate::export::resource::Resource;

/// A column: its head, its width, and how soon it goes where the terminal is narrow (0 stays).
struct Column {
    head: &'static str,
    width: usize,
    right: bool,
    goes: u8,
}

const fn column(head: &'static str, width: usize, right: bool, goes: u8) -> Column {
    Column {
        head,
        width,
        right,
        goes,
    }
}

/// The columns in their order.
const COLUMNS: [Column; 11] = [
    column("START", 12, false, 7),
    column("PROCESS", 24, false, 0),
    column("", 1, false, 0),
    column("OPERATION", 12, false, 0),
    column("MODEL/TOOL/AGENT", 24, false, 0),
    column("STATUS", 8, false, 0),
    column("TTFT", 7, true, 5),
    column("TIME", 7, true, 0),
    column("TOKENS", 11, true, 6),
    column("FINISH", 12, false, 4),
    column("TRACE", 17, false, 3),
];

/// The names of the columns.
pub(super) fn header(terminal: &Terminal) -> String {
    let heads = COLUMNS.each_ref().map(|it| it.head.to_owned());
    let line = lay_out(&heads, &[Style::new(); 11], terminal);
    terminal.paint(Style::new().bold(), &line)
}

/// A call.
pub(super) fn line(span: &Span, resource: &Resource, clock: Clock, terminal: &Terminal) -> String {
    let summary = &span.summary;
    let seconds = |it: Option<f64>| it.map(format::duration).unwrap_or_default();
    let finish: Vec<_> = summary.finish_reasons.iter().map(|it| escape(it)).collect();
    let texts = [
        format::time_of_day(clock.unix(span.start), &terminal.zone),
        format::process(span, resource),
        format::direction(span.kind).to_owned(),
        escape(&summary.operation).into_owned(),
        format::target(span).into_owned(),
        format::status(span),
        seconds(summary.time_to_first_token.or(summary.time_to_first_chunk)),
        format::duration(format::seconds(span)),
        format::tokens(summary.input_tokens, summary.output_tokens),
        finish.join(","),
        link(span),
    ];
    lay_out(&texts, &styles(span), terminal)
}

/// How the parent was found, and the trace; nothing while that is not settled.
fn link(span: &Span) -> String {
    let link = span.summary.link;
    if link.is_empty() {
        return String::new();
    }
    format!("{link:<4} {}", format::short_id(&span.trace.0))
}

fn styles(span: &Span) -> [Style; 11] {
    let mut styles = [Style::new(); 11];
    let color = |color: AnsiColor| Style::new().fg_color(Some(color.into()));
    let failed = span.error.is_some() || span.summary.error.is_some();
    styles[0] = Style::new().dimmed();
    styles[1] = color(AnsiColor::Cyan);
    styles[4] = Style::new().bold();
    styles[5] = color(if failed {
        AnsiColor::Red
    } else {
        AnsiColor::Green
    });
    // A proxy's second view of a generation is not counted, and shown so.
    if !span.summary.counts {
        styles[8] = Style::new().dimmed();
    }
    styles[10] = Style::new().dimmed();
    styles
}

/// Puts the texts into columns that fit. On a pipe nothing is cut.
fn lay_out(texts: &[String; 11], styles: &[Style; 11], terminal: &Terminal) -> String {
    let mut line = String::new();
    let widths = widths(terminal.width);
    let cells = texts.iter().zip(styles).zip(&COLUMNS).zip(widths);
    for (((text, style), column), columns) in cells {
        let Some(columns) = columns else {
            continue;
        };
        if !line.is_empty() {
            line.push(' ');
        }
        let room = match terminal.width {
            Some(_) => columns,
            None => columns.max(width(text)),
        };
        line.push_str(&terminal.paint(*style, &fit(text, room, column.right)));
    }
    line.truncate(line.trim_end().len());
    line
}

/// The two columns that give way first and take what room is left: process and target.
const ELASTIC: [usize; 2] = [1, 4];

/// The width of an elastic column below which other columns go instead.
const COMPACT: usize = 14;

/// The width of each column, `None` for those that have to go.
fn widths(terminal: Option<usize>) -> [Option<usize>; 11] {
    let mut widths = COLUMNS.each_ref().map(|it| Some(it.width));
    let Some(terminal) = terminal else {
        return widths;
    };
    for place in ELASTIC {
        widths[place] = Some(COMPACT);
    }
    for goes in 3..=7 {
        if total(&widths) > terminal {
            let place = COLUMNS.iter().position(|it| it.goes == goes);
            if let Some(width) = place.and_then(|place| widths.get_mut(place)) {
                *width = None;
            }
        }
    }
    let spare = terminal.saturating_sub(total(&widths));
    for place in ELASTIC {
        widths[place] = Some(COMPACT + spare / 2);
    }
    let mut over = total(&widths).saturating_sub(terminal);
    for place in [1, 4, 3, 5] {
        let width = widths[place].unwrap_or_default();
        let less = over.min(width.saturating_sub(LEAST));
        widths[place] = Some(width - less);
        over -= less;
    }
    widths
}

/// No column that stays is cut below this.
const LEAST: usize = 4;

/// The width of a line, with a space between columns.
fn total(widths: &[Option<usize>; 11]) -> usize {
    let shown = widths.iter().flatten();
    shown.map(|width| width + 1).sum::<usize>() - 1
}

/// Cuts a finished plain line to the terminal, for views that have no columns.
pub(super) fn cut_line(text: &str, terminal: &Terminal) -> String {
    match terminal.width {
        Some(width) => cut(text, width).into_owned(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::testing::{agent, chat, failed_tool};
    use std::sync::Arc;

    const CLOCK: Clock = Clock::with_offset(1_700_000_000_000_000_000);

    fn terminal(width: usize) -> Terminal {
        Terminal {
            width: Some(width),
            ..Terminal::plain()
        }
    }

    #[test]
    fn a_line_says_all_of_a_call() {
        let line = line(&chat(), &agent(), CLOCK, &Terminal::plain());
        assert_eq!(
            line,
            "22:13:21.000 agent.py@c0ffee012345    → chat         gpt-4o                   \
             200        300ms   1.50s        10/5 stop         none abababab"
        );
        let failed = super::line(&failed_tool(), &agent(), CLOCK, &Terminal::plain());
        assert!(failed.contains("← execute_tool search"));
        assert!(failed.contains(" -32602 "));
        assert!(failed.contains(" 100ms "));
        assert!(failed.ends_with("wire abababab"));
    }

    #[test]
    fn a_line_of_a_call_whose_place_is_not_settled_names_none() {
        let mut span = chat();
        Arc::make_mut(&mut span.summary).link = "";
        let line = line(&span, &agent(), CLOCK, &Terminal::plain());
        assert!(line.ends_with(" stop"), "{line}");
    }

    #[test]
    fn a_line_fits_every_terminal() {
        for columns in 20..250 {
            let terminal = terminal(columns);
            let shown = line(&chat(), &agent(), CLOCK, &terminal);
            assert!(width(&shown) <= columns.max(29), "{columns}: {shown}");
            assert!(width(&header(&terminal)) <= columns.max(29));
        }
        let wide = line(&chat(), &agent(), CLOCK, &terminal(160));
        assert!(wide.ends_with("abababab"), "{wide}");
        let usual = line(&chat(), &agent(), CLOCK, &terminal(100));
        for part in ["300ms", "1.50s", "10/5"] {
            assert!(usual.contains(part), "{usual}");
        }
    }

    #[test]
    fn colours_are_there_only_where_they_are_wanted() {
        let mut terminal = terminal(120);
        let plain = line(&chat(), &agent(), CLOCK, &terminal);
        assert!(!plain.contains('\x1b'));
        terminal.color = true;
        let painted = line(&chat(), &agent(), CLOCK, &terminal);
        assert!(painted.contains("\x1b[32m"));
        assert_eq!(anstream::adapter::strip_str(&painted).to_string(), plain);
    }

    #[test]
    fn the_wire_cannot_speak_to_the_terminal() {
        let mut span = chat();
        let summary = Arc::make_mut(&mut span.summary);
        summary.target = Some("\x1b[2Jx\ny".to_owned());
        summary.operation = "\u{9b}m".to_owned();
        summary.error = Some("\x07".to_owned());
        summary.finish_reasons = vec!["\r".to_owned()];
        let mut resource = agent();
        for name in ["service.name", "container.id"] {
            let value = probe_core::span::Value::Static("\x1b]0;evil\x07");
            resource.set(name, value);
        }
        let shown = line(&span, &resource, CLOCK, &Terminal::plain());
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
    }
}
