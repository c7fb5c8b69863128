//! Tiles that have other hashes than the entries give.

use std::ops::Range;

use tlog::tile::{FULL, TileId};

use crate::report::Trouble;

/// A hash in a tile that is not the one that the entries give.
pub(super) struct Differs {
    /// The level of the tile.
    level: u8,
    /// The entries that the hash is over.
    entries: Range<u64>,
    trouble: Trouble,
}

impl Differs {
    pub(super) fn at(id: TileId, path: String, place: u64) -> Self {
        let first = id.index().saturating_mul(FULL.into()).saturating_add(place);
        let span = u64::from(FULL).saturating_pow(id.level().into());
        let first = first.saturating_mul(span);
        let entries = first..first.saturating_add(span);
        let what = match id.level() {
            0 => "the hash of the entry is not the one in the tile".to_owned(),
            _ => format!(
                "the hash over the entries {first} to {} is not the one in the tile",
                entries.end.saturating_sub(1)
            ),
        };
        let trouble = Trouble {
            entry: Some(first),
            file: Some(path),
            offset: Some(place * 32),
            what,
        };
        Self {
            level: id.level(),
            entries,
            trouble,
        }
    }

    /// What to say where the entries are those that were signed.
    pub(super) fn damaged(self) -> Trouble {
        Trouble {
            entry: None,
            what: format!(
                "{}; the entries are those that were signed, so it is the tile that was changed",
                self.trouble.what
            ),
            ..self.trouble
        }
    }
}

/// What to say where the entries are not those that were signed. A hash over several says nothing new where that of one of
/// them differs already.
pub(super) fn altered(hashes: &[Differs]) -> impl Iterator<Item = Trouble> {
    let one_of = |all: &Differs| {
        hashes
            .iter()
            .any(|one| one.level == 0 && all.entries.contains(&one.entries.start))
    };
    let told = hashes
        .iter()
        .filter(move |differs| differs.level == 0 || !one_of(differs));
    told.map(|differs| differs.trouble.clone())
}
