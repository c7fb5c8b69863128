//! What entries of each kind are found by: the examples of the documentation, which are those of the schema's tests.

use std::collections::BTreeMap;

use entry::Event;

use super::{super::words, Facts, Field};

/// The examples by kind, in order.
fn examples() -> BTreeMap<&'static str, Vec<Event>> {
    let page = include_str!("../../../../../../docs/entries.md");
    let mut examples: BTreeMap<_, Vec<Event>> = BTreeMap::new();
    for line in page
        .lines()
        .filter(|line| line.starts_with("{\"") && !line.starts_with("{\"v\""))
    {
        // Other lines are parts of events.
        if let Ok(event) = serde_json::from_str::<Event>(line) {
            examples.entry(event.kind()).or_default().push(event);
        }
    }
    examples
}

/// A kind of entry, and a field and its values in the first example of it.
const EXPECTED: &[(&str, Field, &[&str])] = &[
    ("intent", Field::Action, &["01a0c3d65a0071018101010101010101"]),
    ("intent", Field::Agent, &["nightly-report"]),
    ("intent", Field::Key, &["k7f3a9c2e1b4d"]),
    ("intent", Field::User, &["4e07408562bedb8b60ce05c1decfe3ad"]),
    ("intent", Field::Run, &["2026-09-21-nightly"]),
    ("intent", Field::Task, &["summarise"]),
    ("intent", Field::Operation, &["llm:generate"]),
    ("intent", Field::Resource, &["anthropic/claude-sonnet-4-5-20250929"]),
    ("intent", Field::ResourceType, &["anthropic"]),
    ("intent", Field::Model, &["claude-sonnet-4-5-20250929"]),
    ("intent", Field::Decision, &["permit"]),
    ("intent", Field::Budget, &["nightly-report"]),
    ("outcome", Field::Status, &["ok"]),
    ("outcome", Field::Agent, &[]),
    ("denial", Field::Decision, &["deny"]),
    ("denial", Field::Reason, &["budget_exhausted"]),
    ("denial", Field::Budget, &["nightly-report"]),
    (
        "replay",
        Field::Action,
        &["01a0c3d65a0073038303030303030303", "01a0c3d65a0071018101010101010101"],
    ),
    ("overrun", Field::Resource, &["anthropic/claude-sonnet-4-5-20250929"]),
    ("overrun_cleared", Field::Admin, &["ada"]),
    ("threshold_reached", Field::Budget, &["nightly-report"]),
    ("asked", Field::Decision, &["approval_required"]),
    ("ask_refused", Field::Decision, &["deny"]),
    ("ask_refused", Field::Admin, &["ada"]),
    ("ask_ended", Field::Status, &["withdrawn"]),
    ("decided", Field::Pep, &["documents"]),
    ("decided", Field::Subject, &["User/4e07408562bedb8b60ce05c1decfe3ad"]),
    ("decided", Field::User, &["4e07408562bedb8b60ce05c1decfe3ad"]),
    ("decided", Field::ResourceType, &["Document"]),
    ("agent_loaded", Field::Agent, &["nightly-report"]),
    ("agent_removed", Field::Agent, &["nightly-report"]),
    ("allowance_held", Field::Agent, &["nightly-report"]),
    ("allowance_held", Field::Budget, &["nightly-report"]),
    ("allowance_released", Field::Agent, &["nightly-report"]),
    ("budget_loaded", Field::Budget, &["nightly-report"]),
    ("budget_removed", Field::Budget, &["data-team"]),
    ("budget_edited", Field::Budget, &["nightly-report"]),
    ("breaker_tripped", Field::Agent, &["nightly-report"]),
    ("breaker_tripped", Field::Run, &["2026-09-21-nightly"]),
    ("key_issued", Field::Agent, &["nightly-report"]),
    ("key_revoked", Field::Key, &["k7f3a9c2e1b4d"]),
    ("pep_loaded", Field::Pep, &["documents"]),
    ("pep_key_issued", Field::Pep, &["documents"]),
    ("admin_added", Field::Admin, &["ada", "grace"]),
    ("admin_removed", Field::Admin, &["ada", "grace"]),
    ("entities_changed", Field::Admin, &["ada"]),
    ("policy_loaded", Field::Admin, &["ada"]),
];

/// A kind of entry, and words that free text finds the first example of it by.
const WORDS: &[(&str, &str)] = &[
    ("intent", "nightly report models"),
    ("outcome", "200 msg_01XFDUDYJgAACzvnptvVoYEL"),
    ("denial", "budget exhausted"),
    ("ask_refused", "before the quarter ends"),
    ("budget_edited", "the quarter's report needs more"),
    ("breaker_tripped", "loops"),
    ("breaker_reset", "the prompt was mended"),
    ("policy_file", "policies nightly cedar permit principal"),
    ("upstreams_loaded", "api.anthropic.com"),
    ("key_issued", "laptop background"),
    ("key_revoked", "laptop lost"),
    ("entities_changed", "the new department"),
    ("started", "n5c1e"),
    ("stopped", "signal"),
    ("spool_applied", "0707070707070707070707-12-1"),
    ("heads", "default"),
    ("quorum_missed", "unreachable"),
    ("fork_reported", "witness"),
];

#[test]
fn each_kind_is_found_by_what_it_says() {
    let examples = examples();
    for (kind, field, expected) in EXPECTED {
        let facts = Facts::of(&examples[kind][0]);
        assert_eq!(facts.all(*field).collect::<Vec<_>>(), *expected, "{field:?} of {kind}");
    }
    for (kind, events) in &examples {
        for event in events {
            let facts = Facts::of(event);
            assert_eq!(facts.first(Field::Kind), Some(*kind));
            let more = facts.values.len() > 1 || !facts.texts.is_empty();
            // These have numbers only.
            let silent = ["heartbeat", "quorum_met"].contains(kind);
            assert!(more || silent, "an entry {kind} is found by its kind only");
        }
    }
    assert!(examples.len() >= 53, "{:?}", examples.keys());
}

#[test]
fn each_kind_is_found_by_its_words() {
    let examples = examples();
    for (kind, text) in WORDS {
        let facts = Facts::of(&examples[kind][0]);
        let texts = facts.texts.iter().chain(facts.values.iter().map(|(_, value)| value));
        let found: Vec<String> = texts.flat_map(|text| words(text)).collect();
        for word in words(text) {
            assert!(found.contains(&word), "{word:?} of {kind}: {found:?}");
        }
    }
}

#[test]
fn amounts_are_those_of_outcomes_and_holds() {
    let examples = examples();
    let facts = |kind: &str| {
        let facts = Facts::of(&examples[kind][0]);
        (facts.cost.map(|cost| cost.0), facts.hold.map(|hold| hold.0))
    };
    assert_eq!(facts("intent"), (None, Some(146_673_000)));
    assert_eq!(facts("outcome"), (Some(50_172_000), None));
    assert_eq!(facts("overrun"), (None, None));
}

#[test]
fn an_outcome_has_from_its_intent_what_it_does_not_say() {
    let examples = examples();
    let intent = Facts::of(&examples["intent"][0]);
    let mut outcome = Facts::of(&examples["outcome"][0]);
    outcome.inherit(&intent, false);
    let mut threshold = Facts::of(&examples["threshold_reached"][0]);
    threshold.inherit(&intent, true);
    for field in Field::ALL {
        let has = |facts: &Facts<'_>| facts.all(*field).map(str::to_owned).collect::<Vec<_>>();
        let (of_outcome, of_threshold) = (has(&outcome), has(&threshold));
        match field {
            Field::Kind => assert_eq!(
                (of_outcome, of_threshold),
                (vec!["outcome".into()], vec!["threshold_reached".into()])
            ),
            Field::Status => assert_eq!((of_outcome, of_threshold), (vec!["ok".into()], vec![])),
            Field::Decision => assert_eq!((of_outcome, of_threshold), (vec!["permit".into()], vec![])),
            _ => assert_eq!((of_outcome, of_threshold), (has(&intent), has(&intent)), "{field:?}"),
        }
    }
}
