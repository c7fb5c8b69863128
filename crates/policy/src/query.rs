//! What a policy enforcement point asks.

use serde_json::{Map, Value};

/// Properties of a subject, an action or a resource, or the context: any JSON object.
pub type Properties = Map<String, Value>;

/// A subject or a resource as the [AuthZEN Authorization API 1.0](https://openid.net/specs/authorization-api-1_0.html)
/// has it (sections 5.1 and 5.2).
#[derive(Clone, Copy, Debug)]
pub struct Party<'a> {
    /// Its type: any text.
    pub kind: &'a str,
    /// Its id, of meaning within its type: any text.
    pub id: &'a str,
    /// What the caller says of it. It adds to what is stored, and where an attribute is declared `@authoritative("store")`
    /// it counts for nothing.
    pub properties: Option<&'a Properties>,
}

/// May this subject do this with this resource?
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Who.
    pub subject: Party<'a>,
    /// What it would do: an action's name, any text.
    pub action: &'a str,
    /// What the caller says of the action. Policies see it as `context.action`.
    pub action_properties: Option<&'a Properties>,
    /// With what.
    pub resource: Party<'a>,
    /// Everything else the caller says.
    pub context: Option<&'a Properties>,
    /// Whether somebody who may has approved exactly this. Never the caller's word: policies see it as
    /// `context.approval_ok`.
    pub approved: bool,
}
