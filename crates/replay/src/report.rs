//! What administrators read of a replay.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use model::{Timestamp, rfc3339};
use serde::{Deserialize, Serialize};

use crate::{
    ReplayOrder,
    ask::{Side, Spot},
    tally::{Group, Tally},
};

/// How many policies that decided nothing are named.
const UNUSED_TOLD: usize = 1_000;

/// What other policies would have decided in a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayReport {
    /// Whose log.
    pub tenant: String,
    /// The begin of the period.
    pub since: String,
    /// Its end.
    pub until: String,
    /// What is compared with.
    pub base: ReplaySet,
    /// What is proposed.
    pub candidate: ReplaySet,
    /// Decisions that were asked again.
    pub replayed: u64,
    /// Those that the two sets answer differently.
    pub changed: u64,
    /// Of those, the ones that would be denied.
    pub newly_denied: u64,
    /// Of those, the ones that would be permitted.
    pub newly_permitted: u64,
    /// Of those, the ones that would need an approval.
    pub newly_approval_required: u64,
    /// Answered alike, but by other policies.
    pub by_other_policies: u64,
    /// Calls through the gateway that were let through and would be refused.
    pub denied_calls: u64,
    /// What those cost, as far as they have ended, US dollars.
    pub denied_cost_usd: String,
    /// How many of those have not ended.
    pub denied_calls_open: u64,
    /// The changes, those of the most decisions first.
    pub changes: Vec<ReplayChange>,
    /// Changed decisions that are not among them, for there are too many kinds.
    pub changes_left_out: u64,
    /// By day (UTC), each in which there were decisions.
    pub days: Vec<ReplayDay>,
    /// Decisions of days that are not told one by one, for there are too many.
    pub days_left_out: u64,
    /// Decisions that could not be asked again, by reason.
    pub not_replayed: Vec<NotReplayed>,
    /// Questions of enforcement points asked while other schemas than the candidate's were in effect: what those did not
    /// declare was not recorded, so the candidate does not see it.
    pub under_other_schemas: u64,
    /// Decisions that the base does not answer as they were answered.
    pub unlike_recorded: Unlike,
}

/// One of the two sets of policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplaySet {
    /// SHA-256 of its files and the schema.
    pub bundle: String,
    /// The entry that put it in effect, if it is what is in effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// How many policies it has.
    pub policies: usize,
    /// How many of them decided nothing in the period.
    pub unused: usize,
    /// Their ids; the first 1,000.
    pub unused_policies: Vec<String>,
    /// Policies that look into personal texts, which the log does not have: what is said of them for questions of
    /// enforcement points may be wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub looking_into_personal: Vec<String>,
}

/// Decisions of one kind that change in one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayChange {
    /// The agent, or the subject's type.
    pub subject: String,
    /// The action.
    pub action: String,
    /// The model, or the resource's type.
    pub resource: String,
    /// What the base answers.
    pub before: ReplayAnswer,
    /// What the candidate answers.
    pub after: ReplayAnswer,
    /// How many.
    pub decisions: u64,
    /// The first.
    pub first: String,
    /// The last.
    pub last: String,
    /// What the calls cost that would be refused, US dollars.
    pub cost_usd: String,
    /// Some of them.
    pub examples: Vec<ReplayExample>,
}

/// What is answered, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayAnswer {
    /// `permit`, `deny` or `approval_required`.
    pub outcome: String,
    /// The codes.
    pub codes: Vec<String>,
    /// The policies that decide; the first 32.
    pub policies: Vec<String>,
}

/// A decision of the log. People are pseudonyms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayExample {
    /// Its entry.
    pub entry: u64,
    /// Which of the questions of that call, from 0.
    pub item: usize,
    /// When.
    pub at: String,
    /// The enforcement point that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pep: Option<String>,
    /// The subject's id.
    pub subject: String,
    /// The resource's id.
    pub resource: String,
}

/// One day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayDay {
    /// Which (UTC), such as `2026-11-23`.
    pub day: String,
    /// Decisions that were asked again.
    pub replayed: u64,
    /// Those that would be denied.
    pub newly_denied: u64,
    /// Those that would be permitted.
    pub newly_permitted: u64,
    /// Those that would need an approval.
    pub newly_approval_required: u64,
    /// What the calls cost that would be refused, US dollars.
    pub denied_cost_usd: String,
}

/// Decisions that could not be asked again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotReplayed {
    /// A stable word for why.
    pub reason: String,
    /// Why, for people.
    pub why: String,
    /// How many.
    pub decisions: u64,
    /// The entry of the first.
    pub first_entry: u64,
}

/// Decisions that the base does not answer as they were answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlike {
    /// How many.
    pub decisions: u64,
    /// How many of them were decided by the same policies and the same version of stored entities as the base: those should
    /// have been answered alike.
    pub by_same_bundle: u64,
    /// Some of them.
    pub examples: Vec<ReplayExample>,
}

pub(crate) fn report(order: &ReplayOrder, sides: [&Side; 2], tally: &Tally, entry: Option<u64>) -> ReplayReport {
    let [base, candidate] = sides;
    let [used_before, used_after] = &tally.used;
    let mut groups: Vec<&Group> = tally.groups.iter().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    let days = tally.days.iter().map(|(day, changes)| ReplayDay {
        day: rfc3339(Timestamp::from_unix_micros(day.saturating_mul(86_400_000_000)))
            .chars()
            .take(10)
            .collect(),
        replayed: changes.replayed,
        newly_denied: changes.denied,
        newly_permitted: changes.permitted,
        newly_approval_required: changes.approval,
        denied_cost_usd: changes.denied_cost.to_string(),
    });
    let missing = tally.missing.iter().map(|(missing, (count, first))| NotReplayed {
        reason: missing.as_str().to_owned(),
        why: missing.told().to_owned(),
        decisions: *count,
        first_entry: *first,
    });
    ReplayReport {
        tenant: order.tenant.to_string(),
        since: rfc3339(order.since),
        until: rfc3339(order.until),
        base: set(base, used_before, entry),
        candidate: set(candidate, used_after, None),
        replayed: tally.all.replayed,
        changed: tally.all.changed(),
        newly_denied: tally.all.denied,
        newly_permitted: tally.all.permitted,
        newly_approval_required: tally.all.approval,
        by_other_policies: tally.by_others,
        denied_calls: tally.denied_calls,
        denied_cost_usd: tally.all.denied_cost.to_string(),
        denied_calls_open: u64::try_from(tally.open()).unwrap_or(u64::MAX),
        changes: groups.into_iter().map(change).collect(),
        changes_left_out: tally.groups_left_out,
        days: days.collect(),
        days_left_out: tally.days_left_out,
        not_replayed: missing.collect(),
        under_other_schemas: tally.other_schema,
        unlike_recorded: Unlike {
            decisions: tally.unlike,
            by_same_bundle: tally.unlike_same,
            examples: tally.unlike_examples.iter().map(example).collect(),
        },
    }
}

fn set(side: &Side, used: &HashSet<Arc<str>>, entry: Option<u64>) -> ReplaySet {
    let ids = side.bundle.policy_ids();
    let unused: Vec<String> = ids
        .iter()
        .filter(|id| !used.contains(*id))
        .map(ToString::to_string)
        .collect();
    ReplaySet {
        bundle: side.bundle.digest().to_string(),
        entry,
        policies: ids.len(),
        unused: unused.len(),
        unused_policies: unused.into_iter().take(UNUSED_TOLD).collect(),
        looking_into_personal: side.bundle.peeking().iter().map(ToString::to_string).collect(),
    }
}

fn change(group: &Group) -> ReplayChange {
    let (subject, action, resource, before, after) = &group.key;
    let [codes_before, codes_after] = &group.codes;
    let [policies_before, policies_after] = &group.policies;
    let answer =
        |outcome: &policy::Outcome, codes: &BTreeSet<&'static str>, policies: &BTreeSet<Arc<str>>| ReplayAnswer {
            outcome: outcome.as_str().to_owned(),
            codes: codes.iter().map(ToString::to_string).collect(),
            policies: policies.iter().map(ToString::to_string).collect(),
        };
    ReplayChange {
        subject: subject.clone(),
        action: action.clone(),
        resource: resource.clone(),
        before: answer(before, codes_before, policies_before),
        after: answer(after, codes_after, policies_after),
        decisions: group.count,
        first: rfc3339(group.first),
        last: rfc3339(group.last),
        cost_usd: group.cost.to_string(),
        examples: group.examples.iter().map(example).collect(),
    }
}

fn example(spot: &Spot) -> ReplayExample {
    ReplayExample {
        entry: spot.entry,
        item: spot.item,
        at: rfc3339(spot.at),
        pep: spot.pep.clone(),
        subject: spot.subject.clone(),
        resource: spot.resource.clone(),
    }
}
