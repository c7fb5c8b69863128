//! What is found in the audit trail, and what a trace shows, with the real binary.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::harness::{Agent, Done, Http, Reply, World, bailiwick, chat};

/// A text without what differs from run to run: ids, instants, lengths of time, the numbers of entries.
fn steady(text: &str) -> String {
    let mut entries: BTreeMap<String, usize> = BTreeMap::new();
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let mut take = word.len().max(first.len_utf8());
        let shown = if word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            "ID".to_owned()
        } else if digits.len() == 4 && rest.get(4..5) == Some("-") && rest.get(7..8) == Some("-") {
            let instant = |c: &char| c.is_ascii_digit() || "-: .".contains(*c);
            take = rest.chars().take_while(instant).count();
            take = rest.get(..take).unwrap().trim_end_matches([' ', '.']).len();
            "TIME".to_owned()
        } else if let Some(length) = length(rest) {
            take = length;
            "LENGTH".to_owned()
        } else if !digits.is_empty() && (out.ends_with("entry ") || out.trim_end_matches(' ').ends_with('\n')) {
            let next = entries.len() + 1;
            take = digits.len();
            format!("#{}", entries.entry(digits).or_insert(next))
        } else if out.ends_with("credential ") || out.ends_with("prices book ") || out.ends_with("--cursor ") {
            take = rest.find([',', ' ', '\n']).unwrap_or(rest.len());
            "WORD".to_owned()
        } else if rest.starts_with("chatcmpl-") {
            take = rest.find(' ').unwrap();
            "PROVIDER-ID".to_owned()
        } else {
            rest.get(..take).unwrap().to_owned()
        };
        out.push_str(&shown);
        rest = &rest[take..];
    }
    out
}

/// How long a length of time is that a text begins with, as text.
fn length(text: &str) -> Option<usize> {
    let number = text.chars().take_while(|c| c.is_ascii_digit() || *c == '.').count();
    let unit = [" µs", " ms", " s"]
        .into_iter()
        .find(|unit| text[number..].starts_with(unit))?;
    let behind = text[number + unit.len()..].chars().next();
    (number > 0 && behind.is_none_or(|c| !c.is_alphanumeric())).then_some(number + unit.len())
}

fn story(world: &World, arguments: &[&str]) -> String {
    steady(&world.run(arguments).story(world.path()))
}

/// What a trace shows.
pub(crate) fn trace(world: &World, id: &str) -> String {
    story(world, &["trace", id])
}

fn id(reply: &Reply) -> String {
    reply.header("bailiwick-request-id").to_owned()
}

/// The kinds of what is found, the newest first.
fn kinds(world: &World, arguments: &[&str]) -> Vec<String> {
    let found = world.json(&[&["audit", "search"], arguments].concat());
    let entries = found["entries"].as_array().unwrap().iter();
    let kind = |found: &Value| {
        let event = found["entry"]["event"].as_object().unwrap();
        event.keys().next().unwrap().clone()
    };
    entries.map(kind).collect()
}

/// Two agents; one has a user, and asks for what policies do not permit.
async fn world() -> World {
    let world = World::builder()
        .agent(Agent::new("worker", "1 USD"))
        .agent(Agent::new("reader", "1 USD"))
        .policies(
            "@id(\"cheap\")\npermit (principal, action == Action::\"llm:generate\", resource == Model::\"openai/gpt-4o-mini\");\n",
        )
        .start()
        .await;
    let worker = world
        .run(&["key", "issue", "worker", "--user", "ann@acme.example"])
        .exits(0);
    let (worker, reader) = (worker.stdout.trim().to_owned(), world.key("reader"));
    for _ in 0..3 {
        world.chat(&worker, &chat("gpt-4o-mini")).await.is(200);
        world.settled().await;
    }
    world.chat(&worker, &chat("gpt-4o")).await.is(403);
    world
        .scripted(&reader, "status=500", &chat("gpt-4o-mini"))
        .await
        .is(500);
    world.settled().await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_are_found_by_what_they_say() {
    let world = world().await;
    let two = |kinds: &[&str]| kinds.iter().map(ToString::to_string).collect::<Vec<_>>();
    for (arguments, expected) in [
        (
            &["--agent", "worker", "--min-cost", "0.000001"][..],
            &["outcome"; 3][..],
        ),
        (&["--agent", "worker", "--min-cost", "1"], &[]),
        (
            &["--user", "ann@acme.example", "--kind", "outcome", "--since", "-1h"],
            &["outcome"; 3],
        ),
        (&["--user", "ann@acme.example", "--until", "-1h"], &[]),
        (&["--decision", "deny"], &["denial"]),
        (&["--reason", "policy_denied", "--reason", "rate_limited"], &["denial"]),
        (&["--resource", "openai/gpt-4o"], &["denial"]),
        (&["--resource", "openai/*", "--status", "upstream_error"], &["outcome"]),
        (
            &["--agent", "reader", "--action", "llm:generate"],
            &["outcome", "intent"],
        ),
        (
            &["--by", "owner", "--kind", "key_issued", "--agent", "reader"],
            &["key_issued"],
        ),
        (&["--kind", "started"], &["started"]),
        (&["cheap", "gpt", "--kind", "intent", "--agent", "reader"], &["intent"]),
        (
            &[
                "--kind", "intent", "--kind", "denial", "--agent", "worker", "--limit", "2",
            ],
            &["denial", "intent"],
        ),
    ] {
        let mut found = kinds(&world, arguments);
        if arguments.contains(&"started") {
            // In one log or in all of them.
            found.dedup();
        }
        assert_eq!(found, two(expected), "{arguments:?}");
    }
    insta::assert_snapshot!(
        "table",
        story(&world, &["audit", "search", "--agent", "worker", "--min-cost", "0"])
    );
    insta::assert_snapshot!("nothing", story(&world, &["audit", "search", "--agent", "wroker"]));

    // Page by page it is the same as at once.
    let all = world.json(&["audit", "search", "--all"])["entries"]
        .as_array()
        .unwrap()
        .clone();
    let oldest = world.json(&["audit", "search", "--all", "--oldest-first"])["entries"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(oldest.iter().rev().collect::<Vec<_>>(), all.iter().collect::<Vec<_>>());
    let mut pages = Vec::new();
    let mut page = world.json(&["audit", "search", "--limit", "5"]);
    loop {
        pages.extend(page["entries"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        page = world.json(&["audit", "search", "--limit", "5", "--cursor", next]);
    }
    assert_eq!(pages, all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_in_searching_are_explained() {
    let world = World::start_default().await;
    for (name, arguments) in [
        ("kind", &["audit", "search", "--kind", "intents"][..]),
        ("decision", &["audit", "search", "--decision", "maybe"]),
        ("resource", &["audit", "search", "--resource", "open*"]),
        ("time", &["audit", "search", "--since", "tomorow"]),
        ("cost", &["audit", "search", "--min-cost", "much"]),
        ("cursor", &["audit", "search", "--cursor", "abc"]),
        (
            "cursor_and_more",
            &["audit", "search", "--cursor", "abc", "--agent", "worker"],
        ),
        ("word", &["audit", "search", "--", "--"]),
        ("tenant", &["audit", "search", "--tenant", "nobody"]),
        ("trace_id", &["trace", "last"]),
        ("trace_unknown", &["trace", "01a0c3d65a0071018101010101010101"]),
        ("trace_entry", &["trace", "123456"]),
    ] {
        insta::assert_snapshot!(format!("mistake_{name}"), story(&world, arguments));
    }
}

/// Whoever may not answer for others finds people by pseudonym only, and is told no names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_auditor_searches_without_learning_names() {
    let world = world().await;
    let credential = world
        .run(&["admin", "add", "eve", "--role", "auditor"])
        .exits(0)
        .stdout
        .trim()
        .to_owned();
    let ask = |arguments: &[&str]| Done::of(world.command(arguments).env("BAILIWICK_ADMIN_KEY", &credential)).exits(0);
    let found = ask(&["audit", "search", "--agent", "worker", "--kind", "outcome", "--json"]);
    assert!(!found.stdout.contains("ann@acme.example"), "{}", found.stdout);
    let pseudonym = found.json()["entries"][0]["about"]["user"][0]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(pseudonym.len(), 32);
    let by_name = ask(&["audit", "search", "--user", "ann@acme.example"]);
    assert!(
        by_name
            .stdout
            .contains("your role finds people by their pseudonyms only"),
        "{}",
        by_name.stdout
    );
    let by_pseudonym = ask(&["audit", "search", "--user", &format!("pseudonym:{pseudonym}"), "--json"]).json();
    assert_eq!(by_pseudonym["entries"].as_array().unwrap().len(), 8);
    let action = found.json()["entries"][0]["about"]["action"][0]
        .as_str()
        .unwrap()
        .to_owned();
    let traced = ask(&["trace", &action]).stdout;
    assert!(traced.contains(&pseudonym) && !traced.contains("ann@"), "{traced}");
    assert!(
        world
            .run(&["trace", &action])
            .exits(0)
            .stdout
            .contains("for ann@acme.example")
    );
    // Nor may it be made again by whoever only reads.
    let refused = Done::of(
        world
            .command(&["audit", "reindex"])
            .env("BAILIWICK_ADMIN_KEY", &credential),
    )
    .exits(1);
    assert!(
        refused
            .stderr
            .contains("the role auditor of administrator eve does not allow this"),
        "{}",
        refused.stderr
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_index_is_made_again_by_one_command() {
    let mut world = world().await;
    let before = world.json(&["audit", "search", "--all"])["entries"].clone();
    let costs = world.json(&["cost", "--since", "2020-01-01"])["total"].clone();
    let made = world.run(&["audit", "reindex"]).exits(0);
    assert!(
        made.stdout.contains("costs are equal:") && made.stdout.contains(", as before"),
        "{}",
        made.stdout
    );
    assert_eq!(world.json(&["audit", "search", "--all"])["entries"], before);
    world.stop();
    let file = world.data().join("projections.db");
    std::fs::write(&file, "damaged").unwrap();
    let made = world.run(&["audit", "reindex"]).exits(0);
    let text = steady(&made.stdout);
    assert!(text.contains("as the outcomes in the log add up to"), "{text}");
    let size = std::fs::metadata(&file).unwrap().len();
    assert!(size > 1_000, "{size}");
    let made = world.json(&["audit", "reindex"]);
    assert_eq!(made["booked_usd"], made["compared_usd"]);
    let copy = world.path().join("copy");
    let nothing = Done::of(bailiwick(world.path()).args(["audit", "reindex", "--data"]).arg(&copy)).exits(1);
    assert!(nothing.stderr.contains("there is no log in "), "{}", nothing.stderr);
    world.start();
    let elsewhere = Done::of(
        bailiwick(world.path())
            .args(["audit", "reindex", "--data"])
            .arg(world.data()),
    )
    .exits(1);
    assert!(elsewhere.stderr.contains("a server runs on"), "{}", elsewhere.stderr);
    assert_eq!(world.json(&["cost", "--since", "2020-01-01"])["total"], costs);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_traced() {
    let retried = "[routes.chat]\nupstream = \"openai\"\ntries = 2\nretry_on = [\"5xx\"]\nbackoff = \"1ms\"\n";
    let world = World::builder()
        .agent(Agent::new("worker", "1 USD"))
        .configuration(retried)
        .policies(
            "@id(\"openai-only\")\npermit (principal, action == Action::\"llm:generate\", resource in Upstream::\"openai\");\n",
        )
        .start()
        .await;
    let key = world
        .run(&["key", "issue", "worker", "--user", "ann@acme.example"])
        .exits(0)
        .stdout
        .trim()
        .to_owned();
    let allowed = world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    insta::assert_snapshot!("allowed", trace(&world, &id(&allowed)));

    let tried = world
        .scripted(&key, "status=503; first=1", &chat("gpt-4o-mini"))
        .await
        .is(200);
    world.settled().await;
    insta::assert_snapshot!("retried", trace(&world, &id(&tried)));

    let url = format!("{}/anthropic/v1/messages", world.agents_url());
    let body =
        json!({ "model": "claude-sonnet-4-5", "max_tokens": 50, "messages": [{ "role": "user", "content": "x" }] });
    let denied = world.http().post(&url, &key, "", &body).await.unwrap().is(403);
    insta::assert_snapshot!("denied", trace(&world, &id(&denied)));

    // Far more than was allowed, and in so many pieces that it can be cut.
    let mut stream = chat("gpt-4o-mini");
    stream["stream"] = json!(true);
    let cut = world.scripted(&key, "output=40000; events=400", &stream).await.is(200);
    world.settled().await;
    let shown = trace(&world, &id(&cut));
    assert!(
        shown.contains("cut: what was used passed the hold") && shown.contains("overrun"),
        "{shown}"
    );
    insta::assert_snapshot!("cut", without_figures(&shown));

    // An entry leads to its action, and one of none stands alone.
    let entries = world.json(&["audit", "search", "--action", &id(&allowed), "--kind", "outcome"]);
    let index = entries["entries"][0]["entry"]["index"].to_string();
    assert_eq!(trace(&world, &index), trace(&world, &id(&allowed)));
    let loaded = world.json(&["audit", "search", "--kind", "policy_loaded"]);
    let index = loaded["entries"][0]["entry"]["index"].to_string();
    insta::assert_snapshot!("of_no_action", trace(&world, &index));
}

/// Without numbers that depend on where a stream was cut.
fn without_figures(text: &str) -> String {
    let is_figure = |word: &str| word.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
    let line = |line: &str| {
        let cut = ["outcome", "cost", "overrun", "total", "action"]
            .iter()
            .any(|what| line.contains(what));
        let words = line
            .split(' ')
            .map(|word| if cut && is_figure(word) { "N" } else { word });
        words.collect::<Vec<_>>().join(" ")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// A call that may have to wait, in the background.
fn calling(world: &World, key: &str) -> JoinHandle<Result<Reply, String>> {
    let (url, key) = (
        format!("{}/openai/v1/chat/completions", world.agents_url()),
        key.to_owned(),
    );
    tokio::spawn(async move { Http::new().post(&url, &key, "", &chat("gpt-4o-mini")).await })
}

/// The action that waits; looks until it is there.
async fn waiting(world: &World) -> String {
    for _ in 0..200 {
        let asks = world.json(&["approval", "list"])["asks"].clone();
        if let Some(action) = asks[0]["action"].as_str() {
            return action.to_owned();
        }
        tokio::task::yield_now().await;
    }
    panic!("nothing comes to wait");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_is_traced() {
    let world = World::start_default().await;
    let key = world.key("worker");
    let order = [
        "--limit",
        "0 calls",
        "--per",
        "total",
        "--select",
        "agent=worker",
        "--ask",
        "--note",
        "a test",
    ];
    world
        .run(&[&["budget", "create", "asks"], &order[..]].concat())
        .exits(0);
    let call = calling(&world, &key);
    let action = waiting(&world).await;
    insta::assert_snapshot!("waiting", trace(&world, &action));
    world
        .run(&["approval", "top-up", &action, "--note", "month-end report"])
        .exits(0);
    call.await.unwrap().unwrap().is(200);
    world.settled().await;
    insta::assert_snapshot!("asked", trace(&world, &action));
    let call = calling(&world, &key);
    let action = waiting(&world).await;
    world
        .run(&["approval", "refuse", &action, "--note", "try again tomorrow"])
        .exits(0);
    call.await.unwrap().unwrap().is(402);
    insta::assert_snapshot!("refused", trace(&world, &action));
}
