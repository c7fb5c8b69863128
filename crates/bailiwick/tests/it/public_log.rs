//! The log as outsiders get it: exported as files, proved entry by entry, served to mirrors.

use std::{collections::BTreeMap, fs, path::Path};

use entry::Entry;
use futures_util::TryStreamExt as _;
use model::TenantName;
use serde_json::Value;
use tlog::{
    CompactRange, Hash,
    bundle::{self, BundleId},
    checkpoint::Checkpoint,
    leaf_hash,
    note::VerifierKey,
    proof_file::ProofFile,
    tile::{Plan, TileId},
};

use crate::{
    harness::{World, chat},
    verifying::{replacing, sql},
};

/// What somebody makes of an exported log who has nothing else: its checkpoint and its entries.
fn read_back(directory: &Path) -> (Checkpoint, Vec<Vec<u8>>) {
    let text = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
    let key: VerifierKey = text("vkey").trim().parse().unwrap();
    let checkpoint = Checkpoint::open(&text("checkpoint"), &[key]).unwrap();
    let mut tiles = BTreeMap::new();
    for id in TileId::of_tree(checkpoint.size) {
        tiles.insert(id, fs::read(directory.join(id.to_string())).unwrap());
    }
    let root = Plan::root(checkpoint.size).read(|id| tiles.remove(&id).ok_or(()));
    assert_eq!(root, Ok(vec![checkpoint.root]));
    let mut entries = Vec::new();
    for id in BundleId::since(0, checkpoint.size) {
        let bytes = fs::read(directory.join(id.to_string())).unwrap();
        entries.extend(bundle::split(&bytes).unwrap().into_iter().map(<[u8]>::to_vec));
    }
    let leaves = entries.iter().map(|entry| leaf_hash(entry));
    assert_eq!(leaves.collect::<CompactRange>().root(), checkpoint.root);
    (checkpoint, entries)
}

/// The entries in the database of the default tenant.
async fn stored(world: &World) -> Vec<Entry> {
    let reader = store::Reader::open(&world.data()).await.unwrap();
    let batches: Vec<_> = reader
        .batches(&TenantName::default_tenant(), 0)
        .try_collect()
        .await
        .unwrap();
    let entries = batches.iter().flat_map(|batch| batch.kept().unwrap());
    entries.map(|(_, entry)| Entry::decode(entry).unwrap()).collect()
}

/// What was exported of a tenant.
fn exported<'v>(report: &'v Value, tenant: &str) -> &'v Value {
    let tenants = report["tenants"].as_array().unwrap();
    tenants.iter().find(|found| found["tenant"] == tenant).unwrap()
}

/// Every file below a directory with its content.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for file in fs::read_dir(next).unwrap().map(|file| file.unwrap().path()) {
            match file.is_dir() {
                true => open.push(file),
                false => {
                    let name = file.strip_prefix(directory).unwrap().display().to_string();
                    drop(found.insert(name, fs::read(&file).unwrap()));
                }
            }
        }
    }
    found
}

/// A world whose server was stopped after a call: all of its log is signed.
async fn used() -> (World, String) {
    let mut world = World::start_default().await;
    let key = world.key("worker");
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    world.stop();
    (world, key)
}

async fn call_and_stop(world: &mut World, key: &str, calls: usize) {
    world.start();
    for _ in 0..calls {
        world.chat(key, &chat("gpt-4o-mini")).await.is(200);
    }
    world.settled().await;
    world.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_goes_on_from_the_one_before() {
    let (mut world, key) = used().await;
    let logs = world.path().join("logs");
    let first = world.json(&["audit", "export", "--tiles", "logs"]);
    let (checkpoint, entries) = read_back(&logs.join("default"));
    let report = exported(&first, "default");
    assert_eq!(report["size"], checkpoint.size);
    assert_eq!(report["had"], 0);
    assert_eq!(report["root"], checkpoint.root.to_string());
    assert_eq!(checkpoint.origin.as_str(), "it.example/default");
    let stored = stored(&world).await;
    assert_eq!(
        entries.len(),
        stored.len(),
        "the last head was signed when the server stopped"
    );
    for (entry, stored) in entries.iter().zip(&stored) {
        assert_eq!(&Entry::decode(entry).unwrap(), stored);
    }
    read_back(&logs.join("_system"));
    // Again, and nothing changes.
    let before = files(&logs);
    let again = world.json(&["audit", "export", "--tiles", "logs"]);
    assert_eq!(exported(&again, "default")["files"], 0);
    assert_eq!(files(&logs), before);
    // The log goes on past a full tile, beside the running server.
    call_and_stop(&mut world, &key, 150).await;
    let more = world.json(&["audit", "export", "--tiles", "logs"]);
    assert_eq!(exported(&more, "default")["had"], checkpoint.size);
    let (longer, now) = read_back(&logs.join("default"));
    assert!(longer.size > 256, "more than one tile: {}", longer.size);
    assert_eq!(now[..entries.len()], entries);
    // What was there for the smaller size is still there, but for the checkpoint.
    let after = files(&logs);
    for (name, content) in before.iter().filter(|(name, _)| !name.ends_with("checkpoint")) {
        assert_eq!(after.get(name), Some(content), "{name}");
    }
    // One at once is the same as one in two steps.
    world.json(&["audit", "export", "--tiles", "whole", "--tenant", "default"]);
    let whole = files(&world.path().join("whole"));
    for (name, content) in &whole {
        assert_eq!(after.get(name), Some(content), "{name}");
    }
    assert!(
        whole
            .keys()
            .all(|name| name.starts_with("default/") && !name.ends_with(".new"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_not_exported() {
    let (mut world, key) = used().await;
    world.json(&["audit", "export", "--tiles", "logs"]);
    fs::rename(world.data(), world.path().join("older")).unwrap();
    let copy = |from: &str| {
        let done = std::process::Command::new("cp")
            .args(["-r", from, "data"])
            .current_dir(world.path())
            .status();
        assert!(done.unwrap().success());
    };
    copy("older");
    let refuse = |world: &World, arguments: &[&str], why: &str| {
        let done = world
            .run(&[&["audit", "export", "--tiles"], arguments].concat())
            .exits(1);
        assert!(done.stderr.contains(why), "{why}: {}", done.stderr);
    };
    refuse(
        &world,
        &["logs", "--tenant", "nobody"],
        "there is no log of a tenant \"nobody\"",
    );
    refuse(
        &world,
        &["logs", "--data", "nowhere"],
        "there is no database in nowhere",
    );
    // Another log.
    let vkey = world.path().join("logs/default/vkey");
    let right = fs::read_to_string(&vkey).unwrap();
    fs::write(
        &vkey,
        fs::read_to_string(world.path().join("logs/_system/vkey")).unwrap(),
    )
    .unwrap();
    refuse(&world, &["logs"], "is of another log");
    fs::write(&vkey, &right).unwrap();
    // Its tiles are not those of its checkpoint any more.
    let tile = BTreeMap::from_iter(files(&world.path().join("logs/default")))
        .into_keys()
        .find(|name| name.starts_with("tile/0/"))
        .unwrap();
    let tile = world.path().join("logs/default").join(tile);
    let whole = fs::read(&tile).unwrap();
    let mut flipped = whole.clone();
    flipped[40] ^= 1;
    for bad in [&flipped[..], &whole[..32], &[]] {
        fs::write(&tile, bad).unwrap();
        refuse(&world, &["logs"], "does not have the tiles of its checkpoint any more");
    }
    fs::write(&tile, &whole).unwrap();
    // An older copy of the database is found out by a newer export.
    call_and_stop(&mut world, &key, 1).await;
    world.json(&["audit", "export", "--tiles", "logs"]);
    refuse(
        &world,
        &["logs", "--data", "older"],
        "the database is older than the export",
    );
    // An entry was changed.
    let database = world.data().join("bailiwick.db");
    let right = fs::read(&database).unwrap();
    let entries = stored(&world).await;
    let intent = entries.iter().find(|entry| entry.event.kind() == "intent").unwrap();
    let statement = replacing(&world, intent, "gpt-4o-mini", "gpt-4o-maxi").await;
    if sql(&world.data(), &statement).is_none() {
        eprintln!("not here: run Python with SQLite");
        return;
    }
    refuse(&world, &["fresh"], "are not those that were signed");
    assert!(
        !world.path().join("fresh/default/checkpoint").exists(),
        "nothing says that it is whole"
    );
    let proof = world.run(&["audit", "prove", &intent.index.to_string()]).exits(1);
    assert!(
        proof.stderr.contains("is not that of the entries up to it"),
        "{}",
        proof.stderr
    );
    fs::write(&database, &right).unwrap();
    world.json(&["audit", "export", "--tiles", "fresh"]);
    read_back(&world.path().join("fresh/default"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_entry_is_proved_in_one_file() {
    let (world, _) = used().await;
    let vkey = fs::read_to_string(world.data().join("keys/log.default.vkey")).unwrap();
    let known: [VerifierKey; 1] = [vkey.trim().parse().unwrap()];
    let entries = stored(&world).await;
    let check = |world: &World, tiles: bool| {
        for entry in &entries {
            let index = entry.index.to_string();
            let arguments = [
                "audit",
                "prove",
                &index,
                "--out",
                "entry.tlog-proof",
                "--entry",
                "entry.json",
            ];
            let done = world.run(&arguments).exits(0);
            assert!(
                done.stderr.contains(&format!("entry {index} ({})", entry.event.kind())),
                "{tiles}"
            );
            let text = fs::read_to_string(world.path().join("entry.tlog-proof")).unwrap();
            let bytes = fs::read(world.path().join("entry.json")).unwrap();
            assert_eq!(bytes, entry.encode().unwrap());
            let proof = ProofFile::parse(&text).unwrap();
            assert_eq!(
                (proof.index, proof.extra.as_deref()),
                (entry.index, Some(bytes.as_slice()))
            );
            for given in [None, Some(bytes.as_slice())] {
                proof.verify(given, &known).unwrap();
            }
            assert!(proof.verify(Some(b"another"), &known).is_err());
            assert_eq!(world.run(&["audit", "prove", &index]).exits(0).stdout, text);
        }
    };
    check(&world, true);
    // A copy without tiles, or with damaged ones, proves as much.
    let tiles = world.data().join("tiles.db");
    assert!(tiles.is_file());
    fs::write(&tiles, b"no database").unwrap();
    check(&world, false);
    fs::remove_file(&tiles).unwrap();
    check(&world, false);
    assert!(!tiles.exists(), "a program beside the server makes none");
    let beyond = entries.len().to_string();
    let absent = world.run(&["audit", "prove", &beyond]).exits(1);
    assert!(
        absent
            .stderr
            .contains(&format!("the log of tenant default has no entry {beyond}")),
        "{}",
        absent.stderr
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_action_with_one_entry_is_proved_by_its_id() {
    let mut world = World::start_default().await;
    let key = world.key("worker");
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.chat(&key, &chat("no-such-model")).await;
    world.settled().await;
    world.stop();
    let entries = stored(&world).await;
    let action = |kind: &str| {
        let entry = entries.iter().find(|entry| entry.event.kind() == kind).unwrap();
        let event = serde_json::to_value(&entry.event).unwrap();
        (entry.index, event[kind]["action"]["id"].as_str().unwrap().to_owned())
    };
    let (refusal, id) = action("denial");
    let done = world.json(&["audit", "prove", &id]);
    assert_eq!((&done["index"], &done["kind"]), (&refusal.into(), &"denial".into()));
    assert!(ProofFile::parse(done["proof"].as_str().unwrap()).is_ok());
    let (_, id) = action("intent");
    let several = world.run(&["audit", "prove", &id]).exits(1);
    assert!(
        several.stderr.contains("has 2 entries: name one by its index"),
        "{}",
        several.stderr
    );
    let none = world
        .run(&["audit", "prove", "019a5c0e7b7a7f3a9d1c2e4f60718293"])
        .exits(1);
    assert!(
        none.stderr.contains("there is no entry of an action"),
        "{}",
        none.stderr
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_log_without_tiles_gets_them_while_it_runs() {
    let (mut world, key) = used().await;
    for name in ["tiles.db", "tiles.db-wal", "tiles.db-shm"] {
        drop(fs::remove_file(world.data().join(name)));
    }
    call_and_stop(&mut world, &key, 1).await;
    assert!(world.data().join("tiles.db").is_file());
    world.json(&["audit", "export", "--tiles", "logs"]);
    let (checkpoint, entries) = read_back(&world.path().join("logs/default"));
    assert_eq!(usize::try_from(checkpoint.size), Ok(entries.len()));
    let verified = world.verify().exits(0).json();
    assert_eq!(verified["ok"], true);
    assert_ne!(checkpoint.root, Hash([0; 32]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_signed_yet_has_to_wait() {
    let (mut world, _) = used().await;
    // A committer without a signer: as if the server had been killed before it signed.
    let dir = store::DataDir::open(&world.data()).unwrap();
    let store = store::Store::open(&dir).await.unwrap();
    let config = store::Config {
        node: "node".to_owned(),
        version: "test".to_owned(),
        open_holds: 8,
        reserve: 0,
        spool: None,
        heartbeat: None,
        random: || [7; 10],
    };
    let clock = std::sync::Arc::new(store::SystemClock::new());
    let (committer, committing) = store::Committer::start(store, clock, config).await.unwrap();
    let size = committer.heads().borrow()[&TenantName::system()].size;
    committer.stop("test").await;
    committer.close().await;
    committing.await.unwrap();
    drop(dir);
    let last = (size - 1).to_string();
    let prove = ["audit", "prove", &last, "--tenant", "_system"];
    let waits = world.run(&prove).exits(1);
    assert!(
        waits.stderr.contains(&format!("entry {last} is not signed yet")),
        "{}",
        waits.stderr
    );
    assert!(waits.stderr.contains("wait, and try again"), "{}", waits.stderr);
    // The export has what is signed, and the next start signs the rest.
    let signed = world.json(&["audit", "export", "--tiles", "logs"]);
    assert!(exported(&signed, "_system")["size"].as_u64().unwrap() < size);
    world.start();
    world.stop();
    world.run(&prove).exits(0);
}
