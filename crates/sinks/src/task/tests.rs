//! Real logs, real files, real servers over loopback, and what goes wrong at the worst moment.

use std::{
    collections::{BTreeSet, VecDeque},
    path::{Path, PathBuf},
    sync::Mutex,
};

use control::{
    Actor, AuthzenSettings, Control, Governance, Limits, Options, SinkFormat, SinkReport, SinkTarget, TenantGovernance,
    Webhook,
};
use entry::{Entry, Role};
use model::{AdminName, SinkName};
use store::DataDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// What becomes of the next steps, in order, each of which has a moment before and one after it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Arc<Mutex<VecDeque<Moment>>>);

/// A moment at which something fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    BeforeDelivery,
    AfterDelivery,
    BeforeSave,
    AfterSave,
}

impl Faults {
    fn at(&self, moment: Moment) -> Result<(), Trouble> {
        let mut orders = self.0.lock().unwrap();
        if orders.front() == Some(&moment) {
            orders.pop_front();
            return Err(Trouble::Cursor(format!("a test ordered a fault {moment:?}")));
        }
        Ok(())
    }

    pub(super) fn before_delivery(&self) -> Result<(), Trouble> {
        self.at(Moment::BeforeDelivery)
    }

    pub(super) fn after_delivery(&self) -> Result<(), Trouble> {
        self.at(Moment::AfterDelivery)
    }

    pub(super) fn before_save(&self) -> Result<(), Trouble> {
        self.at(Moment::BeforeSave)
    }

    pub(super) fn after_save(&self) -> Result<(), Trouble> {
        self.at(Moment::AfterSave)
    }
}

struct World {
    control: Control,
    dir: Arc<tempfile::TempDir>,
}

fn options(dir: &Path) -> Options {
    Options {
        dir: DataDir::open(&dir.join("data")).unwrap(),
        trust_domain: "test.example".to_owned(),
        guards: dir.join("guard"),
        reserve: 0,
        spool: None,
        retention: control::Retention::new(),
        public_log: false,
        heartbeat: None,
        witnesses: None,
        limits: Limits::default(),
        authzen: AuthzenSettings::default(),
        version: "test".to_owned(),
        clock: Arc::new(store::SystemClock::new()),
        loader: Box::new(|| {
            let tenants = BTreeMap::from([(TenantName::default_tenant(), TenantGovernance::default())]);
            Ok(Governance {
                tenants,
                upstreams: Vec::new(),
                routes: Vec::new(),
                prices: Vec::new(),
            })
        }),
    }
}

fn owner() -> Actor {
    Actor {
        name: AdminName::new("owner").unwrap(),
        role: Role::Owner,
    }
}

impl World {
    async fn new() -> Self {
        Self::in_dir(Arc::new(tempfile::tempdir().unwrap())).await
    }

    async fn in_dir(dir: Arc<tempfile::TempDir>) -> Self {
        let control = Control::start(options(dir.path())).await.unwrap();
        Self { control, dir }
    }

    /// Makes entries in the log of the server.
    async fn work(&self, names: std::ops::Range<usize>) {
        for number in names {
            let name = AdminName::new(&format!("admin-{number}")).unwrap();
            self.control.add_admin(&owner(), name, Role::Viewer).await.unwrap();
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// All entries of all logs, as `tenant/index`.
    async fn all(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        let mut feed = self.control.feed();
        for (tenant, size) in feed.log.sizes() {
            all.extend((0..size).map(|index| format!("{tenant}/{index}")));
        }
        all
    }

    fn file_spec(&self) -> SinkSpec {
        spec(SinkTarget::File {
            path: self.path("out.jsonl"),
            rotation: None,
        })
    }

    fn run(&self, spec: &SinkSpec) -> Running {
        let output = Output::new(spec, &self.control).unwrap();
        let (stop, stopping) = watch::channel(false);
        let status = self.control.announce_sink(spec);
        let task = Task::new(spec.clone(), self.control.feed(), status, output, stopping);
        let faults = task.faults.clone();
        Running {
            stop,
            faults,
            task: tokio::spawn(task.run()),
        }
    }

    /// The newest sink of these.
    fn report(&self) -> SinkReport {
        self.control.sinks(&owner()).unwrap().pop().unwrap()
    }

    /// Until the newest sink is behind no entry and all is well.
    async fn caught_up(&self) {
        let caught_up = async {
            loop {
                let report = self.report();
                if report.behind == 0 && report.state == "ok" {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, caught_up).await;
        assert!(waited.is_ok(), "{:?}", self.report());
    }
}

struct Running {
    stop: watch::Sender<bool>,
    faults: Faults,
    task: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.stop.send_replace(true);
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }

    /// Dies as a process does: at once, wherever it is.
    async fn crash(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

fn spec(target: SinkTarget) -> SinkSpec {
    SinkSpec {
        name: SinkName::new("siem").unwrap(),
        target,
        format: SinkFormat::Json,
        tenants: Vec::new(),
        kinds: Vec::new(),
        agents: Vec::new(),
        start: SinkStart::Beginning,
    }
}

/// The entries of lines, as `tenant/index`. Every line has to be one.
fn ids(text: &str) -> Vec<String> {
    let ids = text.lines().map(|line| {
        let entry = Entry::decode(line.as_bytes()).unwrap_or_else(|error| panic!("{error}: {line}"));
        format!("{}/{}", entry.tenant, entry.index)
    });
    ids.collect()
}

/// All of them are there, in order for each tenant but for what was handed over again; how many there are twice.
fn check_all(found: &[String], all: &BTreeSet<String>) -> usize {
    let distinct: BTreeSet<String> = found.iter().cloned().collect();
    assert_eq!(&distinct, all);
    let mut next: BTreeMap<&str, u64> = BTreeMap::new();
    for id in found {
        let (tenant, index) = id.split_once('/').unwrap();
        let (next, index) = (next.entry(tenant).or_default(), index.parse::<u64>().unwrap());
        assert!(index <= *next, "{id} comes before {tenant}/{next}: {found:?}");
        *next = index + 1;
    }
    found.len() - distinct.len()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[tokio::test]
async fn a_file_gets_every_entry_once_when_all_is_well() {
    let world = World::new().await;
    world.work(0..5).await;
    let running = world.run(&world.file_spec());
    world.caught_up().await;
    world.work(5..8).await;
    world.caught_up().await;
    running.stop().await;
    world.work(8..10).await;
    let running = world.run(&world.file_spec());
    world.caught_up().await;
    running.stop().await;
    assert_eq!(check_all(&ids(&read(&world.path("out.jsonl"))), &world.all().await), 0);
    assert_eq!(world.report().delivered, 2);
}

#[tokio::test]
async fn a_page_is_bounded_and_checked() {
    let world = World::new().await;
    world.work(0..20).await;
    let mut feed = world.control.feed();
    let (tenant, size) = feed.log.sizes().pop_first().unwrap();
    let mut range = tlog::CompactRange::new();
    let mut pages = 0;
    while range.size() < size {
        let page = feed.log.page(&tenant, &range, 1_000).await.unwrap();
        let length: usize = page.iter().map(|fed| fed.bytes.len()).sum();
        assert!((1..6_000).contains(&length), "{length}");
        for fed in page {
            assert_eq!(fed.index, range.size());
            range.append(fed.leaf);
            // Also in the midst of a commit.
            assert_eq!(
                feed.log.range_at(&tenant, range.size()).await.unwrap().as_ref(),
                Some(&range)
            );
        }
        pages += 1;
    }
    assert!(pages > 3, "{pages}");
    assert_eq!(feed.log.range_at(&tenant, size + 1).await.unwrap(), None);
    assert_eq!(feed.log.entry(&tenant, size).await.unwrap(), None);
    // Behind a tree that is not this log's nothing is handed on.
    let mut other = tlog::CompactRange::new();
    other.append(tlog::leaf_hash(b"another log"));
    let error = feed.log.page(&tenant, &other, 1).await.unwrap_err();
    assert!(error.to_string().contains("tree head"), "{error}");
}

#[tokio::test]
async fn now_is_when_it_was_first_started() {
    let world = World::new().await;
    world.work(0..3).await;
    let spec = SinkSpec {
        start: SinkStart::Now,
        ..world.file_spec()
    };
    let before = world.all().await;
    let running = world.run(&spec);
    world.caught_up().await;
    assert_eq!(read(&world.path("out.jsonl")), "");
    running.crash().await;
    world.work(3..5).await;
    let running = world.run(&spec);
    world.caught_up().await;
    running.stop().await;
    let expected: Vec<String> = world.all().await.difference(&before).cloned().collect();
    assert_eq!(ids(&read(&world.path("out.jsonl"))), expected);
}

#[tokio::test]
async fn nothing_is_handed_over_before_its_beginning_is_kept() {
    let world = World::new().await;
    world.work(0..3).await;
    let sinks = world.path("data/sinks");
    // A file where the directory of cursors should be.
    std::fs::write(&sinks, "").unwrap();
    let spec = SinkSpec {
        start: SinkStart::Now,
        ..world.file_spec()
    };
    let running = world.run(&spec);
    let failing = async {
        while world.report().failures < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, failing).await.unwrap();
    world.work(3..5).await;
    assert_eq!(read(&world.path("out.jsonl")), "");
    let before = world.all().await;
    std::fs::remove_file(&sinks).unwrap();
    world.caught_up().await;
    world.work(5..6).await;
    world.caught_up().await;
    running.stop().await;
    let expected: Vec<String> = world.all().await.difference(&before).cloned().collect();
    assert_eq!(ids(&read(&world.path("out.jsonl"))), expected);
}

/// While the cursor cannot be kept, little is handed over that would arrive again after a crash.
#[tokio::test]
async fn what_cannot_be_kept_is_not_added_to() {
    let world = World::new().await;
    let running = world.run(&world.file_spec());
    world.caught_up().await;
    let sinks = world.path("data/sinks");
    // The cursor may be on its way into the directory.
    while std::fs::write(&sinks, "").is_err() {
        let _ = std::fs::remove_dir_all(&sinks);
    }
    for number in 0..20 {
        world.work(number..number + 1).await;
    }
    let failing = async {
        while world.report().failures < 5 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, failing).await.unwrap();
    let before = ids(&read(&world.path("out.jsonl"))).len();
    for number in 20..40 {
        world.work(number..number + 1).await;
    }
    assert_eq!(ids(&read(&world.path("out.jsonl"))).len(), before);
    std::fs::remove_file(&sinks).unwrap();
    world.caught_up().await;
    running.stop().await;
    assert_eq!(check_all(&ids(&read(&world.path("out.jsonl"))), &world.all().await), 0);
}

/// Each step fails, and fails but lands; and the process dies at each of these moments.
#[tokio::test]
async fn whatever_fails_nothing_is_missing() {
    for moment in [
        Moment::BeforeDelivery,
        Moment::AfterDelivery,
        Moment::BeforeSave,
        Moment::AfterSave,
    ] {
        for dies in [false, true] {
            let world = World::new().await;
            let running = world.run(&world.file_spec());
            world.caught_up().await;
            running.faults.0.lock().unwrap().push_back(moment);
            world.work(0..3).await;
            if dies {
                let struck = async {
                    while !running.faults.0.lock().unwrap().is_empty() {
                        tokio::task::yield_now().await;
                    }
                };
                tokio::time::timeout(PATIENCE, struck).await.unwrap();
                running.crash().await;
                let running = world.run(&world.file_spec());
                world.caught_up().await;
                running.stop().await;
            } else {
                world.caught_up().await;
                running.stop().await;
            }
            let twice = check_all(&ids(&read(&world.path("out.jsonl"))), &world.all().await);
            // The three, again by itself and again after the death.
            assert!(twice <= 9, "{moment:?}, dies: {dies}: {twice} twice");
            // One that dies may have tried again before.
            if moment == Moment::BeforeDelivery && !dies {
                assert_eq!(twice, 0);
            }
        }
    }
}

#[tokio::test]
async fn a_crash_at_any_time_loses_nothing() {
    let world = World::new().await;
    for round in 0..20 {
        let running = world.run(&world.file_spec());
        world.work(round * 3..round * 3 + 3).await;
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        running.crash().await;
        // What a thread was writing when its task died is still written; a process would be gone.
        if let Ok(file) = std::fs::File::open(world.path("out.jsonl")) {
            file.lock().unwrap();
        }
        if round % 3 == 0 {
            // A line that was being written.
            let mut text = read(&world.path("out.jsonl"));
            text.push_str("{\"v\":4,\"tenant\":\"_sy");
            std::fs::write(world.path("out.jsonl"), text).unwrap();
        }
    }
    let running = world.run(&world.file_spec());
    world.caught_up().await;
    running.stop().await;
    check_all(&ids(&read(&world.path("out.jsonl"))), &world.all().await);
}

/// The database is put back to an older copy, and goes another way from there.
#[tokio::test]
async fn an_older_log_is_told_and_nothing_of_it_is_left_out() {
    let world = World::new().await;
    world.work(0..6).await;
    let running = world.run(&world.file_spec());
    world.caught_up().await;
    world.control.stop("copy").await;
    running.stop().await;
    let dir = world.dir.clone();
    drop(world);
    let data = dir.path().join("data");
    let copy = dir.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    let databases = |from: &Path, to: &Path| {
        for file in std::fs::read_dir(from).unwrap() {
            let file = file.unwrap();
            let name = file.file_name().to_string_lossy().into_owned();
            if name.starts_with("bailiwick.db") {
                std::fs::copy(file.path(), to.join(name)).unwrap();
            }
        }
    };
    databases(&data, &copy);
    let world = World::in_dir(dir.clone()).await;
    let running = world.run(&world.file_spec());
    world.work(6..20).await;
    world.caught_up().await;
    world.control.stop("lost").await;
    running.stop().await;
    drop(world);
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(data.join(format!("bailiwick.db{suffix}")));
    }
    databases(&copy, &data);
    std::fs::remove_dir_all(dir.path().join("guard")).unwrap();
    let old = ids(&read(&dir.path().join("out.jsonl"))).len();
    let world = World::in_dir(dir).await;
    world.work(30..33).await;
    let running = world.run(&world.file_spec());
    world.caught_up().await;
    running.stop().await;
    let text = read(&world.path("out.jsonl"));
    let after: BTreeSet<String> = text.lines().skip(old).map(str::to_owned).collect();
    // Every entry of the log as it is now has been handed over, before or after.
    let mut feed = world.control.feed();
    for (tenant, size) in feed.log.sizes() {
        for index in 0..size {
            let bytes = feed.log.entry(&tenant, index).await.unwrap().unwrap();
            let line = String::from_utf8(bytes).unwrap();
            assert!(text.lines().any(|found| found == line), "{line} is missing");
        }
    }
    assert!(after.iter().any(|line| line.contains("admin-32")) && !after.iter().any(|line| line.contains("admin-0\"")));
}

#[tokio::test]
async fn a_damaged_cursor_stops_the_sink_until_it_is_mended() {
    let world = World::new().await;
    let cursor = world.path("data/sinks/siem.cursor");
    std::fs::create_dir(cursor.parent().unwrap()).unwrap();
    std::fs::write(&cursor, "{").unwrap();
    let running = world.run(&world.file_spec());
    let failing = async {
        while world.report().state != "failing" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, failing).await.unwrap();
    let report = world.report();
    assert!(
        report
            .error
            .unwrap()
            .contains("delete it: the sink then begins as `from` says")
    );
    assert_eq!(read(&world.path("out.jsonl")), "");
    std::fs::remove_file(&cursor).unwrap();
    world.caught_up().await;
    running.stop().await;
    check_all(&ids(&read(&world.path("out.jsonl"))), &world.all().await);
}

#[tokio::test]
async fn without_anybody_to_stop_it_it_ends_by_itself() {
    let world = World::new().await;
    let nowhere = SinkTarget::File {
        path: world.path("not-there/out.jsonl"),
        rotation: None,
    };
    for target in [nowhere, world.file_spec().target] {
        let Running { stop, task, .. } = world.run(&spec(target));
        drop(stop);
        tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn filters_leave_out_and_pass() {
    let world = World::new().await;
    world.work(0..4).await;
    let cases: [(&[&str], &[&str], usize); 4] = [
        (&["admin_added"], &[], 5),
        (&["admin_added"], &["default"], 0),
        (&["intent", "denial"], &[], 0),
        (&[], &["nobody"], 0),
    ];
    for (number, (kinds, tenants, expected)) in cases.into_iter().enumerate() {
        let spec = SinkSpec {
            name: SinkName::new(&format!("sink-{number}")).unwrap(),
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            tenants: tenants.iter().map(|name| TenantName::new(name).unwrap()).collect(),
            target: SinkTarget::File {
                path: world.path(&format!("out-{number}")),
                rotation: None,
            },
            ..world.file_spec()
        };
        let running = world.run(&spec);
        world.caught_up().await;
        running.stop().await;
        let found = ids(&read(&world.path(&format!("out-{number}"))));
        assert_eq!(found.len(), expected, "{kinds:?} {tenants:?}: {found:?}");
    }
}

mod receiving;
