//! The committed entries of all logs, for those who pass them on: read by the page, checked against the tree, never on the
//! committer's connection.

use std::{collections::BTreeMap, io};

use model::TenantName;
use tlog::{CompactRange, Hash, Stored};
use tokio::sync::watch;

use crate::{Batch, BatchError, Heads, Reader, StoreError, log::Back};

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fed {
    /// Its place in its log.
    pub index: u64,
    /// Its leaf in the tree: the hash of its bytes (RFC 6962, section 2.1).
    pub leaf: Hash,
    /// Its bytes, exactly as they were hashed. Empty if it was let go.
    pub bytes: Vec<u8>,
}

impl Fed {
    /// Whether it was let go, so that nobody can be told what it said.
    pub fn is_gone(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// A reader of the committed entries of all logs.
#[derive(Debug)]
pub struct LogFeed {
    reader: Reader,
    heads: watch::Receiver<Heads>,
}

impl LogFeed {
    /// Of the logs that have these heads.
    pub fn new(reader: Reader, heads: watch::Receiver<Heads>) -> Self {
        Self { reader, heads }
    }

    /// How many entries each log has. What is committed after this call wakes [`LogFeed::grown`].
    pub fn sizes(&mut self) -> BTreeMap<TenantName, u64> {
        let heads = self.heads.borrow_and_update();
        heads.iter().map(|(tenant, head)| (tenant.clone(), head.size)).collect()
    }

    /// Waits until something was committed since the last [`LogFeed::sizes`]. `false` when nothing will be any more.
    pub async fn grown(&mut self) -> bool {
        self.heads.changed().await.is_ok()
    }

    /// The tree of the first `size` entries of a log; `None` if it has fewer.
    ///
    /// # Errors
    /// When the log cannot be read or is damaged.
    pub async fn range_at(&self, tenant: &TenantName, size: u64) -> Result<Option<CompactRange>, StoreError> {
        let Some(mut back) = Back::of(size) else {
            return Ok(Some(CompactRange::new()));
        };
        loop {
            let wanted = back.wanted();
            let Some(batch) = self.batch_of(tenant, wanted).await? else {
                return match wanted + 1 == size {
                    true => Ok(None),
                    false => Err(self.short(tenant, wanted + 1, 0)),
                };
            };
            let taken = back.take(batch).map_err(|source| self.damaged(tenant, source))?;
            if taken.is_some() {
                return Ok(taken);
            }
        }
    }

    /// The entries behind the tree `before` of a log, in order, read until they have `most` bytes: at least those of one
    /// commit, and none beyond a commit. They are checked: the tree with them is the one that was committed.
    ///
    /// # Errors
    /// When the log cannot be read, is damaged, or is not the one that `before` is of.
    pub async fn page(&self, tenant: &TenantName, before: &CompactRange, most: usize) -> Result<Vec<Fed>, StoreError> {
        let batches = self.reader.page_within(tenant, before.size(), most).await?;
        if batches.is_empty() {
            return Err(self.short(tenant, before.size() + 1, before.size()));
        }
        let mut range = before.clone();
        // Hashing a page is a millisecond's work for a processor, which others on this thread must not wait for.
        let checked = tokio::task::spawn_blocking(move || check(&batches, &mut range)).await;
        let checked = checked.map_err(|error| StoreError::Unavailable(sqlx::Error::Io(io::Error::other(error))))?;
        checked.map_err(|source| self.damaged(tenant, source))
    }

    /// The bytes of one entry; `None` if the log is shorter, or it was let go.
    ///
    /// # Errors
    /// When the log cannot be read or is damaged.
    pub async fn entry(&self, tenant: &TenantName, index: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(batch) = self.batch_of(tenant, index).await? else {
            return Ok(None);
        };
        let entries = batch.entries().map_err(|source| self.damaged(tenant, source))?;
        let place = usize::try_from(index.saturating_sub(batch.first_index)).unwrap_or(usize::MAX);
        Ok(entries.get(place).and_then(Stored::bytes).map(<[u8]>::to_vec))
    }

    /// The batch that holds an entry.
    async fn batch_of(&self, tenant: &TenantName, index: u64) -> Result<Option<Batch>, StoreError> {
        let page = self.reader.page_within(tenant, index, 1).await?;
        let batch = page.into_iter().next();
        Ok(batch.filter(|batch| batch.first_index <= index))
    }

    fn short(&self, tenant: &TenantName, known: u64, stored: u64) -> StoreError {
        self.damaged(tenant, BatchError::Older { known, stored })
    }

    /// A running committer then checks all of it.
    fn damaged(&self, tenant: &TenantName, source: BatchError) -> StoreError {
        self.reader.suspect();
        let tenant = tenant.clone();
        StoreError::Corrupt { tenant, source }
    }
}

/// The entries of consecutive batches that are behind a tree, which grows by them.
fn check(batches: &[Batch], range: &mut CompactRange) -> Result<Vec<Fed>, BatchError> {
    let mut fed = Vec::new();
    for batch in batches {
        let known = range.size().saturating_sub(batch.first_index);
        if batch.first_index > range.size() || known >= batch.count {
            return Err(BatchError::Gap {
                expected: range.size(),
                found: batch.first_index,
            });
        }
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        for entry in batch.entries()?.into_iter().skip(known) {
            let leaf = entry.leaf();
            fed.push(Fed {
                index: range.size(),
                leaf,
                bytes: entry.bytes().unwrap_or_default().to_vec(),
            });
            range.append(leaf);
        }
        if range.root() != batch.root {
            return Err(BatchError::Root(range.size().saturating_sub(1)));
        }
    }
    Ok(fed)
}
