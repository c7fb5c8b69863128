//! How a command fails: what to say, and the exit code.

use std::{io, process::ExitCode};

use config::Problems;

use super::{output::BAD, table::clean_lines};

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Refused, or failed: exit code 1. The text says what would mend it.
    Failed(String),
    /// It was asked for in a way that makes no sense: exit code 2.
    Usage(String),
    /// Refused because of several things at once: exit code 1.
    Refused(Problems),
    /// The configuration is wrong: exit code 64.
    Config(Problems),
    /// All was said already: exit code 1.
    Said,
    /// The configuration is wrong, as was said already: exit code 64.
    SaidConfig,
}

impl Failure {
    /// Refused, or failed.
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }

    /// Says it on standard error, and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        let (texts, code) = match self {
            Self::Failed(text) => (vec![text], 1),
            Self::Usage(text) => (vec![text], 2),
            Self::Refused(problems) => (problems.iter().map(ToString::to_string).collect(), 1),
            Self::Config(problems) => (problems.iter().map(ToString::to_string).collect(), 64),
            Self::Said => (Vec::new(), 1),
            Self::SaidConfig => (Vec::new(), 64),
        };
        for text in texts {
            anstream::eprintln!("{BAD}error:{BAD:#} {}", clean_lines(&text));
        }
        ExitCode::from(code)
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Config(problems)
    }
}

/// Standard output could not be written.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Whoever read our output has enough of it, and knows.
            io::ErrorKind::BrokenPipe => Self::Said,
            _ => Self::Failed(format!("standard output cannot be written: {error}")),
        }
    }
}
