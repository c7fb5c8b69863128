//! What administrators may do to budgets while traffic flows: look at them, change them, create them beside the files.

mod asks;
mod check;
mod create;
mod edit;
mod form;
mod read;
mod text;

pub use asks::AskTopUp;
pub(crate) use check::check;
pub use create::{BudgetRemoval, NewBudget};
pub use edit::{BudgetChange, BudgetEdit};
pub use form::{AtLimitForm, BudgetForm, Values};
pub use read::{BUDGETS_PAGE, BudgetQuery};

use crate::{AdminError, admin::TEXT_MAX};

/// Takes a reason for the audit trail.
fn reason(note: String) -> Result<String, AdminError> {
    let invalid = |message: String| Err(AdminError::Invalid(message));
    if note.trim().is_empty() {
        return invalid("say in the note why, such as \"incident 4711\": it stands in the audit trail".to_owned());
    }
    if note.chars().count() > TEXT_MAX || note.chars().any(char::is_control) {
        return invalid(format!(
            "a note has at most {TEXT_MAX} characters and no control characters"
        ));
    }
    Ok(note)
}

#[cfg(test)]
mod tests;
