//! Entries whose time is over are let go, and everything else can be checked as before.

use std::{fs, path::Path, time::Instant};

use serde_json::Value;
use tlog::{Stored, bundle::BundleId, kept, note::VerifierKey};
use verify::{LogReport, Trust, Way, verify_consistency, verify_log, verify_proof};

use crate::harness::{PATIENCE, World, chat};

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// How many entries are gone of the default tenant's log, as `audit verify` says.
fn gone(world: &World) -> u64 {
    let report = world.verify().exits(0).json();
    let tenants = report["tenants"].as_array().unwrap();
    let found = tenants.iter().find(|tenant| tenant["tenant"] == "default").unwrap();
    found["gone"].as_u64().unwrap_or(0)
}

/// Waits until so many entries are gone: the server lets them go by itself.
fn wait_until_gone(world: &World, entries: u64) {
    let started = Instant::now();
    while gone(world) < entries {
        assert!(started.elapsed() < PATIENCE, "{} entries are gone", gone(world));
    }
}

async fn call(world: &World, key: &str, calls: usize) {
    for _ in 0..calls {
        world.chat(key, &chat("gpt-4o-mini")).await.is(200);
    }
    world.settled().await;
}

fn check(directory: &Path, since: &[String]) -> LogReport {
    let keys = text(&directory.join("vkey"));
    let keys = keys.lines().map(|key| key.parse::<VerifierKey>().unwrap());
    let trust = Trust {
        since: since.to_vec(),
        ..Trust::in_keys(keys)
    };
    verify_log(directory, &trust).unwrap()
}

/// A world with calls whose log was exported when nothing was gone, with that export's checkpoint; stopped.
async fn used() -> (World, String, String) {
    let mut world = World::builder()
        .configuration("[audit]\npublic_log = true\n")
        .start()
        .await;
    let key = world.key("worker");
    call(&world, &key, 3).await;
    world.stop();
    world.json(&["audit", "export", "--tiles", "before"]);
    let checkpoint = text(&world.path().join("before/default/checkpoint"));
    (world, key, checkpoint)
}

fn expire_calls(world: &World) {
    world.edit("bailiwick.toml", "[audit]\n", "[retention]\ncalls = \"1s\"\n[audit]\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_old_goes_and_the_rest_can_be_checked() {
    let (mut world, key, old) = used().await;
    expire_calls(&world);
    world.start();
    wait_until_gone(&world, 6);
    let entries = world.entries("default");
    let kinds: Vec<_> = entries.iter().map(|entry| entry.event.kind()).collect();
    assert!(!kinds.contains(&"intent") && kinds.contains(&"expired"), "{kinds:?}");
    // What is gone is said to be.
    let first = (0..)
        .find(|index| entries.iter().all(|entry| entry.index != *index))
        .unwrap();
    let shown = world.run(&["audit", "show", &first.to_string()]).exits(1);
    assert!(
        shown.stderr.contains(&format!("entry {first} was let go")),
        "{}",
        shown.stderr
    );
    let traced = world.run(&["trace", &first.to_string()]).exits(1);
    assert!(traced.stderr.contains("was let go"), "{}", traced.stderr);
    let found = world.json(&["audit", "search", "--kind", "intent"]);
    assert_eq!(
        (found["entries"].as_array().unwrap().len(), &found["gone"]),
        (0, &Value::from(3))
    );
    let proof = world.run(&["audit", "prove", &first.to_string()]).exits(1);
    assert!(proof.stderr.contains("was let go"), "{}", proof.stderr);
    let url = |piece: &str| format!("{}/log/default/{piece}", world.admin_url());
    let whole = BundleId::in_log(0, first + 1).unwrap();
    let bundle = world.http().get(&url(&whole.to_string())).await.unwrap();
    assert_eq!(bundle.status, 404);
    assert!(bundle.text().contains("entries of tile/entries"), "{}", bundle.text());
    let tile = world
        .http()
        .get(&url(&whole.hashes().unwrap().to_string()))
        .await
        .unwrap();
    tile.is(200);
    // Costs stay, and calls go on; so does a start, also without a stop, and without tiles.
    let spent = |world: &World| world.json(&["cost"])["total"]["cost_usd"].clone();
    let before = spent(&world);
    call(&world, &key, 1).await;
    assert_ne!(spent(&world), before);
    world.kill();
    fs::remove_file(world.data().join("tiles.db")).unwrap();
    world.start();
    call(&world, &key, 1).await;
    wait_until_gone(&world, 10);
    world.stop();

    // An outsider checks all of it, also that it goes on from when nothing was gone.
    world.json(&["audit", "export", "--tiles", "after"]);
    let after = world.path().join("after/default");
    let report = check(&after, std::slice::from_ref(&old));
    assert_eq!((report.ok, &report.troubles), (true, &Vec::new()));
    assert!(report.found.gone >= 10 && report.found.replayed_from.is_some());
    assert!(report.not_proven.iter().any(|open| open.code == "gone"));
    assert_eq!(report.goes_on_from.len(), 1);
    let trust = Trust::in_keys([text(&after.join("vkey")).trim().parse().unwrap()]);
    let new = text(&after.join("checkpoint"));
    let goes_on = verify_consistency(&old, &new, &trust, Way::Log(&after));
    assert!(goes_on.ok, "{:?}", goes_on.trouble);
    for entry in &entries {
        let proof = world.run(&["audit", "prove", &entry.index.to_string()]).exits(0);
        let proved = verify_proof(&proof.stdout, None, &trust);
        assert!(proved.ok, "{:?}", proved.trouble);
    }
    // The earlier export is gone on from: what it has it keeps.
    world.json(&["audit", "export", "--tiles", "before"]);
    let report = check(&world.path().join("before/default"), &[]);
    assert_eq!((report.ok, &report.troubles), (true, &Vec::new()));
}

/// Has one more entry vanish from an exported log, as the others did.
fn vanish(directory: &Path, bundle: BundleId, place: usize) {
    let path = directory.join("kept").join(bundle.to_string());
    let bytes = fs::read(&path).unwrap();
    let mut changed = Vec::new();
    for (at, stored) in kept::split(&bytes).unwrap().iter().enumerate() {
        let stored = if at == place {
            Stored::Gone(stored.leaf())
        } else {
            *stored
        };
        kept::push(&mut changed, &stored).unwrap();
    }
    assert_ne!(bytes, changed);
    fs::write(path, changed).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_vanishes_among_what_was_let_go() {
    let (mut world, ..) = used().await;
    expire_calls(&world);
    world.start();
    wait_until_gone(&world, 6);
    world.stop();
    let exported = |name: &str| {
        world.json(&["audit", "export", "--tiles", name]);
        let directory = world.path().join(name).join("default");
        let report = check(&directory, &[]);
        assert!(report.ok, "{:?}", report.troubles);
        (BundleId::in_log(0, report.size).unwrap(), directory)
    };
    let trouble = |directory: &Path| {
        let report = check(directory, &[]);
        assert!(!report.ok);
        report.troubles[0].to_string()
    };
    let (bundle, directory) = exported("vanished");
    vanish(&directory, bundle, 0);
    assert!(
        trouble(&directory).contains("others vanished among them"),
        "{}",
        trouble(&directory)
    );
    let (_, directory) = exported("without");
    fs::remove_file(directory.join("snapshot")).unwrap();
    assert!(
        trouble(&directory).contains("the snapshot is missing"),
        "{}",
        trouble(&directory)
    );
    let (_, directory) = exported("changed");
    let snapshot = text(&directory.join("snapshot")).replacen("\"worker\"", "\"warker\"", 1);
    fs::write(directory.join("snapshot"), snapshot).unwrap();
    let what = trouble(&directory);
    assert!(what.contains("snapshot"), "{what}");
}

/// A sink that was taken out of the configuration holds nothing up. Put back, it says what it cannot hand over any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_was_away_says_what_it_missed() {
    let (mut world, key, _) = used().await;
    let sinks = "[[sinks]]\nname = \"old\"\nkind = \"file\"\npath = \"old.jsonl\"\nfrom = \"beginning\"\n";
    let without = text(&world.path().join("bailiwick.toml"));
    world.write("bailiwick.toml", &format!("{without}\n{sinks}"));
    let sink = |world: &World| world.json(&["sink", "list"])["sinks"][0].clone();
    let caught_up = |world: &World| {
        let started = Instant::now();
        loop {
            let sink = sink(world);
            if sink["behind"] == 0 && sink["state"] == "ok" {
                return sink;
            }
            assert!(started.elapsed() < PATIENCE, "{sink}");
        }
    };
    world.start();
    assert_eq!(caught_up(&world)["let_go"], 0);
    world.stop();
    // Calls that it never sees.
    world.write("bailiwick.toml", &without);
    world.start();
    call(&world, &key, 2).await;
    world.stop();
    expire_calls(&world);
    world.start();
    wait_until_gone(&world, 10);
    world.stop();
    let expiring = text(&world.path().join("bailiwick.toml"));
    world.write("bailiwick.toml", &format!("{expiring}\n{sinks}"));
    world.start();
    assert_eq!(caught_up(&world)["let_go"], 4);
    let listed = world.run(&["sink", "list"]).exits(0);
    assert!(listed.stderr.contains("old passed over 4 entries"), "{}", listed.stderr);
    let log = world.server().log();
    assert!(
        log.contains("entries were let go before this sink came to them"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_under_a_legal_hold() {
    let (mut world, key, _) = used().await;
    world.start();
    let nothing = world.run(&["audit", "expire"]).exits(1);
    assert!(nothing.stderr.contains("[retention]"), "{}", nothing.stderr);
    let set = ["audit", "hold", "set", "case-4711", "--note", "a letter"];
    world.run(&set).exits(0);
    let twice = world.run(&set).exits(1);
    assert!(twice.stderr.contains("in force already"), "{}", twice.stderr);
    let listed = world.json(&["audit", "hold", "list"]);
    assert_eq!(listed["holds"][0]["name"], "case-4711");
    world.stop();
    expire_calls(&world);
    world.start();
    call(&world, &key, 1).await;
    // As soon as it would all go.
    let started = Instant::now();
    loop {
        let looked = world.json(&["audit", "expire", "--dry-run", "--tenant", "default"]);
        let log = &looked["logs"][0];
        assert_eq!(log["legal_holds"][0], "case-4711");
        if log["count"] == 8 {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{looked}");
    }
    let refused = world.run(&["audit", "expire"]).exits(0);
    assert!(
        refused.stdout.contains("nothing goes under a legal hold (case-4711)"),
        "{}",
        refused.stdout
    );
    assert_eq!(gone(&world), 0);
    world
        .run(&["audit", "hold", "lift", "case-4711", "--note", "closed"])
        .exits(0);
    wait_until_gone(&world, 8);
    let lifted = world
        .run(&["audit", "hold", "lift", "case-4711", "--note", "closed"])
        .exits(1);
    assert!(lifted.stderr.contains("there is no legal hold"), "{}", lifted.stderr);
}
