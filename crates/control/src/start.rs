//! How it all begins, what holds it together, and how it ends.

mod error;
mod random;

use std::{path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use entry::{AdminRecord, Event, Role};
use model::{ActionId, AdminName, TenantName, Timestamp, UpstreamName};
use pricing::PriceBook;
use secrecy::ExposeSecret as _;
use signing::{Checkpoints, Durable, Keyring, Signer, expect_key};
use store::{Clock, Committer, DataDir, Handle, Health, Projection, Reader, Store, Tiles, View};
use tokio::{
    sync::{Mutex, Semaphore, watch},
    task::JoinHandle,
};
use zeroize::Zeroizing;

use crate::{
    ADMIN_PREFIX, AdminError, AuthzenSettings, Governance, Limits, LoadProblem, UpstreamSpec, Witnesses,
    asking::room_for_bodies,
    credential::{make, recognise},
    load::{self, Compiled},
    metrics::Metrics,
    pdp::PdpKey,
    privacy::Privacy,
    retention::{Nothing, Retention},
    sinks::SinkBoard,
    snapshot::Snapshot,
    stored::Merged,
};

pub use error::StartError;
use random::{name_of, new_seed, random_bytes, secret};

/// The actor of what a start loads.
const STARTER: &str = "_start";
/// Who lets entries go whose time is over, in entries.
const RETAINER: &str = "_retention";
/// The first owner.
const OWNER: &str = "owner";
const PRIVACY_FILE: &str = "keys/privacy.key";
/// How long the signer and the committer may take to end once they were told to.
const TASK_LEAVES: Duration = Duration::from_secs(5);
const OWNER_FILE: &str = "owner.credential";

/// Reads the declarations again.
pub type Loader = Box<dyn Fn() -> Result<Governance, Vec<LoadProblem>> + Send + Sync>;

/// What control is given.
pub struct Options {
    /// The data directory, locked.
    pub dir: DataDir,
    /// The naming authority of this deployment, such as `agents.acme.example`.
    pub trust_domain: String,
    /// Where guard files are kept; best apart from the data directory.
    pub guards: PathBuf,
    /// How many bytes of the data directory's disk are kept for the ends of calls in flight and for denials.
    pub reserve: u64,
    /// The directory of the spool, where calls on allowances are recorded while the log cannot be written.
    pub spool: Option<PathBuf>,
    /// How long entries are kept.
    pub retention: Retention,
    /// Whether the logs are published to whoever asks, without a credential.
    pub public_log: bool,
    /// After how long a log without an entry gets a heartbeat; `None` for never.
    pub heartbeat: Option<Duration>,
    /// Bounds.
    pub limits: Limits,
    /// Who cosigns checkpoints, and how many of them have to before one is published; `None` if nobody does.
    pub witnesses: Option<Witnesses>,
    /// How the decision point answers.
    pub authzen: AuthzenSettings,
    /// The program's version.
    pub version: String,
    /// What time it is. A test brings its own.
    pub clock: Arc<dyn Clock>,
    /// Reads the declarations, at the start and at every reload.
    pub loader: Loader,
}

/// The pipeline and the use cases of one server. Cheap to clone.
#[derive(Clone)]
pub struct Control {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) snapshot: ArcSwap<Snapshot>,
    /// Counts the pictures, so that a request can wait for the next.
    pub(crate) published: watch::Sender<u64>,
    pub(crate) committer: Handle,
    pub(crate) reader: Reader,
    pub(crate) projection: Projection,
    pub(crate) trust_domain: String,
    /// How many bytes of the data directory's disk are kept for the log.
    pub(crate) reserve: u64,
    /// How the sinks stand that were announced.
    pub(crate) sinks: SinkBoard,
    pub(crate) tiles: Tiles,
    pub(crate) retention: Retention,
    /// Held while what is old is let go. Nothing of a class stands before these places but what is gone already.
    pub(crate) expiring: Mutex<Nothing>,
    pub(crate) public_log: bool,
    pub(crate) checkpoints: watch::Receiver<Checkpoints>,
    pub(crate) keyring: Arc<Keyring>,
    /// Held while keys of logs are exchanged: one after the other.
    pub(crate) rotating: Mutex<()>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) privacy: Privacy,
    pub(crate) limits: Arc<Limits>,
    pub(crate) authzen: AuthzenSettings,
    /// How many questions to the decision point may be answered at once, and how many of the long ones.
    pub(crate) places: Arc<Semaphore>,
    pub(crate) aside: Arc<Semaphore>,
    /// The bundles with the stored entities in them.
    pub(crate) merged: Merged,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) random: SystemRandom,
    pub(crate) loader: Loader,
    /// What is in effect. Held while anything changes, so that pictures are published in the order of the log.
    pub(crate) loaded: Mutex<Arc<Compiled>>,
    /// The bytes that the bodies of calls that wait for an administrator may still take.
    pub(crate) waiting: Arc<Semaphore>,
    /// Held while budgets are simulated: one at a time.
    pub(crate) simulating: Mutex<()>,
    pub(crate) stop_signer: watch::Sender<bool>,
    pub(crate) signer: Mutex<Option<JoinHandle<()>>>,
    pub(crate) committing: Mutex<Option<JoinHandle<()>>>,
    pub(crate) dir: DataDir,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control")
            .field("data", &self.inner.dir.path())
            .finish_non_exhaustive()
    }
}

impl Control {
    /// Opens the store, loads what is declared, and starts the committer and the signer.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let Options {
            dir,
            trust_domain,
            guards,
            reserve,
            spool,
            retention,
            public_log,
            heartbeat,
            limits,
            witnesses,
            authzen,
            version,
            clock,
            loader,
        } = options;
        let compiled = Arc::new(loader().and_then(load::compile).map_err(StartError::Problems)?);
        let random = SystemRandom::new();
        DataDir::make_at(&guards)?;
        let keyring = Arc::new(Keyring::new(trust_domain.clone(), dir.path().to_owned()));
        let signer = Signer::new(keyring.clone(), guards, new_seed);
        let store = Store::open(&dir).await?;
        let reader = store.reader().clone();
        let declared = compiled.governance.tenants.keys().cloned();
        let last = take_up(&reader, &signer, &keyring, declared.chain([TenantName::system()])).await?;
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes).into_bytes();
        expect_key(&dir, PRIVACY_FILE, last.is_some())?;
        let privacy = Zeroizing::new(dir.read_or_create(PRIVACY_FILE, || hex(secret(&random).as_slice()))?);
        // A key that was altered would change every pseudonym and commitment without a word.
        let privacy = data_encoding::HEXLOWER
            .decode(privacy.trim_ascii())
            .ok()
            .filter(|key| key.len() == 32);
        let privacy = Zeroizing::new(privacy.ok_or_else(|| StartError::Key(dir.path().join(PRIVACY_FILE)))?);
        let node = dir.read_or_create("node", || format!("node-{}", name_of(&random)).into_bytes())?;
        let config = store::Config {
            node: String::from_utf8_lossy(&node).trim().to_owned(),
            version,
            open_holds: limits.in_flight,
            reserve,
            spool,
            heartbeat,
            random: random_bytes,
        };
        let away = last.map_or(0, |last| clock.now().micros_since(last));
        let away = Duration::from_micros(u64::try_from(away).unwrap_or(0));
        let (committer, committing) = Committer::start(store, clock.clone(), config).await?;
        for tenant in keyring.tenants() {
            let view = committer.view(tenant.clone()).await.map_err(AdminError::from)?;
            keyring.settle(&tenant, view.size, &view.evidence)?;
        }
        let projection = Projection::start(dir.path(), reader.clone(), committer.heads(), reserve);
        let (stop_signer, stopping) = watch::channel(false);
        // Tiles of a log that has none yet are made in the signer's task: a start does not wait for them.
        let tiles = Tiles::new(dir.path(), reader.clone(), reserve);
        let durable = Durable::new(tiles.clone(), reader.clone(), committer.clone());
        let metrics = Arc::new(Metrics::new());
        let around = signing::Server {
            tiles: tiles.clone(),
            committer: committer.clone(),
            data: dir.path().to_owned(),
        };
        let (signed, logs) = (signer.published(), keyring.tenants());
        let checkpoints = signing::begin(
            around,
            witnesses,
            &metrics.witnesses,
            &logs,
            signed,
            stop_signer.subscribe(),
        )?;
        let signing = tokio::spawn(signer.run(durable, committer.heads(), stopping));
        let inner = Inner {
            snapshot: ArcSwap::from_pointee(Snapshot::empty(PriceBook::builtin())),
            published: watch::Sender::new(0),
            committer,
            reader,
            projection,
            trust_domain,
            reserve,
            sinks: SinkBoard::default(),
            tiles,
            retention,
            expiring: Mutex::default(),
            public_log,
            checkpoints,
            keyring,
            rotating: Mutex::new(()),
            clock,
            privacy: Privacy::new(&privacy),
            waiting: Arc::new(room_for_bodies(&limits)),
            places: Arc::new(Semaphore::new(limits.in_flight.min(Semaphore::MAX_PERMITS))),
            aside: Arc::new(Semaphore::new(cores())),
            merged: Merged::default(),
            limits: Arc::new(limits),
            authzen,
            metrics,
            random,
            loader,
            loaded: Mutex::new(compiled.clone()),
            simulating: Mutex::new(()),
            stop_signer,
            signer: Mutex::new(Some(signing)),
            committing: Mutex::new(Some(committing)),
            dir,
        };
        let control = Self { inner: Arc::new(inner) };
        let starter = AdminName::new(STARTER).map_err(|error| AdminError::Invalid(error.to_string()))?;
        control.first_owner(&starter).await?;
        let mut loaded = control.inner.loaded.lock().await;
        let applied = control.apply(&mut loaded, compiled, &starter).await;
        applied.map_err(|error| match error {
            AdminError::Problems(problems) => StartError::Problems(problems),
            error => StartError::Load(error),
        })?;
        drop(loaded);
        let epochs = control.committer().epochs();
        tokio::spawn(Self::follow(Arc::downgrade(&control.inner), epochs));
        let retainer = AdminName::new(RETAINER).map_err(|error| AdminError::Invalid(error.to_string()))?;
        let stopping = control.inner.stop_signer.subscribe();
        tokio::spawn(Self::keep_short(
            Arc::downgrade(&control.inner),
            retainer,
            away,
            stopping,
        ));
        Ok(control)
    }

    /// Sees to it that the file in the data directory authenticates the first owner: whoever can read it owns this
    /// deployment.
    async fn first_owner(&self, by: &AdminName) -> Result<(), StartError> {
        let make = || {
            make(ADMIN_PREFIX, secret(&self.inner.random))
                .text
                .expose_secret()
                .as_bytes()
                .to_vec()
        };
        let text = Zeroizing::new(self.inner.dir.read_or_create(OWNER_FILE, make)?);
        let text = std::str::from_utf8(&text).ok().map(str::trim);
        let unusable = || StartError::Key(self.inner.dir.path().join(OWNER_FILE));
        let verifier = text
            .and_then(|text| recognise(ADMIN_PREFIX, text))
            .ok_or_else(unusable)?;
        let name = AdminName::new(OWNER).map_err(|error| AdminError::Invalid(error.to_string()))?;
        let view = self
            .committer()
            .view(TenantName::system())
            .await
            .map_err(AdminError::from)?;
        let admin = AdminRecord {
            name: name.clone(),
            role: Role::Owner,
            verifier,
        };
        if view.admins.get(&name) != Some(&admin) {
            let added = Event::AdminAdded { admin, by: by.clone() };
            self.committer()
                .change(TenantName::system(), vec![added])
                .await
                .map_err(AdminError::from)?;
        }
        Ok(())
    }

    /// Reads the key that a tenant's decision point signs with, or makes it.
    pub(crate) fn pdp_key(&self, tenant: &TenantName) -> Result<Arc<PdpKey>, AdminError> {
        let key = PdpKey::load(&self.inner.dir, tenant, || secret(&self.inner.random));
        key.map(Arc::new)
            .map_err(|error| AdminError::Unavailable(error.to_string()))
    }

    pub(crate) fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.inner.snapshot.load()
    }

    pub(crate) fn committer(&self) -> &Handle {
        &self.inner.committer
    }

    pub(crate) fn reader(&self) -> &Reader {
        &self.inner.reader
    }

    pub(crate) fn privacy(&self) -> &Privacy {
        &self.inner.privacy
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.inner.metrics
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// The time that a tenant's credentials expire by: setting the wall clock back revives none that its log has outlived.
    pub(crate) fn now_of(&self, tenant: &TenantName) -> Timestamp {
        let logged = self.committer().time(tenant);
        logged.map_or(self.now(), |logged| logged.max(self.now()))
    }

    pub(crate) fn random_secret(&self) -> Zeroizing<[u8; 32]> {
        secret(&self.inner.random)
    }

    /// A random number that protects nothing: it spreads waits.
    pub(crate) fn jitter(&self) -> u8 {
        let mut byte = [0];
        // Without randomness the waits are not spread, which is no reason to fail.
        let _ = self.inner.random.fill(&mut byte);
        byte[0]
    }

    pub(crate) fn random_name(&self) -> String {
        name_of(&self.inner.random)
    }

    /// How the decision point answers.
    pub fn authzen(&self) -> &AuthzenSettings {
        &self.inner.authzen
    }

    /// Bounds of the data plane.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// A new action's id.
    pub fn new_action(&self) -> ActionId {
        ActionId::new(self.now(), random_bytes())
    }

    /// An upstream in effect.
    pub fn upstream(&self, name: &str) -> Option<Arc<UpstreamSpec>> {
        self.snapshot().upstreams.get(name).cloned()
    }

    /// The upstreams in effect, by name.
    pub fn upstream_names(&self) -> Vec<UpstreamName> {
        let mut names: Vec<_> = self.snapshot().upstreams.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// Counts a request without a valid credential.
    pub fn count_unauthenticated(&self) {
        self.inner.metrics.unauthenticated();
    }

    /// Says in the metrics whether a listener goes on with an older certificate, because its files cannot be used.
    pub fn note_stale_certificate(&self, listener: &'static str, stale: bool) {
        self.inner.metrics.stale_certificate(listener, stale);
    }

    /// The metrics, in Prometheus' text format.
    pub fn render_metrics(&self) -> String {
        let projection = &self.inner.projection;
        let behind = (projection.behind(), projection.lag());
        self.inner
            .metrics
            .render(&self.inner.committer, behind, &self.inner.sinks)
    }

    /// Whether the store can record, as it changes.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.inner.committer.health()
    }

    /// The path of the first owner's credential.
    pub fn owner_file(&self) -> PathBuf {
        self.inner.dir.path().join(OWNER_FILE)
    }

    pub(crate) async fn views(&self) -> Result<Vec<View>, AdminError> {
        let mut views = Vec::new();
        let tenants: std::collections::BTreeSet<_> = self.snapshot().tenants.keys().cloned().collect();
        for tenant in tenants {
            views.push(self.committer().view(tenant).await?);
        }
        Ok(views)
    }

    /// Stops: writes what is left, signs the last heads, closes the store. Calls in flight are to be over by now.
    pub async fn stop(&self, why: &str) {
        self.inner.committer.stop(why).await;
        self.inner.stop_signer.send_replace(true);
        if let Some(mut signing) = self.inner.signer.lock().await.take()
            && tokio::time::timeout(TASK_LEAVES, &mut signing).await.is_err()
        {
            // It waits for a disk that does not answer; so may the committer.
            signing.abort();
        }
        if tokio::time::timeout(TASK_LEAVES, self.inner.projection.stop())
            .await
            .is_err()
        {
            tracing::warn!(
                "the projection for cost reports and searches does not end: it goes on where it was after the next start"
            );
        }
        self.inner.committer.close().await;
        if let Some(mut committing) = self.inner.committing.lock().await.take()
            && tokio::time::timeout(TASK_LEAVES, &mut committing).await.is_err()
        {
            committing.abort();
        }
    }
}

/// Takes up the logs that are there, and those that are declared: their keys, what their guard files remember, and what is
/// published of them. The time of the last entry of all; `None` where there is none.
async fn take_up(
    reader: &Reader,
    signer: &Signer,
    keyring: &Keyring,
    declared: impl Iterator<Item = TenantName>,
) -> Result<Option<Timestamp>, StartError> {
    let mut tenants = reader.tenants().await?;
    tenants.extend(declared);
    let mut last = None;
    for tenant in tenants {
        last = last.max(reader.last_time(&tenant).await?);
        // Of a tenant that is declared while the server runs the signer makes the key.
        let signed = reader.checkpoint(&tenant).await?.is_some();
        keyring.prepare(&tenant, signed, new_seed)?;
        signer.check_guard(reader, &tenant).await?;
        signer.take_up(reader, &tenant).await?;
    }
    Ok(last)
}

/// How much can run at once.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
