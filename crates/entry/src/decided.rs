//! What enforcement points asked, and what they were answered.

use std::collections::BTreeMap;

use model::{ActionId, Digest, KeyId, PepName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{EntryError, Value};

mod fit;

/// Which operation of the AuthZEN Authorization API 1.0 was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecidedCall {
    /// One question.
    Evaluation,
    /// Several questions at once.
    Evaluations,
    /// Who may.
    SearchSubject,
    /// With what.
    SearchResource,
    /// What may be done.
    SearchAction,
}

impl DecidedCall {
    /// Whether it asks for names, not for a yes or no.
    pub fn is_search(self) -> bool {
        matches!(self, Self::SearchSubject | Self::SearchResource | Self::SearchAction)
    }
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It may happen. Of a search: something was found.
    Permit,
    /// It must not happen. Of a search: nothing was found.
    Deny,
    /// It must not happen unless somebody approves.
    ApprovalRequired,
}

/// One call of an enforcement point, answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decided {
    /// The call's id.
    pub id: ActionId,
    /// Who asked; left out where the development switch lets anybody ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pep: Option<PepName>,
    /// The credential that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
    /// SHA-256 of the certificate that was used in place of a credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Digest>,
    /// The enforcement point's how many-th call, from 1, without gaps. Calls of nobody in particular are counted together.
    pub seq: u64,
    /// What was called.
    pub call: DecidedCall,
    /// The entry that put the policy bundle in effect.
    pub bundle: u64,
    /// The version of the stored entities.
    pub entities: u64,
    /// The questions and their answers, in order: one, where not several were asked at once. Questions that were not looked
    /// at, because an earlier answer made them needless, are not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<DecidedItem>,
    /// What a search found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<Found>,
    /// In place of the items, where even their answers are too many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condensed: Option<Condensed>,
    /// What is missing because an entry has so many bytes at most. Set by [`crate::Entry::fit`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<LeftOut>,
    /// The log's time as of which it was answered, where it could not be recorded then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// A question and its answer. Ids that name people are pseudonyms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecidedItem {
    /// Who; left out where the question did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Party>,
    /// What it would do; left out where that is searched for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// With what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Party>,
    /// What else it said, as far as the schema knows it; left out only where it is not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Input>,
    /// In place of all above and of the policies, where they are too long: SHA-256 of this item as it would have been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The answer.
    pub outcome: Decision,
    /// Why, as a stable code.
    pub code: String,
    /// The ids of the policies that decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
}

/// A subject or a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// Its type, as it was asked for.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id; left out where that is searched for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// What a question said besides names, as policies saw it: with the names, the bundle and the entities, all that is needed
/// to decide again. Values that are personal are pseudonyms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The subject's properties.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub subject: BTreeMap<String, Value>,
    /// The action's properties.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub action: BTreeMap<String, Value>,
    /// The resource's properties.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resource: BTreeMap<String, Value>,
    /// The context.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub context: BTreeMap<String, Value>,
    /// Whether somebody had approved exactly this.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approved: bool,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// How many there are as far as was looked: in all, or up to the end of this page.
    pub total: u64,
    /// How many of them were on pages before this one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub before: u64,
    /// The ids, or names of actions, that were answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// In place of the names, where they are too long: SHA-256 of their JSON array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// Items of which only the numbers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condensed {
    /// How many may happen.
    pub permitted: u64,
    /// How many must not.
    pub denied: u64,
    /// How many must not unless somebody approves.
    pub approval_required: u64,
    /// SHA-256 of the JSON array of the items as they would have been.
    pub digest: Digest,
}

/// What is missing in an entry because of its length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Of how many items what else they said.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub inputs: u64,
    /// Of how many items the names too: they have a digest.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub names: u64,
    /// Of how many things that were found the names: there is a digest.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub found: u64,
    /// How many items: they are condensed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub items: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Decided {
    /// Checks that it has the parts that such a call has.
    pub(crate) fn check_shape(&self) -> Result<(), EntryError> {
        let one = self.items.len() == 1 && self.condensed.is_none();
        let fits = match self.call {
            DecidedCall::Evaluation => one && self.found.is_none(),
            DecidedCall::Evaluations => self.condensed.is_none_or(|_| self.items.is_empty()) && self.found.is_none(),
            _ => one && self.found.is_some(),
        };
        if fits {
            return Ok(());
        }
        Err(EntryError::Mismatch("such a call has no such items"))
    }
}
