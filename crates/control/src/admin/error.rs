//! Why something is not done for an administrator.

use model::{ActionId, TenantName};
use store::{ChangeError, StoreError};

use crate::{Actor, LoadProblem};

/// Why a use case was not carried out: text for the administrator, nothing internal.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No credential, or none of ours.
    #[error(
        "an administrator's credential is needed: one starts with `bwa_`; the first owner's is in the file owner.credential of the data directory"
    )]
    Unauthenticated,
    /// The role does not allow it.
    #[error("the role {role} of administrator {name} does not allow this", role = .0.role.as_str(), name = .0.name)]
    Forbidden(Actor),
    /// There is no such thing.
    #[error("there is no {what} {name:?}")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// There was such an entry.
    #[error(
        "entry {index} was let go because its time was over{}; the log keeps its leaf hash, {leaf}",
        .last.map(|last| format!(", as entry {last} or one before it says")).unwrap_or_default()
    )]
    LetGo {
        /// Its place.
        index: u64,
        /// What the tree has of it, in hexadecimal digits.
        leaf: String,
        /// The last entry that says that entries are let go.
        last: Option<u64>,
    },
    /// There was such an action.
    #[error("all {gone} entries of action {action} were let go because their time was over")]
    AllLetGo {
        /// Which.
        action: ActionId,
        /// How many entries.
        gone: usize,
    },
    /// Entries of a piece of the published log were let go, so that it is not given out any more.
    #[error(
        "{gone} entries of {piece} were let go because their time was over, so it is not given out any more; its hashes are"
    )]
    Pruned {
        /// How many.
        gone: usize,
        /// The piece.
        piece: String,
    },
    /// There is no budget of this name.
    #[error(
        "there is no budget {name:?} in tenant {tenant}; {}",
        .nearest.as_ref().map_or_else(|| "`bailiwick budget list` shows those there are".to_owned(), |nearest| format!("did you mean {nearest:?}?"))
    )]
    NoBudget {
        /// In whose log.
        tenant: TenantName,
        /// The name.
        name: String,
        /// One that it may be a misspelling of.
        nearest: Option<String>,
    },
    /// No attempt of this action waits for an administrator.
    #[error(
        "nothing of action {0} waits for an administrator: it was answered, went on by itself, or its caller has left; `bailiwick approval list` shows what does"
    )]
    NotWaiting(ActionId),
    /// No overrun of this model is to be accepted.
    #[error("there is no overrun of {name} to accept in tenant {tenant}; {}", to_accept(.known))]
    NoOverrun {
        /// In whose log.
        tenant: TenantName,
        /// The upstream and the model.
        name: String,
        /// The ones that are.
        known: Vec<String>,
    },
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// It contradicts what is there.
    #[error("{0}")]
    Conflict(String),
    /// What is there is not what was expected.
    #[error("{0}")]
    Precondition(String),
    /// The declarations do not load; what was in effect stays.
    #[error("this does not load; what was in effect stays")]
    Problems(Vec<LoadProblem>),
    /// Nothing can be recorded or read now.
    #[error("{0}")]
    Unavailable(String),
}

/// The models whose overruns are to be accepted, some of them if there are many.
fn to_accept(known: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<_> = known.iter().take(SHOWN).map(String::as_str).collect();
    match known.len() {
        0 => "there is none at all".to_owned(),
        count if count > SHOWN => format!(
            "there are ones of {} and others (`bailiwick overrun list`)",
            shown.join(", ")
        ),
        _ => format!("there is one of {}", shown.join(", ")),
    }
}

impl From<ChangeError> for AdminError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Refused(why) => Self::Conflict(why),
            ChangeError::Unavailable(why) => Self::Unavailable(why.to_string()),
        }
    }
}

impl From<store::Unavailable> for AdminError {
    fn from(error: store::Unavailable) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
