//! What a check finds.

use std::fmt;

/// One finding: where, what, and what to do about it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Problem {
    /// Relative to the root of the project.
    pub path: String,
    /// Counted from 1.
    pub line: usize,
    pub what: String,
    pub fix: String,
    /// A warning is shown and fails nothing.
    pub warning: bool,
}

impl Problem {
    pub(crate) fn new(path: &str, line: usize, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            what: what.into(),
            fix: fix.into(),
            warning: false,
        }
    }

    /// The same finding as a warning.
    pub(crate) fn into_warning(self) -> Self {
        Self { warning: true, ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.warning { "warning: " } else { "" };
        write!(
            f,
            "{}:{}: {kind}{}\n    fix: {}",
            self.path, self.line, self.what, self.fix
        )
    }
}
