//! A log gives the same state however often it is read, and no other log passes for it.

use std::collections::BTreeSet;

use proptest::{prelude::*, sample::Index, strategy::ValueTree, test_runner::TestRunner};

use ledger::{Amount, Period};

use super::{
    history::{grow, history, name},
    log::Log,
    samples::{action_id, budget, denial, every_event},
};
use crate::{Denial, Entry, EntryError, Event, Intent, State};

fn replay<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<State, EntryError> {
    let mut state = Log::new().state;
    for entry in entries {
        let before = state.clone();
        if let Err(error) = state.apply(entry) {
            assert_eq!(state, before, "a refused entry changed the state");
            return Err(error);
        }
    }
    Ok(state)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_log_read_back_gives_the_same_state(history in history(0..60)) {
        let log = grow(history);
        let bytes: Vec<Vec<u8>> = log.entries.iter().map(|entry| entry.encode().unwrap()).collect();
        let read: Vec<Entry> = bytes.iter().map(|bytes| Entry::decode(bytes).unwrap()).collect();
        prop_assert_eq!(&read, &log.entries);
        prop_assert_eq!(replay(&read), Ok(log.state));
    }

    #[test]
    fn a_log_with_one_entry_dropped_doubled_or_moved_is_refused(
        history in history(0..30),
        one in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
    ) {
        let entries = grow(history).entries;
        let (one, other) = (one.index(entries.len()), other.index(entries.len()));
        // A log without its last entries is a log: only a signed checkpoint tells. So something comes after the gap.
        if one + 1 < entries.len() {
            let mut dropped = entries.clone();
            dropped.remove(one);
            prop_assert!(replay(&dropped).is_err());
        }
        let mut doubled = entries.clone();
        doubled.insert(other, entries[one].clone());
        prop_assert!(replay(&doubled).is_err());
        if one != other {
            let mut swapped = entries;
            swapped.swap(one, other);
            prop_assert!(replay(&swapped).is_err());
        }
    }

    /// Renumbering what follows does not help: an agent's next action misses the one before it.
    #[test]
    fn an_action_cannot_be_left_out(history in history(1..40), which in any::<prop::sample::Index>()) {
        let mut log = grow(history);
        let acts = |entry: &&Entry| matches!(entry.event, Event::Intent(_) | Event::Denial(_) | Event::Asked(_));
        let acts: Vec<u64> = log.entries.iter().filter(acts).map(|entry| entry.index).collect();
        prop_assume!(!acts.is_empty());
        // Every agent acts once more.
        for alone in [true, false] {
            log.push(Event::Denial(Denial { action: log.action(name(alone), action_id(2)), ..denial() }));
        }
        let left_out = acts[which.index(acts.len())];
        let forged = log.entries.iter().filter(|entry| entry.index != left_out).cloned().map(|mut entry| {
            entry.index -= u64::from(entry.index > left_out);
            if let Event::Outcome(outcome) = &mut entry.event {
                outcome.intent -= u64::from(outcome.intent > left_out);
            }
            if let Event::Overrun(overrun) = &mut entry.event {
                overrun.outcome -= u64::from(overrun.outcome > left_out);
            }
            if let Event::ThresholdReached(reached) = &mut entry.event {
                reached.outcome -= u64::from(reached.outcome > left_out);
            }
            if let Event::PolicyLoaded { files, .. } = &mut entry.event {
                files.iter_mut().for_each(|file| *file -= u64::from(*file > left_out));
            }
            entry
        });
        prop_assert!(replay(&forged.collect::<Vec<_>>()).is_err());
    }

    /// What follows from an outcome cannot be left out, nor told of it again.
    #[test]
    fn what_is_owed_cannot_be_left_out(history in history(0..60)) {
        let log = grow(history);
        let owed = |event: &Event| matches!(event, Event::Overrun(_) | Event::ThresholdReached(_));
        let mut state = Log::new().state;
        for (entry, next) in log.entries.iter().zip(log.entries.iter().skip(1)) {
            if owed(&entry.event) {
                let left_out = Entry { index: entry.index, ..next.clone() };
                prop_assert!(state.clone().apply(&left_out).is_err());
            }
            state.apply(entry).unwrap();
            let again = Entry { index: state.size, ..entry.clone() };
            prop_assert!(!owed(&entry.event) || state.clone().apply(&again).is_err());
        }
    }

    /// Whatever is changed of where a hold is booked, it is not a hold that follows.
    #[test]
    fn no_booking_can_be_another(
        history in history(1..40),
        which in any::<Index>(),
        change in 0..9_usize,
    ) {
        let log = grow(history);
        let mut state = Log::new().state;
        for entry in &log.entries {
            if let Event::Intent(intent) = &entry.event {
                let mut forged = intent.clone();
                let at = which.index(forged.bookings.len());
                forge(&mut forged, at, change);
                let event = Event::Intent(forged);
                if event != entry.event {
                    let mut trial = state.clone();
                    let forged = Entry { event, ..entry.clone() };
                    prop_assert!(trial.apply(&forged).is_err(), "{:?}", forged);
                    prop_assert_eq!(&trial, &state);
                }
            }
            state.apply(entry).unwrap();
        }
    }
}

fn forge(intent: &mut Intent, at: usize, change: usize) {
    let count = intent.bookings.len();
    let booking = &mut intent.bookings[at];
    match change {
        0 => booking.used = Amount(booking.used.0 + 1),
        1 => booking.limit = Amount(booking.limit.0 - 1),
        2 => booking.of.push("three".to_owned()),
        3 => booking.of = booking.of.iter().map(|_| "three".to_owned()).collect(),
        4 => {
            let Period { start, end } = &mut booking.period;
            (*start, *end) = (*end, end.saturating_add_micros(end.micros_since(*start)));
        }
        5 => booking.budget = budget("another"),
        6 => drop(intent.bookings.remove(at)),
        7 => intent.bookings.swap(at, (at + 1) % count),
        _ => {
            let booking = booking.clone();
            intent.bookings.push(booking);
        }
    }
}

/// What the properties above say is said of little if histories do not come so far.
#[test]
fn histories_have_entries_of_every_kind_of_a_call() {
    let mut runner = TestRunner::deterministic();
    let mut found = BTreeSet::new();
    for _ in 0..100 {
        let history = history(0..60).new_tree(&mut runner).unwrap().current();
        found.extend(grow(history).entries.iter().map(|entry| entry.event.kind()));
    }
    let elsewhere = [
        "replay",
        "spool_applied",
        "prices_loaded",
        "upstreams_loaded",
        "admin_removed",
        "started",
        "stopped",
        "limit_loaded",
        "limit_removed",
        "breaker_loaded",
        "breaker_removed",
        "breaker_warned",
        "breaker_tripped",
        "breaker_closed",
        "breaker_reset",
        "pep_loaded",
        "pep_removed",
        "pep_key_issued",
        "entities_changed",
        "decided",
        "heads",
        "heartbeat",
        "signing_key_added",
        "signing_key_retired",
        "restored",
        "quorum_missed",
        "quorum_met",
        "fork_reported",
        "snapshot_taken",
        "expired",
        "legal_hold_set",
        "legal_hold_lifted",
    ];
    let all: BTreeSet<&str> = every_event().iter().map(Event::kind).collect();
    let missing: Vec<_> = all
        .difference(&found)
        .filter(|kind| !elsewhere.contains(kind))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
