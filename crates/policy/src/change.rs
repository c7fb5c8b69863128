//! What the API changes of the entities.

use std::{collections::HashSet, sync::Arc};

use cedar_policy::{Entity, EntityTypeName, EntityUid};
use model::AgentName;

use crate::{
    AgentFacts, Bundle, Problem,
    bundle::{self, Agents},
    entities::{agent_entity, declarable, report},
    memo::Memo,
    record::{EntityChange, EntityName, EntityRecord},
    store::{Origin, Store, Stored},
};

/// The most problems that are told of one set of changes.
const MAX_PROBLEMS: usize = 100;

impl Bundle {
    /// The same bundle after the API changed entities, in the order of the changes. Its digest is the same: it is that of
    /// the files.
    ///
    /// # Errors
    /// A problem for each change that does not fit the schema or what else is declared, at most 100; its `file` is the
    /// entity's name. Then nothing is changed.
    pub fn with_entities(&self, changes: &[EntityChange]) -> Result<Self, Vec<Problem>> {
        let mut store = self.store.clone();
        let mut changed = HashSet::new();
        let mut problems = Vec::new();
        for change in changes {
            match self.changed(&mut store, change) {
                Ok(uid) => drop(changed.insert(uid)),
                Err(problem) => problems.push(problem),
            }
            if problems.len() >= MAX_PROBLEMS {
                break;
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let known = bundle::prepare_again(self, &store, &changed)
            .map_err(|message| vec![Problem::of_file("entities", message)])?;
        Ok(self.with(store, known))
    }

    /// The same bundle with other manifests for some agents, and without others: for replays, which ask what was asked when
    /// the manifests were others. Whom nothing was said of stays as they are.
    ///
    /// # Errors
    /// What Cedar says of an agent's record: that would be a mistake of this code.
    pub fn with_agents(&self, put: &[AgentFacts], removed: &[AgentName]) -> Result<Self, String> {
        let mut store = self.store.clone();
        for facts in put {
            let entity = agent_entity(&self.vocabulary, facts)?;
            store.put(Arc::new(Stored::new(entity, Origin::File)));
        }
        for name in removed {
            store.remove(&self.vocabulary.agent(name));
        }
        let known = bundle::prepare_for(self, &store, put, removed)?;
        Ok(self.with(store, known))
    }

    fn with(&self, store: Store, agents: Agents) -> Self {
        Self {
            vocabulary: self.vocabulary.clone(),
            terms: self.terms.clone(),
            indexes: self.indexes.clone(),
            agents,
            rules: self.rules.clone(),
            memo: Memo::default(),
            ids: self.ids.clone(),
            warnings: self.warnings.clone(),
            digest: self.digest,
            store,
        }
    }

    fn changed(&self, store: &mut Store, change: &EntityChange) -> Result<EntityUid, Problem> {
        let problem = |message: String| Problem::of_file(&change.name().to_string(), message);
        let uid = change.name().uid().map_err(problem)?;
        let stored = store.get(&uid);
        match change {
            EntityChange::Put(record) => {
                declarable(&self.vocabulary, &self.terms, &uid).map_err(problem)?;
                let before = stored.cloned();
                let file = stored.and_then(Stored::file).cloned();
                let entity = self.merged(record, file.as_ref()).map_err(problem)?;
                let record = record.clone();
                store.put(Arc::new(Stored::new(entity, Origin::Api { record, file })));
                if let Some(parent) = store.cycle(&uid) {
                    match before {
                        Some(before) => store.put(before),
                        None => store.remove(&uid),
                    }
                    let message = format!("`{uid}` would be in itself by way of `{parent}`");
                    return Err(problem(message).help(format!("leave `{parent}` out of its parents")));
                }
            }
            EntityChange::Remove(_) => {
                let Some(Origin::Api { file, .. }) = stored.map(|stored| &stored.origin) else {
                    return Err(problem(format!("the API does not say anything of `{uid}`")));
                };
                match file.clone() {
                    Some(file) => store.put(file),
                    None => store.remove(&uid),
                }
            }
        }
        Ok(uid)
    }

    /// What the API says over what files say, if that fits the schema.
    fn merged(&self, record: &EntityRecord, file: Option<&Arc<Stored>>) -> Result<Entity, String> {
        let json = match file {
            None => record.to_json(),
            Some(file) => record.over(EntityRecord::of(&file.entity)?).to_json(),
        };
        Entity::from_json_value(json, Some(&self.terms.schema)).map_err(|error| report(&error))
    }

    /// The entity as decisions see it: what the API says over what files say.
    pub fn entity(&self, name: &EntityName) -> Option<EntityRecord> {
        EntityRecord::of(&self.stored(name)?.entity).ok()
    }

    /// What files say of the entity, or the manifest of an agent.
    pub fn entity_of_files(&self, name: &EntityName) -> Option<EntityRecord> {
        EntityRecord::of(&self.stored(name)?.file()?.entity).ok()
    }

    /// What the API says of the entity.
    pub fn entity_of_api(&self, name: &EntityName) -> Option<&EntityRecord> {
        match &self.stored(name)?.origin {
            Origin::Api { record, .. } => Some(record),
            Origin::File => None,
        }
    }

    /// The names of all entities, agents included, sorted by type and id.
    pub fn entities(&self) -> impl Iterator<Item = EntityName> {
        let known = |uid: &&EntityUid| self.terms.kinds.contains_key(uid.type_name());
        self.store.names().filter(known).map(EntityName::from)
    }

    /// The names of all entities of a type, as Cedar names it, sorted by id.
    pub fn entities_of(&self, kind: &str) -> impl Iterator<Item = EntityName> {
        let kind: Option<EntityTypeName> = kind.parse().ok();
        let names = kind.map(|kind| self.store.of_kind(&kind).map(EntityName::from).collect::<Vec<_>>());
        names.into_iter().flatten()
    }

    fn stored(&self, name: &EntityName) -> Option<&Arc<Stored>> {
        self.store.get(&name.uid().ok()?)
    }
}
