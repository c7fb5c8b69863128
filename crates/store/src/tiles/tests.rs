//! Tiles of a real database in a temporary directory, whatever happens to their file.

use std::{convert::Infallible, fs, path::PathBuf};

use model::{BatchId, Timestamp};
use sqlx::{Executor as _, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use tlog::{CompactRange, leaf_hash, proof, tile};

use super::*;
use crate::{
    DataDir, Store,
    db::faults::Fate::{self, Fails, FailsButLands, Works},
    log,
    packing::tests::store_as,
};

/// A log that a test writes, of entries of its own making: tiles do not ask what an entry says.
struct World {
    store: Store,
    tiles: Tiles,
    entries: Vec<Vec<u8>>,
    range: CompactRange,
    _lock: DataDir,
    dir: TempDir,
}

fn tenant() -> TenantName {
    TenantName::default_tenant()
}

fn other() -> TenantName {
    TenantName::new("other").unwrap()
}

impl World {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let lock = DataDir::open(dir.path()).unwrap();
        let store = Store::open(&lock).await.unwrap();
        let tiles = Tiles::new(dir.path(), store.reader().clone(), 0);
        Self {
            store,
            tiles,
            entries: Vec::new(),
            range: CompactRange::new(),
            _lock: lock,
            dir,
        }
    }

    fn size(&self) -> u64 {
        self.range.size()
    }

    /// Another program that reads the same files.
    fn again(&self) -> Tiles {
        Tiles::new(self.dir.path(), self.store.reader().clone(), 0)
    }

    async fn append_to(&mut self, tenant: &TenantName, count: u64) {
        let first_index = self.size();
        let mut entries = Vec::new();
        for index in first_index..first_index + count {
            let entry = format!("entry {index}").into_bytes();
            self.range.append(leaf_hash(&entry));
            log::push(&mut entries, &entry);
            self.entries.push(entry);
        }
        let batch = Batch {
            first_index,
            count,
            id: BatchId::from_bytes([u8::try_from(first_index % 251).unwrap(); 16]),
            boot: 1,
            epoch: 0,
            time: Timestamp::from_unix_micros(0),
            root: self.range.root(),
            range: self.range.to_bytes(),
            entries,
        };
        self.store
            .append(vec![(tenant.clone(), batch)], Vec::new(), Vec::new())
            .await
            .unwrap();
    }

    async fn append(&mut self, count: u64) {
        self.append_to(&tenant(), count).await;
    }

    async fn catch_up(&self) -> Hash {
        self.tiles.catch_up(&tenant(), self.size()).await.unwrap()
    }

    /// Every tile and bundle of some sizes is what the entries make it.
    async fn check(&self, tiles: &Tiles, sizes: impl IntoIterator<Item = u64>) {
        // As the signer does; batches end there.
        assert_eq!(tiles.catch_up(&tenant(), self.size()).await.unwrap(), self.range.root());
        for size in sizes {
            let leaves = self.entries.iter().map(|entry| leaf_hash(entry));
            let root = leaves
                .take(usize::try_from(size).unwrap())
                .collect::<CompactRange>()
                .root();
            assert_eq!(tiles.catch_up(&tenant(), size).await.unwrap(), root, "{size}");
            let mut held = std::collections::BTreeMap::new();
            for id in TileId::of_tree(size) {
                let hashes = tiles.tile(&tenant(), id, self.size()).await.unwrap().unwrap();
                assert_eq!(hashes.len(), id.bytes(), "{id}");
                held.insert(id, hashes);
            }
            let read = Plan::root(size).read(|id| Ok::<_, Infallible>(held[&id].clone()));
            assert_eq!(read, Ok(vec![root]), "{size}");
            for id in BundleId::since(0, size) {
                let found = tiles.bundle(&tenant(), id, self.size()).await.unwrap();
                let Some(Bundle::Whole(bytes)) = found else {
                    panic!("{id}: {found:?}")
                };
                let first = usize::try_from(id.first().unwrap()).unwrap();
                assert_eq!(
                    bundle::split(&bytes).unwrap(),
                    self.entries[first..first + usize::from(id.width())]
                );
            }
        }
    }

    fn path(&self) -> PathBuf {
        file::path(self.dir.path())
    }

    /// Does something to a database that nobody else writes to.
    async fn execute(&self, path: PathBuf, sql: &'static str) {
        let options = SqliteConnectOptions::new().filename(&path);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        if path == DataDir::database(self.dir.path()) {
            // What is plain can be changed in SQL.
            store_as(&mut connection, false).await;
        }
        connection.execute(sql).await.unwrap();
        connection.close().await.unwrap();
    }
}

#[tokio::test]
async fn every_tile_of_every_width_is_there() {
    let mut world = World::new().await;
    assert_eq!(world.catch_up().await, tlog::empty_root());
    for count in [1, 1, 3, 250, 1, 1, 255, 88, 1_000] {
        world.append(count).await;
        assert_eq!(world.catch_up().await, world.range.root());
    }
    // Any size that a checkpoint had is served for ever, and any other one too.
    world
        .check(&world.tiles, [1, 2, 5, 255, 256, 257, 512, 599, 600, 1_600])
        .await;
    let absent = ["tile/0/006.p/65", "tile/0/007", "tile/1/000.p/7", "tile/2/000.p/1"];
    for path in absent {
        let found = world.tiles.tile(&tenant(), path.parse().unwrap(), world.size()).await;
        assert_eq!(found.unwrap(), None, "{path}");
    }
    for path in ["tile/entries/006.p/65", "tile/entries/007.p/1"] {
        let found = world.tiles.bundle(&tenant(), path.parse().unwrap(), world.size()).await;
        assert_eq!(found.unwrap(), None, "{path}");
    }
    let nobody = world.tiles.tile(&other(), "tile/0/000.p/1".parse().unwrap(), 0).await;
    assert_eq!(nobody.unwrap(), None);
}

#[tokio::test]
async fn the_third_level_and_many_pages() {
    let mut world = World::new().await;
    for _ in 0..65 {
        world.append(1_000).await;
    }
    // More batches than a page has.
    for _ in 0..600 {
        world.append(1).await;
    }
    assert_eq!(world.catch_up().await, world.range.root());
    world
        .check(
            &world.again(),
            [65_000, 65_534, 65_535, 65_536, 65_537, 65_538, world.size()],
        )
        .await;
    let third = world
        .tiles
        .tile(&tenant(), "tile/2/000.p/1".parse().unwrap(), world.size())
        .await;
    assert_eq!(third.unwrap().unwrap().len(), 32);
}

#[tokio::test]
async fn proofs_without_reading_the_log() {
    let mut world = World::new().await;
    let plan = Plan::inclusion(300, 700).unwrap();
    let readonly = world.again();
    world.append(700).await;
    assert_eq!(readonly.proof(&tenant(), &plan).await.unwrap(), None, "no file");
    assert!(!world.path().exists(), "a program beside the server makes none");
    world.catch_up().await;
    let proof = readonly.proof(&tenant(), &plan).await.unwrap().unwrap();
    let (leaf, root) = (leaf_hash(&world.entries[300]), world.range.root());
    tlog::proof::verify_inclusion(300, 700, leaf, &proof, root).unwrap();
    let longer = readonly.proof(&tenant(), &Plan::inclusion(300, 701).unwrap()).await;
    assert_eq!(longer.unwrap(), None, "more than there is");
    assert_eq!(
        tile::inclusion(300, 300, |_| Ok::<_, ()>(vec![])),
        Err(ReadError::Index { index: 300, size: 300 })
    );
}

#[tokio::test]
async fn a_head_that_is_older_than_the_log_has_its_own_root() {
    let mut world = World::new().await;
    world.append(300).await;
    let (size, root) = (world.size(), world.range.root());
    world.append(300).await;
    assert_eq!(world.tiles.catch_up(&tenant(), size).await.unwrap(), root);
    assert_eq!(world.catch_up().await, world.range.root());
    assert_eq!(world.tiles.catch_up(&tenant(), size).await.unwrap(), root);
    let beyond = world.tiles.catch_up(&tenant(), 601).await;
    assert!(
        matches!(beyond, Err(StoreError::Corrupt { .. })),
        "the log is shorter than the head: {beyond:?}"
    );
}

#[tokio::test]
async fn a_write_is_all_or_nothing_whatever_becomes_of_it() {
    let orders: [&[Fate]; 5] = [
        &[Fails],
        &[FailsButLands],
        &[Works, Fails],
        &[Works, FailsButLands],
        &[Fails, FailsButLands],
    ];
    for fates in orders {
        let mut world = World::new().await;
        world.append(200).await;
        world.catch_up().await;
        for _ in 0..300 {
            world.append(1).await;
        }
        for fate in fates {
            world.tiles.faults().order(*fate);
        }
        for _ in fates.iter().filter(|fate| **fate != Works) {
            let failed = world.tiles.catch_up(&tenant(), world.size()).await;
            // What landed is read again; nothing is left to do if all of it did.
            assert!(failed.is_err(), "{fates:?}");
        }
        world.check(&world.tiles, [200, 256, 456, 500]).await;
        world.check(&world.again(), [500]).await;
    }
}

/// What is done to the file while nobody has it open. It must be made again, without a word from outside.
const REMADE: [&str; 9] = [
    "PRAGMA user_version = 99",
    "DROP TABLE tile; PRAGMA user_version = 0",
    "UPDATE log SET size = size + 1",
    "UPDATE log SET size = size - 1",
    "UPDATE log SET root = zeroblob(32)",
    "UPDATE log SET root = x'00'",
    "DELETE FROM tile",
    "UPDATE tile SET hashes = zeroblob(length(hashes)) WHERE level = 0",
    "UPDATE tile SET hashes = substr(hashes, 1, 32) WHERE level = 1",
];

#[tokio::test]
async fn a_file_that_is_not_of_this_log_is_made_again() {
    for sql in REMADE {
        let mut world = World::new().await;
        world.append(700).await;
        world.catch_up().await;
        world.tiles.close().await;
        world.execute(world.path(), sql).await;
        world.check(&world.tiles, [1, 256, 257, 600, 700]).await;
    }
    let mut world = World::new().await;
    world.append(700).await;
    for bytes in [
        &b""[..],
        b"no database at all, but longer than a hundred bytes, which SQLite looks at before it says so: ..........",
    ] {
        world.tiles.close().await;
        fs::write(world.path(), bytes).unwrap();
        world.check(&world.tiles, [1, 700]).await;
    }
}

#[tokio::test]
async fn a_file_that_goes_or_is_damaged_while_it_is_open_is_made_again() {
    let mut world = World::new().await;
    world.append(700).await;
    world.catch_up().await;
    for suffix in ["", "-wal", "-shm"] {
        let mut path = world.path().into_os_string();
        path.push(suffix);
        let _ = fs::remove_file(path);
    }
    world.append(1).await;
    world.check(&world.tiles, [1, 700, 701]).await;
    // A full tile, which is never read to grow: found out when somebody asks for it.
    world
        .execute(
            world.path(),
            "UPDATE tile SET hashes = zeroblob(8192) WHERE place = 1 AND level = 0",
        )
        .await;
    world.check(&world.tiles, [701]).await;
    world.execute(world.path(), "DELETE FROM tile WHERE place = 1").await;
    world.check(&world.tiles, [701]).await;
    // Found out when a root of an earlier size is needed, or a proof.
    let leaves: Vec<Hash> = world.entries.iter().map(|entry| leaf_hash(entry)).collect();
    let root: CompactRange = leaves[..300].iter().copied().collect();
    for sql in [
        "UPDATE tile SET hashes = zeroblob(8192) WHERE place = 1 AND level = 0",
        "DELETE FROM tile WHERE place = 1",
        "UPDATE tile SET hashes = zeroblob(8192), digest = x'' WHERE place = 0 AND level = 0",
    ] {
        world.execute(world.path(), sql).await;
        assert_eq!(
            world.tiles.catch_up(&tenant(), 300).await.unwrap(),
            root.root(),
            "{sql}"
        );
        world.catch_up().await;
        world.execute(world.path(), sql).await;
        let proof = world.tiles.consistency(&tenant(), 300, 701).await.unwrap();
        assert_eq!(proof, proof::consistency(&leaves, 300).unwrap(), "{sql}");
        assert_eq!(world.tiles.consistency(&tenant(), 0, 701).await.unwrap(), [], "{sql}");
    }
    assert!(world.tiles.consistency(&tenant(), 702, 701).await.is_err());
}

#[tokio::test]
async fn a_log_that_was_changed_gets_no_tiles() {
    for sql in [
        "UPDATE batch SET entries = CAST(replace(entries, CAST('entry 512' AS BLOB), CAST('entry 513' AS BLOB)) AS BLOB)",
        "UPDATE batch SET root = zeroblob(32) WHERE first_index = 600",
        "UPDATE batch SET entries = substr(entries, 1, 400) WHERE first_index = 300",
        "UPDATE batch SET count = count - 1 WHERE first_index = 300",
        "DELETE FROM batch WHERE first_index = 300",
    ] {
        let mut world = World::new().await;
        world.append(300).await;
        world.append(300).await;
        world.append(300).await;
        let suspicion = world.store.suspicion();
        world.execute(DataDir::database(world.dir.path()), sql).await;
        let caught = world.tiles.catch_up(&tenant(), world.size()).await;
        assert!(matches!(caught, Err(StoreError::Corrupt { .. })), "{sql}: {caught:?}");
        // The committer is told, once.
        tokio::time::timeout(std::time::Duration::from_secs(5), suspicion.notified())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn entries_that_were_changed_behind_their_tiles_are_not_given_out() {
    let mut world = World::new().await;
    world.append(300).await;
    world.catch_up().await;
    let sql =
        "UPDATE batch SET entries = CAST(replace(entries, CAST('entry 7' AS BLOB), CAST('entry 8' AS BLOB)) AS BLOB)";
    world.execute(DataDir::database(world.dir.path()), sql).await;
    let bundle = world
        .tiles
        .bundle(&tenant(), "tile/entries/000".parse().unwrap(), 300)
        .await;
    assert!(matches!(bundle, Err(StoreError::Corrupt { .. })), "{bundle:?}");
    let whole = world
        .tiles
        .bundle(&tenant(), "tile/entries/001.p/44".parse().unwrap(), 300)
        .await;
    assert!(whole.is_ok_and(|bytes| bytes.is_some()));
}

#[tokio::test]
async fn a_log_that_is_far_behind_waits_while_the_disk_is_full() {
    let mut world = World::new().await;
    world.append(3).await;
    let tiles = Tiles::new(world.dir.path(), world.store.reader().clone(), u64::MAX);
    // What each checkpoint needs is written all the same.
    assert_eq!(tiles.catch_up(&tenant(), 3).await.unwrap(), world.range.root());
    for _ in 0..300 {
        world.append(1).await;
    }
    let waits = tiles.catch_up(&tenant(), world.size()).await;
    assert!(
        matches!(&waits, Err(StoreError::Tiles(why)) if why.contains("make room")),
        "{waits:?}"
    );
}

#[tokio::test]
async fn one_entry_by_its_index() {
    let mut world = World::new().await;
    world.append(3).await;
    world.append(2).await;
    for index in 0..5_u64 {
        let found = world.store.reader().entry(&tenant(), index).await.unwrap();
        assert_eq!(found, Some(Stored::Kept(format!("entry {index}").into_bytes())));
    }
    assert_eq!(world.store.reader().entry(&tenant(), 5).await.unwrap(), None);
    assert_eq!(world.store.reader().entry(&other(), 0).await.unwrap(), None);
}

#[tokio::test]
async fn tiles_are_made_again_after_entries_were_let_go() {
    let mut world = World::new().await;
    world.append(300).await;
    let root = world.catch_up().await;
    let batch = world.store.reader().page(&tenant(), 0).await.unwrap().remove(0);
    let mut range = CompactRange::new();
    let gone = |index, _: &[u8]| Ok(index < 300 && index % 50 == 7);
    let entries = crate::db::retention::without(&batch, &mut range, gone)
        .unwrap()
        .unwrap();
    let release = crate::db::retention::Release {
        tenant: tenant(),
        snapshot: 0,
        batches: vec![(0, entries)],
    };
    world.store.let_go(release).await.unwrap();
    world.tiles.close().await;
    fs::remove_file(world.path()).unwrap();
    let again = world.again();
    assert_eq!(again.catch_up(&tenant(), 300).await.unwrap(), root);
    for (path, expected) in [
        ("tile/entries/000", 5),
        ("tile/entries/001.p/44", 1),
        ("tile/entries/001.p/1", 0),
    ] {
        let found = again
            .bundle(&tenant(), path.parse().unwrap(), 300)
            .await
            .unwrap()
            .unwrap();
        let first = if path.ends_with("000") { 0 } else { 256 };
        match found {
            Bundle::Whole(bytes) => {
                let last = first + bundle::split(&bytes).unwrap().len();
                assert_eq!(bundle::split(&bytes).unwrap(), world.entries[first..last]);
                assert_eq!(expected, 0, "{path}");
            }
            Bundle::Pruned { gone, kept } => {
                assert_eq!(gone, expected, "{path}");
                for (stored, entry) in tlog::kept::split(&kept).unwrap().iter().zip(&world.entries[first..]) {
                    assert_eq!(stored.leaf(), leaf_hash(entry));
                }
            }
        }
    }
    let found = world.store.reader().entry(&tenant(), 7).await.unwrap();
    assert_eq!(found, Some(Stored::Gone(leaf_hash(b"entry 7"))));
}

#[tokio::test]
async fn what_was_closed_is_one_file() {
    let mut world = World::new().await;
    world.append(3).await;
    world.catch_up().await;
    let id = TileId::of_tree(3).next().unwrap();
    assert!(
        world.tiles.tile(&tenant(), id, 3).await.unwrap().is_some(),
        "somebody reads"
    );
    let log = world.dir.path().join("tiles.db-wal");
    assert!(log.exists());
    world.tiles.close().await;
    assert!(!log.exists());
}

/// Who asks for a piece may leave at any time: what is made again is made to the end all the same, once.
#[tokio::test]
async fn what_is_made_again_does_not_end_with_who_asked() {
    let mut world = World::new().await;
    world.append(700).await;
    let (id, tenant): (TileId, _) = ("tile/0/001".parse().unwrap(), tenant());
    // Nothing can be made for as long as this is held.
    let held = world.tiles.inner.file.lock().await;
    for _ in 0..20 {
        let asked = world.tiles.tile(&tenant, id, 700);
        let left = tokio::time::timeout(std::time::Duration::from_millis(20), asked).await;
        assert!(left.is_err());
    }
    drop(held);
    let made = async {
        loop {
            match world.tiles.inner.read(&tenant, id).await {
                Ok(Some(hashes)) => return hashes,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    let made = tokio::time::timeout(std::time::Duration::from_secs(20), made).await;
    let leaves: Vec<u8> = world.entries[256..512]
        .iter()
        .flat_map(|entry| leaf_hash(entry).0)
        .collect();
    assert_eq!(made.expect("it is never made"), leaves);
    // One task made it: the turns of all who left are over with it.
    let turn = tokio::time::timeout(std::time::Duration::from_secs(20), world.tiles.inner.making.acquire()).await;
    drop(turn.expect("its turn never ends").unwrap());
    while Arc::strong_count(&world.tiles.inner) > 1 {
        tokio::task::yield_now().await;
    }
}
