//! What the log keeps of a call.

use std::collections::BTreeMap;

use entry::{Decided, DecidedCall, DecidedItem, Decision, Input, Party, Value};
use policy::{Outcome, Properties, Query, Recorded, Verdict};
use serde_json::Value as Json;

use super::Grounds;
use crate::Control;

/// The code of an item of a batch that lacks something.
pub(crate) const INCOMPLETE: &str = "incomplete";

impl Control {
    /// The entry of a call, without its items.
    pub(super) fn decided(&self, grounds: &Grounds, call: DecidedCall) -> Decided {
        let (key, certificate) = grounds.session.by();
        Decided {
            id: self.new_action(),
            pep: grounds.session.pep().map(|pep| pep.name.clone()),
            key,
            certificate,
            // Counted where it is written.
            seq: 0,
            call,
            bundle: grounds.tenant.bundle_entry,
            entities: grounds.tenant.entities,
            items: Vec::new(),
            found: None,
            condensed: None,
            left_out: None,
            at: None,
        }
    }

    /// A question as the log keeps it: what the schema declares, with pseudonyms in place of people.
    pub(super) fn recorded(&self, grounds: &Grounds, query: &Query<'_>) -> Recorded {
        let pseudonym = |text: &str| self.privacy().veil(&grounds.name, text);
        grounds.bundle().recorded(query, &pseudonym)
    }

    pub(super) fn item(&self, grounds: &Grounds, query: &Query<'_>, verdict: &Verdict) -> DecidedItem {
        let recorded = self.recorded(grounds, query);
        DecidedItem {
            outcome: match verdict.outcome {
                Outcome::Permit => Decision::Permit,
                Outcome::Deny => Decision::Deny,
                Outcome::ApprovalRequired => Decision::ApprovalRequired,
            },
            code: verdict.code.as_str().to_owned(),
            policies: verdict.policies.iter().map(ToString::to_string).collect(),
            ..asked(recorded)
        }
    }
}

/// The question, not yet answered.
pub(crate) fn asked(recorded: Recorded) -> DecidedItem {
    let party = |kind: String, id: String| Some(Party { kind, id: Some(id) });
    DecidedItem {
        subject: party(recorded.subject_kind, recorded.subject_id),
        action: Some(recorded.action),
        resource: party(recorded.resource_kind, recorded.resource_id),
        input: Some(Input {
            subject: values(recorded.subject_properties),
            action: values(recorded.action_properties),
            resource: values(recorded.resource_properties),
            context: values(recorded.context),
            approved: recorded.approved,
        }),
        digest: None,
        outcome: Decision::Deny,
        code: String::new(),
        policies: Vec::new(),
    }
}

/// An item of a batch that lacks something: there is no question to keep.
pub(super) fn incomplete() -> DecidedItem {
    DecidedItem {
        subject: None,
        action: None,
        resource: None,
        input: None,
        digest: None,
        outcome: Decision::Deny,
        code: INCOMPLETE.to_owned(),
        policies: Vec::new(),
    }
}

fn values(properties: Properties) -> BTreeMap<String, Value> {
    let values = properties.into_iter();
    values.filter_map(|(name, json)| Some((name, value(json)?))).collect()
}

/// As the log writes values. A number that is not whole, or too large, is the text of it: where the schema wants one, it
/// reads both alike.
fn value(json: Json) -> Option<Value> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(value) => Value::Bool(value),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Value::Integer(number),
            None => Value::Text(number.to_string()),
        },
        Json::String(text) => Value::Text(text),
        Json::Array(items) => Value::List(items.into_iter().filter_map(value).collect()),
        Json::Object(members) => Value::Record(values(members)),
    })
}
