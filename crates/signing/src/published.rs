//! What everybody may know of the logs.

use std::{collections::BTreeMap, sync::Arc};

use model::TenantName;
use tlog::{checkpoint::Checkpoint, note::Note};

/// The last published checkpoint of each tenant.
pub type Checkpoints = BTreeMap<TenantName, Arc<Published>>;

/// A checkpoint that everybody may know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// How many entries it covers.
    pub size: u64,
    /// The signed note.
    pub note: String,
}

impl Published {
    /// A note of ours, whose signatures are not looked at. `None` if the text is none.
    pub fn read(note: String) -> Option<Self> {
        let checkpoint = Checkpoint::parse(Note::parse(&note).ok()?.body()).ok()?;
        let size = checkpoint.size;
        Some(Self { size, note })
    }
}
