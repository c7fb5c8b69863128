//! Entity files: from text to what is known before a request comes.

use std::collections::{HashMap, HashSet};

use cedar_policy::{Entity, EntityUid, RestrictedExpression};
use serde_json::value::RawValue;

use crate::{
    AgentFacts, Problem, Source,
    problem::place,
    schema::Terms,
    store::{Origin, Store, Stored, find_cycle},
    vocabulary::Vocabulary,
};

/// The name under which problems with agents appear: agents come from manifests, which were read elsewhere.
const AGENTS: &str = "agents";

/// What is declared, and where; `None` for an agent.
type Taken<'a> = HashMap<EntityUid, Option<(&'a Source, usize)>>;

/// Everything known before a request comes: the entities of the files and the agents.
///
/// Files may declare what has no other source. Agents come from their manifests and models from the request, so an
/// entity file that declares one could only contradict them, and is refused.
pub(crate) fn load(
    vocabulary: &Vocabulary,
    terms: &Terms,
    sources: &[&Source],
    agents: &[AgentFacts],
    problems: &mut Vec<Problem>,
) -> Option<Store> {
    let before = problems.len();
    let mut entities = Vec::new();
    let mut taken = Taken::new();
    for &source in sources {
        let items: Vec<&RawValue> = match serde_json::from_str(&source.text) {
            Ok(items) => items,
            Err(error) => {
                problems.push(of_json(source, &error));
                continue;
            }
        };
        for item in items {
            // Both point into the same text, so the difference is the item's offset.
            let start = item.get().as_ptr().addr().saturating_sub(source.text.as_ptr().addr());
            match declared(vocabulary, terms, item.get(), &taken) {
                Ok(entity) => {
                    let stored = Stored::new(entity, Origin::File);
                    taken.insert(stored.uid.clone(), Some((source, start)));
                    entities.push(stored);
                }
                Err(message) => problems.push(Problem::at(source, start, message)),
            }
        }
    }
    for agent in agents {
        match agent_entity(vocabulary, agent) {
            Ok(entity) => {
                if taken.insert(entity.uid(), None).is_some() {
                    let message = format!("the agent {} is declared twice", agent.name);
                    problems.push(Problem::of_file(AGENTS, message));
                }
                entities.push(Stored::new(entity, Origin::File));
            }
            Err(message) => problems.push(Problem::of_file(AGENTS, message)),
        }
    }
    if problems.len() > before {
        return None;
    }
    // A policy can look into what groups an action is in.
    let actions = terms.actions.values();
    entities.extend(actions.map(|deed| Stored::new(deed.entity.clone(), Origin::File)));
    // Each is sound by itself; what can still be wrong is the whole, by a cycle.
    if let Some((uid, parent)) = find_cycle(&entities) {
        let message = match uid == parent {
            true => format!("`{uid}` is in itself"),
            false => format!("`{uid}` is in itself by way of `{parent}`"),
        };
        let problem = match taken.get(&uid) {
            Some(Some((source, start))) => Problem::at(source, *start, message),
            _ => Problem::of_file(AGENTS, message),
        };
        problems.push(problem.help(format!("take `{parent}` out of the `parents` of `{uid}`")));
        return None;
    }
    Some(Store::new(entities))
}

fn of_json(source: &Source, error: &serde_json::Error) -> Problem {
    let column = error.column().max(1);
    Problem {
        line: u32::try_from(error.line()).ok(),
        column: u32::try_from(column).ok(),
        ..Problem::of_file(
            &source.file,
            format!("not a JSON array of entities: {}", without_place(&error.to_string())),
        )
    }
}

fn declared(vocabulary: &Vocabulary, terms: &Terms, json: &str, taken: &Taken<'_>) -> Result<Entity, String> {
    let entity = Entity::from_json_str(json, Some(&terms.schema)).map_err(|error| report(&error))?;
    let uid = entity.uid();
    declarable(vocabulary, terms, &uid)?;
    if uid.id().unescaped().is_empty() {
        return Err(format!("`{uid}` has no id"));
    }
    match taken.get(&uid) {
        Some(Some((source, start))) => {
            let (line, column) = place(&source.text, *start);
            let file = &source.file;
            Err(format!("`{uid}` is already declared at {file}:{line}:{column}"))
        }
        Some(None) => Err(format!("`{uid}` is already declared")),
        None => Ok(entity),
    }
}

/// Whether files and the API may say anything of such an entity: of all types but those that have another source.
pub(crate) fn declarable(vocabulary: &Vocabulary, terms: &Terms, uid: &EntityUid) -> Result<(), String> {
    let kind = uid.type_name();
    let from = if kind == &vocabulary.agent {
        "agents come from their manifests"
    } else if kind == &vocabulary.model {
        "models come from the request"
    } else if terms.kinds.contains_key(kind) {
        return Ok(());
    } else if kind.basename() == "Action" {
        "actions come from the schema"
    } else {
        "the schema declares no such type"
    };
    Err(format!("`{uid}` cannot be declared here: {from}"))
}

/// An agent's record, which follows from its manifest.
pub(crate) fn agent_entity(vocabulary: &Vocabulary, facts: &AgentFacts) -> Result<Entity, String> {
    let attributes = [
        ("name", facts.name.as_str()),
        ("team", &facts.team),
        ("product", &facts.product),
        ("environment", &facts.environment),
    ];
    let parents = HashSet::from([vocabulary.team(&facts.team)]);
    Entity::new(vocabulary.agent(&facts.name), strings(attributes), parents).map_err(|error| report(&error))
}

/// String attributes, taken as they are: no text is parsed, so none can break out.
pub(crate) fn strings<const N: usize>(attributes: [(&str, &str); N]) -> HashMap<String, RestrictedExpression> {
    let attributes = attributes.into_iter();
    attributes
        .map(|(name, value)| (name.to_owned(), RestrictedExpression::new_string(value.to_owned())))
        .collect()
}

/// The error with its causes, on one line.
pub(crate) fn report(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    without_place(&text).to_owned()
}

/// Drops the place that the JSON reader appends: a problem shows it itself, counted in the file and not in the entity.
fn without_place(text: &str) -> &str {
    let mut parts = text.rsplitn(2, " at line ");
    let (place, message) = (parts.next(), parts.next());
    let is_place = |c: char| c.is_ascii_digit() || " column".contains(c);
    match (place, message) {
        (Some(place), Some(message)) if place.chars().all(is_place) => message,
        _ => text,
    }
}
