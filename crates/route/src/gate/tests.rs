use proptest::prelude::*;

use super::*;
use std::time::Duration;

fn agent(name: &str) -> Sharer {
    (TenantName::default_tenant(), AgentName::new(name).unwrap())
}

/// Plays steps on two places and four waiting. `a` asks for agent a, `A` gives a place of a's back.
fn check(steps: &str, expected: &str) {
    let mut share = Share::new(2, 4);
    let mut seen = Vec::new();
    for (at, step) in steps.chars().enumerate() {
        let who = agent(&step.to_ascii_lowercase().to_string());
        if step.is_ascii_lowercase() {
            let (entered, displaced) = share.enter(&who, format!("{step}{at}"));
            let word = match entered {
                Entered::Now => "now".to_owned(),
                Entered::Waits(_) => "waits".to_owned(),
                Entered::Full => "full".to_owned(),
            };
            seen.push(match displaced {
                Some(call) => format!("{word}-{call}"),
                None => word,
            });
        } else {
            let next = share.leave(&who);
            seen.push(next.map_or("free".to_owned(), |(_, call)| call));
        }
    }
    assert_eq!(seen.join(" "), expected, "{steps}");
}

#[test]
fn places_go_to_who_has_fewest() {
    check("aAa", "now free now");
    check("aaaA", "now now waits a2");
    // b waits behind three of a's, and is next all the same.
    check("aaaaabA", "now now waits waits waits waits b5");
    check("abaabABA", "now now waits waits waits a2 b4 a3");
    // Equals take turns.
    check("aacbcbAACB", "now now waits waits waits waits c2 b3 c4 b5");
}

#[test]
fn a_full_queue_makes_room_for_who_has_least_in_it() {
    check("aaaaaaa", "now now waits waits waits waits full");
    check("aaaaaab", "now now waits waits waits waits waits-a5");
    check("aaaaaabb", "now now waits waits waits waits waits-a5 waits-a4");
    // At equal length nobody gives way.
    check("aaaaaabbb", "now now waits waits waits waits waits-a5 waits-a4 full");
}

#[test]
fn nothing_is_kept_of_who_is_gone() {
    let mut share = Share::new(1, 4);
    let who = agent("a");
    assert_eq!(share.enter(&who, ()).0, Entered::Now);
    let (Entered::Waits(ticket), None) = share.enter(&who, ()) else {
        panic!("it waits");
    };
    assert_eq!(share.withdraw(&who, ticket), Some(()));
    assert_eq!(share.withdraw(&who, ticket), None);
    assert_eq!(share.leave(&who), None);
    assert!(share.agents.is_empty() && share.next.is_empty() && share.longest.is_empty());
}

proptest! {
    #[test]
    fn places_are_never_lost_nor_given_twice(
        places in 1_usize..4,
        most in 0_usize..6,
        steps in prop::collection::vec((0_u8..3, 0_usize..4), 0..200),
    ) {
        let names = ["a", "b", "c", "d"].map(agent);
        let mut share = Share::new(places, most);
        let mut running: Vec<Sharer> = Vec::new();
        let mut waiting: Vec<(Sharer, u64)> = Vec::new();
        for (number, (step, which)) in steps.into_iter().enumerate() {
            let call = u64::try_from(number).unwrap();
            match step {
                0 => {
                    let (entered, displaced) = share.enter(&names[which], call);
                    if let Some(gone) = displaced {
                        waiting.retain(|(_, call)| *call != gone);
                    }
                    match entered {
                        Entered::Now => running.push(names[which].clone()),
                        Entered::Waits(_) => waiting.push((names[which].clone(), call)),
                        Entered::Full => {}
                    }
                }
                1 if !running.is_empty() => {
                    let who = running.remove(which % running.len());
                    let least = waiting
                        .iter()
                        .map(|(name, _)| running.iter().filter(|running| *running == name).count())
                        .min();
                    match share.leave(&who) {
                        Some((next, call)) => {
                            let has = running.iter().filter(|running| **running == next).count();
                            prop_assert_eq!(Some(has), least, "the place goes to who has fewest");
                            prop_assert!(waiting.iter().any(|(name, waits)| *name == next && *waits == call));
                            waiting.retain(|(_, waits)| *waits != call);
                            running.push(next);
                        }
                        None => prop_assert!(waiting.is_empty()),
                    }
                }
                _ => {}
            }
            prop_assert_eq!(running.len() + share.free, places);
            prop_assert_eq!(waiting.len(), share.waiting);
            prop_assert!(waiting.len() <= most);
            prop_assert!(share.free == 0 || waiting.is_empty());
        }
    }
}

fn gate(running: usize, waiting: usize, patience: Duration) -> Arc<Gate> {
    Arc::new(Gate::new(Places {
        running,
        waiting,
        patience,
    }))
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(3_600)
}

#[tokio::test]
async fn a_place_that_is_given_back_wakes_who_waits() {
    let gate = gate(1, 1, Duration::from_secs(60));
    let first = gate.enter(agent("a"), later()).await.unwrap();
    let second = tokio::spawn({
        let gate = gate.clone();
        async move { gate.enter(agent("b"), later()).await.map(drop) }
    });
    while gate.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(gate.enter(agent("b"), later()).await.err(), Some(Busy::Full));
    drop(first);
    assert_eq!(second.await.unwrap(), Ok(()));
    assert!(
        gate.enter(agent("c"), later()).await.is_ok(),
        "the second place was given back as well"
    );
}

#[tokio::test]
async fn patience_ends_and_the_place_in_the_queue_with_it() {
    let gate = gate(1, 1, Duration::from_millis(1));
    let first = gate.enter(agent("a"), later()).await.unwrap();
    assert_eq!(gate.enter(agent("b"), later()).await.err(), Some(Busy::Late));
    assert_eq!(gate.waiting(), 0);
    drop(first);
    assert!(gate.enter(agent("b"), later()).await.is_ok());
}

#[tokio::test]
async fn who_goes_away_loses_no_place_for_others() {
    let gate = gate(1, 4, Duration::from_secs(60));
    let first = gate.enter(agent("a"), later()).await.unwrap();
    let waits = tokio::spawn({
        let gate = gate.clone();
        async move { gate.enter(agent("b"), later()).await.map(drop) }
    });
    while gate.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    // Called and gone at once: on one thread it cannot have taken the place yet.
    drop(first);
    waits.abort();
    drop(waits.await);
    assert!(gate.enter(agent("c"), later()).await.is_ok());
}

#[tokio::test]
async fn a_displaced_call_that_is_dropped_unpolled_brings_no_place() {
    let gate = gate(1, 2, Duration::from_secs(60));
    let first = gate.enter(agent("a"), later()).await.unwrap();
    let mut waits: Vec<_> = (0..2).map(|_| Box::pin(gate.enter(agent("a"), later()))).collect();
    for waiting in &mut waits {
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    }
    // b has none waiting and a two: a's newest gives way, and is dropped before it hears of it.
    let mut other = Box::pin(gate.enter(agent("b"), later()));
    assert!(futures_util::poll!(other.as_mut()).is_pending());
    drop(waits);
    drop(other);
    drop(first);
    assert_eq!(gate.share().free, 1);
}

#[tokio::test]
async fn nobody_waits_beyond_the_deadline() {
    let gate = gate(1, 1, Duration::from_secs(60));
    let first = gate.enter(agent("a"), later()).await.unwrap();
    assert_eq!(gate.enter(agent("b"), Instant::now()).await.err(), Some(Busy::Late));
    drop(first);
}
