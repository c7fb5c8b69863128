//! The four ways in which the store fails.

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
    #[error("the database is not available: {0}")]
    Unavailable(#[from] sqlx::Error),
    /// The database has a schema this program does not know.
    #[error("the database cannot be brought to this program's schema: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// What is stored does not fit together.
    #[error("the log of tenant {tenant} does not fit together: {source}")]
    Corrupt {
        /// Whose log.
        tenant: TenantName,
        /// What does not fit.
        source: BatchError,
    },
    /// A stored name cannot be read.
    #[error("the database holds an unreadable name: {0}")]
    Name(#[from] model::IdError),
}

impl StoreError {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
