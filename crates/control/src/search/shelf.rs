//! Entries that were fetched from the log, and what they follow from.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use entry::{Entry, Event};
use model::TenantName;
use store::{Facts, Position, follows};
use tlog::leaf_hash;

use super::facts_of;
use crate::{AdminError, Control, EntryReport};

/// How many entries stand between an outcome and the last that follows from it, at most, that are looked through.
const FOLLOWING_MAX: usize = 64;

/// Entries at hand.
#[derive(Debug, Default)]
pub(crate) struct Shelf(HashMap<TenantName, BTreeMap<u64, EntryReport>>);

impl Shelf {
    /// An entry, if it is at hand.
    pub(crate) fn get(&self, tenant: &TenantName, index: u64) -> Option<&EntryReport> {
        self.0.get(tenant)?.get(&index)
    }

    fn entry(&self, tenant: &TenantName, index: u64) -> Option<&Entry> {
        self.get(tenant, index).map(|report| &report.entry)
    }

    /// The outcome that an entry is, or follows from.
    fn outcome_of<'a>(&'a self, entry: &'a Entry) -> Option<&'a entry::Outcome> {
        let mut entry = entry;
        for _ in 0..FOLLOWING_MAX {
            match &entry.event {
                Event::Outcome(outcome) => return Some(outcome),
                event if follows(event) => entry = self.entry(&entry.tenant, entry.index.checked_sub(1)?)?,
                _ => return None,
            }
        }
        None
    }

    /// The intent that an entry has something from.
    pub(crate) fn intent_of<'a>(&'a self, entry: &'a Entry) -> Option<&'a Entry> {
        self.entry(&entry.tenant, self.outcome_of(entry)?.intent)
    }

    /// What is known of an entry.
    pub(crate) fn facts<'a>(&'a self, entry: &'a Entry) -> Facts<'a> {
        facts_of(entry, self.intent_of(entry))
    }

    /// What is needed to know all of an entry and is not at hand.
    fn missing(&self, tenant: &TenantName, index: u64) -> Option<u64> {
        let mut entry = match self.entry(tenant, index) {
            Some(entry) => entry,
            None => return Some(index),
        };
        for _ in 0..FOLLOWING_MAX {
            let needed = match &entry.event {
                Event::Outcome(outcome) => outcome.intent,
                event if follows(event) => entry.index.checked_sub(1)?,
                _ => return None,
            };
            entry = match self.entry(tenant, needed) {
                Some(entry) => entry,
                None => return Some(needed),
            };
        }
        None
    }
}

impl Control {
    /// Fetches entries from the log, with all that they have something from.
    pub(crate) async fn fill(&self, shelf: &mut Shelf, places: &[Position]) -> Result<(), AdminError> {
        // An entry needs an outcome, and that its intent; what follows from an outcome stands in a row behind it.
        for _ in 0..FOLLOWING_MAX + 2 {
            let mut wanted: BTreeMap<&TenantName, BTreeSet<u64>> = BTreeMap::new();
            for Position { tenant, index, .. } in places {
                if let Some(missing) = shelf.missing(tenant, *index) {
                    wanted.entry(tenant).or_default().insert(missing);
                }
            }
            let mut fetched = 0;
            for (tenant, indexes) in wanted {
                fetched += self.fetch(shelf, tenant, &indexes).await?;
            }
            if fetched == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Fetches entries from the log; says how many are there.
    pub(crate) async fn fetch(
        &self,
        shelf: &mut Shelf,
        tenant: &TenantName,
        indexes: &BTreeSet<u64>,
    ) -> Result<usize, AdminError> {
        let found = self.reader().entries_at(tenant, indexes).await?;
        let mut fetched = 0;
        let of_tenant = shelf.0.entry(tenant.clone()).or_default();
        for (index, stored) in found {
            // What was let go is as if it had never been there: whoever needs it goes without.
            let Some(bytes) = stored.bytes() else { continue };
            let entry = Entry::decode(bytes).map_err(|error| self.damaged(&error))?;
            let leaf = model::Digest(leaf_hash(bytes).0).to_string();
            of_tenant.insert(index, EntryReport { leaf, entry });
            fetched += 1;
        }
        Ok(fetched)
    }
}
