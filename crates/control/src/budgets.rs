//! What administrators may do to budgets while traffic flows.

use model::{BudgetName, TenantName};
use store::BalanceQuery;

use crate::{Actor, AdminError, BudgetReport, Control, Permission};

/// How many budgets one question returns at most.
pub const BUDGETS_MAX: usize = 10_000;
/// How many pots of one budget.
const POTS_MAX: usize = 1_000;

impl Control {
    /// How budgets stand, every pot of them; one of this name, if one is named.
    pub async fn budgets(&self, actor: &Actor, name: Option<BudgetName>) -> Result<Vec<BudgetReport>, AdminError> {
        Self::require(actor, Permission::ReadState)?;
        let mut reports = Vec::new();
        for tenant in self.tenants() {
            let query = BalanceQuery {
                name: name.clone(),
                after: None,
                most: BUDGETS_MAX,
                pots: POTS_MAX,
            };
            let found = self.committer().balances(tenant.clone(), query).await?;
            let of = |balance| BudgetReport::of(&tenant, balance, &found.facts, &found.set);
            reports.extend(found.balances.iter().map(of));
        }
        Ok(reports)
    }

    fn tenants(&self) -> Vec<TenantName> {
        let mut tenants: Vec<_> = self.snapshot().tenants.keys().cloned().collect();
        tenants.sort_unstable();
        tenants
    }
}
