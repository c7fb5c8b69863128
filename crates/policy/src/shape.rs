//! What the schema says of attributes, in a form to convert by.

use std::collections::{BTreeMap, HashMap, HashSet};

use cedar_policy::EntityTypeName;
use serde_json::Value;

/// The deepest type. Cedar's own parser stops at about this depth.
const MAX_DEPTH: usize = 64;

/// The attributes of an entity type, of a context or of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape(pub(crate) BTreeMap<String, Attribute>);

/// One attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attribute {
    pub(crate) of: Type,
    pub(crate) required: bool,
    /// What a request says of it counts for nothing: `@authoritative("store")`.
    pub(crate) authoritative: bool,
    /// The log has pseudonyms of its texts: `@personal`, or it names entities of a type that is.
    pub(crate) personal: bool,
}

/// A type, with common types resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Bool,
    Long,
    String,
    Set(Box<Type>),
    Record(Shape),
    Entity(EntityTypeName),
    Extension(Extension),
}

/// Cedar's extension types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extension {
    Decimal,
    IpAddr,
    Datetime,
    Duration,
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool => f.write_str("Bool"),
            Self::Long => f.write_str("Long"),
            Self::String => f.write_str("String"),
            Self::Set(of) => write!(f, "Set<{of}>"),
            Self::Record(_) => f.write_str("a record"),
            Self::Entity(name) => write!(f, "{name}"),
            Self::Extension(Extension::Decimal) => f.write_str("decimal"),
            Self::Extension(Extension::IpAddr) => f.write_str("ipaddr"),
            Self::Extension(Extension::Datetime) => f.write_str("datetime"),
            Self::Extension(Extension::Duration) => f.write_str("duration"),
        }
    }
}

impl Type {
    /// Whether values of it hold texts, which can be replaced by pseudonyms.
    pub(crate) fn holds_texts(&self) -> bool {
        match self {
            Self::String | Self::Entity(_) => true,
            Self::Set(of) => of.holds_texts(),
            Self::Record(shape) => shape.0.values().any(|attribute| attribute.of.holds_texts()),
            Self::Bool | Self::Long | Self::Extension(_) => false,
        }
    }

    /// Whether something within it is said by the store only. A request would replace it whole, and with it that.
    pub(crate) fn is_reserved(&self) -> bool {
        match self {
            Self::Set(of) => of.is_reserved(),
            Self::Record(shape) => {
                let mut within = shape.0.values();
                within.any(|attribute| attribute.authoritative || attribute.of.is_reserved())
            }
            _ => false,
        }
    }

    /// Whether values of it can name entities.
    pub(crate) fn holds_names(&self) -> bool {
        match self {
            Self::Entity(_) => true,
            Self::Set(of) => of.holds_names(),
            Self::Record(shape) => shape.0.values().any(|attribute| attribute.of.holds_names()),
            Self::Bool | Self::Long | Self::String | Self::Extension(_) => false,
        }
    }

    /// The entity type that values of it name: itself, or in a set.
    fn names(&self) -> Option<&EntityTypeName> {
        match self {
            Self::Entity(name) => Some(name),
            Self::Set(of) => of.names(),
            _ => None,
        }
    }

    /// The attributes of values that are records, or sets of them.
    pub(crate) fn shape(&self) -> Option<&Shape> {
        match self {
            Self::Record(shape) => Some(shape),
            Self::Set(of) => of.shape(),
            _ => None,
        }
    }

    fn shape_mut(&mut self) -> Option<&mut Shape> {
        match self {
            Self::Record(shape) => Some(shape),
            Self::Set(of) => of.shape_mut(),
            _ => None,
        }
    }
}

impl Shape {
    pub(crate) fn get(&self, name: &str) -> Option<&Attribute> {
        self.0.get(name)
    }

    /// Makes attributes personal that name entities of personal types.
    pub(crate) fn spread(&mut self, personal: &HashSet<EntityTypeName>) {
        for attribute in self.0.values_mut() {
            attribute.personal |= attribute.of.names().is_some_and(|name| personal.contains(name));
            if let Some(shape) = attribute.of.shape_mut() {
                shape.spread(personal);
            }
        }
    }
}

/// Reads shapes from Cedar's JSON form of a schema with resolved types
/// (<https://docs.cedarpolicy.com/schema/json-schema.html>).
pub(crate) struct Reader<'a> {
    /// Common types by their full names.
    pub(crate) common: HashMap<String, &'a Value>,
}

impl Reader<'_> {
    /// The attributes of a record type; none if there is no type.
    pub(crate) fn shape(&self, json: Option<&Value>) -> Result<Shape, String> {
        match json.map(|json| self.of(json, 0)).transpose()? {
            Some(Type::Record(shape)) => Ok(shape),
            None => Ok(Shape::default()),
            Some(other) => Err(format!("{other} is not a record")),
        }
    }

    fn of(&self, json: &Value, depth: usize) -> Result<Type, String> {
        if depth > MAX_DEPTH {
            return Err(format!("a type is nested deeper than {MAX_DEPTH} levels"));
        }
        let text = |key: &str| json.get(key).and_then(Value::as_str).unwrap_or_default();
        let name = text("type");
        Ok(match name.strip_prefix("__cedar::").unwrap_or(name) {
            "String" => Type::String,
            "Long" => Type::Long,
            "Bool" | "Boolean" => Type::Bool,
            "Set" => {
                let of = json.get("element").ok_or("a set of nothing")?;
                Type::Set(Box::new(self.of(of, depth + 1)?))
            }
            "Record" => Type::Record(self.record(json, depth + 1)?),
            "Entity" => Type::Entity(text("name").parse().map_err(|_| "an entity type without a name")?),
            "Extension" => extension(text("name"))?,
            _ => match self.common.get(name) {
                Some(common) => self.of(common, depth + 1)?,
                None => extension(name.strip_prefix("__cedar::").unwrap_or(name))?,
            },
        })
    }

    fn record(&self, json: &Value, depth: usize) -> Result<Shape, String> {
        let attributes = json.get("attributes").and_then(Value::as_object);
        let mut shape = Shape::default();
        for (name, json) in attributes.into_iter().flatten() {
            let attribute = Attribute {
                of: self.of(json, depth)?,
                required: json.get("required").and_then(Value::as_bool).unwrap_or(true),
                authoritative: annotation(json, "authoritative").is_some(),
                personal: annotation(json, "personal").is_some_and(|value| value != "no"),
            };
            shape.0.insert(name.clone(), attribute);
        }
        Ok(shape)
    }
}

/// The value of an annotation; empty where it has none.
pub(crate) fn annotation<'a>(json: &'a Value, name: &str) -> Option<&'a str> {
    let value = json.get("annotations")?.get(name)?;
    Some(value.as_str().unwrap_or_default())
}

fn extension(name: &str) -> Result<Type, String> {
    let extension = match name {
        "decimal" => Extension::Decimal,
        "ipaddr" => Extension::IpAddr,
        "datetime" => Extension::Datetime,
        "duration" => Extension::Duration,
        other => return Err(format!("the type `{other}` is not known")),
    };
    Ok(Type::Extension(extension))
}
