//! How the entries of a batch stand in the database: packed, so that a log takes less of a disk. What entries are, and what
//! is hashed and published of them, knows nothing of it: whoever has a [`Batch`](crate::Batch) has them plain.
//!
//! Entries say much of the same again, so they are packed as an LZ4 block behind a dictionary of what typical ones say:
//! that way even a batch of one shrinks. A stored block is
//!
//! ```text
//! 4 bytes  the first of the leaf hash (RFC 6962) of all that follows
//! 4 bytes  how long the plain bytes are, big-endian
//! n bytes  an LZ4 block (https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md)
//! ```
//!
//! The hash is not against forgers, whom the tree finds out: LZ4 may read a changed byte as the same text, and nothing that
//! is stored may change unseen.

use lz4_flex::block;
use tlog::leaf_hash;

/// What the first dictionary holds. It is part of the format: what was packed with it can be read with these very bytes
/// only, so another dictionary is another form.
const DICTIONARY_1: &[u8] = include_bytes!("packing/dictionary_1.jsonl");
/// The longest bytes that are packed, and what unpacking never makes more of. A batch that is longer, such as the
/// declaration of a hundred thousand budgets, is stored plain.
const PLAIN_MAX: usize = 16 * 1_024 * 1_024;
/// The most plain bytes that a byte of a block stands for.
const RATIO_MAX: usize = 255;
/// How many bytes of the hash are kept.
const CHECK: usize = 4;
/// How many bytes the length takes.
const LENGTH: usize = 4;

/// How a batch is stored. The numbers are those of the column `form`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is.
    Plain,
    /// An LZ4 block behind the first dictionary.
    Lz4,
}

impl Form {
    /// The number of the form.
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Plain => 0,
            Self::Lz4 => 1,
        }
    }

    /// The form with a number.
    pub(crate) fn of(number: i64) -> Option<Self> {
        [Self::Plain, Self::Lz4]
            .into_iter()
            .find(|form| form.number() == number)
    }
}

/// Packs, where that makes it shorter.
pub(crate) fn pack(plain: Vec<u8>) -> (Form, Vec<u8>) {
    match packed(&plain) {
        Some(packed) if packed.len() < plain.len() => (Form::Lz4, packed),
        _ => (Form::Plain, plain),
    }
}

fn packed(plain: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(plain.len()).ok().filter(|_| plain.len() <= PLAIN_MAX)?;
    let mut stored = vec![0; CHECK + LENGTH + block::get_maximum_output_size(plain.len())];
    let (_, rest) = stored.split_at_mut_checked(CHECK)?;
    let (head, block) = rest.split_at_mut_checked(LENGTH)?;
    head.copy_from_slice(&length.to_be_bytes());
    let written = block::compress_into_with_dict(plain, block, DICTIONARY_1).ok()?;
    stored.truncate(CHECK + LENGTH + written);
    let (check, rest) = stored.split_at_mut_checked(CHECK)?;
    check.copy_from_slice(&check_of(rest));
    Some(stored)
}

/// What was packed; `None` if these bytes were not made by [`pack`].
pub(crate) fn unpack(form: Form, stored: &[u8]) -> Option<Vec<u8>> {
    match form {
        Form::Plain => Some(stored.to_vec()),
        Form::Lz4 => {
            let (check, rest) = stored.split_first_chunk::<CHECK>()?;
            if *check != check_of(rest) {
                return None;
            }
            unpack_checked(rest)
        }
    }
}

/// Unpacks what may be anything.
fn unpack_checked(rest: &[u8]) -> Option<Vec<u8>> {
    let (length, block) = rest.split_first_chunk::<LENGTH>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    if length > PLAIN_MAX.min(block.len().saturating_mul(RATIO_MAX)) {
        return None;
    }
    let mut plain = vec![0; length];
    let written = block::decompress_into_with_dict(block, &mut plain, DICTIONARY_1).ok()?;
    (written == length).then_some(plain)
}

fn check_of(bytes: &[u8]) -> [u8; CHECK] {
    let hash = leaf_hash(bytes).0;
    hash.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests;
