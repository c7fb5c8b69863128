//! Notes, tiles and proofs of ours, read by implementations of other people: the crates `signed_note` and `tlog_tiles`.
//!
//! One log grows entry by entry. At each size somebody reads it who knows nothing but the checkpoint's key, and takes every
//! hash from the tiles as they are then.

use std::{cell::RefCell, collections::BTreeMap};

use tlog::{
    Hash,
    checkpoint::{Checkpoint, Origin},
    leaf_hash,
    note::SigningKey,
    proof,
    tile::{self, Growing, Plan, TileId},
};
use tlog_tiles::{
    Checkpoint as OtherCheckpoint, Error as OtherError, HashReader as _, Tile, TileHashReader, TileReader,
    check_record, check_tree, prove_record, prove_tree, record_hash, stored_hash_index, tree_hash,
};

const NAME: &str = "bailiwick.example/acme";

/// A log with its tiles.
struct Log {
    growing: Growing,
    full: BTreeMap<(u8, u64), Vec<u8>>,
    edge: BTreeMap<(u8, u64), Vec<u8>>,
    roots: Vec<Hash>,
    key: SigningKey,
    /// What was read, by our names.
    asked: RefCell<Vec<TileId>>,
}

fn entry(index: u64) -> Vec<u8> {
    format!("entry {index}").into_bytes()
}

fn other(hash: Hash) -> tlog_tiles::Hash {
    tlog_tiles::Hash(hash.0)
}

fn ours(proof: &[tlog_tiles::Hash]) -> Vec<Hash> {
    proof.iter().map(|hash| Hash(hash.0)).collect()
}

impl Log {
    fn new() -> Self {
        Self {
            growing: Growing::new(),
            full: BTreeMap::new(),
            edge: BTreeMap::new(),
            roots: vec![tlog::empty_root()],
            key: SigningKey::from_seed(NAME, &[7; 32]).unwrap(),
            asked: RefCell::default(),
        }
    }

    fn grow_to(&mut self, size: u64) {
        for index in self.growing.size()..size {
            let full = &mut self.full;
            self.growing.append(leaf_hash(&entry(index)), |tile| {
                full.insert((tile.id.level(), tile.id.index()), tile.bytes);
            });
            self.roots.push(self.growing.root());
        }
        let edge = self.growing.edge();
        self.edge = edge.map(|(id, bytes)| ((id.level(), id.index()), bytes)).collect();
    }

    fn tile(&self, id: TileId) -> Option<Vec<u8>> {
        let place = (id.level(), id.index());
        let bytes = self.full.get(&place).or_else(|| self.edge.get(&place))?;
        bytes.get(..id.bytes()).map(<[u8]>::to_vec)
    }

    fn root(&self, size: u64) -> Hash {
        self.roots[usize::try_from(size).unwrap()]
    }

    /// The checkpoint as somebody else reads it.
    fn checkpoint(&self) -> OtherCheckpoint {
        let size = self.growing.size();
        let checkpoint = Checkpoint {
            origin: Origin::new(NAME).unwrap(),
            size,
            root: self.root(size),
        };
        let text = checkpoint.sign(&self.key).unwrap().to_string();
        let vkey = self.key.verifier().to_string();
        let verifier = signed_note::StandardVerifier::new(&vkey).unwrap();
        let known = signed_note::VerifierList::new(vec![Box::new(verifier)]);
        let note = signed_note::Note::from_bytes(text.as_bytes()).unwrap();
        let (verified, unverified) = note.verify(&known).unwrap();
        assert_eq!((verified.len(), unverified.len()), (1, 0));
        assert_eq!(note.to_bytes(), text.as_bytes());
        let read = OtherCheckpoint::from_bytes(note.text()).unwrap();
        assert_eq!((read.origin(), read.size(), read.extension()), (NAME, size, ""));
        read
    }

    /// Checks everything about these leaves and these earlier sizes, as of now.
    fn check(&self, leaves: impl IntoIterator<Item = u64>, earlier: impl IntoIterator<Item = u64>) {
        let checkpoint = self.checkpoint();
        let (size, root) = (checkpoint.size(), *checkpoint.hash());
        // Whatever it gives was found to be in the tree with this root.
        let reader = TileHashReader::new(size, root, self);
        assert_eq!(tree_hash(size, &reader).unwrap(), root, "{size}");
        for index in leaves {
            let leaf = record_hash(&entry(index));
            assert_eq!(
                reader.read_hashes(&[stored_hash_index(0, index)]).unwrap(),
                [leaf],
                "{index} of {size}"
            );
            let proof = prove_record(size, index, &reader).unwrap();
            check_record(&proof, size, root, index, leaf).unwrap();
            let read = tile::inclusion(index, size, |id| self.tile(id).ok_or(())).unwrap();
            assert_eq!(ours(&proof), read, "{index} of {size}");
            proof::verify_inclusion(index, size, Hash(leaf.0), &read, Hash(root.0)).unwrap();
        }
        for old in earlier {
            let proof = prove_tree(size, old, &reader).unwrap();
            check_tree(&proof, size, root, old, other(self.root(old))).unwrap();
            let read = tile::consistency(old, size, |id| self.tile(id).ok_or(())).unwrap();
            assert_eq!(ours(&proof), read, "{old} of {size}");
            assert_eq!(
                Plan::root(old).read(|id| self.tile(id).ok_or(())),
                Ok(vec![self.root(old)])
            );
        }
        // It asked for tiles of this very tree, and for no others.
        for id in self.asked.take() {
            assert_eq!(TileId::in_tree(id.level(), id.index(), size), Some(id), "{size}");
        }
    }
}

impl TileReader for Log {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, OtherError> {
        let read = |tile: &Tile| {
            // Its paths have the height in them, which is always eight in this format.
            let path = tile.path().replacen("tile/8/", "tile/", 1);
            let id: TileId = path.parse().unwrap_or_else(|error| panic!("{error}"));
            self.asked.borrow_mut().push(id);
            self.tile(id).ok_or(OtherError::InvalidTile)
        };
        tiles.iter().map(read).collect()
    }

    fn save_tiles(&self, _tiles: &[Tile], _data: &[Vec<u8>]) {}
}

#[test]
fn sizes_from_1_to_600() {
    let mut log = Log::new();
    for size in 1..=600_u64 {
        log.grow_to(size);
        // All leaves of some sizes; over all sizes, each leaf again and again.
        let all = [1, 2, 3, 255, 256, 257, 511, 512, 513].contains(&size);
        let leaves = (0..size).filter(|index| all || (index * 7 + size) % 53 == 0 || size - index < 3);
        let earlier = (1..=size).filter(|old| all || (old * 5 + size) % 53 == 0 || size - old < 3);
        log.check(leaves, earlier);
    }
}

#[test]
fn sizes_where_the_third_level_begins() {
    let mut log = Log::new();
    for size in [65_534, 65_535, 65_536, 65_537, 65_538] {
        log.grow_to(size);
        let places = [0, 1, 255, 256, 32_767, 32_768, 65_279, 65_280, size - 2, size - 1];
        log.check(places, places.into_iter().skip(1).chain([size]));
    }
}

#[test]
fn another_leaf_or_root_is_refused_by_them_too() {
    let mut log = Log::new();
    log.grow_to(300);
    let root = other(log.root(300));
    let proof = tile::inclusion(7, 300, |id| log.tile(id).ok_or(())).unwrap();
    let proof: Vec<_> = proof.into_iter().map(other).collect();
    check_record(&proof, 300, root, 7, record_hash(&entry(7))).unwrap();
    assert!(check_record(&proof, 300, root, 7, record_hash(&entry(8))).is_err());
    assert!(check_record(&proof, 300, root, 8, record_hash(&entry(7))).is_err());
    // A tile with a flipped bit.
    log.edge.get_mut(&(0, 1)).unwrap()[40] ^= 1;
    let reader = TileHashReader::new(300, root, &log);
    assert!(reader.read_hashes(&[stored_hash_index(0, 270)]).is_err());
}
