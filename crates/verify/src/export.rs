//! A whole exported log: every byte of every file against the signed checkpoint, and every entry against the ones before.

use std::{
    io,
    ops::{ControlFlow, Range},
    path::Path,
};

use model::TenantName;
use serde::Serialize;
use tlog::{
    bundle::BundleId,
    checkpoint::Checkpoint,
    cosignature::Quorum,
    note::VerifierKey,
    tile::{FULL, FullTile, Growing, TileId},
};

use crate::{
    checkpoints::{self, Witnessed},
    files::{FileError, Files},
    fold::{Fold, Found},
    pipeline,
    read::Read,
    report::{NotProven, Trouble, about_entries},
};

/// The longest list of what is wrong: the first few say what happened.
const MOST_TROUBLES: usize = 20;

/// The file of the signed checkpoint.
const CHECKPOINT: &str = "checkpoint";

/// What is known of an exported log before it is looked at.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The log's keys.
    pub keys: Vec<VerifierKey>,
    /// How many of which witnesses must have cosigned its checkpoint, if any.
    pub quorum: Option<Quorum>,
    /// Texts of earlier checkpoints of the log: it must go on from each.
    pub since: Vec<String>,
}

/// What was found in an exported log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LogReport {
    /// Whether everything fits together.
    pub ok: bool,
    /// The log's name, as its checkpoint has it.
    pub origin: String,
    /// How many entries the checkpoint is over.
    pub size: u64,
    /// The root that was signed, in base64.
    pub root: String,
    /// The witnesses that cosigned the checkpoint, where a quorum was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub witnesses: Vec<Witnessed>,
    /// The sizes of the earlier checkpoints that the log goes on from.
    pub goes_on_from: Vec<u64>,
    /// What the entries say.
    pub found: Found,
    /// How many files were compared, byte by byte.
    pub files: u64,
    /// What does not hold, the first first; not more than a few.
    pub troubles: Vec<Trouble>,
    /// What all this says nothing about.
    pub not_proven: Vec<NotProven>,
}

/// Verifies the log in a directory.
///
/// # Errors
/// The directory cannot be listed.
pub fn verify_log(dir: &Path, trust: &Trust) -> io::Result<LogReport> {
    let files = Files::list(dir)?;
    let mut report = LogReport::default();
    match open(&files, trust) {
        Ok((checkpoint, witnesses)) => {
            report.witnesses = witnesses;
            Check::new(&files, checkpoint, trust).run(&mut report);
        }
        Err(trouble) => report.troubles.push(trouble),
    }
    report.troubles.truncate(MOST_TROUBLES);
    report.ok = report.troubles.is_empty();
    Ok(report)
}

fn open(files: &Files, trust: &Trust) -> Result<(Checkpoint, Vec<Witnessed>), Trouble> {
    let wrong = |what: String| Trouble::in_file(CHECKPOINT, what);
    let text = files.read(CHECKPOINT).map_err(|error| wrong(error.to_string()))?;
    let text = String::from_utf8(text).map_err(|_| wrong("a checkpoint is a text".to_owned()))?;
    let opened = checkpoints::open(&text, &trust.keys, trust.quorum.as_ref());
    opened.map_err(|error| wrong(format!("the checkpoint is not to be believed: {error}")))
}

/// A bundle that was read by a thread of its own.
#[derive(Default)]
struct Piece {
    /// The file it was read from.
    file: String,
    entries: Vec<Read>,
    /// Why there are not all of its entries.
    broken: Option<Trouble>,
    /// What is wrong with the files of its beginning.
    others: Vec<Trouble>,
    files: u64,
}

struct Check<'a> {
    files: &'a Files,
    checkpoint: Checkpoint,
    quorum: Option<&'a Quorum>,
    since: Vec<Checkpoint>,
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
    met: Vec<u64>,
}

impl<'a> Check<'a> {
    fn new(files: &'a Files, checkpoint: Checkpoint, trust: &'a Trust) -> Self {
        let mut others = Vec::new();
        let mut since = Vec::new();
        for (text, number) in trust.since.iter().zip(1..) {
            match Checkpoint::open(text, &trust.keys) {
                Ok(old) if old.origin != checkpoint.origin => {
                    let what = format!("earlier checkpoint {number} is of another log, {}", old.origin);
                    others.push(Trouble::in_file(CHECKPOINT, what));
                }
                Ok(old) => since.push(old),
                Err(error) => {
                    let what = format!("earlier checkpoint {number} is not to be believed: {error}");
                    others.push(Trouble::in_file(CHECKPOINT, what));
                }
            }
        }
        // The last part of an origin is the tenant; the entries say the same or are refused.
        let name = checkpoint.origin.as_str();
        let tenant = name.rsplit('/').next().unwrap_or(name);
        let tenant = TenantName::new(tenant).unwrap_or_else(|_| TenantName::default_tenant());
        Self {
            files,
            checkpoint,
            quorum: trust.quorum.as_ref(),
            since,
            fold: Fold::new(tenant),
            tree: Growing::new(),
            compared: 0,
            misfit: None,
            missing: None,
            hashes: Vec::new(),
            others,
            met: Vec::new(),
        }
    }

    fn run(mut self, report: &mut LogReport) {
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
        self.report(report);
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
                let taken = read.entry.map_err(Into::into).and_then(|entry| self.fold.take(&entry));
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
            let stored = match self.files.read(&path) {
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
        for old in &self.since {
            if old.size != size {
                continue;
            }
            if old.root == self.tree.root() {
                self.met.push(size);
            } else {
                let what =
                    format!("the first {size} entries are not the ones that the earlier checkpoint was signed over");
                self.others.push(Trouble::in_file(CHECKPOINT, what));
            }
        }
    }

    fn report(mut self, report: &mut LogReport) {
        let Checkpoint { origin, size, root } = &self.checkpoint;
        let (size, root) = (*size, *root);
        report.origin = origin.to_string();
        report.size = size;
        report.root = root.to_string();
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
        if whole && let Some(owed) = self.fold.owes() {
            let what = format!("an entry of kind {owed} has to follow, and the log ends without it");
            troubles.push(Trouble {
                entry: Some(size),
                ..Trouble::in_file(CHECKPOINT, what)
            });
        }
        for old in &self.since {
            if old.size > size {
                let what = format!(
                    "the checkpoint is over {size} entries, but an earlier one was signed over {}: entries are missing",
                    old.size
                );
                troubles.push(Trouble::in_file(CHECKPOINT, what));
            }
        }
        troubles.append(&mut self.others);
        report.troubles = troubles;
        report.found = self.fold.found();
        report.files = self.compared + 1;
        report.not_proven = not_proven(self.files, size, &report.found, self.quorum);
        report.goes_on_from = self.met;
    }
}

fn not_proven(files: &Files, size: u64, found: &Found, quorum: Option<&Quorum>) -> Vec<NotProven> {
    let mut open = vec![
        NotProven::keys(),
        NotProven::new(
            "newest",
            "that this is all of the log: entries may have come after this checkpoint. Compare with a later one, if you know \
             of any (--since)",
        ),
        NotProven::witnesses(quorum),
    ];
    open.extend(about_entries(found));
    let beyond = files.beyond(size);
    if beyond > 0 {
        let what = format!("what is in {beyond} files that lie behind the entries of the checkpoint");
        open.push(NotProven::new("beyond", what));
    }
    if let Some(first) = files.strange.first() {
        let what = format!(
            "what is in {} files that no log has, such as {first}",
            files.strange.len()
        );
        open.push(NotProven::new("strange_files", what));
    }
    open
}

/// A hash in a tile that is not the one that the entries give.
struct Differs {
    /// The level of the tile.
    level: u8,
    /// The entries that the hash is over.
    entries: Range<u64>,
    trouble: Trouble,
}

impl Differs {
    fn at(id: TileId, path: String, place: u64) -> Self {
        let first = id.index().saturating_mul(FULL.into()).saturating_add(place);
        let span = u64::from(FULL).saturating_pow(id.level().into());
        let first = first.saturating_mul(span);
        let entries = first..first.saturating_add(span);
        let what = match id.level() {
            0 => "the hash of the entry is not the one in the tile".to_owned(),
            _ => format!(
                "the hash over the entries {first} to {} is not the one in the tile",
                entries.end.saturating_sub(1)
            ),
        };
        let trouble = Trouble {
            entry: Some(first),
            file: Some(path),
            offset: Some(place * 32),
            what,
        };
        Self {
            level: id.level(),
            entries,
            trouble,
        }
    }

    /// What to say where the entries are those that were signed.
    fn damaged(self) -> Trouble {
        Trouble {
            entry: None,
            what: format!(
                "{}; the entries are those that were signed, so it is the tile that was changed",
                self.trouble.what
            ),
            ..self.trouble
        }
    }
}

/// What to say where the entries are not those that were signed. A hash over several says nothing new where that of one of
/// them differs already.
fn altered(hashes: &[Differs]) -> impl Iterator<Item = Trouble> {
    let one_of = |all: &Differs| {
        hashes
            .iter()
            .any(|one| one.level == 0 && all.entries.contains(&one.entries.start))
    };
    let told = hashes
        .iter()
        .filter(move |differs| differs.level == 0 || !one_of(differs));
    told.map(|differs| differs.trouble.clone())
}

/// Reads one bundle, and every file that has the beginning of it.
fn read(files: &Files, id: BundleId) -> Piece {
    let mut piece = Piece::default();
    let mut there = files.bundles(id).into_iter();
    let Some(main) = there.next() else {
        return piece.broken(id, id.to_string(), 0, FileError::Missing.to_string());
    };
    piece.file = main.to_string();
    let bytes = match files.read(&piece.file) {
        Ok(bytes) => bytes,
        Err(error) => return piece.broken(id, main.to_string(), 0, error.to_string()),
    };
    piece.files += 1;
    let mut rest = bytes.as_slice();
    let mut ends = vec![0];
    while let Some((entry, behind)) = next(rest) {
        // What stands behind this log's entries is of a later checkpoint.
        if piece.entries.len() < usize::from(id.width()) {
            piece.entries.push(Read::of(entry));
        }
        rest = behind;
        ends.push(bytes.len() - rest.len());
    }
    for file in there {
        piece.files += 1;
        piece.others.extend(other_file(files, main, &bytes, file, &ends));
    }
    let found = ends.len() - 1;
    let offset = bytes.len() - rest.len();
    if !rest.is_empty() {
        let what = format!("the bytes do not divide into entries: after {found} there is no whole one");
        return piece.broken(id, main.to_string(), offset, what);
    }
    if found != usize::from(main.width()) {
        let what = format!("{found} entries are in the file, and its name says {}", main.width());
        return piece.broken(id, main.to_string(), offset, what);
    }
    piece
}

/// The first entry in bytes, and what is behind it.
fn next(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// Compares a file that has the beginning of the bundle, or goes on from it, with the bundle.
fn other_file(files: &Files, main: BundleId, bytes: &[u8], file: BundleId, ends: &[usize]) -> Option<Trouble> {
    let path = file.to_string();
    let stored = match files.read(&path) {
        Ok(stored) => stored,
        Err(error) => return Some(Trouble::in_file(path, error.to_string())),
    };
    let fits = if file.width() < main.width() {
        let end = ends.get(usize::from(file.width())).copied();
        end.and_then(|end| bytes.get(..end)) == Some(stored.as_slice())
    } else {
        stored.starts_with(bytes)
    };
    let what = format!("it does not have the same entries as {main}");
    (!fits).then(|| Trouble::in_file(path, what))
}

impl Piece {
    fn broken(mut self, id: BundleId, file: String, offset: usize, what: String) -> Self {
        let read = u64::try_from(self.entries.len()).unwrap_or(u64::MAX);
        self.broken = Some(Trouble {
            entry: id.first().map(|first| first.saturating_add(read)),
            file: Some(file),
            offset: u64::try_from(offset).ok(),
            what,
        });
        self
    }
}
