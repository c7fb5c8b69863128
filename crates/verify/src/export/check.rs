//! The way of an exported log through the verifier: the tree over every byte, and the fold over every entry.

use std::ops::ControlFlow;

use entry::LogHead;
use model::TenantName;
use tlog::{
    bundle::BundleId,
    checkpoint::Checkpoint,
    tile::{FULL, FullTile, Growing, TileId},
};

use super::{
    CHECKPOINT, SNAPSHOT,
    differs::{Differs, altered},
    piece::{Piece, read},
    signers::Signed,
};
use crate::{
    files::{FileError, Files, Kind},
    fold::Fold,
    pipeline,
    report::Trouble,
};

/// What was found on the way.
pub(super) struct Checked {
    /// What the entries say.
    pub(super) fold: Fold,
    /// How many files were compared.
    pub(super) files: u64,
    /// What does not hold.
    pub(super) troubles: Vec<Trouble>,
    /// Which of the earlier checkpoints were signed over this tree, whoever signed them.
    pub(super) met: Vec<usize>,
    /// Whether the entries are those that the checkpoint is over.
    pub(super) signed: bool,
    /// How often the server's own log says how long this one was, and is right.
    pub(super) headed: u64,
}

/// What the server's own log says of this one.
pub(super) struct Head {
    /// The entry that says so.
    pub(super) entry: u64,
    /// How long it was, and its root.
    pub(super) head: LogHead,
}

/// The last part of an origin is the tenant; the entries say the same or are refused.
pub(super) fn tenant_of(checkpoint: &Checkpoint) -> TenantName {
    let name = checkpoint.origin.as_str();
    let tenant = name.rsplit('/').next().unwrap_or(name);
    TenantName::new(tenant).unwrap_or_else(|_| TenantName::default_tenant())
}

/// An empty log, and what it is replayed from where entries are gone.
fn fold(files: &Files, tenant: TenantName) -> Fold {
    let mut fold = Fold::new(tenant);
    if let Ok(snapshot) = files.read(SNAPSHOT, Kind::Snapshot) {
        fold.set_snapshot(snapshot);
    }
    fold
}

/// A log on its way through the verifier.
pub(super) struct Check<'a> {
    files: &'a Files,
    checkpoint: &'a Checkpoint,
    since: &'a [Signed],
    heads: &'a [Head],
    fold: Fold,
    tree: Growing,
    compared: u64,
    /// The first entry that does not follow from those before it.
    misfit: Option<Trouble>,
    /// Entries that cannot be read at all.
    missing: Option<Trouble>,
    /// Hashes in tiles that are not those of the entries.
    hashes: Vec<Differs>,
    /// Whatever else is wrong.
    others: Vec<Trouble>,
    met: Vec<usize>,
    headed: u64,
}

impl<'a> Check<'a> {
    pub(super) fn new(files: &'a Files, checkpoint: &'a Checkpoint, since: &'a [Signed], heads: &'a [Head]) -> Self {
        Self {
            files,
            checkpoint,
            since,
            heads,
            headed: 0,
            fold: fold(files, tenant_of(checkpoint)),
            tree: Growing::new(),
            compared: 0,
            misfit: None,
            missing: None,
            hashes: Vec::new(),
            others: Vec::new(),
            met: Vec::new(),
        }
    }

    /// Looks at everything.
    pub(super) fn run(mut self) -> Checked {
        let size = self.checkpoint.size;
        let (files, bundles) = (self.files, size.div_ceil(u64::from(FULL)));
        self.meet();
        let read = |index| BundleId::in_log(index, size).map(|id| read(files, id));
        pipeline::in_order(bundles, read, |piece| match piece {
            Some(piece) => self.take(piece),
            None => ControlFlow::Break(()),
        });
        if self.tree.size() == size {
            let edge: Vec<_> = self.tree.edge().collect();
            for (id, bytes) in edge {
                self.compare(id, &bytes);
            }
        }
        self.finish()
    }

    fn take(&mut self, piece: Piece) -> ControlFlow<()> {
        self.compared += piece.files;
        self.others.extend(piece.others);
        let mut offset = 0_u64;
        for read in piece.entries {
            let index = self.tree.size();
            let start = offset + 2;
            offset = start + u64::try_from(read.length).unwrap_or(u64::MAX);
            if self.misfit.is_none() {
                let taken = self.fold.take_read(read.entry);
                self.misfit = taken.err().map(|misfit| Trouble {
                    entry: Some(index),
                    file: Some(piece.file.clone()),
                    offset: Some(start),
                    what: misfit.to_string(),
                });
            }
            let mut full = Vec::new();
            self.tree.append(read.leaf, |tile| full.push(tile));
            for FullTile { id, bytes } in full {
                self.compare(id, &bytes);
            }
            self.meet();
            self.head();
        }
        match piece.broken {
            Some(trouble) => {
                self.missing = Some(trouble);
                ControlFlow::Break(())
            }
            None => ControlFlow::Continue(()),
        }
    }

    /// Compares what the entries give with every file of the tile.
    fn compare(&mut self, id: TileId, bytes: &[u8]) {
        let there = self.files.tiles(id);
        if there.first().is_none_or(|widest| widest.width() < id.width()) {
            self.others
                .push(Trouble::in_file(id.to_string(), FileError::Missing.to_string()));
        }
        for file in there {
            self.compared += 1;
            let path = file.to_string();
            let stored = match self.files.read(&path, Kind::Tile) {
                Ok(stored) => stored,
                Err(error) => {
                    self.others.push(Trouble::in_file(path, error.to_string()));
                    continue;
                }
            };
            if stored.len() != file.bytes() {
                let what = format!("a tile of this width has {} bytes, not {}", file.bytes(), stored.len());
                self.others.push(Trouble::in_file(path, what));
                continue;
            }
            let pairs = bytes.as_chunks::<32>().0.iter().zip(stored.as_chunks::<32>().0);
            if let Some(place) = pairs
                .zip(0_u64..)
                .find_map(|((ours, theirs), at)| (ours != theirs).then_some(at))
            {
                self.hashes.push(Differs::at(id, path, place));
            }
        }
    }

    /// Compares the tree so far with the earlier checkpoints over as many entries.
    fn meet(&mut self) {
        let size = self.tree.size();
        for (old, number) in self.since.iter().zip(0..) {
            if old.checkpoint.size != size {
                continue;
            }
            if old.checkpoint.root == self.tree.root() {
                self.met.push(number);
            } else {
                let what = format!(
                    "the first {size} entries are not the ones that the earlier checkpoint was signed over{}",
                    self.explained(size)
                );
                self.others.push(Trouble::in_file(CHECKPOINT, what));
            }
        }
    }

    /// What the log says itself of a checkpoint that it does not go on from.
    fn explained(&self, size: u64) -> String {
        let mut restores = self.fold.restores().iter();
        let restore = restores.find(|restore| restore.lost(size));
        restore
            .map(|restore| format!(" ({})", restore.what()))
            .unwrap_or_default()
    }

    /// Compares the tree so far with what the server's own log says of it.
    fn head(&mut self) {
        let size = self.tree.size();
        for Head { entry, head } in self.heads.iter().filter(|said| said.head.size == size) {
            self.headed += 1;
            if head.root.0 != self.tree.root().0 {
                let what = format!(
                    "the first {size} entries are not the ones that entry {entry} of the server's own log speaks of"
                );
                self.others.push(Trouble::in_file(CHECKPOINT, what));
            }
        }
    }

    fn finish(mut self) -> Checked {
        let Checkpoint { size, root, .. } = *self.checkpoint;
        let whole = self.tree.size() == size;
        let signed = whole && self.tree.root() == root;
        let mut troubles = Vec::new();
        let (misfit, missing) = (self.misfit.take(), self.missing.take());
        if signed {
            // The entries are what was signed, so it is the tiles that are wrong.
            let misfit = misfit.map(|misfit| Trouble {
                what: format!("{} (it was signed so)", misfit.what),
                ..misfit
            });
            troubles.extend(misfit);
            // Behind the last entry there is more, which is none.
            troubles.extend(missing);
            troubles.extend(self.hashes.drain(..).map(Differs::damaged));
        } else {
            troubles.extend(altered(&self.hashes));
            troubles.extend(misfit);
            troubles.extend(missing);
            troubles.sort_by_key(|trouble| trouble.entry.unwrap_or(u64::MAX));
            if whole && troubles.is_empty() {
                let what = format!(
                    "the tree over the {size} entries has the root {}, but the checkpoint was signed over another: these \
                     are not the entries that were signed",
                    self.tree.root()
                );
                troubles.push(Trouble::in_file(CHECKPOINT, what));
            }
        }
        if whole
            && troubles.is_empty()
            && let Err(misfit) = self.fold.finish()
        {
            troubles.push(Trouble::in_file(CHECKPOINT, misfit.to_string()));
        }
        if whole && let Some(owed) = self.fold.owes() {
            let what = format!("an entry of kind {owed} has to follow, and the log ends without it");
            troubles.push(Trouble {
                entry: Some(size),
                ..Trouble::in_file(CHECKPOINT, what)
            });
        }
        for old in self.since {
            let before = old.checkpoint.size;
            if before > size {
                let what = format!(
                    "the checkpoint is over {size} entries, but an earlier one was signed over {before}: entries are missing{}",
                    self.explained(before)
                );
                troubles.push(Trouble::in_file(CHECKPOINT, what));
            }
        }
        if let Some(Head { entry, head }) = self.heads.iter().find(|said| said.head.size > size) {
            let what = format!(
                "the checkpoint is over {size} entries, but entry {entry} of the server's own log says that there were {}: \
                 entries are missing",
                head.size
            );
            troubles.push(Trouble::in_file(CHECKPOINT, what));
        }
        troubles.append(&mut self.others);
        Checked {
            headed: self.headed,
            fold: self.fold,
            files: self.compared,
            troubles,
            met: self.met,
            signed,
        }
    }
}
