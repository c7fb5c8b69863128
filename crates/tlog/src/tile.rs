//! Tiles (<https://c2sp.org/tlog-tiles>): the hashes of a tree cut into pieces of 256, as a log publishes them.
//!
//! Level 0 has the hashes of the leaves, and each level above it one hash for each full tile below. From tiles anybody
//! makes any proof of any size ([`Plan`]); a log makes its tiles as it grows ([`Growing`]). Nothing that is read here is
//! believed: a proof is checked against a signed root.

use std::{fmt, str::FromStr};

mod grow;
mod read;

pub use grow::{FullTile, GrowError, Growing};
pub use read::{Plan, ReadError, consistency, inclusion};

/// Hashes in a full tile.
pub const FULL: u16 = 256;
/// Bits of an index that count within a tile: a tile is a subtree of this height.
const HEIGHT: u32 = 8;
/// The highest level in a path. Trees end at level 7, for lack of leaves.
pub const MAX_LEVEL: u8 = 63;
/// No path is longer: a level, seven groups of digits and a width.
const MAX_PATH: usize = 64;

/// One tile of some tree. Displayed as, and parsed from, its path below a log's prefix: `tile/1/x001/x234/067.p/8`.
/// Every tile has one path only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    level: u8,
    index: u64,
    width: u16,
}

/// Why a text is not the path of a tile, a bundle or a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no path of a tile: tile/<level>/<index>[.p/<width>], the index in groups of three digits")]
pub struct PathError(String);

impl TileId {
    /// The tile at this place, if there can be one: a level up to 63, a width from 1 to 256.
    pub fn new(level: u8, index: u64, width: u16) -> Option<Self> {
        let fits = level <= MAX_LEVEL && is_width(width);
        fits.then_some(Self { level, index, width })
    }

    /// The tile at this place in the tree of `size` leaves, as wide as it is there. `None` if it is empty there.
    pub fn in_tree(level: u8, index: u64, size: u64) -> Option<Self> {
        let left = hashes(size, level).checked_sub(index.checked_mul(u64::from(FULL))?)?;
        Self::new(level, index, clamp(left))
    }

    /// All tiles of the tree of `size` leaves: level after level from the leaves up, each from left to right.
    pub fn of_tree(size: u64) -> impl Iterator<Item = Self> {
        Self::since(0, size)
    }

    /// The tiles of the tree of `size` leaves that the tree of its first `old` leaves does not have, in the same order:
    /// what whoever has the tiles of that one still needs.
    pub fn since(old: u64, size: u64) -> impl Iterator<Item = Self> {
        (0..HEIGHT)
            .filter_map(|level| u8::try_from(level).ok())
            .flat_map(move |level| {
                let (had, has) = (hashes(old, level), hashes(size, level));
                let first = had / u64::from(FULL);
                let end = has.div_ceil(u64::from(FULL));
                let range = if had < has { first..end } else { 0..0 };
                range.filter_map(move |index| Self::in_tree(level, index, size))
            })
    }

    /// Levels above the leaves, in steps of eight.
    pub fn level(&self) -> u8 {
        self.level
    }

    /// Its place in its level, from the left.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Hashes in it, 1 to 256.
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Whether it has all its 256 hashes and never changes.
    pub fn is_full(&self) -> bool {
        self.width == FULL
    }

    /// Bytes in it.
    pub fn bytes(&self) -> usize {
        usize::from(self.width) * 32
    }

    /// Whether the tree of `size` leaves has all these hashes.
    pub fn is_covered_by(&self, size: u64) -> bool {
        let start = self.index.checked_mul(u64::from(FULL));
        let end = start.and_then(|start| start.checked_add(u64::from(self.width)));
        end.is_some_and(|end| end <= hashes(size, self.level))
    }
}

/// Hashes at a level of the tree of `size` leaves: those of its perfect subtrees of that height.
fn hashes(size: u64, level: u8) -> u64 {
    size.checked_shr(u32::from(level) * HEIGHT).unwrap_or(0)
}

/// The width of a tile that has `left` hashes or would have more.
fn clamp(left: u64) -> u16 {
    u16::try_from(left).map_or(FULL, |left| left.min(FULL))
}

pub(crate) fn is_width(width: u16) -> bool {
    (1..=FULL).contains(&width)
}

/// How wide the piece `index` of a row of `count` things is, cut into pieces of 256. `None` if it is empty.
pub(crate) fn width_in(index: u64, count: u64) -> Option<u16> {
    let left = count.checked_sub(index.checked_mul(u64::from(FULL))?)?;
    (left > 0).then(|| clamp(left))
}

/// Writes the end of a path, which tiles and bundles share: the index in groups, and the width of what is not full.
pub(crate) fn write_place(f: &mut fmt::Formatter<'_>, index: u64, width: u16) -> fmt::Result {
    let digits = index.to_string();
    let digits = format!("{digits:0>width$}", width = digits.len().next_multiple_of(3));
    let (groups, _) = digits.as_bytes().as_chunks::<3>();
    for (group, left) in groups.iter().zip((0..groups.len()).rev()) {
        let mark = if left > 0 { "x" } else { "" };
        let [a, b, c] = group.map(char::from);
        write!(f, "/{mark}{a}{b}{c}")?;
    }
    if width < FULL {
        write!(f, ".p/{width}")?;
    }
    Ok(())
}

/// Reads the end of a path, loosely: index and width. The caller compares what it displays with what was read.
pub(crate) fn parse_place(text: &str) -> Option<(u64, u16)> {
    if text.len() > MAX_PATH {
        return None;
    }
    let (groups, width) = match text.split_once(".p/") {
        Some((groups, width)) => (groups, width.parse().ok().filter(|width| *width < FULL)?),
        None => (text, FULL),
    };
    let digits: String = groups.chars().filter(char::is_ascii_digit).collect();
    Some((digits.parse().ok()?, width))
}

/// Takes what was read only if it is displayed as the very same text, so that everything has one path.
pub(crate) fn canonical<T: fmt::Display>(text: &str, read: Option<T>) -> Result<T, PathError> {
    read.filter(|read| read.to_string() == text)
        .ok_or_else(|| PathError(text.chars().take(2 * MAX_PATH).collect()))
}

impl fmt::Display for TileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/{}", self.level)?;
        write_place(f, self.index, self.width)
    }
}

impl FromStr for TileId {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let read = || {
            let (level, place) = text.strip_prefix("tile/")?.split_once('/')?;
            let (index, width) = parse_place(place)?;
            Self::new(level.parse().ok()?, index, width)
        };
        canonical(text, read())
    }
}

#[cfg(test)]
mod tests;
