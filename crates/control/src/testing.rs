//! What unit tests begin with.

use std::collections::{BTreeMap, HashMap};

use entry::BudgetFacts;
use ledger::WantedSteps;
use model::{TenantName, Timestamp};
use store::View;

/// A tenant of which nothing is known.
pub(crate) fn view() -> View {
    View {
        tenant: TenantName::default_tenant(),
        epoch: 0,
        size: 0,
        time: Timestamp::default(),
        agents: HashMap::new(),
        keys: BTreeMap::new(),
        peps: BTreeMap::new(),
        pep_keys: BTreeMap::new(),
        entities: 0,
        admins: BTreeMap::new(),
        budgets: Vec::new(),
        budget_facts: BudgetFacts::default(),
        asks: Vec::new(),
        policy_files: BTreeMap::new(),
        bundle: None,
        prices: None,
        upstreams: Vec::new(),
        distrusted: BTreeMap::new(),
        steps: WantedSteps::default(),
        open: Vec::new(),
        evidence: entry::Evidence::default(),
    }
}
