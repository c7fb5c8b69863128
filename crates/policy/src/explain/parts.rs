//! What an explanation is made of.

use std::sync::Arc;

use cedar_policy::Effect as CedarEffect;

use crate::Verdict;

/// Which policies are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breadth {
    /// Those whose scope matches and, if nothing permits what was asked, the `permit`s that fail in one place only.
    Concerned,
    /// Every policy.
    All,
}

/// What a policy does if it applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It permits.
    Permit,
    /// It forbids.
    Forbid,
}

impl Effect {
    /// The word for it in policies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Forbid => "forbid",
        }
    }
}

impl From<CedarEffect> for Effect {
    fn from(effect: CedarEffect) -> Self {
        match effect {
            CedarEffect::Permit => Self::Permit,
            CedarEffect::Forbid => Self::Forbid,
        }
    }
}

/// Why a question is answered as it is. Its `Display` says so in words, on several lines; they show values of the request
/// and of the entities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The answer.
    pub verdict: Verdict,
    /// What was asked, if it fits the schema.
    pub asked: Option<Asked>,
    /// The policies: those that decided first, then the others that apply, then the nearest to applying.
    pub policies: Vec<Explained>,
    /// How many other policies there are.
    pub left_out: usize,
    /// What to do about a refusal: a policy that would permit it, or the name that was probably meant.
    pub help: Option<String>,
}

/// What was asked, in Cedar's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Such as `Agent::"crawler"`.
    pub principal: String,
    /// Such as `Action::"read"`.
    pub action: String,
    /// Such as `Doc::"plan"`.
    pub resource: String,
}

/// One policy, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// Its `@id`.
    pub id: Arc<str>,
    /// What it does.
    pub effect: Effect,
    /// The file it stands in.
    pub file: Arc<str>,
    /// The line it begins in, from 1.
    pub line: u32,
    /// Whether it applies.
    pub result: Applies,
    /// Whether it is among the policies that decided.
    pub decided: bool,
    /// The parts of its scope that do not match.
    pub mismatches: Vec<Mismatch>,
    /// Its conditions, each as if the scope matched.
    pub conditions: Vec<Condition>,
}

/// Whether a policy applies, as Cedar says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applies {
    /// Its scope matches and its conditions hold.
    Yes,
    /// One of them does not.
    No,
    /// It could not be evaluated, and why.
    Error(String),
}

/// A part of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Who.
    Principal,
    /// What.
    Action,
    /// With what.
    Resource,
}

impl Part {
    /// The word for it in policies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Action => "action",
            Self::Resource => "resource",
        }
    }
}

/// Why a part of a scope does not match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The part.
    pub part: Part,
    /// What the policy asks, such as `principal in Team::"data"`.
    pub asks: String,
    /// What is there instead, such as `Agent::"crawler" is in Team::"web"`.
    pub why: String,
}

/// A `when` or an `unless`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Whether it is a `when`.
    pub when: bool,
    /// Whether it lets the policy apply; `None` if it could not be evaluated or is not reached.
    pub holds: Option<bool>,
    /// The operands of its outermost `&&`s.
    pub clauses: Vec<Clause>,
}

/// A part of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// As it is written, on one line.
    pub text: String,
    /// The line it begins in, from 1.
    pub line: u32,
    /// What it comes to, by itself.
    pub truth: Truth,
    /// Whether Cedar gets so far: not behind a clause that is false or an error.
    pub reached: bool,
    /// The values it reads.
    pub reads: Vec<Read>,
}

/// What a clause comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It is true.
    True,
    /// It is false.
    False,
    /// It cannot be evaluated, and why.
    Error(String),
}

/// A value that a clause reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Such as `resource.rank`.
    pub expression: String,
    /// Such as `7`; `None` if there is no such attribute.
    pub value: Option<String>,
    /// The same as a sentence: `resource.rank is 7`, `principal has no attribute team`.
    pub words: String,
}
