//! `audit verify` against copies that somebody tampered with.

use std::{fs, path::Path, process::Command};

use data_encoding::HEXUPPER;
use entry::Entry;
use model::TenantName;
use serde_json::Value;

use crate::harness::{World, chat};

/// A world whose server was stopped after two calls, and the log of the default tenant.
async fn used() -> (World, Vec<Entry>) {
    let mut world = World::start_default().await;
    let key = world.key("worker");
    // More than 16 entries, so that one of the batches keeps the compact range.
    for model in ["gpt-4o-mini", "gpt-4o", "gpt-4o-mini", "gpt-4o"] {
        world.chat(&key, &chat(model)).await.is(200);
        // So that each entry is in a batch of its own.
        world.settled().await;
    }
    let entries = world.entries("default");
    world.stop();
    (world, entries)
}

pub(crate) fn copy(from: &Path, to: &Path) {
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

/// A copy of the data directory, and what `audit verify` says about it after a change.
fn tampered(world: &World, change: impl FnOnce(&Path)) -> Value {
    let data = world.path().join("copy");
    drop(fs::remove_dir_all(&data));
    copy(&world.data(), &data);
    change(&data);
    let done = world.run(&["audit", "verify", "--data", "copy", "--json"]).exits(1);
    let report = done.json();
    assert_eq!(report["ok"], false);
    report
}

/// What is wrong with the log of the default tenant.
fn trouble(report: &Value) -> &str {
    let tenant = report["tenants"]
        .as_array()
        .unwrap()
        .iter()
        .find(|tenant| tenant["tenant"] == "default")
        .unwrap();
    tenant["trouble"].as_str().unwrap()
}

/// The statement that replaces a text in one stored entry by another of the same length: as its batch would be stored that
/// is not packed.
pub(crate) async fn replacing(world: &World, entry: &Entry, from: &str, to: &str) -> String {
    assert_eq!(from.len(), to.len());
    let stored = String::from_utf8(entry.encode().unwrap()).unwrap();
    let spoilt = stored.replacen(from, to, 1);
    assert_ne!(stored, spoilt);
    let reader = store::Reader::open(&world.data()).await.unwrap();
    let tenant = TenantName::default_tenant();
    let batch = reader.page_within(&tenant, entry.index, 1).await.unwrap().remove(0);
    let mut plain = batch.entries;
    let at = plain.windows(stored.len()).position(|it| it == stored.as_bytes());
    let at = at.expect("the batch has the entry as it was hashed");
    plain[at..at + stored.len()].copy_from_slice(spoilt.as_bytes());
    format!(
        "UPDATE batch SET form = 0, entries = X'{}' WHERE tenant = 'default' AND first_index = {};",
        HEXUPPER.encode(&plain),
        batch.first_index
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_byte_is_found_and_its_entry_named() {
    let (world, entries) = used().await;
    let report = world.verify().exits(0).json();
    assert_eq!(report["ok"], true);
    assert_eq!(report["tenants"][1]["holds_ended"], 4);
    for (kind, from, to, place) in [
        // A name that reads as well as the right one: only the hash shows it.
        (
            "intent",
            "\"model\":\"gpt-4o\"",
            "\"model\":\"gpt-4q\"",
            "after entry # ",
        ),
        // An amount that the ledger would not have granted.
        ("intent", "\"limit\":1000000000", "\"limit\":9000000000", "entry #: "),
        // Bytes that are no entry any more.
        ("outcome", "\"cost\":", "\"cist\":", "entry #: "),
        ("key_issued", "\"key_issued\"", "\"key_essued\"", "entry #: "),
    ] {
        let entry = entries.iter().rfind(|entry| entry.event.kind() == kind).unwrap();
        let statement = replacing(&world, entry, from, to).await;
        let copied = world.path().join("copy");
        drop(fs::remove_dir_all(&copied));
        copy(&world.data(), &copied);
        if sql(&copied, &statement).is_none() {
            eprintln!("not here: run Python with SQLite");
            return;
        }
        let report = world
            .run(&["audit", "verify", "--data", "copy", "--json"])
            .exits(1)
            .json();
        assert_eq!(report["ok"], false);
        let (found, place) = (trouble(&report), place.replace('#', &entry.index.to_string()));
        assert!(found.contains(&place), "{place}: {found}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_is_found_by_the_guard_file() {
    let (mut world, _) = used().await;
    copy(&world.data(), &world.path().join("older"));
    world.start();
    let key = world.key("worker");
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.stop();
    let report = tampered(&world, |data| {
        fs::copy(world.path().join("older/bailiwick.db"), data.join("bailiwick.db")).unwrap();
    });
    assert!(trouble(&report).contains("entries are missing"), "{}", trouble(&report));
    // A server refuses such a database too.
    fs::copy(
        world.path().join("older/bailiwick.db"),
        world.data().join("bailiwick.db"),
    )
    .unwrap();
    let refused = world.run(&["serve"]).exits(1);
    assert!(
        refused.stderr.contains("an older copy was put in its place"),
        "{}",
        refused.stderr
    );
    world.expects_no_evidence();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_checkpoint_is_not_believed() {
    let (world, _) = used().await;
    let guard = |data: &Path| data.join("guard/default.checkpoint");
    let report = tampered(&world, |data| {
        let note = fs::read_to_string(guard(data)).unwrap();
        let size = note.lines().nth(1).unwrap().to_owned();
        fs::write(guard(data), note.replacen(&format!("\n{size}\n"), "\n1\n", 1)).unwrap();
    });
    assert!(trouble(&report).contains("the checkpoint in the guard file is not to be believed"));
    // Another log's key vouches for nothing here.
    let report = tampered(&world, |data| {
        let keys = data.join("keys");
        fs::copy(keys.join("log._system.vkey"), keys.join("log.default.vkey")).unwrap();
    });
    assert!(trouble(&report).contains("not to be believed"), "{}", trouble(&report));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verification_works_beside_a_running_server() {
    let world = World::start_default().await;
    let key = world.key("worker");
    for _ in 0..3 {
        world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
        let report = world.verify().exits(0).json();
        assert_eq!(report["ok"], true);
    }
    let one = world.json(&["audit", "verify", "--tenant", "_system"]);
    assert_eq!(one["tenants"].as_array().unwrap().len(), 1);
    let none = world.run(&["audit", "verify", "--tenant", "nobody"]).exits(1);
    assert_eq!(none.stderr, "error: there is no log of a tenant \"nobody\"\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guard_files_may_be_elsewhere() {
    let elsewhere = "[audit]\ncheckpoint_guard = \"./elsewhere\"\n";
    let mut world = World::builder().configuration(elsewhere).start().await;
    world.stop();
    assert!(!world.data().join("guard").exists());
    let guarded = |report: Value| report["tenants"][1]["guarded"].clone();
    let report = world.json(&["audit", "verify"]);
    assert_eq!(guarded(report.clone()), report["tenants"][1]["entries"]);
    assert_eq!(guarded(world.json(&["audit", "verify", "--data", "data"])), Value::Null);
    let told = world.json(&["audit", "verify", "--data", "data", "--guard", "elsewhere"]);
    assert_eq!(guarded(told), report["tenants"][1]["entries"]);
    let text = world.run(&["audit", "verify", "--data", "data"]).exits(0).stdout;
    assert!(text.contains("a guard file is missing"), "{text}");
}

/// Runs SQL on the database of a data directory. `None` where there is no Python with SQLite.
pub(crate) fn sql(data: &Path, statements: &str) -> Option<()> {
    let script = "import sqlite3, sys\n\
                  c = sqlite3.connect(sys.argv[1])\n\
                  c.executescript(sys.argv[2])\n\
                  c.commit()\n";
    let mut python = Command::new("python3");
    python
        .args(["-c", script])
        .arg(data.join("bailiwick.db"))
        .arg(statements);
    let done = python.output().ok()?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    if said.contains("ModuleNotFoundError") {
        return None;
    }
    assert!(done.status.success(), "{statements}: {said}");
    Some(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_column_that_says_what_happened_is_covered() {
    let (world, entries) = used().await;
    let intent = entries.iter().rfind(|entry| entry.event.kind() == "intent").unwrap();
    let at = format!(
        "WHERE tenant = 'default' AND first_index <= {0} AND first_index + count > {0}",
        intent.index
    );
    // Not every batch keeps the compact range after it.
    let kept = "WHERE tenant = 'default' AND first_index =
                (SELECT max(first_index) FROM batch WHERE tenant = 'default' AND length(range) > 0)";
    let last = entries.last().unwrap().index;
    let flip = |column: &str, place: &str| {
        // The byte at a place becomes zero, or one where it was zero.
        format!(
            "UPDATE batch SET {column} = CAST(substr({column}, 1, {place} - 1)
                || CASE WHEN substr({column}, {place}, 1) = X'00' THEN X'01' ELSE X'00' END
                || substr({column}, {place} + 1) AS BLOB) {at};"
        )
    };
    let missing = "entries are missing";
    let checks = [
        (flip("root", "1"), "the tree head after entry"),
        (flip("root", "32"), "the tree head after entry"),
        (flip("range", "1").replace(&at, kept), "the tree head after entry"),
        (flip("range", "length(range)").replace(&at, kept), "the tree head after entry"),
        (format!("UPDATE batch SET range = X'' {kept};"), "the stored compact range after entry"),
        (flip("entries", "1"), "unreadable bundle of entries"),
        (flip("entries", "6"), "unreadable bundle of entries"),
        (flip("entries", "length(entries) / 2"), "unreadable bundle of entries"),
        (flip("entries", "length(entries)"), "unreadable bundle of entries"),
        (format!("UPDATE batch SET form = 0 {at};"), "does not divide into its entries"),
        (format!("UPDATE batch SET form = 2 {at};"), "unreadable bundle of entries"),
        (format!("UPDATE batch SET count = count + 1 {at};"), "does not divide into its entries"),
        (format!("UPDATE batch SET epoch = epoch + 1 {at};"), "another epoch or time"),
        (format!("UPDATE batch SET time_us = time_us - 1 {at};"), "another epoch or time"),
        (format!("UPDATE batch SET batch_id = X'00' {at};"), "unreadable batch_id"),
        (format!("DELETE FROM batch {at};"), "should come next"),
        (
            format!("DELETE FROM batch WHERE tenant = 'default' AND first_index + count > {last};"),
            missing,
        ),
        ("DELETE FROM batch WHERE tenant = 'default';".to_owned(), missing),
        (
            "UPDATE batch SET tenant = 'other' WHERE tenant = 'default';".to_owned(),
            missing,
        ),
        (
            format!("UPDATE batch SET (entries, form) = (SELECT entries, form FROM batch WHERE tenant = 'default' AND count = 1 ORDER BY first_index LIMIT 1) {at};"),
            "expected the entry with index",
        ),
        (
            format!("UPDATE batch SET boot = boot - 1 {at};"),
            "after a later one had written",
        ),
        (
            "UPDATE checkpoint SET size = size + 1 WHERE tenant = 'default';".to_owned(),
            "but the size beside it is another",
        ),
        (
            "UPDATE checkpoint SET note = replace(note, 'default', 'defaulu') WHERE tenant = 'default';".to_owned(),
            "the checkpoint in the database is not to be believed",
        ),
        (
            "UPDATE checkpoint SET note = substr(note, 1, length(note) - 10) WHERE tenant = 'default';".to_owned(),
            "the checkpoint in the database is not to be believed",
        ),
        (
            "UPDATE checkpoint SET note = (SELECT note FROM checkpoint WHERE tenant = '_system') WHERE tenant = 'default';"
                .to_owned(),
            "the checkpoint in the database is not to be believed",
        ),
    ];
    for (statements, says) in checks {
        let mut able = true;
        let report = tampered(&world, |data| {
            able = sql(data, &statements).is_some();
            if !able {
                // Something else that is wrong, for the report.
                fs::remove_file(data.join("keys/log.default.vkey")).unwrap();
            }
        });
        if !able {
            eprintln!("not here: run Python with SQLite");
            return;
        }
        assert!(trouble(&report).contains(says), "{statements}: {}", trouble(&report));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_byte_of_a_guard_file_is_covered() {
    let (world, _) = used().await;
    let path = world.data().join("guard/default.checkpoint");
    let note = fs::read(&path).unwrap();
    // Through the program a few, and each kind of place: the name, the size, the root, the signature's name and bytes.
    let lines: Vec<usize> = (0..note.len()).filter(|at| *at == 0 || note[at - 1] == b'\n').collect();
    let places = lines
        .iter()
        .map(|line| line + 1)
        .chain([note.len() - 5, note.len() - 1]);
    for at in places.filter(|at| *at < note.len()) {
        let report = tampered(&world, |data| {
            let mut changed = note.clone();
            changed[at] ^= 2;
            fs::write(data.join("guard/default.checkpoint"), changed).unwrap();
        });
        let (found, expected) = (trouble(&report), "guard file");
        assert!(found.contains(expected), "byte {at}: {found}");
    }
}

/// What the page for auditors says of the database is enough to read it with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_can_be_read_with_a_script() {
    let page = include_str!("../../../../docs/operating/verify-the-log.md");
    let dictionary = concat!(env!("CARGO_MANIFEST_DIR"), "/../store/src/packing/dictionary_1.jsonl");
    let (_, rest) = page.split_once("```python\n").unwrap();
    let (script, _) = rest.split_once("```").unwrap();
    let (world, entries) = used().await;
    let done = Command::new("python3")
        .args(["-c", script])
        .arg(world.data().join("bailiwick.db"))
        .args([dictionary, "default"])
        .output();
    let Some(done) = done
        .ok()
        .filter(|done| !String::from_utf8_lossy(&done.stderr).contains("ModuleNotFoundError"))
    else {
        eprintln!("not here: run Python with SQLite");
        return;
    };
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let read: Vec<Entry> = String::from_utf8(done.stdout)
        .unwrap()
        .lines()
        .map(|line| Entry::decode(line.as_bytes()).unwrap())
        .collect();
    // The server has stopped since they were listed.
    let (last, read) = read.split_last().unwrap();
    assert_eq!(last.event.kind(), "stopped");
    assert_eq!(read, entries);
}
