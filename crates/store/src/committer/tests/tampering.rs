//! Whoever changes the stored log is found out, and where.

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, SqliteConnection};
use tempfile::TempDir;

use super::{
    super::shard::Shard,
    world::{World, denied, ended, key_issued, tenant},
};
use crate::{
    Batch, BatchError, DataDir, Reader, StoreError,
    packing::{
        Form,
        tests::{store_as, stored, write_stored},
    },
};

/// A log of eight entries in five batches: 0 to 3, then 4, 5, 6 and 7.
async fn world() -> World {
    let world = World::new().await;
    world.held(1, 100).await.settle(ended(30));
    world.open_is(0).await;
    world.change(vec![key_issued("kb")]).await.unwrap();
    world.handle.deny(denied(2)).await.unwrap();
    world
}

/// Folds batches, and says what is wrong with them.
fn fold(batches: &[Batch]) -> Result<(), BatchError> {
    let mut shard = Shard::new(tenant());
    let mut folded = batches.iter();
    folded.try_for_each(|batch| batch.fold(&mut shard.state, &mut shard.range, |_, _| {}))
}

#[tokio::test]
async fn no_byte_can_be_changed() {
    let world = world().await;
    let batches: Vec<Batch> = world.reader.batches(&tenant(), 0).try_collect().await.unwrap();
    let shape: Vec<_> = batches.iter().map(|batch| (batch.first_index, batch.count)).collect();
    assert_eq!(shape, [(0, 4), (4, 1), (5, 1), (6, 1), (7, 1)]);
    assert_eq!(fold(&batches), Ok(()));
    for (at, batch) in batches.iter().enumerate() {
        let fields: [fn(&mut Batch) -> &mut [u8]; 3] = [|it| &mut it.root.0, |it| &mut it.range, |it| &mut it.entries];
        for field in fields {
            for byte in 0..field(&mut batch.clone()).len() {
                let mut changed = batches.clone();
                field(&mut changed[at])[byte] ^= 1;
                let error = fold(&changed).expect_err("a changed byte");
                let (first, last) = (batch.first_index, batch.first_index + batch.count - 1);
                // It names an entry of the batch that was changed.
                let found = match error {
                    BatchError::Entry { index, .. } | BatchError::Range { index, .. } => index,
                    BatchError::Root(index) | BatchError::Framing(index) => index,
                    other => panic!("{other}"),
                };
                assert!((first..=last).contains(&found), "batch {at}, byte {byte}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn a_start_says_which_entry() {
    for (what, sql, expected) in [
        (
            "an amount",
            "UPDATE batch SET entries = CAST(replace(CAST(entries AS TEXT), '\"cost\":30', '\"cost\":31') AS BLOB) WHERE first_index = 5",
            "the tree head after entry 5 is not that of the entries up to it",
        ),
        (
            "a name",
            "UPDATE batch SET entries = CAST(replace(CAST(entries AS TEXT), '\"kb\"', '\"ka\"') AS BLOB) WHERE first_index = 6",
            "entry 6: the entry does not fit what came before: a credential of this id was issued before",
        ),
        (
            "an entry cut short",
            "UPDATE batch SET entries = substr(entries, 1, length(entries) - 1) WHERE first_index = 4",
            "the batch of entry 4 does not divide into its entries",
        ),
        (
            "an entry that is none",
            "UPDATE batch SET entries = X'00027B7D' WHERE first_index = 4",
            "entry 4: not a readable entry: missing field `v`",
        ),
        (
            "no entries",
            "UPDATE batch SET entries = X'', count = 0 WHERE first_index = 7",
            "the batch of entry 7 does not divide into its entries",
        ),
        (
            "a count",
            "UPDATE batch SET count = 2 WHERE first_index = 4",
            "the batch of entry 4 does not divide into its entries",
        ),
        (
            "a root",
            "UPDATE batch SET root = zeroblob(32) WHERE first_index = 6",
            "the tree head after entry 6 is not that of the entries up to it",
        ),
        (
            "a short root",
            "UPDATE batch SET root = zeroblob(31) WHERE first_index = 6",
            "the batch of entry 6 has an unreadable root",
        ),
        (
            "a short id",
            "UPDATE batch SET batch_id = X'01' WHERE first_index = 6",
            "the batch of entry 6 has an unreadable batch_id",
        ),
        (
            "a range",
            "UPDATE batch SET range = zeroblob(length(range)) WHERE first_index = 7",
            "the tree head after entry 7 is not that of the entries up to it",
        ),
        (
            "a short range",
            "UPDATE batch SET range = X'00' WHERE first_index = 7",
            "the stored compact range after entry 7 does not fit",
        ),
        (
            "no range where one is kept",
            "UPDATE batch SET range = X'' WHERE first_index = 7",
            "the stored compact range after entry 7 does not fit",
        ),
        (
            "a range where none is kept",
            "UPDATE batch SET range = zeroblob(64) WHERE first_index = 5",
            "the tree head after entry 5 is not that of the entries up to it",
        ),
        (
            "an epoch",
            "UPDATE batch SET epoch = epoch - 1 WHERE first_index = 5",
            "the head after entry 5 says another epoch or time",
        ),
        (
            "a time",
            "UPDATE batch SET time_us = time_us + 1 WHERE first_index = 5",
            "the head after entry 5 says another epoch or time",
        ),
        (
            "the first batch gone",
            "DELETE FROM batch WHERE tenant = 'default' AND first_index = 0",
            "entry 0 should come next, but the next stored batch starts with entry 4",
        ),
        (
            "a batch gone",
            "DELETE FROM batch WHERE first_index = 5",
            "entry 5 should come next, but the next stored batch starts with entry 6",
        ),
        (
            "two batches swapped",
            "UPDATE batch SET first_index = 100 WHERE first_index = 6;
             UPDATE batch SET first_index = 6 WHERE first_index = 7;
             UPDATE batch SET first_index = 7 WHERE first_index = 100",
            "entry 6: expected the entry with index 6, found 7",
        ),
        (
            "a batch twice",
            "INSERT INTO batch SELECT tenant, 9, count, batch_id, boot, epoch, time_us, root, range, entries, form FROM batch WHERE first_index = 8",
            "entry 9: expected the entry with index 9, found 8",
        ),
        (
            "another tenant's batch",
            "UPDATE batch SET tenant = 'other' WHERE tenant = 'default'",
            "the log of tenant other does not fit together: entry 0: an entry of tenant default in the log of tenant other",
        ),
        (
            "an unreadable tenant",
            "UPDATE batch SET tenant = 'No Name' WHERE tenant = 'default'",
            "the database holds an unreadable name",
        ),
    ] {
        // Whoever can pack is found out just the same.
        for packed in [false, true] {
            let world = world().await;
            let clock = world.clock.clone();
            let dir = world.stop().await;
            let mut connection = connect(&dir).await;
            store_as(&mut connection, false).await;
            connection.execute(AssertSqlSafe(sql)).await.unwrap();
            if packed {
                store_as(&mut connection, true).await;
            }
            connection.close().await.unwrap();
            let Err((_, error)) = World::open(dir, clock, &[]).await else {
                panic!("{what} goes unnoticed")
            };
            assert!(error.to_string().contains(expected), "{what}: {error}");
            let right_kind = matches!(error, StoreError::Corrupt { .. } | StoreError::Name(_));
            assert!(right_kind, "{what}: {error:?}");
        }
    }
}

async fn connect(dir: &TempDir) -> SqliteConnection {
    let url = format!("sqlite://{}", DataDir::database(dir.path()).display());
    SqliteConnection::connect(&url).await.unwrap()
}

/// The bytes as they stand in the database: packed they are others than those that the tree is of.
#[tokio::test]
async fn no_stored_byte_can_be_changed() {
    let dir = world().await.stop().await;
    let mut connection = connect(&dir).await;
    let reader = Reader::open(dir.path()).await.unwrap();
    let batches: Vec<Batch> = reader.batches(&tenant(), 0).try_collect().await.unwrap();
    let mut rows = stored(&mut connection).await;
    let rows = rows.split_off(rows.len() - batches.len());
    assert!(
        rows.iter().all(|(_, form, _)| *form == Form::Lz4.number()),
        "all are packed"
    );
    for ((row, form, stored), batch) in rows.iter().zip(&batches) {
        let changed = (0..stored.len()).map(|at| {
            let mut stored = stored.clone();
            stored[at] ^= 1;
            (*form, stored)
        });
        let cut = [(*form, stored[1..].to_vec()), (*form, Vec::new())];
        let other = [(2, stored.clone()), (-1, stored.clone())];
        for (form, bytes) in changed.chain(cut).chain(other) {
            write_stored(&mut connection, *row, form, &bytes).await;
            let read: Result<Vec<Batch>, StoreError> = reader.batches(&tenant(), 0).try_collect().await;
            let Err(StoreError::Corrupt { source, .. }) = read else {
                panic!("batch {}, {form}: {bytes:?}", batch.first_index)
            };
            let (first_index, column) = (batch.first_index, "bundle of entries");
            assert_eq!(source, BatchError::Column { first_index, column });
        }
        // Packed bytes that are said to be plain are no entries.
        write_stored(&mut connection, *row, 0, stored).await;
        let read: Vec<Batch> = reader.batches(&tenant(), 0).try_collect().await.unwrap();
        assert_eq!(fold(&read), Err(BatchError::Framing(batch.first_index)));
        write_stored(&mut connection, *row, *form, stored).await;
    }
    let read: Vec<Batch> = reader.batches(&tenant(), 0).try_collect().await.unwrap();
    assert_eq!(read, batches);
}

/// What the fold alone cannot see: a log whose end was cut off is a log. The last signed checkpoint tells.
#[tokio::test]
async fn a_log_without_its_end_is_a_log() {
    let world = world().await;
    let batches: Vec<Batch> = world.reader.batches(&tenant(), 0).try_collect().await.unwrap();
    for end in 0..batches.len() {
        assert_eq!(fold(&batches[..end]), Ok(()));
    }
}
