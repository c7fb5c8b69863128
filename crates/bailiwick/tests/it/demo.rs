//! `bailiwick demo`: that everything it claims holds, and that nothing is left of it.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Done, Http, Process, bailiwick};

fn demo(temporary: &TempDir, arguments: &[&str]) -> Command {
    let mut command = bailiwick(temporary.path());
    command.arg("demo").args(arguments).env("TMPDIR", temporary.path());
    command
}

fn left(temporary: &TempDir) -> usize {
    std::fs::read_dir(temporary.path()).unwrap().count()
}

#[test]
fn what_it_claims_holds() {
    let temporary = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let done = Done::of(&mut demo(&temporary, &["--json"])).exits(0);
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!((done.stderr.as_str(), left(&temporary)), ("", 0));
    let objects: Vec<Value> = done
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let summary = objects.last().unwrap();
    for (path, expected) in [
        ("/event", json!("summary")),
        ("/ok", json!(true)),
        ("/ledger_agrees", json!(true)),
        ("/verified", json!(true)),
        ("/audit/ok", json!(true)),
        ("/troubles", json!([])),
        ("/agents/0/denied", json!({})),
        ("/agents/0/allowed", json!(16)),
        ("/agents/1/state", json!("stopped")),
        ("/agents/2/denied", json!({"policy_denied": 3})),
        ("/agents/2/allowed", json!(8)),
        ("/agents/3/denied", json!({})),
        ("/agents/3/allowed", json!(7)),
    ] {
        assert_eq!(summary.pointer(path), Some(&expected), "{path}");
    }
    assert_eq!(summary["provider"], summary["ledger"]);
    // How far the loop gets depends on how its crawlers race.
    let looping = &summary["agents"][1];
    let number = |value: &Value| value.as_u64().unwrap();
    let refused = number(&looping["denied"]["budget_exhausted"]);
    assert!(
        refused >= 40 && (40..=120).contains(&number(&looping["allowed"])),
        "{looping}"
    );
    let usd = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
    let (spent, limit) = (usd(&looping["ledger_usd"]), usd(&looping["limit_usd"]));
    assert!(spent <= limit && spent > 0.7 * limit, "{looping}");
    for agent in summary["agents"].as_array().unwrap() {
        assert_eq!(agent["ledger_usd"], agent["provider_usd"]);
    }
    // Each call was told of when it happened.
    let calls = |decision: &str| objects.iter().filter(|object| object["decision"] == decision).count();
    assert_eq!(
        calls("allow"),
        usize::try_from(number(&summary["provider"]["calls"])).unwrap()
    );
    assert_eq!(calls("deny"), usize::try_from(refused + 3).unwrap());
    let streams = |upstream: &str| {
        objects
            .iter()
            .any(|object| object["upstream"] == upstream && object["stream"] == true)
    };
    assert!(streams("openai") && streams("anthropic"));
}

#[test]
fn plain_text_where_there_is_no_terminal() {
    let temporary = tempfile::tempdir().unwrap();
    let done = Done::of(&mut demo(&temporary, &[])).exits(0);
    assert_eq!((done.stderr.as_str(), left(&temporary)), ("", 0));
    assert!(!done.stdout.contains('\x1b'));
    for told in [
        "402 budget_exhausted: ",
        "claude-opus-5: 403 policy_denied. ",
        "holds placed, each ended once",
        "replayed entry by entry, spending never passed a limit",
        "export OPENAI_BASE_URL=http://127.0.0.1:7400/openai/v1",
    ] {
        assert!(done.stdout.contains(told), "{told:?} is not in:\n{}", done.stdout);
    }
}

#[tokio::test]
async fn kept_it_serves_until_it_is_interrupted() {
    let temporary = tempfile::tempdir().unwrap();
    let logs = tempfile::tempdir().unwrap();
    let mut command = demo(&temporary, &["--keep", "--json"]);
    let mut process = Process::start(&mut command, &logs.path().join("log"));
    let next = || -> Value { serde_json::from_str(&process.line()).unwrap() };
    let mut summary = next();
    while summary["event"] != "summary" {
        summary = next();
    }
    assert_eq!((&summary["ok"], &summary["verified"]), (&json!(true), &json!(true)));
    let serving = next();
    let text = |name: &str| serving[name].as_str().unwrap().to_owned();
    assert_eq!(text("event"), "serving");
    assert!(Path::new(&text("config")).exists() && Path::new(&text("owner_credential")).exists());
    let url = format!("{}/chat/completions", text("openai_base_url"));
    let body = json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]});
    let reply = Http::new()
        .post(&url, &text("credential"), "", &body)
        .await
        .unwrap()
        .is(200);
    assert_ne!(reply.header("bailiwick-cost-usd"), "");
    // Other commands find the running server through its configuration, although its ports are any.
    let mut list = bailiwick(temporary.path());
    let list = Done::of(list.args(["budget", "list", "--json", "-c", &text("config")])).exits(0);
    assert!(list.stdout.contains("visitor"), "{}", list.stdout);
    process.signal("INT");
    assert_eq!(process.wait(), 0);
    assert_eq!(left(&temporary), 0);
}

#[test]
fn interrupted_it_leaves_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let logs = tempfile::tempdir().unwrap();
    for name in ["INT", "TERM", "HUP"] {
        let mut process = Process::start(&mut demo(&temporary, &["--json"]), &logs.path().join(name));
        assert!(process.line().contains("\"started\""));
        process.signal(name);
        assert_eq!((process.wait(), left(&temporary)), (1, 0), "{name}");
    }
}
