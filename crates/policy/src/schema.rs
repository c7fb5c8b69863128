//! The schema: our own, and the fragments that governance directories add to it.
//!
//! All fragments are linked as one text behind ours, so that they may use each other's types and Cedar resolves every
//! name by its own rules. What Cedar reports of the whole is told at its place in the fragment.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use cedar_policy::{
    EntityId, EntityTypeName, EntityUid, Schema, SchemaFragment, ffi::DetailedError,
    schema_str_to_json_with_resolved_types,
};
use serde_json::{Map, Value};

use crate::{
    Problem, Source, names,
    shape::{Reader, Shape, annotation},
    vocabulary::SCHEMA_TEXT,
    words::{Declaration, What},
};

use self::checks::{Checked, Ours};

mod checks;

/// Everything that policies, entities and requests can speak of.
pub(crate) struct Terms {
    pub(crate) schema: Schema,
    /// The entity types by their Cedar names.
    pub(crate) kinds: HashMap<EntityTypeName, Kind>,
    /// The actions by their names, groups of actions included.
    pub(crate) actions: HashMap<String, Arc<Deed>>,
    /// The types by the names that callers give them: reading a name anew for each question would take longer than deciding.
    by_name: HashMap<String, EntityTypeName>,
}

/// An entity type.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: EntityTypeName,
    pub(crate) shape: Shape,
    /// The log has pseudonyms of its ids.
    pub(crate) personal: bool,
    /// Bailiwick's own.
    pub(crate) builtin: bool,
    /// Of an enumerated type, the only ids there are.
    pub(crate) ids: Option<BTreeSet<String>>,
}

/// An action.
#[derive(Debug)]
pub(crate) struct Deed {
    pub(crate) uid: EntityUid,
    /// Its record, which says what groups it is in.
    pub(crate) entity: cedar_policy::Entity,
    /// The action and every group it is in.
    pub(crate) lineage: HashSet<EntityUid>,
    /// The types of principals it is for; none for a group.
    pub(crate) principals: HashSet<EntityTypeName>,
    /// The types of resources it is for.
    pub(crate) resources: HashSet<EntityTypeName>,
    pub(crate) context: Shape,
    /// Bailiwick's own.
    pub(crate) builtin: bool,
}

impl Kind {
    /// The entity of this type with that id.
    pub(crate) fn uid(&self, id: &str) -> EntityUid {
        EntityUid::from_type_name_and_id(self.name.clone(), EntityId::new(id))
    }
}

impl Deed {
    /// Its name as callers give it.
    pub(crate) fn name(&self) -> &str {
        self.uid.id().unescaped()
    }
}

/// What to do where Cedar does not say.
const LANGUAGE: &str =
    "the language of schemas is described at https://docs.cedarpolicy.com/schema/human-readable-schema.html";

impl Terms {
    /// Reads our schema with the fragments behind it. `None` if there were problems, which are then told.
    pub(crate) fn read(sources: &[&Source], problems: &mut Vec<Problem>, warnings: &mut Vec<Problem>) -> Option<Self> {
        let before = problems.len();
        for &source in sources {
            if let Err(error) = SchemaFragment::from_cedarschema_str(&source.text) {
                let report = DetailedError::from(&error);
                problems.push(with_help(Problem::of_report(source, 0, report)));
            }
        }
        if problems.len() > before {
            return None;
        }
        let ours = match resolved(SCHEMA_TEXT) {
            Ok(json) => Ours::of(&json),
            Err(report) => {
                problems.push(Problem::of_file("schema.cedarschema", report.message));
                return None;
            }
        };
        let checked = Checked::new(sources);
        checked.check(&ours, problems, warnings);
        if problems.len() > before {
            return None;
        }
        let whole = Whole::new(sources);
        let linked = Schema::from_cedarschema_str(&whole.text)
            .map_err(|error| Box::new(DetailedError::from(&error)))
            .map(|(schema, notes)| (schema, notes.map(|note| DetailedError::from(&note)).collect::<Vec<_>>()))
            .and_then(|(schema, notes)| Ok((schema, notes, resolved(&whole.text)?)));
        let (schema, notes, json) = match linked {
            Ok(linked) => linked,
            Err(report) => {
                problems.push(with_help(whole.problem(*report)));
                return None;
            }
        };
        warnings.extend(notes.into_iter().map(|note| whole.problem(note)));
        checked.check_resolved(&ours, &json, problems);
        match Self::of(schema, &json, &ours) {
            Ok(terms) if problems.len() == before => {
                checked.check_personal(&terms, problems);
                checked.check_names(&terms, warnings);
                (problems.len() == before).then_some(terms)
            }
            Ok(_) => None,
            Err(message) => {
                problems.push(with_help(whole.of_all(message)));
                None
            }
        }
    }

    fn of(schema: Schema, json: &Value, ours: &Ours) -> Result<Self, String> {
        let mut reader = Reader { common: HashMap::new() };
        for (namespace, parts) in namespaces(json) {
            for (name, common) in members(parts, "commonTypes") {
                reader.common.insert(qualified(namespace, name), common);
            }
        }
        let actions = actions(&schema, &reader, json, ours)?;
        let principals: HashSet<&EntityTypeName> = actions.values().flat_map(|deed| &deed.principals).collect();
        let mut kinds = HashMap::new();
        for (namespace, parts) in namespaces(json) {
            for (name, entity) in members(parts, "entityTypes") {
                let text = qualified(namespace, name);
                let name: EntityTypeName = text.parse().map_err(|_| format!("{text} names no type"))?;
                let builtin = ours.entities.contains(&text);
                let ids = entity.get("enum").and_then(Value::as_array);
                let personal = match annotation(entity, "personal") {
                    // The schema itself stands in the log, with all of their ids.
                    _ if ids.is_some() => false,
                    Some(value) => value != "no",
                    // Our own users are people too, though no action of ours has them for principals.
                    None => (principals.contains(&name) && !builtin) || text == "User",
                };
                let kind = Kind {
                    shape: reader.shape(entity.get("shape"))?,
                    ids: ids.map(|ids| ids.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
                    personal,
                    builtin,
                    name: name.clone(),
                };
                kinds.insert(name, kind);
            }
        }
        let personal: HashSet<EntityTypeName> = kinds
            .values()
            .filter(|kind| kind.personal)
            .map(|kind| kind.name.clone())
            .collect();
        for kind in kinds.values_mut() {
            kind.shape.spread(&personal);
        }
        let spread = |(name, mut deed): (String, Deed)| {
            deed.context.spread(&personal);
            (name, Arc::new(deed))
        };
        let called = |name: &EntityTypeName| (names::from_cedar_type(name), name.clone());
        Ok(Self {
            schema,
            by_name: kinds.keys().map(called).collect(),
            kinds,
            actions: actions.into_iter().map(spread).collect(),
        })
    }

    /// The type that a caller means.
    pub(crate) fn kind(&self, kind: &str) -> Option<&Kind> {
        self.kinds.get(self.by_name.get(kind)?)
    }

    /// The action that a caller means.
    pub(crate) fn action(&self, name: &str) -> Option<&Deed> {
        self.actions.get(name).map(|deed| &**deed)
    }
}

fn actions(schema: &Schema, reader: &Reader<'_>, json: &Value, ours: &Ours) -> Result<HashMap<String, Deed>, String> {
    let entities = schema.action_entities().map_err(|error| error.to_string())?;
    let kind: EntityTypeName = "Action".parse().map_err(|_| "Action names no type")?;
    let mut actions = HashMap::new();
    for (_, parts) in namespaces(json).filter(|(namespace, _)| namespace.is_empty()) {
        for (name, action) in members(parts, "actions") {
            let uid = EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(name));
            let entity = entities.get(&uid).ok_or_else(|| format!("{uid} is not declared"))?;
            let ancestors = entities.ancestors(&uid).into_iter().flatten();
            let applies = action.get("appliesTo");
            let types = |key: &str| {
                let names = applies.and_then(|applies| applies.get(key)).and_then(Value::as_array);
                let names = names.into_iter().flatten().filter_map(Value::as_str);
                names.map(|name| name.parse().map_err(|_| format!("{name} names no type")))
            };
            let deed = Deed {
                entity: entity.clone(),
                lineage: ancestors.chain([&uid]).cloned().collect(),
                principals: types("principalTypes").collect::<Result<_, String>>()?,
                resources: types("resourceTypes").collect::<Result<_, String>>()?,
                context: reader.shape(applies.and_then(|applies| applies.get("context")))?,
                builtin: ours.actions.contains(name),
                uid,
            };
            actions.insert(name.clone(), deed);
        }
    }
    Ok(actions)
}

/// Cedar's JSON form of a schema, every name in it resolved.
fn resolved(text: &str) -> Result<Value, Box<DetailedError>> {
    schema_str_to_json_with_resolved_types(text)
        .map(|(json, _)| json)
        .map_err(|error| Box::new(DetailedError::from(&error)))
}

fn namespaces(json: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let namespaces = json.as_object().into_iter().flatten();
    namespaces.map(|(name, parts)| (name.as_str(), parts))
}

fn members<'a>(parts: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    parts
        .get(key)
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::iter)
}

fn qualified(namespace: &str, name: &str) -> String {
    match namespace {
        "" => name.to_owned(),
        namespace => format!("{namespace}::{name}"),
    }
}

fn with_help(problem: Problem) -> Problem {
    match problem.help {
        Some(_) => problem,
        None => problem.help(LANGUAGE.to_owned()),
    }
}

/// All texts behind ours, as one.
struct Whole<'a> {
    text: String,
    /// Where each begins.
    parts: Vec<(usize, &'a Source)>,
}

impl<'a> Whole<'a> {
    fn new(sources: &[&'a Source]) -> Self {
        let mut whole = Self {
            text: SCHEMA_TEXT.to_owned(),
            parts: Vec::new(),
        };
        for &source in sources {
            whole.text.push('\n');
            whole.parts.push((whole.text.len(), source));
            whole.text.push_str(&source.text);
        }
        whole
    }

    /// Cedar's report on the whole, at its place in the part it is about.
    fn problem(&self, mut report: DetailedError) -> Problem {
        let offset = report.source_locations.first().map(|label| label.loc.start);
        let part = offset.and_then(|offset| self.parts.iter().rev().find(|(start, _)| *start <= offset));
        match part {
            Some((start, source)) => {
                for label in &mut report.source_locations {
                    label.loc.start = label.loc.start.saturating_sub(*start);
                }
                Problem::of_report(source, 0, report)
            }
            None => {
                let help = report.help.take();
                self.of_all(report.message).help(help)
            }
        }
    }

    /// What is known to be wrong, but not where: in the only file, or in any of them.
    fn of_all(&self, message: String) -> Problem {
        match self.parts.as_slice() {
            [(_, source)] => Problem::of_file(&source.file, message),
            _ => Problem::of_file("schemas", message),
        }
    }
}
