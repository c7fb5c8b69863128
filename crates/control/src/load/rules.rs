//! How declared rate limits and circuit breakers take effect.

use std::collections::{BTreeMap, BTreeSet};

use entry::Event;
use ledger::{BreakerSpec, RateSpec};
use model::{AdminName, TenantName};
use store::{Person, Rules};

use super::budgets::logged;
use crate::{TenantGovernance, privacy::Privacy};

/// The entries that make a log say what is declared: rules that are new or changed, and those that are declared no more.
pub(super) fn changes(
    tenant: &TenantName,
    rules: &Rules,
    governance: &TenantGovernance,
    privacy: &Privacy,
    by: &AdminName,
    persons: &mut Vec<Person>,
) -> Vec<Event> {
    let mut events = limits(tenant, rules, governance, privacy, by, persons);
    events.extend(breakers(tenant, rules, governance, privacy, by, persons));
    events
}

fn limits(
    tenant: &TenantName,
    rules: &Rules,
    governance: &TenantGovernance,
    privacy: &Privacy,
    by: &AdminName,
    persons: &mut Vec<Person>,
) -> Vec<Event> {
    let known: BTreeMap<_, _> = rules.limits.iter().map(|spec| (&spec.name, spec)).collect();
    let declared: BTreeSet<_> = governance.limits.iter().map(|spec| &spec.name).collect();
    let gone = known.keys().filter(|name| !declared.contains(*name));
    let gone: Vec<Event> = gone
        .map(|name| Event::LimitRemoved {
            limit: (*name).clone(),
            by: by.clone(),
        })
        .collect();
    let all = governance.limits.iter().cloned().map(|spec| {
        let (select, selected) = logged(tenant, spec.select, privacy);
        (RateSpec { select, ..spec }, selected)
    });
    let changed = all.filter(|(spec, _)| known.get(&spec.name) != Some(&spec));
    let changed = changed.map(|(limit, selected)| {
        persons.extend(selected);
        Event::LimitLoaded { limit, by: by.clone() }
    });
    changed.chain(gone).collect()
}

fn breakers(
    tenant: &TenantName,
    rules: &Rules,
    governance: &TenantGovernance,
    privacy: &Privacy,
    by: &AdminName,
    persons: &mut Vec<Person>,
) -> Vec<Event> {
    let known: BTreeMap<_, _> = rules.breakers.iter().map(|spec| (&spec.name, spec)).collect();
    let declared: BTreeSet<_> = governance.breakers.iter().map(|spec| &spec.name).collect();
    let gone = known.keys().filter(|name| !declared.contains(*name));
    let gone: Vec<Event> = gone
        .map(|name| Event::BreakerRemoved {
            breaker: (*name).clone(),
            by: by.clone(),
        })
        .collect();
    let all = governance.breakers.iter().cloned().map(|spec| {
        let (select, selected) = logged(tenant, spec.select, privacy);
        (BreakerSpec { select, ..spec }, selected)
    });
    let changed = all.filter(|(spec, _)| known.get(&spec.name) != Some(&spec));
    let changed = changed.map(|(breaker, selected)| {
        persons.extend(selected);
        Event::BreakerLoaded {
            breaker,
            by: by.clone(),
        }
    });
    changed.chain(gone).collect()
}

#[cfg(test)]
mod tests;
