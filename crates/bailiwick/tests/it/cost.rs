//! What administrators see of costs, beside what the log and the budgets say.

use entry::Event;
use model::NanoUsd;
use serde_json::{Value, json};

use crate::harness::{Agent, Done, World, chat};

/// An agent of a team, whose budget starts anew each day.
fn manifest(name: &str, team: &str) -> String {
    let manifest = Agent {
        per: "day",
        ..Agent::new("worker", "1 USD")
    }
    .manifest();
    manifest
        .replace("name: worker", &format!("name: {name}"))
        .replace("team: tests", &format!("team: {team}"))
}

fn usd(amount: &Value) -> i64 {
    let amount: NanoUsd = format!("{} USD", amount.as_str().unwrap()).parse().unwrap();
    amount.0
}

/// Everything that the log has booked.
fn booked(world: &World) -> i64 {
    let entries = world.entries("default").into_iter();
    let costs = entries.filter_map(|entry| match entry.event {
        Event::Outcome(outcome) => Some(outcome.cost.0),
        _ => None,
    });
    costs.sum()
}

/// Lines as the labels' values with calls and cost.
fn lines(report: &Value) -> Vec<(Vec<String>, u64, i64)> {
    let by = report["by"].as_array().unwrap();
    let line = |line: &Value| {
        let value = |label: &Value| line["labels"][label.as_str().unwrap()].as_str().unwrap().to_owned();
        (
            by.iter().map(value).collect(),
            line["calls"].as_u64().unwrap(),
            usd(&line["cost_usd"]),
        )
    };
    report["lines"].as_array().unwrap().iter().map(line).collect()
}

/// Two agents, one of which changes its team, and a user.
async fn world() -> World {
    let mut world = World::builder().agent(Agent::new("unused", "1 USD")).build().await;
    world.write("governance/agents/reader.yaml", &manifest("reader", "data"));
    world.write("governance/agents/seller.yaml", &manifest("seller", "shop, \"web\""));
    world.start();
    let reader = world.key("reader");
    let seller = world
        .run(&["key", "issue", "seller", "--user", "ann@acme.example"])
        .exits(0);
    let seller = seller.stdout.trim().to_owned();
    for _ in 0..3 {
        world.chat(&reader, &chat("gpt-4o-mini")).await.is(200);
    }
    world.chat(&seller, &chat("gpt-4o")).await.is(200);
    world.scripted(&seller, "status=500", &chat("gpt-4o")).await.is(500);
    world.edit("governance/agents/reader.yaml", "team: data", "team: search");
    world.run(&["apply"]).exits(0);
    world.chat(&reader, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn costs_are_what_the_log_and_the_budgets_say() {
    let mut world = world().await;
    let by_team = world.json(&["cost", "--by", "team,agent", "--since", "2020-01-01"]);
    let all = booked(&world);
    assert!(all > 0);
    assert_eq!(usd(&by_team["total"]["cost_usd"]), all);
    let found = lines(&by_team);
    assert_eq!(found.iter().map(|(.., cost)| cost).sum::<i64>(), all);
    let calls: Vec<_> = found
        .iter()
        .map(|(values, calls, _)| (values.join("/"), *calls))
        .collect();
    let expected = [("shop, \"web\"/seller", 2), ("data/reader", 3), ("search/reader", 1)];
    assert_eq!(calls, expected.map(|(values, calls)| (values.to_owned(), calls)));

    // The day's budgets, and the day's costs.
    let budgets = world.json(&["budget", "list"]);
    let by_agent = lines(&world.json(&["cost", "--by", "agent", "--since", "today"]));
    for budget in budgets["budgets"].as_array().unwrap() {
        let name = budget["name"].as_str().unwrap();
        let cost = by_agent.iter().find(|(values, ..)| values == &[name]);
        assert_eq!(cost.map_or(0, |(.., cost)| *cost), usd(&budget["spent"]), "{name}");
    }

    // As often as it is asked, after a restart, after a crash, and made anew.
    let again = |world: &World| {
        let mut report = world.json(&["cost", "--by", "team,agent", "--since", "2020-01-01"]);
        report["entries"] = by_team["entries"].clone();
        report
    };
    world.restart();
    assert_eq!(again(&world), by_team);
    world.kill();
    world.start();
    assert_eq!(again(&world), by_team);
    world.stop();
    std::fs::remove_file(world.data().join("projections.db")).unwrap();
    world.start();
    assert_eq!(again(&world), by_team);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_for_people_and_one_for_programs() {
    let world = world().await;
    for (name, arguments) in [
        ("by_agent", &["cost", "--since", "2020-01-01"][..]),
        (
            "by_team_and_model",
            &["cost", "--since", "2020-01-01", "--by", "team,model,tier"],
        ),
        (
            "by_user",
            &[
                "cost",
                "--since",
                "2020-01",
                "--until",
                "2100-01-01T12:30",
                "--zone",
                "Europe/Berlin",
                "--by",
                "user",
            ],
        ),
        ("top", &["cost", "--since", "2020-01-01", "--by", "team", "--top", "1"]),
        (
            "selected",
            &[
                "cost",
                "--since",
                "2020-01-01",
                "--by",
                "task",
                "--where",
                "user=ann@acme.example",
            ],
        ),
        ("nothing", &["cost", "--since", "2020-01-01", "--until", "2020-01-02"]),
    ] {
        insta::assert_snapshot!(name, world.run(arguments).story(world.path()));
    }
    let csv = world
        .run(&["cost", "--by", "team", "--since", "2020-01-01", "--csv"])
        .exits(0)
        .stdout;
    let records: Vec<&str> = csv.split_terminator("\r\n").collect();
    assert!(records[0].starts_with("team,cost_usd,calls,failed,"), "{csv}");
    assert!(records[1].starts_with("\"shop, \"\"web\"\"\",0.0"), "{csv}");
    assert_eq!(records.len(), 4, "{csv}");
}

/// Whoever may not answer for others learns neither who users are nor whether a guess is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_those_who_may_answer_are_told_names() {
    let world = world().await;
    let by_user = ["cost", "--by", "user", "--since", "2020-01-01", "--json"];
    let ann = [&by_user[..], &["--where", "user=ann@acme.example"]].concat();
    for (role, told) in [
        ("operator", true),
        ("approver", true),
        ("viewer", false),
        ("auditor", false),
    ] {
        let credential = world.run(&["admin", "add", role, "--role", role]).exits(0);
        let ask = |arguments: &[&str]| {
            let done = Done::of(
                world
                    .command(arguments)
                    .env("BAILIWICK_ADMIN_KEY", credential.stdout.trim()),
            );
            lines(&done.exits(0).json())
        };
        let mut users = ask(&by_user).into_iter().map(|(values, ..)| values.join(""));
        let user = users.find(|user| !user.is_empty()).unwrap();
        assert_eq!(user == "ann@acme.example", told, "{role}: {user}");
        assert_eq!(ask(&ann).len(), usize::from(told), "{role}");
        if !told {
            let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
            assert!(user.len() == 32 && user.chars().all(is_digit), "{role}: {user}");
            for written in [format!("user={user}"), format!("user=pseudonym:{user}")] {
                let found = ask(&[&by_user[..], &["--where", &written]].concat());
                assert_eq!(found.len(), 1, "{role}: {written}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_are_told_with_what_was_meant() {
    let world = World::start_default().await;
    for (name, arguments) in [
        ("label", &["cost", "--by", "teem"][..]),
        ("condition", &["cost", "--where", "teem=data"]),
        ("no_value", &["cost", "--where", "team"]),
        ("time", &["cost", "--since", "lastweek"]),
        ("order", &["cost", "--since", "2026-11-02", "--until", "2026-11-01"]),
        ("seconds", &["cost", "--since", "2026-11-02T10:00:30"]),
        ("zone", &["cost", "--zone", "Europe/Berlni"]),
        ("tenant", &["cost", "--tenant", "nobody"]),
        ("formats", &["cost", "--csv", "--json"]),
    ] {
        insta::assert_snapshot!(format!("mistake_{name}"), world.run(arguments).story(world.path()));
    }
    assert_eq!(world.json(&["cost"])["lines"], json!([]));
}
