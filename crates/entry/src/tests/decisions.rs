//! Enforcement points, what they asked, and what their answers rest on.

use std::collections::BTreeMap;

use model::{Digest, KeyId, NanoUsd, PepName, Pseudonym};
use proptest::prelude::*;

use super::{
    log::Log,
    refusals::check_events,
    samples::{action_id, at, by, denial, intent, key_issued},
};
use crate::{
    Condensed, DECIDED_LATE_US, Decided, DecidedCall, DecidedItem, Decision, Denial, DenialInput, Entry, Event, Found,
    Input, Intent, LeftOut, MAX_ENTRY_BYTES, Party, PepKeyRecord, PepReasons, PepRecord, PepRight, PolicyFile, Value,
};

fn pep(name: &str) -> PepName {
    PepName::new(name).unwrap()
}

fn key(id: &str) -> KeyId {
    KeyId::new(id).unwrap()
}

fn record(name: &str) -> PepRecord {
    PepRecord {
        name: pep(name),
        owner: Pseudonym("9f86d081884c7d659a2feaa0c55ad015".to_owned()),
        purpose: "Guards the document service".to_owned(),
        may: vec![PepRight::Evaluate, PepRight::Search],
        reasons: PepReasons {
            user: true,
            admin: false,
        },
        certificates: vec![Digest([8; 32])],
    }
}

fn pep_loaded(name: &str) -> Event {
    let pep = record(name);
    Event::PepLoaded { pep, by: by() }
}

fn pep_removed(name: &str) -> Event {
    let pep = pep(name);
    Event::PepRemoved { pep, by: by() }
}

fn pep_key(id: &str, of: &str) -> Event {
    let key = PepKeyRecord {
        id: key(id),
        pep: pep(of),
        label: "production".to_owned(),
        verifier: Digest([7; 32]),
        expires: None,
    };
    Event::PepKeyIssued { key, by: by() }
}

fn entities_changed(version: u64) -> Event {
    Event::EntitiesChanged {
        version,
        put: 2,
        removed: 1,
        digest: Digest([6; 32]),
        note: "the new department".to_owned(),
        by: by(),
    }
}

fn revoked(id: &str) -> Event {
    let (key, note) = (key(id), String::new());
    Event::KeyRevoked { key, note, by: by() }
}

fn party(kind: &str, id: Option<&str>) -> Option<Party> {
    let (kind, id) = (kind.to_owned(), id.map(str::to_owned));
    Some(Party { kind, id })
}

fn item() -> DecidedItem {
    let values = |values: &[(&str, Value)]| -> BTreeMap<String, Value> {
        let values = values.iter().cloned();
        values.map(|(name, value)| (name.to_owned(), value)).collect()
    };
    DecidedItem {
        subject: party("User", Some("4e07408562bedb8b60ce05c1decfe3ad")),
        action: Some("read".to_owned()),
        resource: party("Document", Some("q3-forecast")),
        input: Some(Input {
            subject: values(&[("department", Value::Text("sales".to_owned()))]),
            resource: values(&[("level", Value::Integer(3)), ("shared", Value::Bool(true))]),
            context: values(&[("roles", Value::List(vec![Value::Text("auditor".to_owned())]))]),
            ..Input::default()
        }),
        digest: None,
        outcome: Decision::Permit,
        code: "permitted".to_owned(),
        policies: vec!["sales-read".to_owned()],
    }
}

pub(super) fn decided() -> Decided {
    Decided {
        id: action_id(9),
        pep: Some(pep("documents")),
        key: Some(key("p2b7d0c4e9a61")),
        certificate: None,
        seq: 7,
        call: DecidedCall::Evaluation,
        bundle: 41,
        entities: 12,
        items: vec![item()],
        found: None,
        condensed: None,
        left_out: None,
        at: None,
    }
}

/// One event of every kind that is about enforcement points.
pub(super) fn decision_events() -> Vec<Event> {
    vec![
        pep_loaded("documents"),
        pep_removed("documents"),
        pep_key("p2b7d0c4e9a61", "documents"),
        entities_changed(12),
        Event::Decided(decided()),
    ]
}

/// What only the fourth version of the schema can say of kinds that there were before, and all else that decisions can.
pub(super) fn told_events() -> Vec<Event> {
    let search = DecidedItem {
        subject: party("User", None),
        input: Some(Input::default()),
        code: "permitted".to_owned(),
        policies: Vec::new(),
        ..item()
    };
    let denied = DecidedItem {
        outcome: Decision::ApprovalRequired,
        code: "approval_required".to_owned(),
        input: None,
        ..item()
    };
    let nameless = DecidedItem {
        subject: None,
        action: None,
        resource: None,
        input: None,
        digest: Some(Digest([5; 32])),
        outcome: Decision::Deny,
        code: "no_permit".to_owned(),
        policies: Vec::new(),
    };
    let several = Decided {
        key: None,
        certificate: Some(Digest([8; 32])),
        call: DecidedCall::Evaluations,
        items: vec![denied, nameless],
        left_out: Some(LeftOut {
            inputs: 2,
            names: 1,
            ..LeftOut::default()
        }),
        at: Some(at(super::samples::NOON - 40_000)),
        ..decided()
    };
    let found = Found {
        total: 412,
        before: 100,
        names: vec!["4e07408562bedb8b60ce05c1decfe3ad".to_owned()],
        digest: None,
    };
    let condensed = Condensed {
        permitted: 311,
        denied: 700,
        approval_required: 2,
        digest: Digest([4; 32]),
    };
    vec![
        Event::Decided(several),
        Event::Decided(Decided {
            pep: None,
            key: None,
            call: DecidedCall::SearchSubject,
            items: vec![search],
            found: Some(found),
            ..decided()
        }),
        Event::Decided(Decided {
            call: DecidedCall::Evaluations,
            items: Vec::new(),
            condensed: Some(condensed),
            left_out: Some(LeftOut {
                items: 1_013,
                ..LeftOut::default()
            }),
            ..decided()
        }),
        Event::Intent(Intent {
            tools: vec!["shell".to_owned(), "web_search".to_owned()],
            tool_count: 2,
            ..intent()
        }),
        Event::Denial(Denial {
            reason: model::Reason::PolicyDenied,
            over: None,
            input: Some(Box::new(DenialInput {
                stream: true,
                limit: 4_096,
                worst_case: NanoUsd(146_673_000),
                tool_count: 2,
                tools: vec!["shell".to_owned(), "web_search".to_owned()],
            })),
            ..denial()
        }),
    ]
}

/// Two enforcement points with a credential each, a bundle in effect, and entities that changed once.
fn log() -> Log {
    let mut log = Log::furnished();
    for event in [
        pep_loaded("documents"),
        pep_loaded("mail"),
        pep_key("p2b7d0c4e9a61", "documents"),
        pep_key("kmail", "mail"),
        entities_changed(1),
    ] {
        log.push(event);
    }
    load_bundle(&mut log);
    log
}

fn load_bundle(log: &mut Log) {
    let file = log.push(Event::PolicyFile(PolicyFile {
        file: "a.cedar".to_owned(),
        text: String::new(),
        sha256: None,
    }));
    log.push(Event::PolicyLoaded {
        bundle: Digest([1; 32]),
        files: vec![file],
        by: by(),
    });
}

/// The decision that may be next.
fn next(log: &Log) -> Decided {
    let pep = decided().pep;
    Decided {
        seq: log.state.peps.next_seq(pep.as_ref()),
        bundle: log.state.bundle.unwrap().1,
        entities: log.state.peps.entities,
        ..decided()
    }
}

fn with(log: &Log, change: impl FnOnce(&mut Decided)) -> Event {
    let mut decided = next(log);
    change(&mut decided);
    Event::Decided(decided)
}

#[test]
fn decisions_are_counted_for_each_enforcement_point() {
    let mut log = log();
    let epoch = log.state.epoch;
    log.push(with(&log, |_| ()));
    log.push(with(&log, |_| ()));
    log.push(with(&log, |it| {
        (it.pep, it.key, it.seq) = (Some(pep("mail")), Some(key("kmail")), 1);
    }));
    log.push(with(&log, |it| (it.pep, it.key, it.seq) = (None, None, 1)));
    let peps = &log.state.peps;
    assert_eq!((peps.next_seq(Some(&pep("documents"))), peps.next_seq(None)), (3, 2));
    assert_eq!(peps.keys[&key("p2b7d0c4e9a61")].last_used, Some(at(log.now)));
    assert_eq!(log.state.epoch, epoch);
    // One that comes back goes on counting.
    log.push(pep_removed("documents"));
    log.now += 1;
    check_events(
        &log,
        [("removed", with(&log, |_| ()), "the enforcement point was removed")],
    );
    log.push(pep_loaded("documents"));
    log.push(with(&log, |it| it.seq = 3));
}

#[test]
fn what_cannot_be_a_decision() {
    let mut log = log();
    log.push(pep_key("lost", "documents"));
    log.push(revoked("lost"));
    log.now += 1;
    let none = || Decided {
        items: Vec::new(),
        ..next(&log)
    };
    let found = Found {
        total: 0,
        before: 0,
        names: Vec::new(),
        digest: None,
    };
    let shape = "such a call has no such items";
    check_events(
        &log,
        [
            (
                "a gap",
                with(&log, |it| it.seq = 2),
                "expected question 1 of enforcement point documents, found 2",
            ),
            (
                "a gap of nobody",
                with(&log, |it| (it.pep, it.key, it.seq) = (None, None, 5)),
                "expected question 1 of nobody in particular, found 5",
            ),
            (
                "of none that is known",
                with(&log, |it| it.pep = Some(pep("new"))),
                "names enforcement point \"new\"",
            ),
            (
                "with no credential",
                with(&log, |it| it.key = None),
                "asks with one credential or one certificate",
            ),
            (
                "with two",
                with(&log, |it| it.certificate = Some(Digest([8; 32]))),
                "asks with one credential or one certificate",
            ),
            (
                "with another certificate",
                with(&log, |it| (it.key, it.certificate) = (None, Some(Digest([9; 32])))),
                "the certificate is not one of",
            ),
            (
                "with an unknown key",
                with(&log, |it| it.key = Some(key("new"))),
                "names key \"new\"",
            ),
            (
                "with an agent's",
                with(&log, |it| it.key = Some(key("ka"))),
                "names key \"ka\"",
            ),
            (
                "with another's",
                with(&log, |it| it.key = Some(key("kmail"))),
                "another enforcement point's",
            ),
            (
                "with a revoked one",
                with(&log, |it| it.key = Some(key("lost"))),
                "the credential was revoked",
            ),
            (
                "a key without its owner",
                with(&log, |it| it.pep = None),
                "a credential without an enforcement point",
            ),
            (
                "under no bundle",
                with(&log, |it| it.bundle = 0),
                "a policy bundle that was not in effect",
            ),
            (
                "with older entities",
                with(&log, |it| it.entities = 5),
                "entities that were not in effect",
            ),
            (
                "from later",
                with(&log, |it| it.at = Some(at(log.now + 1))),
                "after it was recorded",
            ),
            ("without a question", Event::Decided(none()), shape),
            ("with a find", with(&log, |it| it.found = Some(found.clone())), shape),
            (
                "a search without",
                with(&log, |it| it.call = DecidedCall::SearchAction),
                shape,
            ),
            (
                "a change out of turn",
                entities_changed(3),
                "the version of the entities does not follow",
            ),
            ("a key of none", pep_key("x", "new"), "names enforcement point \"new\""),
            (
                "a key again",
                pep_key("kmail", "mail"),
                "a credential of this id was issued before",
            ),
            (
                "an agent's key again",
                pep_key("ka", "mail"),
                "a credential of this id was issued before",
            ),
            (
                "for an agent",
                key_issued("kmail", "alone"),
                "a credential of this id was issued before",
            ),
            ("removing none", pep_removed("new"), "names enforcement point \"new\""),
            ("revoking none", revoked("new"), "names key \"new\""),
        ]
        .map(|(what, event, why)| {
            let seq = match &event {
                Event::Decided(it) if it.pep == Some(pep("new")) || it.pep.is_none() && it.key.is_some() => Some(1),
                _ => None,
            };
            match (event, seq) {
                (Event::Decided(it), Some(seq)) => (what, Event::Decided(Decided { seq, ..it }), why),
                (event, _) => (what, event, why),
            }
        }),
    );
    log.push(with(&log, |it| {
        (it.key, it.certificate) = (None, Some(Digest([8; 32])))
    }));
    let nothing = Event::EntitiesChanged {
        version: 2,
        put: 0,
        removed: 0,
        digest: Digest([6; 32]),
        note: String::new(),
        by: by(),
    };
    check_events(&log, [("a change of nothing", nothing, "a change of no entity")]);
}

/// Whoever was being answered when something changed may be answered by what was there; only for so long.
#[test]
fn decisions_rest_on_what_was_in_effect_shortly_before() {
    let mut log = log();
    let before = next(&log);
    load_bundle(&mut log);
    log.push(entities_changed(2));
    let until = log.now;
    for later in [0, DECIDED_LATE_US] {
        log.now = until + later;
        assert!(log.takes(Event::Decided(before.clone())), "{later}");
    }
    log.now = until + DECIDED_LATE_US + 1;
    check_events(
        &log,
        [
            (
                "late",
                Event::Decided(before.clone()),
                "a policy bundle that was not in effect",
            ),
            (
                "old entities",
                with(&log, |it| it.entities = 1),
                "entities that were not in effect",
            ),
        ],
    );
    // Recorded late, it says as of when it was answered.
    let at = Some(at(until));
    assert!(log.takes(Event::Decided(Decided { at, ..before })));
    // Changes that follow each other quickly are not remembered one by one.
    for version in 3..500 {
        log.now += 20_000;
        log.push(entities_changed(version));
    }
    let goes = |version| log.takes(with(&log, |it| it.entities = version));
    assert!(goes(499) && goes(498) && goes(2), "all within ten seconds");
    assert!(!goes(1));
}

/// Revocations hold for what is answered after them, not for what was answered before and is recorded after.
#[test]
fn what_was_answered_before_a_revocation_stays_so() {
    let mut log = log();
    let before = Some(at(log.now));
    log.now += 5;
    for event in [revoked("p2b7d0c4e9a61"), pep_removed("documents")] {
        log.push(event);
        assert!(!log.takes(with(&log, |_| ())));
        assert!(!log.takes(with(&log, |it| it.at = Some(at(log.now)))));
        assert!(log.takes(with(&log, |it| it.at = before)));
    }
    let shown = |it: &mut Decided| (it.key, it.certificate) = (None, Some(Digest([8; 32])));
    assert!(!log.takes(with(&log, shown)));
    let then = with(&log, |it| {
        shown(it);
        it.at = before;
    });
    assert!(log.takes(then));
}

fn entry(decided: Decided) -> Entry {
    Log::new().next(Event::Decided(decided))
}

fn fitted(decided: &Decided) -> Decided {
    let mut entry = entry(decided.clone());
    let bytes = entry.fit().unwrap();
    assert!(bytes.len() <= MAX_ENTRY_BYTES);
    assert_eq!(Entry::decode(&bytes).as_ref(), Ok(&entry));
    let Event::Decided(decided) = entry.event else {
        unreachable!()
    };
    decided
}

/// Items of which each has names and an input of so many bytes.
fn items(count: u16, names: usize, input: usize) -> Vec<DecidedItem> {
    let item = |number: u16| DecidedItem {
        resource: party("Document", Some(&format!("{number:05}{}", "n".repeat(names)))),
        input: Some(Input {
            context: [("text".to_owned(), Value::Text("i".repeat(input + usize::from(number))))].into(),
            ..Input::default()
        }),
        outcome: if number.is_multiple_of(3) {
            Decision::Deny
        } else {
            Decision::Permit
        },
        ..item()
    };
    (0..count).map(item).collect()
}

#[test]
fn what_is_too_long_loses_no_more_than_it_must() {
    let several = |items| Decided {
        call: DecidedCall::Evaluations,
        items,
        ..decided()
    };
    let left = |decided: &Decided| decided.left_out.unwrap_or_default();

    let short = several(items(20, 0, 300));
    assert_eq!(fitted(&short), short);

    // The longest inputs go, the others stay.
    let inputs = fitted(&several(items(40, 0, 300)));
    let kept: Vec<bool> = inputs.items.iter().map(|item| item.input.is_some()).collect();
    let gone = kept.iter().filter(|kept| !**kept).count();
    assert_eq!(
        left(&inputs),
        LeftOut {
            inputs: gone as u64,
            ..LeftOut::default()
        }
    );
    assert!(gone > 5 && kept.iter().take(40 - gone).all(|kept| *kept), "{kept:?}");

    // Then names, of as few as must be.
    let whole = items(60, 300, 300);
    let names = fitted(&several(whole.clone()));
    let bare: Vec<usize> = (0..60).filter(|at| names.items[*at].digest.is_some()).collect();
    assert_eq!((left(&names).inputs, left(&names).names), (60, bare.len() as u64));
    assert!((20..60).contains(&bare.len()), "{}", bare.len());
    for at in bare {
        let json = serde_json::to_vec(&whole[at]).unwrap();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &json);
        assert_eq!(names.items[at].digest.unwrap().0, digest.as_ref());
        assert_eq!(
            (names.items[at].outcome, &names.items[at].subject),
            (whole[at].outcome, &None)
        );
    }

    // Then all but their numbers.
    let condensed = fitted(&several(items(1_000, 30, 30)));
    assert!(condensed.items.is_empty());
    assert_eq!(
        left(&condensed),
        LeftOut {
            items: 1_000,
            ..LeftOut::default()
        }
    );
    let numbers = condensed.condensed.unwrap();
    assert_eq!(
        (numbers.permitted, numbers.denied, numbers.approval_required),
        (666, 334, 0)
    );

    // One question of which everything is long.
    let mut long = decided();
    long.items = items(1, 20_000, 20_000);
    let long = fitted(&long);
    assert_eq!((left(&long).inputs, left(&long).names, long.items.len()), (1, 1, 1));

    // What was found goes before the question.
    let search = Decided {
        call: DecidedCall::SearchResource,
        found: Some(Found {
            total: 900,
            before: 0,
            names: (0..900)
                .map(|number| format!("a-document-of-number-{number}"))
                .collect(),
            digest: None,
        }),
        ..decided()
    };
    let search = fitted(&search);
    assert_eq!(
        left(&search),
        LeftOut {
            inputs: 1,
            found: 900,
            ..LeftOut::default()
        }
    );
    let found = search.found.unwrap();
    assert_eq!((found.total, found.names.len(), found.digest.is_some()), (900, 0, true));
    assert!(search.items[0].subject.is_some());
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Integer),
        ".{0,12}".prop_map(Value::Text),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            prop::collection::btree_map(".{0,6}", inner, 0..5).prop_map(Value::Record),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn values_have_one_spelling(value in value()) {
        let bytes = serde_json::to_vec(&value).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), value);
    }

    /// Whatever was asked, it can be recorded, and the answers are all there or counted.
    #[test]
    fn every_decision_fits(
        lengths in prop::collection::vec((0..4_000_usize, 0..9_000_usize, 0..3_000_usize, 0..3_usize), 1..90),
        odd in prop::bool::ANY,
    ) {
        let outcomes = [Decision::Permit, Decision::Deny, Decision::ApprovalRequired];
        // What takes six bytes where it is written.
        let text = |length: usize| if odd { "\u{1}".repeat(length / 6) } else { "x".repeat(length) };
        let items = lengths.iter().map(|(names, input, policies, outcome)| DecidedItem {
            resource: party("Document", Some(&text(*names))),
            input: Some(Input {
                context: [("text".to_owned(), Value::Text(text(*input)))].into(),
                ..Input::default()
            }),
            policies: vec![text(*policies)],
            outcome: outcomes[*outcome],
            ..item()
        });
        let whole = Decided { call: DecidedCall::Evaluations, items: items.collect(), ..decided() };
        let fitted = fitted(&whole);
        match fitted.condensed {
            Some(condensed) => {
                let counted = condensed.permitted + condensed.denied + condensed.approval_required;
                prop_assert_eq!(counted, lengths.len() as u64);
            }
            None => {
                let said = |decided: &Decided| decided.items.iter().map(|item| item.outcome).collect::<Vec<_>>();
                prop_assert_eq!(said(&fitted), said(&whole));
            }
        }
    }
}

#[test]
fn values_that_have_two_spellings_are_none() {
    for text in ["null", "1.5", "1e3", "18446744073709551615", "{\"a\":null}", "[1.0]"] {
        assert!(serde_json::from_str::<Value>(text).is_err(), "{text}");
    }
    let entry = entry(decided());
    let right = String::from_utf8(entry.encode().unwrap()).unwrap();
    let twice = right.replace("\"level\":3", "\"level\":3,\"level\":3");
    let turned = right.replace("\"level\":3,\"shared\":true", "\"shared\":true,\"level\":3");
    for other in [twice, turned] {
        assert_ne!(other, right);
        let error = Entry::decode(other.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("not in the form it is written in"), "{error}");
    }
}
