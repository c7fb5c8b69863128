//! A log gives the same state however often it is read, and no other log passes for it.

use proptest::prelude::*;

use ledger::Attempt;
use model::Digest;

use super::samples::{Log, action_id, agent, agent_loaded, budget_loaded, by, denial, key_issued, overrun_cleared};
use crate::{AdminRecord, Denial, Entry, EntryError, Event, PolicyFile, Role, State};

/// One thing that may happen next. What is impossible when its turn comes is left out.
#[derive(Clone, Debug)]
enum Step {
    Ask { alone: bool, hold: i64 },
    End { which: prop::sample::Index, cost: i64 },
    Deny { alone: bool },
    Wait { micros: i64 },
    Limit { own: bool, limit: i64 },
    Load { alone: bool },
    Remove { alone: bool },
    Issue,
    Revoke { which: prop::sample::Index },
    Policy,
    Admin,
    Accept,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (any::<bool>(), 0..700_i64).prop_map(|(alone, hold)| Step::Ask { alone, hold }),
        6 => (any::<prop::sample::Index>(), 0..800_i64).prop_map(|(which, cost)| Step::End { which, cost }),
        2 => any::<bool>().prop_map(|alone| Step::Deny { alone }),
        2 => (0..50_000_000_000_i64).prop_map(|micros| Step::Wait { micros }),
        1 => (any::<bool>(), 0..3_000_i64).prop_map(|(own, limit)| Step::Limit { own, limit }),
        1 => any::<bool>().prop_map(|alone| Step::Load { alone }),
        1 => any::<bool>().prop_map(|alone| Step::Remove { alone }),
        1 => Just(Step::Issue),
        1 => any::<prop::sample::Index>().prop_map(|which| Step::Revoke { which }),
        1 => Just(Step::Policy),
        1 => Just(Step::Admin),
        1 => Just(Step::Accept),
    ]
}

fn name(alone: bool) -> &'static str {
    if alone { "alone" } else { "shared" }
}

/// Grows a valid log. Whether a step is possible is for the fold to say, which leaves no trace of one that is not.
fn grow(steps: Vec<Step>) -> Log {
    let mut log = Log::furnished();
    for (number, step) in (10..).zip(steps) {
        let event = match step {
            Step::Ask { alone, hold } => log.intent(name(alone), action_id(number), hold).map(Event::Intent),
            Step::End { which, cost } => {
                let mut open: Vec<&Attempt> = log.state.open.keys().collect();
                open.sort_unstable();
                let attempt = (!open.is_empty()).then(|| *open[which.index(open.len())]);
                attempt.map(|attempt| Event::Outcome(log.outcome(attempt, cost)))
            }
            Step::Deny { alone } => Some(Event::Denial(Denial {
                action: log.action(name(alone), action_id(number)),
                ..denial()
            })),
            Step::Wait { micros } => {
                log.now += micros;
                None
            }
            Step::Limit { own, limit } => Some(budget_loaded(if own { "own" } else { "team" }, limit)),
            Step::Load { alone } => Some(agent_loaded(name(alone), &["own", "team"])),
            Step::Remove { alone } => Some(Event::AgentRemoved {
                agent: agent(name(alone)),
                by: by(),
            }),
            Step::Issue => Some(key_issued(&format!("k{number}"), "alone")),
            Step::Revoke { which } => {
                let keys: Vec<_> = log.state.keys.keys().collect();
                let key = keys[which.index(keys.len())].clone();
                Some(Event::KeyRevoked {
                    key,
                    note: String::new(),
                    by: by(),
                })
            }
            Step::Policy => {
                let text = format!("// {number}");
                log.push(Event::PolicyFile(PolicyFile {
                    file: "a.cedar".to_owned(),
                    text,
                }));
                let files = vec![log.state.size - 1];
                Some(Event::PolicyLoaded {
                    bundle: Digest([number; 32]),
                    files,
                    by: by(),
                })
            }
            Step::Admin => {
                let admin = AdminRecord {
                    name: by(),
                    role: Role::Owner,
                    verifier: Digest([number; 32]),
                };
                Some(Event::AdminAdded { admin, by: by() })
            }
            Step::Accept => Some(overrun_cleared()),
        };
        if let Some(event) = event
            && log.state.clone().apply(&log.next(event.clone())).is_ok()
        {
            log.push(event);
        }
    }
    log
}

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
    fn a_log_read_back_gives_the_same_state(steps in prop::collection::vec(step(), 0..60)) {
        let log = grow(steps);
        let bytes: Vec<Vec<u8>> = log.entries.iter().map(|entry| entry.encode().unwrap()).collect();
        let read: Vec<Entry> = bytes.iter().map(|bytes| Entry::decode(bytes).unwrap()).collect();
        prop_assert_eq!(&read, &log.entries);
        prop_assert_eq!(replay(&read), Ok(log.state));
    }

    #[test]
    fn a_log_with_one_entry_dropped_doubled_or_moved_is_refused(
        steps in prop::collection::vec(step(), 0..30),
        one in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
    ) {
        let entries = grow(steps).entries;
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
    fn an_action_cannot_be_left_out(steps in prop::collection::vec(step(), 1..40), which in any::<prop::sample::Index>()) {
        let mut log = grow(steps);
        let acts = |entry: &&Entry| matches!(entry.event, Event::Intent(_) | Event::Denial(_));
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
            if let Event::PolicyLoaded { files, .. } = &mut entry.event {
                files.iter_mut().for_each(|file| *file -= u64::from(*file > left_out));
            }
            entry
        });
        prop_assert!(replay(&forged.collect::<Vec<_>>()).is_err());
    }
}
