//! Searches (section 8): who may do this, with what may they do it, what may they do?

use std::sync::Arc;

use serde_json::Value;

use crate::{
    Action, Entity, Invalid, Properties, json,
    request::{Parts, optional_object, required, sought, wrong},
};

/// What is searched for, and among what.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Subjects of a type that may do this with this.
    Subject {
        /// The type of the subjects.
        kind: String,
        /// What the caller says of each of them.
        properties: Option<Properties>,
        /// What they would do.
        action: Arc<Action>,
        /// With what.
        resource: Arc<Entity>,
    },
    /// Resources of a type with which this subject may do this.
    Resource {
        /// The type of the resources.
        kind: String,
        /// What the caller says of each of them.
        properties: Option<Properties>,
        /// Who.
        subject: Arc<Entity>,
        /// What it would do.
        action: Arc<Action>,
    },
    /// What this subject may do with this resource.
    Action {
        /// Who.
        subject: Arc<Entity>,
        /// With what.
        resource: Arc<Entity>,
    },
}

/// A request to one of `/access/v1/search/{subject,resource,action}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// What is searched for.
    pub target: Target,
    /// Everything else the caller says.
    pub context: Option<Arc<Properties>>,
    /// Which part of the results is wanted.
    pub page: Option<PageRequest>,
}

/// Which part of the results is wanted (section 8.2).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PageRequest {
    /// Where the page before this one ended, as its answer has it. An empty one is none.
    pub token: Option<String>,
    /// The most results.
    pub limit: Option<u64>,
    /// Whatever else the caller says of the page.
    pub properties: Option<Properties>,
}

impl Search {
    /// Reads the body of a request to `/access/v1/search/subject`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn subjects(bytes: &[u8]) -> Result<Self, Invalid> {
        let mut members = json::object(bytes)?;
        let (kind, properties) = sought("subject", members.remove("subject"))?;
        let page = page(members.remove("page"))?;
        let parts = Parts::take(members)?;
        let target = Target::Subject {
            kind,
            properties,
            action: required("action", parts.action)?,
            resource: required("resource", parts.resource)?,
        };
        let context = parts.context;
        Ok(Self { target, context, page })
    }

    /// Reads the body of a request to `/access/v1/search/resource`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn resources(bytes: &[u8]) -> Result<Self, Invalid> {
        let mut members = json::object(bytes)?;
        let (kind, properties) = sought("resource", members.remove("resource"))?;
        let page = page(members.remove("page"))?;
        let parts = Parts::take(members)?;
        let target = Target::Resource {
            kind,
            properties,
            subject: required("subject", parts.subject)?,
            action: required("action", parts.action)?,
        };
        let context = parts.context;
        Ok(Self { target, context, page })
    }

    /// Reads the body of a request to `/access/v1/search/action`. An action in it counts for nothing.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn actions(bytes: &[u8]) -> Result<Self, Invalid> {
        let mut members = json::object(bytes)?;
        members.remove("action");
        let page = page(members.remove("page"))?;
        let parts = Parts::take(members)?;
        let target = Target::Action {
            subject: required("subject", parts.subject)?,
            resource: required("resource", parts.resource)?,
        };
        let context = parts.context;
        Ok(Self { target, context, page })
    }
}

fn page(value: Option<Value>) -> Result<Option<PageRequest>, Invalid> {
    let Some(mut members) = optional_object("page", value)? else {
        return Ok(None);
    };
    let token = match members.remove("token") {
        None | Some(Value::Null) => None,
        Some(Value::String(token)) => Some(token).filter(|token| !token.is_empty()),
        Some(_) => return Err(wrong("page.token", "a string")),
    };
    let limit = match members.remove("limit") {
        None | Some(Value::Null) => None,
        Some(limit) => Some(whole(&limit).ok_or_else(|| wrong("page.limit", "a whole number that is not negative"))?),
    };
    let properties = optional_object("page.properties", members.remove("properties"))?;
    Ok(Some(PageRequest {
        token,
        limit,
        properties,
    }))
}

/// A number that JSON Schema takes for an integer: `10.0` is one.
fn whole(value: &Value) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if let Some(number) = value.as_u64() {
        return Some(number);
    }
    let number = value
        .as_f64()
        .filter(|number| (0.0..=EXACT).contains(number) && number.fract() == 0.0)?;
    format!("{number:.0}").parse().ok()
}
