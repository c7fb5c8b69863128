//! The ways in which the store fails.

use std::path::PathBuf;

use model::TenantName;

use crate::log::BatchError;

/// Why the store cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the data directory.
    #[error(
        "{} is in use by another process{}. One server at a time may use a data directory: stop the other one, or set another data_dir",
        .dir.display(), .owner.as_deref().map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// The other process, if it wrote its id.
        owner: Option<String>,
    },
    /// A file or directory cannot be used.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database cannot answer now.
    #[error("the database is not available: {error}{advice}", error = .0, advice = advice(.0))]
    Unavailable(#[from] sqlx::Error),
    /// The database did not take the entries of a start. Nothing was answered yet, and nothing is lost.
    #[error(
        "the start could not be recorded: {error}{advice}. Nothing is lost: see to that, then try again to start the server",
        error = .0, advice = advice(.0)
    )]
    NotStarted(sqlx::Error),
    /// The spool cannot be used: what it holds is missing in the log.
    #[error(
        "the spool {}: {why}. It may hold calls that the log does not have: nothing is let through until it can be read. \
         Keep a copy; put the right file back, or, if its calls are known to be lost, move it away", .path.display()
    )]
    Spool {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The spool's disk does not answer.
    #[error("the disk of the spool ([audit] spool) does not answer; work resumes by itself when it does")]
    SpoolSlow,
    /// What is read for cost reports cannot be read on.
    #[error("the projection cannot go on: {0}")]
    Projection(String),
    /// The tiles cannot be read or written.
    #[error("the tiles of the log: {0}")]
    Tiles(String),
    /// Something cannot be an entry.
    #[error("this cannot be recorded: {0}")]
    Entry(#[from] entry::EntryError),
    /// A write failed or does not end, and what was asked now was not tried.
    #[error("nothing can be recorded now; /readyz says why")]
    Down,
    /// An entry owes another one, and that is refused. A log that has the first without the second can never go on, so
    /// neither was written.
    #[error(
        "what follows from an entry of tenant {tenant} cannot be recorded, so nothing of its batch was: {why}. \
         It is tried again without that entry; nothing is lost"
    )]
    Unpaid {
        /// Whose log.
        tenant: TenantName,
        /// What was refused, and why.
        why: String,
    },
    /// The database has a schema this program does not know.
    #[error("the database cannot be brought to this program's schema: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// What is stored does not fit together.
    #[error("the log of tenant {tenant} does not fit together: {source}{DAMAGED}")]
    Corrupt {
        /// Whose log.
        tenant: TenantName,
        /// What does not fit.
        source: BatchError,
    },
    /// The stored entities and the log are not of one database.
    #[error(
        "the stored entities of tenant {tenant} are of version {rows}, and the log says {log}: they were not written \
         together{DAMAGED}"
    )]
    Entities {
        /// Whose.
        tenant: TenantName,
        /// The version by the log.
        log: u64,
        /// The version of what is stored.
        rows: u64,
    },
    /// A stored name cannot be read.
    #[error("the database holds an unreadable name: {0}")]
    Name(#[from] model::IdError),
}

/// What to do about stored data that is not what was written.
const DAMAGED: &str = ". What is stored is damaged: nothing is let through. Stop the server, keep a copy of the data \
                       directory, and restore it from a backup; `bailiwick audit verify` shows whether it is whole";

/// What to do about it, by SQLite's primary result code (<https://sqlite.org/rescode.html>).
fn advice(error: &sqlx::Error) -> &'static str {
    match code(error) {
        Some(5 | 6) => ". Another process holds it (a backup, a shell): work resumes by itself when it lets go",
        Some(8) => {
            ". The file or its file system cannot be written to: make it writable for the server's user, or mount it \
             read-write; work resumes by itself"
        }
        Some(10) => {
            ". The disk refused to read or write: look at the kernel's log; work resumes by itself when it works again"
        }
        Some(11 | 26) => DAMAGED,
        Some(13) => ". The disk or a quota is used up: make room; work resumes by itself",
        Some(14) => ". The file cannot be opened: look at its permissions and those of its directory",
        _ => "",
    }
}

/// SQLite's primary result code.
fn code(error: &sqlx::Error) -> Option<u32> {
    let extended: u32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

impl StoreError {
    /// Whether the error says that what is stored is not what was written.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Unavailable(error) => matches!(code(error), Some(11 | 26)),
            Self::Corrupt { .. } | Self::Entities { .. } | Self::Name(_) => true,
            _ => false,
        }
    }

    /// What a failed write at a start means.
    pub(crate) fn not_started(error: sqlx::Error) -> Self {
        match code(&error) {
            Some(11 | 26) => Self::Unavailable(error),
            _ => Self::NotStarted(error),
        }
    }

    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
