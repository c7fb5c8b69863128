//! A question as the log keeps it.

use std::collections::BTreeMap;

use entry::{DecidedItem, Decision, Input, Party, Value};
use policy::{Properties, Recorded};
use serde_json::Value as Json;

/// The code of an item of a batch that lacks something.
pub const INCOMPLETE: &str = "incomplete";

/// The question, not yet answered.
pub fn recorded(question: Recorded) -> DecidedItem {
    let party = |kind: String, id: String| Some(Party { kind, id: Some(id) });
    DecidedItem {
        subject: party(question.subject_kind, question.subject_id),
        action: Some(question.action),
        resource: party(question.resource_kind, question.resource_id),
        input: Some(Input {
            subject: values(question.subject_properties),
            action: values(question.action_properties),
            resource: values(question.resource_properties),
            context: values(question.context),
            approved: question.approved,
        }),
        digest: None,
        outcome: Decision::Deny,
        code: String::new(),
        policies: Vec::new(),
    }
}

fn values(properties: Properties) -> BTreeMap<String, Value> {
    let values = properties.into_iter();
    values.filter_map(|(name, json)| Some((name, value(json)?))).collect()
}

/// As the log writes values. A number that is not whole, or too large, is the text of it: where the schema wants one, it
/// reads both alike.
fn value(json: Json) -> Option<Value> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(value) => Value::Bool(value),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Value::Integer(number),
            None => Value::Text(number.to_string()),
        },
        Json::String(text) => Value::Text(text),
        Json::Array(items) => Value::List(items.into_iter().filter_map(value).collect()),
        Json::Object(members) => Value::Record(values(members)),
    })
}
