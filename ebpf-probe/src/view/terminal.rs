//! What the output can do.

use std::io::{IsTerminal as _, stdout};

use anstream::{AutoStream, ColorChoice};
use anstyle::Style;
use jiff::tz::TimeZone;

/// The output's abilities.
#[derive(Clone, Debug)]
pub(crate) struct Terminal {
    /// Columns; `None` where the output is no terminal.
    pub(crate) width: Option<usize>,
    /// Rows, 0 where the output is no terminal.
    pub(crate) height: usize,
    /// Colours are wanted: on a terminal, unless `NO_COLOR` or the like says otherwise.
    pub(crate) color: bool,
    /// The zone of the times that are shown.
    pub(crate) zone: TimeZone,
    /// The size is asked for anew before each drawing.
    pub(crate) live: bool,
}

impl Terminal {
    /// What standard output can do.
    pub(crate) fn of_stdout() -> Self {
        let mut terminal = Self {
            color: AutoStream::choice(&stdout()) != ColorChoice::Never,
            zone: TimeZone::system(),
            live: stdout().is_terminal(),
            ..Self::plain()
        };
        terminal.measure();
        terminal
    }

    /// A file or a pipe; times are UTC.
    pub(crate) fn plain() -> Self {
        Self {
            width: None,
            height: 0,
            color: false,
            zone: TimeZone::UTC,
            live: false,
        }
    }

    /// Takes the size anew: windows are resized.
    pub(crate) fn measure(&mut self) {
        if !self.live {
            return;
        }
        let (width, height) = match terminal_size::terminal_size() {
            Some((width, height)) => (width.0, height.0),
            None => (80, 24),
        };
        self.width = Some(width.max(20).into());
        self.height = height.max(4).into();
    }

    /// Puts a style around a text, where colours are wanted.
    pub(crate) fn paint(&self, style: Style, text: &str) -> String {
        if self.color && !text.is_empty() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}
