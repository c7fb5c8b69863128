//! Who calls.

use std::sync::Arc;

use model::{Principal, Reason};

use crate::{Control, Refusal, snapshot::Key};

/// An authenticated caller. Made by [`Control::authenticate`] only.
#[derive(Clone, Debug)]
pub struct Session {
    pub(crate) verifier: model::Digest,
    pub(crate) key: Arc<Key>,
}

impl Session {
    /// Who it is.
    pub fn principal(&self) -> &Principal {
        &self.key.principal
    }
}

/// A caller that may not act: who it is, where its credential says so, and what it is told.
#[derive(Debug)]
pub struct Unauthenticated {
    /// The holder of a credential that was revoked or has expired.
    pub known: Option<Session>,
    /// Why.
    pub refusal: Refusal,
}

impl Control {
    /// Who presents this credential.
    pub fn authenticate(&self, credential: Option<&str>) -> Result<Session, Unauthenticated> {
        let anonymous = |reason, message| Unauthenticated {
            known: None,
            refusal: Refusal::anonymous(reason, message),
        };
        let Some(text) = credential else {
            let message = "No credential was sent. Send a Bailiwick credential as `Authorization: Bearer bwk_...` or as \
                           `x-api-key`.";
            return Err(anonymous(Reason::MissingCredential, message));
        };
        let Some(verifier) = crate::credential::recognise(crate::AGENT_PREFIX, text) else {
            if crate::credential::recognise(crate::PEP_PREFIX, text).is_some() {
                let message = "This is a credential of an enforcement point: it asks the decision point, and calls no \
                               model. An administrator issues one for an agent with `bailiwick key issue AGENT`.";
                return Err(anonymous(Reason::InvalidCredential, message));
            }
            let message = "This is not a Bailiwick credential, or it is misspelt: one starts with `bwk_`. An \
                           administrator issues one with `bailiwick key issue AGENT`.";
            return Err(anonymous(Reason::InvalidCredential, message));
        };
        let snapshot = self.snapshot();
        let Some(key) = snapshot.keys.get(&verifier) else {
            let message =
                "This credential is not known here. An administrator issues one with `bailiwick key issue AGENT`.";
            return Err(anonymous(Reason::InvalidCredential, message));
        };
        let session = Session {
            verifier,
            key: key.clone(),
        };
        match key.usable(self.now_of(&key.principal.tenant)) {
            Ok(()) => Ok(session),
            Err((reason, message)) => Err(Unauthenticated {
                known: Some(session),
                refusal: Refusal::anonymous(reason, message),
            }),
        }
    }
}
