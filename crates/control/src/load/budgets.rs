//! How declared budgets take effect, and what keeps them from it.

use std::collections::{BTreeMap, BTreeSet};

use entry::{Declared, Event, MAX_ENTRY_BYTES};
use ledger::{BudgetSpec, Label, Labels, Ledger, MAX_BUDGETS_PER_HOLD, Selector};
use model::{AdminName, BudgetName, TenantName, Timestamp};
use store::{Person, View};

use crate::{
    LoadProblem, TenantGovernance,
    privacy::{KEY_EPOCH, Privacy, written},
};

/// What an entry holds beside a budget: its tenant, its number, who loaded it and why.
const AROUND: usize = 2 * 1024;

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
    if let Some(users) = select.0.get_mut(&Label::User) {
        for user in users.iter_mut() {
            let pseudonym = privacy.pseudonym(tenant, user);
            let identity = std::mem::replace(user, pseudonym.0.clone());
            if let Some(Ok(pseudonym)) = written(user) {
                *user = pseudonym.to_owned();
                continue;
            }
            persons.push(Person {
                pseudonym,
                key_epoch: KEY_EPOCH,
                identity,
            });
        }
        users.sort_unstable();
    }
    (select, persons)
        users.dedup();
}

/// The entries that make a log say what is declared: budgets that are new or changed, and budgets that are declared no
/// more. Those that administrators created through the API are not touched.
pub(super) fn changes(
    view: &View,
    declared: BTreeMap<BudgetName, (BudgetSpec, Vec<Person>)>,
    by: &AdminName,
    persons: &mut Vec<Person>,
) -> (Vec<Event>, Vec<Event>) {
    let known: BTreeMap<_, _> = view.budgets.iter().map(|spec| (&spec.name, spec)).collect();
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
/// fits into an entry, and no agent has more of them than a hold can be in.
pub(super) fn problems(view: &View, governance: &TenantGovernance) -> Vec<LoadProblem> {
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
    let api = view.budgets.iter().filter(|spec| is_of_api(view, &spec.name));
    let budgets = governance.budgets.iter().chain(api);
    let agents = governance.agents.iter().map(|agent| {
        let labels = Labels {
            tenant: view.tenant.as_str(),
            environment: &agent.environment,
            product: &agent.product,
            team: &agent.team,
            agent: agent.name.as_str(),
            ..Labels::default()
        };
        (&agent.budget.name, labels)
    });
    problems.extend(crowded(budgets, agents).map(|(agent, count)| {
        LoadProblem {
            help: Some(
                "declare fewer budgets that select all that it does, such as one for its team and one for its product"
                    .to_owned(),
            ),
            ..LoadProblem::of(
                "governance",
                format!("agent `{agent}`: {count} budgets select all its requests, more than {MAX_BUDGETS_PER_HOLD}"),
            )
        }
    }));
    problems
}

/// The agents, by the names of their own budgets, that have more budgets than a hold can be in whatever they ask for.
pub(crate) fn crowded<'a>(
    budgets: impl Iterator<Item = &'a BudgetSpec>,
    agents: impl Iterator<Item = (&'a BudgetName, Labels<'a>)>,
) -> impl Iterator<Item = (BudgetName, usize)> {
    let mut ledger = Ledger::default();
    for budget in budgets {
        ledger.define(budget.clone(), Timestamp::from_unix_micros(0));
    }
    agents.filter_map(move |(own, labels)| {
        let count = ledger.select(std::slice::from_ref(own), &labels).len();
        (count > MAX_BUDGETS_PER_HOLD).then(|| (own.clone(), count))
    })
}

/// Whether a budget is short enough to be recorded. A pseudonym may be longer than the user it stands for.
pub(crate) fn fits(budget: &BudgetSpec) -> bool {
    const PSEUDONYM: usize = 32;
    let select = budget.select.as_ref();
    let users = select.and_then(|select| select.0.get(&Label::User)).map_or(0, Vec::len);
    let length = serde_json::to_string(budget).map_or(usize::MAX, |json| json.len());
    length.saturating_add(users * PSEUDONYM) <= MAX_ENTRY_BYTES - AROUND
}
