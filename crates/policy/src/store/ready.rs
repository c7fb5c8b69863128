//! Entities as decisions take them up: with all that they are in, at once.
//!
//! Cedar looks up what an entity is in by its record alone. A record that names all of it, not only what it is in
//! directly, spares a decision the records in between and the work of joining them. It is made when it is first wanted,
//! and kept until somebody changes what contains what.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
};

use cedar_policy::{Entity, EntityUid};

use super::{MAX_REACH, Reach, Store, Stored};

/// An entity with all that it is in.
#[derive(Clone, Debug)]
pub(crate) struct Ready {
    /// Its parents are all that it is in.
    pub(crate) entity: Entity,
    /// Its own name and those of all that it is in.
    pub(crate) lineage: Arc<[EntityUid]>,
}

/// Where it is kept. What was made under another hierarchy counts for nothing: stores that were changed in different ways
/// share their entities.
#[derive(Debug, Default)]
pub(super) struct Kept(RwLock<Option<(Hierarchy, Arc<Ready>)>>);

/// Stands for everything that the entities of a store are in.
#[derive(Clone, Debug, Default)]
pub(super) struct Hierarchy(Arc<()>);

impl Hierarchy {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Store {
    /// The entity with all that it is in, if it is stored.
    ///
    /// # Errors
    /// It is in more than [`MAX_REACH`].
    pub(crate) fn ready(&self, uid: &EntityUid) -> Result<Option<Arc<Ready>>, String> {
        let Some(stored) = self.get(uid) else { return Ok(None) };
        // A poisoned lock only means that somebody died while keeping one: what is there is whole.
        let kept = stored.kept.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((hierarchy, ready)) = &*kept
            && hierarchy.is(&self.hierarchy)
        {
            return Ok(Some(ready.clone()));
        }
        drop(kept);
        let ready = Arc::new(self.make_ready(stored)?);
        let mut kept = stored.kept.0.write().unwrap_or_else(PoisonError::into_inner);
        *kept = Some((self.hierarchy.clone(), ready.clone()));
        Ok(Some(ready))
    }

    fn make_ready(&self, stored: &Stored) -> Result<Ready, String> {
        let mut reach = Reach::default();
        reach.climb(self, &stored.uid);
        if reach.full {
            return Err(format!("{} is in more than {MAX_REACH} entities", stored.uid));
        }
        let lineage: Arc<[EntityUid]> = reach.names.into_iter().map(|name| name.uid).collect();
        let parents: HashSet<EntityUid> = lineage.iter().skip(1).cloned().collect();
        let attributes = stored.attributes.iter().cloned().collect();
        let entity = Entity::new(stored.uid.clone(), attributes, parents).map_err(|error| error.to_string())?;
        Ok(Ready { entity, lineage })
    }

    /// What evaluating policies can look into from these entities: those that are stored, and what their attributes name,
    /// as deep as policies follow them. Each with all that it is in.
    ///
    /// # Errors
    /// There are more than [`MAX_REACH`].
    pub(crate) fn read(&self, roots: Vec<EntityUid>, depth: usize) -> Result<Vec<Entity>, String> {
        let mut seen: HashSet<EntityUid> = HashSet::new();
        let mut found = Vec::new();
        let mut from = roots;
        for step in 0..=depth {
            let mut next = Vec::new();
            for uid in from {
                if seen.contains(&uid) {
                    continue;
                }
                if seen.len() >= MAX_REACH {
                    return Err(format!("more than {MAX_REACH} entities matter to the decision"));
                }
                if let Some(ready) = self.ready(&uid)? {
                    found.push(ready.entity.clone());
                    if step < depth {
                        next.extend(
                            self.get(&uid)
                                .into_iter()
                                .flat_map(|stored| stored.refers.iter().cloned()),
                        );
                    }
                }
                seen.insert(uid);
            }
            from = next;
        }
        Ok(found)
    }

    /// To be called before an entity is put, replaced or removed.
    pub(super) fn rearranges(&mut self, uid: &EntityUid, parents: &HashSet<EntityUid>) {
        let before = self.get(uid).map(|stored| &stored.parents);
        if before.is_none_or(|before| before != parents) && self.containers.contains(uid.type_name()) {
            self.hierarchy = Hierarchy::default();
        }
        let kinds = parents.iter().map(|parent| parent.type_name());
        let new: Vec<_> = kinds.filter(|kind| !self.containers.contains(*kind)).cloned().collect();
        self.containers.extend(new);
    }
}
