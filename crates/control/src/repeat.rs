//! Calls that are sent again under the same idempotency key.
//!
//! What makes sure that none is paid for twice is in the log: an intent carries a hash of the key, and the committer
//! refuses the key to another action. What an edge keeps of replies is a convenience on top.

use std::fmt;

use entry::Why;
use llm::{Call, Target};
use model::{ActionId, Reason};
use policy::Decision;
use store::Replayed;

use crate::{
    Ask, Control, Refusal, Session,
    pipeline::{REMOVED, question},
    record::{ids, told, who},
};

/// An agent's idempotency key as the log knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RepeatKey(String);

impl fmt::Display for RepeatKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Control {
    /// The key that an agent gave, as the log knows it.
    pub fn repeat_key(&self, session: &Session, text: &str) -> RepeatKey {
        let principal = session.principal();
        RepeatKey(self.privacy().repeat(&principal.tenant, &principal.agent, text))
    }

    /// What tells a request from another under the same key.
    pub fn fingerprint(&self, parts: &[&[u8]]) -> String {
        let mut commitment = self.privacy().commitment();
        for part in parts {
            commitment.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            commitment.update(part);
        }
        commitment.finish()
    }

    /// Decides whether a reply may be delivered again to a call, and records that it is. Nothing is held, for nothing is
    /// forwarded.
    pub async fn replay(&self, session: &Session, ask: &Ask, of: ActionId) -> Result<(), Refusal> {
        let target = Target {
            endpoint: ask.endpoint,
            id: ask.target.as_deref(),
        };
        let call = match Call::read(target, ask.content_type.as_deref(), &ask.body) {
            Ok(call) => call,
            Err(error) => {
                let refusal = self.refuse(session, ask, "", Reason::InvalidRequest, error.to_string());
                return Err(refusal.await);
            }
        };
        let attempt = self.first(session, ask, &call).await?;
        let snapshot = self.snapshot();
        let key = snapshot.keys.get(&session.verifier).unwrap_or(&session.key);
        if let Err((reason, message)) = key.usable(self.now_of(&key.principal.tenant)) {
            return Err(self.refuse_attempt(session, &attempt, reason, message.to_owned()).await);
        }
        let Some(tenant) = snapshot.tenants.get(&key.principal.tenant) else {
            let refusal = self.refuse_attempt(session, &attempt, Reason::UnknownAgent, REMOVED.to_owned());
            return Err(refusal.await);
        };
        let quote = match self.quote(&snapshot, tenant, key, &attempt, &attempt.upstream) {
            Ok(quote) => quote,
            Err((reason, message)) => return Err(self.refuse_attempt(session, &attempt, reason, message).await),
        };
        // The codecs and the policies name the same actions; a test compares them.
        let Ok(question) = question(key, &attempt, &quote) else {
            return Err(Refusal::unavailable(ask.id));
        };
        let permit = match tenant.bundle.decide(&question) {
            Decision::Permit(permit) => permit,
            Decision::Deny(denial) => {
                let input = told(&question, tenant.bundle.reads_tools());
                return Err(self.deny(session, &attempt, tenant, denial, input).await);
            }
        };
        let why = Why {
            bundle: tenant.bundle_entry,
            policies: ids(permit.policies()),
        };
        let ask_of = who(&key.principal, &attempt);
        let recorded = self.committer().replay(Replayed { ask: ask_of, why, of }).await;
        recorded.map(drop).map_err(|_| Refusal::unavailable(ask.id))
    }

    /// Records that a key was used for another request, and tells so.
    pub async fn refuse_other_request(&self, session: &Session, ask: &Ask) -> Refusal {
        let message = "This Idempotency-Key was used for another request; nothing was forwarded. A key names one request: \
                       send another key with this one.";
        self.refuse(session, ask, "", Reason::IdempotencyKeyReused, message.to_owned())
            .await
    }
}
