//! Whether a budget that comes as entries have them could have been declared so.

use std::collections::BTreeSet;

use ledger::{Amount, AtLimit, BudgetSpec, Label};

use super::form::{NO_TOOLS, check_each, check_thresholds, check_values, may_wait};

/// The first thing that is wrong with a budget that nobody has read as a form or a manifest.
pub(crate) fn check(spec: &BudgetSpec) -> Result<(), String> {
    look(spec).map_err(|error| format!("budget {}: {error}", spec.name))
}

fn look(spec: &BudgetSpec) -> Result<(), String> {
    if spec.limit < Amount::ZERO {
        return Err("`limit`: it cannot be negative".to_owned());
    }
    spec.window.check().map_err(|error| format!("`window`: {error}"))?;
    let each: BTreeSet<Label> = spec.each.iter().copied().collect();
    if each.len() != spec.each.len() {
        return Err("`each`: name a label once".to_owned());
    }
    check_each(&spec.window, &each)?;
    check_thresholds(&spec.thresholds)?;
    if let AtLimit::Ask { wait_s } = spec.at_limit
        && !may_wait(wait_s)
    {
        return Err("`at_limit`: `wait_s` is 1 to 3600 seconds".to_owned());
    }
    let Some(select) = &spec.select else {
        return Err("it says no `select`, so it is about no request".to_owned());
    };
    if each.contains(&Label::Tool) || select.get(Label::Tool).is_some() {
        return Err(NO_TOOLS.to_owned());
    }
    for (label, values) in select.iter() {
        check_values(label, &values.iter().map(str::to_owned).collect(), values.len())?;
    }
    Ok(())
}
