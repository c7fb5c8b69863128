//! Entities that policies read and that were stored at run time. They are outside the log, for they may be personal: the
//! log says that they changed, when, by whom, and a keyed commitment to what was changed.

use std::collections::HashSet;

use model::{AdminName, Digest, TenantName};

use crate::Unavailable;

/// How many entities one call changes at most.
pub const ENTITY_CHANGES_MAX: usize = 10_000;
/// The longest record of an entity, in bytes.
pub const ENTITY_BYTES_MAX: usize = 64 * 1_024;
/// The longest type or id of an entity, in bytes.
pub const ENTITY_NAME_MAX: usize = 1_024;

/// Which entity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityName {
    /// Its type, as policies name it.
    pub kind: String,
    /// Its id, of meaning within its type.
    pub id: String,
}

/// An entity as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityRow {
    /// Which.
    pub name: EntityName,
    /// Its record: JSON that the store does not look into.
    pub record: String,
    /// The version of the tenant's entities that it came with: what an `ETag` is made of.
    pub version: u64,
}

/// Some of a tenant's entities, in the order of type and id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityPage {
    /// The version of all of them when this was read.
    pub version: u64,
    /// The entities.
    pub rows: Vec<EntityRow>,
}

/// What must be there before a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EntityExpected {
    /// Whatever there is.
    #[default]
    Anything,
    /// Nothing: `If-None-Match: *`.
    Nothing,
    /// Something: `If-Match: *`.
    Something,
    /// What came with this version: `If-Match`.
    Version(u64),
}

/// What is done to one entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntityDeed {
    /// It is stored, with this record.
    Put(String),
    /// It is removed; there must be something to remove.
    Remove,
}

/// A change of one entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityChange {
    /// Which.
    pub name: EntityName,
    /// What must be there before.
    pub expected: EntityExpected,
    /// What is done.
    pub deed: EntityDeed,
}

/// A change of a tenant's entities: all of it, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityChanges {
    /// Whose.
    pub tenant: TenantName,
    /// The changes, each of another entity; at most [`ENTITY_CHANGES_MAX`].
    pub changes: Vec<EntityChange>,
    /// A commitment to them under a key of the tenant's: HMAC-SHA256.
    pub digest: Digest,
    /// Why, in the words of who does it; may be empty.
    pub note: String,
    /// Who does it.
    pub by: AdminName,
}

impl EntityChanges {
    /// Checks what needs no look at what is stored.
    pub(crate) fn check(&self) -> Result<(), EntityError> {
        if self.changes.is_empty() {
            return Err(EntityError::Empty);
        }
        if self.changes.len() > ENTITY_CHANGES_MAX {
            return Err(EntityError::TooMany(self.changes.len()));
        }
        let mut named = HashSet::with_capacity(self.changes.len());
        for change in &self.changes {
            let EntityName { kind, id } = &change.name;
            for text in [kind, id] {
                if !(1..=ENTITY_NAME_MAX).contains(&text.len()) {
                    return Err(EntityError::Name(text.len()));
                }
            }
            if let EntityDeed::Put(record) = &change.deed
                && record.len() > ENTITY_BYTES_MAX
            {
                let (name, bytes) = (change.name.clone(), record.len());
                return Err(EntityError::TooLong { name, bytes });
            }
            if !named.insert(&change.name) {
                return Err(EntityError::Repeated(change.name.clone()));
            }
        }
        Ok(())
    }
}

/// What is to be written with an entry.
#[derive(Debug)]
pub(crate) struct RowChanges {
    pub(crate) tenant: TenantName,
    pub(crate) version: u64,
    pub(crate) changes: Vec<EntityChange>,
}

impl RowChanges {
    /// About how many bytes are written.
    pub(crate) fn bytes(&self) -> usize {
        let bytes = self.changes.iter().map(|change| {
            let record = match &change.deed {
                EntityDeed::Put(record) => record.len(),
                EntityDeed::Remove => 0,
            };
            change.name.kind.len() + change.name.id.len() + record
        });
        bytes.sum()
    }
}

impl EntityChange {
    /// Checks what is there before against what is expected.
    pub(crate) fn check(&self, found: Option<u64>) -> Result<(), EntityError> {
        let fits = match self.expected {
            EntityExpected::Anything => true,
            EntityExpected::Nothing => found.is_none(),
            EntityExpected::Something => found.is_some(),
            EntityExpected::Version(version) => found == Some(version),
        };
        let name = || self.name.clone();
        if !fits {
            return Err(EntityError::Version { name: name(), found });
        }
        if self.deed == EntityDeed::Remove && found.is_none() {
            return Err(EntityError::Missing(name()));
        }
        Ok(())
    }
}

impl std::fmt::Display for EntityName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}::{:?}", self.kind, self.id)
    }
}

/// Why entities were not changed: none of them was.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum EntityError {
    /// Nothing to do.
    #[error("no entity is named: name at least one")]
    Empty,
    /// More than a call may change.
    #[error("{0} entities in one call, at most {ENTITY_CHANGES_MAX} are allowed: send them in several")]
    TooMany(usize),
    /// A type or an id is empty or too long.
    #[error("a type or an id of {0} bytes: 1 to {ENTITY_NAME_MAX} are allowed")]
    Name(usize),
    /// A record is too long.
    #[error("the record of {name} has {bytes} bytes, at most {ENTITY_BYTES_MAX} are allowed")]
    TooLong {
        /// Which.
        name: EntityName,
        /// Its length.
        bytes: usize,
    },
    /// An entity is named twice.
    #[error("{0} is named twice: name each entity once")]
    Repeated(EntityName),
    /// Something else is there than was expected.
    #[error("{name} is not what was expected: {}. Read it again, and decide anew", state(*.found))]
    Version {
        /// Which.
        name: EntityName,
        /// The version that is there, if any is.
        found: Option<u64>,
    },
    /// There is nothing to remove.
    #[error("{0} is not stored")]
    Missing(EntityName),
    /// The log refuses the entry.
    #[error("{0}")]
    Refused(String),
    /// Nothing can be recorded now. The change may have been made all the same: read again.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

fn state(found: Option<u64>) -> String {
    match found {
        Some(version) => format!("it has version {version}"),
        None => "it is not stored".to_owned(),
    }
}
