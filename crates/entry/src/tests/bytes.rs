//! What an entry looks like, byte for byte, and what is not one.

use std::{collections::BTreeSet, fmt::Write as _};

use proptest::prelude::*;

use super::{
    decisions::told_events,
    more::more_events,
    samples::{NOON, action_id, at, budget, denial, every_event, intent, outcome, overrun},
};
use crate::{Entry, EntryError, Event, Intent, MAX_ENTRY_BYTES, VERSION};

use ledger::Booking;
use model::TenantName;

fn entry(event: Event) -> Entry {
    Entry {
        v: VERSION,
        tenant: TenantName::default_tenant(),
        index: 184_467,
        time: at(NOON),
        event,
    }
}

fn text(event: Event) -> String {
    String::from_utf8(entry(event).encode().unwrap()).unwrap()
}

/// A new kind does not compile until it has a number here, and fails below until it has a sample.
fn number(event: &Event) -> usize {
    match event {
        Event::Intent(_) => 0,
        Event::Outcome(_) => 1,
        Event::Denial(_) => 2,
        Event::Replay(_) => 3,
        Event::AgentLoaded { .. } => 4,
        Event::AgentRemoved { .. } => 5,
        Event::BudgetLoaded { .. } => 6,
        Event::PolicyFile(_) => 7,
        Event::PolicyLoaded { .. } => 8,
        Event::PricesLoaded { .. } => 9,
        Event::UpstreamsLoaded { .. } => 10,
        Event::KeyIssued { .. } => 11,
        Event::KeyRevoked { .. } => 12,
        Event::AdminAdded { .. } => 13,
        Event::AdminRemoved { .. } => 14,
        Event::Started { .. } => 15,
        Event::Stopped { .. } => 16,
        Event::Overrun(_) => 17,
        Event::OverrunCleared { .. } => 18,
        Event::AllowanceHeld(_) => 19,
        Event::AllowanceReleased { .. } => 20,
        Event::SpoolApplied(_) => 21,
        Event::BudgetRemoved { .. } => 22,
        Event::BudgetEdited { .. } => 23,
        Event::ThresholdReached(_) => 24,
        Event::Asked(_) => 25,
        Event::AskRefused(_) => 26,
        Event::AskEnded(_) => 27,
        Event::LimitLoaded { .. } => 28,
        Event::LimitRemoved { .. } => 29,
        Event::BreakerLoaded { .. } => 30,
        Event::BreakerRemoved { .. } => 31,
        Event::BreakerWarned(_) => 32,
        Event::BreakerTripped(_) => 33,
        Event::BreakerClosed(_) => 34,
        Event::BreakerReset { .. } => 35,
        Event::PepLoaded { .. } => 36,
        Event::PepRemoved { .. } => 37,
        Event::PepKeyIssued { .. } => 38,
        Event::EntitiesChanged { .. } => 39,
        Event::Decided(_) => 40,
        Event::Heads { .. } => 41,
        Event::Heartbeat { .. } => 42,
        Event::SigningKeyAdded { .. } => 43,
        Event::SigningKeyRetired { .. } => 44,
        Event::Restored { .. } => 45,
        Event::QuorumMissed { .. } => 46,
        Event::QuorumMet { .. } => 47,
        Event::SnapshotTaken { .. } => 48,
        Event::Expired(_) => 49,
        Event::LegalHoldSet { .. } => 50,
        Event::LegalHoldLifted { .. } => 51,
        Event::ForkReported { .. } => 52,
    }
}

const KINDS: usize = 53;

#[test]
fn every_kind_has_these_bytes() {
    let events = every_event();
    let numbers: Vec<usize> = events.iter().map(number).collect();
    assert_eq!(numbers, (0..KINDS).collect::<Vec<_>>());
    insta::assert_snapshot!(lines(events));
}

fn lines(events: Vec<Event>) -> String {
    let mut lines = String::new();
    for event in events {
        writeln!(lines, "{}", text(event)).unwrap();
    }
    lines
}

#[test]
fn what_budgets_can_say_has_these_bytes() {
    insta::assert_snapshot!(lines(more_events()));
}

#[test]
fn what_decisions_can_say_has_these_bytes() {
    insta::assert_snapshot!(lines(told_events()));
}

/// A start that promises heartbeats.
fn promised() -> Event {
    Event::Started {
        node: "n5c1e".to_owned(),
        boot: 12,
        version: "0.1.0".to_owned(),
        heartbeat_s: Some(900),
    }
}

/// The examples of the documentation are these entries, and there is one of every kind.
#[test]
fn examples_in_the_documentation_are_entries() {
    let known: Vec<Event> = every_event()
        .into_iter()
        .chain(more_events())
        .chain(told_events())
        .chain([promised()])
        .collect();
    let known: BTreeSet<String> = known
        .iter()
        .map(|event| serde_json::to_string(event).unwrap())
        .collect();
    let docs = include_str!("../../../../docs/entries.md");
    let examples: BTreeSet<&str> = docs.lines().filter(|line| line.starts_with("{\"")).collect();
    let (frame, booking) = ("{\"v\":5,\"tenant\":", "{\"budget\":\"runs\",\"of\":");
    for example in &examples {
        let part = example.starts_with(booking) && known.iter().any(|event| event.contains(example));
        assert!(
            part || example.starts_with(frame) || known.contains(*example),
            "{example}"
        );
    }
    for event in every_event() {
        let example = serde_json::to_string(&event).unwrap();
        assert!(examples.contains(example.as_str()), "{example}");
    }
}

#[test]
fn every_kind_reads_back_and_is_called_what_it_is_written_as() {
    for event in every_event().into_iter().chain(more_events()).chain(told_events()) {
        let entry = entry(event);
        let bytes = entry.encode().unwrap();
        assert_eq!(Entry::decode(&bytes).as_ref(), Ok(&entry));
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let written: Vec<&String> = value["event"].as_object().unwrap().keys().collect();
        assert_eq!(written, [entry.event.kind()]);
        let long = Entry {
            tenant: TenantName::new(&"t".repeat(64)).unwrap(),
            index: u64::MAX,
            ..entry.clone()
        };
        for entry in [&entry, &long] {
            let found = Entry::is_decided(&entry.encode().unwrap());
            assert_eq!(found, entry.event.kind() == "decided");
        }
    }
}

#[test]
fn entries_of_calls_are_small() {
    let mut plain = intent();
    (plain.action.user, plain.action.task) = (None, None);
    for (what, event, most) in [
        ("an intent", Event::Intent(plain), 700),
        (
            "an intent that names a user, a run and a task",
            Event::Intent(intent()),
            750,
        ),
        ("an outcome", Event::Outcome(outcome()), 470),
        ("a denial", Event::Denial(denial()), 600),
        ("an overrun", Event::Overrun(overrun()), 350),
        (
            "an intent in four budgets more",
            Event::Intent(in_five_budgets()),
            1_400,
        ),
    ] {
        let bytes = text(event).len();
        println!("{what}: {bytes} bytes");
        assert!(bytes <= most, "{what}: {bytes} bytes, at most {most} are wanted");
    }
}

/// A usual call of an organisation that keeps its users and teams apart.
fn in_five_budgets() -> Intent {
    let mut intent = intent();
    let booking = intent.bookings[0].clone();
    for (name, of) in [
        ("data", ""),
        ("production", ""),
        ("everything", ""),
        ("users", "4e07408562bedb8b60ce05c1decfe3ad"),
    ] {
        intent.bookings.push(Booking {
            budget: budget(name),
            of: Some(of.to_owned()).into_iter().filter(|of| !of.is_empty()).collect(),
            ..booking.clone()
        });
    }
    intent
}

/// Changes to the bytes of an entry: what | which entry | from | to | the words of the refusal.
const NOT_ENTRIES: &str = r#"
an unknown field of the entry    | started       | "v":5,          | "v":5,"w":0,            | unknown field `w`
an unknown field of the event    | started       | "boot":         | "more":1,"boot":        | unknown field `more`
an unknown field of a booking    | intent        | "used":         | "note":"x","used":      | not a readable entry
an unknown field of the usage    | outcome       | "output":       | "note":"x","output":    | not a readable entry
an unknown event                 | started       | "started":      | "begun":                | unknown variant `begun`
a missing field                  | started       | "boot":12,      |                         | missing field `boot`
a field twice                    | started       | "boot":12,      | "boot":12,"boot":12,    | duplicate field `boot`
a float                          | outcome       | :50172000       | :50172000.0             | invalid type: floating point
an exponent                      | outcome       | :50172000       | :5e7                    | invalid type: floating point
a negative count                 | outcome       | "bytes":        | "bytes":-               | invalid value: integer
an amount as text                | outcome       | :50172000       | :"50172000"             | invalid type: string
an amount too large              | outcome       | :50172000       | :9223372036854775808    | invalid value: integer
an impossible name               | budget_loaded | :"nightly       | :"Nightly               | a name starts with
a short digest                   | policy_loaded | 0101            | 01                      | 64 hexadecimal digits
another version                  | started       | "v":5,          | "v":6,                  | the entry has version 6; this program reads up to version 5
another version's fields         | started       | "v":5,          | "v":6,"w":0,            | the entry has version 6
version 0                        | started       | "v":5,          | "v":0,                  | the entry has version 0
a kind before its version        | overrun       | "v":5,          | "v":1,                  | an entry of kind overrun has version 1, but says what only version 2 can say
a kind before its version        | asked         | "v":5,          | "v":2,                  | an entry of kind asked has version 2, but says what only version 3 can say
an unknown edit                  | budget_edited | {"limit":{      | {"lowered":{            | unknown variant `lowered`
an unknown field of an edit      | budget_edited | {"limit":{      | {"limit":{"more":1,     | unknown field `more`
an edit of two parts             | budget_edited | "edit":{        | "edit":{"paused":{},    | not a readable entry
an unknown unit                  | threshold_reached | "percent"   | "unit":"dollars","percent" | unknown variant `dollars`
money written out                | threshold_reached | "percent"   | "unit":"money","percent" | not in the form it is written in
a share above all shares         | threshold_reached | :95         | :256                    | invalid value: integer
an empty pot written out         | threshold_reached | "percent"   | "of":[],"percent"       | not in the form it is written in
an unknown field of a threshold  | threshold_reached | "percent"   | "more":1,"percent"      | unknown field `more`
an unknown end                   | ask_ended     | "withdrawn"     | "granted"               | unknown variant `granted`
an unknown label                 | budget_loaded | }}},"by"        | }},"select":{"colour":["red"]}},"by" | unknown variant `colour`
labels in another order          | budget_loaded | }}},"by"        | }},"select":{"team":["a"],"product":["b"]}},"by" | not in the form it is written in
what happens anyway, written out | budget_loaded | }}},"by"        | }},"at_limit":"deny"},"by" | not in the form it is written in
where files are, written out     | budget_loaded | ,"by"           | ,"declared":"files","by" | not in the form it is written in
a field before its version       | upstreams_loaded | "v":5,"tenant":"default","index":184467,"time":1789992000000000,"event":{"upstreams_loaded":{"upstreams":[{"name":"anthropic","kind":"anthropic","base_url":"https://api.anthropic.com","prices":"anthropic" | "v":1,"tenant":"default","index":184467,"time":1789992000000000,"event":{"upstreams_loaded":{"upstreams":[{"name":"anthropic","kind":"anthropic","base_url":"https://api.anthropic.com","prices":"anthropic","honours_output_limit":false | but says what only version 2 can say
another field before its version | upstreams_loaded | "v":5,"tenant":"default","index":184467,"time":1789992000000000,"event":{"upstreams_loaded":{"upstreams":[{"name":"anthropic","kind":"anthropic","base_url":"https://api.anthropic.com","prices":"anthropic" | "v":1,"tenant":"default","index":184467,"time":1789992000000000,"event":{"upstreams_loaded":{"upstreams":[{"name":"anthropic","kind":"anthropic","base_url":"https://api.anthropic.com","prices":"anthropic","proxy":"10.0.0.1:3128" | but says what only version 2 can say
another field before its version | upstreams_loaded | "v":5,"tenant":"default","index":184467,"time":1789992000000000,"event":{"upstreams_loaded":{"upstreams":[{"name":"anthropic","kind":"anthropic","base_url":"https://api.anthropic.com","prices":"anthropic" | "v":1,"tenant":"default","index":184467,"time":1789992000000000,"event":{"upstreams_loaded":{"upstreams":[{"name":"anthropic","kind":"anthropic","base_url":"https://api.anthropic.com","prices":"anthropic","http2":"never" | but says what only version 2 can say
another field before its version | upstreams_loaded | "v":5,"tenant":"default","index":184467,"time":1789992000000000,"event":{"upstreams_loaded":{"upstreams":[{"name":"anthropic","kind":"anthropic","base_url":"https://api.anthropic.com","prices":"anthropic" | "v":1,"tenant":"default","index":184467,"time":1789992000000000,"event":{"upstreams_loaded":{"upstreams":[{"name":"anthropic","kind":"anthropic","base_url":"https://api.anthropic.com","prices":"anthropic","ca":"0101010101010101010101010101010101010101010101010101010101010101" | but says what only version 2 can say
another field before its version | upstreams_loaded | "v":5,"tenant":"default","index":184467,"time":1789992000000000,"event":{"upstreams_loaded":{"upstreams":[{"name":"anthropic","kind":"anthropic","base_url":"https://api.anthropic.com","prices":"anthropic" | "v":1,"tenant":"default","index":184467,"time":1789992000000000,"event":{"upstreams_loaded":{"upstreams":[{"name":"anthropic","kind":"anthropic","base_url":"https://api.anthropic.com","prices":"anthropic","client_certificate":"0101010101010101010101010101010101010101010101010101010101010101" | but says what only version 2 can say
something behind                 | started       | }}}             | }}}x                    | trailing characters
another entry behind             | started       | }}}             | }}}{}                   | trailing characters
an end too early                 | started       | }}}             | }}                      | EOF
a space                          | started       | :12             | : 12                    | not in the form it is written in
another spelling of a letter     | started       | 0.1.0           | 0.1.\u0030              | not in the form it is written in
another order                    | admin_removed | "v":5,"tenant":"default" | "tenant":"default","v":2 | not in the form it is written in
a default written out            | outcome       | ,"duration_us"  | ,"overrun":0,"duration_us" | not in the form it is written in
an absent field written out      | key_issued    | "tier"          | "user":null,"tier"      | not in the form it is written in
an upper-case digest             | key_issued    | "verifier":"07  | "verifier":"0A          | not in the form it is written in
"#;

#[test]
fn anything_that_is_not_exactly_an_entry_is_refused() {
    let events = every_event();
    for line in NOT_ENTRIES.trim().lines() {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [what, kind, from, to, expected] = columns[..] else {
            panic!("{line}")
        };
        let event = events.iter().find(|event| event.kind() == kind).unwrap();
        let original = text(event.clone());
        let changed = original.replacen(from, to, 1);
        assert_ne!(original, changed, "{what}");
        let error = Entry::decode(changed.as_bytes()).expect_err(what).to_string();
        assert!(error.contains(expected), "{what}: {error}");
    }
    let started = text(events[15].clone());
    for bytes in [&b""[..], b"\xff\xfe", b"null", b"[]", format!("{started}\n").as_bytes()] {
        assert!(Entry::decode(bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn an_entry_has_a_hard_cap() {
    let with_note = |bytes| {
        entry(Event::Stopped {
            node: "n".to_owned(),
            boot: 1,
            why: "x".repeat(bytes),
        })
    };
    let frame = with_note(0).encode().unwrap().len();
    let longest = with_note(MAX_ENTRY_BYTES - frame);
    let bytes = longest.encode().unwrap();
    assert_eq!(bytes.len(), MAX_ENTRY_BYTES);
    assert_eq!(Entry::decode(&bytes), Ok(longest));
    let too_long = |kind| EntryError::TooLong {
        kind,
        bytes: MAX_ENTRY_BYTES + 1,
    };
    let longer = with_note(MAX_ENTRY_BYTES + 1 - frame);
    assert_eq!(longer.encode(), Err(too_long("stopped")));
    let written = serde_json::to_vec(&longer).unwrap();
    assert_eq!(Entry::decode(&written), Err(too_long("unread")));
}

proptest! {
    /// Whoever changes one byte of an entry gets an error or another entry, never the same one.
    #[test]
    fn no_two_spellings_mean_the_same(kind in 0..KINDS, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let entry = entry(every_event()[kind].clone());
        let mut bytes = entry.encode().unwrap();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        prop_assert_ne!(Entry::decode(&bytes), Ok(entry));
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Entry::decode(&bytes).is_err());
    }

    #[test]
    fn any_text_survives(model in ".{0,80}", run in prop::option::of(".{0,80}"), number in any::<u8>()) {
        let mut denial = denial();
        denial.action.id = action_id(number);
        denial.action.model = model;
        denial.action.run = run;
        let entry = entry(Event::Denial(denial));
        let bytes = entry.encode().unwrap();
        prop_assert_eq!(Entry::decode(&bytes), Ok(entry));
    }
}
