//! `audit accept-restored`: an older copy of the logs is put back on purpose, and everything goes on and says so.

use std::{fs, path::Path};

use serde_json::Value;

use crate::harness::{World, chat};

const NOTE: &str = "disk died, backup of Sunday";

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            copy(&file.path(), &target);
        } else {
            fs::copy(file.path(), target).unwrap();
        }
    }
}

/// Where nothing but the database is put back.
const ELSEWHERE: &str = "[audit]\ncheckpoint_guard = \"./elsewhere\"\n";

/// A world that has made two calls, with a copy from after the first in `older`, and the credential.
async fn rolled_back() -> (World, String) {
    let mut world = World::builder().configuration(ELSEWHERE).start().await;
    let key = world.key("worker");
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    world.stop();
    copy(&world.data(), &world.path().join("older"));
    let guard = world.path().join("elsewhere/default.checkpoint");
    fs::copy(guard, world.path().join("before.checkpoint")).unwrap();
    world.start();
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    world.json(&["cost"]);
    world.stop();
    copy(&world.path().join("elsewhere"), &world.path().join("guards"));
    (world, key)
}

/// Puts the older database in the place of the newer one. Everything else stays.
fn put_back(world: &World) {
    fs::copy(
        world.path().join("older/bailiwick.db"),
        world.data().join("bailiwick.db"),
    )
    .unwrap();
}

fn refuses(world: &World) {
    let refused = world.run(&["serve"]).exits(1).stderr;
    assert!(refused.contains("an older copy was put in its place"), "{refused}");
    assert!(
        refused.contains("`bailiwick audit accept-restored --note TEXT`"),
        "{refused}"
    );
}

fn accept(world: &World) -> Value {
    world.json(&["audit", "accept-restored", "--note", NOTE, "--yes"])
}

fn kinds(world: &World, tenant: &str) -> Vec<&'static str> {
    world.entries(tenant).iter().map(|entry| entry.event.kind()).collect()
}

/// The report of one tenant's log.
fn of<'a>(report: &'a Value, tenant: &str) -> &'a Value {
    let all = report["tenants"].as_array().unwrap();
    all.iter().find(|found| found["tenant"] == tenant).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_is_accepted_and_everything_goes_on() {
    let (mut world, key) = rolled_back().await;
    let newest = world.json(&["audit", "verify"]);
    put_back(&world);
    refuses(&world);
    // Nobody is asked where nobody sits, and nothing is changed.
    let asked = world.run(&["audit", "accept-restored", "--note", NOTE]).exits(1);
    assert!(asked.stderr.contains("give --yes"), "{}", asked.stderr);
    assert!(
        asked.stdout.contains("what was spent is not counted"),
        "{}",
        asked.stdout
    );
    refuses(&world);
    let done = accept(&world);
    let losses = done["losses"].as_array().unwrap();
    let tenants: Vec<_> = losses.iter().map(|loss| loss["tenant"].as_str().unwrap()).collect();
    assert_eq!(tenants, ["_system", "default"]);
    for loss in losses {
        let tenant = loss["tenant"].as_str().unwrap();
        // A stop in order has signed all of it.
        let had = of(&newest, tenant)["entries"].as_u64().unwrap();
        assert_eq!(loss["signed"], had);
        assert_eq!(loss["lost"], had - loss["entries"].as_u64().unwrap());
        assert!(loss["from"].as_str().unwrap() < loss["to"].as_str().unwrap(), "{loss}");
    }
    // The old guard file is kept, byte for byte.
    for accepted in done["accepted"].as_array().unwrap() {
        let tenant = accepted["tenant"].as_str().unwrap();
        let kept = fs::read(world.path().join(accepted["kept"].as_str().unwrap())).unwrap();
        let before = fs::read(world.path().join(format!("guards/{tenant}.checkpoint"))).unwrap();
        assert_eq!(kept, before);
    }
    world.start();
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    let kinds = kinds(&world, "default");
    let restored = kinds.iter().position(|kind| *kind == "restored").unwrap();
    assert_eq!(kinds[restored - 1..=restored + 1], ["stopped", "restored", "started"]);
    // What was read of the lost entries is read anew: the sums are those of the log that is there.
    let calls = kinds.iter().filter(|kind| **kind == "outcome").count();
    assert_eq!(calls, 2);
    assert_eq!(world.json(&["cost"])["total"]["calls"], calls);
    let found = world.json(&["audit", "search", "--kind", "restored"]);
    assert_eq!(found["entries"].as_array().map(Vec::len), Some(2), "{found}");
    world.restart();
    world.stop();
    // It is signed to its end, and says what it has lost.
    let report = world.json(&["audit", "verify"]);
    assert_eq!(report["ok"], true);
    let log = of(&report, "default");
    assert_eq!(log["signed"], log["entries"]);
    assert_eq!(log["guarded"], log["entries"]);
    assert_eq!(log["restores"][0]["note"], NOTE);
    assert_eq!(log["restores"][0]["signed"], of(&newest, "default")["entries"]);
    assert_eq!(log["presence"]["after_a_crash"], 0);
    let told = world.run(&["audit", "verify"]).exits(0).stdout;
    assert!(told.contains("are lost: an older copy was accepted"), "{told}");
    // There is nothing more to be accepted.
    let again = accept(&world);
    assert_eq!(again["losses"].as_array().map(Vec::len), Some(0));
}

/// The verifier that others have says the same, and what a checkpoint from the lost time is worth.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_of_what_is_lost_is_explained() {
    let (world, _) = rolled_back().await;
    put_back(&world);
    accept(&world);
    world.run(&["audit", "export", "--tiles", "out"]).exits(0);
    let read = |name: &str| fs::read_to_string(world.path().join(name)).unwrap();
    let keys = ["default", "_system"].map(|tenant| read(&format!("data/keys/log.{tenant}.vkey")));
    let trust = |since: Vec<String>| verify::Trust {
        since,
        ..verify::Trust::in_keys(keys.iter().map(|key| key.trim().parse().unwrap()))
    };
    let out = world.path().join("out");
    let (log, system) = (out.join("default"), out.join("_system"));
    let report = verify::verify_log_beside(&log, &system, &trust(Vec::new())).unwrap();
    assert!(report.ok, "{report:?}");
    // At the stop; at the start before it there was no other log.
    assert_eq!(report.heads, Some(1), "{report:?}");
    assert_eq!(report.found.restores.len(), 1);
    assert!(report.not_proven.iter().any(|open| open.code == "restored"));
    let report = verify::verify_log(&log, &trust(vec![read("guards/default.checkpoint")])).unwrap();
    assert!(!report.ok);
    let what = &report.troubles[0].what;
    assert!(what.contains("says that entries"), "{what}");
    assert!(what.contains(NOTE), "{what}");
    // One from before the copy is a beginning of both.
    let report = verify::verify_log(&log, &trust(vec![read("before.checkpoint")])).unwrap();
    assert!(report.ok, "{report:?}");
}

/// A crash between any two steps: the start is refused still, and done again it comes to its end, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_did_not_come_to_its_end_is_done_again() {
    let (mut world, key) = rolled_back().await;
    put_back(&world);
    accept(&world);
    let guard = |tenant: &str| world.path().join(format!("elsewhere/{tenant}.checkpoint"));
    let lost = |tenant: &str| world.path().join(format!("guards/{tenant}.checkpoint"));
    // It had recorded the entries, and replaced one guard file or none.
    for tenants in [&["default"][..], &["_system", "default"]] {
        for tenant in tenants {
            fs::copy(lost(tenant), guard(tenant)).unwrap();
        }
        let refused = world.run(&["serve"]).exits(1).stderr;
        assert!(refused.contains("accept-restored"), "{refused}");
        let done = accept(&world);
        let recorded = done["losses"].as_array().unwrap().iter().map(|loss| &loss["recorded"]);
        assert_eq!(recorded.collect::<Vec<_>>(), vec![true; tenants.len()]);
    }
    world.start();
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    for tenant in ["_system", "default"] {
        let restored = kinds(&world, tenant).iter().filter(|kind| **kind == "restored").count();
        assert_eq!(restored, 1, "{tenant}");
    }
    // Put back once more, it is another loss.
    world.stop();
    put_back(&world);
    let done = accept(&world);
    assert_eq!(done["losses"][0]["recorded"], false);
    world.start();
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_refused_beside_a_server_and_without_a_reason() {
    let world = World::start_default().await;
    let beside = world
        .run(&["audit", "accept-restored", "--note", NOTE, "--yes"])
        .exits(1)
        .stderr;
    assert!(
        beside.contains("Nothing is to be accepted while a server runs"),
        "{beside}"
    );
    world.run(&["audit", "accept-restored", "--yes"]).exits(2);
    let (world, _) = rolled_back().await;
    put_back(&world);
    let mut world = world;
    world.expects_no_evidence();
    let empty = world
        .run(&["audit", "accept-restored", "--note", " ", "--yes"])
        .exits(1)
        .stderr;
    assert!(empty.contains("the note is 1 to"), "{empty}");
    refuses(&world);
}

/// Where there is no backup at all, that can be said too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_at_all_is_accepted_too() {
    let (mut world, key) = rolled_back().await;
    for file in ["bailiwick.db", "bailiwick.db-wal", "bailiwick.db-shm"] {
        drop(fs::remove_file(world.data().join(file)));
    }
    refuses(&world);
    let done = accept(&world);
    assert_eq!(done["losses"][1]["entries"], 0);
    assert_eq!(done["losses"][1]["lost"], done["losses"][1]["signed"]);
    world.start();
    assert_eq!(kinds(&world, "default")[..2], ["restored", "started"]);
    // Credentials are lost with the log.
    world.chat(&key, &chat("gpt-4o-mini")).await.is(401);
    let key = world.key("worker");
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
}
