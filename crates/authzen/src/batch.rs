//! Many questions in one request (section 7).

use serde_json::Value;

use crate::{
    Evaluation, Invalid, json,
    request::{Parts, optional_object, required, wrong},
};

/// When a batch ends (section 7.1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Semantic {
    /// Every item is answered.
    #[default]
    ExecuteAll,
    /// It ends at the first item that is denied.
    DenyOnFirstDeny,
    /// It ends at the first item that is permitted.
    PermitOnFirstPermit,
}

impl Semantic {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "execute_all" => Self::ExecuteAll,
            "deny_on_first_deny" => Self::DenyOnFirstDeny,
            "permit_on_first_permit" => Self::PermitOnFirstPermit,
            _ => return None,
        })
    }

    /// Whether a batch ends behind an item with this decision.
    pub fn ends_with(self, decision: bool) -> bool {
        match self {
            Self::ExecuteAll => false,
            Self::DenyOnFirstDeny => !decision,
            Self::PermitOnFirstPermit => decision,
        }
    }
}

/// A request to `/access/v1/evaluations`.
#[derive(Clone, Debug, PartialEq)]
pub enum Evaluations {
    /// Without items it is one question, and is answered as one.
    One(Evaluation),
    /// Each item stands for itself: one that lacks something is denied, and the others are answered.
    Many {
        /// The items, in their order.
        items: Vec<Result<Evaluation, Invalid>>,
        /// When it ends.
        semantic: Semantic,
    },
}

impl Evaluations {
    /// Reads the body of a request with at most so many items.
    ///
    /// # Errors
    /// What is wrong with it as a whole.
    pub fn parse(bytes: &[u8], most: usize) -> Result<Self, Invalid> {
        let mut members = json::object(bytes)?;
        let items = match members.remove("evaluations") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(wrong("evaluations", "an array")),
        };
        let semantic = semantic(members.remove("options"))?;
        let defaults = Parts::take_from(&mut members)?;
        if items.is_empty() {
            return Ok(Self::One(defaults.whole()?));
        }
        if items.len() > most {
            let message = format!("there are {} evaluations, more than {most}", items.len());
            return Err(Invalid::new(message));
        }
        let items: Result<Vec<_>, _> = items
            .into_iter()
            .map(|item| match item {
                Value::Object(members) => Ok(Parts::take(members).and_then(|item| item.over(&defaults))),
                _ => Err(wrong("evaluations", "an array of objects")),
            })
            .collect();
        let items = items?;
        Ok(Self::Many { items, semantic })
    }
}

fn semantic(options: Option<Value>) -> Result<Semantic, Invalid> {
    let options = optional_object("options", options)?;
    match options.as_ref().and_then(|options| options.get("evaluations_semantic")) {
        None | Some(Value::Null) => Ok(Semantic::default()),
        Some(Value::String(name)) => Semantic::named(name).ok_or_else(|| {
            let known = "`execute_all`, `deny_on_first_deny` or `permit_on_first_permit`";
            wrong("options.evaluations_semantic", known)
        }),
        Some(_) => Err(wrong("options.evaluations_semantic", "a string")),
    }
}

impl Parts {
    /// An item with the defaults in the place of what it does not have. What it has replaces a default as a whole.
    fn over(self, defaults: &Self) -> Result<Evaluation, Invalid> {
        Ok(Evaluation {
            subject: required("subject", self.subject.or_else(|| defaults.subject.clone()))?,
            action: required("action", self.action.or_else(|| defaults.action.clone()))?,
            resource: required("resource", self.resource.or_else(|| defaults.resource.clone()))?,
            context: self.context.or_else(|| defaults.context.clone()),
        })
    }
}
