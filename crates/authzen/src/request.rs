//! What an enforcement point asks, one question at a time.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::json;

/// Properties of a subject, a resource or an action, or the context: any JSON object.
pub type Properties = Map<String, Value>;

/// Why a request, or one item of it, cannot be answered. It quotes nothing of the request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(String);

impl Invalid {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    pub(crate) fn of_json(error: &serde_json::Error) -> Self {
        Self(format!("the body is not the JSON that is read here: {error}"))
    }

    fn missing(path: &str) -> Self {
        Self(format!("`{path}` is missing"))
    }

    fn wrong(path: &str, expected: &str) -> Self {
        Self(format!("`{path}` has to be {expected}"))
    }
}

/// A subject or a resource (sections 5.1 and 5.2).
#[derive(Clone, Debug, PartialEq)]
pub struct Entity {
    /// `type`: any text.
    pub kind: String,
    /// `id`, of meaning within its type: any text.
    pub id: String,
    /// What the caller says of it.
    pub properties: Option<Properties>,
}

/// An action (section 5.3).
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// `name`: any text.
    pub name: String,
    /// What the caller says of it.
    pub properties: Option<Properties>,
}

/// May this subject do this with this resource? (Section 6.) The parts are shared: many items may have one default.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Who.
    pub subject: Arc<Entity>,
    /// What it would do.
    pub action: Arc<Action>,
    /// With what.
    pub resource: Arc<Entity>,
    /// Everything else the caller says.
    pub context: Option<Arc<Properties>>,
}

impl Evaluation {
    /// Reads the body of a request to `/access/v1/evaluation`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        let members = json::object(bytes)?;
        Parts::take(members)?.whole()
    }
}

/// The parts of a question as far as they are given. One that lacks something is an error only where it is used.
pub(crate) struct Parts {
    pub(crate) subject: Option<Given<Entity>>,
    pub(crate) action: Option<Given<Action>>,
    pub(crate) resource: Option<Given<Entity>>,
    pub(crate) context: Option<Arc<Properties>>,
}

/// A part that may lack what it needs.
pub(crate) type Given<T> = Result<Arc<T>, Invalid>;

impl Parts {
    /// # Errors
    /// A part of another JSON type than it must be.
    pub(crate) fn take(mut members: Properties) -> Result<Self, Invalid> {
        Self::take_from(&mut members)
    }

    pub(crate) fn take_from(members: &mut Properties) -> Result<Self, Invalid> {
        Ok(Self {
            subject: given("subject", members.remove("subject"), entity)?,
            action: given("action", members.remove("action"), action)?,
            resource: given("resource", members.remove("resource"), entity)?,
            context: optional_object("context", members.remove("context"))?.map(Arc::new),
        })
    }

    /// # Errors
    /// That something is missing.
    pub(crate) fn whole(self) -> Result<Evaluation, Invalid> {
        Ok(Evaluation {
            subject: required("subject", self.subject)?,
            action: required("action", self.action)?,
            resource: required("resource", self.resource)?,
            context: self.context,
        })
    }
}

pub(crate) fn required<T>(path: &str, part: Option<Given<T>>) -> Given<T> {
    part.unwrap_or_else(|| Err(Invalid::missing(path)))
}

/// What makes a part: the outer error is of a wrong type, the inner one of something missing.
type Read<T> = fn(&str, Properties) -> Result<Result<T, Invalid>, Invalid>;

fn given<T>(path: &str, value: Option<Value>, read: Read<T>) -> Result<Option<Given<T>>, Invalid> {
    match value {
        None => Ok(None),
        Some(Value::Object(members)) => Ok(Some(read(path, members)?.map(Arc::new))),
        Some(_) => Err(Invalid::wrong(path, "an object")),
    }
}

fn entity(path: &str, mut members: Properties) -> Result<Result<Entity, Invalid>, Invalid> {
    let kind = text(path, "type", members.remove("type"))?;
    let id = text(path, "id", members.remove("id"))?;
    let properties = optional_object(&format!("{path}.properties"), members.remove("properties"))?;
    Ok(match (kind, id) {
        (Some(kind), Some(id)) => Ok(Entity { kind, id, properties }),
        (None, _) => Err(Invalid::missing(&format!("{path}.type"))),
        (_, None) => Err(Invalid::missing(&format!("{path}.id"))),
    })
}

fn action(path: &str, mut members: Properties) -> Result<Result<Action, Invalid>, Invalid> {
    let name = text(path, "name", members.remove("name"))?;
    let properties = optional_object(&format!("{path}.properties"), members.remove("properties"))?;
    Ok(match name {
        Some(name) => Ok(Action { name, properties }),
        None => Err(Invalid::missing(&format!("{path}.name"))),
    })
}

/// The entity that is searched for: its id counts for nothing.
pub(crate) fn sought(path: &str, value: Option<Value>) -> Result<(String, Option<Properties>), Invalid> {
    let mut members = match value {
        Some(Value::Object(members)) => members,
        Some(_) => return Err(Invalid::wrong(path, "an object")),
        None => return Err(Invalid::missing(path)),
    };
    let kind = text(path, "type", members.remove("type"))?;
    let kind = kind.ok_or_else(|| Invalid::missing(&format!("{path}.type")))?;
    let properties = optional_object(&format!("{path}.properties"), members.remove("properties"))?;
    Ok((kind, properties))
}

/// The longest type, id or name of an action, in bytes. They stand in every entry of the log, once for each item.
pub const NAME_BYTES: usize = 2_048;

fn text(path: &str, name: &str, value: Option<Value>) -> Result<Option<String>, Invalid> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) if text.len() > NAME_BYTES => Err(Invalid::new(format!(
            "`{path}.{name}` is longer than {NAME_BYTES} bytes"
        ))),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Invalid::wrong(&format!("{path}.{name}"), "a string")),
    }
}

/// A member that may be absent. A `null` is taken for absence: programs write it for an empty map, and section 5 has no
/// other meaning for it.
pub(crate) fn optional_object(path: &str, value: Option<Value>) -> Result<Option<Properties>, Invalid> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(members)) => Ok(Some(members)),
        Some(_) => Err(Invalid::wrong(path, "an object")),
    }
}

pub(crate) fn wrong(path: &str, expected: &str) -> Invalid {
    Invalid::wrong(path, expected)
}
