//! The names our schema declares, as Cedar values.
//!
//! Ids come from outside (a model's name is whatever the caller wrote), so entity names are always built from type and
//! id, and never by formatting and parsing text.

use std::collections::HashSet;

use cedar_policy::{Entities, Entity, EntityId, EntityTypeName, EntityUid, Schema};
use model::{AgentName, Pseudonym, UpstreamName};

use crate::{Action, Problem, action::PerAction};

/// The schema's text.
pub(crate) const SCHEMA_TEXT: &str = include_str!("schema.cedarschema");

/// The schema and the names in it.
pub(crate) struct Vocabulary {
    pub(crate) schema: Schema,
    pub(crate) tenant: EntityTypeName,
    pub(crate) agent: EntityTypeName,
    pub(crate) team: EntityTypeName,
    pub(crate) user: EntityTypeName,
    pub(crate) upstream: EntityTypeName,
    pub(crate) model: EntityTypeName,
    pub(crate) actions: PerAction<Declared>,
}

/// The kind of resource an action is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    Model,
    Upstream,
}

/// What the schema says of an action.
pub(crate) struct Declared {
    pub(crate) uid: EntityUid,
    /// The action's record, which says what groups it is in.
    pub(crate) entity: Entity,
    /// The action and every group it is in.
    pub(crate) lineage: HashSet<EntityUid>,
    pub(crate) about: About,
}

impl Declared {
    fn new(schema: &Schema, entities: &Entities, model: &EntityTypeName, uid: EntityUid) -> Result<Self, String> {
        let missing = || format!("{uid} is not declared");
        let entity = entities.get(&uid).ok_or_else(missing)?.clone();
        let ancestors = entities.ancestors(&uid).into_iter().flatten();
        let lineage = ancestors.chain([&uid]).cloned().collect();
        let mut resources = schema.resources_for_action(&uid).ok_or_else(missing)?;
        let about = match resources.any(|kind| kind == model) {
            true => About::Model,
            false => About::Upstream,
        };
        Ok(Self {
            entity,
            lineage,
            about,
            uid,
        })
    }
}

impl Vocabulary {
    /// Reads the embedded schema. It fails only if the schema itself is broken, which a test excludes.
    pub(crate) fn new() -> Result<Self, Problem> {
        let broken = |error: &dyn std::fmt::Display| Problem::of_file("schema.cedarschema", error.to_string());
        let (schema, _warnings) = Schema::from_cedarschema_str(SCHEMA_TEXT).map_err(|e| broken(&e))?;
        let entity_type = |name: &str| name.parse::<EntityTypeName>().map_err(|e| broken(&e));
        let (model, action) = (entity_type("Model")?, entity_type("Action")?);
        let entities = schema.action_entities().map_err(|e| broken(&e))?;
        let declared = |name: Action| Declared::new(&schema, &entities, &model, uid(&action, name.as_str()));
        let actions = PerAction::try_new(declared).map_err(|e| broken(&e))?;
        Ok(Self {
            tenant: entity_type("Tenant")?,
            agent: entity_type("Agent")?,
            team: entity_type("Team")?,
            user: entity_type("User")?,
            upstream: entity_type("Upstream")?,
            model,
            actions,
            schema,
        })
    }

    pub(crate) fn agent(&self, name: &AgentName) -> EntityUid {
        uid(&self.agent, name.as_str())
    }

    pub(crate) fn team(&self, name: &str) -> EntityUid {
        uid(&self.team, name)
    }

    pub(crate) fn user(&self, user: &Pseudonym) -> EntityUid {
        uid(&self.user, &user.0)
    }

    pub(crate) fn upstream(&self, name: &UpstreamName) -> EntityUid {
        uid(&self.upstream, name.as_str())
    }

    /// The model's id is `upstream/name`. An upstream's name has no `/`, so no two models share an id.
    pub(crate) fn model(&self, upstream: &UpstreamName, name: &str) -> EntityUid {
        uid(&self.model, &format!("{upstream}/{name}"))
    }
}

fn uid(entity_type: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(entity_type.clone(), EntityId::new(id))
}
