//! Why an entry is refused.

use ledger::{BreakerError, BreakerProblem, LedgerError, RateError};
use model::{AgentName, PepName, TenantName};

use crate::VERSION;

/// Why an entry does not follow from the ones before it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EntryError {
    /// Not an entry.
    #[error("not a readable entry: {0}")]
    Unreadable(String),
    /// Written by another version of the program.
    #[error("the entry has version {0}; this program reads up to version {VERSION}")]
    Version(u32),
    /// It says what its version could not say yet.
    #[error("an entry of kind {kind} has version {version}, but says what only version {since} can say")]
    Early {
        /// The kind.
        kind: &'static str,
        /// Its version.
        version: u32,
        /// The first version that could.
        since: u32,
    },
    /// An older program wrote behind a newer one.
    #[error("the entry has version {found}, behind entries of version {last}")]
    Older {
        /// The version of the entry before it.
        last: u32,
        /// The entry's.
        found: u32,
    },
    /// Above the hard cap.
    #[error("an entry of kind {kind} has {bytes} bytes, at most {max} are allowed", max = crate::MAX_ENTRY_BYTES)]
    TooLong {
        /// The kind.
        kind: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// Another tenant's entry.
    #[error("an entry of tenant {found} in the log of tenant {expected}")]
    Tenant {
        /// Whose log it is.
        expected: TenantName,
        /// Whose entry it is.
        found: TenantName,
    },
    /// A gap or a repetition.
    #[error("expected the entry with index {expected}, found {found}")]
    Index {
        /// What should come.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// Time went backwards.
    #[error("the entry's time {found} lies before {last}, that of the entry before it (microseconds since 1970)")]
    Time {
        /// The time of the entry before.
        last: i64,
        /// The entry's.
        found: i64,
    },
    /// An agent's actions are not dense.
    #[error("expected action {expected} of agent {agent}, found {found}")]
    Sequence {
        /// The agent.
        agent: AgentName,
        /// What should come.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// The questions of an enforcement point are not dense.
    #[error("expected question {expected} of {of}, found {found}", of = asker(.pep.as_ref()))]
    Question {
        /// The enforcement point; `None` for those that need no credential.
        pep: Option<PepName>,
        /// What should come.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// Something else that cannot follow.
    #[error("the entry does not fit what came before: {0}")]
    Mismatch(&'static str),
    /// An entry about something the log never introduced.
    #[error("the entry names {what} {name:?}, which the log has not introduced")]
    Unknown {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The rate limits refuse it.
    #[error(transparent)]
    Rates(#[from] RateError),
    /// The circuit breakers refuse it.
    #[error(transparent)]
    Breakers(#[from] BreakerError),
    /// It declares a circuit breaker that cannot be.
    #[error(transparent)]
    Breaker(#[from] BreakerProblem),
    /// The ledger refuses it.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

fn asker(pep: Option<&PepName>) -> String {
    match pep {
        Some(pep) => format!("enforcement point {pep}"),
        None => "nobody in particular".to_owned(),
    }
}

pub(crate) fn unknown(what: &'static str, name: &dyn ToString) -> EntryError {
    EntryError::Unknown {
        what,
        name: name.to_string(),
    }
}
