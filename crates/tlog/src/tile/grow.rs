//! Making tiles while a log grows.

use super::{FULL, HEIGHT, TileId, hashes};
use crate::{CompactRange, Hash, empty_root, node_hash};

/// The right edge of a log's tiles: the last, unfinished tile of each level. All else is full and never changes.
///
/// At most 255 hashes a level, so a tree of any size is a few dozen kilobytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Growing {
    size: u64,
    /// From the leaves up.
    levels: Vec<Vec<Hash>>,
}

/// A tile that has just become full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullTile {
    /// Which one.
    pub id: TileId,
    /// Its 256 hashes one after the other.
    pub bytes: Vec<u8>,
}

/// Why stored tiles are not the edge of a tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tile {tile} has {bytes} bytes")]
pub struct GrowError {
    /// Which tile.
    pub tile: TileId,
    /// How long what was given for it is.
    pub bytes: usize,
}

impl Growing {
    /// The tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// The edge tiles of the tree of `size` leaves: those that are not full.
    pub fn edge_of(size: u64) -> impl Iterator<Item = TileId> {
        (0..HEIGHT)
            .filter_map(|level| u8::try_from(level).ok())
            .filter_map(move |level| TileId::in_tree(level, hashes(size, level) / u64::from(FULL), size))
    }

    /// Takes up a tree of `size` leaves again, given the bytes of each tile of [`edge_of`](Self::edge_of) in that order.
    ///
    /// Only lengths can be checked here; [`root`](Self::root) is to be compared with one that is known.
    pub fn resume(size: u64, edge: impl IntoIterator<Item = Vec<u8>>) -> Result<Self, GrowError> {
        let mut levels: Vec<Vec<Hash>> = Vec::new();
        let mut edge = edge.into_iter();
        for tile in Self::edge_of(size) {
            let bytes = edge.next().unwrap_or_default();
            if bytes.len() != tile.bytes() {
                let bytes = bytes.len();
                return Err(GrowError { tile, bytes });
            }
            let (found, _) = bytes.as_chunks();
            levels.resize(usize::from(tile.level()), Vec::new());
            levels.push(found.iter().copied().map(Hash).collect());
        }
        Ok(Self { size, levels })
    }

    /// Leaves in the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf, given its [`leaf_hash`](crate::leaf_hash), and hands on the tiles that became full by it, from the
    /// leaves up.
    pub fn append(&mut self, leaf: Hash, mut full: impl FnMut(FullTile)) {
        self.size += 1;
        let mut carried = leaf;
        for level in 0..=super::MAX_LEVEL {
            let place = usize::from(level);
            if self.levels.len() <= place {
                self.levels.push(Vec::new());
            }
            let Some(tile) = self.levels.get_mut(place) else { return };
            tile.push(carried);
            if tile.len() < usize::from(FULL) {
                return;
            }
            let hashes = std::mem::take(tile);
            let index = (super::hashes(self.size, level) / u64::from(FULL)).saturating_sub(1);
            let id = TileId::new(level, index, FULL);
            carried = hashes.iter().copied().collect::<CompactRange>().root();
            if let Some(id) = id {
                let bytes = bytes(&hashes);
                full(FullTile { id, bytes });
            }
        }
    }

    /// The unfinished tiles with their bytes, from the leaves up.
    pub fn edge(&self) -> impl Iterator<Item = (TileId, Vec<u8>)> {
        Self::edge_of(self.size).filter_map(|tile| {
            let hashes = self.levels.get(usize::from(tile.level()))?;
            Some((tile, bytes(hashes)))
        })
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        // The unfinished tiles are all that is right of the full ones, each level left of those below it.
        let subtrees = self.levels.iter().flat_map(|level| {
            let range = level.iter().copied().collect::<CompactRange>();
            range.smallest_first().collect::<Vec<_>>()
        });
        let root = subtrees.reduce(|right, left| node_hash(&left, &right));
        root.unwrap_or_else(empty_root)
    }
}

fn bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}
