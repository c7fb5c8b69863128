//! What enforcement points are answered: recorded before, or just after, and never lost while the process lives.

use std::sync::atomic::Ordering::Relaxed;

use entry::{
    Decided, DecidedCall, DecidedItem, Decision, Entry, Event, MAX_ENTRY_BYTES, Party, PepKeyRecord, PepReasons,
    PepRecord, PepRight, PolicyFile,
};
use model::{Digest, PepName, Pseudonym, Timestamp};

use super::world::{NOON, RESERVE, SECOND, World, action_id, by, denied, key, key_revoked, tenant};
use crate::{
    DecideError, Handle, Recording, Unavailable,
    db::faults::Fate::{Fails, FailsButLands},
};

fn pep() -> PepName {
    PepName::new("documents").unwrap()
}

fn pep_loaded() -> Event {
    let pep = PepRecord {
        name: pep(),
        owner: Pseudonym("9f86d081884c7d659a2feaa0c55ad015".to_owned()),
        purpose: "Tests".to_owned(),
        may: vec![PepRight::Evaluate],
        reasons: PepReasons::default(),
        certificates: Vec::new(),
    };
    Event::PepLoaded { pep, by: by() }
}

/// An enforcement point with a credential, and a bundle in effect, behind the four entries of every world.
async fn world() -> World {
    let world = World::new().await;
    world.change(prepared()).await.unwrap();
    world
}

fn prepared() -> Vec<Event> {
    let record = PepKeyRecord {
        id: key("kp"),
        pep: pep(),
        label: "production".to_owned(),
        verifier: Digest([7; 32]),
        expires: None,
    };
    let file = PolicyFile {
        file: "a.cedar".to_owned(),
        text: String::new(),
        sha256: None,
    };
    vec![
        pep_loaded(),
        Event::PepKeyIssued { key: record, by: by() },
        Event::PolicyFile(file),
        Event::PolicyLoaded {
            bundle: Digest([1; 32]),
            files: vec![6],
            by: by(),
        },
    ]
}

fn decided(number: u32) -> Decided {
    let party = |kind: &str, id: &str| {
        let (kind, id) = (kind.to_owned(), Some(id.to_owned()));
        Some(Party { kind, id })
    };
    let item = DecidedItem {
        subject: party("User", "ada"),
        action: Some("read".to_owned()),
        resource: party("Document", "q3"),
        input: None,
        digest: None,
        outcome: Decision::Permit,
        code: "permitted".to_owned(),
        policies: vec!["sales".to_owned()],
    };
    Decided {
        id: action_id(number),
        pep: Some(pep()),
        key: Some(key("kp")),
        certificate: None,
        seq: 0,
        call: DecidedCall::Evaluation,
        bundle: 7,
        entities: 0,
        items: vec![item],
        found: None,
        condensed: None,
        left_out: None,
        at: None,
    }
}

async fn decide(world: &World, decided: Decided, recording: Recording) -> Result<Option<u64>, DecideError> {
    let epoch = world.view().await.epoch;
    world.handle.decide(tenant(), epoch, decided, recording).await
}

/// The decisions in the log: whose number, and as of when.
async fn recorded(world: &World) -> Vec<(model::ActionId, u64, Option<Timestamp>)> {
    let (_, entries) = world.log().await;
    decisions(&entries)
}

fn decisions(entries: &[Entry]) -> Vec<(model::ActionId, u64, Option<Timestamp>)> {
    let decided = entries.iter().filter_map(|entry| match &entry.event {
        Event::Decided(decided) => Some((decided.id, decided.seq, decided.at)),
        _ => None,
    });
    decided.collect()
}

fn waiting(handle: &Handle) -> (u64, u64) {
    let stats = handle.stats();
    (
        stats.decisions_waiting.load(Relaxed),
        stats.decisions_lost.load(Relaxed),
    )
}

#[tokio::test]
async fn what_is_answered_is_in_the_log_in_order() {
    let world = world().await;
    assert_eq!(decide(&world, decided(1), Recording::Durable).await, Ok(Some(8)));
    assert_eq!(decide(&world, decided(2), Recording::Buffered).await, Ok(None));
    let nobody = Decided {
        pep: None,
        key: None,
        ..decided(3)
    };
    assert_eq!(decide(&world, nobody, Recording::Durable).await, Ok(Some(10)));
    let expected = [(1, 1), (2, 2), (3, 1)].map(|(id, seq)| (action_id(id), seq, None));
    assert_eq!(recorded(&world).await, expected);
    assert_eq!(waiting(&world.handle), (0, 0));
    let view = world.view().await;
    assert_eq!((view.peps[&pep()].seq, view.pep_keys.len(), view.entities), (2, 1, 0));
}

#[tokio::test]
async fn what_rests_on_what_is_gone_is_decided_anew() {
    let world = world().await;
    let before = world.view().await.epoch;
    world.change(vec![key_revoked("kp")]).await.unwrap();
    let epoch = world.view().await.epoch;
    assert_ne!(before, epoch);
    for (recording, under) in [
        (Recording::Durable, before),
        (Recording::Durable, epoch),
        (Recording::Buffered, before),
    ] {
        let answer = world.handle.decide(tenant(), under, decided(1), recording).await;
        assert!(
            matches!(&answer, Err(DecideError::Stale { epoch: now, .. }) if *now == epoch),
            "{recording:?} {under}: {answer:?}"
        );
    }
    assert_eq!(recorded(&world).await, []);
}

/// A revocation that comes between an answer and its entry does not make the entry impossible.
#[tokio::test]
async fn an_answer_before_a_revocation_is_recorded_behind_it() {
    let world = world().await;
    let epoch = world.view().await.epoch;
    world.clock.pass(SECOND);
    world.faults.stall(true);
    // Its write does not end, and what comes meanwhile is one batch.
    let denying = tokio::spawn({
        let handle = world.handle.clone();
        async move { handle.deny(denied(1)).await }
    });
    tokio::task::yield_now().await;
    let revoking = tokio::spawn({
        let handle = world.handle.clone();
        async move { handle.change(tenant(), vec![key_revoked("kp")]).await }
    });
    while world.handle.commands.capacity() == world.handle.commands.max_capacity() {
        tokio::task::yield_now().await;
    }
    world
        .handle
        .decide(tenant(), epoch, decided(2), Recording::Buffered)
        .await
        .unwrap();
    assert_eq!(waiting(&world.handle), (1, 0));
    world.faults.stall(false);
    denying.await.unwrap().unwrap();
    revoking.await.unwrap().unwrap();
    let as_of = Some(Timestamp::from_unix_micros(NOON));
    assert_eq!(recorded(&world).await, [(action_id(2), 1, as_of)]);
    assert_eq!(waiting(&world.handle), (0, 0));
}

#[tokio::test]
async fn decisions_survive_writes_that_fail() {
    for fates in [
        &[Fails][..],
        &[FailsButLands],
        &[Fails, Fails],
        &[FailsButLands, FailsButLands],
        &[Fails, FailsButLands],
        &[Fails, FailsButLands, Fails],
    ] {
        let world = world().await;
        world.faults.appends(fates);
        // The recovery writes only where there is something to write.
        decide(&world, decided(1), Recording::Buffered).await.unwrap();
        world.view().await;
        world.healthy().await;
        let durable = loop {
            match decide(&world, decided(2), Recording::Durable).await {
                Ok(index) => break index,
                Err(DecideError::Unavailable(Unavailable)) => world.healthy().await,
                Err(other) => panic!("{fates:?}: {other}"),
            }
        };
        assert!(durable.is_some());
        let found = recorded(&world).await;
        let times = |id| found.iter().filter(|(found, ..)| *found == action_id(id)).count();
        assert_eq!(times(1), 1, "{fates:?}: {found:?}");
        assert!(times(2) >= 1, "{fates:?}: {found:?}");
        assert_eq!(waiting(&world.handle), (0, 0), "{fates:?}");
        let world = world.restart().await;
        assert_eq!(recorded(&world).await, found, "{fates:?}");
    }
}

/// Fail closed: in either mode, as soon as nothing can be recorded.
#[tokio::test]
async fn nothing_is_answered_while_nothing_can_be_recorded() {
    let world = world().await;
    let epoch = world.view().await.epoch;
    let ask = |number, recording| world.handle.decide(tenant(), epoch, decided(number), recording);
    let unavailable = Err(DecideError::Unavailable(Unavailable));
    world.faults.read_only(true);
    assert_eq!(ask(1, Recording::Durable).await, unavailable);
    assert_eq!(ask(2, Recording::Buffered).await, unavailable);
    world.faults.read_only(false);
    world.healthy().await;
    // The disk is all but full: what is left is for calls in flight.
    world.faults.set_free(Some(RESERVE - 1));
    world.clock.pass(60 * SECOND);
    assert_eq!(ask(3, Recording::Durable).await, unavailable);
    world.troubled().await;
    assert_eq!(ask(4, Recording::Buffered).await, unavailable);
    world.faults.set_free(None);
    world.clock.pass(60 * SECOND);
    world.handle.deny(denied(5)).await.unwrap();
    world.healthy().await;
    ask(6, Recording::Durable).await.unwrap();
    assert_eq!(recorded(&world).await, [(action_id(6), 1, None)]);
}

#[tokio::test]
async fn a_stop_writes_what_was_answered() {
    let world = world().await;
    let epoch = world.view().await.epoch;
    for number in 0..300 {
        world
            .handle
            .decide(tenant(), epoch, decided(number), Recording::Buffered)
            .await
            .unwrap();
    }
    let handle = world.handle.clone();
    let stopping = tokio::spawn(async move { handle.stop("requested").await });
    // Behind the order to stop, or in front of it: whoever is answered is recorded.
    let mut answered = 300;
    while !stopping.is_finished() {
        let late = world
            .handle
            .decide(tenant(), epoch, decided(answered), Recording::Buffered);
        answered += u32::from(late.await.is_ok());
        tokio::task::yield_now().await;
    }
    stopping.await.unwrap();
    let late = world
        .handle
        .decide(tenant(), epoch, decided(answered), Recording::Buffered);
    answered += u32::from(late.await.is_ok());
    let clock = world.clock.clone();
    let dir = world.stop().await;
    let world = World::open(dir, clock, &[])
        .await
        .unwrap_or_else(|(_, error)| panic!("{error}"));
    let found = recorded(&world).await;
    let expected: Vec<_> = (0..answered)
        .map(|id| (action_id(id), u64::from(id) + 1, None))
        .collect();
    assert_eq!(found, expected);
}

/// A call of a thousand questions is one entry too.
#[tokio::test]
async fn what_is_too_long_is_shortened() {
    let world = world().await;
    let one = decided(1).items.remove(0);
    let long = Decided {
        call: DecidedCall::Evaluations,
        items: vec![one; 1_000],
        ..decided(1)
    };
    decide(&world, long, Recording::Durable).await.unwrap();
    let (_, entries) = world.log().await;
    let Event::Decided(found) = &entries.last().unwrap().event else {
        panic!()
    };
    assert_eq!(found.condensed.unwrap().permitted, 1_000);
    assert!(entries.last().unwrap().encode().unwrap().len() <= MAX_ENTRY_BYTES);
}
