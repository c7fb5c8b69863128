//! `select` and `each`: which requests a rule is about, and what it keeps apart.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use ledger::{Label, MAX_VALUES, Selector};
use llm::MAX_NAME_BYTES;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};

use super::agent::{MAX_LABEL, MAX_OWNER};
use crate::{
    node::{Field, Placed},
    problem::{Findings, Mark},
    suggest::{self, shown},
};

/// The longest run and task that a request can name.
const MAX_HEADER: usize = 128;

/// Which requests: those that have one of the values of every label that is named. A value that ends in `*` stands for all
/// that begin so.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "labels and their values, such as `{ team: data }`"
)]
#[schemars(rename = "Selector")]
pub(super) struct RawSelect {
    /// The tenant.
    tenant: Field<Values>,
    /// The agent's environment.
    environment: Field<Values>,
    /// The agent's product.
    product: Field<Values>,
    /// The agent's team.
    team: Field<Values>,
    /// The tier of the credential.
    tier: Field<Values>,
    /// The upstream.
    upstream: Field<Values>,
    /// The model, as the request spells it.
    model: Field<Values>,
    /// A tool that the request offers to the model. Only of rate limits.
    tool: Field<Values>,
    /// The task that the agent names.
    task: Field<Values>,
    /// The agent.
    agent: Field<Values>,
    /// The run that the agent names.
    run: Field<Values>,
    /// The user that the credential acts for, as written when it was issued. `*` stands for nothing here.
    user: Field<Values>,
}

/// What a rule says of the requests that it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selected {
    pub(super) selector: Selector,
    /// The values as they were written, for what is checked when everything is known.
    pub(super) values: Vec<(Label, Placed<String>)>,
}

impl Selected {
    /// Checks what stands under `select`; `of_tools` is whether the rule can tell tools.
    pub(super) fn read(raw: RawSelect, of_tools: bool, findings: &mut Findings) -> Self {
        let mut selected = Self::default();
        for label in Label::ALL {
            let field = match label {
                Label::Tenant => &raw.tenant,
                Label::Environment => &raw.environment,
                Label::Product => &raw.product,
                Label::Team => &raw.team,
                Label::Tier => &raw.tier,
                Label::Upstream => &raw.upstream,
                Label::Model => &raw.model,
                Label::Tool => &raw.tool,
                Label::Task => &raw.task,
                Label::Agent => &raw.agent,
                Label::Run => &raw.run,
                Label::User => &raw.user,
            };
            let Field::Given(Placed { mark, value }) = field else {
                continue;
            };
            if label == Label::Tool && !of_tools {
                let message = "only rate limits select by tool";
                let help = "a request offers several tools, and costs what it costs for all of them: leave `tool` out";
                findings.add_with_help(*mark, message, help);
                continue;
            }
            selected.label(label, *mark, value.placed(*mark), findings);
        }
        selected
    }

    fn label(&mut self, label: Label, mark: Mark, written: Vec<Placed<String>>, findings: &mut Findings) {
        if written.len() > MAX_VALUES {
            let message = format!("`{label}` has {} values, more than {MAX_VALUES}", written.len());
            findings.add_with_help(mark, message, "write what they begin with and `*`, or several rules");
            return;
        }
        if written.is_empty() {
            let message = format!("`{label}` has no value");
            findings.add_with_help(mark, message, format!("leave `{label}` out to select all requests"));
        }
        let mut values: Vec<String> = Vec::new();
        for value in written {
            if let Err((message, help)) = check_value(label, &value.value) {
                findings.add_with_help(value.mark, message, help);
            } else if values.contains(&value.value) {
                let message = format!("`{label}` names `{}` twice", shown(&value.value));
                findings.add_with_help(value.mark, message, "once is enough");
            } else {
                values.push(value.value.clone());
                self.values.push((label, value));
            }
        }
        // Another order is no change.
        values.sort_unstable();
        self.selector.set(label, values);
    }
}

/// A value that some request can have, or the beginning of one.
fn check_value(label: Label, value: &str) -> Result<(), (String, String)> {
    let max = match label {
        Label::User => MAX_OWNER,
        Label::Run | Label::Task => MAX_HEADER,
        Label::Model | Label::Tool => MAX_NAME_BYTES,
        _ => MAX_LABEL,
    };
    let (message, help) = if value.is_empty() {
        let message = format!("`{label}` has an empty value");
        (message, format!("leave `{label}` out to select all requests"))
    } else if value.chars().count() > max {
        let message = format!("a value of `{label}` is longer than {max} characters");
        (message, "no request has such a value".to_owned())
    } else if value.chars().any(char::is_control) {
        let message = format!("a value of `{label}` holds control characters");
        (message, "no request has such a value".to_owned())
    } else if label == Label::User && value.contains('*') {
        let message = "`*` stands for nothing in a `user`".to_owned();
        let help =
            "the log knows users by pseudonyms, which have no beginning in common: name each, or use `each: [user]`";
        (message, help.to_owned())
    } else if value.strip_suffix('*').unwrap_or(value).contains('*') {
        let message = format!("`*` can only stand at the end of a value of `{label}`");
        (
            message,
            "such as `gpt-4o*`, which stands for all that begin with `gpt-4o`".to_owned(),
        )
    } else {
        return Ok(());
    };
    Err((message, help))
}

/// The labels that a rule keeps apart, each once and in their own order: another order is no change.
pub(super) fn each(field: Field<Names>, findings: &mut Findings) -> Vec<Placed<Label>> {
    let Some(Placed {
        mark,
        value: Names(names),
    }) = field.given()
    else {
        return Vec::new();
    };
    let mut labels: BTreeMap<Label, Mark> = BTreeMap::new();
    for Placed { mark, value: name } in names.placed(mark) {
        let known = || Label::ALL.into_iter().filter(|label| *label != Label::Tool);
        if name == Label::Tool.as_str() {
            let message = "`each` cannot keep tools apart";
            let help = "a request offers several: write one rate limit for each tool, with `select: { tool: ... }`";
            findings.add_with_help(mark, message, help);
        } else if let Some(label) = known().find(|label| label.as_str() == name) {
            if labels.insert(label, mark).is_some() {
                findings.add_with_help(mark, format!("`each` names `{label}` twice"), "once is enough");
            }
        } else {
            let known: Vec<&str> = known().map(Label::as_str).collect();
            let message = format!("unknown label `{}`", shown(&name));
            findings.add_with_help(mark, message, suggest::help(&name, "labels", &known));
        }
    }
    let labels = labels.into_iter().map(|(value, mark)| Placed { mark, value });
    labels.collect()
}

/// One text, or a list of them.
#[derive(Debug)]
pub(super) enum Values {
    One(String),
    Many(Vec<Field<String>>),
}

impl Values {
    /// The texts that fitted, without the white space around them. `mark` is the place of the whole.
    fn placed(&self, mark: Mark) -> Vec<Placed<String>> {
        let trimmed = |mark: Mark, text: &str| Placed {
            mark,
            value: text.trim().to_owned(),
        };
        match self {
            Self::One(text) => vec![trimmed(mark, text)],
            Self::Many(items) => {
                let items = items.iter().filter_map(|item| match item {
                    Field::Given(item) => Some(trimmed(item.mark, &item.value)),
                    Field::Absent | Field::Bad(_) => None,
                });
                items.collect()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValuesVisitor;

        fn quoted<E: de::Error>(found: impl fmt::Display) -> E {
            E::custom(format!(
                "expected text or a list of texts, found {found}\nput it in quotes"
            ))
        }

        impl<'de> Visitor<'de> for ValuesVisitor {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Values, E> {
                Ok(Values::One(text.to_owned()))
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Values, E> {
                Err(quoted(format_args!("`{value}`")))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Values, E> {
                Err(quoted(format_args!("the number {number}")))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Values, E> {
                Err(quoted(format_args!("the number {number}")))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Values, E> {
                Err(quoted(format_args!("the number {number}")))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Values, A::Error> {
                let mut many = Vec::new();
                while let Some(item) = items.next_element()? {
                    many.push(item);
                }
                Ok(Values::Many(many))
            }
        }

        deserializer.deserialize_any(ValuesVisitor)
    }
}

impl JsonSchema for Values {
    fn schema_name() -> Cow<'static, str> {
        "Values".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A value or a list of them.",
            "anyOf": [
                { "type": "string", "minLength": 1 },
                {
                    "type": "array",
                    "items": { "type": "string", "minLength": 1 },
                    "minItems": 1,
                    "maxItems": MAX_VALUES,
                    "uniqueItems": true,
                },
            ],
        })
    }
}

/// The name of a label, or a list of them.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Names(Values);

impl JsonSchema for Names {
    fn schema_name() -> Cow<'static, str> {
        "Labels".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let labels = Label::ALL.into_iter().filter(|label| *label != Label::Tool);
        let label = json_schema!({ "enum": labels.map(Label::as_str).collect::<Vec<_>>() });
        json_schema!({
            "description": "A label or a list of them.",
            "anyOf": [label, { "type": "array", "items": label, "uniqueItems": true }],
        })
    }
}
