//! Why a server does not start.

use std::path::PathBuf;

use signing::SigningError;
use store::StoreError;

use crate::{AdminError, LoadProblem};

/// Why a start fails.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The declarations.
    #[error("the declarations have {} problems", .0.len())]
    Problems(Vec<LoadProblem>),
    /// What was declared could not be recorded.
    #[error("what is declared cannot take effect: {0}")]
    Load(#[from] AdminError),
    /// What is stored is not what was signed, or cannot be signed.
    #[error(transparent)]
    Signing(SigningError),
    /// A key file is damaged.
    #[error("{} holds no usable key: restore it from a backup", .0.display())]
    Key(PathBuf),
}

impl From<SigningError> for StartError {
    fn from(error: SigningError) -> Self {
        match error {
            SigningError::Store(error) => Self::Store(error),
            error => Self::Signing(error),
        }
    }
}
