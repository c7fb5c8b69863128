//! Starts, stops, heads and heartbeats: what is in each log, and what a failure or a crash at each step leaves.

use std::time::Duration;

use entry::{Event, HEADS_MAX, LogHead};
use model::{Digest, TenantName};
use tlog::{CompactRange, leaf_hash};

use super::world::{SECOND, World, budget_loaded, denied, events, key_revoked, replay, tenant};
use crate::{
    ChangeError, Reader,
    committer::heart::AT_ONCE,
    db::faults::Fate::{self, Fails, FailsButLands, Works},
};

fn other() -> TenantName {
    TenantName::new("other").unwrap()
}

/// The kinds that are stored of a log, but for what people do.
async fn stored(world: &World, tenant: &TenantName) -> Vec<&'static str> {
    let events = events(world.dir.path(), tenant).await;
    events
        .iter()
        .map(Event::kind)
        .filter(|kind| *kind != "budget_loaded")
        .collect()
}

/// All heads of the server's own log, each with the kind of the entry that stands before it.
async fn heads(world: &World) -> Vec<(&'static str, Vec<LogHead>)> {
    let events = events(world.dir.path(), &TenantName::system()).await;
    let mut all = Vec::new();
    for pair in events.windows(2) {
        if let [before, Event::Heads { heads, .. }] = pair {
            all.push((before.kind(), heads.clone()));
        }
    }
    all
}

/// Checks each head against the log that it is about.
async fn heads_are_true(world: &World) {
    let reader = Reader::open(world.dir.path()).await.unwrap();
    for (_, heads) in heads(world).await {
        for LogHead { tenant, size, root } in heads {
            let found = reader.root_at(&tenant, size).await.unwrap().unwrap();
            assert_eq!(Digest(found.0), root, "{tenant} {size}");
        }
    }
}

#[tokio::test]
async fn every_log_says_when_the_server_was_there() {
    let world = World::empty().await;
    // Begun while the server ran.
    world.change(vec![budget_loaded(5)]).await.unwrap();
    assert_eq!(stored(&world, &tenant()).await, ["started"]);
    let world = world.restart().await;
    world.handle.change(other(), vec![budget_loaded(5)]).await.unwrap();
    let world = world.restart().await;
    let own = ["started", "stopped", "started", "stopped", "started"];
    assert_eq!(stored(&world, &tenant()).await, own);
    assert_eq!(stored(&world, &other()).await, own[2..]);
    let system = [
        "started", "heads", "stopped", "started", "heads", "heads", "stopped", "started", "heads",
    ];
    assert_eq!(stored(&world, &TenantName::system()).await, system);
    let heads = heads(&world).await;
    let sizes = heads.iter().map(|(before, heads)| {
        let sizes = heads.iter().map(|head| (head.tenant.as_str(), head.size));
        (*before, sizes.collect::<Vec<_>>())
    });
    // Each as long as it is with the entry of the same write.
    let expected: [(_, &[(&str, u64)]); 5] = [
        ("started", &[("default", 3)]),
        ("started", &[("default", 4)]),
        ("heads", &[("default", 5), ("other", 3)]),
        ("started", &[("default", 6), ("other", 4)]),
        ("stopped", &[]),
    ];
    assert_eq!(sizes.clone().count(), 4);
    for ((before, sizes), (kind, wanted)) in sizes.zip(expected) {
        assert_eq!((before, sizes.as_slice()), (kind, wanted));
    }
    heads_are_true(&world).await;
    replay(world.dir.path(), &tenant(), false).await;
}

#[tokio::test]
async fn a_log_is_not_begun_by_what_is_refused() {
    let world = World::empty().await;
    let refused = world.handle.change(other(), vec![key_revoked("nobody")]).await;
    assert!(matches!(refused, Err(ChangeError::Refused(_))), "{refused:?}");
    assert!(stored(&world, &other()).await.is_empty());
    assert!(world.handle.deny(denied(1)).await.is_err());
    let world = world.restart().await;
    assert!(stored(&world, &tenant()).await.is_empty());
    // It is begun by what is not, once.
    world.handle.change(other(), vec![budget_loaded(5)]).await.unwrap();
    assert_eq!(stored(&world, &other()).await, ["started"]);
    assert_eq!(events(world.dir.path(), &other()).await.len(), 2);
}

#[tokio::test]
async fn more_logs_than_one_entry_holds_are_named_in_several() {
    let world = World::empty().await;
    let names: Vec<_> = (0..=HEADS_MAX).map(|number| format!("t{number:03}")).collect();
    for name in &names {
        let tenant = TenantName::new(name).unwrap();
        world.handle.change(tenant, vec![budget_loaded(5)]).await.unwrap();
    }
    let world = world.restart().await;
    let heads = heads(&world).await;
    let lengths: Vec<_> = heads.iter().map(|(_, heads)| heads.len()).collect();
    assert_eq!(lengths, [HEADS_MAX, 1, HEADS_MAX, 1]);
    let first = heads.iter().take(2).flat_map(|(_, heads)| heads);
    assert!(
        first
            .map(|head| head.tenant.as_str())
            .eq(names.iter().map(String::as_str))
    );
    heads_are_true(&world).await;
}

/// One line: what becomes of the writes of a stop or a start, and what is stored of the tenant's log then.
async fn check(step: &str, fates: &[Fate], then_dies: bool, expected: &[&str]) {
    let name = format!("{step} {fates:?} {then_dies}");
    let world = World::new().await;
    let world = match step {
        "stop" => {
            let (faults, clock) = (world.faults.clone(), world.clock.clone());
            faults.appends(fates);
            let dir = world.stop().await;
            assert!(then_dies || faults.left() == 0, "{name}");
            World::open(dir, clock, &[]).await
        }
        _ => {
            let (dir, clock) = world.crash().await;
            match World::open(dir, clock.clone(), fates).await {
                Ok(world) if then_dies => {
                    let (dir, clock) = world.crash().await;
                    World::open(dir, clock, &[]).await
                }
                Err((dir, _)) => World::open(dir, clock, &[]).await,
                done => done,
            }
        }
    };
    let world = world.unwrap_or_else(|(_, error)| panic!("{name}: {error}"));
    let kinds = stored(&world, &tenant()).await;
    let boots: Vec<_> = kinds.into_iter().filter(|kind| kind.starts_with("st")).collect();
    assert_eq!(boots, expected, "{name}");
    heads_are_true(&world).await;
    // The logs agree about when the server was there.
    let system = stored(&world, &TenantName::system()).await;
    let system: Vec<_> = system.into_iter().filter(|kind| *kind != "heads").collect();
    assert_eq!(system, expected, "{name}");
    replay(world.dir.path(), &tenant(), false).await;
    // And it goes on.
    drop(world.held(7, 1_000).await);
}

#[tokio::test]
async fn a_start_or_a_stop_is_in_all_logs_or_in_none() {
    const WHOLE: &[&str] = &["started", "stopped", "started"];
    const DIED: &[&str] = &["started", "started"];
    const TWICE: &[&str] = &["started", "started", "started"];
    check("stop", &[Works], false, WHOLE).await;
    check("stop", &[Fails], false, WHOLE).await;
    check("stop", &[FailsButLands], false, WHOLE).await;
    check("stop", &[Fails, FailsButLands], false, WHOLE).await;
    check("stop", &[FailsButLands, Fails], true, WHOLE).await;
    // The disk does not come back: as if it had died.
    check("stop", &[Fails; 20], true, DIED).await;
    check("start", &[Works], false, DIED).await;
    check("start", &[Works], true, TWICE).await;
    check("start", &[Fails], false, DIED).await;
    check("start", &[FailsButLands], false, TWICE).await;
}

#[tokio::test]
async fn a_quiet_log_gets_heartbeats_and_a_busy_one_none() {
    let world = World::empty().await;
    let clock = world.clock.clone();
    let dir = world.stop().await;
    let world = World::open_beating(dir, clock, Duration::from_secs(60)).await;
    world.change(vec![budget_loaded(5)]).await.unwrap();
    let beats = async |wanted: usize| {
        // The committer looks whenever it is asked something.
        drop(world.handle.view(tenant()).await.unwrap());
        let kinds = stored(&world, &tenant()).await;
        let found = kinds.iter().filter(|kind| **kind == "heartbeat").count();
        assert_eq!(found, wanted, "{kinds:?}");
    };
    world.clock.pass(59 * SECOND);
    beats(0).await;
    // Somebody does something just before its time: that is as good as a heartbeat.
    world.change(vec![budget_loaded(6)]).await.unwrap();
    world.clock.pass(59 * SECOND);
    beats(0).await;
    world.clock.pass(SECOND);
    beats(0).await;
    world.clock.pass(5 * SECOND);
    beats(1).await;
    beats(1).await;
    for count in 2..5 {
        world.clock.pass(65 * SECOND);
        beats(count).await;
    }
    // The wall clock is not what counts.
    world.clock.step(3_600 * SECOND);
    world.clock.pass(6 * SECOND);
    beats(4).await;
    let events = events(world.dir.path(), &tenant()).await;
    let promised = events.iter().filter_map(|event| match event {
        Event::Started { heartbeat_s, .. } => *heartbeat_s,
        Event::Heartbeat { every_s, .. } => Some(*every_s),
        _ => None,
    });
    assert_eq!(promised.collect::<Vec<_>>(), [60; 5]);
    let world = world.restart().await;
    // Where none are promised none are written.
    world.clock.pass(3_600 * SECOND);
    drop(world.handle.view(tenant()).await.unwrap());
    let kinds = stored(&world, &tenant()).await;
    assert_eq!(kinds.iter().filter(|kind| **kind == "heartbeat").count(), 4);
}

/// A heartbeat that fails is no reason to write another at once, and one that landed counts.
#[tokio::test]
async fn a_heartbeat_fails() {
    for (fates, beats) in [(&[Fails][..], 0), (&[FailsButLands], 1)] {
        let world = World::new().await;
        let clock = world.clock.clone();
        let dir = world.stop().await;
        let world = World::open_beating(dir, clock, Duration::from_secs(60)).await;
        world.faults.appends(fates);
        world.clock.pass(65 * SECOND);
        drop(world.handle.view(tenant()).await);
        world.faults_are_met().await;
        world.healthy().await;
        drop(world.view().await);
        let kinds = stored(&world, &tenant()).await;
        let found = kinds.iter().filter(|kind| **kind == "heartbeat").count();
        assert_eq!(found, beats, "{fates:?}");
        drop(world.held(1, 1_000).await);
    }
}

/// Many quiet logs get theirs one after the other, within the time that is promised.
#[tokio::test]
async fn the_heartbeats_of_many_logs_are_spread() {
    let logs = 3 * AT_ONCE;
    let world = World::empty().await;
    let clock = world.clock.clone();
    let dir = world.stop().await;
    let world = World::open_beating(dir, clock, Duration::from_secs(60)).await;
    let tenants: Vec<_> = (0..logs).map(|n| TenantName::new(&format!("t{n}")).unwrap()).collect();
    for tenant in &tenants {
        world
            .handle
            .change(tenant.clone(), vec![budget_loaded(5)])
            .await
            .unwrap();
    }
    let sizes = || {
        let heads = world.handle.heads();
        let heads = heads.borrow();
        heads.values().map(|head| head.size).sum::<u64>()
    };
    let (before, all) = (sizes(), u64::try_from(logs + 1).unwrap());
    world.clock.pass(60 * SECOND);
    for rounds in 1..=4 {
        drop(world.handle.view(tenant()).await.unwrap());
        let most = u64::try_from(rounds * AT_ONCE).unwrap();
        assert_eq!(sizes() - before, most.min(all), "{rounds}");
        world.clock.pass(5 * SECOND);
    }
    let last = events(world.dir.path(), &tenants[logs - 1]).await.pop();
    // Three rounds of five seconds behind the first.
    assert_eq!(last, Some(Event::Heartbeat { boot: 2, every_s: 75 }));
}

/// The root that a head names is that of the entries, computed here.
#[tokio::test]
async fn heads_name_the_root_of_the_entries() {
    let world = World::new().await.restart().await;
    let (_, entries) = world.log().await;
    let heads = heads(&world).await;
    let (_, last) = heads.last().unwrap();
    let head = last.first().unwrap();
    let leaves = entries.iter().take(usize::try_from(head.size).unwrap());
    let range: CompactRange = leaves.map(|entry| leaf_hash(&entry.encode().unwrap())).collect();
    assert_eq!(Digest(range.root().0), head.root);
}
