//! When the server was there, as its logs tell it, and how long they were then.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    harness::{World, chat},
    verifying::{copy, sql},
};

fn kinds(world: &World, tenant: &str) -> Vec<&'static str> {
    let entries = world.entries(tenant);
    let kinds = entries.iter().map(|entry| entry.event.kind());
    kinds
        .filter(|kind| ["started", "stopped", "heads"].contains(kind))
        .collect()
}

/// What `audit verify` says of a log when the server was there.
fn presence(world: &World, tenant: &str) -> Value {
    let report = world.json(&["audit", "verify", "--tenant", tenant]);
    report["tenants"][0]["presence"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_stops_and_crashes_are_in_every_log() {
    let mut world = World::start_default().await;
    assert_eq!(kinds(&world, "default"), ["started"]);
    world.restart();
    // The first start had no other log yet.
    let system = ["started", "heads", "stopped", "started", "heads"];
    assert_eq!(kinds(&world, "_system"), system);
    world.kill();
    let told = world.run(&["audit", "verify"]).exits(0).stdout;
    assert!(!told.contains("follow no stop"), "{told}");
    world.start();
    assert_eq!(kinds(&world, "default"), ["started", "stopped", "started", "started"]);
    for tenant in ["default", "_system"] {
        let presence = presence(&world, tenant);
        assert_eq!(
            (&presence["starts"], &presence["after_a_crash"]),
            (&3.into(), &1.into())
        );
        assert_eq!(presence["silences"], 0);
    }
    let told = world.run(&["audit", "verify"]).exits(0).stdout;
    assert!(
        told.contains("1 of 3 starts follow no stop: the server had died"),
        "{told}"
    );
    // A tenant that is declared while the server runs.
    world.write(
        "governance/tenants/acme/agents/buyer.yaml",
        &crate::harness::Agent::new("buyer", "1 USD").manifest(),
    );
    world.run(&["apply"]).exits(0);
    assert_eq!(kinds(&world, "acme"), ["started"]);
    assert_eq!(world.entries("acme")[0].event.kind(), "started");
    // What a start promises is what is configured.
    let entries = world.entries("default");
    let promised = entries.iter().find_map(|entry| match &entry.event {
        entry::Event::Started { heartbeat_s, .. } => *heartbeat_s,
        _ => None,
    });
    assert_eq!(promised, Some(900));
}

/// Somebody cuts a log off, and removes every checkpoint that tells of it. The server's own log tells too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_tell_of_what_was_cut_off_with_its_checkpoints() {
    let mut world = World::start_default().await;
    let key = world.key("worker");
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    let entries = world.entries("default").len();
    world.stop();
    let data = world.path().join("copy");
    copy(&world.data(), &data);
    fs::remove_dir_all(data.join("guard")).unwrap();
    let cut = format!(
        "DELETE FROM checkpoint; DELETE FROM batch WHERE tenant = 'default' AND first_index + count > {entries};"
    );
    if sql(&data, &cut).is_none() {
        eprintln!("not here: run Python with SQLite");
        return;
    }
    let report = world
        .run(&["audit", "verify", "--data", "copy", "--json"])
        .exits(1)
        .json();
    let trouble = report["tenants"][1]["trouble"].as_str().unwrap();
    assert!(trouble.contains("of the server's log says that it had"), "{trouble}");
    assert!(trouble.contains("entries are missing"), "{trouble}");
}

fn trust(world: &World) -> verify::Trust {
    let key = |tenant: &str| {
        let text = fs::read_to_string(world.data().join(format!("keys/log.{tenant}.vkey"))).unwrap();
        text.trim().parse().unwrap()
    };
    verify::Trust::in_keys([key("default"), key("_system")])
}

fn export(world: &World, to: &str) {
    world.run(&["audit", "export", "--tiles", to]).exits(0);
}

fn beside(world: &World, log: &Path, system: &Path) -> verify::LogReport {
    verify::verify_log_beside(log, system, &trust(world)).unwrap()
}

/// Two exports that do not belong together: each of them holds, and one tells of the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exported_logs_are_compared_with_the_servers_own() {
    let mut world = World::start_default().await;
    world.restart();
    world.stop();
    export(&world, "first");
    world.start();
    world.stop();
    export(&world, "second");
    let of = |name: &str, tenant: &str| world.path().join(name).join(tenant);
    let report = beside(&world, &of("second", "default"), &of("second", "_system"));
    assert!(report.ok, "{report:?}");
    // The first stop, and two starts and stops.
    assert_eq!(report.heads, Some(5));
    // An older head is a beginning of a newer log.
    assert!(beside(&world, &of("second", "default"), &of("first", "_system")).ok);
    let report = beside(&world, &of("first", "default"), &of("second", "_system"));
    assert!(!report.ok);
    let what = &report.troubles[0].what;
    assert!(what.contains("of the server's own log says that there were"), "{what}");
    // Another log is not the server's own.
    let report = beside(&world, &of("second", "default"), &of("second", "default"));
    assert!(
        report.troubles[0].what.contains("is not the server's own log"),
        "{report:?}"
    );
    // One that does not hold says nothing.
    let bundle = of("second", "_system").join("tile/entries");
    let file = fs::read_dir(&bundle).unwrap().next().unwrap().unwrap().path();
    let file = match file.is_dir() {
        true => fs::read_dir(file).unwrap().next().unwrap().unwrap().path(),
        false => file,
    };
    let mut bytes = fs::read(&file).unwrap();
    bytes[40] ^= 1;
    fs::write(&file, bytes).unwrap();
    let report = beside(&world, &of("second", "default"), &of("second", "_system"));
    let troubles = report.troubles.iter().map(|trouble| trouble.what.as_str());
    assert!(
        troubles
            .clone()
            .any(|what| what.contains("the server's own log does not hold")),
        "{report:?}"
    );
}
