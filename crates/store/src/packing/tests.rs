use proptest::{collection::vec, prelude::*};
use sqlx::SqliteConnection;

use super::*;

/// Entries of model calls, intents and outcomes in turn, as a running server wrote them: none is in the dictionary.
const TYPICAL: &str = include_str!("typical.jsonl");

/// A batch of the first of them.
fn typical(count: usize) -> Vec<u8> {
    let mut plain = Vec::new();
    for line in TYPICAL.lines().cycle().take(count) {
        assert!(crate::log::push(&mut plain, line.as_bytes()));
    }
    plain
}

fn lz4(plain: &[u8]) -> Vec<u8> {
    let (form, stored) = pack(plain.to_vec());
    assert_eq!(form, Form::Lz4);
    stored
}

/// Puts a length before a block, and the hash before both, as [`pack`] does.
fn forged(length: u32, block: &[u8]) -> Vec<u8> {
    let rest = [&length.to_be_bytes(), block].concat();
    [check_of(&rest).as_slice(), &rest].concat()
}

#[test]
fn batches_of_any_length_shrink() {
    for (count, most_an_entry) in [(1, 450), (2, 350), (16, 200), (64, 200)] {
        let plain = typical(count);
        let stored = lz4(&plain);
        let an_entry = stored.len() / count;
        assert!(an_entry <= most_an_entry, "{count} entries: {an_entry} bytes each");
        assert_eq!(unpack(Form::Lz4, &stored), Some(plain));
    }
}

#[test]
fn what_does_not_shrink_is_left_as_it_is() {
    for plain in [vec![], vec![7], b"nothing twice".to_vec()] {
        let (form, stored) = pack(plain.clone());
        assert_eq!((form, &stored), (Form::Plain, &plain));
        assert_eq!(unpack(form, &stored), Some(plain));
    }
}

#[test]
fn what_is_too_long_is_left_as_it_is() {
    for (length, expected) in [(PLAIN_MAX, Form::Lz4), (PLAIN_MAX + 1, Form::Plain)] {
        let plain = vec![b'a'; length];
        let (form, stored) = pack(plain.clone());
        assert_eq!(form, expected, "{length}");
        assert!(
            unpack(form, &stored).is_some_and(|unpacked| unpacked == plain),
            "{length}"
        );
    }
}

#[test]
fn no_stored_byte_can_be_changed() {
    for count in [1, 2, 16] {
        let stored = lz4(&typical(count));
        for at in 0..stored.len() {
            for bits in [0x01, 0x80, 0xff] {
                let mut changed = stored.clone();
                changed[at] ^= bits;
                assert_eq!(
                    unpack(Form::Lz4, &changed),
                    None,
                    "{count} entries, byte {at}, {bits:#x}"
                );
            }
        }
        for end in 0..stored.len() {
            assert_eq!(unpack(Form::Lz4, &stored[..end]), None, "{count} entries, {end} bytes");
        }
        assert_eq!(unpack(Form::Lz4, &[stored.as_slice(), b"\0"].concat()), None);
    }
}

/// Without the hash the text of one packed batch could be stored in many ways.
#[test]
fn a_changed_byte_may_unpack_to_the_same() {
    let stored = lz4(&typical(16));
    let (check, rest) = stored.split_at(CHECK);
    let plain = unpack_checked(rest);
    let same = (0..rest.len()).flat_map(|at| (0..8).map(move |bit| (at, bit)));
    let same = same.filter(|(at, bit)| {
        let mut changed = rest.to_vec();
        changed[*at] ^= 1 << bit;
        unpack_checked(&changed) == plain && unpack(Form::Lz4, &[check, &changed].concat()).is_none()
    });
    assert!(same.count() > 0);
}

#[test]
fn a_length_is_believed_only_as_far_as_its_block_goes() {
    // A literal and then one match of 255 bytes a byte.
    let bomb = [&[0x1f, b'a', 1, 0][..], &[0xff; 1_000], &[0]].concat();
    for (length, block) in [
        (u32::MAX, bomb.as_slice()),
        (u32::try_from(PLAIN_MAX).unwrap() + 1, &[0; 100_000]),
        (256, &[0x0f]),
        (10, b""),
        (0, b""),
    ] {
        assert_eq!(unpack(Form::Lz4, &forged(length, block)), None, "{length}");
    }
    assert_eq!(unpack(Form::Lz4, &forged(5, b"\x50plain")), Some(b"plain".to_vec()));
    assert_eq!(unpack(Form::Lz4, &forged(4, b"\x50plain")), None);
    assert_eq!(unpack(Form::Lz4, &forged(6, b"\x50plain")), None);
}

#[test]
fn forms_have_numbers() {
    for (number, form) in [(0, Some(Form::Plain)), (1, Some(Form::Lz4)), (2, None), (-1, None)] {
        assert_eq!(Form::of(number), form);
        assert_eq!(form.map_or(number, Form::number), number);
    }
}

/// What was packed with a dictionary cannot be read with another. A new one is a new form.
#[test]
fn the_first_dictionary_stays_as_it_is() {
    let hash = leaf_hash(DICTIONARY_1).to_string();
    assert_eq!(hash, "UxbQZl73Ch9+9KGdLYGUzRqS9Mkyt5/4klZUWxIX1IA=");
    // All of it is in reach of the first bytes, and of a batch of one.
    assert!(DICTIONARY_1.len() < 8 * 1_024);
}

/// Bytes that LZ4 finds something in: parts of typical entries between arbitrary bytes.
fn mixed() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        vec(any::<u8>(), 0..64),
        (0..TYPICAL.len(), 0..300_usize)
            .prop_map(|(at, length)| TYPICAL.as_bytes()[at..TYPICAL.len().min(at + length)].to_vec()),
        (any::<u8>(), 0..2_000_usize).prop_map(|(byte, length)| vec![byte; length]),
    ];
    vec(part, 0..40).prop_map(|parts| parts.concat())
}

/// Stores the same entries in the other form: packed, where that makes them shorter, or plain.
pub(crate) async fn store_as(connection: &mut SqliteConnection, packed: bool) {
    for (row, form, stored) in stored(connection).await {
        let plain = unpack(Form::of(form).unwrap(), &stored).unwrap();
        let (form, stored) = if packed { pack(plain) } else { (Form::Plain, plain) };
        write_stored(connection, row, form.number(), &stored).await;
    }
}

/// The row, the form and the bytes of each batch, those of one tenant in order.
pub(crate) async fn stored(connection: &mut SqliteConnection) -> Vec<(i64, i64, Vec<u8>)> {
    sqlx::query_as("SELECT rowid, form, entries FROM batch ORDER BY tenant = 'default', first_index")
        .fetch_all(connection)
        .await
        .unwrap()
}

/// Stores a batch as these bytes.
pub(crate) async fn write_stored(connection: &mut SqliteConnection, row: i64, form: i64, bytes: &[u8]) {
    sqlx::query("UPDATE batch SET form = $2, entries = $3 WHERE rowid = $1")
        .bind(row)
        .bind(form)
        .bind(bytes)
        .execute(connection)
        .await
        .unwrap();
}

proptest! {
    #[test]
    fn what_is_packed_is_unpacked(plain in mixed()) {
        let (form, stored) = pack(plain.clone());
        prop_assert!(stored.len() <= plain.len());
        prop_assert_eq!(unpack(form, &stored), Some(plain));
    }

    #[test]
    fn a_changed_byte_is_found(plain in mixed(), at in any::<prop::sample::Index>(), bits in 1..=255_u8) {
        let (form, mut stored) = pack(plain.clone());
        prop_assume!(!stored.is_empty());
        let at = at.index(stored.len());
        stored[at] ^= bits;
        // Of plain bytes the tree tells.
        prop_assert_eq!(unpack(form, &stored).is_none(), form == Form::Lz4);
    }

    /// Neither the hash nor the length helps against who can make them: the block has to.
    #[test]
    fn garbage_is_refused_or_bounded(length in 0..100_000_u32, block in vec(any::<u8>(), 0..2_000), raw in vec(any::<u8>(), 0..64)) {
        prop_assert_eq!(unpack(Form::Lz4, &raw), None);
        if let Some(plain) = unpack(Form::Lz4, &forged(length, &block)) {
            prop_assert!(plain.len() <= block.len() * RATIO_MAX);
        }
    }

    #[test]
    fn damaged_blocks_are_refused_or_bounded(
        plain in mixed(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut rest = packed(&plain).unwrap().split_off(CHECK);
        for (at, byte) in changes {
            let at = at.index(rest.len());
            rest[at] = byte;
        }
        if let Some(unpacked) = unpack_checked(&rest) {
            prop_assert!(unpacked.len() <= rest.len() * RATIO_MAX);
        }
    }
}
