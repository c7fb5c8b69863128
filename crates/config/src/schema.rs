//! JSON schemas of the files, for editors and for whoever writes them with a program.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::{file::RawFile, manifest::RawDocument, policy_test::RawTest, witness::RawWitnessFile};

/// The schemas (JSON Schema 2020-12) by the file they are of. They are made of the same structs that the files are read
/// into; what a schema cannot say (a time zone exists, a policy compiles) only the loader checks.
pub fn schema() -> Value {
    let generate = || SchemaSettings::draft2020_12().into_generator();
    let mut schemas = json!({
        "bailiwick.toml": generate().into_root_schema_for::<RawFile>(),
        // Those of `rules` are the same.
        "governance/agents/*.yaml": generate().into_root_schema_for::<RawDocument>(),
        "witness.toml": generate().into_root_schema_for::<RawWitnessFile>(),
        // Or a list of such.
        "governance/tests/*.yaml": generate().into_root_schema_for::<RawTest>(),
    });
    unwrap_lines(&mut schemas);
    schemas
}

/// Descriptions are doc comments, whose line breaks are those of the source.
fn unwrap_lines(schema: &mut Value) {
    match schema {
        Value::Object(members) => members.iter_mut().for_each(|(key, value)| match value {
            Value::String(text) if key == "description" => *text = text.replace('\n', " "),
            value => unwrap_lines(value),
        }),
        Value::Array(items) => items.iter_mut().for_each(unwrap_lines),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Settings,
        manifest::{self, Document},
        problem::Problems,
        testing::nowhere,
    };

    #[test]
    fn the_schema_is_the_one_written_down() {
        insta::assert_json_snapshot!(schema());
    }

    /// `required` is said beside each struct, and checked by its `TryFrom`.
    #[test]
    fn what_the_schema_requires_the_loader_requires() {
        let schema = schema();
        let required = |pointer: &str| -> Vec<String> {
            let keys = schema
                .pointer(pointer)
                .and_then(Value::as_array)
                .unwrap_or_else(|| panic!("no {pointer}"));
            keys.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let missing = |problems: Problems| -> Vec<String> {
            let quoted = |message: &str| message.rsplit('`').nth(1).unwrap_or_default().to_owned();
            problems.iter().map(|problem| quoted(&problem.message)).collect()
        };
        let settings = |text: &str| missing(Settings::parse(text, "t", nowhere()).unwrap_err());
        let agents = |text: &str| missing(manifest::parse(text).1.of_file("t").sorted());
        let named = |text: &str| settings(&format!("trust_domain = \"a\"\n{text}"));
        assert_eq!(required("/bailiwick.toml/required"), settings(""));
        assert_eq!(
            required("/bailiwick.toml/$defs/Upstream/anyOf/0/required"),
            named("[upstreams.a]")
        );
        assert_eq!(required("/bailiwick.toml/$defs/Price/required"), named("[[prices]]"));
        let of = |kind: &str| required(&format!("/governance~1agents~1*.yaml/$defs/{kind}/required"));
        assert_eq!(of("Agent"), agents("{}"));
        let budget =
            agents("{ kind: Agent, name: a, owner: o, team: t, product: p, environment: e, purpose: x, budget: {} }");
        assert_eq!(of("AgentBudget"), budget);
        assert_eq!(
            of("Budget"),
            [vec!["kind".to_owned()], agents("{ kind: Budget }")].concat()
        );
        let limit = |rates: &str| agents(&format!("{{ kind: RateLimit, {rates} }}"));
        assert_eq!(
            of("RateLimit"),
            [vec!["kind".to_owned()], limit("requests: 1 per hour")].concat()
        );
        let breaker = agents("{ kind: Breaker, loops: true }");
        assert_eq!(of("Breaker"), [vec!["kind".to_owned()], breaker].concat());
        let pep = agents("{ kind: Pep }");
        assert_eq!(of("Pep"), [vec!["kind".to_owned()], pep].concat());
        let rule = |rule: &str| agents(&format!("{{ kind: Breaker, name: b, scope: run, {rule}: {{}} }}"));
        assert_eq!(of("SpendRate"), rule("spend"));
        assert_eq!(of("SpendSurge"), rule("surge"));
        assert_eq!(of("ErrorRate"), rule("errors"));
        assert_eq!(of("NoProgress"), rule("no_progress"));
    }

    /// `default` is said beside each field, and given by its `TryFrom`.
    #[test]
    fn the_defaults_of_the_schema_are_those_of_the_loader() {
        let schema = schema();
        let defaults = |pointer: &str| -> String {
            let properties = schema.pointer(&format!("/bailiwick.toml{pointer}/properties"));
            let properties = properties
                .and_then(Value::as_object)
                .unwrap_or_else(|| panic!("no {pointer}"));
            let lines = properties.iter().filter_map(|(key, property)| {
                let default = property.get("default")?;
                Some(format!("{key} = {default}\n"))
            });
            lines.collect()
        };
        let mut text = format!("trust_domain = \"a\"\n{}", defaults(""));
        for (section, definition) in [
            ("listen", "Listen"),
            ("log", "Log"),
            ("limits", "Limits"),
            ("timeouts", "Timeouts"),
            ("authzen", "Authzen"),
        ] {
            text.push_str(&format!("[{section}]\n{}", defaults(&format!("/$defs/{definition}"))));
        }
        assert_eq!(text.lines().count(), 1 + 2 + 4 + 3 + 2 + 6 + 7 + 6, "{text}");
        let spelt_out = Settings::parse(&text, "t", nowhere()).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        let plain = Settings::parse("trust_domain = \"a\"", "t", nowhere()).unwrap();
        assert_eq!(format!("{spelt_out:?}"), format!("{plain:?}"));
    }

    /// The same for manifests.
    #[test]
    fn the_defaults_of_the_schema_are_those_of_manifests() {
        let schema = schema();
        let read = |document: &Value| -> String {
            let (documents, findings) = manifest::parse(&document.to_string());
            assert_eq!(findings, crate::problem::Findings::default(), "{document}");
            match documents.as_slice() {
                [Document::Agent(agent)] => format!("{:?}", agent.value),
                [Document::Budget(budget)] => format!("{:?}", budget.spec),
                [Document::Breaker(breaker)] => format!("{:?}", breaker.spec),
                other => panic!("{other:?}"),
            }
        };
        let agent = json!({
            "kind": "Agent", "name": "a", "owner": "o", "team": "t", "product": "p", "environment": "e", "purpose": "x",
            "budget": { "limit": "5 USD", "per": "day" },
        });
        let budget = json!({ "kind": "Budget", "name": "a", "limit": "5 calls", "per": "day" });
        let breaker = json!({
            "kind": "Breaker", "name": "a", "scope": "run",
            "surge": { "times": 2, "within": "1 hour", "at_least": "1 USD" },
            "loops": { "periodic": {} },
            "errors": { "percent": 50 },
            "no_progress": { "calls": 30, "steps": 3 },
        });
        for (document, places) in [
            (agent, &[("/budget", "AgentBudget", 4)][..]),
            (budget, &[("", "Budget", 4)]),
            (
                breaker,
                &[
                    ("", "Breaker", 2),
                    ("/surge", "SpendSurge", 1),
                    ("/loops", "Loops", 3),
                    ("/loops/periodic", "Repeats", 2),
                    ("/errors", "ErrorRate", 2),
                    ("/no_progress", "NoProgress", 1),
                ],
            ),
        ] {
            let mut spelt_out = document.clone();
            for (place, definition, count) in places {
                let pointer = format!("/governance~1agents~1*.yaml/$defs/{definition}/properties");
                let properties = schema.pointer(&pointer).and_then(Value::as_object).unwrap();
                let defaults = properties
                    .iter()
                    .filter_map(|(key, property)| Some((key, property.get("default")?)));
                let into = spelt_out.pointer_mut(place).and_then(Value::as_object_mut).unwrap();
                let before = into.len();
                into.extend(defaults.map(|(key, default)| (key.clone(), default.clone())));
                assert_eq!(into.len() - before, *count, "{definition}");
            }
            assert_eq!(read(&spelt_out), read(&document));
        }
    }
}
