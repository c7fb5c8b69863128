//! Case 4 of the public failures of other gateways: an old copy of the store is put back, and with it the money that was
//! spent since (BerriAI/litellm PR #30684, #34238). The log's last signed length is kept apart from the database, in guard
//! files: a start on anything shorter, or on something else of that length, is refused. Only where the guard files are rolled
//! back together with the database nobody can tell; that is why they may be kept elsewhere.
//!
//! Under a running server: `case_04_*` in `crates/store`.

use std::{fs, path::Path};

use crate::harness::{World, chat};

/// Two calls, and no more.
const BUDGET: &str = "kind: Budget\nname: two-calls\nlimit: 2 calls\nper: total\nselect: { team: tests }\n";

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

/// Puts one directory in the place of another, which is kept under a third name.
fn swap(world: &World, new: &str, kept: &str) {
    fs::rename(world.data(), world.path().join(kept)).unwrap();
    copy(&world.path().join(new), &world.data());
}

/// A world whose budget of two calls is used up; `older` is a copy of its data from before the second.
async fn used_up(configuration: &str) -> (World, String) {
    let mut world = World::builder().configuration(configuration).build().await;
    world.write("governance/rules/two-calls.yaml", BUDGET);
    world.start();
    let key = world.key("worker");
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    world.stop();
    copy(&world.data(), &world.path().join("older"));
    world.start();
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    world.chat(&key, &chat("gpt-4o-mini")).await.is(402);
    world.stop();
    (world, key)
}

/// A start is refused, says why, and sends nothing.
fn is_refused(world: &World, name: &str, why: &str) {
    let before = world.calls().count().received;
    let refused = world.run(&["serve"]).exits(1);
    assert!(
        refused.stderr.contains("the log of tenant "),
        "{name}: {}",
        refused.stderr
    );
    assert!(refused.stderr.contains(why), "{name}: {}", refused.stderr);
    assert_eq!(world.calls().count().received, before, "{name}");
}

/// With the right data back it starts, and the budget is as used up as it was.
async fn is_used_up(world: &mut World, key: &str) {
    world.start();
    let refused = world.chat(key, &chat("gpt-4o-mini")).await.is(402);
    assert_eq!(refused.reason(), "budget_exhausted");
    assert_eq!(world.calls().count().received, 2);
    world.stop();
}

/// One line: what is rolled back, and what the start says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_04_an_older_copy_of_the_database_is_refused() {
    let (mut world, key) = used_up("").await;
    copy(&world.data(), &world.path().join("newest"));
    let older = world.path().join("older/bailiwick.db");
    let database = world.data().join("bailiwick.db");
    type Change<'a> = (&'a str, Box<dyn Fn() + 'a>);
    let changes: [Change<'_>; 3] = [
        (
            "an older copy",
            Box::new(|| assert!(fs::copy(&older, &database).unwrap() > 0)),
        ),
        ("none at all", Box::new(|| fs::remove_file(&database).unwrap())),
        ("an empty file", Box::new(|| fs::write(&database, "").unwrap())),
    ];
    for (name, change) in changes {
        change();
        is_refused(&world, name, "an older copy was put in its place");
        // Nor does the second try take what the first one left.
        is_refused(&world, name, "an older copy was put in its place");
        fs::remove_dir_all(world.data()).unwrap();
        copy(&world.path().join("newest"), &world.data());
        is_used_up(&mut world, &key).await;
        fs::remove_dir_all(world.path().join("newest")).unwrap();
        copy(&world.data(), &world.path().join("newest"));
    }
}

/// The whole data directory, as a snapshot of a disk has it, while the guard files are on another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_04_an_older_disk_is_refused_where_the_guard_files_are_elsewhere() {
    let (mut world, key) = used_up("[audit]\ncheckpoint_guard = \"./elsewhere\"\n").await;
    swap(&world, "older", "newest");
    is_refused(&world, "the whole directory", "an older copy was put in its place");
    fs::remove_dir_all(world.data()).unwrap();
    fs::rename(world.path().join("newest"), world.data()).unwrap();
    is_used_up(&mut world, &key).await;
}
