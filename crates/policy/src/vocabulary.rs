//! The names our schema declares, as Cedar values.
//!
//! Ids come from outside (a model's name is whatever the caller wrote), so entity names are always built from type and
//! id, and never by formatting and parsing text.

use cedar_policy::{EntityId, EntityTypeName, EntityUid, Schema};
use model::{AgentName, Pseudonym, UpstreamName};

use crate::Problem;

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
    /// `Action::"llm:generate"`.
    pub(crate) generate: EntityUid,
}

impl Vocabulary {
    /// Reads the embedded schema. It fails only if the schema itself is broken, which a test excludes.
    pub(crate) fn new() -> Result<Self, Problem> {
        let broken = |error: &dyn std::fmt::Display| Problem::of_file("schema.cedarschema", error.to_string());
        let (schema, _warnings) = Schema::from_cedarschema_str(SCHEMA_TEXT).map_err(|e| broken(&e))?;
        let entity_type = |name: &str| name.parse::<EntityTypeName>().map_err(|e| broken(&e));
        Ok(Self {
            tenant: entity_type("Tenant")?,
            agent: entity_type("Agent")?,
            team: entity_type("Team")?,
            user: entity_type("User")?,
            upstream: entity_type("Upstream")?,
            model: entity_type("Model")?,
            generate: uid(&entity_type("Action")?, "llm:generate"),
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
