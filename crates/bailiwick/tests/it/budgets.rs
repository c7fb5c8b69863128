//! What administrators see of budgets and do to them on the command line, with the real binary.

use entry::{AskEnd, Event};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::harness::{Agent, Done, Http, Reply, World, chat};

/// A text without the instants in it.
pub(crate) fn timeless(text: &str) -> String {
    let digits = |text: &str, form: &str| {
        let fits = |(c, form): (char, char)| if form == '0' { c.is_ascii_digit() } else { c == form };
        text.chars().count() >= form.len() && text.chars().zip(form.chars()).all(fits)
    };
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        for (form, shown) in [
            ("0000-00-00 00:00:00", "2026-11-22 20:30:00"),
            ("00-00 00:00", "11-23 00:00"),
        ] {
            if digits(rest, form) {
                out.push_str(shown);
                rest = &rest[form.len()..];
            }
        }
        let Some(c) = rest.chars().next() else { break };
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

fn story(world: &World, arguments: &[&str]) -> String {
    timeless(&world.run(arguments).story(world.path()))
}

/// A call that may have to wait, in the background.
fn calling(world: &World, key: &str) -> JoinHandle<Result<Reply, String>> {
    let (url, key) = (
        format!("{}/openai/v1/chat/completions", world.agents_url()),
        key.to_owned(),
    );
    tokio::spawn(async move { Http::new().post(&url, &key, "", &chat("gpt-4o-mini")).await })
}

/// The call that waits; looks until it is there.
async fn waiting(world: &World) -> Value {
    for _ in 0..200 {
        let asks = world.json(&["approval", "list"])["asks"].clone();
        if let Some(ask) = asks.as_array().unwrap().first() {
            return ask.clone();
        }
        tokio::task::yield_now().await;
    }
    panic!("nothing comes to wait");
}

fn create(world: &World, name: &str, more: &[&str]) -> Done {
    let mut arguments = vec!["budget", "create", name, "--note", "a test"];
    arguments.extend(more);
    world.run(&arguments)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn budgets_are_created_changed_and_shown() {
    let world = World::builder().agent(Agent::new("worker", "1 USD")).start().await;
    let key = world.key("worker");
    let day = [
        "--limit",
        "1 call",
        "--per",
        "day",
        "--select",
        "team=tests",
        "--ask",
        "10 minutes",
    ];
    insta::assert_snapshot!(
        "create",
        timeless(&create(&world, "team-tests", &day).story(world.path()))
    );
    let users = [
        "--limit",
        "2M tokens",
        "--per",
        "month",
        "--time-zone",
        "Europe/Berlin",
        "--each",
        "user",
    ];
    insta::assert_snapshot!(
        "create_each",
        timeless(&create(&world, "per-user", &users).story(world.path()))
    );
    world
        .run(&["budget", "set-limit", "worker", "2.5 USD", "--note", "quarter end"])
        .exits(0);
    insta::assert_snapshot!(
        "paused",
        story(&world, &["budget", "pause", "per-user", "--note", "incident 4711"])
    );
    world
        .run(&["budget", "resume", "per-user", "--note", "it is over"])
        .exits(0);
    let issued = world
        .run(&["key", "issue", "worker", "--user", "alice@acme.example"])
        .exits(0);
    world.chat(issued.stdout.trim(), &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    let of = ["--of", "user=alice@acme.example", "--note", "workshop"];
    world
        .run(&[&["budget", "top-up", "per-user", "500k tokens"], &of[..]].concat())
        .exits(0);
    world
        .run(&["budget", "top-up", "team-tests", "3 calls", "--note", "more"])
        .exits(0);
    let list = story(&world, &["budget", "list"]);
    insta::assert_snapshot!("list", list);
    insta::assert_snapshot!("show", story(&world, &["budget", "show", "team-tests"]));
    insta::assert_snapshot!("show_each", story(&world, &["budget", "show", "per-user"]));
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    world
        .run(&["budget", "unset-limit", "worker", "--note", "it is over"])
        .exits(0);
    let deleted = world.json(&["budget", "delete", "per-user", "--note", "it is over"]);
    assert_eq!(deleted["deleted"], "per-user");
    assert_eq!(world.json(&["budget", "list"])["budgets"].as_array().unwrap().len(), 2);
    let edited = world.run(&["audit", "list", "--kind", "budget_edited"]).exits(0).stdout;
    assert!(edited.contains("incident 4711"), "{edited}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_in_changing_budgets_are_explained() {
    let world = World::start_default().await;
    for (name, arguments) in [
        ("typo", &["budget", "pause", "wroker", "--note", "x"][..]),
        ("unit", &["budget", "set-limit", "worker", "5 calls", "--note", "x"]),
        ("no_note", &["budget", "pause", "worker", "--note", " "]),
        (
            "of_nobody",
            &["budget", "top-up", "worker", "5 USD", "--of", "user=x", "--note", "x"],
        ),
        (
            "of_nothing",
            &["budget", "top-up", "worker", "5 USD", "--of", "user", "--note", "x"],
        ),
        ("not_raised", &["budget", "unset-limit", "worker", "--note", "x"]),
        ("declared", &["budget", "delete", "worker", "--note", "x"]),
        (
            "label",
            &[
                "budget", "create", "b", "--limit", "1 USD", "--per", "day", "--select", "tema=x", "--note", "x",
            ],
        ),
        (
            "window",
            &[
                "budget",
                "create",
                "b",
                "--limit",
                "1 USD",
                "--per",
                "fortnight",
                "--note",
                "x",
            ],
        ),
        (
            "no_ask",
            &["approval", "refuse", "01a0c3d65a0071018101010101010101", "--note", "x"],
        ),
    ] {
        insta::assert_snapshot!(format!("mistake_{name}"), story(&world, arguments));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_waits_is_approved_refused_and_lost_with_the_server() {
    let mut world = World::start_default().await;
    let key = world.key("worker");
    let none = [
        "--limit",
        "0 calls",
        "--per",
        "total",
        "--select",
        "agent=worker",
        "--ask",
    ];
    create(&world, "asks", &none).exits(0);
    insta::assert_snapshot!("approval_none", story(&world, &["approval", "list"]));

    let call = calling(&world, &key);
    let ask = waiting(&world).await;
    let action = ask["action"].as_str().unwrap();
    let listed = story(&world, &["approval", "list"]).replace(action, "ACTION");
    insta::assert_snapshot!("approval_list", listed);
    let approver = world.run(&["admin", "add", "anna", "--role", "approver"]).exits(0);
    let arguments = ["approval", "top-up", action, "--note", "month-end report"];
    let approved = Done::of(
        world
            .command(&arguments)
            .env("BAILIWICK_ADMIN_KEY", approver.stdout.trim()),
    );
    insta::assert_snapshot!("approval_top_up", approved.story(world.path()));
    call.await.unwrap().unwrap().is(200);
    world.settled().await;

    let call = calling(&world, &key);
    let ask = waiting(&world).await;
    let action = ask["action"].as_str().unwrap();
    let refused = story(&world, &["approval", "refuse", action, "--note", "try again tomorrow"]);
    insta::assert_snapshot!("approval_refuse", refused);
    let reply = call.await.unwrap().unwrap().is(402);
    assert!(
        reply.text().contains("refused to top it up: try again tomorrow"),
        "{}",
        reply.text()
    );

    let call = calling(&world, &key);
    waiting(&world).await;
    world.kill();
    assert!(call.await.unwrap().is_err());
    world.start();
    assert_eq!(world.json(&["approval", "list"])["asks"].as_array().unwrap().len(), 0);
    let ended: Vec<_> = world.entries("default");
    let ended = ended.into_iter().filter_map(|entry| match entry.event {
        Event::AskEnded(ended) => Some(ended.end),
        _ => None,
    });
    assert_eq!(ended.collect::<Vec<_>>(), [AskEnd::Lost]);
    // The budget that was created is there after the restart.
    assert_eq!(world.json(&["budget", "show", "asks"])["budgets"][0]["declared"], "api");
    world.verify().exits(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_tighter_file_would_have_stopped_is_told_and_nothing_takes_effect() {
    let world = World::start_default().await;
    let key = world.key("worker");
    for _ in 0..5 {
        world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
        // One after the other, so that each has booked before the next.
        world.settled().await;
    }
    let before = world.entries("default");
    let intents = before.iter().filter_map(|entry| match &entry.event {
        Event::Intent(_) => Some(entry.index),
        _ => None,
    });
    let intents: Vec<u64> = intents.collect();
    let tighter = "kind: Budget\nname: tighter\nlimit: 2 calls\nper: total\nselect: { team: tests }\n";
    world.write("proposal.yaml", tighter);
    let file = world.path().join("proposal.yaml").display().to_string();
    let simulate = ["budget", "simulate", &file, "--since", "2020-01-01"];
    let told = world.json(&simulate);
    let count = |field: &str| told[field].as_u64().unwrap();
    assert_eq!((count("calls"), count("selected"), count("stopped_calls")), (5, 5, 3));
    assert_eq!((count("undecided"), count("overselected")), (0, 0));
    let stops = told["stops"].as_array().unwrap();
    let stopped: Vec<u64> = stops.iter().map(|stop| stop["entry"].as_u64().unwrap()).collect();
    assert_eq!(stopped, intents[2..]);
    let stop = &stops[0];
    assert_eq!((&stop["budget"], &stop["used"]), (&"tighter".into(), &"2 calls".into()));
    assert_eq!(told["pots"][0]["first"], stop["at"]);
    assert_eq!(told["pots"][0]["last"], stops[2]["at"]);
    insta::assert_snapshot!("simulate", story(&world, &simulate));
    // A period in which there was nothing.
    let later = world.json(&[
        "budget",
        "simulate",
        &file,
        "--since",
        "2020-01-01",
        "--until",
        "2020-01-02",
    ]);
    assert_eq!((&later["calls"], &later["stopped_calls"]), (&0.into(), &0.into()));

    world.write("wide.yaml", &tighter.replace("2 calls", "9 calls"));
    let wide = world.path().join("wide.yaml").display().to_string();
    let wide = world
        .run(&["budget", "simulate", &wide, "--since", "2020-01-01"])
        .exits(0);
    assert!(
        wide.stdout.contains("The budgets would have stopped none."),
        "{}",
        wide.stdout
    );

    world.write("misspelt.yaml", &tighter.replace("limit:", "limti:"));
    world.write(
        "zone.yaml",
        &tighter.replace("per: total", "per: day\ntime_zone: Europe/Berlni"),
    );
    world.write("empty.yaml", "");
    for name in ["misspelt", "zone", "empty"] {
        let file = world.path().join(format!("{name}.yaml")).display().to_string();
        let wrong = story(&world, &["budget", "simulate", &file, "--since", "2020-01-01"]);
        insta::assert_snapshot!(format!("simulate_{name}"), wrong);
    }

    // Nothing took effect: the log says nothing new, there is no such budget, and calls go on.
    assert_eq!(world.entries("default").len(), before.len());
    let budgets = world.json(&["budget", "list"]);
    assert_eq!(budgets["budgets"].as_array().unwrap().len(), 1);
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    world.verify().exits(0);
}
