//! A growing tree, kept as the few hashes its root is made of.

use crate::{Hash, empty_root, node_hash};

/// The largest tree read back. It leaves room for more appends than a log will ever see, so the size cannot overflow.
const MAX_SIZE: u64 = u64::MAX >> 1;

/// The state of a growing tree: the roots of its perfect subtrees, largest (leftmost) first.
///
/// The subtrees are the one bits of the size, so a tree of `n` leaves needs as many hashes as `n` has one bits.
/// Appending costs one node hash on average, as adding one to a binary number carries once on average.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactRange {
    size: u64,
    hashes: Vec<Hash>,
}

/// Why stored bytes are not a compact range.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RangeError {
    /// The bytes are not `popcount(size)` hashes of 32 bytes.
    #[error("a tree of {size} leaves is kept as {} hashes of 32 bytes, not as {bytes} bytes", size.count_ones())]
    Length {
        /// Leaves in the tree.
        size: u64,
        /// Bytes given.
        bytes: usize,
    },
    /// The size is above 2^63 - 1.
    #[error("a tree has at most {MAX_SIZE} leaves, not {0}")]
    Size(u64),
}

impl CompactRange {
    /// The tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf, given its [`leaf_hash`](crate::leaf_hash).
    pub fn append(&mut self, leaf: Hash) {
        // Each trailing one bit of the size is a perfect subtree as high as the node that now stands to its right.
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.hashes.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.hashes.push(node);
        self.size += 1;
    }

    /// The root of the tree (RFC 6962, section 2.1: the Merkle Tree Hash).
    pub fn root(&self) -> Hash {
        self.smallest_first()
            .reduce(|right, left| node_hash(&left, &right))
            .unwrap_or_else(empty_root)
    }

    /// The roots of the perfect subtrees from right to left.
    pub(crate) fn smallest_first(&self) -> impl Iterator<Item = Hash> {
        self.hashes.iter().rev().copied()
    }

    /// The hashes one after the other, left to right, 32 bytes each. The size is kept beside them.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.hashes.iter().flat_map(|hash| hash.0).collect()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote for a tree of `size` leaves.
    ///
    /// Only the shape can be checked here; compare [`root`](Self::root) with a signed checkpoint before relying on it.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Result<Self, RangeError> {
        if size > MAX_SIZE {
            return Err(RangeError::Size(size));
        }
        let (hashes, rest) = bytes.as_chunks();
        if !rest.is_empty() || u32::try_from(hashes.len()) != Ok(size.count_ones()) {
            return Err(RangeError::Length {
                size,
                bytes: bytes.len(),
            });
        }
        let hashes = hashes.iter().copied().map(Hash).collect();
        Ok(Self { size, hashes })
    }
}

impl Extend<Hash> for CompactRange {
    fn extend<I: IntoIterator<Item = Hash>>(&mut self, leaves: I) {
        for leaf in leaves {
            self.append(leaf);
        }
    }
}

impl FromIterator<Hash> for CompactRange {
    fn from_iter<I: IntoIterator<Item = Hash>>(leaves: I) -> Self {
        let mut range = Self::new();
        range.extend(leaves);
        range
    }
}

#[cfg(test)]
mod tests;
