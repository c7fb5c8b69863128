use std::{fs, path::Path as FilePath};

use data_encoding::BASE64;
use proptest::prelude::*;
use serde::{Deserialize, de::DeserializeOwned};

use super::*;
use crate::{
    leaf_hash,
    testing::{flip, leaves, reference_root, vectors},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InclusionCase {
    leaf_idx: u64,
    tree_size: u64,
    root: String,
    leaf_hash: String,
    proof: Option<Vec<String>>,
    #[serde(rename = "desc")]
    _description: String,
    want_err: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ConsistencyCase {
    size1: u64,
    size2: u64,
    root1: String,
    root2: String,
    proof: Option<Vec<String>>,
    #[serde(rename = "desc")]
    _description: String,
    want_err: bool,
}

/// Every case below a folder, with its path.
fn cases<T: DeserializeOwned>(folder: &FilePath) -> Vec<(String, T)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                return cases(&path);
            }
            let case = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            vec![(path.display().to_string(), case)]
        })
        .collect()
}

/// `None` if the vector's bytes are no hash. They are base64, all of them: only the length can be wrong.
fn hash(text: &str) -> Option<Hash> {
    Hash::from_slice(&BASE64.decode(text.as_bytes()).unwrap()).ok()
}

fn hashes(proof: Option<&Vec<String>>) -> Option<Vec<Hash>> {
    proof.into_iter().flatten().map(|text| hash(text)).collect()
}

fn count(leaves: &[Hash]) -> u64 {
    leaves.len().try_into().unwrap()
}

#[test]
fn published_inclusion_cases() {
    let run = |case: &InclusionCase| {
        let (leaf, root, proof) = (hash(&case.leaf_hash)?, hash(&case.root)?, hashes(case.proof.as_ref())?);
        verify_inclusion(case.leaf_idx, case.tree_size, leaf, &proof, root).ok()
    };
    let cases = cases::<InclusionCase>(&vectors().join("transparency-dev-merkle/inclusion"));
    assert_eq!(cases.len(), 98);
    for (path, case) in &cases {
        assert_eq!(run(case).is_none(), case.want_err, "{path}");
    }
}

#[test]
fn published_consistency_cases() {
    let run = |case: &ConsistencyCase| {
        let (old, new, proof) = (hash(&case.root1)?, hash(&case.root2)?, hashes(case.proof.as_ref())?);
        verify_consistency(case.size1, case.size2, old, new, &proof).ok()
    };
    let mut cases = cases::<ConsistencyCase>(&vectors().join("transparency-dev-merkle/consistency"));
    assert_eq!(cases.len(), 98);
    // Equal roots of 12 bytes, which are no hashes here.
    cases.retain(|(path, _)| !path.ends_with("sizes-are-equal-one-and-proof-is-empty.json"));
    assert_eq!(cases.len(), 97);
    for (path, case) in &cases {
        assert_eq!(run(case).is_none(), case.want_err, "{path}");
    }
}

#[test]
fn every_leaf_of_every_tree_is_proved() {
    let leaves = leaves(200);
    for size in 1..=leaves.len() {
        let tree = &leaves[..size];
        let root = reference_root(tree);
        for (index, leaf) in (0..).zip(tree) {
            let proof = inclusion(tree, index).unwrap();
            assert_eq!(
                verify_inclusion(index, count(tree), *leaf, &proof, root),
                Ok(()),
                "{index} of {size}"
            );
        }
        assert_eq!(inclusion(tree, count(tree)), None);
    }
    assert_eq!(inclusion(&[], 0), None);
    assert_eq!(inclusion(&leaves, u64::MAX), None);
}

#[test]
fn every_tree_extends_every_smaller_one() {
    let leaves = leaves(200);
    let roots: Vec<Hash> = (0..=leaves.len()).map(|size| reference_root(&leaves[..size])).collect();
    for (new, new_root) in (0..).zip(&roots) {
        let tree = &leaves[..usize::try_from(new).unwrap()];
        for (old, old_root) in (0..=new).zip(&roots) {
            let proof = consistency(tree, old).unwrap();
            let strict = verify_consistency(old, new, *old_root, *new_root, &proof);
            assert_eq!(
                strict,
                if old == 0 { Err(ProofError::Empty) } else { Ok(()) },
                "{old} to {new}"
            );
            assert_eq!(
                verify_extension(old, new, *old_root, *new_root, &proof),
                Ok(()),
                "{old} to {new}"
            );
        }
        assert_eq!(consistency(tree, new + 1), None);
    }
}

#[test]
fn extension_of_the_empty_tree() {
    let (empty, other) = (empty_root(), leaf_hash(b""));
    let length = Err(ProofError::Length { expected: 0, found: 1 });
    for (new_size, old_root, new_root, proof, expected) in [
        (0, empty, empty, &[][..], Ok(())),
        (1, empty, other, &[], Ok(())),
        (u64::MAX, empty, other, &[], Ok(())),
        (1, empty, other, &[other], length),
        (1, other, other, &[], Err(ProofError::OldRoot)),
        (0, empty, other, &[], Err(ProofError::Root)),
    ] {
        assert_eq!(verify_extension(0, new_size, old_root, new_root, proof), expected);
    }
    assert_eq!(
        verify_extension(2, 1, other, other, &[]),
        Err(ProofError::Shrunk { old: 2, new: 1 })
    );
}

#[test]
fn errors_say_what_is_wrong() {
    let tree = leaves(7);
    let (root, old_root) = (reference_root(&tree), reference_root(&tree[..3]));
    let included = |index, proof: &[Hash]| verify_inclusion(index, 7, tree[6], proof, root);
    let proof = inclusion(&tree, 6).unwrap();
    assert_eq!(proof.len(), 2, "leaf 6 stands alone on the lowest level");
    assert_eq!(included(7, &proof), Err(ProofError::Index { index: 7, size: 7 }));
    assert_eq!(
        included(6, &proof[1..]),
        Err(ProofError::Length { expected: 2, found: 1 })
    );
    assert_eq!(included(6, &[proof[1], proof[0]]), Err(ProofError::Root));

    let consistent = |old_root, new_root, proof: &[Hash]| verify_consistency(3, 7, old_root, new_root, proof);
    let proof = consistency(&tree, 3).unwrap();
    assert_eq!(consistent(old_root, root, &proof), Ok(()));
    assert_eq!(
        consistent(old_root, root, &[]),
        Err(ProofError::Length { expected: 4, found: 0 })
    );
    assert_eq!(consistent(root, root, &proof), Err(ProofError::OldRoot));
    assert_eq!(consistent(old_root, old_root, &proof), Err(ProofError::Root));
}

proptest! {
    #[test]
    fn a_leaf_is_proved_at_its_own_place_only(
        (size, index) in (1_u64..400).prop_flat_map(|size| (Just(size), 0..size)),
        other: u64,
    ) {
        let tree = leaves(size);
        let (root, proof) = (reference_root(&tree), inclusion(&tree, index).unwrap());
        let leaf = tree[usize::try_from(index).unwrap()];
        prop_assert_eq!(verify_inclusion(index, size, leaf, &proof, root), Ok(()));
        let elsewhere = other % size;
        prop_assert_eq!(verify_inclusion(elsewhere, size, leaf, &proof, root).is_ok(), elsewhere == index);
    }

    #[test]
    fn one_flipped_bit_refutes_inclusion(
        (size, index) in (1_u64..400).prop_flat_map(|size| (Just(size), 0..size)),
        place: prop::sample::Index,
        bit: u8,
    ) {
        let tree = leaves(size);
        let leaf = tree[usize::try_from(index).unwrap()];
        // The leaf, the root, then the proof.
        let mut hashes = [&[leaf, reference_root(&tree)], inclusion(&tree, index).unwrap().as_slice()].concat();
        let place = place.index(hashes.len());
        hashes[place] = flip(hashes[place], bit);
        let refuted = verify_inclusion(index, size, hashes[0], &hashes[2..], hashes[1]);
        prop_assert_eq!(refuted, Err(ProofError::Root));
    }

    #[test]
    fn one_flipped_bit_refutes_consistency(
        (new, old) in (1_u64..400).prop_flat_map(|new| (Just(new), 1..=new)),
        place: prop::sample::Index,
        bit: u8,
    ) {
        let tree = leaves(new);
        let old_root = reference_root(&tree[..usize::try_from(old).unwrap()]);
        // The roots, then the proof.
        let proof = consistency(&tree, old).unwrap();
        let mut hashes = [&[old_root, reference_root(&tree)], proof.as_slice()].concat();
        prop_assert_eq!(verify_consistency(old, new, hashes[0], hashes[1], &hashes[2..]), Ok(()));
        let place = place.index(hashes.len());
        hashes[place] = flip(hashes[place], bit);
        prop_assert!(verify_consistency(old, new, hashes[0], hashes[1], &hashes[2..]).is_err());
    }

    #[test]
    fn a_rewritten_leaf_is_found_out(
        (new, old, index) in (1_u64..300)
            .prop_flat_map(|new| (Just(new), 1..=new))
            .prop_flat_map(|(new, old)| (Just(new), Just(old), 0..old)),
    ) {
        let mut tree = leaves(new);
        let old_root = reference_root(&tree[..usize::try_from(old).unwrap()]);
        tree[usize::try_from(index).unwrap()] = leaf_hash(b"rewritten");
        let proof = consistency(&tree, old).unwrap();
        prop_assert!(verify_consistency(old, new, old_root, reference_root(&tree), &proof).is_err());
    }

    #[test]
    fn no_sizes_make_a_verifier_panic(a: u64, b: u64, length in 0_usize..140) {
        let hash = empty_root();
        let proof = vec![hash; length];
        let _ = verify_inclusion(a, b, hash, &proof, hash);
        let _ = verify_consistency(a, b, hash, hash, &proof);
        let _ = verify_extension(a, b, hash, hash, &proof);
    }
}

#[test]
fn the_edges_of_the_numbers() {
    let hash = empty_root();
    let numbers = [
        0,
        1,
        2,
        3,
        (1 << 63) - 1,
        1 << 63,
        (1 << 63) + 1,
        u64::MAX - 1,
        u64::MAX,
    ];
    for a in numbers {
        for b in numbers {
            for length in [0, 1, 2, 62, 63, 64, 65, 127, 128] {
                let proof = vec![hash; length];
                assert!(a == 0 && b == 1 && length == 0 || verify_inclusion(a, b, hash, &proof, hash).is_err());
                let same = a == b && a > 0 && length == 0;
                assert_eq!(verify_consistency(a, b, hash, hash, &proof).is_ok(), same, "{a} to {b}");
            }
        }
    }
}
