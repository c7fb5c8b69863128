//! What a data directory proves by itself, with no server: every log is folded again from its stored bytes, by the library
//! that `bailiwick-verify` checks exported logs with, and its tree is compared with the checkpoints that were signed.
//!
//! It works beside a running server too: checkpoints are read before the entries, so that the log is at least as long as
//! what they say.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
};

use control::{GuardFile, log_keys};
use futures_util::{StreamExt as _, pin_mut};
use model::TenantName;
use serde::Serialize;
use store::{Batch, DataDir, Reader, StoreError};
use tlog::{CompactRange, Hash, checkpoint::Checkpoint, note::VerifierKey};
use verify::{Found, Misfit, Read};

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
    /// What its entries say.
    #[serde(flatten)]
    pub(crate) found: Found,
    /// The root of the tree over them (RFC 6962), in base64 as checkpoints have it.
    pub(crate) root: String,
    /// How many of them the last checkpoint covers, wherever it was found; `None` if there is no checkpoint.
    pub(crate) signed: Option<u64>,
    /// How many of them the checkpoint in the guard file covers; `None` if there is no guard file.
    pub(crate) guarded: Option<u64>,
    /// The first entry that does not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) entry: Option<u64>,
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
    keys: &BTreeMap<TenantName, Vec<String>>,
    tenant: &TenantName,
) -> Result<TenantReport, StoreError> {
    let mut trouble = None;
    let database = reader.checkpoint(tenant).await.map_err(|error| error.to_string());
    let guard = GuardFile::new(guards, tenant).read().map_err(|error| error.to_string());
    let mut signed = Vec::new();
    for (source, note) in [(DATABASE, database), (GUARD, guard)] {
        let opened = note.and_then(|note| note.map(|note| open(&note, keys.get(tenant))).transpose());
        match opened {
            Ok(checkpoint) => signed.extend(checkpoint.map(|checkpoint| Signed { source, checkpoint })),
            Err(why) => trouble = Some(format!("the checkpoint in the {source} is not to be believed: {why}")),
        }
    }
    let mut fold = Fold::new(tenant.clone(), signed);
    let broken = fold.take_all(reader).await;
    // Entries come first: what is wrong with them explains the rest.
    let of_checkpoint = |what| Trouble { entry: None, what };
    let trouble = broken.or_else(|| fold.unmet().or(trouble).map(of_checkpoint));
    Ok(fold.report(trouble))
}

/// While a key is exchanged a log has two, of which one is enough.
fn open(note: &str, keys: Option<&Vec<String>>) -> Result<Checkpoint, String> {
    let keys = keys
        .filter(|keys| !keys.is_empty())
        .ok_or("the key of this log is missing")?;
    let keys = keys.iter().map(|key| key.parse::<VerifierKey>());
    let keys = keys.collect::<Result<Vec<_>, _>>();
    let keys = keys.map_err(|error| format!("the key of this log is damaged: {error}"))?;
    Checkpoint::open(note, &keys).map_err(|error| error.to_string())
}

/// How many entries are read at a time, by all processors.
const AT_ONCE: u64 = 8_192;

/// A log on its way through the verifier.
struct Fold {
    fold: verify::Fold,
    range: CompactRange,
    signed: Vec<Signed>,
    /// The roots at the sizes that checkpoints speak of.
    roots: BTreeMap<u64, Hash>,
}

impl Fold {
    fn new(tenant: TenantName, signed: Vec<Signed>) -> Self {
        Self {
            fold: verify::Fold::new(tenant),
            range: CompactRange::new(),
            signed,
            roots: BTreeMap::new(),
        }
    }

    /// Folds the log to its end, or says what the first thing is that does not fit.
    async fn take_all(&mut self, reader: &Reader) -> Option<Trouble> {
        let tenant = self.fold.state().tenant.clone();
        let batches = reader.batches(&tenant, 0);
        pin_mut!(batches);
        self.note_root();
        let (mut waiting, mut entries) = (Vec::new(), 0);
        loop {
            let next = batches.next().await;
            let (done, broken) = match next {
                Some(Ok(batch)) => {
                    entries += batch.count;
                    waiting.push(batch);
                    (false, None)
                }
                Some(Err(error)) => (true, Some(error)),
                None => (true, None),
            };
            if done || entries >= AT_ONCE {
                if let Err(trouble) = self.take(&waiting) {
                    return Some(trouble);
                }
                (waiting, entries) = (Vec::new(), 0);
            }
            if let Some(error) = broken {
                let size = self.fold.state().size;
                return Some(Trouble::at(size, format!("entry {size} cannot be read: {error}")));
            }
            if done {
                return None;
            }
        }
    }

    /// Folds some batches: their entries are read by all processors, and then taken one after the other.
    fn take(&mut self, batches: &[Batch]) -> Result<(), Trouble> {
        let mut divided = Vec::new();
        let mut broken = None;
        for batch in batches {
            match batch.entries() {
                Ok(entries) => divided.push((batch, entries)),
                Err(error) => {
                    broken = Some(in_batch(batch, batch.first_index, &error));
                    break;
                }
            }
        }
        let bytes: Vec<&[u8]> = divided
            .iter()
            .flat_map(|(_, entries)| entries.iter().copied())
            .collect();
        let mut read = Read::all(&bytes).into_iter();
        for (batch, entries) in divided {
            let misplaced = batch.check_place(self.fold.state().size);
            misplaced.map_err(|error| in_batch(batch, self.fold.state().size, &error))?;
            for read in read.by_ref().take(entries.len()) {
                let index = self.fold.state().size;
                let taken = read
                    .entry
                    .map_err(Misfit::from)
                    .and_then(|entry| self.fold.take(&entry));
                taken.map_err(|why| in_batch(batch, index, &format_args!("entry {index}: {why}")))?;
                self.range.append(read.leaf);
            }
            let state = self.fold.state();
            let head = batch.check_head(state, &self.range);
            head.map_err(|error| in_batch(batch, state.size.saturating_sub(1), &error))?;
            self.note_root();
        }
        broken.map_or(Ok(()), Err)
    }

    fn note_root(&mut self) {
        let size = self.fold.state().size;
        if self.signed.iter().any(|signed| signed.checkpoint.size == size) {
            self.roots.insert(size, self.range.root());
        }
    }

    /// The first checkpoint that the log does not bear out.
    fn unmet(&self) -> Option<String> {
        self.signed.iter().find_map(|Signed { source, checkpoint }| {
            let size = checkpoint.size;
            let entries = self.fold.state().size;
            if size > entries {
                return Some(format!(
                    "the log ends with {entries} entries, but the checkpoint in the {source} was signed over {size}: entries \
                     are missing"
                ));
            }
            let same = self.roots.get(&size) == Some(&checkpoint.root);
            (!same).then(|| {
                format!("the first {size} entries are not the ones that the checkpoint in the {source} was signed over")
            })
        })
    }

    fn report(self, trouble: Option<Trouble>) -> TenantReport {
        let covered = |signed: &Signed| signed.checkpoint.size;
        TenantReport {
            found: self.fold.found(),
            root: self.range.root().to_string(),
            signed: self.signed.iter().map(covered).max(),
            guarded: self.signed.iter().find(|signed| signed.source == GUARD).map(covered),
            entry: trouble.as_ref().and_then(|trouble| trouble.entry),
            trouble: trouble.map(|trouble| trouble.what),
        }
    }
}

/// Something that does not fit, in a batch.
fn in_batch(batch: &Batch, entry: u64, what: &dyn fmt::Display) -> Trouble {
    let last = batch.first_index.saturating_add(batch.count).saturating_sub(1);
    let first = batch.first_index;
    Trouble::at(
        entry,
        format!("{what} (stored in one batch: entries {first} to {last})"),
    )
}

/// Something that does not fit, and the entry that it is found at.
struct Trouble {
    entry: Option<u64>,
    what: String,
}

impl Trouble {
    fn at(entry: u64, what: String) -> Self {
        Self {
            entry: Some(entry),
            what,
        }
    }
}
