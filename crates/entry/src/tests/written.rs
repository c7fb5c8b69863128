//! A state that is written down and read back is that state, and no other bytes pass for one.

mod broken;
mod rich;
mod ruled;

use std::collections::BTreeSet;

use proptest::{prelude::*, sample::Index, strategy::ValueTree, test_runner::TestRunner};

use self::{
    rich::rich,
    ruled::{moves, ruled},
};
use super::{
    history::{grow, history},
    log::Log,
};
use crate::{
    Entry, State,
    snapshot::{SnapshotError, decode, digest, encode},
};

/// Reads every prefix of a log from its snapshot, and goes on from each, and from one of them to the end.
fn check(entries: &[Entry], early: usize) {
    let mut state = Log::new().state;
    let (mut other, mut kept) = (state.clone(), None);
    for (at, entry) in entries.iter().enumerate() {
        state.apply(entry).unwrap();
        other.apply(entry).unwrap();
        assert_eq!(other, state, "went on from the snapshot before {entry:?}");
        if let Some(kept) = &mut kept {
            State::apply(kept, entry).unwrap();
        }
        if !state.owed.is_empty() {
            assert_eq!(encode(&state), Err(SnapshotError::Owed));
            continue;
        }
        let bytes = encode(&state).unwrap();
        assert_eq!(bytes, encode(&other).unwrap(), "of equal states");
        other = decode(&bytes).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&bytes)));
        assert_eq!(other, state, "read back");
        if at >= early && kept.is_none() {
            kept = Some(other.clone());
        }
    }
    assert!(kept.is_none_or(|kept| kept == state), "went on to the end");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_prefix_of_a_log_reads_back(history in history(0..60), early in any::<Index>()) {
        let entries = grow(history).entries;
        check(&entries, early.index(entries.len()));
    }

    #[test]
    fn every_prefix_of_a_log_under_rules_reads_back(moves in moves(), early in any::<Index>()) {
        let entries = ruled(moves).entries;
        check(&entries, early.index(entries.len()));
    }
}

/// What the property above says is said of little if nothing happens under the rules.
#[test]
fn logs_under_rules_have_what_rules_do() {
    let mut runner = TestRunner::deterministic();
    let (mut found, mut running) = (BTreeSet::new(), 0);
    for _ in 0..100 {
        let log = ruled(moves().new_tree(&mut runner).unwrap().current());
        found.extend(log.entries.iter().map(|entry| entry.event.kind()));
        running += usize::from(
            String::from_utf8(encode(&log.state).unwrap())
                .unwrap()
                .contains("{\"running\""),
        );
    }
    for kind in [
        "breaker_warned",
        "breaker_tripped",
        "breaker_closed",
        "breaker_reset",
        "limit_loaded",
        "pep_loaded",
    ] {
        assert!(found.contains(kind), "{kind} of {found:?}");
    }
    assert!(running > 0, "no probe was ever in flight");
}

/// The bytes with a line for each field: joined, they are the bytes.
fn lines(bytes: &[u8]) -> String {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    let mut text = String::new();
    for letter in std::str::from_utf8(bytes).unwrap().chars() {
        text.push(letter);
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '{' | '[' if !quoted => depth += 1,
            '}' | ']' if !quoted => depth -= 1,
            ',' if !quoted && depth <= 2 => text.push('\n'),
            _ => {}
        }
    }
    text
}

#[test]
fn a_rich_state_has_these_bytes() {
    let log = rich();
    check(&log.entries, log.entries.len() / 2);
    insta::assert_snapshot!(lines(&encode(&log.state).unwrap()));
}

#[test]
fn the_digest_is_that_of_the_bytes() {
    assert_eq!(
        digest(b"abc").to_string(),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    let bytes = encode(&rich().state).unwrap();
    let read = decode(&bytes).unwrap();
    assert_eq!(digest(&encode(&read).unwrap()), digest(&bytes));
}
