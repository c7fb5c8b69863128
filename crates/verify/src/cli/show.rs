//! What people are told.

use std::{
    fmt::{self, Write as _},
    io::{self, Write as _},
};

use verify::{AddedKey, NotProven, Witnessed};

/// The width of the first column.
const COLUMN: usize = 11;

/// Text for people. What comes from files is shown without control characters: a terminal would obey them.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// A fact with its name.
    pub(super) fn fact(&mut self, name: &str, value: impl fmt::Display) {
        self.line(format_args!("{name:COLUMN$}{value}"));
    }

    /// A line.
    pub(super) fn line(&mut self, line: impl fmt::Display) {
        let from = self.0.len();
        // Writing to a text does not fail.
        let _ = write!(self.0, "{line}");
        let written = self.0.split_off(from);
        self.0
            .extend(written.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }));
        self.0.push('\n');
    }

    /// Who cosigned.
    pub(super) fn witnesses(&mut self, witnesses: &[Witnessed]) {
        for witness in witnesses {
            self.fact("witnessed", format_args!("{}, {}", witness.name, witness.at));
        }
    }

    /// The keys that are believed because another one is.
    pub(super) fn keys_added(&mut self, added: &[AddedKey]) {
        for AddedKey { entry, key } in added {
            self.fact("key", format_args!("{key}, added by entry {entry}"));
        }
    }

    /// The last word: that all holds, and what was not proven, or what does not hold.
    pub(super) fn verdict(&mut self, holds: &str, troubles: &[String], not_proven: &[NotProven]) {
        if !self.0.is_empty() {
            self.line("");
        }
        for trouble in troubles {
            self.line(format_args!("does not hold: {trouble}"));
        }
        if !troubles.is_empty() {
            return;
        }
        self.line(format_args!("verified: {holds}"));
        self.line("not proven:");
        for open in not_proven {
            self.line(format_args!("  - {}", open.what));
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Writes to standard output.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Says what cannot be done, and why.
pub(super) fn complain(what: &str) {
    let mut text = Text::default();
    text.line(format_args!("error: {what}"));
    // There is nowhere left to say that this cannot be said.
    let _ = io::stderr().lock().write_all(text.as_str().as_bytes());
}
