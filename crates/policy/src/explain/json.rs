//! Explanations for programs.

use serde_json::{Value, json};

use super::{Applies, Clause, Condition, Explained, Explanation, Truth};

impl Explanation {
    /// The explanation as JSON. Keys are added in later versions, and none is taken away.
    pub fn to_json(&self) -> Value {
        let asked = self
            .asked
            .as_ref()
            .map(|asked| json!({ "principal": asked.principal, "action": asked.action, "resource": asked.resource }));
        json!({
            "outcome": self.verdict.outcome.as_str(),
            "code": self.verdict.code.as_str(),
            "because": self.because(),
            "deciding": self.verdict.policies.iter().map(AsRef::<str>::as_ref).collect::<Vec<_>>(),
            "notes": self.verdict.notes,
            "asked": asked,
            "policies": self.policies.iter().map(Explained::to_json).collect::<Vec<_>>(),
            "left_out": self.left_out,
            "help": self.help,
        })
    }
}

impl Explained {
    fn to_json(&self) -> Value {
        let (result, error) = match &self.result {
            Applies::Yes => ("applies", None),
            Applies::No => ("does_not_apply", None),
            Applies::Error(error) => ("error", Some(error)),
        };
        let mismatches = self
            .mismatches
            .iter()
            .map(|mismatch| json!({ "part": mismatch.part.as_str(), "asks": mismatch.asks, "why": mismatch.why }));
        json!({
            "id": &*self.id,
            "effect": self.effect.as_str(),
            "file": &*self.file,
            "line": self.line,
            "result": result,
            "error": error,
            "decided": self.decided,
            "scope_mismatches": mismatches.collect::<Vec<_>>(),
            "conditions": self.conditions.iter().map(Condition::to_json).collect::<Vec<_>>(),
        })
    }
}

impl Condition {
    fn to_json(&self) -> Value {
        json!({
            "kind": if self.when { "when" } else { "unless" },
            "holds": self.holds,
            "clauses": self.clauses.iter().map(Clause::to_json).collect::<Vec<_>>(),
        })
    }
}

impl Clause {
    fn to_json(&self) -> Value {
        let (value, error) = match &self.truth {
            Truth::True => (Some(true), None),
            Truth::False => (Some(false), None),
            Truth::Error(error) => (None, Some(error)),
        };
        let reads = self
            .reads
            .iter()
            .map(|read| json!({ "expression": read.expression, "value": read.value, "words": read.words }));
        json!({
            "text": self.text,
            "line": self.line,
            "value": value,
            "error": error,
            "reached": self.reached,
            "reads": reads.collect::<Vec<_>>(),
        })
    }
}
