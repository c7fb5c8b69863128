//! Bytes of an entry.

use std::io;

use serde::{Deserialize, Serialize};

use crate::{Entry, EntryError};

/// The version of the schema that is written now.
pub const VERSION: u32 = 5;

/// The longest entry, in bytes.
pub const MAX_ENTRY_BYTES: usize = 16 * 1024;

#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

/// What is still expected to be written. Anything else is an error.
struct Expected<'a>(&'a [u8]);

impl io::Write for Expected<'_> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let rest = self.0.strip_prefix(part).ok_or(io::ErrorKind::InvalidData)?;
        self.0 = rest;
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a value is written as these bytes, and no others.
pub(crate) fn is_written_as(value: &impl Serialize, bytes: &[u8]) -> bool {
    let mut rest = Expected(bytes);
    serde_json::to_writer(&mut rest, value).is_ok() && rest.0.is_empty()
}

impl Entry {
    /// The entry's bytes: compact JSON, fields in the order of their declaration.
    pub fn encode(&self) -> Result<Vec<u8>, EntryError> {
        // 512 bytes hold nearly every entry without growing.
        let mut bytes = Vec::with_capacity(512);
        serde_json::to_writer(&mut bytes, self).map_err(|error| EntryError::Unreadable(error.to_string()))?;
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(EntryError::TooLong {
                kind: self.event.kind(),
                bytes: bytes.len(),
            });
        }
        Ok(bytes)
    }

    /// Reads the bytes of an entry of any version. Anything unknown is refused: evidence that is half understood is not
    /// evidence. So is any other spelling of the same values: every byte that is hashed means something.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(EntryError::TooLong {
                kind: "unread",
                bytes: bytes.len(),
            });
        }
        let unreadable = |error: serde_json::Error| match serde_json::from_slice::<Versioned>(bytes) {
            Ok(Versioned { v }) if !(1..=VERSION).contains(&v) => EntryError::Version(v),
            _ => EntryError::Unreadable(error.to_string()),
        };
        let entry: Self = serde_json::from_slice(bytes).map_err(unreadable)?;
        entry.check_version()?;
        if !entry.is_written_as(bytes) {
            return Err(EntryError::Unreadable("not in the form it is written in".to_owned()));
        }
        Ok(entry)
    }

    /// Whether these are the bytes that [`Entry::encode`] gives. They are compared while they are made: whoever reads a log
    /// does this for each entry.
    fn is_written_as(&self, bytes: &[u8]) -> bool {
        is_written_as(self, bytes)
    }

    /// Whether the bytes of an entry, which were written as entries are, say what an enforcement point was answered. For
    /// those who pass over such entries: there may be more of them than of all others, and reading one costs far more.
    pub fn is_decided(bytes: &[u8]) -> bool {
        // The envelope is shorter than this: names have 64 bytes at most and numbers 20 digits.
        let start = bytes.get(..256).unwrap_or(bytes);
        let event = b"\"event\":{\"";
        let at = start.windows(event.len()).position(|found| found == event);
        let kind = at.and_then(|at| bytes.get(at + event.len()..));
        kind.is_some_and(|kind| kind.starts_with(b"decided\""))
    }

    /// Checks that the version is one that this program reads, and one that could say what the entry says.
    pub(crate) fn check_version(&self) -> Result<(), EntryError> {
        if !(1..=VERSION).contains(&self.v) {
            return Err(EntryError::Version(self.v));
        }
        let since = self.event.since();
        if self.v < since {
            return Err(EntryError::Early {
                kind: self.event.kind(),
                version: self.v,
                since,
            });
        }
        Ok(())
    }
}
