//! Older copies of a log that were accepted: what the log says that it has lost.

use entry::Entry;
use model::AdminName;
use serde::Serialize;
use tlog::{checkpoint::Checkpoint, note::Note};

use model::rfc3339;

/// An older copy that was put in the place of a newer one, and accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restore {
    /// The entry that says so: those from its index on that had been signed before are lost.
    pub entry: u64,
    /// Its time.
    pub at: String,
    /// How many entries had been signed; absent where the entry holds no checkpoint that can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed: Option<u64>,
    /// The root that had been signed, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// Why it was accepted, in the words of who did.
    pub note: String,
    /// Who did.
    pub by: String,
}

impl Restore {
    pub(crate) fn new(entry: &Entry, checkpoint: &str, note: &str, by: &AdminName) -> Self {
        let lost = Note::parse(checkpoint).ok();
        let lost = lost.and_then(|lost| Checkpoint::parse(lost.body()).ok());
        Self {
            entry: entry.index,
            at: rfc3339(entry.time),
            signed: lost.as_ref().map(|lost| lost.size),
            root: lost.map(|lost| lost.root.to_string()),
            note: note.to_owned(),
            by: by.to_string(),
        }
    }

    /// Whether a checkpoint of this size may have been signed over what is lost.
    pub(crate) fn lost(&self, size: u64) -> bool {
        self.entry < size && self.signed.is_some_and(|signed| size <= signed)
    }

    /// What it says, for people.
    pub fn what(&self) -> String {
        let Self {
            entry, at, note, by, ..
        } = self;
        let lost = match self.signed {
            Some(signed) if signed > *entry => format!("entries {entry} to {} as they were signed before", signed - 1),
            _ => "entries that were signed before".to_owned(),
        };
        format!("entry {entry} says that {lost} are lost: an older copy was accepted at {at} by {by}, {note:?}")
    }
}
