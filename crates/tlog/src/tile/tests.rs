use std::{collections::BTreeMap, convert::Infallible};

use proptest::prelude::*;

use super::*;
use crate::{
    CompactRange, Hash, leaf_hash, proof,
    proof::{verify_consistency, verify_extension, verify_inclusion},
    testing::leaves,
};

/// A log's tiles as it wrote them: each full one once, the edge as it is now.
#[derive(Default)]
struct Tiles {
    full: BTreeMap<(u8, u64), Vec<u8>>,
    edge: BTreeMap<(u8, u64), Vec<u8>>,
    growing: Growing,
}

impl Tiles {
    fn of(leaves: &[Hash]) -> Self {
        let mut tiles = Self::default();
        tiles.append(leaves);
        tiles
    }

    fn append(&mut self, leaves: &[Hash]) {
        for leaf in leaves {
            self.growing.append(*leaf, |tile| {
                assert!(tile.id.is_full());
                let known = self.full.insert((tile.id.level(), tile.id.index()), tile.bytes);
                assert_eq!(known, None, "{} is written once", tile.id);
            });
        }
        let edge = self.growing.edge();
        self.edge = edge
            .map(|(tile, bytes)| ((tile.level(), tile.index()), bytes))
            .collect();
    }

    /// A tile as wide as is asked for: the first hashes of the one that is there.
    fn get(&self) -> impl Fn(TileId) -> Result<Vec<u8>, Infallible> {
        |id| {
            let place = (id.level(), id.index());
            let found = self.full.get(&place).or_else(|| self.edge.get(&place));
            Ok(found.unwrap_or_else(|| panic!("{id} is not there"))[..id.bytes()].to_vec())
        }
    }
}

/// The leaves `0..size` of what `leaves` makes, once for all tests of large trees.
fn large() -> &'static [Hash] {
    static LEAVES: std::sync::OnceLock<Vec<Hash>> = std::sync::OnceLock::new();
    LEAVES.get_or_init(|| leaves(65_600))
}

fn at(leaves: &[Hash], size: u64) -> &[Hash] {
    &leaves[..usize::try_from(size).unwrap()]
}

#[test]
fn paths_are_those_of_the_specification() {
    let check = |level, index, width, path: &str| {
        let id = TileId::new(level, index, width).unwrap();
        assert_eq!(id.to_string(), path);
        assert_eq!(path.parse(), Ok(id));
    };
    check(0, 0, 256, "tile/0/000");
    check(0, 5, 256, "tile/0/005");
    check(63, 999, 256, "tile/63/999");
    check(0, 1_000, 256, "tile/0/x001/000");
    check(2, 1_234_067, 256, "tile/2/x001/x234/067");
    check(1, 1_234_067, 8, "tile/1/x001/x234/067.p/8");
    check(0, 0, 1, "tile/0/000.p/1");
    check(0, 0, 255, "tile/0/000.p/255");
    check(0, u64::MAX, 256, "tile/0/x018/x446/x744/x073/x709/x551/615");
}

#[test]
fn other_spellings_are_refused() {
    for path in [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/0/000/",
        "tile/00/000",
        "tile/+0/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/256/000",
        "tile/a/000",
        "tile/entries/000",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/001/000",
        "tile/0/x000/001",
        "tile/0/x001",
        "tile/0/x001/x000",
        "tile/0/x001000",
        "tile/0/X001/000",
        "tile/0/x1/000",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/0/x001/x018/x446/x744/x073/x709/x551/615",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/00",
        "tile/0/000.p/01",
        "tile/0/000.p/+1",
        "tile/0/000.p/256",
        "tile/0/000.p/1/",
        "tile/0/000.p/1.p/1",
        "tile/0/000.P/1",
        "tile/0/000 ",
        "tile/0/00\u{0661}",
        "tile//000",
        "tile/0//000",
        "tile/../tile/0/000",
        "tile/0/000?x",
        "checkpoint",
    ] {
        assert!(path.parse::<TileId>().is_err(), "{path:?}");
    }
    assert!(
        "tile/0/"
            .repeat(10_000)
            .parse::<TileId>()
            .unwrap_err()
            .to_string()
            .len()
            < 500
    );
}

#[test]
fn trees_have_the_tiles_of_the_specification() {
    let check = |size, expected: &[&str]| {
        let found: Vec<_> = TileId::of_tree(size).map(|tile| tile.to_string()).collect();
        assert_eq!(found, expected, "{size}");
    };
    check(0, &[]);
    check(1, &["tile/0/000.p/1"]);
    check(255, &["tile/0/000.p/255"]);
    check(256, &["tile/0/000", "tile/1/000.p/1"]);
    check(257, &["tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]);
    let tiles: Vec<_> = TileId::of_tree(70_000).collect();
    let full = |level| {
        tiles
            .iter()
            .filter(|tile| tile.level() == level && tile.is_full())
            .count()
    };
    let partial: Vec<_> = tiles
        .iter()
        .filter(|tile| !tile.is_full())
        .map(TileId::to_string)
        .collect();
    assert_eq!((full(0), full(1), full(2)), (273, 1, 0));
    assert_eq!(partial, ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]);
    assert_eq!(tiles.len(), 277);
}

#[test]
fn what_a_longer_tree_has_more() {
    for (old, new) in [(0, 0), (1, 1), (256, 256), (600, 599)] {
        assert_eq!(TileId::since(old, new).count(), 0, "{old} {new}");
    }
    for (old, new) in [
        (0, 1),
        (1, 2),
        (255, 256),
        (256, 257),
        (511, 512),
        (200, 70_000),
        (65_535, 65_536),
    ] {
        let before: std::collections::BTreeSet<_> = TileId::of_tree(old).collect();
        let expected: Vec<_> = TileId::of_tree(new).filter(|tile| !before.contains(tile)).collect();
        assert_eq!(TileId::since(old, new).collect::<Vec<_>>(), expected, "{old} {new}");
    }
}

#[test]
fn a_tile_is_covered_when_the_tree_has_all_its_hashes() {
    let check = |path: &str, from: u64| {
        let tile: TileId = path.parse().unwrap();
        assert!(tile.is_covered_by(from), "{path}");
        assert!(!tile.is_covered_by(from - 1), "{path}");
    };
    check("tile/0/000.p/1", 1);
    check("tile/0/000", 256);
    check("tile/0/001.p/3", 259);
    check("tile/1/000.p/1", 256);
    check("tile/1/000", 65_536);
    check("tile/2/000.p/1", 65_536);
    for beyond in [
        "tile/0/x018/x446/x744/x073/x709/x551/615",
        "tile/8/000.p/1",
        "tile/63/000.p/1",
    ] {
        assert!(!beyond.parse::<TileId>().unwrap().is_covered_by(u64::MAX), "{beyond}");
    }
}

#[test]
fn proofs_of_all_small_trees() {
    let leaves = leaves(600);
    let tiles = Tiles::of(&leaves);
    for size in 1..=600 {
        let leaves = at(&leaves, size);
        let root = leaves.iter().copied().collect::<CompactRange>().root();
        assert_eq!(Plan::root(size).read(tiles.get()), Ok(vec![root]), "{size}");
        // Not each pair of them, which takes long; over all sizes each index has its turn many times.
        for index in (0..size).filter(|index| (index * 7 + size) % 17 == 0 || size - index < 3) {
            let read = inclusion(index, size, tiles.get()).unwrap();
            verify_inclusion(index, size, leaves[usize::try_from(index).unwrap()], &read, root).unwrap();
        }
        // The proofs are the very ones that are made from all leaves. Making those takes longer still.
        for other in (0..size).filter(|other| (other * 7 + size) % 211 == 0 || size - other < 2) {
            assert_eq!(
                Some(inclusion(other, size, tiles.get()).unwrap()),
                proof::inclusion(leaves, other)
            );
            assert_eq!(
                Some(consistency(other, size, tiles.get()).unwrap()),
                proof::consistency(leaves, other)
            );
        }
        assert_eq!(consistency(size, size, tiles.get()), Ok(vec![]));
        assert_eq!(
            inclusion(size, size, tiles.get()),
            Err(ReadError::Index { index: size, size })
        );
    }
    let shrunk = ReadError::Shrunk { old: 2, new: 1 };
    assert_eq!(consistency(2, 1, tiles.get()), Err(shrunk));
}

#[test]
fn proofs_where_the_third_level_begins() {
    let leaves = large();
    let mut tiles = Tiles::of(at(leaves, 65_533));
    let mut range: CompactRange = at(leaves, 65_533).iter().copied().collect();
    let mut roots: Vec<(u64, Hash)> = vec![(0, crate::empty_root())];
    for size in [1, 255, 256, 257, 65_279, 65_280, 65_281] {
        roots.push((size, at(leaves, size).iter().copied().collect::<CompactRange>().root()));
    }
    for size in 65_534..=65_540 {
        let leaf = leaves[usize::try_from(size).unwrap() - 1];
        tiles.append(&[leaf]);
        range.append(leaf);
        assert_eq!(tiles.growing.root(), range.root());
        for index in [0, 1, 255, 256, 32_767, 32_768, 65_279, 65_280, size - 2, size - 1] {
            let read = inclusion(index, size, tiles.get()).unwrap();
            assert_eq!(
                Some(&read),
                proof::inclusion(at(leaves, size), index).as_ref(),
                "{index} {size}"
            );
            verify_inclusion(
                index,
                size,
                leaves[usize::try_from(index).unwrap()],
                &read,
                range.root(),
            )
            .unwrap();
        }
        for (old, root) in &roots {
            let read = consistency(*old, size, tiles.get()).unwrap();
            assert_eq!(
                Some(&read),
                proof::consistency(at(leaves, size), *old).as_ref(),
                "{old} {size}"
            );
            verify_extension(*old, size, *root, range.root(), &read).unwrap();
        }
        roots.push((size, range.root()));
    }
}

#[test]
fn a_tile_of_another_length_is_told() {
    let leaves = leaves(300);
    let tiles = Tiles::of(&leaves);
    for change in [-1_isize, 1, -32, 32] {
        let read = inclusion(7, 300, |id| {
            let Ok(mut bytes) = tiles.get()(id);
            bytes.resize(bytes.len().checked_add_signed(change).unwrap(), 0);
            Ok::<_, Infallible>(bytes)
        });
        assert!(matches!(read, Err(ReadError::Length { .. })), "{change}");
    }
    let missing = inclusion(7, 300, |_| Err("gone"));
    assert!(matches!(missing, Err(ReadError::Fetch { source: "gone", .. })));
}

#[test]
fn growing_goes_on_from_the_stored_edge() {
    let leaves = large();
    for size in (0..=600).chain(65_534..=65_538) {
        let tiles = Tiles::of(at(leaves, size));
        let mut resumed = Growing::resume(size, tiles.growing.edge().map(|(_, bytes)| bytes)).unwrap();
        assert_eq!(resumed, tiles.growing, "{size}");
        let next = leaf_hash(b"next");
        let (mut one, mut other) = (tiles.growing.clone(), Vec::new());
        let mut expected = Vec::new();
        one.append(next, |tile| expected.push(tile));
        resumed.append(next, |tile| other.push(tile));
        assert_eq!((&resumed, &other), (&one, &expected), "{size}");
    }
    let short = Growing::resume(257, [vec![0; 32], vec![0; 31]]);
    let tile = TileId::in_tree(1, 0, 257).unwrap();
    assert_eq!(short, Err(GrowError { tile, bytes: 31 }));
    assert!(Growing::resume(1, []).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_path_is_read_back(level in 0..=63_u8, index: u64, width in 1..=256_u16) {
        let id = TileId::new(level, index, width).unwrap();
        prop_assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn what_is_parsed_is_displayed_again(text in "tile/([0-9]{1,3}|entries)(/x?[0-9]{1,4}){0,3}(\\.p/[0-9]{0,4})?") {
        if let Ok(id) = text.parse::<TileId>() {
            prop_assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn any_two_trees(a in 1..65_600_u64, b in 1..65_600_u64, leaf: prop::sample::Index) {
        static TILES: std::sync::OnceLock<Tiles> = std::sync::OnceLock::new();
        let tiles = TILES.get_or_init(|| Tiles::of(large()));
        let (old, new) = (a.min(b), a.max(b));
        let root = |size| Plan::root(size).read(tiles.get()).unwrap()[0];
        let read = consistency(old, new, tiles.get()).unwrap();
        prop_assert_eq!(verify_consistency(old, new, root(old), root(new), &read), Ok(()));
        let index = leaf.index(usize::try_from(new).unwrap());
        let (leaf, index) = (large()[index], u64::try_from(index).unwrap());
        let read = inclusion(index, new, tiles.get()).unwrap();
        prop_assert_eq!(verify_inclusion(index, new, leaf, &read, root(new)), Ok(()));
        // Few tiles are enough.
        prop_assert!(Plan::inclusion(index, new).unwrap().tiles().len() <= 6);
    }
}
