//! Entities that are otherwise for one test.

use policy::{EntityChange, EntityName, EntityRecord};
use schemars::JsonSchema;
use serde::Deserialize;

use super::request::Object;
use crate::{
    node::Field,
    problem::{Findings, Mark},
};

/// An entity as the entity files have it, or one that is not there.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "TestEntity", extend("required" = ["uid"]))]
pub(crate) struct RawEntity {
    /// Its type and id.
    uid: Field<RawUid>,
    /// Its attributes, in Cedar's JSON form.
    attrs: Field<Object>,
    /// What it is in directly.
    parents: Field<Vec<RawUid>>,
}

/// The name of an entity.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "EntityName", extend("required" = ["type", "id"]))]
pub(crate) struct RawUid {
    /// Its type, as policies name it.
    #[serde(rename = "type")]
    kind: Field<String>,
    /// Its id.
    id: Field<String>,
}

impl RawUid {
    fn read(self, mark: Mark, findings: &mut Findings) -> Option<EntityName> {
        let help = "an entity's name is `{ type: Team, id: data }`";
        let kind = self
            .kind
            .required(Some(mark), "the entity has no `type`", help, findings);
        let id = self.id.required(Some(mark), "the entity has no `id`", help, findings);
        Some(EntityName {
            kind: kind?.value,
            id: id?.value,
        })
    }
}

impl RawEntity {
    pub(super) fn read(self, mark: Mark, findings: &mut Findings) -> Option<EntityChange> {
        let help = "write it as in the entity files: `{ uid: { type: Team, id: data }, attrs: {}, parents: [] }`";
        let uid = self.uid.required(Some(mark), "the entity has no `uid`", help, findings);
        let name = uid.and_then(|uid| uid.value.read(uid.mark, findings));
        let parents = self.parents.value().unwrap_or_default().into_iter();
        let parents: Vec<Option<EntityName>> = parents.map(|parent| parent.read(mark, findings)).collect();
        Some(EntityChange::Put(EntityRecord {
            name: name?,
            attrs: self.attrs.value().map(|Object(attrs)| attrs).unwrap_or_default(),
            parents: parents.into_iter().collect::<Option<_>>()?,
        }))
    }
}
