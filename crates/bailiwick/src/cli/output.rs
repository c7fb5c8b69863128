//! What a command prints on standard output: text for people, or JSON.

use std::{
    fmt,
    io::{self, IsTerminal as _, Stdout, Write as _},
    time::{Duration, Instant},
};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::Failure;

/// What went well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What did not.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What may be a mistake.
pub(crate) const DOUBTFUL: Style = AnsiColor::Yellow.on_default();
/// Headings.
pub(crate) const HEADING: Style = Style::new().bold();
/// What matters less.
pub(crate) const QUIET: Style = Style::new().dimmed();

/// Standard output. Colour goes to a terminal only, and not where `NO_COLOR` is set.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    stdout: AutoStream<Stdout>,
}

impl Output {
    /// Text for people, or JSON.
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            stdout: anstream::stdout(),
        }
    }

    /// Whether JSON is wanted.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a value: as one line of JSON, or as `text` writes it.
    pub(crate) fn show<T: Serialize>(
        &mut self,
        value: &T,
        text: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> Result<(), Failure> {
        if self.json {
            return self.document(value);
        }
        text(self)?;
        Ok(self.stdout.flush()?)
    }

    /// Prints one line of JSON.
    pub(crate) fn document<T: Serialize>(&mut self, value: &T) -> Result<(), Failure> {
        let line = serde_json::to_string(value).map_err(|error| Failure::failed(format!("no JSON: {error}")))?;
        self.line(&line)?;
        Ok(self.stdout.flush()?)
    }

    /// Prints a line.
    pub(crate) fn line(&mut self, text: impl fmt::Display) -> io::Result<()> {
        writeln!(self.stdout, "{text}")
    }
}

/// How far a long work is, on one line of the terminal. Silent where nobody looks.
#[derive(Debug)]
pub(crate) struct Progress {
    /// When it was last shown; `None` where it never is.
    last: Option<Instant>,
    shown: bool,
}

/// Work that is over sooner shows nothing, and the line changes no more often.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

impl Progress {
    /// On standard error, if that is a terminal and text is wanted.
    pub(crate) fn new(is_json: bool) -> Self {
        let visible = !is_json && io::stderr().is_terminal();
        Self {
            last: visible.then(Instant::now),
            shown: false,
        }
    }

    /// Shows it, if the last time is some while ago.
    pub(crate) fn show(&mut self, text: fmt::Arguments<'_>) {
        if let Some(last) = &mut self.last
            && last.elapsed() >= PROGRESS_EVERY
        {
            *last = Instant::now();
            self.shown = true;
            anstream::eprint!("\r\x1b[K{text}");
        }
    }

    /// Takes the line away.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            anstream::eprint!("\r\x1b[K");
        }
    }
}

/// Says something that is not the output itself.
pub(crate) fn hint(text: impl fmt::Display) {
    anstream::eprintln!("{text}");
}
