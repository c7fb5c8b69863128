use data_encoding::HEXLOWER;
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::{
    leaf_hash,
    testing::{leaves, reference_root, vector},
};

#[derive(Deserialize)]
struct ReferenceTree {
    leaf_inputs_hex: Vec<String>,
    root_hashes_hex_by_size: Vec<String>,
}

fn hash(hex: &str) -> Hash {
    Hash::from_slice(&HEXLOWER.decode(hex.as_bytes()).unwrap()).unwrap()
}

#[test]
fn reference_tree() {
    let tree: ReferenceTree = serde_json::from_str(&vector("notes/rfc6962-reference-tree.json")).unwrap();
    assert_eq!((tree.leaf_inputs_hex.len(), tree.root_hashes_hex_by_size.len()), (8, 9));
    let mut range = CompactRange::new();
    for (leaf, root) in tree.leaf_inputs_hex.iter().zip(&tree.root_hashes_hex_by_size) {
        assert_eq!(range.root(), hash(root), "size {}", range.size());
        range.append(leaf_hash(&HEXLOWER.decode(leaf.as_bytes()).unwrap()));
    }
    assert_eq!(range.root(), hash(&tree.root_hashes_hex_by_size[8]));
}

#[test]
fn every_size_has_the_root_of_the_rfc_and_survives_storage() {
    let leaves = leaves(300);
    let mut range = CompactRange::new();
    for (size, leaf) in (0..).zip(&leaves) {
        assert_eq!(range.size(), size);
        assert_eq!(
            range.root(),
            reference_root(&leaves[..usize::try_from(size).unwrap()]),
            "size {size}"
        );
        assert_eq!(CompactRange::from_bytes(size, &range.to_bytes()), Ok(range.clone()));
        range.append(*leaf);
    }
}

#[test]
fn stored_bytes_must_fit_the_size() {
    let length = |size, bytes| Err(RangeError::Length { size, bytes });
    for (size, bytes, expected) in [
        (0, 32, length(0, 32)),
        (1, 0, length(1, 0)),
        (3, 32, length(3, 32)),
        (3, 63, length(3, 63)),
        (3, 65, length(3, 65)),
        (4, 64, length(4, 64)),
        (MAX_SIZE, 62 * 32, length(MAX_SIZE, 62 * 32)),
        (MAX_SIZE + 1, 32, Err(RangeError::Size(MAX_SIZE + 1))),
        (u64::MAX, 64 * 32, Err(RangeError::Size(u64::MAX))),
    ] {
        assert_eq!(
            CompactRange::from_bytes(size, &vec![0; bytes]),
            expected,
            "size {size}, {bytes} bytes"
        );
    }
}

#[test]
fn the_largest_tree_read_back_can_grow() {
    let mut range = CompactRange::from_bytes(MAX_SIZE, &[7; 63 * 32]).unwrap();
    range.append(empty_root());
    assert_eq!((range.size(), range.to_bytes().len()), (1 << 63, 32));
    range.append(empty_root());
    assert_eq!((range.size(), range.to_bytes().len()), ((1 << 63) + 1, 64));
}

proptest! {
    #[test]
    fn a_restart_between_appends_changes_nothing(before in 0_u64..500, after in 0_u64..50) {
        let leaves = leaves(before + after);
        let (first, rest) = leaves.split_at(usize::try_from(before).unwrap());
        let range: CompactRange = first.iter().copied().collect();
        let mut restored = CompactRange::from_bytes(range.size(), &range.to_bytes()).unwrap();
        restored.extend(rest.iter().copied());
        prop_assert_eq!(restored, leaves.iter().copied().collect());
    }

    #[test]
    fn any_bytes_are_read_or_refused(size: u64, bytes in proptest::collection::vec(any::<u8>(), 0..2100)) {
        if let Ok(range) = CompactRange::from_bytes(size, &bytes) {
            prop_assert_eq!(range.to_bytes(), bytes);
        }
    }
}
