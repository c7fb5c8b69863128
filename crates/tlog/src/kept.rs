//! Entries as they are kept once some of them were let go: bundles in which one that is gone is a length of 0, which no
//! entry has, and the 32 bytes of its leaf hash. So the tree over them can be computed for ever.

use crate::{Hash, bundle::BundleError, leaf_hash};

/// One entry: its bytes, or the leaf of one that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored<B> {
    /// It is there.
    Kept(B),
    /// It was let go: this is what the tree has of it.
    Gone(Hash),
}

impl<B: AsRef<[u8]>> Stored<B> {
    /// The leaf of the tree (RFC 6962, section 2.1).
    pub fn leaf(&self) -> Hash {
        match self {
            Self::Kept(bytes) => leaf_hash(bytes.as_ref()),
            Self::Gone(leaf) => *leaf,
        }
    }

    /// Its bytes, unless it is gone.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Kept(bytes) => Some(bytes.as_ref()),
            Self::Gone(_) => None,
        }
    }

    /// The same with bytes of its own.
    pub fn to_owned(&self) -> Stored<Vec<u8>> {
        match self {
            Self::Kept(bytes) => Stored::Kept(bytes.as_ref().to_vec()),
            Self::Gone(leaf) => Stored::Gone(*leaf),
        }
    }
}

/// Puts an entry behind those before it.
///
/// # Errors
/// [`BundleError::TooLong`] if it has more bytes than the format can say, and [`BundleError::Framing`] if it has none.
pub fn push<B: AsRef<[u8]>>(kept: &mut Vec<u8>, entry: &Stored<B>) -> Result<(), BundleError> {
    match entry {
        Stored::Kept(bytes) if bytes.as_ref().is_empty() => Err(BundleError::Framing),
        Stored::Kept(bytes) => crate::bundle::push(kept, bytes.as_ref()),
        Stored::Gone(leaf) => {
            kept.extend_from_slice(&[0, 0]);
            kept.extend_from_slice(&leaf.0);
            Ok(())
        }
    }
}

/// The first entry in bytes, and what is behind it. `None` if there is no whole one.
pub fn next(bytes: &[u8]) -> Option<(Stored<&[u8]>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    match u16::from_be_bytes(*length) {
        0 => {
            let (leaf, rest) = rest.split_first_chunk::<32>()?;
            Some((Stored::Gone(Hash(*leaf)), rest))
        }
        length => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length))?;
            Some((Stored::Kept(bytes), rest))
        }
    }
}

/// The entries in bytes.
///
/// # Errors
/// [`BundleError::Framing`] if these end within an entry.
pub fn split(mut rest: &[u8]) -> Result<Vec<Stored<&[u8]>>, BundleError> {
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (entry, behind) = next(rest).ok_or(BundleError::Framing)?;
        entries.push(entry);
        rest = behind;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries() -> impl Strategy<Value = Vec<Stored<Vec<u8>>>> {
        let kept = prop::collection::vec(any::<u8>(), 1..300).prop_map(Stored::Kept);
        let gone = any::<[u8; 32]>().prop_map(|leaf| Stored::Gone(Hash(leaf)));
        prop::collection::vec(prop_oneof![kept, gone], 0..20)
    }

    proptest! {
        #[test]
        fn what_is_put_in_comes_out(entries in entries(), cut in 1_usize..40) {
            let mut bytes = Vec::new();
            for entry in &entries {
                push(&mut bytes, entry).unwrap();
            }
            let found = split(&bytes).unwrap();
            let found: Vec<_> = found.iter().map(Stored::to_owned).collect();
            prop_assert_eq!(&found, &entries);
            // A part of it is that many entries, or none.
            let part = bytes.len().saturating_sub(cut);
            match split(&bytes[..part]) {
                Ok(fewer) => prop_assert!(fewer.len() <= entries.len()),
                Err(error) => prop_assert_eq!(error, BundleError::Framing),
            }
        }
    }

    #[test]
    fn whole_entries_are_in_a_bundle_and_the_leaf_stays() {
        let mut bundle = Vec::new();
        crate::bundle::push(&mut bundle, b"one").unwrap();
        let whole = split(&bundle).unwrap();
        assert_eq!(whole, [Stored::Kept(&b"one"[..])]);
        let gone = Stored::<&[u8]>::Gone(whole[0].leaf());
        assert_eq!((gone.leaf(), gone.bytes()), (leaf_hash(b"one"), None));
        let empty = Stored::Kept(&b""[..]);
        assert_eq!(push(&mut Vec::new(), &empty), Err(BundleError::Framing));
        // An empty entry, which bundles can have and logs do not, is not taken for one that is gone.
        assert_eq!(split(&[0, 0]), Err(BundleError::Framing));
    }
}
