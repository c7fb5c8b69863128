//! Entity files, and the small slice of entities that one decision needs.

use std::collections::{HashMap, HashSet};

use cedar_policy::{Entities, Entity, EntityUid, RestrictedExpression};
use serde_json::value::RawValue;

use crate::{AgentFacts, Problem, Source, problem::place, vocabulary::Vocabulary};

/// The name under which problems with agents appear: agents come from manifests, which were read elsewhere.
const AGENTS: &str = "agents";

/// What is declared, and where; `None` for an agent.
type Taken<'a> = HashMap<EntityUid, Option<(&'a Source, usize)>>;

/// Everything known before a request comes: the entities of the files and the agents, transitively closed.
///
/// Files may declare what has no other source. Agents come from their manifests and models from the request, so an
/// entity file that declares one could only contradict them, and is refused.
pub(crate) fn load(
    vocabulary: &Vocabulary,
    sources: &[&Source],
    agents: &[AgentFacts],
    problems: &mut Vec<Problem>,
) -> Option<Entities> {
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
            match declared(vocabulary, item.get(), &taken) {
                Ok(entity) => {
                    taken.insert(entity.uid(), Some((source, start)));
                    entities.push(entity);
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
                entities.push(entity);
            }
            Err(message) => problems.push(Problem::of_file(AGENTS, message)),
        }
    }
    if problems.len() > before {
        return None;
    }
    // Each is sound by itself; what can still fail is the whole, by a cycle of teams.
    match Entities::from_entities(entities, Some(&vocabulary.schema)) {
        Ok(entities) => Some(entities),
        Err(error) => {
            let message = report(&error);
            let mut places = taken.iter().filter(|(uid, _)| message.contains(&uid.to_string()));
            problems.push(match places.find_map(|(_, place)| *place) {
                Some((source, start)) => Problem::at(source, start, message),
                None => Problem::of_file(AGENTS, message),
            });
            None
        }
    }
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

fn declared(vocabulary: &Vocabulary, json: &str, taken: &Taken<'_>) -> Result<Entity, String> {
    let entity = Entity::from_json_str(json, Some(&vocabulary.schema)).map_err(|error| report(&error))?;
    let uid = entity.uid();
    let kind = uid.type_name();
    if kind == &vocabulary.agent {
        return Err(format!(
            "`{uid}` cannot be declared here: agents come from their manifests"
        ));
    }
    if kind == &vocabulary.model {
        return Err(format!("`{uid}` cannot be declared here: models come from the request"));
    }
    let declarable = [
        &vocabulary.tenant,
        &vocabulary.team,
        &vocabulary.user,
        &vocabulary.upstream,
    ];
    if !declarable.contains(&kind) {
        return Err(format!(
            "`{uid}` cannot be declared here: files declare tenants, teams, users and upstreams"
        ));
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

fn agent_entity(vocabulary: &Vocabulary, facts: &AgentFacts) -> Result<Entity, String> {
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

/// The entities that a decision about `roots` can look at: each root that is stored, and its ancestors. An entity's
/// record names all its ancestors already, and the schema has no attribute that refers to an entity, so nothing else
/// can be reached.
pub(crate) fn reach<'a>(store: &Entities, roots: impl IntoIterator<Item = &'a EntityUid>) -> Vec<Entity> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for root in roots {
        let ancestors = store.ancestors(root).into_iter().flatten();
        for uid in std::iter::once(root).chain(ancestors) {
            if let Some(entity) = store.get(uid).filter(|_| seen.insert(uid.clone())) {
                found.push(entity.clone());
            }
        }
    }
    found
}

/// The error with its causes, on one line.
fn report(error: &dyn std::error::Error) -> String {
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
