//! What a hold request is answered, and how a hold ends.

use std::{collections::HashSet, pin::pin, sync::atomic::Ordering::Relaxed};

use entry::{Action, Event, MAX_ENTRY_BYTES, Status, Why};
use ledger::Amount;
use model::{AgentName, NanoUsd, Reason, TenantName, UsageSource};

use super::world::{
    World, agent_loaded, ask, budget_loaded, by, denied, ended, key, key_issued, key_revoked, outcomes, poll_once,
    request, tenant,
};
use crate::{Ask, ChangeError, Denied, Ending, HoldAnswer, HoldRequest, Replayed, Unavailable};

#[tokio::test]
async fn a_hold_is_settled_and_survives_a_restart() {
    let world = World::new().await;
    let mut hold = world.held(1, 400).await;
    assert_eq!(
        (hold.amount(), hold.remaining(), hold.intent()),
        (NanoUsd(400), Some(NanoUsd(600)), 4)
    );
    assert_eq!(world.handle.open_holds(), 1);
    hold.begin();
    let ending = Ending {
        http: Some(200),
        reply: "commitment".to_owned(),
        provider_id: Some("id".to_owned()),
        ..ended(250)
    };
    hold.settle(ending);
    world.open_is(0).await;
    let (before, entries) = world.log().await;
    let Event::Outcome(outcome) = &entries[5].event else {
        panic!("{entries:?}")
    };
    assert_eq!(
        (outcome.intent, outcome.status, outcome.cost),
        (4, Status::Ok, NanoUsd(250))
    );
    assert_eq!((outcome.http, outcome.reply.as_str()), (Some(200), "commitment"));
    assert_eq!(
        (outcome.provider_id.as_deref(), outcome.overrun),
        (Some("id"), NanoUsd::ZERO)
    );
    assert_eq!(world.handle.open_holds(), 0);

    let world = world.restart().await;
    let (after, _) = world.log().await;
    let (before, mut after) = (before.state, after.state);
    // Nothing has happened but a stop and a start.
    assert_eq!((before.size + 2, before.boot + 1), (after.size, after.boot));
    (after.size, after.boot) = (before.size, before.boot);
    assert_eq!(before, after);
    let balance = &world.balance().await;
    assert_eq!((balance.settled, balance.held), (Amount(250), Amount::ZERO));
}

#[tokio::test]
async fn a_hold_may_cost_more_than_it_holds() {
    let world = World::new().await;
    world.held(1, 400).await.settle(ended(450));
    world.open_is(0).await;
    let (_, entries) = world.log().await;
    let overruns: Vec<_> = outcomes(&entries)
        .map(|outcome| (outcome.cost, outcome.overrun))
        .collect();
    assert_eq!(overruns, [(NanoUsd(450), NanoUsd(50))]);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_recorded() {
    let world = World::new().await;
    let _hold = world.held(1, 900).await;
    let HoldAnswer::Refused(over, resets_at) = world.handle.hold(world.request(2, 101).await).await else {
        panic!()
    };
    assert_eq!((over.limit, over.spent), (Amount(1_000), Amount::ZERO));
    assert_eq!((over.held, over.asked), (Amount(900), Amount(101)));
    assert!(resets_at.is_some_and(|at| at > over_time(&world)));
    let (_, entries) = world.log().await;
    let Event::Denial(denial) = &entries[5].event else {
        panic!("{entries:?}")
    };
    assert_eq!(
        (denial.reason, denial.over.as_ref()),
        (Reason::BudgetExhausted, Some(&*over))
    );
    assert_eq!(denial.action.seq, 2);
}

fn over_time(world: &World) -> model::Timestamp {
    use crate::Clock as _;
    world.clock.now()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hundred_at_once_the_budget_affords_thirty_seven() {
    let world = World::new().await;
    let epoch = world.view().await.epoch;
    let asked = (0..200).map(|number| {
        let handle = world.handle.clone();
        // 37 * 27 = 999.
        tokio::spawn(async move { handle.hold(request(number, 27, epoch)).await })
    });
    let asked: Vec<_> = asked.collect();
    let (mut held, mut refused) = (Vec::new(), 0);
    for answer in asked {
        match answer.await.unwrap() {
            HoldAnswer::Held(hold) => held.push(hold),
            HoldAnswer::Refused(..) => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((held.len(), refused), (37, 163));
    // Reading the log checks settled + held after every entry.
    let (_, entries) = world.log().await;
    let kinds = |kind| entries.iter().filter(|entry| entry.event.kind() == kind).count();
    assert_eq!((kinds("intent"), kinds("denial")), (37, 163));

    for hold in held.drain(..).step_by(2) {
        hold.settle(ended(13));
    }
    world.open_is(0).await;
    let balance = &world.balance().await;
    assert_eq!((balance.settled, balance.held), (Amount(19 * 13), Amount::ZERO));
    world.log().await;
}

#[tokio::test]
async fn a_hold_that_is_dropped_ends() {
    let world = World::new().await;
    drop(world.held(1, 100).await);
    let mut begun = world.held(2, 200).await;
    begun.begin();
    drop(begun);
    world.open_is(0).await;
    let (_, entries) = world.log().await;
    let ends: Vec<_> = outcomes(&entries).map(|it| (it.status, it.source, it.cost)).collect();
    assert_eq!(
        ends,
        [
            (Status::NotForwarded, UsageSource::Nothing, NanoUsd::ZERO),
            (Status::Indeterminate, UsageSource::Hold, NanoUsd(200)),
        ]
    );
}

/// In this runtime nothing else runs between two points of waiting, so each case is the one it says.
#[tokio::test]
async fn a_caller_that_goes_away_leaves_no_hold() {
    let world = World::new().await;
    let stats = world.handle.stats();
    let batches = || stats.batches.load(std::sync::atomic::Ordering::Relaxed);

    // Before the committer has seen the request: nobody is there to take the answer.
    let request = world.request(1, 100).await;
    let before = batches();
    {
        let mut asked = pin!(world.handle.hold(request));
        assert!(poll_once(&mut asked).await.is_pending());
    }
    world.open_is(0).await;
    assert_eq!(world.outcomes().await, [(Status::NotForwarded, 0)]);
    assert!(batches() > before);

    // After it has answered: the answer is dropped unread.
    let request = world.request(2, 100).await;
    {
        let mut asked = pin!(world.handle.hold(request));
        assert!(poll_once(&mut asked).await.is_pending());
        world.open_is(1).await;
    }
    world.open_is(0).await;
    assert_eq!(world.outcomes().await, [(Status::NotForwarded, 0); 2]);
    assert_eq!(world.balance().await.used(), Amount::ZERO);
}

#[tokio::test]
async fn what_changed_since_makes_a_decision_stale() {
    let world = World::new().await;
    world
        .change(vec![agent_loaded("other"), key_issued("kb")])
        .await
        .unwrap();
    let bundle = |file| Event::PolicyLoaded {
        bundle: model::Digest([1; 32]),
        files: vec![file],
        by: by(),
    };
    let file = entry::PolicyFile {
        file: "a.cedar".to_owned(),
        text: String::new(),
        sha256: None,
    };
    let file = world.change(vec![Event::PolicyFile(file)]).await.unwrap();
    for events in [
        vec![key_revoked("kb")],
        vec![bundle(file.first_index)],
        vec![budget_loaded(1_001)],
        vec![agent_loaded("alone")],
        vec![Event::AgentRemoved {
            agent: AgentName::new("other").unwrap(),
            by: by(),
        }],
        vec![Event::PricesLoaded {
            book: model::Digest([2; 32]),
            overrides: Vec::new(),
            by: by(),
        }],
        vec![Event::UpstreamsLoaded {
            upstreams: Vec::new(),
            by: by(),
        }],
    ] {
        let kind = events.last().unwrap().kind();
        let decided_before = world.request(1, 100).await;
        let changed = world.change(events).await.unwrap();
        let size = world.view().await.size;
        match world.handle.hold(decided_before.clone()).await {
            HoldAnswer::Stale(epoch) => assert_eq!(epoch, changed.epoch, "{kind}"),
            other => panic!("{kind}: {other:?}"),
        }
        assert_eq!(world.view().await.size, size, "{kind}: a stale request leaves an entry");
        let again = HoldRequest {
            epoch: changed.epoch,
            ..decided_before
        };
        let HoldAnswer::Held(hold) = world.handle.hold(again).await else {
            panic!("{kind}")
        };
        drop(hold);
        world.open_is(0).await;
    }
    // A new credential changes no decision.
    let decided_before = world.request(1, 100).await;
    world.change(vec![key_issued("kc")]).await.unwrap();
    assert!(matches!(world.handle.hold(decided_before).await, HoldAnswer::Held(_)));
}

/// The key is in the log, so a restart forgets nothing.
#[tokio::test]
async fn an_idempotency_key_is_paid_for_once_across_a_restart() {
    let world = World::new().await;
    let keyed = |request: HoldRequest| HoldRequest {
        idempotency: Some("key".to_owned()),
        ..request
    };
    let HoldAnswer::Held(mut hold) = world.handle.hold(keyed(world.request(1, 100).await)).await else {
        panic!("there is room")
    };
    let first = hold.attempt().action;
    hold.begin();
    hold.settle(Ending {
        cost: NanoUsd(40),
        source: UsageSource::Provider,
        ..Ending::unused(Status::Ok)
    });
    world.open_is(0).await;
    let world = world.restart().await;
    let answer = world.handle.hold(keyed(world.request(2, 100).await)).await;
    assert!(matches!(answer, HoldAnswer::Repeated(of) if of == first), "{answer:?}");
    let HoldAnswer::Held(hold) = world.handle.hold(world.request(3, 100).await).await else {
        panic!("without a key it is another call")
    };
    drop(hold);
    assert!(world.kinds().await.contains(&"denial"));
}

/// Also where the gateway is wrong: the log does not take an intent under a credential that was revoked.
#[tokio::test]
async fn a_revoked_credential_gets_no_hold_whatever_epoch_is_named() {
    let world = World::new().await;
    world.change(vec![key_revoked("ka")]).await.unwrap();
    let answer = world.handle.hold(world.request(1, 100).await).await;
    assert!(matches!(answer, HoldAnswer::Unavailable), "{answer:?}");
    // Refusals are recorded under it all the same.
    assert_eq!(world.handle.deny(denied(2)).await, Ok(6));
    assert_eq!(world.kinds().await, ["key_revoked", "denial", "denial"]);
}

#[tokio::test]
async fn an_agent_that_is_gone_is_unknown() {
    let world = World::new().await;
    let elsewhere = Ask {
        tenant: TenantName::new("elsewhere").unwrap(),
        ..ask(1)
    };
    let request = world.request(1, 100).await;
    let in_no_tenant = HoldRequest {
        ask: elsewhere.clone(),
        ..request.clone()
    };
    assert!(matches!(
        world.handle.hold(in_no_tenant).await,
        HoldAnswer::UnknownAgent
    ));
    let mut of_nobody = request.clone();
    of_nobody.ask.action.agent = AgentName::new("nobody").unwrap();
    assert!(matches!(world.handle.hold(of_nobody).await, HoldAnswer::UnknownAgent));
    let removed = Event::AgentRemoved {
        agent: AgentName::new("alone").unwrap(),
        by: by(),
    };
    world.change(vec![removed]).await.unwrap();
    assert!(matches!(world.handle.hold(request).await, HoldAnswer::UnknownAgent));
    let unrecorded = Denied {
        ask: elsewhere.clone(),
        ..denied(1)
    };
    assert_eq!(world.handle.deny(unrecorded).await, Err(Unavailable));
    // Asking about a tenant does not make it.
    assert_eq!(world.handle.view(elsewhere.tenant.clone()).await.unwrap().size, 0);
    assert!(!world.handle.heads().borrow().contains_key(&elsewhere.tenant));
}

/// What cannot be recorded is refused, and nobody else notices.
#[tokio::test]
async fn one_request_that_cannot_be_recorded_harms_no_other() {
    let world = World::new().await;
    let hold = world.held(1, 100).await;
    let request = world.request(2, 100).await;
    let with = |change: fn(&mut Action)| {
        let mut request = request.clone();
        change(&mut request.ask.action);
        request
    };
    let again = HoldRequest {
        ask: ask(1),
        ..request.clone()
    };
    let negative = HoldRequest {
        amount: NanoUsd(-1),
        ..request.clone()
    };
    let policies = HoldRequest {
        ask: ask(4),
        why: Why {
            bundle: 0,
            policies: vec!["p".repeat(MAX_ENTRY_BYTES)],
        },
        ..request.clone()
    };
    let bad = [
        policies,
        with(|action| action.model = "m".repeat(MAX_ENTRY_BYTES)),
        with(|action| action.key = key("none")),
        again,
        negative,
    ];
    // All at once, so that they share a batch with one that can.
    let good = world.handle.hold(request.clone());
    let answers = futures_util::future::join_all(bad.into_iter().map(|request| world.handle.hold(request)));
    let (good, bad) = tokio::join!(good, answers);
    assert!(matches!(good, HoldAnswer::Held(_)), "{good:?}");
    for answer in bad {
        assert!(matches!(answer, HoldAnswer::Unavailable), "{answer:?}");
    }
    let mut nobody = denied(3);
    nobody.ask.action.agent = AgentName::new("nobody").unwrap();
    assert_eq!(world.handle.deny(nobody).await, Err(Unavailable));
    assert_eq!(
        world.handle.stats().failures.load(std::sync::atomic::Ordering::Relaxed),
        0
    );
    drop((good, hold));
    world.open_is(0).await;
    let mut kinds = world.kinds().await;
    kinds.sort_unstable();
    // Of an unknown credential nothing can be said.
    let expected = [&["denial"; 4][..], &["intent"; 2], &["outcome"; 2]].concat();
    assert_eq!(kinds, expected);
}

/// What a denial or a replay names can be too long; that it was refused is recorded all the same.
#[tokio::test]
async fn a_refusal_that_is_too_long_is_recorded_shorter() {
    let world = World::new().await;
    let why = Why {
        bundle: 0,
        policies: vec!["p".repeat(MAX_ENTRY_BYTES)],
    };
    let index = world.handle.deny(Denied {
        why: Some(why.clone()),
        input: None,
        ..denied(1)
    });
    assert_eq!(index.await, Ok(4));
    let replayed = Replayed {
        ask: ask(2),
        why,
        of: ask(1).action.id,
    };
    assert_eq!(world.handle.replay(replayed).await, Err(Unavailable));
    let (_, entries) = world.log().await;
    let denials: Vec<_> = entries
        .iter()
        .filter_map(|entry| match &entry.event {
            Event::Denial(denial) => Some((denial.action.id, denial.reason, denial.why.is_some())),
            _ => None,
        })
        .collect();
    assert_eq!(
        denials,
        [
            (ask(1).action.id, Reason::PolicyDenied, false),
            (ask(2).action.id, Reason::GovernanceUnavailable, false),
        ]
    );
}

/// The provider's id of a call is the provider's text: of any length.
#[tokio::test]
async fn an_end_is_recorded_whatever_the_provider_calls_it() {
    let world = World::new().await;
    let ids = [1 << 8, (1 << 8) + 1, MAX_ENTRY_BYTES, 1 << 20].map(|length| "\u{1}".repeat(length));
    for (number, id) in (1..).zip(ids) {
        world.held(number, 10).await.settle(Ending {
            reply: id.clone(),
            provider_id: Some(id),
            ..ended(1)
        });
    }
    world.open_is(0).await;
    let (_, entries) = world.log().await;
    let texts = outcomes(&entries).map(|it| (it.reply.len(), it.provider_id.as_ref().map(String::len)));
    assert!(texts.eq([(256, Some(256)), (0, None), (0, None), (0, None)]));
}

#[tokio::test]
async fn no_more_calls_are_in_flight_than_may_be() {
    let world = World::new().await;
    let clock = world.clock.clone();
    let dir = world.stop().await;
    let Ok(world) = World::open_with(dir, clock, &[], 2).await else {
        panic!()
    };
    let (first, _second) = (world.held(1, 10).await, world.held(2, 10).await);
    let answer = world.handle.hold(world.request(3, 10).await).await;
    assert!(matches!(answer, HoldAnswer::Overloaded), "{answer:?}");
    // A refused request does not keep its place, nor does an ended hold.
    drop(first);
    world.open_is(1).await;
    for number in 4..10 {
        let answer = world.handle.hold(world.request(number, 5_000).await).await;
        assert!(matches!(answer, HoldAnswer::Refused(..)), "{answer:?}");
    }
    let _third = world.held(10, 10).await;
}

#[tokio::test]
async fn a_change_is_made_whole_or_not_at_all() {
    let world = World::new().await;
    let size = world.view().await.size;
    for events in [
        vec![budget_loaded(5), key_issued("ka")],
        vec![key_issued("kb"), key_revoked("kx")],
        vec![Event::Stopped {
            node: "x".repeat(MAX_ENTRY_BYTES),
            boot: 1,
            why: String::new(),
        }],
    ] {
        let refused = world.change(events).await;
        assert!(matches!(refused, Err(ChangeError::Refused(_))), "{refused:?}");
    }
    let view = world.view().await;
    assert_eq!((view.size, world.balance().await.spec.limit), (size, Amount(1_000)));
    let changed = world.change(vec![budget_loaded(5), key_issued("kb")]).await.unwrap();
    assert_eq!((changed.first_index, changed.epoch), (size, view.epoch + 1));
    // A refused change to a tenant that is not there does not make it.
    let elsewhere = TenantName::new("elsewhere").unwrap();
    let refused = world.handle.change(elsewhere.clone(), vec![key_revoked("kx")]).await;
    assert!(matches!(refused, Err(ChangeError::Refused(_))), "{refused:?}");
    assert!(!world.handle.heads().borrow().contains_key(&elsewhere));
    world.log().await;
}

/// One commit writes to several tenants, all or none.
#[tokio::test]
async fn tenants_have_logs_of_their_own() {
    let world = World::new().await;
    let other = TenantName::new("other").unwrap();
    let events = || vec![budget_loaded(1_000), agent_loaded("alone"), key_issued("ka")];
    let (one, two) = tokio::join!(
        world.change(vec![budget_loaded(2_000)]),
        world.handle.change(other.clone(), events())
    );
    assert_eq!((one.unwrap().first_index, two.unwrap().first_index), (4, 1));
    let mut there = request(1, 100, 2);
    there.ask.tenant = other.clone();
    let here = world.request(1, 100).await;
    let (here, there) = tokio::join!(world.handle.hold(here), world.handle.hold(there));
    assert!(matches!((here, there), (HoldAnswer::Held(_), HoldAnswer::Held(_))));
    world.open_is(0).await;
    world.log().await;
    let (log, _) = super::world::replay(world.dir.path(), &other, false).await;
    let heads: HashSet<_> = world
        .handle
        .heads()
        .borrow()
        .iter()
        .map(|(name, head)| (name.clone(), head.size))
        .collect();
    let expected = [(TenantName::system(), 1), (tenant(), 7), (other, log.state.size)];
    assert_eq!(heads, expected.into());
}

/// Who was just answered is part of the next write: two halves of the callers do not take turns.
#[tokio::test]
async fn callers_that_come_again_at_once_are_in_every_write() {
    const ROUNDS: u32 = 10;
    const HALF: u32 = 8;
    let world = World::new().await;
    let epoch = world.view().await.epoch;
    let before = world.handle.stats().batches.load(Relaxed);
    let call = |caller: u32| {
        let handle = world.handle.clone();
        tokio::spawn(async move {
            for round in 0..ROUNDS {
                let HoldAnswer::Held(hold) = handle.hold(request(caller * ROUNDS + round, 1, epoch)).await else {
                    panic!("caller {caller} in round {round}")
                };
                hold.settle(ended(0));
            }
        })
    };
    // The second half comes while the first is being written.
    world.faults.stall(true);
    let mut callers: Vec<_> = (0..HALF).map(call).collect();
    let others_run = async || {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    };
    others_run().await;
    callers.extend((HALF..2 * HALF).map(call));
    others_run().await;
    world.faults.stall(false);
    for caller in callers {
        caller.await.unwrap();
    }
    world.open_is(0).await;
    let writes = world.handle.stats().batches.load(Relaxed) - before;
    assert!(writes <= u64::from(ROUNDS) + 3, "{writes} writes");
}
