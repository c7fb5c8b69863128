//! Explanations in words.

use std::fmt;

use super::{Applies, Clause, Condition, Effect, Explained, Explanation, Truth};
use crate::{Code, Outcome};

/// Several lines, without a line break at the end.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = &self.verdict;
        write!(f, "{}: {}", self.headline(), self.because())?;
        for note in &verdict.notes {
            write!(f, "\n  note: {note}")?;
        }
        for policy in &self.policies {
            write!(f, "\n\n{policy}")?;
        }
        match (self.left_out, self.policies.is_empty()) {
            (0, _) => {}
            (1, true) => f.write_str("\n\nThe one policy there is is about something else.")?,
            (1, false) => f.write_str("\n\n1 other policy is about something else.")?,
            (all, true) => write!(f, "\n\nAll {all} policies are about something else.")?,
            (others, false) => write!(f, "\n\n{others} other policies are about something else.")?,
        }
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

impl Explanation {
    /// The outcome and its code: `deny (no_permit)`.
    pub fn headline(&self) -> String {
        format!("{} ({})", self.verdict.outcome.as_str(), self.verdict.code)
    }

    /// What decided, in a sentence.
    pub fn because(&self) -> String {
        let ids = self.verdict.policies.join(", ");
        let deed = self.asked.as_ref().map_or_else(
            || "this".to_owned(),
            |asked| format!("{} {} {}", asked.principal, asked.action, asked.resource),
        );
        match (self.verdict.outcome, self.verdict.code) {
            (Outcome::Permit, _) => format!("{deed} is permitted by {ids}"),
            (_, Code::NoPermit) => format!("nothing permits {deed}"),
            (Outcome::ApprovalRequired, _) => format!("{deed} is forbidden by {ids} until somebody approves it"),
            (_, Code::Forbidden) => format!("{deed} is forbidden by {ids}"),
            (_, Code::EvaluationError) if ids.is_empty() => format!("{deed} could not be evaluated"),
            (_, Code::EvaluationError) => format!("{deed} may be forbidden by {ids}, which could not be evaluated"),
            (_, Code::UnknownType) => "there is no such type".to_owned(),
            (_, Code::UnknownAction) => "there is no such action".to_owned(),
            (_, Code::NotApplicable) => "the action is not one of such a subject on such a resource".to_owned(),
            (_, Code::UnknownAgent) => "there is no such agent".to_owned(),
            (_, code) => code.to_string(),
        }
    }
}

impl Explained {
    /// What became of it: `applies and decides`, `does not apply`.
    pub fn outcome(&self) -> &'static str {
        match (&self.result, self.effect, self.decided) {
            (Applies::Yes, Effect::Permit, true) => "applies and permits",
            (Applies::Yes, Effect::Forbid, true) => "applies and forbids",
            (Applies::Yes, Effect::Permit, false) => "applies, and is overruled",
            (Applies::Yes, Effect::Forbid, false) => "applies",
            (Applies::No, ..) => "does not apply",
            (Applies::Error(_), Effect::Forbid, _) => "could not be evaluated, and so may forbid",
            (Applies::Error(_), Effect::Permit, _) => "could not be evaluated, and so does not count",
        }
    }
}

/// One policy: a line for it and for each part of it.
impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (effect, outcome) = (self.effect.as_str(), self.outcome());
        write!(f, "{effect} {} ({}:{}) {outcome}", self.id, self.file, self.line)?;
        if let Applies::Error(error) = &self.result {
            write!(f, ": {error}")?;
        }
        for mismatch in &self.mismatches {
            write!(f, "\n  no   {}: {}", mismatch.asks, mismatch.why)?;
        }
        if self.mismatches.is_empty() {
            f.write_str("\n  yes  its scope matches")?;
        }
        for condition in &self.conditions {
            write!(f, "{condition}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, clause) in self.clauses.iter().enumerate() {
            let word = match (nth, self.when) {
                (0, true) => "when",
                (0, false) => "unless",
                _ => "and",
            };
            let mark = clause.mark(self.when, self.holds);
            write!(f, "\n  {mark}  line {}, {word} {}", clause.line, clause.text)?;
            match &clause.truth {
                _ if !clause.reached => f.write_str(": not reached")?,
                Truth::True => f.write_str(": true")?,
                Truth::False => f.write_str(": false")?,
                Truth::Error(error) => write!(f, ": {error}")?,
            }
            for read in &clause.reads {
                write!(f, "\n         {}", read.words)?;
            }
        }
        Ok(())
    }
}

impl Clause {
    /// Whether it is the clause that keeps the policy from applying: three letters.
    fn mark(&self, when: bool, holds: Option<bool>) -> &'static str {
        match (&self.truth, when) {
            _ if !self.reached => "-  ",
            (Truth::Error(_), _) => "err",
            (Truth::True, true) | (Truth::False, false) => "yes",
            (Truth::False, true) => "no ",
            // One clause that is true does not make an `unless` true.
            (Truth::True, false) if holds == Some(true) => "-  ",
            (Truth::True, false) => "no ",
        }
    }
}
