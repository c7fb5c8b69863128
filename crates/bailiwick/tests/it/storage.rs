//! The disk fails under the real server, in each way that this machine lets a test bring about: full, limited, locked,
//! read-only, not answering, damaged. While it lasts nothing is let through, the log and `/readyz` say why, and
//! afterwards work resumes by itself, with the calls that were in flight ended once.
//!
//! Some faults need rights that not every machine gives (mounts, file flags, loop devices). Those tests say so and pass
//! where they cannot be brought about; the same faults are brought about inside SQLite in the tests of `store`.

use std::{
    fs,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use entry::{Event, Status};
use serde_json::json;
use tempfile::TempDir;

use crate::harness::{PATIENCE, World, chat};

/// Runs a command of the machine; whether it went well.
pub(crate) fn machine(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A world whose data directory is on a disk of its own.
async fn world_on(disk: &Path) -> World {
    let world = World::builder()
        .configuration("[audit]\nreserve = \"0B\"\n")
        .build()
        .await;
    std::os::unix::fs::symlink(disk, world.data()).unwrap();
    world
}

/// What `/readyz` says to agents.
async fn readyz(world: &World) -> (u16, String) {
    let reply = world
        .http()
        .get(&format!("{}/readyz", world.agents_url()))
        .await
        .unwrap();
    (reply.status, reply.text().to_owned())
}

/// Waits until `/readyz` has this status and says this; what it says then.
pub(crate) async fn becomes(world: &World, status: u16, what: &str) -> String {
    let started = Instant::now();
    loop {
        let (found, text) = readyz(world).await;
        if found == status && text.contains(what) {
            return text;
        }
        assert!(started.elapsed() < PATIENCE, "/readyz stays at {found}: {text}");
        tokio::task::yield_now().await;
    }
}

/// A world in which a call is in flight while the disk fails.
struct Trouble<'a> {
    world: &'a World,
    key: &'a str,
    /// What the log and `/readyz` say.
    cause: &'a str,
}

impl Trouble<'_> {
    /// Brings the fault about while a call is in flight, looks at everything, and ends it again.
    async fn check(&self, begin: impl FnOnce(), end: impl FnOnce()) {
        let Self { world, key, cause } = *self;
        let calls = world.calls();
        let before = calls.count().received;
        let body = chat("gpt-4o-mini");
        let mut in_flight = Box::pin(world.scripted(key, "latency=300ms", &body));
        tokio::select! {
            reply = &mut in_flight => panic!("{reply:?}"),
            () = async {
                while calls.count().received == before {
                    tokio::task::yield_now().await;
                }
            } => {}
        }
        begin();
        // It is delivered all the same: what it cost is recorded later.
        in_flight.await.is(200);
        let said = self.is_refused(before + 1).await;
        // However often it is tried to get going again, the cause is logged once.
        self.failures(3).await;
        self.is_refused(before + 1).await;
        end();
        becomes(world, 200, "ready").await;
        world.chat(key, &body).await.is(200);
        world.settled().await;
        assert_eq!(calls.count().received, before + 2);
        let log = fs::read_to_string(world.path().join("server.log")).unwrap();
        let causes: Vec<_> = log
            .lines()
            .filter(|line| line.contains("ERROR") && line.contains(cause))
            .collect();
        assert_eq!(causes.len(), 1, "{said}\n{log}");
        assert!(log.contains("the store can record again"), "{log}");
        self.outcomes();
    }

    /// Both dialects are refused, nothing is forwarded, and both listeners say why. What `/readyz` says.
    async fn is_refused(&self, received: u64) -> String {
        let Self { world, key, cause } = *self;
        let refused = world.chat(key, &chat("gpt-4o-mini")).await.is(503);
        assert_eq!(refused.reason(), "governance_unavailable");
        assert_eq!(refused.header("retry-after"), "1");
        assert_eq!(
            refused.json()["error"]["code"],
            "governance_unavailable",
            "{}",
            refused.text()
        );
        let body = json!({ "model": "claude-sonnet-4-5", "max_tokens": 20, "messages": [{ "role": "user", "content": "Hi" }] });
        let refused = world.message(key, &body).await.is(503);
        assert_eq!(refused.reason(), "governance_unavailable");
        assert_eq!(refused.json()["type"], "error", "{}", refused.text());
        let said = becomes(world, 503, cause).await;
        let admin = world
            .http()
            .get(&format!("{}/readyz", world.admin_url()))
            .await
            .unwrap();
        assert!(admin.is(503).text().contains(cause));
        assert_eq!(world.calls().count().received, received, "something was forwarded");
        said
    }

    /// Waits until so many writes have failed.
    async fn failures(&self, least: u64) {
        let url = format!("{}/metrics", self.world.admin_url());
        let started = Instant::now();
        loop {
            let reply = self.world.http().get(&url).await.unwrap();
            let count = reply
                .text()
                .lines()
                .find_map(|line| line.strip_prefix("bailiwick_commit_failures_total "));
            if count.unwrap().parse::<u64>().unwrap() >= least {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{}", reply.text());
            tokio::task::yield_now().await;
        }
    }

    /// Each intent has one outcome, and none is booked at what nobody knows.
    fn outcomes(&self) {
        let mut open = std::collections::HashSet::new();
        for entry in self.world.entries("default") {
            match entry.event {
                Event::Intent(intent) => assert!(open.insert(intent.attempt())),
                Event::Outcome(outcome) => {
                    assert!(
                        matches!(outcome.status, Status::Ok | Status::NotForwarded),
                        "{outcome:?}"
                    );
                    let attempt = ledger::Attempt {
                        action: outcome.action,
                        number: outcome.attempt,
                    };
                    assert!(open.remove(&attempt));
                }
                _ => {}
            }
        }
        assert!(open.is_empty());
    }
}

/// A file system that is gone with the value.
struct Mount(TempDir);

impl Mount {
    /// A small one in memory, if this machine allows mounts.
    fn in_memory() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        machine("mount", &["-t", "tmpfs", "-o", "size=3m,mode=700", "tmpfs", path]).then_some(Self(dir))
    }

    /// A small one in a file, if this machine allows it.
    fn in_a_file(image: &Path) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        fs::File::create(image).unwrap().set_len(16 << 20).unwrap();
        let (image, path) = (image.to_str().unwrap(), dir.path().to_str().unwrap());
        let made = machine("mkfs.ext4", &["-q", image]) && machine("mount", &["-o", "loop", image, path]);
        made.then_some(Self(dir))
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A server that waits for the disk could not even be killed.
        machine("fsfreeze", &["-u", self.path()]);
        machine("umount", &["-l", self.path()]);
    }
}

pub(crate) fn not_here(what: &str) {
    println!("not checked: this machine does not let a test {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk() {
    let Some(disk) = Mount::in_memory() else {
        return not_here("mount a file system");
    };
    let mut world = world_on(disk.0.path()).await;
    world.start();
    let key = world.key("worker");
    let filler = disk.0.path().join("filler");
    let trouble = Trouble {
        world: &world,
        key: &key,
        cause: "disk is full",
    };
    let fill = || {
        let mut file = fs::File::create(&filler).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
    };
    trouble.check(fill, || fs::remove_file(&filler).unwrap()).await;
    drop(world);
}

/// A limit on the size of files is a disk that is full, not the end of the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_may_not_grow() {
    let world = World::start_default().await;
    let key = world.key("worker");
    let pid = world.pid().to_string();
    let limit = |size: &str| machine("prlimit", &["--pid", &pid, &format!("--fsize={size}")]);
    if !limit("unlimited:unlimited") {
        return not_here("limit the size of files");
    }
    let trouble = Trouble {
        world: &world,
        key: &key,
        cause: "disk I/O error",
    };
    trouble
        .check(
            // The database's files are longer already; the log of the server is not.
            || assert!(limit("8192:unlimited")),
            || assert!(limit("unlimited:unlimited")),
        )
        .await;
}

/// What the server has to say about a full disk cannot be written either, where its log is on that disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cannot_be_written_is_not_the_end() {
    let world = World::start_default().await;
    let key = world.key("worker");
    let pid = world.pid().to_string();
    let limit = |size: &str| machine("prlimit", &["--pid", &pid, &format!("--fsize={size}")]);
    if !limit("unlimited:unlimited") {
        return not_here("limit the size of files");
    }
    assert!(limit("1:unlimited"));
    let refused = world.chat(&key, &chat("gpt-4o-mini")).await.is(503);
    assert_eq!(refused.reason(), "governance_unavailable");
    becomes(&world, 503, "disk I/O error").await;
    assert!(limit("unlimited:unlimited"));
    becomes(&world, 200, "ready").await;
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
}

/// Another process that has the database for itself.
struct Lock(Child);

impl Lock {
    fn take(database: &Path) -> Option<Self> {
        let script = "import sqlite3, sys\n\
                      c = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
                      c.execute('BEGIN EXCLUSIVE')\n\
                      print('locked', flush=True)\n\
                      sys.stdin.read()\n";
        let mut child = Command::new("python3")
            .args(["-c", script])
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut said = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut said).ok()?;
        Some(Self(child))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_database() {
    let world = World::start_default().await;
    let key = world.key("worker");
    let database = world.data().join("bailiwick.db");
    if Lock::take(&database).is_none() {
        return not_here("run Python with SQLite");
    }
    let trouble = Trouble {
        world: &world,
        key: &key,
        cause: "database is locked",
    };
    let lock = std::cell::RefCell::new(None);
    trouble
        .check(
            || *lock.borrow_mut() = Lock::take(&database),
            || drop(lock.borrow_mut().take()),
        )
        .await;
}

/// Files that not even root can write to.
fn immutable(files: &[PathBuf], immutable: bool) -> bool {
    let flag = if immutable { "+i" } else { "-i" };
    files
        .iter()
        .all(|file| machine("chattr", &[flag, file.to_str().unwrap()]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_file() {
    let mut world = World::start_default().await;
    let key = world.key("worker");
    let database = world.data().join("bailiwick.db");
    let files = [database.clone(), world.data().join("bailiwick.db-wal")];
    if !immutable(&files, true) {
        return not_here("make a file immutable");
    }
    assert!(immutable(&files, false));
    let trouble = Trouble {
        world: &world,
        key: &key,
        cause: "make it writable",
    };
    trouble
        .check(
            || assert!(immutable(&files, true)),
            || assert!(immutable(&files, false)),
        )
        .await;
    // A start says what to do.
    world.stop();
    assert!(immutable(&files[..1], true));
    let refused = world.run(&["serve"]);
    assert!(immutable(&files[..1], false));
    let refused = refused.exits(1);
    assert!(refused.stderr.contains("make it writable"), "{}", refused.stderr);
    world.start();
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_does_not_answer() {
    let image = tempfile::tempdir().unwrap();
    let Some(disk) = Mount::in_a_file(&image.path().join("image")) else {
        return not_here("mount a file system from a file");
    };
    let mut world = world_on(disk.0.path()).await;
    world.start();
    let key = world.key("worker");
    let calls = world.calls();
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    if !machine("fsfreeze", &["-f", disk.path()]) {
        return not_here("freeze a file system");
    }
    let started = Instant::now();
    let trouble = Trouble {
        world: &world,
        key: &key,
        cause: "has not finished a write in 5s",
    };
    // The first waits for the disk, within a bound; the others do not.
    trouble.is_refused(1).await;
    let first = started.elapsed();
    assert!(first.as_secs() < 20, "refused only after {first:?}");
    for _ in 0..20 {
        world.chat(&key, &chat("gpt-4o-mini")).await.is(503);
    }
    assert!(started.elapsed() - first < first, "the later ones waited too");
    assert!(machine("fsfreeze", &["-u", disk.path()]));
    becomes(&world, 200, "ready").await;
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    trouble.outcomes();
    assert_eq!(calls.count().received, 2);
    let log = world.server().log();
    assert_eq!(log.matches("has not finished a write").count(), 1, "{log}");
    drop(world);
}

/// Replaces each occurrence of some bytes in the database and its write-ahead log.
fn replace(data: &Path, from: &[u8], to: &[u8]) -> usize {
    assert_eq!(from.len(), to.len());
    let mut replaced = 0;
    for name in ["bailiwick.db", "bailiwick.db-wal"] {
        let Ok(mut file) = fs::File::options().read(true).write(true).open(data.join(name)) else {
            continue;
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let found: Vec<_> = bytes
            .windows(from.len())
            .enumerate()
            .filter(|(_, window)| *window == from)
            .collect();
        for (at, _) in found {
            file.seek(SeekFrom::Start(at as u64)).unwrap();
            file.write_all(to).unwrap();
            replaced += 1;
        }
    }
    replaced
}

/// A flipped bit is found by whoever reads it, and then nothing is let through: no balance is made up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_page() {
    let mut world = World::start_default().await;
    let key = world.key("worker");
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    // What nothing before it says stands in packed entries as it is.
    let (whole, damaged) = (b"Runs", b"Ru\x01s");
    assert!(replace(&world.data(), whole, damaged) > 0);
    let listed = world.run(&["audit", "list", "--from", "0"]);
    assert_ne!(listed.code, 0, "{}", listed.stdout);
    let trouble = Trouble {
        world: &world,
        key: &key,
        cause: "restore it from a backup",
    };
    trouble.is_refused(1).await;
    assert!(replace(&world.data(), damaged, whole) > 0);
    becomes(&world, 200, "ready").await;
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    trouble.outcomes();
    // Stopped, the start finds it.
    world.stop();
    assert!(replace(&world.data(), whole, damaged) > 0);
    let refused = world.run(&["serve"]).exits(1);
    assert!(
        refused.stderr.contains("restore it from a backup"),
        "{}",
        refused.stderr
    );
    world.verify().exits(1);
    assert!(replace(&world.data(), damaged, whole) > 0);
    // So does it where no entry is hit, but the database's own structure.
    let database = world.data().join("bailiwick.db");
    let bytes = fs::read(&database).unwrap();
    let mut torn = bytes.clone();
    torn[100..2_000].fill(0xa5);
    fs::write(&database, torn).unwrap();
    let refused = world.run(&["serve"]).exits(1);
    assert!(
        refused.stderr.contains("restore it from a backup"),
        "{}",
        refused.stderr
    );
    fs::write(&database, bytes).unwrap();
    world.start();
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
}

/// With less disk than the reserve no call begins, and denials are still recorded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reserve_is_kept() {
    let world = World::builder()
        .configuration("[audit]\nreserve = \"1024GiB\"\n")
        .start()
        .await;
    let key = world.key("worker");
    let (status, said) = readyz(&world).await;
    if status == 200 {
        return not_here("have less than a tebibyte free");
    }
    assert!(said.contains("[audit] reserve"), "{said}");
    let refused = world.chat(&key, &chat("gpt-4o-mini")).await.is(503);
    assert_eq!(refused.reason(), "governance_unavailable");
    // Policy does not permit embeddings: that is known, and recorded.
    let url = format!("{}/openai/v1/embeddings", world.agents_url());
    let body = json!({ "model": "text-embedding-3-small", "input": "Hi" });
    let denied = world.http().post(&url, &key, "", &body).await.unwrap().is(403);
    assert_eq!(denied.reason(), "policy_denied");
    let kinds = world
        .entries("default")
        .into_iter()
        .filter(|entry| entry.event.kind() == "denial");
    assert_eq!(kinds.count(), 1);
    assert_eq!(world.calls().count().received, 0);
}
