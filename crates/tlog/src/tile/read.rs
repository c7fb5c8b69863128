//! Reading proofs and roots from tiles.

use std::collections::{BTreeMap, BTreeSet};

use super::{FULL, HEIGHT, TileId};
use crate::{CompactRange, Hash, empty_root, node_hash};

/// What a proof is made of: subtrees, and the tiles in which their hashes are.
///
/// A plan is made first and read then, so that whoever has to wait for tiles can fetch all of them at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    size: u64,
    /// Ranges of leaves, each a subtree of the tree: first and end.
    subtrees: Vec<(u64, u64)>,
}

/// Why a proof cannot be read from tiles.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError<E> {
    /// The tree has no leaf at this index.
    #[error("a tree of {size} leaves has no leaf {index}")]
    Index {
        /// Index of the leaf, from 0.
        index: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// The new tree is smaller than the old one.
    #[error("a tree of {new} leaves cannot go on from one of {old}")]
    Shrunk {
        /// Leaves in the old tree.
        old: u64,
        /// Leaves in the new tree.
        new: u64,
    },
    /// A tile is not there.
    #[error("{tile}: {source}")]
    Fetch {
        /// Which one.
        tile: TileId,
        /// Why.
        source: E,
    },
    /// A tile has another length than it says.
    #[error("{tile} has {bytes} bytes, not 32 for each hash")]
    Length {
        /// Which one.
        tile: TileId,
        /// How long it is.
        bytes: usize,
    },
}

/// Proves that leaf `index` is in the tree of `size` leaves, from its tiles: the proof that
/// [`verify_inclusion`](crate::proof::verify_inclusion) checks. `fetch` gives the bytes of a tile of that tree.
pub fn inclusion<E>(
    index: u64,
    size: u64,
    fetch: impl FnMut(TileId) -> Result<Vec<u8>, E>,
) -> Result<Vec<Hash>, ReadError<E>> {
    let plan = Plan::inclusion(index, size).ok_or(ReadError::Index { index, size })?;
    plan.read(fetch)
}

/// Proves that the tree of `new` leaves goes on from that of its first `old`, from the tiles of the new one: the proof that
/// [`verify_consistency`](crate::proof::verify_consistency) checks. Empty if `old` is 0 or `new`.
pub fn consistency<E>(
    old: u64,
    new: u64,
    fetch: impl FnMut(TileId) -> Result<Vec<u8>, E>,
) -> Result<Vec<Hash>, ReadError<E>> {
    let plan = Plan::consistency(old, new).ok_or(ReadError::Shrunk { old, new })?;
    plan.read(fetch)
}

impl Plan {
    /// The proof that leaf `index` is in the tree of `size` leaves. `None` if there is no such leaf.
    pub fn inclusion(index: u64, size: u64) -> Option<Self> {
        if index >= size {
            return None;
        }
        let (mut first, mut end) = (0, size);
        let mut subtrees = Vec::new();
        while let Some(middle) = split(first, end) {
            if index < middle {
                subtrees.push((middle, end));
                end = middle;
            } else {
                subtrees.push((first, middle));
                first = middle;
            }
        }
        subtrees.reverse();
        Some(Self { size, subtrees })
    }

    /// The proof that the tree of `new` leaves goes on from that of its first `old`. `None` if it has fewer.
    pub fn consistency(old: u64, new: u64) -> Option<Self> {
        if old > new {
            return None;
        }
        let mut subtrees = Vec::new();
        let (mut first, mut end) = (0, new);
        // Down to the subtree that ends where the old tree does.
        while old > 0
            && old < end
            && let Some(middle) = split(first, end)
        {
            if old <= middle {
                subtrees.push((middle, end));
                end = middle;
            } else {
                subtrees.push((first, middle));
                first = middle;
            }
        }
        // If the way led only left, that is the old tree, whose root the verifier knows.
        if first > 0 {
            subtrees.push((first, end));
        }
        subtrees.reverse();
        Some(Self { size: new, subtrees })
    }

    /// The root of the tree of `size` leaves, as the only hash that is read.
    pub fn root(size: u64) -> Self {
        Self {
            size,
            subtrees: vec![(0, size)],
        }
    }

    /// The tiles that are needed, each as wide as the tree has it.
    pub fn tiles(&self) -> BTreeSet<TileId> {
        let perfect = self.subtrees.iter().flat_map(|(first, end)| perfect(*first, *end));
        perfect
            .filter_map(|subtree| Some(subtree.place(self.size)?.0))
            .collect()
    }

    /// The hashes of the proof, given the tiles. Each is asked for once.
    pub fn read<E>(&self, mut fetch: impl FnMut(TileId) -> Result<Vec<u8>, E>) -> Result<Vec<Hash>, ReadError<E>> {
        let mut tiles = BTreeMap::new();
        for tile in self.tiles() {
            let bytes = fetch(tile).map_err(|source| ReadError::Fetch { tile, source })?;
            if bytes.len() != tile.bytes() {
                let bytes = bytes.len();
                return Err(ReadError::Length { tile, bytes });
            }
            tiles.insert(tile, bytes);
        }
        let subtrees = self.subtrees.iter();
        Ok(subtrees.map(|(first, end)| self.hash(*first, *end, &tiles)).collect())
    }

    /// The hash of a subtree, whose tiles are all there.
    fn hash(&self, first: u64, end: u64, tiles: &BTreeMap<TileId, Vec<u8>>) -> Hash {
        let mut parts: Vec<Hash> = Vec::new();
        for subtree in perfect(first, end) {
            let Some((tile, first, count)) = subtree.place(self.size) else {
                continue;
            };
            let (hashes, _) = tiles.get(&tile).map(Vec::as_slice).unwrap_or_default().as_chunks();
            let hashes = hashes.iter().skip(first).take(count).copied().map(Hash);
            parts.push(hashes.collect::<CompactRange>().root());
        }
        let smallest_first = parts.into_iter().rev();
        smallest_first
            .reduce(|right, left| node_hash(&left, &right))
            .unwrap_or_else(empty_root)
    }
}

/// A subtree of two to the power of `height` leaves, the `index`th of those.
struct Perfect {
    height: u32,
    index: u64,
}

impl Perfect {
    /// The tile in the tree of `size` leaves that has the hashes it is made of, where they begin there and how many they
    /// are: one tile always, because a tile is a subtree too.
    fn place(&self, size: u64) -> Option<(TileId, usize, usize)> {
        let level = u8::try_from(self.height / HEIGHT).ok()?;
        let count = 1_u64 << (self.height % HEIGHT);
        let first = self.index.checked_mul(count)?;
        let tile = TileId::in_tree(level, first / u64::from(FULL), size)?;
        let within = usize::try_from(first % u64::from(FULL)).ok()?;
        Some((tile, within, usize::try_from(count).ok()?))
    }
}

/// Where the right subtree begins: the left one has as many leaves as the largest power of two below their number.
fn split(first: u64, end: u64) -> Option<u64> {
    let height = end.checked_sub(first)?.checked_sub(1)?.checked_ilog2()?;
    first.checked_add(1 << height)
}

/// The perfect subtrees of which a subtree is made, the largest first. They are the one bits of its number of leaves.
fn perfect(first: u64, end: u64) -> impl Iterator<Item = Perfect> {
    let mut first = first;
    std::iter::from_fn(move || {
        let height = end.checked_sub(first)?.checked_ilog2()?;
        let index = first >> height;
        first = first.checked_add(1 << height)?;
        Some(Perfect { height, index })
    })
}
