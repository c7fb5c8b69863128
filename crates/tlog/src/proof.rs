//! Proofs about a tree: that a leaf is in it, and that it goes on from an earlier tree (RFC 6962, section 2.1).
//!
//! A proof is a list of hashes, the one nearest the leaves first. Making one needs the leaf hashes; checking one needs
//! nothing but the roots, and every hash in it is accounted for: a proof too long or too short is refused.

use crate::{CompactRange, Hash, empty_root, node_hash};

/// Why a proof does not hold.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProofError {
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
    /// The old tree is empty: it is a part of every tree, so a proof from it would prove nothing.
    #[error("nothing can be proved from the empty tree")]
    Empty,
    /// The proof has too few or too many hashes.
    #[error("the proof has {found} hashes where {expected} are needed")]
    Length {
        /// Hashes the sizes call for.
        expected: u32,
        /// Hashes in the proof.
        found: usize,
    },
    /// The proof does not lead to the root of the tree (of the new tree, for consistency).
    #[error("the proof leads to another root")]
    Root,
    /// The proof does not lead to the root of the old tree.
    #[error("the proof leads to another root for the old tree")]
    OldRoot,
}

/// Proves that leaf `index` is in the tree over `leaves`. `None` if there is no such leaf. Hashes every leaf once.
pub fn inclusion(leaves: &[Hash], index: u64) -> Option<Vec<Hash>> {
    let mut index = usize::try_from(index).ok().filter(|index| *index < leaves.len())?;
    let mut subtree = leaves;
    let mut proof = Vec::new();
    while let Some((left, right)) = split(subtree) {
        if index < left.len() {
            proof.push(root(right));
            subtree = left;
        } else {
            proof.push(root(left));
            subtree = right;
            index -= left.len();
        }
    }
    proof.reverse();
    Some(proof)
}

/// Proves that the tree over `leaves` goes on from the tree over the first `old` of them. `None` if there are fewer.
/// Hashes every leaf once.
///
/// The proof is empty if `old` is 0 (see [`verify_extension`]) or the whole tree.
pub fn consistency(leaves: &[Hash], old: u64) -> Option<Vec<Hash>> {
    let mut old = usize::try_from(old).ok().filter(|old| *old <= leaves.len())?;
    if old == 0 {
        return Some(Vec::new());
    }
    // Goes down to the subtree that ends where the old tree does. If the way leads only left, the subtree is the old
    // tree, whose root the verifier knows.
    let mut subtree = leaves;
    let mut is_old_tree = true;
    let mut proof = Vec::new();
    while let Some((left, right)) = split(subtree).filter(|_| old < subtree.len()) {
        if old <= left.len() {
            proof.push(root(right));
            subtree = left;
        } else {
            proof.push(root(left));
            subtree = right;
            old -= left.len();
            is_old_tree = false;
        }
    }
    if !is_old_tree {
        proof.push(root(subtree));
    }
    proof.reverse();
    Some(proof)
}

/// Checks that `leaf` stands at `index` (from 0) in the tree of `size` leaves with this `root`.
pub fn verify_inclusion(index: u64, size: u64, leaf: Hash, proof: &[Hash], root: Hash) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Index { index, size });
    }
    let path = Path::new(index, size - 1);
    check_length(proof, path.length())?;
    let reached = path.climb(proof).fold(leaf, |node, sibling| sibling.join(&node));
    check(reached == root, ProofError::Root)
}

/// Checks that the tree of `new_size` leaves goes on from the tree of `old_size`: the leaves of the old tree are the
/// first leaves of the new one. An old tree of size 0 is refused; it is [`verify_extension`] that allows it.
pub fn verify_consistency(
    old_size: u64,
    new_size: u64,
    old_root: Hash,
    new_root: Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old_size > new_size {
        return Err(ProofError::Shrunk {
            old: old_size,
            new: new_size,
        });
    }
    if old_size == 0 {
        return Err(ProofError::Empty);
    }
    if old_size == new_size {
        check_length(proof, 0)?;
        return check(old_root == new_root, ProofError::Root);
    }
    // The rightmost perfect subtree of the old tree is a node of both trees, `height` levels above the leaves. Climbing
    // from it leads to the new root and, passing by what stands to the right, to the old root.
    let height = old_size.trailing_zeros();
    let path = Path::new((old_size - 1) >> height, (new_size - 1) >> height);
    // Its hash comes first in the proof, unless it is the whole old tree.
    let seed_given = !old_size.is_power_of_two();
    check_length(proof, path.length() + u32::from(seed_given))?;
    let (seed, siblings) = match proof.split_first() {
        Some((seed, siblings)) if seed_given => (*seed, siblings),
        _ => (old_root, proof),
    };
    let (mut old, mut new) = (seed, seed);
    for sibling in path.climb(siblings) {
        if let Sibling::Left(_) = sibling {
            old = sibling.join(&old);
        }
        new = sibling.join(&new);
    }
    check(old == old_root, ProofError::OldRoot)?;
    check(new == new_root, ProofError::Root)
}

/// Checks what a witness checks before it signs: like [`verify_consistency`], but every tree goes on from the empty
/// one, with an empty proof (C2SP tlog-witness, `add-checkpoint` with `old 0`).
pub fn verify_extension(
    old_size: u64,
    new_size: u64,
    old_root: Hash,
    new_root: Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old_size > 0 {
        return verify_consistency(old_size, new_size, old_root, new_root, proof);
    }
    check_length(proof, 0)?;
    check(old_root == empty_root(), ProofError::OldRoot)?;
    check(new_size > 0 || new_root == empty_root(), ProofError::Root)
}

/// The way from a node up to the root.
struct Path {
    /// Index of the node in its level.
    index: u64,
    /// The levels below the one where this way and that of the level's last node meet. There every node has a sibling;
    /// further up the way follows the right edge of the tree, where a node has a sibling only to its left.
    inner: u32,
}

/// The other child of a node's parent.
enum Sibling<'a> {
    Left(&'a Hash),
    Right(&'a Hash),
}

impl Path {
    /// The way up from the node at `index` in a level whose last node is at `last`.
    fn new(index: u64, last: u64) -> Self {
        let inner = u64::BITS - (index ^ last).leading_zeros();
        Self { index, inner }
    }

    /// The number of siblings on the way.
    fn length(&self) -> u32 {
        let edge = self.index.checked_shr(self.inner).unwrap_or(0);
        self.inner + edge.count_ones()
    }

    /// The siblings as one meets them, given their hashes.
    fn climb<'a>(&self, siblings: &'a [Hash]) -> impl Iterator<Item = Sibling<'a>> {
        (0..).zip(siblings).map(|(level, hash)| {
            if level >= self.inner || (self.index >> level) & 1 == 1 {
                Sibling::Left(hash)
            } else {
                Sibling::Right(hash)
            }
        })
    }
}

impl Sibling<'_> {
    /// The hash of the parent, given that of the node.
    fn join(&self, node: &Hash) -> Hash {
        match self {
            Self::Left(left) => node_hash(left, node),
            Self::Right(right) => node_hash(node, right),
        }
    }
}

fn check(holds: bool, error: ProofError) -> Result<(), ProofError> {
    if holds { Ok(()) } else { Err(error) }
}

fn check_length(proof: &[Hash], expected: u32) -> Result<(), ProofError> {
    let found = proof.len();
    check(
        u32::try_from(found) == Ok(expected),
        ProofError::Length { expected, found },
    )
}

fn root(leaves: &[Hash]) -> Hash {
    leaves.iter().copied().collect::<CompactRange>().root()
}

/// The left and the right subtree: the left one has as many leaves as the largest power of two below their number.
/// `None` for a single leaf.
fn split(leaves: &[Hash]) -> Option<(&[Hash], &[Hash])> {
    let height = leaves.len().checked_sub(1)?.checked_ilog2()?;
    leaves.split_at_checked(1 << height)
}

#[cfg(test)]
mod tests;
