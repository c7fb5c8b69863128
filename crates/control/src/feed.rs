//! What those are given who pass the log on: its committed entries, its names, and a place to keep how far they are.

use std::{path::Path, sync::Arc};

use model::{SinkName, TenantName, Timestamp};
use store::{LogFeed, StoreError};

use crate::{Control, start::Inner};

/// A reader of the committed entries of all logs.
pub struct Feed {
    inner: Arc<Inner>,
    /// The entries.
    pub log: LogFeed,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}

impl Control {
    /// A reader of the committed entries of all logs.
    pub fn feed(&self) -> Feed {
        let log = LogFeed::new(self.reader().clone(), self.committer().heads());
        let inner = self.inner.clone();
        Feed { inner, log }
    }
}

impl Feed {
    /// The name of a tenant's log: the origin of its checkpoints.
    pub fn origin(&self, tenant: &TenantName) -> String {
        format!("{}/{tenant}", self.inner.trust_domain)
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        self.inner.dir.path()
    }

    /// How many bytes of the data directory's disk are kept for the log.
    pub fn reserve(&self) -> u64 {
        self.inner.reserve
    }

    /// What a sink keeps between starts of the server; `None` if it kept nothing yet.
    ///
    /// # Errors
    /// When there is a file that cannot be read.
    pub fn kept(&self, sink: &SinkName) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.data_dir().join(cursor_file(sink));
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::File { path, source }),
        }
    }

    /// Keeps it: durable when this returns, and the old or the new is there whatever happens.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn keep(&self, sink: &SinkName, bytes: Vec<u8>) -> Result<(), StoreError> {
        let (inner, name) = (self.inner.clone(), cursor_file(sink));
        let path = self.data_dir().join(&name);
        let written = tokio::task::spawn_blocking(move || inner.dir.replace(&name, &bytes)).await;
        written.unwrap_or_else(|error| {
            let source = std::io::Error::other(error);
            Err(StoreError::File { path, source })
        })
    }
}

/// Below the data directory.
fn cursor_file(sink: &SinkName) -> String {
    format!("sinks/{sink}.cursor")
}
