//! Bundles of entries, read from their files.

use tlog::{Stored, bundle::BundleId, kept};

use crate::{
    files::{FileError, Files, KEPT, Kind},
    read::Read,
    report::Trouble,
};

/// A bundle that was read by a thread of its own.
#[derive(Default)]
pub(super) struct Piece {
    /// The file it was read from.
    pub(super) file: String,
    pub(super) entries: Vec<Read>,
    /// Why there are not all of its entries.
    pub(super) broken: Option<Trouble>,
    /// What is wrong with the files of its beginning.
    pub(super) others: Vec<Trouble>,
    pub(super) files: u64,
}

/// Reads one bundle, and every file that has the beginning of it.
pub(super) fn read(files: &Files, id: BundleId) -> Piece {
    let mut piece = Piece::default();
    let (mut whole, mut pruned) = (files.bundles(id), files.kept(id));
    // Where all entries are, what is left of them without some says nothing more.
    let wide = |there: &[BundleId]| there.first().is_some_and(|main| main.width() >= id.width());
    let of_whole = wide(&whole) || !wide(&pruned);
    let (there, prefix) = match of_whole {
        true => (&mut whole, ""),
        false => (&mut pruned, KEPT),
    };
    let mut there = there.drain(..);
    let Some(main) = there.next() else {
        return piece.broken(id, id.to_string(), 0, FileError::Missing.to_string());
    };
    piece.file = format!("{prefix}{main}");
    let name = piece.file.clone();
    let bytes = match files.read(&name, Kind::Bundle) {
        Ok(bytes) => bytes,
        Err(error) => return piece.broken(id, name, 0, error.to_string()),
    };
    piece.files += 1;
    let mut rest = bytes.as_slice();
    let mut ends = vec![0];
    let next = if of_whole { next } else { kept::next };
    while let Some((entry, behind)) = next(rest) {
        // What stands behind this log's entries is of a later checkpoint.
        if piece.entries.len() < usize::from(id.width()) {
            piece.entries.push(Read::stored(&entry));
        }
        rest = behind;
        ends.push(bytes.len() - rest.len());
    }
    // Of files without some entries another may have others, as of the time when it was written: what they have is not
    // compared. They are not read then.
    for file in there.filter(|_| of_whole) {
        piece.files += 1;
        piece.others.extend(other_file(files, main, &bytes, file, &ends));
    }
    let found = ends.len() - 1;
    let offset = bytes.len() - rest.len();
    if !rest.is_empty() {
        let what = format!("the bytes do not divide into entries: after {found} there is no whole one");
        return piece.broken(id, name, offset, what);
    }
    if found != usize::from(main.width()) {
        let what = format!("{found} entries are in the file, and its name says {}", main.width());
        return piece.broken(id, name, offset, what);
    }
    piece
}

/// The first entry in bytes, and what is behind it.
fn next(bytes: &[u8]) -> Option<(Stored<&[u8]>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((Stored::Kept(entry), rest))
}

/// Compares a file that has the beginning of the bundle, or goes on from it, with the bundle.
fn other_file(files: &Files, main: BundleId, bytes: &[u8], file: BundleId, ends: &[usize]) -> Option<Trouble> {
    let path = file.to_string();
    let stored = match files.read(&path, Kind::Bundle) {
        Ok(stored) => stored,
        Err(error) => return Some(Trouble::in_file(path, error.to_string())),
    };
    let fits = if file.width() < main.width() {
        let end = ends.get(usize::from(file.width())).copied();
        end.and_then(|end| bytes.get(..end)) == Some(stored.as_slice())
    } else {
        stored.starts_with(bytes)
    };
    let what = format!("it does not have the same entries as {main}");
    (!fits).then(|| Trouble::in_file(path, what))
}

impl Piece {
    fn broken(mut self, id: BundleId, file: String, offset: usize, what: String) -> Self {
        let read = u64::try_from(self.entries.len()).unwrap_or(u64::MAX);
        self.broken = Some(Trouble {
            entry: id.first().map(|first| first.saturating_add(read)),
            file: Some(file),
            offset: u64::try_from(offset).ok(),
            what,
        });
        self
    }
}
