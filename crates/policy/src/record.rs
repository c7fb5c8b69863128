//! Entities as files and the API write them.

use cedar_policy::{Entity, EntityId, EntityTypeName, EntityUid};
use serde_json::{Map, Value, json};

/// The name of an entity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityName {
    /// Its type, as Cedar names it ([`crate::to_cedar_name`]).
    pub kind: String,
    /// Its id within the type: any text.
    pub id: String,
}

/// An entity, or what one place says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityRecord {
    /// Its name.
    pub name: EntityName,
    /// Its attributes in Cedar's JSON format for values.
    pub attrs: Map<String, Value>,
    /// What it is in directly.
    pub parents: Vec<EntityName>,
}

/// A change of what the API sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntityChange {
    /// The API says this of the entity, and nothing of what it said before.
    Put(EntityRecord),
    /// The API says nothing of the entity; what files say of it stands.
    Remove(EntityName),
}

impl EntityChange {
    /// The entity it is about.
    pub fn name(&self) -> &EntityName {
        match self {
            Self::Put(record) => &record.name,
            Self::Remove(name) => name,
        }
    }
}

impl std::fmt::Display for EntityName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}::{:?}", self.kind, self.id)
    }
}

impl EntityName {
    pub(crate) fn uid(&self) -> Result<EntityUid, String> {
        let kind: Result<EntityTypeName, _> = self.kind.parse();
        // Cedar also takes blanks and comments within a name.
        match kind.ok().filter(|kind| kind.to_string() == self.kind) {
            Some(kind) => Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(&self.id))),
            None => Err(format!("{:?} is not the name of an entity type", self.kind)),
        }
    }

    /// `{"type": .., "id": ..}`.
    pub fn to_json(&self) -> Value {
        json!({"type": self.kind, "id": self.id})
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        let uid = EntityUid::from_json(json.clone()).map_err(|error| error.to_string())?;
        Ok(Self::from(&uid))
    }
}

impl From<&EntityUid> for EntityName {
    fn from(uid: &EntityUid) -> Self {
        Self {
            kind: uid.type_name().to_string(),
            id: uid.id().unescaped().to_owned(),
        }
    }
}

impl EntityRecord {
    /// Cedar's JSON format of an entity: `uid`, `attrs` and `parents`.
    pub fn to_json(&self) -> Value {
        let parents: Vec<Value> = self.parents.iter().map(EntityName::to_json).collect();
        json!({"uid": self.name.to_json(), "attrs": self.attrs, "parents": parents})
    }

    /// Reads Cedar's JSON format of an entity. Whether it fits the schema shows when it is put.
    ///
    /// # Errors
    /// What is missing or of the wrong form.
    pub fn from_json(json: Value) -> Result<Self, String> {
        let Value::Object(mut members) = json else {
            return Err("an entity is a JSON object".to_owned());
        };
        let name = members.remove("uid").ok_or("the entity has no `uid`")?;
        let name = EntityName::from_json(&name).map_err(|error| format!("`uid`: {error}"))?;
        let attrs = match members.remove("attrs") {
            None => Map::new(),
            Some(Value::Object(attrs)) => attrs,
            Some(_) => return Err("`attrs` is not an object".to_owned()),
        };
        let parents = match members.remove("parents") {
            None => Vec::new(),
            Some(Value::Array(parents)) => parents
                .iter()
                .map(|parent| EntityName::from_json(parent).map_err(|error| format!("`parents`: {error}")))
                .collect::<Result<_, _>>()?,
            Some(_) => return Err("`parents` is not an array".to_owned()),
        };
        match members.keys().next() {
            Some(key) => Err(format!("an entity has `uid`, `attrs` and `parents`, and no `{key}`")),
            None => Ok(Self { name, attrs, parents }),
        }
    }

    /// The entity as Cedar writes it, its parents sorted.
    pub(crate) fn of(entity: &Entity) -> Result<Self, String> {
        let json = entity.to_json_value().map_err(|error| error.to_string())?;
        let Value::Object(mut members) = json else {
            return Err("not an object".to_owned());
        };
        members.retain(|key, _| matches!(key.as_str(), "uid" | "attrs" | "parents"));
        let mut record = Self::from_json(Value::Object(members))?;
        record.parents.sort();
        Ok(record)
    }

    /// This over what `below` says: attribute by attribute, and in everything that either is in.
    pub(crate) fn over(&self, below: Self) -> Self {
        let mut merged = below;
        for (name, value) in &self.attrs {
            merged.attrs.insert(name.clone(), value.clone());
        }
        merged.parents.extend(self.parents.iter().cloned());
        merged.parents.sort();
        merged.parents.dedup();
        merged
    }
}
