//! What the log keeps of a call.

use entry::{Decided, DecidedCall, DecidedItem, Decision, LeftOut, MAX_ENTRY_BYTES};
use policy::{Outcome, Properties, Query, Recorded, Verdict};
use serde_json::Value as Json;

use super::Grounds;
use crate::Control;

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

    /// An item with its answer. Of a question that says more than there is room for, the names alone are kept, and the entry
    /// says so.
    pub(super) fn item(&self, grounds: &Grounds, query: &Query<'_>, verdict: &Verdict, room: &mut Room) -> DecidedItem {
        let fits = room.takes(query);
        let recorded = match fits {
            true => self.recorded(grounds, query),
            false => self.recorded(grounds, &bare(query)),
        };
        let asked = replay::recorded(recorded);
        DecidedItem {
            outcome: match verdict.outcome {
                Outcome::Permit => Decision::Permit,
                Outcome::Deny => Decision::Deny,
                Outcome::ApprovalRequired => Decision::ApprovalRequired,
            },
            code: verdict.code.as_str().to_owned(),
            policies: verdict.policies.iter().map(ToString::to_string).collect(),
            input: asked.input.filter(|_| fits),
            ..asked
        }
    }
}

/// How much more of what a call says is taken towards its entry, in bytes. An entry has 16 KiB, and what to leave out of a
/// little too much is the entry's to choose; more is never copied. Otherwise a batch of many items that share one large
/// context would be copied for each of them, and the committer, which everybody waits for, would have to shorten it.
pub(super) struct Room {
    left: usize,
    left_out: u64,
}

impl Room {
    pub(super) fn new() -> Self {
        Self {
            left: 4 * MAX_ENTRY_BYTES,
            left_out: 0,
        }
    }

    fn takes(&mut self, query: &Query<'_>) -> bool {
        let given = [
            query.subject.properties,
            query.action_properties,
            query.resource.properties,
            query.context,
        ];
        let mut left = self.left;
        let fits = given.into_iter().flatten().all(|given| takes_members(given, &mut left));
        match fits {
            true => self.left = left,
            false => self.left_out = self.left_out.saturating_add(1),
        }
        fits
    }

    /// What the entry says of it.
    pub(super) fn left_out(&self) -> Option<LeftOut> {
        (self.left_out > 0).then(|| LeftOut {
            inputs: self.left_out,
            ..LeftOut::default()
        })
    }
}

/// Takes about as many bytes as the members have in JSON, and stops where there are no more.
fn takes_members(members: &Properties, left: &mut usize) -> bool {
    let mut members = members.iter();
    members.all(|(name, value)| takes_bytes(name.len() + 4, left) && takes_value(value, left))
}

fn takes_value(value: &Json, left: &mut usize) -> bool {
    match value {
        Json::Null | Json::Bool(_) | Json::Number(_) => takes_bytes(8, left),
        Json::String(text) => takes_bytes(text.len() + 3, left),
        Json::Array(items) => takes_bytes(2, left) && items.iter().all(|item| takes_value(item, left)),
        Json::Object(members) => takes_bytes(2, left) && takes_members(members, left),
    }
}

fn takes_bytes(bytes: usize, left: &mut usize) -> bool {
    let rest = left.checked_sub(bytes);
    *left = rest.unwrap_or_default();
    rest.is_some()
}

/// The question without what is said besides its names.
fn bare<'a>(query: &Query<'a>) -> Query<'a> {
    let mut query = *query;
    query.subject.properties = None;
    query.resource.properties = None;
    query.action_properties = None;
    query.context = None;
    query
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
        code: replay::INCOMPLETE.to_owned(),
        policies: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use policy::Party;
    use serde_json::json;

    use super::*;

    fn takes(room: &mut Room, context: &Json) -> bool {
        let party = |id| Party {
            kind: "user",
            id,
            properties: None,
        };
        room.takes(&Query {
            subject: party("a"),
            action: "read",
            action_properties: None,
            resource: party("b"),
            context: context.as_object(),
            approved: false,
        })
    }

    #[test]
    fn a_batch_is_copied_no_further_than_entries_go() {
        let large = json!({"texts": vec!["x".repeat(1_000); 20]});
        let small = json!({"text": "x"});
        let mut room = Room::new();
        let taken: Vec<bool> = (0..6).map(|_| takes(&mut room, &large)).collect();
        assert_eq!(taken, [true, true, true, false, false, false]);
        // What is small goes in beside it.
        assert!(takes(&mut room, &small));
        assert_eq!(room.left_out().map(|left_out| left_out.inputs), Some(3));
        let mut room = Room::new();
        let many: Vec<Json> = (0..10_000).map(Json::from).collect();
        for (context, fits) in [
            (json!({"text": "x".repeat(4 * MAX_ENTRY_BYTES)}), false),
            (json!({"numbers": many}), false),
            (
                json!({"deep": {"deep": [{"text": "x".repeat(4 * MAX_ENTRY_BYTES)}]}}),
                false,
            ),
            (small, true),
        ] {
            assert_eq!(takes(&mut room, &context), fits);
        }
    }

    #[test]
    fn what_fits_leaves_nothing_out() {
        let mut room = Room::new();
        assert!(takes(&mut room, &json!({})) && takes(&mut room, &json!(null)));
        assert_eq!(room.left_out(), None);
    }
}
