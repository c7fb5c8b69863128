//! The files of an exported log.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use entry::snapshot::MAX_SNAPSHOT_BYTES;
use tlog::{
    bundle::{BundleId, Resource},
    tile::TileId,
};

/// The directory of an exported log, and which files are in it.
#[derive(Debug)]
pub(crate) struct Files {
    dir: PathBuf,
    /// The widths in which each tile is there, by level and index; all but one are of earlier checkpoints.
    tiles: BTreeMap<(u8, u64), Vec<u16>>,
    bundles: BTreeMap<u64, Vec<u16>>,
    /// The widths of bundles that are there without some of their entries, which were let go.
    kept: BTreeMap<u64, Vec<u16>>,
    /// Files below `tile/` that no log has.
    pub(crate) strange: Vec<String>,
}

/// Below which bundles are without the entries that were let go.
pub(crate) const KEPT: &str = "kept/";

/// Where the checkpoints are that lead from one key to the next.
const HANDOVERS: &str = "handover";
/// How many of them are read: a log has one for each exchange of its key.
const HANDOVERS_MAX: usize = 100;

/// What a file of a log is, and so how long it can be: the directory is somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A signed checkpoint, with its cosignatures.
    Note,
    /// Hashes of the tree.
    Tile,
    /// Entries, or what is left of them: where one is gone there is its hash, which is shorter than an entry can be.
    Bundle,
    /// The state that a log is replayed from.
    Snapshot,
}

impl Kind {
    /// The most bytes that such a file has.
    fn most(self) -> u64 {
        match self {
            Self::Note => 64 << 10,
            Self::Tile => 256 * 32,
            Self::Bundle => 256 * (2 + 65_535),
            Self::Snapshot => u64::try_from(MAX_SNAPSHOT_BYTES).unwrap_or(u64::MAX),
        }
    }
}

/// Why a piece of a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("the file is missing")]
    Missing,
    #[error("this is no regular file")]
    Special,
    #[error("the file is longer than the {0} bytes that such a file has at most")]
    Long(u64),
    #[error("the file cannot be read: {0}")]
    Io(#[from] io::Error),
}

impl Files {
    /// Looks what is there.
    pub(crate) fn list(dir: &Path) -> io::Result<Self> {
        let mut files = Self {
            dir: dir.to_owned(),
            tiles: BTreeMap::new(),
            bundles: BTreeMap::new(),
            kept: BTreeMap::new(),
            strange: Vec::new(),
        };
        // Nobody's log nests deeper: a level, seven groups of digits, a width.
        let mut open = vec![("tile".to_owned(), 0_u32), ("kept".to_owned(), 0)];
        while let Some((path, depth)) = open.pop() {
            let listed = match fs::read_dir(dir.join(&path)) {
                // A log without entries has no tiles.
                Err(error) if error.kind() == io::ErrorKind::NotFound && depth == 0 => continue,
                listed => listed?,
            };
            for file in listed {
                let file = file?;
                let path = format!("{path}/{}", file.file_name().to_string_lossy());
                if fs::metadata(file.path())?.is_dir() && depth < 13 {
                    open.push((path, depth + 1));
                } else {
                    files.add(path);
                }
            }
        }
        files.strange.sort();
        Ok(files)
    }

    fn add(&mut self, path: String) {
        if let Some(whole) = path.strip_prefix(KEPT) {
            match whole.parse::<BundleId>() {
                Ok(bundle) => self.kept.entry(bundle.index()).or_default().push(bundle.width()),
                Err(_) => self.strange.push(path),
            }
            return;
        }
        match path.parse() {
            Ok(Resource::Tile(tile)) => {
                let widths = self.tiles.entry((tile.level(), tile.index())).or_default();
                widths.push(tile.width());
            }
            Ok(Resource::Entries(bundle)) => self.bundles.entry(bundle.index()).or_default().push(bundle.width()),
            Ok(Resource::Checkpoint) | Err(_) => self.strange.push(path),
        }
    }

    /// The files that have this tile, or the beginning of it, or more of it, the one to read first.
    pub(crate) fn tiles(&self, tile: TileId) -> Vec<TileId> {
        let widths = self
            .tiles
            .get(&(tile.level(), tile.index()))
            .map_or(&[][..], Vec::as_slice);
        let of = |width| TileId::new(tile.level(), tile.index(), width);
        by_use(widths, tile.width()).into_iter().filter_map(of).collect()
    }

    /// The same for a bundle of entries.
    pub(crate) fn bundles(&self, bundle: BundleId) -> Vec<BundleId> {
        let widths = self.bundles.get(&bundle.index()).map_or(&[][..], Vec::as_slice);
        let of = |width| BundleId::new(bundle.index(), width);
        by_use(widths, bundle.width()).into_iter().filter_map(of).collect()
    }

    /// The files that have what is left of this bundle, or the beginning of that, or more, the one to read first.
    pub(crate) fn kept(&self, bundle: BundleId) -> Vec<BundleId> {
        let widths = self.kept.get(&bundle.index()).map_or(&[][..], Vec::as_slice);
        let of = |width| BundleId::new(bundle.index(), width);
        by_use(widths, bundle.width()).into_iter().filter_map(of).collect()
    }

    /// How many files have only what is behind the tree of `size` leaves.
    pub(crate) fn beyond(&self, size: u64) -> usize {
        let tiles = self.tiles.keys();
        let tiles = tiles.filter(|(level, index)| TileId::in_tree(*level, *index, size).is_none());
        let bundles = self
            .bundles
            .keys()
            .chain(self.kept.keys())
            .filter(|index| BundleId::in_log(**index, size).is_none());
        tiles.count() + bundles.count()
    }

    /// The checkpoints by which whoever knows an older key of the log goes on to a newer one, as far as they can be read.
    pub(crate) fn handovers(&self) -> Vec<String> {
        let listed = fs::read_dir(self.dir.join(HANDOVERS)).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = listed.map(|file| file.path()).collect();
        paths.sort();
        let read = paths.iter().take(HANDOVERS_MAX);
        let read = read.filter_map(|path| String::from_utf8(read_file(path, Kind::Note).ok()?).ok());
        read.collect()
    }

    pub(crate) fn read(&self, path: &str, kind: Kind) -> Result<Vec<u8>, FileError> {
        read_file(&self.dir.join(path), kind)
    }
}

/// Reads a file of somebody else's. What is not a file is not opened: a pipe would be waited for, and a device never ends.
fn read_file(path: &Path, kind: Kind) -> Result<Vec<u8>, FileError> {
    let wrong = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => FileError::Missing,
        _ => FileError::Io(error),
    };
    let regular = |found: fs::Metadata| found.is_file().then_some(()).ok_or(FileError::Special);
    regular(fs::metadata(path).map_err(wrong)?)?;
    let file = fs::File::open(path).map_err(wrong)?;
    regular(file.metadata()?)?;
    let (mut bytes, most) = (Vec::new(), kind.most());
    file.take(most + 1).read_to_end(&mut bytes)?;
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= most => Ok(bytes),
        _ => Err(FileError::Long(most)),
    }
}

/// Widths, the one that is wanted first, then wider ones, then narrower ones, which begin alike.
fn by_use(widths: &[u16], wanted: u16) -> Vec<u16> {
    let mut widths = widths.to_vec();
    widths.sort_by_key(|width| (*width < wanted, *width));
    widths
}
