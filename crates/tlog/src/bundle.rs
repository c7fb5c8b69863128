//! Entry bundles (<https://c2sp.org/tlog-tiles>): the leaves themselves, up to 256 to a bundle, each behind its length as
//! a big-endian `u16`.

use std::{fmt, str::FromStr};

use crate::tile::{self, FULL, PathError, TileId};

/// One bundle of some log. Displayed as, and parsed from, its path below the log's prefix: `tile/entries/000.p/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleId {
    index: u64,
    width: u16,
}

/// What a log publishes. Displayed as, and parsed from, the path below the log's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// The last checkpoint.
    Checkpoint,
    /// Hashes.
    Tile(TileId),
    /// Entries.
    Entries(BundleId),
}

/// Why bytes are not a bundle, or an entry has no place in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// An entry has more bytes, given here, than a length of 16 bits says.
    #[error("an entry of a log has at most 65535 bytes, not {0}")]
    TooLong(usize),
    /// The bytes end within an entry or its length.
    #[error("the bytes do not divide into entries")]
    Framing,
}

impl BundleId {
    /// The bundle at this place, if its width is one: 1 to 256.
    pub fn new(index: u64, width: u16) -> Option<Self> {
        tile::is_width(width).then_some(Self { index, width })
    }

    /// The bundle at this place in a log of `size` entries, as wide as it is there. `None` if it is empty there.
    pub fn in_log(index: u64, size: u64) -> Option<Self> {
        Self::new(index, tile::width_in(index, size)?)
    }

    /// The bundles of a log of `size` entries that the log of its first `old` does not have.
    pub fn since(old: u64, size: u64) -> impl Iterator<Item = Self> {
        let full = u64::from(FULL);
        let range = if old < size {
            old / full..size.div_ceil(full)
        } else {
            0..0
        };
        range.filter_map(move |index| Self::in_log(index, size))
    }

    /// Its place, from the left.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Entries in it, 1 to 256.
    pub fn width(&self) -> u16 {
        self.width
    }

    /// The index of its first entry; `None` beyond all logs.
    pub fn first(&self) -> Option<u64> {
        self.index.checked_mul(u64::from(FULL))
    }

    /// The tile with the hashes of these entries.
    pub fn hashes(&self) -> Option<TileId> {
        TileId::new(0, self.index, self.width)
    }

    /// Whether a log of `size` entries has all of these.
    pub fn is_covered_by(&self, size: u64) -> bool {
        self.hashes().is_some_and(|tile| tile.is_covered_by(size))
    }
}

/// Puts an entry behind those that a bundle has.
pub fn push(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), BundleError> {
    let length = u16::try_from(entry.len()).map_err(|_| BundleError::TooLong(entry.len()))?;
    bundle.reserve(entry.len() + 2);
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// The entries in a bundle. Not more than half as many as it has bytes; the caller compares their number with the width.
pub fn split(mut rest: &[u8]) -> Result<Vec<&[u8]>, BundleError> {
    let mut entries = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let (bytes, tail) = tail.split_at_checked(length).ok_or(BundleError::Framing)?;
        entries.push(bytes);
        rest = tail;
    }
    if rest.is_empty() {
        Ok(entries)
    } else {
        Err(BundleError::Framing)
    }
}

impl Resource {
    /// Whether a log of `size` entries has it.
    pub fn is_covered_by(&self, size: u64) -> bool {
        match self {
            Self::Checkpoint => true,
            Self::Tile(tile) => tile.is_covered_by(size),
            Self::Entries(bundle) => bundle.is_covered_by(size),
        }
    }
}

impl fmt::Display for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tile/entries")?;
        tile::write_place(f, self.index, self.width)
    }
}

impl FromStr for BundleId {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let read = || {
            let (index, width) = tile::parse_place(text.strip_prefix("tile/entries/")?)?;
            Self::new(index, width)
        };
        tile::canonical(text, read())
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint => f.write_str("checkpoint"),
            Self::Tile(tile) => tile.fmt(f),
            Self::Entries(bundle) => bundle.fmt(f),
        }
    }
}

impl FromStr for Resource {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        match text {
            "checkpoint" => Ok(Self::Checkpoint),
            _ if text.starts_with("tile/entries/") => text.parse().map(Self::Entries),
            _ => text.parse().map(Self::Tile),
        }
    }
}

#[cfg(test)]
mod tests;
