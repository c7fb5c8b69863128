//! What Cedar would take, and we do not.

use std::collections::HashSet;

use serde_json::Value;

use super::{Declaration, Problem, Source, Terms, What, members, namespaces, qualified};
use crate::{names, shape::Shape, words::declarations};

/// The names our own schema takes.
pub(super) struct Ours {
    pub(super) entities: HashSet<String>,
    pub(super) common: HashSet<String>,
    pub(super) actions: HashSet<String>,
}

impl Ours {
    pub(super) fn of(json: &Value) -> Self {
        let names = |key: &str| {
            let parts = namespaces(json).flat_map(|(_, parts)| members(parts, key));
            parts.map(|(name, _)| name.clone()).collect()
        };
        Self {
            entities: names("entityTypes"),
            common: names("commonTypes"),
            actions: names("actions"),
        }
    }
}

/// Words that, in an attribute's name, say that it holds something about a person.
const PERSONAL: [&str; 26] = [
    "address",
    "birthdate",
    "birthday",
    "dob",
    "email",
    "emails",
    "familyname",
    "firstname",
    "fullname",
    "givenname",
    "iban",
    "lastname",
    "login",
    "mail",
    "mails",
    "mobile",
    "msisdn",
    "passport",
    "person",
    "phone",
    "phones",
    "ssn",
    "surname",
    "telephone",
    "upn",
    "username",
];

/// The fragments with all that they declare.
pub(super) struct Checked<'a>(Vec<(&'a Source, Vec<Declaration>)>);

impl<'a> Checked<'a> {
    pub(super) fn new(sources: &[&'a Source]) -> Self {
        let sources = sources.iter().map(|&source| (source, declarations(&source.text)));
        Self(sources.collect())
    }

    fn all(&self) -> impl Iterator<Item = (&'a Source, &Declaration)> {
        self.0
            .iter()
            .flat_map(|(source, found)| found.iter().map(move |declaration| (*source, declaration)))
    }

    /// The problem where the declaration stands.
    fn at(&self, what: What, name: &str, message: String, help: &str) -> Problem {
        let mut all = self.all();
        let problem = match all.find(|(_, declared)| declared.what == what && declared.name == name) {
            Some((source, declared)) => Problem::at(source, declared.start, message),
            None => Problem::of_file("schemas", message),
        };
        problem.help(help.to_owned())
    }

    /// What shows before the fragments are linked.
    pub(super) fn check(&self, ours: &Ours, problems: &mut Vec<Problem>, warnings: &mut Vec<Problem>) {
        for (source, declared) in self.all() {
            let name = &declared.name;
            let (what, taken) = match declared.what {
                What::Entity => ("entity type", &ours.entities),
                What::Common => ("common type", &ours.common),
                What::Action => ("action", &ours.actions),
                What::Namespace | What::Attribute => ("", &HashSet::new()),
            };
            if taken.contains(name) && !declared.in_namespace {
                let message = format!("the {what} `{name}` is Bailiwick's own and cannot be declared again");
                let help = format!("give it another name, or use `{name}` as it is: without declaring it");
                problems.push(Problem::at(source, declared.start, message).help(help));
            }
            if declared.what == What::Action && declared.in_namespace {
                let message = format!("the action `{name}` is in a namespace, where callers cannot name it");
                let help = "move it out of `namespace { .. }`; what it applies to may stay there".to_owned();
                problems.push(Problem::at(source, declared.start, message).help(help));
            }
            if declared.what == What::Entity && !names::is_reachable(name) {
                let message = format!("callers cannot name the entity type `{name}`");
                let kind = names::from_cedar_name(name);
                let help = format!(
                    "names that begin with `_x_` are those of types that Cedar has no name for; for the type {kind:?} write \
                     `{}`",
                    names::to_cedar_name(&kind)
                );
                problems.push(Problem::at(source, declared.start, message).help(help));
            }
            check_annotations(source, declared, problems);
            if looks_personal(declared) {
                warnings.push(of_personal(source, declared));
            }
        }
    }

    /// A person's `name`, as it stands.
    pub(super) fn check_names(&self, terms: &Terms, warnings: &mut Vec<Problem>) {
        for (source, declared) in self.all() {
            let name = declared.name.as_str();
            let of_person = || {
                terms
                    .kinds
                    .values()
                    .any(|kind| kind.personal && kind.name.to_string() == declared.parent)
            };
            let is_name = matches!(name, "name" | "display_name" | "displayName" | "nickname" | "nick");
            if declared.what == What::Attribute && is_name && plain_text(declared) && of_person() {
                warnings.push(of_personal(source, declared));
            }
        }
    }

    /// What shows in the linked schema.
    pub(super) fn check_resolved(&self, ours: &Ours, json: &Value, problems: &mut Vec<Problem>) {
        for (namespace, parts) in namespaces(json) {
            for (name, entity) in members(parts, "entityTypes") {
                let name = qualified(namespace, name);
                if entity.get("tags").is_some() {
                    let message = format!("the entity type `{name}` has tags, which are not supported");
                    problems.push(self.at(What::Entity, &name, message, "declare attributes instead of `tags`"));
                }
                if entity.get("external").is_some() {
                    let message = format!("the entity type `{name}` is external, and nothing else declares it");
                    problems.push(self.at(What::Entity, &name, message, "declare it without `external`"));
                }
            }
            for (name, action) in members(parts, "actions").filter(|(name, _)| !ours.actions.contains(*name)) {
                let groups = action.get("memberOf").and_then(Value::as_array).into_iter().flatten();
                let mut groups = groups.filter_map(|group| group.get("id").and_then(Value::as_str));
                if let Some(group) = groups.find(|group| ours.actions.contains(*group)) {
                    let message = format!("the action `{name}` is in `{group}`, which is Bailiwick's own");
                    let help = "policies about our group would cover it; declare a group of your own";
                    problems.push(self.at(What::Action, name, message, help));
                }
                if action.get("external").is_some() {
                    let message = format!("the action `{name}` is external, and nothing else declares it");
                    problems.push(self.at(What::Action, name, message, "declare it without `external`"));
                }
            }
        }
    }

    /// Personal attributes that no pseudonym can stand for.
    pub(super) fn check_personal(&self, terms: &Terms, problems: &mut Vec<Problem>) {
        let mut wrong = Vec::new();
        for kind in terms.kinds.values() {
            unreplaceable(&kind.shape, &mut wrong);
        }
        for deed in terms.actions.values() {
            unreplaceable(&deed.context, &mut wrong);
        }
        wrong.sort();
        wrong.dedup();
        for (name, of) in wrong {
            let message = format!("the attribute `{name}` is personal, but no pseudonym can stand for {of}");
            let help = "declare it as String, or drop @personal";
            problems.push(self.at(What::Attribute, &name, message, help));
        }
    }
}

fn unreplaceable(shape: &Shape, wrong: &mut Vec<(String, String)>) {
    use crate::shape::Type;
    for (name, attribute) in &shape.0 {
        if attribute.personal && !attribute.of.holds_texts() {
            wrong.push((name.clone(), attribute.of.to_string()));
        }
        let mut of = &attribute.of;
        while let Type::Set(element) = of {
            of = element;
        }
        if let Type::Record(inner) = of {
            unreplaceable(inner, wrong);
        }
    }
}

fn check_annotations(source: &Source, declared: &Declaration, problems: &mut Vec<Problem>) {
    for (name, value, start) in &declared.annotations {
        let value = value.as_deref();
        let problem = match (name.as_str(), declared.what) {
            ("authoritative", What::Attribute) if value == Some("store") => continue,
            ("authoritative", What::Attribute) => (
                "an attribute can be authoritative only for the store".to_owned(),
                "write @authoritative(\"store\")",
            ),
            ("authoritative", _) => (
                "only an attribute can be authoritative".to_owned(),
                "write @authoritative(\"store\") before the attributes that requests may not set",
            ),
            ("personal", What::Entity | What::Attribute) => match value {
                None | Some("" | "no") => continue,
                Some(value) => (
                    format!("@personal has no value {value:?}"),
                    "write @personal, or @personal(\"no\") for what is not personal",
                ),
            },
            ("personal", _) => (
                "only an entity type or an attribute can be personal".to_owned(),
                "write @personal before the entity type or the attribute",
            ),
            _ => continue,
        };
        problems.push(Problem::at(source, *start, problem.0).help(problem.1.to_owned()));
    }
}

fn of_personal(source: &Source, declared: &Declaration) -> Problem {
    let name = &declared.name;
    let message = format!("the attribute `{name}` looks personal, and the log would show it as it is");
    let help = "write @personal before it, and the log has a pseudonym; or @personal(\"no\") if it is not personal";
    Problem::at(source, declared.start, message).help(help.to_owned())
}

/// Whether it is of type `String`, and nothing says whether it is personal.
fn plain_text(declared: &Declaration) -> bool {
    let said = declared.annotations.iter().any(|(name, _, _)| name == "personal");
    declared.of == "String" && !said
}

/// Whether it is an attribute of texts whose name has a word that says that it is about a person.
fn looks_personal(declared: &Declaration) -> bool {
    if declared.what != What::Attribute || !plain_text(declared) {
        return false;
    }
    let words = words_of(&declared.name);
    let pairs = words.windows(2).map(<[String]>::concat);
    words
        .iter()
        .cloned()
        .chain(pairs)
        .any(|word| PERSONAL.contains(&word.as_str()))
}

/// The words of a name in `snake_case`, `kebab-case` or `camelCase`, in small letters.
fn words_of(name: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let mut before_small = false;
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && before_small) {
            words.push(String::new());
        }
        before_small = c.is_ascii_lowercase();
        if c.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(c.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_personal() {
        for (name, expected) in [
            ("email", true),
            ("workEmail", true),
            ("user_name", true),
            ("first-name", true),
            ("phone2", false),
            ("name", false),
            ("emailed", false),
            ("addressee_count", false),
            ("home_address", true),
        ] {
            let declared = declarations(&format!("entity A {{ \"{name}\": String }};"));
            let attribute = declared
                .iter()
                .find(|declared| declared.what == What::Attribute)
                .unwrap();
            assert_eq!(looks_personal(attribute), expected, "{name}");
        }
    }
}
