//! A log as plain files (<https://c2sp.org/tlog-tiles>): what a web server gives out as it is, and what a verifier reads
//! without one.
//!
//! Made from the stored entries, and the root that is found is compared with the signed one before the checkpoint is
//! written, last. An earlier export of the same log is gone on from: its edge tiles are the tree so far.

use std::path::Path;

use futures_util::{StreamExt as _, pin_mut};
use model::TenantName;
use serde::Serialize;
use store::Batch;
use tlog::{
    Hash, Stored,
    bundle::{self, BundleId},
    checkpoint::Checkpoint,
    kept,
    note::{Note, VerifierKey},
    tile::{FULL, Growing},
};

use super::{Published, PublishedError, Signed, corrupt, files::Files};

const CHECKPOINT: &str = "checkpoint";
const KEY: &str = "vkey";
const HANDOVER: &str = "handover";
/// The state that the log is replayed from where entries are gone.
const SNAPSHOT: &str = "snapshot";
/// Below this, bundles are without the entries that were let go.
const KEPT: &str = "kept";

/// What was written of one log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Exported {
    /// Whose log.
    pub(crate) tenant: String,
    /// Where it is now.
    pub(crate) directory: String,
    /// How many entries it has there.
    pub(crate) size: u64,
    /// The root over them, in base64 as the checkpoint has it.
    pub(crate) root: String,
    /// How many of them were there before.
    pub(crate) had: u64,
    /// How many files were written.
    pub(crate) files: u64,
}

/// Writes a tenant's log below `directory`. `progress` hears how many entries are done of how many.
pub(crate) async fn export(
    published: &Published,
    tenant: &TenantName,
    directory: &Path,
    mut progress: impl FnMut(u64, u64),
) -> Result<Exported, PublishedError> {
    let signed = published.signed(tenant).await?;
    let mut files = Files::new(directory.join(tenant.as_str()));
    let had = earlier(&files, tenant, &signed)?;
    let keys: String = signed.keys.iter().map(|key| format!("{key}\n")).collect();
    let Checkpoint { size, root, .. } = signed.checkpoint;
    if had < size {
        let mut writer = Writer::resume(&files, tenant, had)?;
        // The key first: an export that was cut short says already whose log it is.
        files.write(KEY, keys.as_bytes())?;
        let batches = published.reader.batches(tenant, writer.first());
        pin_mut!(batches);
        while writer.next < size {
            let Some(batch) = batches.next().await.transpose()? else {
                break;
            };
            writer.take(&batch, size, &mut files)?;
            progress(writer.next, size);
        }
        writer.end(&mut files)?;
        let found = writer.growing;
        if (found.size(), found.root()) != (size, root) {
            let tenant = tenant.clone();
            return Err(PublishedError::Changed { tenant, size });
        }
        files.settle()?;
    }
    write_snapshot(published, tenant, size, &mut files).await?;
    // For whoever knows a key that signed before: how to go on to those that sign now.
    for (id, note) in &signed.handovers {
        let name = format!("{HANDOVER}/{id}");
        let handover = Note::parse(note)
            .ok()
            .and_then(|note| Checkpoint::parse(note.body()).ok());
        let covered = handover.is_some_and(|handover| handover.size <= size);
        if covered && files.read(&name)?.is_none() {
            files.write(&name, note.as_bytes())?;
        }
    }
    if files.read(KEY)?.as_deref() != Some(keys.as_bytes()) {
        files.write(KEY, keys.as_bytes())?;
        files.settle()?;
    }
    // Its signatures may have changed even where the log has not.
    let note = signed.note.to_string();
    if files.read(CHECKPOINT)?.as_deref() != Some(note.as_bytes()) {
        files.write(CHECKPOINT, note.as_bytes())?;
        files.settle()?;
    }
    Ok(Exported {
        tenant: tenant.to_string(),
        directory: files.root().display().to_string(),
        size,
        root: root.to_string(),
        had,
        files: files.written(),
    })
}

/// Writes what the log is replayed from where entries are gone. What was let go while it was read is said by entries that
/// this checkpoint is not over: then the older snapshot is gone, too.
async fn write_snapshot(
    published: &Published,
    tenant: &TenantName,
    size: u64,
    files: &mut Files,
) -> Result<(), PublishedError> {
    let last = published.reader.snapshot(tenant, u64::MAX).await?;
    let Some(snapshot) = published.reader.snapshot(tenant, size).await? else {
        return match last {
            Some(_) => Err(PublishedError::LetGo(tenant.clone())),
            None => Ok(()),
        };
    };
    if files.read(SNAPSHOT)?.as_ref() != Some(&snapshot.bytes) {
        files.write(SNAPSHOT, &snapshot.bytes)?;
        files.settle()?;
    }
    Ok(())
}

/// How many entries are there from an earlier export of the same log; 0 if there is none.
fn earlier(files: &Files, tenant: &TenantName, signed: &Signed) -> Result<u64, PublishedError> {
    let refuse = |name: &str, why: String| PublishedError::Directory {
        path: files.root().join(name),
        why,
    };
    let another = "is of another log: name another directory with --tiles";
    let mut known = signed.keys.clone();
    if let Some(before) = files.read(KEY)? {
        let before = String::from_utf8_lossy(&before).into_owned();
        let before = before.lines().map(|line| line.trim().parse::<VerifierKey>());
        let before = before.collect::<Result<Vec<_>, _>>().unwrap_or_default();
        // The keys may have been exchanged meanwhile: then a checkpoint leads from those to these.
        let led = |note: &String| Checkpoint::open(note, &before).is_ok();
        let same = before.iter().any(|key| signed.keys.contains(key)) || signed.handovers.values().any(led);
        if !same {
            return Err(refuse(KEY, another.to_owned()));
        }
        known.extend(before);
    }
    let Some(note) = files.read(CHECKPOINT)? else {
        return Ok(0);
    };
    let note = String::from_utf8_lossy(&note);
    let old = Checkpoint::open(&note, &known);
    let old = old.map_err(|error| refuse(CHECKPOINT, format!("{another} ({error})")))?;
    let new = &signed.checkpoint;
    if old.size > new.size {
        let (old, new) = (old.size, new.size);
        return Err(refuse(
            CHECKPOINT,
            format!(
                "was signed over {old} entries, and the log of tenant {tenant} ends with {new}: the database is older than \
                 the export. Keep both: an older copy may have been put in its place"
            ),
        ));
    }
    if old.size == new.size && old.root != new.root {
        return Err(refuse(
            CHECKPOINT,
            "and the checkpoint in the database have one size and two roots: the log was signed twice. Keep both: this is \
             evidence"
                .to_owned(),
        ));
    }
    let growing = edge(files, old.size)?;
    if growing.is_none_or(|growing| growing.root() != old.root) {
        return Err(refuse(
            "tile",
            "does not have the tiles of its checkpoint any more: export into an empty directory".to_owned(),
        ));
    }
    Ok(old.size)
}

/// The tree that was exported; `None` if the files are not those of a tree.
fn edge(files: &Files, size: u64) -> Result<Option<Growing>, PublishedError> {
    let mut tiles = Vec::new();
    for tile in Growing::edge_of(size) {
        tiles.push(files.read(&tile.to_string())?.unwrap_or_default());
    }
    Ok(Growing::resume(size, tiles).ok())
}

/// Turns batches into files.
struct Writer {
    tenant: TenantName,
    growing: Growing,
    /// The index of the next entry.
    next: u64,
    /// The entries of the bundle that is being filled.
    bundle: Vec<Stored<Vec<u8>>>,
    /// The hashes of those of them that were there before.
    begun: Vec<u8>,
}

impl Writer {
    /// Goes on from an export of `size` entries.
    fn resume(files: &Files, tenant: &TenantName, size: u64) -> Result<Self, PublishedError> {
        let growing = edge(files, size)?.unwrap_or_default();
        let begun = growing.edge().find(|(tile, _)| tile.level() == 0);
        let begun = begun.map(|(_, bytes)| bytes).unwrap_or_default();
        Ok(Self {
            tenant: tenant.clone(),
            next: growing.size() - growing.size() % u64::from(FULL),
            begun,
            growing,
            bundle: Vec::new(),
        })
    }

    /// The first entry that is needed: a bundle that had been begun is read again from its first entry.
    fn first(&self) -> u64 {
        self.next
    }

    fn take(&mut self, batch: &Batch, size: u64, files: &mut Files) -> Result<(), PublishedError> {
        let entries = batch.entries().map_err(|error| corrupt(&self.tenant, error))?;
        for (index, entry) in (batch.first_index..).zip(entries) {
            if index < self.next || index >= size {
                continue;
            }
            if index > self.next {
                let expected = self.next;
                return Err(corrupt(&self.tenant, store::BatchError::Gap { expected, found: index }));
            }
            self.push(index, &entry, files)?;
        }
        Ok(())
    }

    fn push(&mut self, index: u64, entry: &Stored<&[u8]>, files: &mut Files) -> Result<(), PublishedError> {
        self.bundle.push(entry.to_owned());
        self.next = index + 1;
        let leaf: Hash = entry.leaf();
        if index < self.growing.size() {
            // It was exported before, and must be the same.
            let (known, rest) = self.begun.split_at_checked(32).unwrap_or_default();
            if known != leaf.0 {
                let (tenant, size) = (self.tenant.clone(), self.growing.size());
                return Err(PublishedError::Changed { tenant, size });
            }
            self.begun = rest.to_vec();
        } else {
            let mut full = Vec::new();
            self.growing.append(leaf, |tile| full.push(tile));
            for tile in full {
                files.write(&tile.id.to_string(), &tile.bytes)?;
            }
        }
        if self.next.is_multiple_of(u64::from(FULL)) {
            self.bundle(files)?;
        }
        Ok(())
    }

    /// Writes what has been gathered of a bundle.
    fn bundle(&mut self, files: &mut Files) -> Result<(), PublishedError> {
        let last = self.next.saturating_sub(1) / u64::from(FULL);
        let entries = std::mem::take(&mut self.bundle);
        let Some(id) = BundleId::in_log(last, self.next).filter(|_| !entries.is_empty()) else {
            return Ok(());
        };
        let unreadable = |_| corrupt(&self.tenant, store::BatchError::Framing(self.next.saturating_sub(1)));
        let mut bytes = Vec::new();
        if entries.iter().all(|entry| entry.bytes().is_some()) {
            let mut whole = entries.iter().filter_map(Stored::bytes);
            whole
                .try_for_each(|entry| bundle::push(&mut bytes, entry))
                .map_err(unreadable)?;
            return files.write(&id.to_string(), &bytes);
        }
        let mut all = entries.iter();
        all.try_for_each(|entry| kept::push(&mut bytes, entry))
            .map_err(unreadable)?;
        files.write(&format!("{KEPT}/{id}"), &bytes)
    }

    /// Writes the unfinished tiles and the unfinished bundle.
    fn end(&mut self, files: &mut Files) -> Result<(), PublishedError> {
        self.bundle(files)?;
        for (tile, bytes) in self.growing.edge() {
            files.write(&tile.to_string(), &bytes)?;
        }
        Ok(())
    }
}
