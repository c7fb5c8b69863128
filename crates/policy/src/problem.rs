//! Sources and what is wrong with them.

use std::fmt;

use cedar_policy::ffi::DetailedError;

/// One file of policies (Cedar text) or of entities (Cedar's JSON entity format).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The name shown in problems, such as `governance/policies/nightly-report.cedar`.
    pub file: String,
    /// The whole text.
    pub text: String,
}

/// Something wrong, or worth a warning, in a source. Problems sort by file and place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The source's file name.
    pub file: String,
    /// The line, from 1, where one is known.
    pub line: Option<u32>,
    /// The column in characters, from 1, where one is known.
    pub column: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// What to do about it, where we know.
    pub help: Option<String>,
}

/// `file:line:column: message`, and the help on a line of its own.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        for place in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{place}")?;
        }
        write!(f, ": {}", self.message)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

impl Problem {
    /// A problem of the file as a whole.
    pub(crate) fn of_file(file: &str, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            column: None,
            message: plain(&message.into()),
            help: None,
        }
    }

    /// A problem at a byte offset of the source.
    pub(crate) fn at(source: &Source, offset: usize, message: impl Into<String>) -> Self {
        let (line, column) = place(&source.text, offset);
        Self {
            line: Some(line),
            column: Some(column),
            ..Self::of_file(&source.file, message)
        }
    }

    /// Cedar's own report, at its first label, or at `fallback` where it has none.
    pub(crate) fn of_report(source: &Source, fallback: usize, report: DetailedError) -> Self {
        let label = report.source_locations.into_iter().next();
        let offset = label.as_ref().map_or(fallback, |label| label.loc.start);
        let mut message = report.message;
        if let Some(text) = label.and_then(|label| label.label) {
            message.push_str(": ");
            message.push_str(&text);
        }
        Self::at(source, offset, message).help(report.help)
    }

    pub(crate) fn help(self, help: impl Into<Option<String>>) -> Self {
        Self {
            help: help.into().map(|help: String| plain(&help)),
            ..self
        }
    }
}

/// A text as it can be shown: Cedar quotes the source, and what stands there could move the cursor of a terminal.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() && c != '\n' => plain.extend(c.escape_default()),
            c => plain.push(c),
        }
    }
    plain
}

/// Line and column, both from 1, of a byte offset. An offset outside the text means its end.
pub(crate) fn place(text: &str, offset: usize) -> (u32, u32) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count();
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
    let from_one = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).saturating_add(1);
    (from_one(line), from_one(column))
}
