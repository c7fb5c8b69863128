//! What is wrong with the files, and where.
//!
//! A [`Finding`] knows its place in one text but not which text that is; whoever knows the file turns it into a
//! [`Problem`]. Nothing stops at the first one: a person who has made three mistakes is told of three.

use std::fmt;

use serde::Serialize;

/// A place in a text. Both numbers count from 1; columns are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    /// The line.
    pub(crate) line: u32,
    /// The column.
    pub(crate) column: u32,
}

/// Something wrong in a text whose file is not yet known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Where; `None` if it is the text as a whole.
    pub(crate) mark: Option<Mark>,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) help: Option<String>,
}

/// All that is wrong in one text: the error of every section's `TryFrom`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    /// Adds one without advice.
    pub(crate) fn add(&mut self, mark: impl Into<Option<Mark>>, message: impl Into<String>) {
        self.0.push(Finding {
            mark: mark.into(),
            message: message.into(),
            help: None,
        });
    }

    /// Adds one with advice.
    pub(crate) fn add_with_help(
        &mut self,
        mark: impl Into<Option<Mark>>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.0.push(Finding {
            mark: mark.into(),
            message: message.into(),
            help: Some(help.into()),
        });
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes over all of another's.
    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The value of a part, whose findings are taken over if there is none.
    pub(crate) fn absorb<T>(&mut self, part: Result<T, Self>) -> Option<T> {
        part.map_err(|findings| self.extend(findings)).ok()
    }

    /// The value, if it could be made and nothing was found. A value that could not be made because the reader already
    /// reported why gives an empty error.
    pub(crate) fn conclude<T>(self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self),
        }
    }

    /// The findings as problems of a file.
    pub(crate) fn of_file(self, file: &str) -> Problems {
        let problem = |finding: Finding| Problem {
            file: file.to_owned(),
            line: finding.mark.map(|mark| mark.line),
            column: finding.mark.map(|mark| mark.column),
            message: finding.message,
            help: finding.help,
        };
        Problems(self.0.into_iter().map(problem).collect())
    }
}

/// Something wrong, or worth a warning, in a file: the same as what [`control`] finds when it loads what the files say.
/// Shown as `path:line:column: message`, and the help on a line of its own.
pub use control::LoadProblem as Problem;

/// A problem of a file as a whole.
pub(crate) fn of_file(file: impl Into<String>, message: impl Into<String>) -> Problem {
    Problem {
        file: file.into(),
        line: None,
        column: None,
        message: message.into(),
        help: None,
    }
}

/// The same with advice.
pub(crate) fn of_file_with_help(
    file: impl Into<String>,
    message: impl Into<String>,
    help: impl Into<String>,
) -> Problem {
    Problem {
        help: Some(help.into()),
        ..of_file(file, message)
    }
}

/// All that is wrong with the files. As JSON, a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds one.
    pub(crate) fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Takes over all of another's.
    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The value of a part, whose problems are taken over if there is none.
    pub(crate) fn absorb<T>(&mut self, part: Result<T, Self>) -> Option<T> {
        part.map_err(|problems| self.extend(problems)).ok()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// By file and place; those of one place in the order they were found, which is that of the documentation.
    pub(crate) fn sorted(mut self) -> Self {
        fn key(problem: &Problem) -> (&str, Option<u32>, Option<u32>) {
            (&problem.file, problem.line, problem.column)
        }
        self.0.sort_by(|a, b| key(a).cmp(&key(b)));
        self.0.dedup();
        self
    }

    /// The value, if there are no problems.
    pub(crate) fn or_value<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(self.sorted())
        }
    }
}

/// For [`control`], which knows only the list.
impl From<Problems> for Vec<Problem> {
    fn from(problems: Problems) -> Self {
        problems.0
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl FromIterator<Problem> for Problems {
    fn from_iter<I: IntoIterator<Item = Problem>>(problems: I) -> Self {
        Self(problems.into_iter().collect())
    }
}

/// One problem after the other, without a line break at the end.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, problem) in self.0.iter().enumerate() {
            if nth > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
