//! What a command prints on standard output: text for people, or JSON.

use std::{
    fmt,
    io::{self, Stdout, Write as _},
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

/// Says something that is not the output itself.
pub(crate) fn hint(text: impl fmt::Display) {
    anstream::eprintln!("{text}");
}
