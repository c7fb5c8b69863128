//! An older copy is accepted, and every step on the way fails, fails but lands, and is the last before a crash.

use std::cell::Cell;

use entry::{AdminRecord, Event, Role};
use model::Digest;
use store::{Committer, Config, Handle, Store, SystemClock};
use tempfile::TempDir;
use tlog::{cosignature::CosigningKey, note::SigningKey};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::*;

const DOMAIN: &str = "test.example";
/// The logs that lose something.
const LOGS: [&str; 2] = ["_system", "default"];

/// Which step fails, counted from 0, and whether it lands all the same.
#[derive(Debug, Default)]
pub(super) struct Faults {
    next: Cell<usize>,
    fails: Cell<Option<(usize, bool)>>,
}

impl Faults {
    pub(super) fn before(&self) -> Result<(), RestoreError> {
        match self.fails.get() {
            Some((step, false)) if step == self.next.get() => Err(ordered()),
            _ => Ok(()),
        }
    }

    pub(super) fn after(&self) -> Result<(), RestoreError> {
        let step = self.next.replace(self.next.get() + 1);
        match self.fails.get() {
            Some((fails, true)) if fails == step => Err(ordered()),
            _ => Ok(()),
        }
    }
}

fn ordered() -> RestoreError {
    in_file(Path::new("disk"), io::Error::other("a fault that a test ordered"))
}

fn tenants() -> Vec<TenantName> {
    LOGS.iter().map(|name| TenantName::new(name).unwrap()).collect()
}

fn seeds(tenant: &TenantName) -> [Zeroizing<[u8; 32]>; 2] {
    let first = if *tenant == TenantName::system() { 7 } else { 8 };
    [first, first + 10].map(|byte| Zeroizing::new([byte; 32]))
}

async fn running(data: &Path) -> (Handle, JoinHandle<()>) {
    let config = Config {
        node: "node".to_owned(),
        version: "test".to_owned(),
        open_holds: 8,
        reserve: 0,
        spool: None,
        heartbeat: None,
        random: || [7; 10],
    };
    let store = Store::open(&DataDir::open(data).unwrap()).await.unwrap();
    Committer::start(store, Arc::new(SystemClock::new()), config)
        .await
        .unwrap()
}

/// Adds an administrator to each log.
async fn grow(handle: &Handle, number: u8) {
    for tenant in tenants() {
        let admin = AdminRecord {
            name: AdminName::new(&format!("admin-{number}")).unwrap(),
            role: Role::Viewer,
            verifier: Digest([number; 32]),
        };
        let by = AdminName::new("ada").unwrap();
        handle
            .change(tenant, vec![Event::AdminAdded { admin, by }])
            .await
            .unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let to = to.join(file.file_name());
        match file.file_type().unwrap().is_dir() {
            true => copy(&file.path(), &to),
            false => drop(fs::copy(file.path(), to).unwrap()),
        }
    }
}

/// The checkpoint over a log as it is, by its first key.
fn signed(handle: &Handle, tenant: &TenantName) -> Note {
    let head = handle.heads().borrow()[tenant];
    let name = format!("{DOMAIN}/{tenant}");
    let key = SigningKey::from_seed(&name, &seeds(tenant)[0]).unwrap();
    let checkpoint = Checkpoint {
        origin: Origin::new(&name).unwrap(),
        size: head.size,
        root: head.root,
    };
    checkpoint.sign(&key).unwrap()
}

/// A data directory whose database is older than the guard files, the cosigned checkpoints and a handover say.
async fn rolled_back() -> TempDir {
    let dir = TempDir::new().unwrap();
    let (data, guards) = (dir.path().join("data"), dir.path().join("guard"));
    let keyring = Keyring::new(DOMAIN.to_owned(), data.clone());
    let (handle, task) = running(&data).await;
    for tenant in tenants() {
        keyring.prepare(&tenant, false, || seeds(&tenant)[0].clone()).unwrap();
    }
    grow(&handle, 1).await;
    handle.stop("test").await;
    handle.close().await;
    task.await.unwrap();
    copy(&data, &dir.path().join("older"));
    let (handle, task) = running(&data).await;
    grow(&handle, 2).await;
    let notes: Vec<Note> = tenants().iter().map(|tenant| signed(&handle, tenant)).collect();
    handle.stop("test").await;
    handle.close().await;
    task.await.unwrap();
    fs::remove_dir_all(&data).unwrap();
    copy(&dir.path().join("older"), &data);
    for (tenant, note) in tenants().iter().zip(notes) {
        DataDir::make_at(&guards).unwrap();
        DataDir::replace_at(GuardFile::new(&guards, tenant).path(), note.to_string().as_bytes()).unwrap();
        let witness = CosigningKey::from_seed("w.example", &[3; 32]).unwrap();
        let word = witness.cosign(note.body(), 1_789_992_000).unwrap();
        let cosigned = cosigned_file(&data, tenant);
        DataDir::make_at(cosigned.parent().unwrap()).unwrap();
        DataDir::replace_at(&cosigned, note.clone().with([word]).unwrap().to_string().as_bytes()).unwrap();
        let handovers = KeyFiles::handovers(&data, tenant);
        DataDir::make_at(handovers.parent().unwrap()).unwrap();
        DataDir::make_at(&handovers).unwrap();
        DataDir::replace_at(&handovers.join("00000001"), note.to_string().as_bytes()).unwrap();
    }
    dir
}

async fn open(dir: &Path) -> Restoration {
    let data = DataDir::open(&dir.join("data")).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let opened = Restoration::open(data, DOMAIN.to_owned(), dir.join("guard"), clock, || [9; 10]);
    opened.await.unwrap()
}

/// Everything is as it should be once it was accepted: each log says so once, and its guard file and its row are over it.
async fn check(dir: &Path, about: &str) {
    let data = dir.join("data");
    let mut again = open(dir).await;
    assert_eq!(again.losses(), [], "{about}: nothing is left to accept");
    for tenant in tenants() {
        let kept = again.logs.kept(&tenant);
        assert_eq!(kept.evidence.restores, 1, "{about}: {tenant}");
        again.keyring.read_keys(&tenant).unwrap();
        let known = again.keyring.known(&tenant);
        let guard = GuardFile::new(&dir.join("guard"), &tenant).read().unwrap().unwrap();
        let checkpoint = Checkpoint::open(&guard, &known).unwrap();
        assert_eq!(
            (checkpoint.size, checkpoint.root),
            (kept.head.size, kept.head.root),
            "{about}"
        );
        // The row may be missing if that was the last step: the signer of the next start makes it.
        if let Some(row) = again.logs.reader().checkpoint(&tenant).await.unwrap() {
            assert_eq!(Checkpoint::open(&row, &known).unwrap(), checkpoint, "{about}");
        }
        let aside = |dir: &Path| {
            names(dir)
                .unwrap()
                .into_iter()
                .filter(|name| name.contains("~lost-"))
                .count()
        };
        assert_eq!(
            aside(&dir.join("guard")),
            LOGS.len(),
            "{about}: the old guard files are kept"
        );
        assert_eq!(aside(&data.join("cosigned")), LOGS.len(), "{about}");
        assert!(!cosigned_file(&data, &tenant).exists(), "{about}");
        assert_eq!(
            names(&KeyFiles::handovers(&data, &tenant)).unwrap(),
            Vec::<String>::new(),
            "{about}"
        );
    }
    again.logs.close().await.unwrap();
}

#[tokio::test]
async fn every_step_fails_and_fails_but_lands() {
    let template = rolled_back().await;
    let mut steps = 0;
    loop {
        let mut over = true;
        for lands in [false, true] {
            let about = format!("step {steps}, lands: {lands}");
            let dir = TempDir::new().unwrap();
            copy(template.path(), dir.path());
            let first = open(dir.path()).await;
            assert_eq!(first.losses().len(), LOGS.len(), "{about}");
            first.faults.fails.set(Some((steps, lands)));
            // Dropped as it is, it is what a crash leaves.
            if first.accept("the disk died").await.is_err() {
                over = false;
                let second = open(dir.path()).await;
                let accepted = second.accept("the disk died").await.unwrap();
                assert!(accepted.len() <= LOGS.len(), "{about}");
            }
            check(dir.path(), &about).await;
        }
        if over {
            break;
        }
        steps += 1;
    }
    // For each log: the old guard file, what was cosigned, the handover, the new guard file, the row; and the entries.
    assert_eq!(steps, LOGS.len() * 5 + 1);
}
