//! What the tests of several modules need.

use std::{fs, path::PathBuf};

use crate::{Hash, empty_root, leaf_hash, node_hash};

/// The hashes of `count` different leaves.
pub(crate) fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|index| leaf_hash(&index.to_be_bytes())).collect()
}

/// The Merkle Tree Hash word for word as RFC 6962, section 2.1, defines it.
pub(crate) fn reference_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let mut k = 1;
            while k * 2 < leaves.len() {
                k *= 2;
            }
            node_hash(&reference_root(&leaves[..k]), &reference_root(&leaves[k..]))
        }
    }
}

/// The hash with one of its 256 bits flipped.
pub(crate) fn flip(hash: Hash, bit: u8) -> Hash {
    let mut bytes = hash.0;
    bytes[usize::from(bit / 8)] ^= 1 << (bit % 8);
    Hash(bytes)
}

/// Where the published vectors are.
pub(crate) fn vectors() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "vectors"].iter().collect()
}

/// The text of one published vector.
pub(crate) fn vector(path: &str) -> String {
    let path = vectors().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
