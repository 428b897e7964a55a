//! Where words go: data to standard output, everything else to standard error, colour only where
//! somebody can see it and wants it.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};

use pillarbox::config::variable;

pub(super) const RED: Style = AnsiColor::Red.on_default();
pub(super) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(super) const GREEN: Style = AnsiColor::Green.on_default();
pub(super) const BOLD: Style = Style::new().bold();

/// The two streams of a command; colours are taken out where `NO_COLOR`, `TERM=dumb` or the absence
/// of a terminal asks for it.
pub(super) struct Output {
    data: AutoStream<io::Stdout>,
    words: AutoStream<io::Stderr>,
}

impl Output {
    pub(super) fn new() -> Self {
        Self {
            data: AutoStream::auto(io::stdout()),
            words: AutoStream::auto(io::stderr()),
        }
    }

    /// One line of data.
    pub(super) fn data(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.data, "{line}")
    }

    /// Data exactly as it is.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut raw = io::stdout().lock();
        raw.write_all(bytes)?;
        raw.flush()
    }

    /// One line for people.
    pub(super) fn say(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.words, "{line}")
    }

    /// What went wrong.
    pub(super) fn error(&mut self, why: &str) -> io::Result<()> {
        writeln!(self.words, "{} {why}", paint("error:", RED))
    }

    /// Whether something that moves may be shown to people.
    pub(super) fn may_move() -> bool {
        io::stderr().is_terminal() && variable("TERM").is_none_or(|term| term != "dumb")
    }

    /// How wide a line of data may be, if people read it.
    pub(super) fn width(&self) -> Option<usize> {
        let is_terminal = io::stdout().is_terminal();
        is_terminal
            .then(|| terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0)))
    }
}

/// `text` in a style; the stream takes it out again where nobody can see it.
pub(super) fn paint(text: &str, style: Style) -> String {
    format!("{style}{text}{style:#}")
}

/// A time in milliseconds, with one decimal.
pub(super) fn millis(took: Duration) -> String {
    let us = took.as_micros();
    format!("{}.{}", us / 1000, us / 100 % 10)
}
