//! Enforcement points: what has to be appended so that the log says what is declared.

use std::collections::{BTreeMap, BTreeSet};

use entry::{Event, PepReasons, PepRecord, PepRight};
use model::AdminName;
use store::{Person, View};

use crate::{
    Governance, LoadProblem, PepSpec, TenantGovernance,
    privacy::{KEY_EPOCH, Privacy},
};

/// A certificate says who somebody is, whatever the tenant: no two enforcement points have the same. Within a tenant the
/// files were checked when they were read.
pub(super) fn problems(governance: &Governance) -> Vec<LoadProblem> {
    let mut taken = BTreeMap::new();
    let mut problems = Vec::new();
    for (tenant, declared) in &governance.tenants {
        for pep in &declared.peps {
            for certificate in &pep.certificates {
                let Some((other, of)) = taken.insert(*certificate, (tenant, &pep.name)) else {
                    continue;
                };
                if (other, of) != (tenant, &pep.name) {
                    let message = format!(
                        "the enforcement point {} of tenant {tenant} has a certificate of {of} of tenant {other}: give each \
                         its own",
                        pep.name
                    );
                    problems.push(LoadProblem::of("governance", message));
                }
            }
        }
    }
    problems
}

pub(super) fn changes(
    view: &View,
    tenant: &TenantGovernance,
    privacy: &Privacy,
    by: &AdminName,
    persons: &mut Vec<Person>,
) -> Vec<Event> {
    let mut events = Vec::new();
    for spec in &tenant.peps {
        let pep = record(view, spec, privacy);
        persons.push(Person {
            pseudonym: pep.owner.clone(),
            key_epoch: KEY_EPOCH,
            identity: spec.owner.clone(),
        });
        let known = view.peps.get(&pep.name).and_then(|state| state.record.as_ref());
        if known != Some(&pep) {
            events.push(Event::PepLoaded { pep, by: by.clone() });
        }
    }
    let declared: BTreeSet<_> = tenant.peps.iter().map(|pep| &pep.name).collect();
    let gone = view
        .peps
        .iter()
        .filter(|(name, state)| state.record.is_some() && !declared.contains(name));
    events.extend(gone.map(|(name, _)| Event::PepRemoved {
        pep: name.clone(),
        by: by.clone(),
    }));
    events
}

fn record(view: &View, spec: &PepSpec, privacy: &Privacy) -> PepRecord {
    let rights = [
        (PepRight::Evaluate, spec.may_evaluate),
        (PepRight::Search, spec.may_search),
    ];
    PepRecord {
        name: spec.name.clone(),
        owner: privacy.pseudonym(&view.tenant, &spec.owner),
        purpose: spec.purpose.clone(),
        may: rights
            .into_iter()
            .filter(|(_, may)| *may)
            .map(|(right, _)| right)
            .collect(),
        reasons: PepReasons {
            user: spec.reasons_user,
            admin: spec.reasons_admin,
        },
        certificates: spec.certificates.clone(),
    }
}
