//! An agent with an allowance goes on while the log cannot be written, until the allowance is used up; everybody else is
//! refused. Afterwards the log has all of it.

use std::{fs, time::Instant};

use entry::{Event, Status};
use model::{NanoUsd, ServiceTier, Usage};
use pricing::PriceBook;

use crate::harness::{Agent, PATIENCE, World, chat};

/// What the provider billed, by the shipped prices.
fn billed(world: &World) -> NanoUsd {
    let prices = PriceBook::builtin();
    let calls = world.calls().snapshot();
    let costs = calls.iter().map(|call| {
        let usage = Usage {
            input: call.billed.input,
            output: call.billed.output,
            ..Usage::default()
        };
        let model = prices.require("openai", &call.model).unwrap();
        model.cost(&usage, ServiceTier::Standard).unwrap()
    });
    costs.fold(NanoUsd::ZERO, NanoUsd::saturating_add)
}

/// Sets how long files of the server may grow: what already stands in the log's file is past it, a spool is not.
fn limit(world: &World, size: &str) -> bool {
    let (pid, size) = (world.pid().to_string(), format!("--fsize={size}:unlimited"));
    let mut command = std::process::Command::new("prlimit");
    command
        .args(["--pid", &pid, &size])
        .status()
        .is_ok_and(|status| status.success())
}

async fn ready(world: &World, status: u16) {
    let started = Instant::now();
    loop {
        let reply = world
            .http()
            .get(&format!("{}/readyz", world.agents_url()))
            .await
            .unwrap();
        if reply.status == status {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{}", reply.text());
        tokio::task::yield_now().await;
    }
}

async fn world() -> World {
    let world = World::builder()
        .agent(Agent::new("worker", "1 USD"))
        .agent(Agent::new("careless", "1 USD"))
        .configuration("[audit]\nspool = \"./spool\"\n")
        .build()
        .await;
    world.edit(
        "governance/agents/worker.yaml",
        "purpose:",
        "allowance: 0.002 USD\npurpose:",
    );
    world
}

/// The database is past the limit before the spool is: it is made long first.
async fn lengthen(world: &World, key: &str) {
    while fs::metadata(world.data().join("bailiwick.db-wal")).unwrap().len() < 400_000 {
        world.chat(key, &chat("gpt-4o-mini")).await.is(200);
    }
    world.settled().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_allowance_is_spent_while_the_log_cannot_be_written() {
    let mut world = world().await;
    world.start();
    let (worker, careless) = (world.key("worker"), world.key("careless"));
    lengthen(&world, &careless).await;
    if !limit(&world, "200000") {
        return println!("not checked: this machine does not let a test limit the size of files");
    }
    world.chat(&careless, &chat("gpt-4o-mini")).await.is(503);
    ready(&world, 503).await;
    let before = world.calls().count().received;
    // Four at once, over and over: what they do not use comes back, so it lasts longer than its worst cases.
    let mut through = 0;
    loop {
        let call = chat("gpt-4o-mini");
        let ask = || world.chat(&worker, &call);
        let replies = tokio::join!(ask(), ask(), ask(), ask());
        let replies = [replies.0, replies.1, replies.2, replies.3];
        let ok = replies.iter().filter(|reply| reply.status == 200).count();
        through += ok;
        for reply in replies.iter().filter(|reply| reply.status != 200) {
            assert_eq!((reply.status, reply.reason()), (503, "governance_unavailable"));
        }
        assert!(through < 2_000, "the allowance does not end");
        // The recovery closes the spool for a moment now and then; a used up allowance stays used up.
        if ok == 0 && world.chat(&worker, &call).await.status == 503 && world.chat(&worker, &call).await.status == 503 {
            break;
        }
    }
    assert!(through > 4, "{through} calls were let through");
    world.chat(&careless, &chat("gpt-4o-mini")).await.is(503);
    assert_eq!(world.calls().count().received - before, u64::try_from(through).unwrap());
    // A reload would change what decides: it is refused, and so is an administrator.
    assert_ne!(world.run(&["apply"]).code, 0);
    assert!(limit(&world, "unlimited"));
    ready(&world, 200).await;
    world.chat(&worker, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    let state = world
        .entries("default")
        .into_iter()
        .fold((0, 0, NanoUsd::ZERO), |(calls, applied, cost), entry| {
            match entry.event {
                Event::Intent(intent) => (calls + usize::from(intent.spooled.is_some()), applied, cost),
                Event::SpoolApplied(summary) => (calls, applied + summary.calls, cost),
                Event::Outcome(outcome) => {
                    assert!(
                        matches!(outcome.status, Status::Ok | Status::NotForwarded),
                        "{outcome:?}"
                    );
                    (calls, applied, cost.saturating_add(outcome.cost))
                }
                _ => (calls, applied, cost),
            }
        });
    assert_eq!((state.0, state.1), (through, u64::try_from(through).unwrap()));
    assert_eq!(state.2, billed(&world));
    world.stop();
    world.start();
    world.chat(&worker, &chat("gpt-4o-mini")).await.is(200);
}

/// Killed while its log cannot be written: the next start has the calls from the spool.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_while_the_log_cannot_be_written() {
    let mut world = world().await;
    world.start();
    let (worker, careless) = (world.key("worker"), world.key("careless"));
    lengthen(&world, &careless).await;
    if !limit(&world, "200000") {
        return println!("not checked: this machine does not let a test limit the size of files");
    }
    world.chat(&careless, &chat("gpt-4o-mini")).await.is(503);
    ready(&world, 503).await;
    for _ in 0..3 {
        while world.chat(&worker, &chat("gpt-4o-mini")).await.status != 200 {}
    }
    world.kill();
    let before = billed(&world);
    world.start();
    let mut spooled = 0;
    let mut cost = NanoUsd::ZERO;
    for entry in world.entries("default") {
        match entry.event {
            Event::Intent(intent) => spooled += usize::from(intent.spooled.is_some()),
            Event::Outcome(outcome) => cost = cost.saturating_add(outcome.cost),
            _ => {}
        }
    }
    assert_eq!(spooled, 3);
    assert!(cost >= before, "{cost} USD are booked, {before} USD were billed");
    world.chat(&worker, &chat("gpt-4o-mini")).await.is(200);
}

/// An allowance without a place to record its use is a mistake, and said to be one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_allowance_needs_a_spool() {
    let world = world().await;
    world.edit("bailiwick.toml", "spool = \"./spool\"\n", "");
    let checked = world.run(&["check"]).exits(64);
    assert!(
        checked.stdout.contains("there is no spool"),
        "{}{}",
        checked.stdout,
        checked.stderr
    );
}
