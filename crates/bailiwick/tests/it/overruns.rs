//! What an administrator sees and does when a provider billed past a hold.

use entry::Event;
use serde_json::{Value, json};

use crate::harness::{Agent, Done, World, chat};

/// 5,000 tokens of output where 50 were allowed: 0.003 USD and more.
const OVER: &str = "usage-output=5000";

/// The output that each intent reserves for, where that is not the limit it was sent with.
fn bounds(world: &World) -> Vec<Option<u64>> {
    let intents = world.entries("default").into_iter();
    let bounds = intents.filter_map(|entry| match entry.event {
        Event::Intent(intent) => Some(intent.bound),
        _ => None,
    });
    bounds.collect()
}

/// A list without what differs from run to run.
fn steady_list(world: &World) -> String {
    let listed = world.json(&["overrun", "list"]);
    let overrun = &listed["overruns"][0];
    let mut text = world.run(&["overrun", "list"]).story(world.path());
    let since = overrun["since"].as_str().unwrap();
    for (varying, shown) in [
        (since.get(..10).unwrap(), "2026-11-22"),
        (since.get(11..19).unwrap(), "20:30:00"),
        (overrun["last_action"].as_str().unwrap(), "ACTION"),
    ] {
        text = text.replace(varying, shown);
    }
    text
}

/// The budget has room for the overrun and a usual call, and not for all that the model can produce.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overrun_holds_the_maximum_through_a_restart_until_somebody_accepts_it() {
    let mut world = World::builder().agent(Agent::new("worker", "0.008 USD")).start().await;
    let key = world.key("worker");
    assert_eq!(world.json(&["overrun", "list"]), json!({ "overruns": [] }));
    insta::assert_snapshot!("none", world.run(&["overrun", "list"]).story(world.path()));
    world.scripted(&key, OVER, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    let refused = world.chat(&key, &chat("gpt-4o-mini")).await.is(402);
    assert_eq!(refused.reason(), "budget_exhausted");
    assert!(
        refused.text().contains("maximum of 16384 output tokens"),
        "{}",
        refused.text()
    );
    insta::assert_snapshot!("list", steady_list(&world));

    world.restart();
    world.chat(&key, &chat("gpt-4o-mini")).await.is(402);
    let listed = world.json(&["overrun", "list"]);
    let log = world.server().log();
    assert!(log.contains("a provider billed past a hold"), "{log}");

    let accepted = world.json(&[
        "overrun",
        "accept",
        "openai/gpt-4o-mini",
        "--note",
        "credited by the provider",
    ]);
    assert_eq!(accepted, listed["overruns"][0]);
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    assert_eq!(world.json(&["overrun", "list"]), json!({ "overruns": [] }));
    let cleared = world
        .entries("default")
        .into_iter()
        .find_map(|entry| match entry.event {
            Event::OverrunCleared { note, by, .. } => Some((note, by.to_string())),
            _ => None,
        });
    assert_eq!(
        cleared.unwrap(),
        ("credited by the provider".to_owned(), "owner".to_owned())
    );
    assert_eq!(bounds(&world), [None, None], "what was refused has no intent");
    let verified = world.verify().exits(0).json();
    let tenants = verified["tenants"].as_array().unwrap().clone();
    let default = tenants
        .into_iter()
        .find(|tenant| tenant["tenant"] == "default")
        .unwrap();
    assert_ne!(default["overrun_usd"], "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_in_accepting_are_explained() {
    let world = World::start_default().await;
    let key = world.key("worker");
    let accept = |model: &str, note: &str| world.run(&["overrun", "accept", model, "--note", note]);
    insta::assert_snapshot!("accept_nothing", accept("openai/gpt-4o-mini", "x").story(world.path()));
    world.scripted(&key, OVER, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    insta::assert_snapshot!("accept_typo", accept("openai/gpt-4o-mni", "x").story(world.path()));
    insta::assert_snapshot!("accept_no_upstream", accept("gpt-4o-mini", "x").story(world.path()));
    insta::assert_snapshot!(
        "accept_empty_note",
        accept("openai/gpt-4o-mini", " ").story(world.path())
    );
    let viewer = world.run(&["admin", "add", "vera", "--role", "viewer"]).exits(0);
    let viewer = |arguments: &[&str]| {
        Done::of(
            world
                .command(arguments)
                .env("BAILIWICK_ADMIN_KEY", viewer.stdout.trim()),
        )
    };
    viewer(&["overrun", "list"]).exits(0);
    let refused = viewer(&["overrun", "accept", "openai/gpt-4o-mini", "--note", "x"]).exits(1);
    assert_eq!(
        refused.stderr,
        "error: the role viewer of administrator vera does not allow this\n"
    );
    assert_eq!(
        world.json(&["overrun", "list"])["overruns"].as_array().unwrap().len(),
        1
    );
    let shown = world.run(&["audit", "list", "--kind", "overrun"]).exits(0).stdout;
    assert!(shown.contains("openai/gpt-4o-mini booked 0.003"), "{shown}");
    assert!(shown.contains("  worker  "), "{shown}");
    let action = world.json(&["overrun", "list"])["overruns"][0]["last_action"].clone();
    let entries = world.json(&["audit", "show", action.as_str().unwrap()])["entries"].clone();
    let entries: Vec<control::EntryReport> = serde_json::from_value(entries).unwrap();
    let kinds: Vec<_> = entries.iter().map(|report| report.entry.event.kind()).collect();
    assert_eq!(kinds, ["intent", "outcome", "overrun"]);
}

/// A model of which nobody knows how much it produces cannot be held at its maximum; saying it mends that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_maximum_is_refused_with_what_mends_it() {
    let price = "[[prices]]\nprovider = \"openai\"\nmodel = \"homemade\"\ninput = \"1\"\noutput = \"1\"\n";
    let world = World::builder().configuration(price).start().await;
    let key = world.key("worker");
    let call: Value = chat("homemade");
    world.scripted(&key, OVER, &call).await.is(200);
    world.settled().await;
    let refused = world.chat(&key, &call).await.is(403);
    assert_eq!(refused.reason(), "unbounded_output");
    for words in [
        "`max_output_tokens` in the [[prices]] of",
        "`bailiwick overrun accept openai/homemade --note WHY`",
    ] {
        assert!(refused.text().contains(words), "{}", refused.text());
    }
    world.edit(
        "bailiwick.toml",
        "model = \"homemade\"\n",
        "model = \"homemade\"\nmax_output_tokens = 9000\n",
    );
    world.run(&["apply"]).exits(0);
    world.chat(&key, &call).await.is(200);
    assert_eq!(bounds(&world), [None, Some(9_000)]);

    // Declared for all of an upstream, no acceptance would help, and none is offered.
    world.edit("bailiwick.toml", "max_output_tokens = 9000\n", "");
    world.edit(
        "bailiwick.toml",
        "kind = \"openai\"\n",
        "kind = \"openai\"\nhonours_output_limit = false\n",
    );
    let applied = world.run(&["check"]).exits(0);
    let warned = "it is not known how much `homemade` produces at most";
    assert!(
        applied.stderr.contains(warned) || applied.stdout.contains(warned),
        "{applied:?}"
    );
    world.run(&["apply"]).exits(0);
    let refused = world.chat(&key, &call).await.is(403);
    assert!(
        refused.text().contains("is declared as not honouring output limits"),
        "{}",
        refused.text()
    );
    assert!(!refused.text().contains("overrun accept"), "{}", refused.text());
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    assert_eq!(bounds(&world), [None, Some(9_000), Some(16_384)]);
    world.settled().await;
}
