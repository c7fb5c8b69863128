//! The names our schema declares, as Cedar values.
//!
//! Ids come from outside (a model's name is whatever the caller wrote), so entity names are always built from type and
//! id, and never by formatting and parsing text.

use std::{collections::HashSet, sync::Arc};

use cedar_policy::{Entity, EntityId, EntityTypeName, EntityUid};
use model::{AgentName, Pseudonym, UpstreamName};

use crate::{
    Problem,
    action::PerAction,
    schema::{Deed, Terms},
};

/// The schema's text.
pub(crate) const SCHEMA_TEXT: &str = include_str!("schema.cedarschema");

/// The names in it.
pub(crate) struct Vocabulary {
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

/// What the schema says of one of our actions.
pub(crate) struct Declared {
    pub(crate) uid: EntityUid,
    /// The action's record, which says what groups it is in.
    pub(crate) entity: Entity,
    /// The action and every group it is in.
    pub(crate) lineage: HashSet<EntityUid>,
    pub(crate) about: About,
}

impl Declared {
    fn new(deed: &Arc<Deed>, model: &EntityTypeName) -> Self {
        Self {
            uid: deed.uid.clone(),
            entity: deed.entity.clone(),
            lineage: deed.lineage.clone(),
            about: match deed.resources.contains(model) {
                true => About::Model,
                false => About::Upstream,
            },
        }
    }
}

impl Vocabulary {
    /// Finds our own names in the schema. It fails only if our schema itself is broken, which a test excludes.
    pub(crate) fn new(terms: &Terms) -> Result<Self, Problem> {
        let broken = |message: String| Problem::of_file("schema.cedarschema", message);
        let entity_type = |name: &str| name.parse::<EntityTypeName>().map_err(|e| broken(e.to_string()));
        let model = entity_type("Model")?;
        let actions = PerAction::try_new(|action| {
            let missing = || broken(format!("{action} is not declared"));
            let deed = terms.actions.get(action.as_str()).ok_or_else(missing)?;
            Ok(Declared::new(deed, &model))
        })?;
        Ok(Self {
            tenant: entity_type("Tenant")?,
            agent: entity_type("Agent")?,
            team: entity_type("Team")?,
            user: entity_type("User")?,
            upstream: entity_type("Upstream")?,
            model,
            actions,
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
