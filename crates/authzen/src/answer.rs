//! Answers. The order of their members is fixed, and the same request has the same bytes.

use serde::Serialize;
use serde_json::{Value, ser::Serializer};

use crate::Properties;

/// The answer to one question (section 5.5).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Decision {
    /// Whether it may be.
    pub decision: bool,
    /// What else the enforcement point has to know. Mostly nothing.
    #[serde(skip_serializing_if = "Context::is_empty")]
    context: Context,
}

/// Why, for whoever is to be told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reasons {
    /// The stable code of the decision.
    pub code: Option<&'static str>,
    /// For the user who asked for it.
    pub user: Option<String>,
    /// For the administrator.
    pub admin: Option<String>,
    /// The ids of the policies that decided.
    pub policies: Vec<String>,
}

/// What the enforcement point has to do besides (AuthZEN Obligations Profile, draft 1).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Obligation {
    /// Which of the decision's obligations it is.
    pub id: String,
    /// What has to be done: `step-up`, `notification`, `session_termination` or `custom`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the type needs.
    #[serde(skip_serializing_if = "Properties::is_empty")]
    pub properties: Properties,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Context {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_user: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_admin: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    policies: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    obligations: Vec<Obligation>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    approval_required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<String>,
}

impl Context {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Decision {
    /// A decision without a word more.
    pub fn bare(decision: bool) -> Self {
        Self {
            decision,
            context: Context::default(),
        }
    }

    /// Says why. The texts stand under the status that the decision would have as an HTTP answer, as the examples of section
    /// 5.5.1 have them: nobody says which language an annotation is written in.
    #[must_use]
    pub fn because(mut self, reasons: Reasons) -> Self {
        let status = if self.decision { "200" } else { "403" };
        let under = |text: String| Value::Object([(status.to_owned(), Value::String(text))].into_iter().collect());
        self.context.code = reasons.code;
        self.context.reason_user = reasons.user.map(under);
        self.context.reason_admin = reasons.admin.map(under);
        self.context.policies = reasons.policies;
        self
    }

    /// Says what has to be done besides.
    #[must_use]
    pub fn obliging(mut self, obligations: Vec<Obligation>) -> Self {
        self.context.obligations = obligations;
        self
    }

    /// Says that somebody's approval would make it a permit.
    #[must_use]
    pub fn needs_approval(mut self, template: Option<&str>) -> Self {
        self.context.approval_required = true;
        self.context.template = template.map(str::to_owned);
        self
    }
}

/// Which part of the results an answer has (section 8.2.3). It stands first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Page {
    /// Where the next part begins; empty if there is none.
    pub next_token: String,
    /// How many results this part has.
    pub count: u64,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Subjects or resources: their type, and their ids.
    Entities {
        /// Their type, as the request has it.
        kind: String,
        /// Their ids.
        ids: Vec<String>,
    },
    /// Actions, by their names.
    Actions(Vec<String>),
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To one question.
    One(Decision),
    /// To many.
    Many(Vec<Decision>),
    /// To a search.
    Search {
        /// Which part it is, if it is a part or was asked to be.
        page: Option<Page>,
        /// What was found.
        found: Found,
    },
}

impl Answer {
    /// The answer as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        match self {
            // Nearly all are one of these.
            Self::One(decision) if decision.context.is_empty() => bare(decision.decision).to_vec(),
            Self::One(decision) => json(decision),
            Self::Many(decisions) => json(&Batch { evaluations: decisions }),
            Self::Search { page, found } => {
                let page = page.as_ref();
                match found {
                    Found::Entities { kind, ids } => {
                        let results = ids.iter().map(|id| EntityFound { kind, id }).collect();
                        json(&Results { page, results })
                    }
                    Found::Actions(names) => {
                        let results = names.iter().map(|name| ActionFound { name }).collect();
                        json(&Results { page, results })
                    }
                }
            }
        }
    }
}

/// The body of an error: an object, as all bodies are (section 10.1.1).
pub fn error_body(code: &str, message: &str) -> Vec<u8> {
    json(&ErrorBody { error: code, message })
}

fn bare(decision: bool) -> &'static [u8] {
    if decision {
        b"{\"decision\":true}"
    } else {
        b"{\"decision\":false}"
    }
}

#[derive(Serialize)]
struct Batch<'a> {
    evaluations: &'a [Decision],
}

#[derive(Serialize)]
struct Results<'a, T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<&'a Page>,
    results: Vec<T>,
}

#[derive(Serialize)]
struct EntityFound<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    id: &'a str,
}

#[derive(Serialize)]
struct ActionFound<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
    message: &'a str,
}

/// What is written here has text for names and finite numbers: it always can be.
fn json(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    match value.serialize(&mut Serializer::new(&mut out)) {
        Ok(()) => out,
        Err(_) => Vec::new(),
    }
}
