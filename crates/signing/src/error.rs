//! Why nothing is signed.

use std::path::PathBuf;

use model::TenantName;
use store::StoreError;
use tlog::Hash;

/// Why a log cannot be signed, or what is stored is not what was signed.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database is not the one that was signed.
    #[error("the log of tenant {tenant} is refused: {why}")]
    Guard {
        /// Whose log.
        tenant: TenantName,
        /// Why.
        why: String,
    },
    /// A key file is damaged.
    #[error("{} holds no usable key: restore it from a backup", .0.display())]
    Key(PathBuf),
    /// The file of a key is gone by which the log says that it is signed.
    #[error(
        "the log of tenant {tenant} is signed by the key {key}, whose file is not in keys/ of the data directory: restore it \
         from a backup"
    )]
    LostSigningKey {
        /// Whose log.
        tenant: TenantName,
        /// The public key.
        key: String,
    },
    /// A key file is gone although there is a log that was made with it.
    #[error("{} is gone, and the log was made with it: restore it from a backup", .0.display())]
    LostKey(PathBuf),
    /// What is stored is not what was written, or not what was signed before.
    #[error(
        "the first {size} entries that are stored have the root {stored}, and {known} was acknowledged: what is stored was \
         changed. No checkpoint says otherwise than those before it: keep a copy of the data directory, and see what \
         `bailiwick audit verify` says of it"
    )]
    Differs {
        /// How many entries.
        size: u64,
        /// The root over what is stored.
        stored: Hash,
        /// The root that was acknowledged or signed.
        known: Hash,
    },
    /// The witnesses make no quorum.
    #[error("the witnesses: {0}")]
    Witnesses(String),
    /// A head cannot be signed.
    #[error("the head cannot be signed: {0}")]
    Sign(String),
}

impl SigningError {
    /// Whether the error is evidence that stored data was damaged or changed.
    pub(crate) fn is_evidence(&self) -> bool {
        matches!(
            self,
            Self::Differs { .. } | Self::Guard { .. } | Self::Store(StoreError::Corrupt { .. })
        )
    }
}
