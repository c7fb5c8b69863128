//! What a data directory proves by itself, with no server: every log is folded again from its stored bytes, and its tree
//! is compared with the checkpoints that were signed.
//!
//! It works beside a running server too: checkpoints are read before the entries, so that the log is at least as long as
//! what they say.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use control::{GuardFile, log_keys, rfc3339};
use entry::{Entry, Event, State};
use futures_util::{StreamExt as _, pin_mut};
use model::{TenantName, Timestamp};
use serde::Serialize;
use store::{DataDir, Reader, StoreError};
use tlog::{CompactRange, Hash, checkpoint::Checkpoint, note::VerifierKey};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    /// Whether everything fits together.
    pub(crate) ok: bool,
    /// Each tenant's log.
    pub(crate) tenants: Vec<TenantReport>,
}

/// What was found about one tenant's log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct TenantReport {
    /// Whose log.
    pub(crate) tenant: String,
    /// How many entries fit: all of them, unless `trouble` says otherwise.
    pub(crate) entries: u64,
    /// The root of the tree over them (RFC 6962), in base64 as checkpoints have it.
    pub(crate) root: String,
    /// The time of the last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<String>,
    /// How many of them the last checkpoint covers, wherever it was found; `None` if there is no checkpoint.
    pub(crate) signed: Option<u64>,
    /// How many of them the checkpoint in the guard file covers; `None` if there is no guard file.
    pub(crate) guarded: Option<u64>,
    /// How many actions were refused.
    pub(crate) denials: u64,
    /// How many holds ended.
    pub(crate) holds_ended: u64,
    /// How many holds have not.
    pub(crate) holds_open: u64,
    /// Everything booked, in US dollars.
    pub(crate) spent_usd: String,
    /// What of it was booked past its hold.
    pub(crate) overrun_usd: String,
    /// The first thing that does not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<String>,
}

/// Why nothing could be found out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerifyError {
    /// There is no database.
    #[error("there is no database in {}: name a server's data directory with --data DIR", .0.display())]
    NoDatabase(PathBuf),
    /// The keys cannot be read.
    #[error("the public keys in {} cannot be read: {source}", .dir.display())]
    Keys {
        /// Where they should be.
        dir: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// There is no such log.
    #[error("there is no log of a tenant {0:?}")]
    Tenant(String),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A checkpoint that was signed, and where it was found.
struct Signed {
    source: &'static str,
    checkpoint: Checkpoint,
}

const DATABASE: &str = "database";
const GUARD: &str = "guard file";

/// Verifies the logs of a data directory, or that of one tenant.
pub(crate) async fn verify(data: &Path, guards: &Path, only: Option<&TenantName>) -> Result<Report, VerifyError> {
    if !DataDir::database(data).is_file() {
        return Err(VerifyError::NoDatabase(data.to_owned()));
    }
    let keys = log_keys(data).map_err(|source| VerifyError::Keys {
        dir: data.join("keys"),
        source,
    })?;
    let reader = Reader::open(data).await?;
    // A log that vanished still has its key.
    let mut tenants: BTreeSet<TenantName> = keys.keys().cloned().collect();
    tenants.extend(reader.tenants().await?);
    if let Some(only) = only {
        if !tenants.contains(only) {
            return Err(VerifyError::Tenant(only.to_string()));
        }
        tenants = BTreeSet::from([only.clone()]);
    }
    let mut reports = Vec::new();
    for tenant in tenants {
        reports.push(verify_tenant(&reader, guards, &keys, &tenant).await?);
    }
    Ok(Report {
        ok: reports.iter().all(|report| report.trouble.is_none()),
        tenants: reports,
    })
}

async fn verify_tenant(
    reader: &Reader,
    guards: &Path,
    keys: &BTreeMap<TenantName, String>,
    tenant: &TenantName,
) -> Result<TenantReport, StoreError> {
    let mut trouble = None;
    let database = reader.checkpoint(tenant).await?;
    let guard = GuardFile::new(guards, tenant).read()?;
    let mut signed = Vec::new();
    for (source, note) in [(DATABASE, database), (GUARD, guard)] {
        match note.map(|note| open(&note, keys.get(tenant))).transpose() {
            Ok(checkpoint) => signed.extend(checkpoint.map(|checkpoint| Signed { source, checkpoint })),
            Err(why) => trouble = Some(format!("the checkpoint in the {source} is not to be believed: {why}")),
        }
    }
    let mut fold = Fold::new(tenant.clone(), signed);
    let broken = fold.take_all(reader).await;
    // Entries come first: what is wrong with them explains the rest.
    let trouble = broken.or_else(|| fold.unmet()).or(trouble);
    Ok(fold.report(trouble))
}

fn open(note: &str, key: Option<&String>) -> Result<Checkpoint, String> {
    let key = key.ok_or("the key of this log is missing")?;
    let key: VerifierKey = key
        .parse()
        .map_err(|error| format!("the key of this log is damaged: {error}"))?;
    Checkpoint::open(note, &[key]).map_err(|error| error.to_string())
}

/// A log on its way through the verifier.
struct Fold {
    state: State,
    range: CompactRange,
    signed: Vec<Signed>,
    /// The roots at the sizes that checkpoints speak of.
    roots: BTreeMap<u64, Hash>,
    denials: u64,
    ended: u64,
}

impl Fold {
    fn new(tenant: TenantName, signed: Vec<Signed>) -> Self {
        Self {
            state: State::new(tenant),
            range: CompactRange::new(),
            signed,
            roots: BTreeMap::new(),
            denials: 0,
            ended: 0,
        }
    }

    /// Folds the log to its end, or says what the first thing is that does not fit.
    async fn take_all(&mut self, reader: &Reader) -> Option<String> {
        let batches = reader.batches(&self.state.tenant, 0);
        pin_mut!(batches);
        self.note_root();
        while let Some(batch) = batches.next().await {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => return Some(format!("entry {} cannot be read: {error}", self.state.size)),
            };
            let (mut denials, mut ended) = (0, 0);
            let each = |entry: &Entry, _: &[u8]| match entry.event {
                Event::Denial(_) => denials += 1,
                Event::Outcome(_) => ended += 1,
                _ => {}
            };
            if let Err(error) = batch.fold(&mut self.state, &mut self.range, each) {
                let last = batch.first_index.saturating_add(batch.count).saturating_sub(1);
                return Some(format!(
                    "{error} (stored in one batch: entries {} to {last})",
                    batch.first_index
                ));
            }
            self.denials += denials;
            self.ended += ended;
            self.note_root();
        }
        None
    }

    fn note_root(&mut self) {
        let size = self.state.size;
        if self.signed.iter().any(|signed| signed.checkpoint.size == size) {
            self.roots.insert(size, self.range.root());
        }
    }

    /// The first checkpoint that the log does not bear out.
    fn unmet(&self) -> Option<String> {
        self.signed.iter().find_map(|Signed { source, checkpoint }| {
            let size = checkpoint.size;
            if size > self.state.size {
                return Some(format!(
                    "the log ends with {} entries, but the checkpoint in the {source} was signed over {size}: entries are \
                     missing",
                    self.state.size
                ));
            }
            let same = self.roots.get(&size) == Some(&checkpoint.root);
            (!same).then(|| {
                format!("the first {size} entries are not the ones that the checkpoint in the {source} was signed over")
            })
        })
    }

    fn report(self, trouble: Option<String>) -> TenantReport {
        let state = self.state;
        let covered = |signed: &Signed| signed.checkpoint.size;
        let time = (state.time != Timestamp::default()).then(|| rfc3339(state.time));
        TenantReport {
            tenant: state.tenant.to_string(),
            entries: state.size,
            root: self.range.root().to_string(),
            last: time,
            signed: self.signed.iter().map(covered).max(),
            guarded: self.signed.iter().find(|signed| signed.source == GUARD).map(covered),
            denials: self.denials,
            holds_ended: self.ended,
            holds_open: u64::try_from(state.open.len()).unwrap_or(u64::MAX),
            spent_usd: state.spent.to_string(),
            overrun_usd: state.overrun.to_string(),
            trouble,
        }
    }
}
