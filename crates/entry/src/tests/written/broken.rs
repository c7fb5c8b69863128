//! Bytes that are no snapshot, and snapshots that no log has.

use proptest::{prelude::*, sample::Index};

use super::rich::rich;
use crate::{
    Entry, Event, State,
    snapshot::{decode, encode},
    tests::{
        log::first,
        samples::{action_id, every_event},
    },
};

/// Changes to the bytes of the rich state: what | from | to | the words of the refusal.
const BROKEN: &str = r#"
an unknown field             | "size":            | "sizes":0,"size": | unknown field `sizes`
a missing field              | "boot":12,"ledger" | "ledger"          | missing field `boot`
another format               | "format":1         | "format":2        | has format 2; this program reads up to format 1
another format's fields      | "format":1         | "format":2,"more":0 | has format 2
entries of a later program   | "version":5        | "version":6       | entries of version 6
a float                      | "spent":400        | "spent":400.0     | floating point
a space                      | "spent":400        | "spent": 400      | not in the form it is written in
another order                | "legal_holds":{}   | "legal_holds":{"b":"ada","a":"ada"} | not in the form it is written in
a default written out        | "paused":true      | "paused":true,"retired":false | not in the form it is written in
what follows written out     | "settled":400      | "settled":400,"held":9 | unknown field `held`
something behind             | "gone":0}}         | "gone":0}}x       | trailing characters
an end too early             | "gone":0}}         | "gone":0}         | EOF
a negative sum               | "settled":400      | "settled":-400    | sums or periods that cannot be
a sum that might overflow    | "settled":400      | "settled":170000000000000000000000000000000000000 | sums or periods that cannot be
a sum that does              | "settled":400      | "settled":1700000000000000000000000000000000000000 | out of range
a negative debt              | "base":0           | "base":-1         | sums or periods that cannot be
a period that ends first     | {"start":1790028000000000,"end":1790114400000000},"edition":1 | {"start":1790114400000000,"end":1790028000000000},"edition":1 | there is a hold of a period that is still to come
no period of its window      | {"start":1790098560000000,"end":1790186400000000},"edition":5 | {"start":1790098560000001,"end":1790186400000001},"edition":5 | there is a hold of a period that is still to come
a hold of a period to come   | "of":["one"],"period":{"start":1790098560000000 | "of":["one"],"period":{"start":1790098560000001 | there is a hold of a period that is still to come
fewer definitions than holds | "edition":6},"budgets" | "edition":5},"budgets" | a hold that no entry can have placed
too many definitions         | "edition":6},"budgets" | "edition":9000000000000000000},"budgets" | more definitions than there can be
a negative hold              | {"money":40,       | {"money":-40,     | a hold that no entry can have placed
a hold of two pots of one    | {"budget":"users","of":["one"] | {"budget":"own","of":["one"] | a hold that no entry can have placed
one pot for several          | "pots":{"one":{"edition":4}} | "pots":{"each":{"accounts":[]}} | sums or periods that cannot be
a hold of no attempt         | "number":32768},{"index" | "number":32769},{"index" | has no hold, or a hold no open attempt
more actions than entries    | "seq":12}          | "seq":65}         | counts more than there are entries
more changes than entries    | "epoch":24         | "epoch":65        | counts more than there are entries
fewer entries than it names  | "size":64          | "size":63         | counts more than there are entries
more entries than can be     | "size":64          | "size":9000000000000000000 | counts more than there are entries
a budget nobody declared     | {"kept":"files",   | {                 | where it was declared
another agent's manifest     | {"name":"kept","owner" | {"name":"held","owner" | another one's manifest
a limit twice                | {"name":"runs","group" | {"name":"all","group" | two rate limits of one name
a bucket below its ground    | "height":3600000000} | "height":-3600000000} | holds what cannot be
a bucket with a false floor  | "floor":9,         | "floor":10,       | holds what cannot be
a bucket that holds nothing  | "upto":10,         | "upto":11,        | holds what cannot be
a bucket of another rate     | {"floor":9,"steps":[{"upto":10,"height":3600000000000}]}, | | holds what cannot be
a bucket of another label    | [["loop","one"],{  | [["loop"],{       | holds what cannot be
a number given twice         | "hold":9,          | "hold":8,         | not numbered one by one
a number never given         | "newest":10        | "newest":9        | not numbered one by one
a breaker of no kind         | "cooldown_s":20    | "cooldown_s":0    | a breaker that could not have been declared
open, and among the closed   | {"of":"alone","item" | {"of":"alone","touched":3,"item" | does not know whether it stops
closed, and not among them   | "touched":27,"item":{"last" | "item":{"last" | does not know whether it stops
a touch that never was       | "serial":27},"agents" | "serial":26},"agents" | more serial numbers than there were
a probe that has ended       | {"running":{"action":"01a0c3d65a0079199919191919191919","number":0}} | "passed" | unknown variant `passed`
a use that never was         | "next":6           | "next":5          | the uses of idempotency keys are not numbered
two uses at once             | "number":5,"open"  | "number":4,"open" | the uses of idempotency keys are not numbered
"#;

fn bytes() -> String {
    String::from_utf8(encode(&rich().state).unwrap()).unwrap()
}

#[test]
fn what_no_log_has_is_refused() {
    let original = bytes();
    for line in BROKEN.trim().lines() {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [what, from, to, expected] = columns[..] else {
            panic!("{line}")
        };
        let changed = original.replacen(from, to, 1);
        assert_ne!(original, changed, "{what}");
        let error = decode(changed.as_bytes()).expect_err(what).to_string();
        assert!(error.contains(expected), "{what}: {error}");
    }
    for bytes in [
        &b""[..],
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        format!("{original}\n").as_bytes(),
    ] {
        assert!(decode(bytes).is_err(), "{bytes:?}");
    }
}

/// Has a state take what might follow, whatever it answers.
fn go_on(state: &mut State) {
    let mut events = every_event();
    events.extend(rich().entries.into_iter().map(|entry| entry.event));
    let mut log = rich();
    for number in 1..30 {
        if log.state.open.contains_key(&first(action_id(number))) {
            events.push(Event::Outcome(log.outcome(first(action_id(number)), 7)));
        }
    }
    log.now += 86_400_000_000;
    for event in events {
        let entry = Entry {
            index: state.size,
            time: log.next(event.clone()).time.max(state.time),
            tenant: state.tenant.clone(),
            ..log.next(event)
        };
        let before = state.clone();
        if state.apply(&entry).is_err() {
            assert_eq!(*state, before, "a refused entry changed the state");
        }
        while let Some(owed) = state.owed.front().cloned() {
            let owed = Entry {
                index: state.size,
                time: state.time,
                ..log.next(owed)
            };
            if state.apply(&owed).is_err() {
                return;
            }
        }
    }
}

/// Where whole numbers stand that are not a part of a text.
fn numbers(text: &str) -> Vec<std::ops::Range<usize>> {
    let letters: Vec<char> = text.chars().collect();
    let starts = (1..letters.len()).filter(|at| letters[*at].is_ascii_digit() && ":[,-".contains(letters[*at - 1]));
    let end = |start: usize| (start..letters.len()).find(|at| !letters[*at].is_ascii_digit());
    starts.map(|start| start..end(start).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_other_bytes_are_the_same_state(at in any::<Index>(), byte in any::<u8>()) {
        let log = rich();
        let mut bytes = encode(&log.state).unwrap();
        let at = at.index(bytes.len());
        prop_assert!(decode(&bytes[..at]).is_err());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        prop_assert_ne!(decode(&bytes), Ok(log.state));
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode(&bytes).is_err());
    }

    /// Whatever a number is changed to: it is refused, or the log can go on without harm.
    #[test]
    fn any_number_does_no_harm(
        which in any::<Index>(),
        number in prop_oneof![
            (0..100_u64).prop_map(|number| number.to_string()),
            any::<i64>().prop_map(|number| number.to_string()),
            prop::sample::select(vec!["-1", "255", "65535", "4294967295", "4611686018427387904", "9223372036854775807",
                "18446744073709551615", "5192296858534827628530496329220096", "170141183460469231731687303715884105727"])
                .prop_map(str::to_owned),
        ],
    ) {
        let mut text = bytes();
        let places = numbers(&text);
        text.replace_range(places[which.index(places.len())].clone(), &number);
        if let Ok(mut state) = decode(text.as_bytes()) {
            prop_assert_eq!(encode(&state), Ok(text.into_bytes()));
            go_on(&mut state);
        }
    }
}
