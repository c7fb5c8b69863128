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
use tlog::{CompactRange, Hash, Stored, checkpoint::Checkpoint, note::VerifierKey};
use verify::{Found, Read};

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

/// Something that says how long a log was, and the root of its tree then.
#[derive(Clone, Debug)]
struct Mark {
    size: u64,
    root: Hash,
    source: Source,
}

/// What says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The checkpoint in the database.
    Database,
    /// The checkpoint in the guard file.
    Guard,
    /// An entry of the server's own log.
    Heads(u64),
}

impl Mark {
    fn of(checkpoint: Checkpoint, source: Source) -> Self {
        let Checkpoint { size, root, .. } = checkpoint;
        Self { size, root, source }
    }

    fn is_signed(&self) -> bool {
        matches!(self.source, Source::Database | Source::Guard)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database => f.write_str("the checkpoint in the database"),
            Self::Guard => f.write_str("the checkpoint in the guard file"),
            Self::Heads(entry) => write!(f, "entry {entry} of the server's log"),
        }
    }
}

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
    let mut heads = Heads::new();
    // The server's own log comes first: it says how long the others were.
    let system = TenantName::system();
    let first = tenants.take(&system);
    for tenant in first.into_iter().chain(tenants) {
        let marks = heads.remove(&tenant).unwrap_or_default();
        let (fold, trouble) = verify_settled(&reader, guards, &keys, &tenant, marks).await?;
        for (entry, head) in fold.fold.heads() {
            heads.entry(head.tenant.clone()).or_default().push(Mark {
                size: head.size,
                root: Hash(head.root.0),
                source: Source::Heads(*entry),
            });
        }
        reports.push(fold.report(trouble));
    }
    Ok(Report {
        ok: reports.iter().all(|report| report.trouble.is_none()),
        tenants: reports,
    })
}

/// What the server's own log says of others.
type Heads = BTreeMap<TenantName, Vec<Mark>>;

/// How often a log is read again of which entries were let go meanwhile.
const AGAIN: usize = 5;

/// Folds a log, again where a running server let entries go meanwhile: then what was read is of two times.
async fn verify_settled(
    reader: &Reader,
    guards: &Path,
    keys: &BTreeMap<TenantName, Vec<String>>,
    tenant: &TenantName,
    marks: Vec<Mark>,
) -> Result<(Fold, Option<Trouble>), StoreError> {
    let snapshot = async || Ok::<_, StoreError>(reader.snapshot(tenant, u64::MAX).await?.map(|found| found.index));
    let mut before = snapshot().await?;
    for _ in 0..AGAIN {
        let mut fold = Fold::new(tenant.clone(), marks.clone());
        let trouble = verify_tenant(reader, guards, keys, &mut fold).await?;
        let after = snapshot().await?;
        if trouble.is_none() || before == after {
            return Ok((fold, trouble));
        }
        before = after;
    }
    let mut fold = Fold::new(tenant.clone(), marks);
    let trouble = verify_tenant(reader, guards, keys, &mut fold).await?;
    Ok((fold, trouble))
}

/// Folds a log, and says what the first thing is that does not fit.
async fn verify_tenant(
    reader: &Reader,
    guards: &Path,
    keys: &BTreeMap<TenantName, Vec<String>>,
    fold: &mut Fold,
) -> Result<Option<Trouble>, StoreError> {
    let tenant = fold.fold.state().tenant.clone();
    let mut trouble = None;
    let row = reader.checkpoint_row(&tenant).await;
    let (beside, note) = match row {
        Ok(row) => {
            let (size, note) = row.unzip();
            (size, Ok(note))
        }
        Err(error) => (None, Err(error)),
    };
    let guard = GuardFile::new(guards, &tenant).read();
    for (source, note) in [(Source::Database, note), (Source::Guard, guard)] {
        let opened = match note {
            Ok(note) => note.map(|note| open(&note, keys.get(&tenant))).transpose(),
            Err(error) => Err(error.to_string()),
        };
        match opened {
            Ok(None) => {}
            Ok(Some(Checkpoint { size, .. })) if source == Source::Database && beside != Some(size) => {
                trouble = Some(format!(
                    "{source} is over {size} entries, but the size beside it is another"
                ));
            }
            Ok(Some(checkpoint)) => fold.marks.push(Mark::of(checkpoint, source)),
            Err(why) => trouble = Some(format!("{source} is not to be believed: {why}")),
        }
    }
    let broken = fold.take_all(reader).await;
    // Entries come first: what is wrong with them explains the rest.
    let of_marks = |what| Trouble { entry: None, what };
    Ok(broken.or_else(|| fold.unmet().or(trouble).map(of_marks)))
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
    /// Which start of the server wrote the last batch.
    boot: u64,
    marks: Vec<Mark>,
    /// The roots at the sizes that marks speak of.
    roots: BTreeMap<u64, Hash>,
}

impl Fold {
    fn new(tenant: TenantName, marks: Vec<Mark>) -> Self {
        Self {
            fold: verify::Fold::new(tenant),
            range: CompactRange::new(),
            boot: 0,
            marks,
            roots: BTreeMap::new(),
        }
    }

    /// Folds the log to its end, or says what the first thing is that does not fit.
    async fn take_all(&mut self, reader: &Reader) -> Option<Trouble> {
        let tenant = self.fold.state().tenant.clone();
        let batches = reader.batches(&tenant, 0);
        pin_mut!(batches);
        match reader.snapshot(&tenant, u64::MAX).await {
            Ok(snapshot) => snapshot
                .into_iter()
                .for_each(|snapshot| self.fold.set_snapshot(snapshot.bytes)),
            Err(error) => {
                let what = format!("the snapshot cannot be read: {error}");
                return Some(Trouble { entry: None, what });
            }
        }
        let wanted: BTreeSet<u64> = self.marks.iter().map(|mark| mark.size).collect();
        self.note_root(&wanted);
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
                if let Err(trouble) = self.take(&waiting, &wanted) {
                    return Some(trouble);
                }
                (waiting, entries) = (Vec::new(), 0);
            }
            if let Some(error) = broken {
                let size = self.fold.size();
                return Some(Trouble::at(size, format!("entry {size} cannot be read: {error}")));
            }
            if done {
                let end = self.fold.finish();
                return end.err().map(|misfit| Trouble {
                    entry: None,
                    what: misfit.to_string(),
                });
            }
        }
    }

    /// Folds some batches: their entries are read by all processors, and then taken one after the other.
    fn take(&mut self, batches: &[Batch], wanted: &BTreeSet<u64>) -> Result<(), Trouble> {
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
        let all: Vec<Stored<&[u8]>> = divided
            .iter()
            .flat_map(|(_, entries)| entries.iter().copied())
            .collect();
        let mut read = Read::all(&all).into_iter();
        for (batch, entries) in divided {
            let misplaced = batch.check_place(self.fold.size());
            misplaced.map_err(|error| in_batch(batch, self.fold.size(), &error))?;
            for read in read.by_ref().take(entries.len()) {
                let index = self.fold.size();
                let taken = self.fold.take_read(read.entry);
                taken.map_err(|why| in_batch(batch, index, &format_args!("entry {index}: {why}")))?;
                self.range.append(read.leaf);
                self.note_root(wanted);
            }
            let state = self.fold.state();
            if batch.boot < self.boot.max(state.boot) {
                let what = format!(
                    "start {} of the server wrote this, after a later one had written",
                    batch.boot
                );
                return Err(in_batch(batch, batch.first_index, &what));
            }
            self.boot = batch.boot;
            let head = match self.fold.is_passing_over() {
                true => batch.check_tree(&self.range),
                false => batch.check_head(state, &self.range),
            };
            head.map_err(|error| in_batch(batch, self.fold.size().saturating_sub(1), &error))?;
        }
        broken.map_or(Ok(()), Err)
    }

    /// Remembers the root, if something says what it should be here.
    fn note_root(&mut self, wanted: &BTreeSet<u64>) {
        let size = self.fold.size();
        if wanted.contains(&size) {
            self.roots.insert(size, self.range.root());
        }
    }

    /// The first mark that the log does not bear out.
    fn unmet(&self) -> Option<String> {
        let entries = self.fold.size();
        self.marks.iter().find_map(|Mark { size, root, source }| {
            let (had, were) = match source {
                Source::Heads(_) => ("says that it had", "speaks of"),
                Source::Database | Source::Guard => ("was signed over", "was signed over"),
            };
            if *size > entries {
                return Some(format!(
                    "the log ends with {entries} entries, but {source} {had} {size}: entries are missing"
                ));
            }
            let same = self.roots.get(size) == Some(root);
            (!same).then(|| format!("the first {size} entries are not the ones that {source} {were}"))
        })
    }

    fn report(self, trouble: Option<Trouble>) -> TenantReport {
        let signed = || self.marks.iter().filter(|mark| mark.is_signed());
        let guarded = || self.marks.iter().find(|mark| mark.source == Source::Guard);
        TenantReport {
            found: self.fold.found(),
            root: self.range.root().to_string(),
            signed: signed().map(|mark| mark.size).max(),
            guarded: guarded().map(|mark| mark.size),
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

#[cfg(test)]
mod tests {
    use tlog::empty_root;

    use super::*;

    /// What is said of a log without entries by somebody who says how long it was.
    fn check(size: u64, root: Hash, source: Source, says: Option<&str>) {
        let mark = Mark { size, root, source };
        let mut fold = Fold::new(TenantName::default_tenant(), vec![mark]);
        fold.note_root(&BTreeSet::from([size]));
        assert_eq!(fold.unmet().as_deref(), says);
    }

    #[test]
    fn the_servers_own_log_tells_of_logs_that_were_cut_off() {
        let other = Hash([7; 32]);
        check(0, empty_root(), Source::Heads(4), None);
        check(
            3,
            other,
            Source::Heads(4),
            Some(
                "the log ends with 0 entries, but entry 4 of the server's log says that it had 3: entries are missing",
            ),
        );
        check(
            0,
            other,
            Source::Heads(4),
            Some("the first 0 entries are not the ones that entry 4 of the server's log speaks of"),
        );
        check(
            3,
            other,
            Source::Guard,
            Some(
                "the log ends with 0 entries, but the checkpoint in the guard file was signed over 3: entries are missing",
            ),
        );
    }
}
