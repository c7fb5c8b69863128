//! What counts, where and when.

use std::collections::BTreeMap;

use entry::Status;
use model::{NanoUsd, Timestamp, Usage};

use super::{
    super::{CostGroup, CostLabel, CostQuestion, CostSums, MAX_CALL_TOKENS, MAX_NAMES, OTHERS},
    world::{AGENTS, Call, EVENING, SECOND, World, agent_loaded, ended, patiently, tenant},
};
use crate::Ending;

/// The cost of each group, by its values.
fn costs(groups: &[CostGroup]) -> Vec<(Vec<&str>, i64)> {
    fn cost(group: &CostGroup) -> (Vec<&str>, i64) {
        let CostGroup { values, sums, .. } = group;
        (values.iter().map(String::as_str).collect(), sums.cost.0)
    }
    groups.iter().map(cost).collect()
}

fn by(labels: &[CostLabel]) -> CostQuestion {
    CostQuestion {
        by: labels.to_vec(),
        ..CostQuestion::default()
    }
}

fn calls(agent: usize, amount: i64) -> Call {
    Call {
        agent,
        amount,
        ..Call::default()
    }
}

#[tokio::test]
async fn a_call_counts_under_the_labels_and_at_the_time_of_its_intent() {
    let world = World::new().await;
    let hold = world.ask(1, calls(0, 400)).await.unwrap();
    // What is in flight is not booked.
    assert_eq!(world.sums(by(&[CostLabel::Team])).await.groups, []);
    world.change(vec![agent_loaded("alone", "web", None)]).await;
    world.clock.pass(600 * SECOND);
    hold.settle(ended(300));
    world.settled(0).await;
    world.call(2, calls(0, 400), 7).await;
    let team = |since: i64, until: i64| CostQuestion {
        since: Some(Timestamp::from_unix_micros(EVENING + since * 60 * SECOND)),
        until: Some(Timestamp::from_unix_micros(EVENING + until * 60 * SECOND)),
        ..by(&[CostLabel::Team])
    };
    for ((since, until), expected) in [
        ((0, 1), vec![(vec!["data"], 300)]),
        ((0, 10), vec![(vec!["data"], 300)]),
        ((0, 11), vec![(vec!["data"], 300), (vec!["web"], 7)]),
        ((1, 10), vec![]),
        ((10, 11), vec![(vec!["web"], 7)]),
        ((-9_999, 0), vec![]),
    ] {
        let found = world.sums(team(since, until)).await.groups;
        assert_eq!(costs(&found), expected, "{since}..{until}");
    }
    world.check().await;
    world.stop().await;
}

#[tokio::test]
async fn what_is_summed() {
    let world = World::new().await;
    world.call(1, calls(0, 400), 5).await;
    world.ask(2, calls(0, 400)).await.unwrap().settle(Ending {
        usage: Some(Usage {
            input: u64::MAX,
            cache_write: 3,
            cache_write_1h: 4,
            ..Usage::default()
        }),
        duration_us: 90,
        ..Ending::unknown(Status::Timeout, NanoUsd(400))
    });
    // Never forwarded: it used nothing, and is a failure all the same.
    drop(world.ask(3, calls(0, 400)).await);
    world.settled(0).await;
    let answer = world.sums(by(&[])).await;
    let sums: CostSums = answer.groups[0].sums;
    assert_eq!((sums.calls, sums.failed, sums.cost), (3, 2, NanoUsd(405)));
    assert_eq!(sums.tokens.input, 5 + MAX_CALL_TOKENS);
    assert_eq!((sums.tokens.cache_read, sums.tokens.cache_write), (1, 7));
    assert_eq!((sums.tokens.output, sums.tokens.reasoning), (10, 5));
    assert_eq!(sums.tokens.total(), 5 + MAX_CALL_TOKENS + 1 + 7 + 10);
    assert_eq!(sums.duration_us, 100);
    world.check().await;
    world.stop().await;
}

#[tokio::test]
async fn calls_are_selected_by_labels() {
    let world = World::new().await;
    for (number, call, cost) in [
        (
            1,
            Call {
                user: Some(1),
                ..calls(0, 400)
            },
            1,
        ),
        (
            2,
            Call {
                task: Some(7),
                ..calls(1, 400)
            },
            10,
        ),
        (
            3,
            Call {
                model: 12,
                key: 1,
                ..calls(1, 400)
            },
            100,
        ),
        (
            4,
            Call {
                model: 13,
                ..calls(2, 400)
            },
            200,
        ),
    ] {
        world.call(number, call, cost).await;
    }
    for (only, expected) in [
        (vec![], 311),
        (vec![(CostLabel::Agent, vec!["both"])], 110),
        (vec![(CostLabel::Agent, vec!["both", "clerk"])], 310),
        (
            vec![(CostLabel::Agent, vec!["both"]), (CostLabel::Tier, vec!["background"])],
            100,
        ),
        (vec![(CostLabel::Model, vec!["model-1*"])], 300),
        (vec![(CostLabel::Task, vec![""])], 301),
        (vec![(CostLabel::Task, vec!["task-7"])], 10),
        (vec![(CostLabel::Tenant, vec!["default"])], 311),
        (vec![(CostLabel::Tenant, vec!["acme"])], 0),
        (vec![(CostLabel::Team, vec!["*"])], 311),
    ] {
        let only = only.into_iter().map(|(label, values)| {
            let values = values.into_iter().map(str::to_owned).collect();
            (label, values)
        });
        let only: BTreeMap<CostLabel, Vec<String>> = only.collect();
        let question = CostQuestion {
            only: only.clone(),
            ..CostQuestion::default()
        };
        let groups = world.sums(question).await.groups;
        let cost: i64 = groups.iter().map(|group| group.sums.cost.0).sum();
        assert_eq!(cost, expected, "{only:?}");
    }
    let users = world.sums(by(&[CostLabel::User])).await.groups;
    assert!(users.iter().all(|group| group.tenant == Some(tenant())));
    assert_eq!(
        costs(&users),
        [(vec![""], 310), (vec!["00000000000000000000000000000001"], 1)]
    );
    world.stop().await;
}

/// Callers choose the words of tasks.
#[tokio::test]
async fn an_agent_has_a_bounded_number_of_tasks() {
    let mut world = World::new().await;
    let more = u32::try_from(MAX_NAMES).unwrap() + 20;
    for number in 0..more {
        // In pieces, and through a restart of the follower.
        if number == more - 10 {
            world.sums(by(&[])).await;
            world = world.reopen_projection(async |_| {}).await;
        }
        let task = Some(number);
        world
            .ask(number, Call { task, ..calls(0, 1) })
            .await
            .unwrap()
            .settle(ended(1));
    }
    world.settled(0).await;
    world
        .call(
            more,
            Call {
                task: Some(0),
                ..calls(0, 1)
            },
            1,
        )
        .await;
    world
        .call(
            more + 1,
            Call {
                task: Some(more),
                ..calls(1, 1)
            },
            1,
        )
        .await;
    let found = world.sums(by(&[CostLabel::Agent, CostLabel::Task])).await.groups;
    assert_eq!(found.len(), MAX_NAMES + 1 + 1);
    let cost = |task: &str| {
        let group = found.iter().find(|group| group.values == ["alone", task]);
        group.map(|group| group.sums.cost.0)
    };
    assert_eq!(
        (cost("task-0"), cost("task-255"), cost("task-256")),
        (Some(2), Some(1), None)
    );
    assert_eq!(cost(OTHERS), Some(20));
    let pieced = world.rows().await;
    let world = world
        .reopen_projection(async |path| std::fs::remove_file(path).unwrap())
        .await;
    assert_eq!(world.rows().await, pieced);
    world.stop().await;
}

/// A call that was let through on an allowance is charged to the day in which the allowance was reserved.
#[tokio::test]
async fn a_spooled_call_counts_where_its_budget_was_charged() {
    let world = World::with_allowance(Some(400)).await;
    world.call(1, calls(0, 100), 7).await;
    world.faults.read_only(true);
    // The first to notice is refused.
    assert!(!world.change(vec![agent_loaded("alone", "web", Some(400))]).await);
    // Midnight in Berlin is at 22:00 UTC.
    world.clock.pass(2 * 3_600 * SECOND + 30 * SECOND);
    world.ask_on_allowance(3, calls(0, 300)).await.settle(ended(50));
    world.faults.read_only(false);
    world.healthy().await;
    patiently(async {
        while world
            .view()
            .await
            .open
            .iter()
            .any(|(_, agent)| agent.as_str() == AGENTS[0])
        {}
    })
    .await;
    world.check().await;
    let midnight = Timestamp::from_unix_micros(EVENING + 2 * 3_600 * SECOND);
    let before = CostQuestion {
        until: Some(midnight),
        ..by(&[])
    };
    assert_eq!(costs(&world.sums(before).await.groups), [(vec![], 57)]);
    world.call(4, calls(0, 100), 3).await;
    world.check().await;
    world.stop().await;
}
