//! Changes of stored entities: rows and the entry that says so in one transaction.

use std::collections::HashMap;

use entry::Event;
use model::Timestamp;

use super::{
    command::{Changed, Unavailable},
    run::Committer,
};
use crate::{
    Clock, StoreError,
    entity::{EntityChanges, EntityDeed, EntityError, EntityName, RowChanges},
};

impl<C: Clock> Committer<C> {
    /// Checks a change against what is stored and what waits, and lets it wait with its entry.
    pub(super) async fn change_entities(
        &mut self,
        changes: EntityChanges,
        now: Timestamp,
    ) -> Result<Changed, EntityError> {
        changes.check()?;
        if self.room.trouble().is_some() {
            return Err(Unavailable.into());
        }
        let found = self.entity_versions(&changes).await.map_err(|error| {
            tracing::error!(%error, "the stored entities cannot be read, so they are not changed");
            Unavailable
        })?;
        for change in &changes.changes {
            change.check(found.get(&change.name).copied())?;
        }
        let EntityChanges {
            tenant,
            changes,
            digest,
            note,
            by,
        } = changes;
        let removed = changes.iter().filter(|change| change.deed == EntityDeed::Remove);
        let removed = u64::try_from(removed.count()).unwrap_or(u64::MAX);
        let all = u64::try_from(changes.len()).unwrap_or(u64::MAX);
        let shard = self.shard_to_change(&tenant, now);
        let (version, first_index) = (shard.state.peps.entities + 1, shard.state.size);
        let event = Event::EntitiesChanged {
            version,
            put: all.saturating_sub(removed),
            removed,
            digest,
            note,
            by,
        };
        let pushed = shard.push(event, now);
        pushed.map_err(|error| EntityError::Refused(error.to_string()))?;
        let changed = shard.changed(first_index);
        self.rows.push(RowChanges {
            tenant,
            version,
            changes,
        });
        Ok(changed)
    }

    /// The versions of those of the entities that are there, with the changes that wait.
    async fn entity_versions(&mut self, changes: &EntityChanges) -> Result<HashMap<EntityName, u64>, StoreError> {
        let names: Vec<&EntityName> = changes.changes.iter().map(|change| &change.name).collect();
        let mut found = self.store.entity_versions(&changes.tenant, &names).await?;
        for waiting in self.rows.iter().filter(|rows| rows.tenant == changes.tenant) {
            for change in &waiting.changes {
                match change.deed {
                    EntityDeed::Put(_) => drop(found.insert(change.name.clone(), waiting.version)),
                    EntityDeed::Remove => drop(found.remove(&change.name)),
                }
            }
        }
        Ok(found)
    }
}
