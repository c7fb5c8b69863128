//! The steps of a checkpoint on a real store: each fails, and each lands although it says that it failed.

use std::{collections::VecDeque, sync::Mutex};

use entry::{AdminRecord, Event, Role};
use model::{AdminName, Digest};
use store::{Committer, Config, Handle, Store, SystemClock, Tiles};
use tempfile::TempDir;
use tlog::note::SigningKey;
use tokio::{sync::Barrier, task::JoinHandle};
use zeroize::Zeroizing;

use super::*;

mod rotation;

/// What becomes of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Works,
    Fails,
    FailsButLands,
}

/// Which step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Tiles,
    Guard,
    Handover,
    Said,
    Save,
}

/// The real steps, with faults in their way, and every note that ever left them.
struct Faulty {
    durable: Durable,
    orders: Mutex<VecDeque<(Step, Fate)>>,
    notes: Mutex<Vec<String>>,
    suspected: Mutex<usize>,
    /// Where the first step waits until it is that of as many logs.
    together: Option<Barrier>,
}

fn ordered() -> StoreError {
    StoreError::File {
        path: PathBuf::from("disk"),
        source: std::io::Error::other("a fault that a test ordered"),
    }
}

impl Faulty {
    fn order(&self, step: Step, fate: Fate) {
        self.orders.lock().unwrap().push_back((step, fate));
    }

    fn fate(&self, step: Step) -> Fate {
        let mut orders = self.orders.lock().unwrap();
        match orders.front() {
            Some((ordered, fate)) if *ordered == step => {
                let fate = *fate;
                orders.pop_front();
                fate
            }
            _ => Fate::Works,
        }
    }

    async fn with<T>(&self, step: Step, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        match self.fate(step) {
            Fate::Works => work.await,
            Fate::Fails => Err(ordered()),
            Fate::FailsButLands => {
                work.await?;
                Err(ordered())
            }
        }
    }
}

impl Steps for Faulty {
    async fn tiles(&self, tenant: &TenantName, size: u64) -> Result<Hash, StoreError> {
        if let Some(together) = &self.together {
            together.wait().await;
        }
        self.with(Step::Tiles, self.durable.tiles(tenant, size)).await
    }

    async fn guard(&self, file: &GuardFile, note: &str) -> Result<(), StoreError> {
        self.notes.lock().unwrap().push(note.to_owned());
        self.with(Step::Guard, self.durable.guard(file, note)).await
    }

    async fn handover(&self, path: &Path, note: &str) -> Result<(), StoreError> {
        self.with(Step::Handover, self.durable.handover(path, note)).await
    }

    async fn was_signed(&self, tenant: &TenantName) -> Result<bool, StoreError> {
        self.durable.was_signed(tenant).await
    }

    async fn said(&self, tenant: &TenantName) -> Result<(u64, entry::Evidence), StoreError> {
        self.with(Step::Said, self.durable.said(tenant)).await
    }

    async fn save(&self, tenant: &TenantName, size: u64, note: String) -> Result<(), StoreError> {
        self.with(Step::Save, self.durable.save(tenant, size, note)).await
    }

    fn suspect(&self) {
        *self.suspected.lock().unwrap() += 1;
    }

    async fn close(&self) {
        self.durable.close().await;
    }
}

/// A committer with an empty log, and a signer that is asked by hand.
struct World {
    steps: Faulty,
    signer: Signer,
    keyring: Arc<Keyring>,
    tiles: Tiles,
    reader: Reader,
    committer: Handle,
    committing: JoinHandle<()>,
    signed: BTreeMap<TenantName, u64>,
    number: u8,
    dir: TempDir,
}

fn seed() -> Zeroizing<[u8; 32]> {
    Zeroizing::new([42; 32])
}

fn tenant() -> TenantName {
    TenantName::system()
}

impl World {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let data = DataDir::open(&dir.path().join("data")).unwrap();
        let guards = dir.path().join("guard");
        DataDir::make_at(&guards).unwrap();
        let keyring = Arc::new(Keyring::new("test.example".to_owned(), data.path().to_owned()));
        keyring.prepare(&tenant(), false, || Zeroizing::new([7; 32])).unwrap();
        let signer = Signer::new(keyring.clone(), guards, seed);
        let store = Store::open(&data).await.unwrap();
        let reader = store.reader().clone();
        let config = Config {
            node: "node".to_owned(),
            version: "test".to_owned(),
            open_holds: 8,
            reserve: 0,
            spool: None,
            heartbeat: None,
            random: || [7; 10],
        };
        let (committer, committing) = Committer::start(store, std::sync::Arc::new(SystemClock::new()), config)
            .await
            .unwrap();
        let tiles = Tiles::new(data.path(), reader.clone(), 0);
        let steps = Faulty {
            durable: Durable::new(tiles.clone(), reader.clone(), committer.clone()),
            orders: Mutex::default(),
            notes: Mutex::default(),
            suspected: Mutex::default(),
            together: None,
        };
        let mut world = Self {
            steps,
            signer,
            keyring,
            tiles,
            reader,
            committer,
            committing,
            signed: BTreeMap::new(),
            number: 0,
            dir,
        };
        world.append().await;
        world
    }

    /// One entry more.
    async fn append(&mut self) {
        self.number += 1;
        let admin = AdminRecord {
            name: AdminName::new(&format!("admin-{}", self.number)).unwrap(),
            role: Role::Viewer,
            verifier: Digest([self.number; 32]),
        };
        let by = AdminName::new("ada").unwrap();
        let added = Event::AdminAdded { admin, by };
        self.committer.change(tenant(), vec![added]).await.unwrap();
    }

    fn head(&self) -> Head {
        self.committer.heads().borrow()[&tenant()]
    }

    async fn round(&mut self) -> Option<SigningError> {
        let heads = self.committer.heads().borrow().clone();
        let mut failed = self.signer.sign_all(&self.steps, &heads, &mut self.signed).await;
        assert!(failed.len() < 2, "{failed:?}");
        failed.pop().map(|(_, error)| error)
    }

    fn open(&self, note: &str) -> Checkpoint {
        Checkpoint::open(note, &self.keyring.known(&tenant())).unwrap()
    }

    fn guarded(&self) -> Option<Checkpoint> {
        self.signer.guarded(&tenant()).unwrap()
    }

    async fn row(&self) -> Option<Checkpoint> {
        let note = self.reader.checkpoint(&tenant()).await.unwrap();
        note.map(|note| self.open(&note))
    }

    fn published(&self) -> Option<u64> {
        self.signer
            .published()
            .borrow()
            .get(&tenant())
            .map(|published| published.size)
    }

    /// What must hold whatever failed: every note that was ever signed is a beginning of the log, the guard file is at
    /// least as long as the row, the row as what is published, and all that is published can be proved.
    async fn check(&self, about: &str) {
        let size = |checkpoint: Option<Checkpoint>| checkpoint.map_or(0, |checkpoint| checkpoint.size);
        let (guarded, row, published) = (
            size(self.guarded()),
            size(self.row().await),
            self.published().unwrap_or(0),
        );
        assert!(
            guarded >= row && row >= published,
            "{about}: {guarded} {row} {published}"
        );
        let notes = self.steps.notes.lock().unwrap().clone();
        for note in notes {
            let checkpoint = self.open(&note);
            let root = self.tiles.catch_up(&tenant(), checkpoint.size).await.unwrap();
            assert_eq!(root, checkpoint.root, "{about}: {}", checkpoint.size);
        }
    }

    async fn stop(self) {
        self.committer.stop("test").await;
        self.committer.close().await;
        self.steps.close().await;
        self.committing.await.unwrap();
    }
}

#[tokio::test]
async fn each_step_fails_and_fails_but_lands() {
    for step in [Step::Tiles, Step::Guard, Step::Save] {
        for fate in [Fate::Fails, Fate::FailsButLands] {
            // Whether something was signed before, and whether the log goes on between the fault and the next round.
            for (before, between) in [(false, false), (false, true), (true, false), (true, true)] {
                let about = format!("{step:?} {fate:?} {before} {between}");
                let mut world = World::new().await;
                if before {
                    assert!(world.round().await.is_none(), "{about}");
                    world.append().await;
                }
                let published = world.published();
                world.steps.order(step, fate);
                let failed = world.round().await;
                assert!(
                    matches!(failed, Some(SigningError::Store(StoreError::File { .. }))),
                    "{about}: {failed:?}"
                );
                assert_eq!(world.published(), published, "{about}: what failed is not published");
                let notes = world.steps.notes.lock().unwrap().len() - usize::from(before);
                assert_eq!(
                    notes,
                    usize::from(step != Step::Tiles),
                    "{about}: nothing is signed without tiles"
                );
                world.check(&about).await;
                if between {
                    world.append().await;
                }
                assert!(world.round().await.is_none(), "{about}");
                let head = world.head();
                let row = world.row().await.unwrap();
                assert_eq!((row.size, row.root), (head.size, head.root), "{about}");
                assert_eq!(world.guarded(), Some(row), "{about}");
                assert_eq!(world.published(), Some(head.size), "{about}");
                world.check(&about).await;
                world.stop().await;
            }
        }
    }
}

#[tokio::test]
async fn a_head_that_is_not_what_is_stored_is_not_signed() {
    let mut world = World::new().await;
    assert!(world.round().await.is_none());
    world.append().await;
    let known = Hash([9; 32]);
    let head = Head {
        root: known,
        ..world.head()
    };
    let heads = BTreeMap::from([(tenant(), head)]);
    let mut failed = world.signer.sign_all(&world.steps, &heads, &mut world.signed).await;
    let (_, error) = failed.pop().unwrap();
    assert!(
        matches!(error, SigningError::Differs { known: told, .. } if told == known),
        "{error}"
    );
    assert!(
        error.is_evidence() && error.to_string().contains("bailiwick audit verify"),
        "{error}"
    );
    assert_eq!(world.guarded().unwrap().size, head.size - 1);
    assert_eq!(world.published(), Some(head.size - 1));
    // The right head is signed all the same.
    assert!(world.round().await.is_none());
    world.check("after").await;
    world.stop().await;
}

#[tokio::test]
async fn a_log_that_takes_long_keeps_no_other_waiting() {
    let mut world = World::new().await;
    let by = AdminName::new("ada").unwrap();
    let other = TenantName::default_tenant();
    let admin = AdminRecord {
        name: by.clone(),
        role: Role::Viewer,
        verifier: Digest([1; 32]),
    };
    let added = Event::AdminAdded { admin, by };
    world.committer.change(other.clone(), vec![added]).await.unwrap();
    // Neither goes on before both have begun.
    world.steps.together = Some(Barrier::new(2));
    let round = tokio::time::timeout(Duration::from_secs(30), world.round()).await;
    assert!(round.expect("they are signed one after the other").is_none());
    world.steps.together = None;
    let published = world.signer.published().borrow().keys().cloned().collect::<Vec<_>>();
    assert_eq!(published, [tenant(), other]);
    world.stop().await;
}

#[test]
fn evidence_is_told_once_whatever_else_fails() {
    let mut failing = Failing::default();
    let (a, b) = (TenantName::new("a").unwrap(), TenantName::new("b").unwrap());
    let away = || SigningError::Store(ordered());
    let differs = || SigningError::Differs {
        size: 3,
        stored: Hash([1; 32]),
        known: Hash([2; 32]),
    };
    assert!(!failing.tell(vec![(b.clone(), away())]));
    assert!(failing.tell(vec![(a.clone(), differs()), (b.clone(), away())]));
    assert!(!failing.tell(vec![(b.clone(), away()), (a.clone(), differs())]));
    assert!(
        failing.tell(vec![(b.clone(), differs()), (a.clone(), differs())]),
        "of another log"
    );
    assert!(!failing.tell(vec![(b.clone(), away())]));
    assert!(failing.tell(vec![(a, differs())]), "again, after it was well");
    assert!(!failing.tell(Vec::new()));
}

#[tokio::test]
async fn nothing_is_signed_beside_the_guard_file() {
    let mut world = World::new().await;
    assert!(world.round().await.is_none());
    let ours = world.guarded().unwrap();
    world.append().await;
    let head = world.head();
    let guard = GuardFile::new(&world.dir.path().join("guard"), &tenant());
    let sign = |checkpoint: &Checkpoint| {
        let signing = world.keyring.signing(&tenant()).unwrap();
        checkpoint.sign(&signing.keys[0]).unwrap().to_string()
    };
    // A second server on a copy of the data and the keys: it is ahead, or has another history.
    let ahead = Checkpoint {
        size: head.size + 1,
        ..ours.clone()
    };
    let same = Checkpoint {
        size: head.size,
        ..ours.clone()
    };
    let earlier = Checkpoint {
        root: Hash([9; 32]),
        ..ours.clone()
    };
    let notes = [sign(&ahead), sign(&same), sign(&earlier), "no note".to_owned()];
    for note in notes {
        std::fs::write(guard.path(), &note).unwrap();
        let refused = world.round().await.unwrap();
        assert!(refused.is_evidence(), "{note}: {refused}");
        assert_eq!(
            std::fs::read_to_string(guard.path()).unwrap(),
            note,
            "it is left as it was"
        );
        assert_eq!(world.row().await.unwrap(), ours);
        assert_eq!(world.published(), Some(ours.size));
    }
    // One that is gone is written again: the start is where its absence is told.
    std::fs::remove_file(guard.path()).unwrap();
    assert!(world.round().await.is_none());
    assert_eq!(world.guarded().unwrap().size, head.size);
    world.check("after").await;
    world.stop().await;
}

#[tokio::test]
async fn it_runs_until_it_is_stopped_and_signs_the_last_head() {
    let mut world = World::new().await;
    world.append().await;
    let (stop, stopping) = watch::channel(false);
    let mut published = world.signer.published();
    let signer = std::mem::replace(
        &mut world.signer,
        Signer::new(world.keyring.clone(), PathBuf::new(), seed),
    );
    let steps = Durable::new(world.tiles.clone(), world.reader.clone(), world.committer.clone());
    let running = tokio::spawn(signer.run(steps, world.committer.heads(), stopping));
    let head = world.head();
    let covers = |size| move |all: &Checkpoints| all.get(&tenant()).is_some_and(|published| published.size == size);
    published.wait_for(covers(head.size)).await.unwrap();
    world.append().await;
    stop.send_replace(true);
    running.await.unwrap();
    assert!(covers(head.size + 1)(&published.borrow()));
    world.committer.stop("test").await;
    world.committer.close().await;
    world.committing.await.unwrap();
}

impl World {
    /// The first entry of a tenant that is declared while the server runs.
    async fn declare(&self, name: &str) -> TenantName {
        let declared = TenantName::new(name).unwrap();
        let admin = AdminRecord {
            name: AdminName::new("first").unwrap(),
            role: Role::Viewer,
            verifier: Digest([1; 32]),
        };
        let by = AdminName::new("ada").unwrap();
        let added = Event::AdminAdded { admin, by };
        self.committer.change(declared.clone(), vec![added]).await.unwrap();
        declared
    }

    fn file(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.dir.path().join(name)).ok()
    }
}

#[tokio::test]
async fn a_tenant_that_is_declared_while_it_runs_is_signed() {
    // Whatever fails, the next round goes on with the key that was made, and the log's own word of its keys counts.
    for fault in [
        None,
        Some(Step::Said),
        Some(Step::Tiles),
        Some(Step::Guard),
        Some(Step::Save),
    ] {
        let mut world = World::new().await;
        assert!(world.round().await.is_none());
        let acme = world.declare("acme").await;
        if let Some(step) = fault {
            world.steps.order(step, Fate::Fails);
            assert!(world.round().await.is_some(), "{fault:?}");
            world.signer.seed = || Zeroizing::new([43; 32]);
        }
        let failed = world.round().await;
        assert!(failed.is_none(), "{fault:?}: {failed:?}");
        let published = world.signer.published().borrow().get(&acme).cloned();
        let head = world.committer.heads().borrow()[&acme];
        let key = SigningKey::from_seed("test.example/acme", &seed()).unwrap();
        let known = [key.verifier().clone()];
        let checkpoint = Checkpoint::open(&published.unwrap().note, &known).unwrap();
        assert_eq!((checkpoint.size, checkpoint.root), (head.size, head.root), "{fault:?}");
        assert_eq!(world.signer.guarded(&acme).unwrap(), Some(checkpoint), "{fault:?}");
        assert_eq!(
            world.file("data/keys/log.acme.vkey"),
            Some(format!("{}\n", key.verifier())),
            "{fault:?}"
        );
        world.stop().await;
    }
}

#[tokio::test]
async fn no_key_is_made_beside_one_that_has_signed() {
    let mut world = World::new().await;
    let acme = world.declare("acme").await;
    // Once only the guard file tells, and once only the row.
    let guard = GuardFile::new(&world.dir.path().join("guard"), &acme);
    std::fs::write(guard.path(), "of an earlier key").unwrap();
    for told in ["guard", "row"] {
        let refused = world.round().await;
        assert!(matches!(refused, Some(SigningError::LostKey(_))), "{told}: {refused:?}");
        assert_eq!(world.file("data/keys/log.acme.seed"), None, "{told}");
        assert_eq!(
            world.published(),
            Some(world.head().size),
            "{told}: the others are signed"
        );
        std::fs::remove_file(guard.path()).ok();
        let saved = world.steps.save(&acme, 1, "of an earlier key".to_owned()).await;
        saved.unwrap();
    }
    world.stop().await;
}
