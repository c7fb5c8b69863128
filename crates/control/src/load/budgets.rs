//! How declared budgets take effect, and what keeps them from it.

use std::collections::{BTreeMap, BTreeSet};

use entry::{Declared, Event, MAX_ENTRY_BYTES};
use ledger::{BudgetSpec, Label, Selector, Values, check_overlap};
use model::{AdminName, BudgetName, TenantName};
use store::{Person, View};

use crate::{
    LoadProblem, TenantGovernance,
    privacy::{KEY_EPOCH, Privacy, written},
};

/// What an entry holds beside a budget: its tenant, its number, who loaded it and why.
const AROUND: usize = 2 * 1024;
/// How many budgets that administrators created are named where there are too many.
const CREATED_NAMED: usize = 20;

/// The budgets of a tenant as its log is to name them, those of the agents and the others, and whom they select.
pub(super) fn declared(
    tenant: &TenantName,
    governance: &TenantGovernance,
    privacy: &Privacy,
) -> BTreeMap<BudgetName, (BudgetSpec, Vec<Person>)> {
    let own = governance.agents.iter().map(|agent| (agent.budget.clone(), Vec::new()));
    let others = governance.budgets.iter().cloned().map(|budget| {
        let (select, persons) = match budget.select {
            Some(select) => {
                let (select, persons) = logged(tenant, select, privacy);
                (Some(select), persons)
            }
            None => (None, Vec::new()),
        };
        (BudgetSpec { select, ..budget }, persons)
    });
    let all = own.chain(others);
    all.map(|declared| (declared.0.name.clone(), declared)).collect()
}

/// A selector as the log may have it: the users that it names are pseudonyms, in an order that says nothing of them; and who
/// they are, where they were not named by pseudonyms.
pub(crate) fn logged(tenant: &TenantName, mut select: Selector, privacy: &Privacy) -> (Selector, Vec<Person>) {
    let mut persons = Vec::new();
    if let Some(users) = select.get(Label::User) {
        let mut users = users.to_vec();
        for user in &mut users {
            if let Some(Ok(pseudonym)) = written(user) {
                *user = pseudonym.to_owned();
                continue;
            }
            let pseudonym = privacy.pseudonym(tenant, user);
            let identity = std::mem::replace(user, pseudonym.0.clone());
            persons.push(Person {
                pseudonym,
                key_epoch: KEY_EPOCH,
                identity,
            });
        }
        users.sort_unstable();
        users.dedup();
        select.set(Label::User, users);
    }
    (select, persons)
}

/// The entries that make a log say what is declared: budgets that are new or changed, and budgets that are declared no
/// more. Those that administrators created through the API are not touched.
pub(super) fn changes(
    view: &View,
    declared: BTreeMap<BudgetName, (BudgetSpec, Vec<Person>)>,
    by: &AdminName,
    persons: &mut Vec<Person>,
) -> (Vec<Event>, Vec<Event>) {
    let known: BTreeMap<_, _> = view.budgets.iter().map(|spec| (&spec.name, &**spec)).collect();
    let gone = known.keys().copied();
    let gone = gone.filter(|name| !declared.contains_key(*name) && !is_of_api(view, name));
    let removed = gone.map(|name| Event::BudgetRemoved {
        budget: name.clone(),
        note: String::new(),
        by: by.clone(),
    });
    let removed = removed.collect();
    let differs = |spec: &BudgetSpec| known.get(&spec.name).is_none_or(|known| *known != spec);
    let changed = declared.into_values().filter(|(spec, _)| differs(spec));
    let (new, old): (Vec<_>, Vec<_>) = changed.partition(|(spec, _)| !known.contains_key(&spec.name));
    let loaded = new.into_iter().chain(old).map(|(budget, selected)| {
        persons.extend(selected);
        Event::BudgetLoaded {
            budget,
            declared: Declared::Files,
            note: String::new(),
            by: by.clone(),
        }
    });
    (loaded.collect(), removed)
}

/// Whether an administrator created a budget that is there.
pub(crate) fn is_of_api(view: &View, name: &BudgetName) -> bool {
    view.budget_facts.declared.get(name) == Some(&Declared::Api)
}

/// What keeps the budgets of a tenant from taking effect: each name is used once, by files or through the API, each budget
/// fits into an entry, and no request can be in more of them than a hold can be.
pub(super) fn problems(view: &View, governance: &TenantGovernance, privacy: &Privacy) -> Vec<LoadProblem> {
    let mut seen = BTreeSet::new();
    let own = governance.agents.iter().map(|agent| (&agent.budget, "agent"));
    let all = own.chain(governance.budgets.iter().map(|budget| (budget, "budget")));
    let mut problems = Vec::new();
    for (budget, what) in all {
        let name = &budget.name;
        if is_of_api(view, name) {
            problems.push(LoadProblem {
                help: Some(format!(
                    "give this {what} another name, or delete the other budget first: `bailiwick budget delete {name} --note \
                     WHY`"
                )),
                ..LoadProblem::of(
                    "governance",
                    format!("{what} `{name}`: an administrator created a budget of this name through the API"),
                )
            });
        }
        if !seen.insert(name) {
            problems.push(LoadProblem {
                help: Some("an agent's own budget has the agent's name: give the other one another name".to_owned()),
                ..LoadProblem::of("governance", format!("there are two budgets `{name}`"))
            });
        }
        if !fits(budget) {
            problems.push(LoadProblem {
                help: Some("select by what values begin with (`name*`), or declare several budgets".to_owned()),
                ..LoadProblem::of(
                    "governance",
                    format!("budget `{name}` is too long for an entry: it selects by too many values"),
                )
            });
        }
    }
    problems.extend(overlap(view, governance, privacy));
    problems
}

/// The budgets of the files together with those that administrators created, if a request could be in too many of them.
/// Persons are counted as the log names them, however files do.
fn overlap(view: &View, governance: &TenantGovernance, privacy: &Privacy) -> Option<LoadProblem> {
    let names: BTreeSet<_> = governance.budgets.iter().map(|budget| &budget.name).collect();
    let api = view
        .budgets
        .iter()
        .map(|spec| &**spec)
        .filter(|spec| is_of_api(view, &spec.name));
    let api: Vec<_> = api.filter(|spec| !names.contains(&spec.name)).collect();
    let budgets = governance.budgets.iter().map(|budget| {
        let select = budget.select.clone();
        let select = select.map(|select| logged(&view.tenant, select, privacy).0);
        BudgetSpec {
            select,
            ..budget.clone()
        }
    });
    let budgets: Vec<_> = budgets.collect();
    let specs: Vec<_> = budgets.iter().chain(api.iter().copied()).collect();
    let error = check_overlap(1, &specs).err()?;
    let created: Vec<_> = api.iter().take(CREATED_NAMED).map(|spec| spec.name.as_str()).collect();
    let help = match created.as_slice() {
        [] => "narrow what some of them select, or declare fewer".to_owned(),
        created => format!(
            "narrow what some of them select, declare fewer, or delete some that administrators created ({}): `bailiwick budget \
             delete NAME --note WHY`",
            created.join(", ")
        ),
    };
    Some(LoadProblem {
        help: Some(help),
        ..LoadProblem::of("governance", error.to_string())
    })
}

/// Whether a budget is short enough to be recorded. A pseudonym may be longer than the user it stands for.
pub(crate) fn fits(budget: &BudgetSpec) -> bool {
    const PSEUDONYM: usize = 32;
    let select = budget.select.as_ref();
    let users = select.and_then(|select| select.get(Label::User)).map_or(0, Values::len);
    let length = serde_json::to_string(budget).map_or(usize::MAX, |json| json.len());
    length.saturating_add(users * PSEUDONYM) <= MAX_ENTRY_BYTES - AROUND
}

#[cfg(test)]
mod tests;
