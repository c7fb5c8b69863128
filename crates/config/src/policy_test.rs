//! Policy tests: what `governance/tests/*.yaml` says should be answered to which request.
//!
//! A file holds documents of `kind: PolicyTest`, or lists of the same without a kind. A request is one of an enforcement
//! point in the shape of AuthZEN (`subject`, `action`, `resource`, `context`), or a model call of an agent (`agent`,
//! `model`, ...). `bailiwick check` reads tests, `bailiwick policy test` runs them.

mod asked;
mod entities;
mod request;

use policy::{Code, EntityChange, Outcome};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

pub use self::asked::{AskedCall, AskedParty, AskedQuery, TestRequest};
use self::{
    entities::RawEntity,
    request::{RawRequest, read_request},
};
use super::{
    node::{Field, Format, Node, Placed, Value, decode, parse_text, parse_yaml},
    problem::{Findings, Mark, Problems},
    read,
    suggest::{self, shown},
};

/// The longest name of a test, in characters.
const MAX_NAME: usize = 200;

/// One test.
#[derive(Clone, Debug)]
pub struct PolicyTest {
    /// Its name, unique among the tenant's tests.
    pub name: String,
    /// The file it stands in, as a person would type it.
    pub file: String,
    /// The line it begins in, from 1.
    pub line: u32,
    /// What is asked.
    pub request: TestRequest,
    /// What should be answered.
    pub expect: Outcome,
    /// The policies that should decide, sorted; any may if `None`.
    pub policies: Option<Vec<String>>,
    /// The code that should be answered; any may be if `None`.
    pub code: Option<Code>,
    /// What of the entities is otherwise for this test.
    pub entities: Vec<EntityChange>,
}

/// A policy test: a request, and what should be answered.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "PolicyTest", extend("required" = ["name", "request", "expect"]))]
pub(crate) struct RawTest {
    /// What the document declares. It may be left out.
    kind: Field<TestKind>,
    /// What is tested, in a few words; unique in its tenant.
    name: Field<String>,
    /// What is asked.
    request: Field<RawRequest>,
    /// What should be answered.
    expect: Field<Expected>,
    /// The ids of the policies that should decide, all of them; none for `[]`. Not looked at if absent.
    policies: Field<Vec<String>>,
    /// The code of the answer, such as `no_permit`. Not looked at if absent.
    code: Field<ExpectedCode>,
    /// Entities that are otherwise for this test: attributes over those of the files, parents besides those of the files.
    entities: Field<Vec<RawEntity>>,
}

/// The word `PolicyTest`.
#[derive(Debug)]
struct TestKind;

impl<'de> Deserialize<'de> for TestKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_text(deserializer, "`PolicyTest`", |kind| match kind {
            "PolicyTest" => Ok(Self),
            _ => Err(format!(
                "unknown kind `{}`\nthe files in tests/ hold policy tests: `kind: PolicyTest`, or no kind; agents and rules \
                 stand in agents/ and rules/",
                shown(kind)
            )),
        })
    }
}

impl JsonSchema for TestKind {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TestKind".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "const": "PolicyTest" })
    }
}

/// A type whose values are the words of another.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident($inner:ty), $expecting:literal, $all:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(super) struct $name(pub(super) $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                parse_text(deserializer, $expecting, |word| {
                    let found = $all.into_iter().find(|known| known.as_str() == word).map(Self);
                    found.ok_or_else(|| {
                        let known: Vec<&str> = $all.iter().map(|known| known.as_str()).collect();
                        format!("unknown value `{}`\n{}", shown(word), suggest::help(word, "values", &known))
                    })
                })
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let known: Vec<&str> = $all.iter().map(|known| known.as_str()).collect();
                json_schema!({ "enum": known })
            }
        }
    };
}
use words;

words! {
    /// An outcome.
    Expected(Outcome), "`permit`, `deny` or `approval_required`",
    [Outcome::Permit, Outcome::Deny, Outcome::ApprovalRequired]
}
words! {
    /// A code.
    ExpectedCode(Code), "a code such as `no_permit`", Code::ALL
}

/// Reads a file of tests: those that are right, and what is wrong with the others.
pub(crate) fn parse(file: &str, text: &str) -> (Vec<PolicyTest>, Problems) {
    let mut findings = Findings::default();
    let documents = findings.absorb(parse_yaml(text)).unwrap_or_default();
    let nodes = documents.iter().flat_map(|document| match &document.value {
        Value::List(items) => items.iter().collect::<Vec<_>>(),
        _ => vec![document],
    });
    let tests = nodes.filter_map(|node| findings.absorb(test(node, file))).collect();
    (tests, findings.of_file(file))
}

fn test(node: &Node, file: &str) -> Result<PolicyTest, Findings> {
    let (raw, mut findings) = decode::<RawTest>(node, Format::Yaml);
    let made = raw.and_then(|raw| made(raw, node.mark, file, &mut findings));
    findings.conclude(made)
}

fn made(raw: RawTest, mark: Mark, file: &str, findings: &mut Findings) -> Option<PolicyTest> {
    let subject = match &raw.name {
        Field::Given(name) => format!("the test `{}`", shown(&name.value)),
        Field::Absent | Field::Bad(_) => "the test".to_owned(),
    };
    let help = "every test needs a name: reports call it by that";
    let name = raw
        .name
        .required(Some(mark), format!("{subject} has no `name`"), help, findings);
    let name = name.and_then(|name| checked_name(name, findings));
    let help = "say what is asked: `request: { subject: { type: User, id: alice }, action: read, resource: { type: Doc, id: \
                plan } }`, or for a model call `request: { agent: assistant, model: openai/gpt-4o-mini }`";
    let request = raw
        .request
        .required(Some(mark), format!("{subject} has no `request`"), help, findings);
    let request = request.and_then(|request| read_request(request, findings));
    let help = "say what should be answered: `permit`, `deny` or `approval_required`";
    let expect = raw
        .expect
        .required(Some(mark), format!("{subject} has no `expect`"), help, findings);
    let expect = expect.map(|expect| expect.value.0);
    if let (Some(TestRequest::Call(_)), Some(Outcome::ApprovalRequired)) = (&request, expect) {
        let message = format!("{subject} expects `approval_required` of a model call, which is permitted or denied");
        findings.add_with_help(
            mark,
            message,
            "write `deny`; approvals are asked for by enforcement points",
        );
    }
    if let Field::Bad(_) = raw.kind {
        return None;
    }
    let mut policies = raw.policies.value();
    if let Some(policies) = &mut policies {
        policies.sort();
        policies.dedup();
    }
    let changes = raw.entities.value().unwrap_or_default().into_iter();
    let changes: Vec<Option<EntityChange>> = changes.map(|entity| entity.read(mark, findings)).collect();
    Some(PolicyTest {
        name: name?,
        file: file.to_owned(),
        line: mark.line,
        request: request?,
        expect: expect?,
        policies,
        code: raw.code.value().map(|code| code.0),
        entities: changes.into_iter().collect::<Option<_>>()?,
    })
}

fn checked_name(name: Placed<String>, findings: &mut Findings) -> Option<String> {
    let text = name.value.trim();
    let message = if text.is_empty() {
        "the name of the test is empty".to_owned()
    } else if text.chars().count() > MAX_NAME {
        format!("the name of the test is longer than {MAX_NAME} characters")
    } else if text.chars().any(char::is_control) {
        "the name of the test holds control characters".to_owned()
    } else {
        return Some(text.to_owned());
    };
    findings.add(name.mark, message);
    None
}

/// Tests of one name.
pub(crate) fn check_names(tests: &[PolicyTest], problems: &mut Problems) {
    let mut taken: std::collections::BTreeMap<&str, &PolicyTest> = std::collections::BTreeMap::new();
    for test in tests {
        if let Some(first) = taken.insert(&test.name, test) {
            let message = format!("there is another test `{}`", shown(&test.name));
            let help = format!(
                "the first is at {}:{}; give one of them another name",
                first.file, first.line
            );
            let problem = super::problem::of_file_with_help(test.file.as_str(), message, help);
            problems.push(super::Problem {
                line: Some(test.line),
                ..problem
            });
        }
    }
}

/// Reads one request, as AuthZEN's JSON or as a test has it. `file` is how messages name it.
///
/// # Errors
/// All that is wrong with it, sorted by place.
pub fn parse_request(file: &str, bytes: Vec<u8>) -> Result<TestRequest, Problems> {
    let text = read::text(bytes).map_err(|problem| problem.of_file(file.to_owned()))?;
    let mut findings = Findings::default();
    let documents = findings.absorb(parse_yaml(&text)).unwrap_or_default();
    let request = match documents.as_slice() {
        [node] => {
            let (raw, found) = decode::<RawRequest>(node, Format::Yaml);
            findings.extend(found);
            let mark = node.mark;
            raw.and_then(|value| read_request(Placed { mark, value }, &mut findings))
        }
        _ if findings.is_empty() => {
            let help = "an AuthZEN request has `subject`, `action` and `resource`";
            findings.add_with_help(None, format!("there are {} requests, not one", documents.len()), help);
            None
        }
        _ => None,
    };
    findings
        .conclude(request)
        .map_err(|findings| findings.of_file(file).sorted())
}

#[cfg(test)]
mod tests;
