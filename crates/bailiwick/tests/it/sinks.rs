//! Entries on their way out of a running server.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Instant,
};

use entry::{Entry, Event};
use serde_json::Value;

use crate::harness::{Agent, PATIENCE, World, chat};

/// Everything to one file, what one agent's calls came to into another.
const FILES: &str = r#"
[[sinks]]
name = "all"
kind = "file"
path = "out/all.jsonl"
from = "beginning"
[[sinks]]
name = "reader"
kind = "file"
path = "out/reader.jsonl"
kinds = ["outcome"]
agents = ["reader"]
from = "beginning"
"#;

fn entries(file: &Path) -> Vec<Entry> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let entries = text.lines().map(|line| {
        Entry::decode(line.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}: {line}", file.display()))
    });
    entries.collect()
}

/// How each sink stands, by name, once none is behind.
#[track_caller]
fn caught_up(world: &World) -> BTreeMap<String, Value> {
    let started = Instant::now();
    loop {
        let listed = world.json(&["sink", "list"]);
        let sinks = listed["sinks"].as_array().unwrap();
        if sinks.iter().all(|sink| sink["behind"] == 0 && sink["state"] == "ok") {
            return sinks
                .iter()
                .map(|sink| (sink["name"].as_str().unwrap().to_owned(), sink.clone()))
                .collect();
        }
        assert!(started.elapsed() < PATIENCE, "{listed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_a_file_misses_nothing_and_has_no_half_line() {
    let mut world = World::builder()
        .agent(Agent::new("reader", "10 USD"))
        .agent(Agent::new("writer", "10 USD"))
        .configuration(FILES)
        .build()
        .await;
    fs::create_dir(world.path().join("out")).unwrap();
    world.start();
    let (reader, writer) = (world.key("reader"), world.key("writer"));
    for round in 0..5 {
        for _ in 0..=round {
            world.chat(&reader, &chat("gpt-4o-mini")).await.is(200);
            world.chat(&writer, &chat("gpt-4o-mini")).await.is(200);
        }
        if round % 2 == 0 {
            // Somewhere between the delivery and the cursor, which is kept a second later.
            caught_up(&world);
        }
        world.kill();
        world.start();
    }
    world.settled().await;
    let sinks = caught_up(&world);
    assert_eq!(
        (&sinks["all"]["kind"], &sinks["all"]["failures"]),
        (&Value::from("file"), &Value::from(0))
    );
    let all = entries(&world.path().join("out/all.jsonl"));
    for tenant in ["default", "_system"] {
        let found: BTreeSet<u64> = all
            .iter()
            .filter(|entry| entry.tenant.as_str() == tenant)
            .map(|entry| entry.index)
            .collect();
        let there: BTreeSet<u64> = world.entries(tenant).iter().map(|entry| entry.index).collect();
        assert_eq!(found, there, "{tenant}");
    }
    // Of the reader exactly: an outcome names no agent, and belongs to its intent's.
    let of = |name: &str| -> BTreeSet<u64> {
        let intents = all.iter().filter_map(|entry| match &entry.event {
            Event::Intent(intent) if intent.action.agent.as_str() == name => Some(entry.index),
            _ => None,
        });
        let intents: BTreeSet<u64> = intents.collect();
        let outcomes = all.iter().filter_map(|entry| match &entry.event {
            Event::Outcome(outcome) if intents.contains(&outcome.intent) => Some(entry.index),
            _ => None,
        });
        outcomes.collect()
    };
    let found = entries(&world.path().join("out/reader.jsonl"));
    let found: BTreeSet<u64> = found.iter().map(|entry| entry.index).collect();
    assert_eq!(found, of("reader"));
    assert_eq!(found.len(), of("writer").len());
    assert_eq!(found.len(), 15);
    let metrics = world
        .http()
        .get(&format!("{}/metrics", world.admin_url()))
        .await
        .unwrap();
    for line in [
        "bailiwick_sink_entries_behind{sink=\"all\"} 0",
        "bailiwick_sink_failures_total{sink=\"reader\"} 0",
    ] {
        assert!(metrics.text().contains(line), "{line} is not in\n{}", metrics.text());
    }
    let table = world.run(&["sink", "list"]).exits(0).stdout;
    assert!(table.contains("out/all.jsonl") && table.contains("BEHIND"), "{table}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_standard_output_there_are_entries_and_nothing_else() {
    let sink = "[[sinks]]\nname = \"out\"\nkind = \"stdout\"\nfrom = \"beginning\"\n";
    let world = World::builder().configuration(sink).build().await;
    let mut server = world.spawn();
    let mut kinds = BTreeSet::new();
    while !kinds.contains("admin_added") {
        let line = server.line();
        let entry = Entry::decode(line.as_bytes()).unwrap_or_else(|error| panic!("{error}: {line}"));
        kinds.insert(entry.event.kind());
    }
    let started = Instant::now();
    while !server.log().contains("{\"listening\":{\"agents\":") {
        assert!(started.elapsed() < PATIENCE, "{}", server.log());
        std::thread::yield_now();
    }
    server.signal("TERM");
    assert_eq!(server.wait(), 0, "{}", server.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_fails_is_shown_and_stops_nobody() {
    let sink = "[[sinks]]\nname = \"siem\"\nkind = \"webhook\"\nurl = \"http://127.0.0.1:1/canary\"\n";
    let mut world = World::builder().configuration(sink).start().await;
    let key = world.key("worker");
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    let started = Instant::now();
    let sink = loop {
        let listed = world.json(&["sink", "list"]);
        if listed["sinks"][0]["state"] == "failing" {
            break listed["sinks"][0].clone();
        }
        assert!(started.elapsed() < PATIENCE, "{listed}");
    };
    assert!(
        sink["error"]
            .as_str()
            .unwrap()
            .starts_with("127.0.0.1:1: cannot connect"),
        "{sink}"
    );
    assert_eq!(sink["target"], "http://127.0.0.1:1");
    assert!(sink["behind"].as_u64().unwrap() > 0, "{sink}");
    world
        .http()
        .get(&format!("{}/readyz", world.admin_url()))
        .await
        .unwrap()
        .is(200);
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    let shown = world.run(&["sink", "list"]).exits(0);
    assert!(shown.stderr.contains("siem has been failing since"), "{}", shown.stderr);
    let log = world.server().log();
    assert_eq!(log.matches("entries are not streamed").count(), 1, "told once: {log}");
    assert!(!log.contains("canary"), "{log}");
    world.stop();
}
