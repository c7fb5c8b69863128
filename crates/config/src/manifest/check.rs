//! What is checked alike in documents of every kind.

use model::IdError;

use crate::{
    node::{Field, Placed},
    problem::{Findings, Mark},
    suggest::shown,
};

/// The most bytes that a rule takes in its audit entry, which has more in it than the rule.
const MAX_RECORDED: usize = entry::MAX_ENTRY_BYTES - 2048;

/// One document's check.
pub(super) struct Check {
    pub(super) mark: Mark,
    /// What the document declares, such as `agent`.
    what: &'static str,
    /// How messages call it.
    pub(super) subject: String,
    pub(super) findings: Findings,
}

impl Check {
    /// `what` is the word for what is declared, such as `agent`.
    pub(super) fn of(what: &'static str, mark: Mark, name: &Field<String>) -> Self {
        Self {
            mark,
            what,
            subject: match name {
                Field::Given(name) => format!("the {what} `{}`", shown(&name.value)),
                Field::Absent | Field::Bad(_) => format!("the {what}"),
            },
            findings: Findings::default(),
        }
    }

    pub(super) fn required<T>(&mut self, key: &str, field: Field<T>, help: &str) -> Option<Placed<T>> {
        let message = format!("{} has no `{key}`", self.subject);
        field.required(Some(self.mark), message, help, &mut self.findings)
    }

    pub(super) fn name<T>(
        &mut self,
        field: Field<String>,
        make: fn(&str) -> Result<T, IdError>,
        help: &str,
    ) -> Option<T> {
        let name = self.required("name", field, help)?;
        let an = if self.what.starts_with(['a', 'e']) { "an" } else { "a" };
        make(&name.value)
            .map_err(|error| {
                let message = format!(
                    "`{}` cannot be the name of {an} {}: {error}",
                    shown(&name.value),
                    self.what
                );
                self.findings.add(name.mark, message);
            })
            .ok()
    }

    /// The rule stands whole in one audit entry.
    pub(super) fn recorded<T: serde::Serialize>(&mut self, rule: Option<&T>) {
        let Some(rule) = rule else { return };
        let bytes = serde_json::to_string(rule).map_or(usize::MAX, |json| json.len());
        if bytes > MAX_RECORDED {
            let message = format!(
                "{} takes {bytes} bytes in the audit log, more than {MAX_RECORDED}",
                self.subject
            );
            let help = "one audit entry carries it whole: name fewer values under `select`, or use `*`";
            self.findings.add_with_help(self.mark, message, help);
        }
    }
}
