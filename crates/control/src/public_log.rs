//! The logs as mirrors, auditors and witnesses read them (<https://c2sp.org/tlog-tiles>): the last checkpoint, the hash
//! tiles and the entries that it covers, and nothing behind it.

use std::{io::ErrorKind, sync::Arc};

use model::TenantName;
use signing::{Checkpoints, Published};
use store::Bundle;
use tlog::{bundle::Resource, note::KeyId};
use tokio::sync::watch;

use crate::{Actor, AdminError, Control, Permission};

impl Control {
    /// Whether the logs are for everybody, by `[audit] public_log`.
    pub fn has_public_log(&self) -> bool {
        self.inner.public_log
    }

    /// The published checkpoints, as they move.
    pub fn checkpoints(&self) -> watch::Receiver<Checkpoints> {
        self.inner.checkpoints.clone()
    }

    /// A piece of a tenant's log: who asks may read the audit trail, or is anybody (`None`) where the log is public.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] where there is no such piece, or none that the published checkpoint covers;
    /// [`AdminError::Pruned`] where some of its entries were let go; and when it cannot be read now.
    pub async fn log_piece(
        &self,
        actor: Option<&Actor>,
        tenant: &TenantName,
        piece: Resource,
    ) -> Result<Vec<u8>, AdminError> {
        let published = self.published_to(actor, tenant)?;
        let absent = || AdminError::NotFound {
            what: "such piece of the published log:",
            name: piece.to_string(),
        };
        if !piece.is_covered_by(published.size) {
            return Err(absent());
        }
        let (tiles, size) = (&self.inner.tiles, published.size);
        let found = match piece {
            Resource::Checkpoint => return Ok(published.note.clone().into_bytes()),
            Resource::Tile(tile) => tiles.tile(tenant, tile, size).await?,
            Resource::Entries(bundle) => match tiles.bundle(tenant, bundle, size).await? {
                Some(Bundle::Whole(bytes)) => Some(bytes),
                Some(Bundle::Pruned { gone, .. }) => {
                    let piece = piece.to_string();
                    return Err(AdminError::Pruned { gone, piece });
                }
                None => None,
            },
        };
        found.ok_or_else(absent)
    }

    /// The checkpoint by which whoever knows an older key of a log goes on to the key with this id, for those who may have
    /// the log's other pieces.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] where there is none, or none that the published checkpoint covers; and when it cannot be read.
    pub async fn log_handover(
        &self,
        actor: Option<&Actor>,
        tenant: &TenantName,
        key: &str,
    ) -> Result<Vec<u8>, AdminError> {
        let published = self.published_to(actor, tenant)?;
        let absent = || AdminError::NotFound {
            what: "handover to the key",
            name: key.to_owned(),
        };
        // Only an id names a file.
        let id = key.parse::<KeyId>().map_err(|_| absent())?;
        let path = self.inner.keyring.handover(tenant, id);
        let unreadable =
            |error: &dyn std::error::Error| AdminError::Unavailable(format!("the handover cannot be read: {error}"));
        let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path));
        let note = match read.await.map_err(|error| unreadable(&error))? {
            Ok(note) => note,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(absent()),
            Err(error) => return Err(unreadable(&error)),
        };
        let handover = Published::read(note).ok_or_else(absent)?;
        match handover.size <= published.size {
            true => Ok(handover.note.into_bytes()),
            false => Err(absent()),
        }
    }

    /// What is published of a log, for who may read the audit trail, or for anybody where the log is public.
    fn published_to(&self, actor: Option<&Actor>, tenant: &TenantName) -> Result<Arc<Published>, AdminError> {
        match actor {
            Some(actor) => Self::require(actor, Permission::ReadAudit)?,
            None if self.inner.public_log => {}
            None => return Err(AdminError::Invalid("this log is not public".to_owned())),
        }
        let published = self.inner.checkpoints.borrow().get(tenant).cloned();
        published.ok_or_else(|| AdminError::NotFound {
            what: "published checkpoint of tenant",
            name: tenant.to_string(),
        })
    }
}
