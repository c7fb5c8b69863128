//! What a user does first.

use std::{fs, path::Path};

use fake::Provider;
use serde_json::json;

use crate::harness::{Done, Http, Process, UPSTREAM_KEY, World, bailiwick, chat};

/// The documented first steps, on the files that `init` writes, with nothing but the provider's address changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn init_serve_key_call_budget_audit() {
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| Done::of(bailiwick(dir.path()).args(arguments));
    let config = "mydir/bailiwick.toml";
    let done = run(&["init", "mydir"]).exits(0);
    assert!(
        done.stdout.contains("mydir/governance/agents/assistant.yaml\n"),
        "{}",
        done.stdout
    );
    let done = run(&["check", "-c", config]).exits(0);
    assert_eq!(done.stdout, "ok: 1 agent, 1 policy file, 2 upstreams\n");

    let provider = Provider::start(fake::Config {
        expect_key: Some(UPSTREAM_KEY.to_owned()),
        ..fake::Config::default()
    });
    let provider = provider.await.unwrap();
    point_at(&provider, &dir.path().join(config));
    let mut serve = bailiwick(dir.path());
    let mut server = Process::start(serve.args(["serve", "-c", config]), &dir.path().join("server.log"));
    let listening = server.listening();
    let agents = listening["agents"].as_str().unwrap();

    let issued = run(&["key", "issue", "assistant", "--name", "laptop", "-c", config]).exits(0);
    let key = issued.stdout.trim();
    assert!(
        key.starts_with("bwk_") && issued.stdout.lines().count() == 1,
        "one line with a credential"
    );
    let export = format!("export OPENAI_BASE_URL=http://{agents}/openai/v1\n");
    assert!(issued.stderr.contains(&export), "{}", issued.stderr);
    assert!(!issued.stderr.contains(key), "the credential is shown once");

    let http = Http::new();
    let url = format!("http://{agents}/openai/v1/chat/completions");
    let reply = http.post(&url, key, "", &chat("gpt-4o-mini")).await.unwrap().is(200);
    assert_eq!(reply.json()["choices"][0]["message"]["role"], "assistant");
    assert_eq!(reply.header("bailiwick-decision"), "allow");
    let action = reply.header("bailiwick-request-id").to_owned();
    let cost = reply.header("bailiwick-cost-usd").to_owned();
    assert_eq!(
        http.post(&url, key, "", &chat("gpt-4o"))
            .await
            .unwrap()
            .is(403)
            .reason(),
        "policy_denied"
    );
    assert_eq!(provider.calls().count().received, 1);

    // A reply does not wait for the entry of its outcome.
    let shown = loop {
        let shown = run(&["audit", "show", &action, "--json", "-c", config]).exits(0).json();
        if shown["entries"].as_array().unwrap().len() > 1 {
            break shown;
        }
    };
    let kinds: Vec<_> = shown["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|shown| &shown["entry"]["event"])
        .collect();
    assert_eq!(kinds.len(), 2);
    assert_eq!(kinds[0]["intent"]["action"]["model"], "gpt-4o-mini");
    assert_eq!(kinds[1]["outcome"]["status"], "ok");
    let budgets = run(&["budget", "list", "--json", "-c", config]).exits(0).json();
    assert_eq!(budgets["budgets"][0]["spent"], cost);
    assert_eq!(budgets["budgets"][0]["held"], "0");
    let listed = run(&[
        "audit",
        "list",
        "--kind",
        "denial",
        "--agent",
        "assistant",
        "-c",
        config,
    ])
    .exits(0);
    assert!(
        listed.stdout.contains("openai/gpt-4o policy_denied"),
        "{}",
        listed.stdout
    );
    let verified = run(&["audit", "verify", "-c", config]).exits(0);
    assert!(
        verified.stdout.contains("verified: everything fits together"),
        "{}",
        verified.stdout
    );
    assert!(verified.stdout.contains("not proven:"), "{}", verified.stdout);

    server.signal("TERM");
    assert_eq!(server.wait(), 0);
    assert!(!server.log().contains(UPSTREAM_KEY) && !server.log().contains(key));
    let verified = run(&["audit", "verify", "--data", "mydir/data", "--json"])
        .exits(0)
        .json();
    assert_eq!(verified["ok"], true);
    let stopped = run(&["audit", "show", "0", "-c", config]).exits(1);
    assert!(stopped.stderr.contains("bailiwick serve"), "{}", stopped.stderr);
}

fn point_at(provider: &Provider, config: &Path) {
    let text = fs::read_to_string(config).unwrap();
    let lines = text.lines().map(|line| match line.split_once(" = ") {
        Some(("base_url", _)) => format!("base_url = \"{}\"", provider.url()),
        Some(("agents" | "# agents", _)) => "agents = \"127.0.0.1:0\"".to_owned(),
        Some(("admin" | "# admin", _)) => "admin = \"127.0.0.1:0\"".to_owned(),
        _ => line.to_owned(),
    });
    let lines: Vec<String> = lines.collect();
    fs::write(config, lines.join("\n")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_read_tables() {
    let world = World::start_default().await;
    let show = |arguments: &[&str]| world.steady(&world.run(arguments).exits(0).stdout);
    let empty = show(&["key", "list"]);
    assert_eq!(
        empty,
        "There are no credentials. To issue one: bailiwick key issue AGENT\n"
    );
    let key = world.key("worker");
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    insta::assert_snapshot!("agents", show(&["agent", "list"]));
    insta::assert_snapshot!("budgets", show(&["budget", "list"]));
    insta::assert_snapshot!("admins", show(&["admin", "list"]));
    // Without the times, which differ from run to run.
    let listed = show(&["audit", "list", "--from", "0", "--kind", "intent"]);
    let columns: Vec<&str> = listed.lines().map(|line| line.split_at(28).1).collect();
    insta::assert_snapshot!("intents", columns.join("\n"));
    let agents = show(&["audit", "list", "--agent", "worker", "--from", "0", "--kind", "outcome"]);
    assert_eq!(agents.lines().count(), 2, "{agents}");
    assert!(show(&["audit", "list", "--kind", "stopped"]).starts_with("No such entries."));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tail_follows_the_log_and_ends_at_ctrl_c() {
    let world = World::start_default().await;
    let mut tail = Process::start(
        &mut world.command(&["audit", "tail", "-n", "1", "--json"]),
        &world.path().join("tail.log"),
    );
    assert!(tail.line().contains("policy_loaded"));
    let key = world.key("worker");
    assert!(tail.line().contains("key_issued"));
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    assert!(tail.line().contains("\"intent\""));
    assert!(tail.line().contains("\"outcome\""));
    tail.signal("INT");
    assert_eq!(tail.wait(), 0, "{}", tail.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_provider_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let mut fake = bailiwick(dir.path());
    fake.args(["fake", "--latency", "1ms", "--output-tokens", "3"]);
    let mut fake = Process::start(&mut fake, &dir.path().join("fake.log"));
    let listening = fake.listening();
    let http = Http::new();
    let url = format!("http://{}/v1/chat/completions", listening["fake"].as_str().unwrap());
    let reply = http.post(&url, "any", "", &chat("gpt-4o-mini")).await.unwrap().is(200);
    assert_eq!(reply.json()["usage"]["completion_tokens"], json!(3));
    fake.signal("TERM");
    assert_eq!(fake.wait(), 0);
}
