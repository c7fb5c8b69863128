//! Filters as people write them.

use entry::Event;
use model::{ActionId, nearest};
use store::{Field, STATUSES};

use crate::{AdminError, privacy};

/// What can be filtered by.
pub const SEARCH_FILTERS: [&str; 16] = [
    "kind", "agent", "pep", "user", "key", "run", "task", "action", "resource", "model", "subject", "decision",
    "reason", "status", "budget", "by",
];

/// The words of decisions.
const DECISIONS: [&str; 3] = ["permit", "deny", "approval_required"];

/// A filter and a value of it, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The field has this value.
    Value(Field, String),
    /// This user: a name, or a pseudonym without what stands before it.
    User(String),
}

/// Reads a filter and its value.
pub fn search_condition(filter: &str, value: &str) -> Result<Condition, AdminError> {
    if value.is_empty() {
        return Err(AdminError::Invalid(format!("{filter}: write a value")));
    }
    let value = value.to_owned();
    let is = |field| Ok(Condition::Value(field, value.clone()));
    match filter {
        "kind" => one_of(filter, &value, Event::kinds()).map(|kind| Condition::Value(Field::Kind, kind)),
        "decision" => {
            let word = match value.as_str() {
                "allow" | "allowed" | "permitted" => "permit",
                "denied" | "refused" => "deny",
                "approval" | "asked" => "approval_required",
                word => word,
            };
            one_of(filter, word, &DECISIONS).map(|word| Condition::Value(Field::Decision, word))
        }
        "status" => one_of(filter, &value, &STATUSES).map(|status| Condition::Value(Field::Status, status)),
        "user" => {
            let user = match privacy::written(&value) {
                Some(pseudonym) => pseudonym.map_err(AdminError::Invalid)?.to_owned(),
                None => value,
            };
            Ok(Condition::User(user))
        }
        "by" => is(Field::Admin),
        // The id of an action, or its name in policies.
        "action" if value.parse::<ActionId>().is_ok() => is(Field::Action),
        "action" => is(Field::Operation),
        // All of an upstream or of a type, or one.
        "resource" => match value.strip_suffix("/*") {
            Some(kind) if !kind.contains(['/', '*']) => Ok(Condition::Value(Field::ResourceType, kind.to_owned())),
            None if !value.contains(['/', '*']) => is(Field::ResourceType),
            _ if value.ends_with('*') => Err(AdminError::Invalid(format!(
                "resource: {value:?} is not understood: write it whole, such as openai/gpt-4o, or openai/* for all of openai"
            ))),
            _ => is(Field::Resource),
        },
        _ => {
            let unknown = || {
                let near = nearest(filter, &SEARCH_FILTERS).map(|near| format!("did you mean `{near}`? "));
                AdminError::Invalid(format!(
                    "nothing can be filtered by {filter:?}: {}the filters are {}",
                    near.unwrap_or_default(),
                    SEARCH_FILTERS.join(", ")
                ))
            };
            let field = Field::find(filter).filter(|field| SEARCH_FILTERS.contains(&field.as_str()));
            field.ok_or_else(unknown).map(|field| Condition::Value(field, value))
        }
    }
}

fn one_of(filter: &str, word: &str, known: &[&str]) -> Result<String, AdminError> {
    if known.contains(&word) {
        return Ok(word.to_owned());
    }
    let near = match nearest(word, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", known.join(", ")),
    };
    Err(AdminError::Invalid(format!("there is no {filter} {word:?}: {near}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read() {
        let id = "019a5c0e7b7a7f3a9d1c2e4f60718293";
        let pseudonym = "4e07408562bedb8b60ce05c1decfe3ad";
        for (filter, value, expected) in [
            ("kind", "intent", Ok((Field::Kind, "intent"))),
            (
                "kind",
                "intents",
                Err("there is no kind \"intents\": did you mean `intent`?"),
            ),
            ("kind", "", Err("kind: write a value")),
            ("decision", "allowed", Ok((Field::Decision, "permit"))),
            ("decision", "approval", Ok((Field::Decision, "approval_required"))),
            ("decision", "maybe", Err("there are permit, deny, approval_required")),
            ("status", "time_out", Err("did you mean `timeout`?")),
            ("status", "withdrawn", Ok((Field::Status, "withdrawn"))),
            ("action", id, Ok((Field::Action, id))),
            ("action", "llm:generate", Ok((Field::Operation, "llm:generate"))),
            ("resource", "openai/gpt-4o", Ok((Field::Resource, "openai/gpt-4o"))),
            ("resource", "openai/*", Ok((Field::ResourceType, "openai"))),
            ("resource", "openai", Ok((Field::ResourceType, "openai"))),
            ("resource", "open*", Err("resource: \"open*\" is not understood")),
            ("resource", "a/b/*", Err("resource: \"a/b/*\" is not understood")),
            ("by", "ada", Ok((Field::Admin, "ada"))),
            ("reason", "whatever", Ok((Field::Reason, "whatever"))),
            ("user", &format!("pseudonym:{pseudonym}"), Ok((Field::User, pseudonym))),
            ("user", "pseudonym:ann", Err("32 hexadecimal digits")),
            ("user", "ann", Ok((Field::User, "ann"))),
            (
                "agnet",
                "x",
                Err("nothing can be filtered by \"agnet\": did you mean `agent`?"),
            ),
            ("resource_type", "x", Err("did you mean `resource`?")),
        ] {
            let found = search_condition(filter, value).map_err(|error| error.to_string());
            match (found, expected) {
                (Ok(Condition::Value(field, value)), Ok(expected)) => assert_eq!((field, value.as_str()), expected),
                (Ok(Condition::User(user)), Ok(expected)) => assert_eq!((Field::User, user.as_str()), expected),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{filter}={value}: {found}"),
                (found, _) => panic!("{filter}={value}: {found:?}"),
            }
        }
    }
}
