//! The entities that are known before a request comes: those of files and manifests with what the API set over them.
//!
//! A store is immutable; a changed one shares all it can with the one before. Entities stand in shards by the hash of
//! their names, so that changing one of 100,000 copies a hundred references and no entity.

use std::{
    collections::{HashMap, HashSet, VecDeque, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::Arc,
};

use cedar_policy::{Entity, EntityTypeName, EntityUid, EvalResult, RestrictedExpression};

use self::sorted::Sorted;
use crate::record::EntityRecord;

mod sorted;

/// How many shards.
const SHARDS: usize = 1024;
/// How many entities one decision may look at: the principal, the resource, all that they are in and all that policies
/// reach from them. A store in which somebody is in more than that is refused by the decision, not by the loading.
pub(crate) const MAX_REACH: usize = 1_000;

/// An entity with its attributes.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) uid: EntityUid,
    /// As Cedar has it: to be looked into when nobody says more about it.
    pub(crate) entity: Entity,
    /// The same attributes, to be merged with what a request says.
    pub(crate) attributes: Vec<(String, RestrictedExpression)>,
    /// What it is in directly.
    pub(crate) parents: HashSet<EntityUid>,
    /// What its attributes name.
    refers: Vec<EntityUid>,
    pub(crate) origin: Origin,
}

/// Who says that there is such an entity.
#[derive(Debug)]
pub(crate) enum Origin {
    /// Only an entity file, or the manifest of an agent.
    File,
    /// The API, over what a file says.
    Api {
        record: EntityRecord,
        file: Option<Arc<Stored>>,
    },
}

impl Stored {
    pub(crate) fn new(entity: Entity, origin: Origin) -> Self {
        let refers = referred(&entity);
        let (uid, attributes, parents) = entity.clone().into_inner();
        let mut attributes: Vec<_> = attributes.into_iter().collect();
        attributes.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self {
            uid,
            attributes,
            parents,
            refers,
            entity,
            origin,
        }
    }

    /// What files say of the entity.
    pub(crate) fn file(self: &Arc<Self>) -> Option<&Arc<Self>> {
        match &self.origin {
            Origin::File => Some(self),
            Origin::Api { file, .. } => file.as_ref(),
        }
    }
}

/// All entities that the attributes of the entity name, sets and records included.
pub(crate) fn referred(entity: &Entity) -> Vec<EntityUid> {
    let mut found = Vec::new();
    for (_, value) in entity.attrs() {
        if let Ok(value) = value {
            named_in(&value, &mut found);
        }
    }
    found
}

/// All entities that the value names.
pub(crate) fn named_in(value: &EvalResult, found: &mut Vec<EntityUid>) {
    match value {
        EvalResult::EntityUid(uid) => found.push(uid.clone()),
        EvalResult::Set(items) => items.iter().for_each(|item| named_in(item, found)),
        EvalResult::Record(members) => members.iter().for_each(|(_, member)| named_in(member, found)),
        EvalResult::Bool(_) | EvalResult::Long(_) | EvalResult::String(_) | EvalResult::ExtensionValue(_) => {}
    }
}

/// Entities by name, and the names of each type in order.
#[derive(Clone)]
pub(crate) struct Store {
    /// Each sorted by name.
    shards: Vec<Arc<Vec<Arc<Stored>>>>,
    kinds: HashMap<EntityTypeName, Arc<Sorted>>,
}

impl Store {
    /// A store of entities with different names.
    pub(crate) fn new(entities: Vec<Stored>) -> Self {
        let mut shards = vec![Vec::new(); SHARDS];
        let mut kinds: HashMap<EntityTypeName, Vec<EntityUid>> = HashMap::new();
        for stored in entities {
            kinds
                .entry(stored.uid.type_name().clone())
                .or_default()
                .push(stored.uid.clone());
            if let Some(shard) = shards.get_mut(shard_of(&stored.uid)) {
                shard.push(Arc::new(stored));
            }
        }
        let sorted = |mut shard: Vec<Arc<Stored>>| {
            shard.sort_by(|one, other| one.uid.cmp(&other.uid));
            Arc::new(shard)
        };
        Self {
            shards: shards.into_iter().map(sorted).collect(),
            kinds: kinds
                .into_iter()
                .map(|(kind, names)| (kind, Arc::new(Sorted::new(names))))
                .collect(),
        }
    }

    pub(crate) fn get(&self, uid: &EntityUid) -> Option<&Arc<Stored>> {
        let shard = self.shards.get(shard_of(uid))?;
        let at = shard.binary_search_by(|stored| stored.uid.cmp(uid)).ok()?;
        shard.get(at)
    }

    /// Puts the entity in the place of the one of its name.
    pub(crate) fn put(&mut self, stored: Arc<Stored>) {
        let Some(shard) = self.shards.get_mut(shard_of(&stored.uid)) else {
            return;
        };
        let shard = Arc::make_mut(shard);
        match shard.binary_search_by(|other| other.uid.cmp(&stored.uid)) {
            Ok(at) => {
                if let Some(place) = shard.get_mut(at) {
                    *place = stored;
                }
            }
            Err(at) => {
                let names = self.kinds.entry(stored.uid.type_name().clone()).or_default();
                Arc::make_mut(names).insert(stored.uid.clone());
                shard.insert(at, stored);
            }
        }
    }

    pub(crate) fn remove(&mut self, uid: &EntityUid) {
        let Some(shard) = self.shards.get_mut(shard_of(uid)) else {
            return;
        };
        let Ok(at) = shard.binary_search_by(|other| other.uid.cmp(uid)) else {
            return;
        };
        Arc::make_mut(shard).remove(at);
        if let Some(names) = self.kinds.get_mut(uid.type_name()) {
            Arc::make_mut(names).remove(uid);
        }
    }

    /// The names of all entities of a type, sorted by id.
    pub(crate) fn of_kind(&self, kind: &EntityTypeName) -> impl Iterator<Item = &EntityUid> {
        self.kinds.get(kind).into_iter().flat_map(|names| names.iter())
    }

    /// The names of all entities, sorted by type and id; actions are among them.
    pub(crate) fn names(&self) -> impl Iterator<Item = &EntityUid> {
        let mut kinds: Vec<_> = self
            .kinds
            .iter()
            .map(|(kind, names)| (kind.to_string(), names))
            .collect();
        kinds.sort_by(|(one, _), (other, _)| one.cmp(other));
        kinds.into_iter().flat_map(|(_, names)| names.iter())
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.len()).sum()
    }

    /// The entity and all that it is in, whether or not they are stored. Of more than [`MAX_REACH`] some are left out:
    /// then [`Store::slice`] fails.
    pub(crate) fn lineage(&self, uid: &EntityUid) -> Vec<EntityUid> {
        let mut reach = Reach::default();
        reach.climb(self, uid);
        reach.names
    }

    /// The entities that a decision can look at: those of `roots` that are stored, all that these are in, and what is
    /// reached from them by up to `depth` attributes that name entities, with all that these are in.
    ///
    /// # Errors
    /// There are more than [`MAX_REACH`].
    pub(crate) fn slice(&self, roots: &[EntityUid], depth: usize) -> Result<Vec<Entity>, String> {
        let reach = self.reach(roots, depth)?;
        let stored = reach.names.iter().filter_map(|name| self.get(name));
        Ok(stored.map(|stored| stored.entity.clone()).collect())
    }

    /// The names of the same, stored or not.
    pub(crate) fn reached(&self, roots: &[EntityUid], depth: usize) -> Result<Vec<EntityUid>, String> {
        self.reach(roots, depth).map(|reach| reach.names)
    }

    fn reach(&self, roots: &[EntityUid], depth: usize) -> Result<Reach, String> {
        let mut reach = Reach::default();
        let mut from = roots.to_vec();
        let mut followed = HashSet::new();
        for step in 0..=depth {
            for uid in &from {
                reach.climb(self, uid);
            }
            if reach.full {
                return Err(format!(
                    "more than {MAX_REACH} entities matter to the decision; the largest hierarchy is that of {}",
                    roots.first().map(ToString::to_string).unwrap_or_default()
                ));
            }
            if step == depth {
                break;
            }
            from.retain(|uid| followed.insert(uid.clone()));
            let stored = from.iter().filter_map(|uid| self.get(uid));
            let next: Vec<EntityUid> = stored.flat_map(|stored| stored.refers.iter().cloned()).collect();
            if next.is_empty() {
                break;
            }
            from = next;
        }
        Ok(reach)
    }

    /// Whether the entity is in itself: the name of what it is directly in on that way.
    pub(crate) fn cycle(&self, uid: &EntityUid) -> Option<EntityUid> {
        let parents = &self.get(uid)?.parents;
        let mut seen: HashSet<&EntityUid> = HashSet::new();
        for parent in parents {
            let mut open = vec![parent];
            while let Some(name) = open.pop() {
                if name == uid {
                    return Some(parent.clone());
                }
                if seen.insert(name) {
                    open.extend(self.get(name).into_iter().flat_map(|stored| &stored.parents));
                }
            }
        }
        None
    }
}

fn shard_of(uid: &EntityUid) -> usize {
    // With fixed keys: names come from administrators.
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    let shards = u64::try_from(SHARDS).unwrap_or(u64::MAX);
    usize::try_from(hasher.finish() % shards).unwrap_or_default()
}

/// Names in the order in which they were reached.
#[derive(Default)]
struct Reach {
    names: Vec<EntityUid>,
    seen: HashSet<EntityUid>,
    full: bool,
}

impl Reach {
    /// Adds the entity and all that it is in.
    fn climb(&mut self, store: &Store, uid: &EntityUid) {
        let mut open = VecDeque::from([uid]);
        while let Some(name) = open.pop_front() {
            if self.seen.contains(name) {
                continue;
            }
            if self.names.len() >= MAX_REACH {
                self.full = true;
                return;
            }
            self.seen.insert(name.clone());
            self.names.push(name.clone());
            open.extend(store.get(name).into_iter().flat_map(|stored| &stored.parents));
        }
    }
}

/// An entity that is in itself, if there is one: it and what it is directly in on that way. Takes time in proportion to
/// all entities and parents.
pub(crate) fn find_cycle(entities: &[Stored]) -> Option<(EntityUid, EntityUid)> {
    let places: HashMap<&EntityUid, usize> = entities.iter().enumerate().map(|(at, one)| (&one.uid, at)).collect();
    let parents = |at: usize| {
        let parents = entities.get(at).into_iter().flat_map(|stored| &stored.parents);
        let parents: Vec<usize> = parents.filter_map(|parent| places.get(parent).copied()).collect();
        parents
    };
    // 0: not seen, 1: on the way that is being walked, 2: leads into no cycle.
    let mut marks = vec![0_u8; entities.len()];
    for start in 0..entities.len() {
        if marks.get(start) != Some(&0) {
            continue;
        }
        if let Some(mark) = marks.get_mut(start) {
            *mark = 1;
        }
        let mut way = vec![(start, parents(start))];
        while let Some((at, open)) = way.last_mut() {
            let Some(next) = open.pop() else {
                if let Some(mark) = marks.get_mut(*at) {
                    *mark = 2;
                }
                way.pop();
                continue;
            };
            match marks.get_mut(next) {
                Some(mark) if *mark == 0 => {
                    *mark = 1;
                    way.push((next, parents(next)));
                }
                Some(1) => {
                    // What `next` led to on the way, or itself.
                    let after = way.iter().position(|(at, _)| *at == next)? + 1;
                    let parent = way.get(after).map_or(next, |(at, _)| *at);
                    let name = |at: usize| entities.get(at).map(|stored| stored.uid.clone());
                    return Some((name(next)?, name(parent)?));
                }
                _ => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests;
