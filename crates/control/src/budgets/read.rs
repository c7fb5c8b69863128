//! How budgets stand.

use std::collections::{BTreeMap, HashMap};

use ledger::{Balance, Label};
use model::{BudgetName, Pseudonym, TenantName};
use store::{BalanceQuery, Balances};

use crate::{
    Actor, AdminError, Control, Permission,
    privacy::PSEUDONYM,
    report::{BudgetPage, BudgetReport},
};

/// How many budgets a page has at most.
pub const BUDGETS_PAGE: usize = 500;
/// How many pots of each budget a page has at most.
const POTS_LISTED: usize = 100;
/// How many where one budget is asked for.
const POTS_SHOWN: usize = 1_000;

/// Which budgets are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetQuery {
    /// Only those of this tenant.
    pub tenant: Option<TenantName>,
    /// Only those of this name.
    pub name: Option<BudgetName>,
    /// Only those behind this one, by tenant and name.
    pub after: Option<(TenantName, BudgetName)>,
    /// How many; at most [`BUDGETS_PAGE`].
    pub limit: usize,
}

impl Default for BudgetQuery {
    fn default() -> Self {
        Self {
            tenant: None,
            name: None,
            after: None,
            limit: BUDGETS_PAGE,
        }
    }
}

impl Control {
    /// How budgets stand, by tenant and name, with the pots of each.
    pub async fn budgets(&self, actor: &Actor, query: BudgetQuery) -> Result<BudgetPage, AdminError> {
        Self::require(actor, Permission::ReadState)?;
        let BudgetQuery {
            tenant: wanted,
            name,
            after,
            limit,
        } = query;
        let mut page = BudgetPage::default();
        let mut people = People::default();
        let (mut left, mut last) = (limit.clamp(1, BUDGETS_PAGE), None);
        let tenants = self.tenants().into_iter();
        let tenants = tenants.filter(|tenant| wanted.as_ref().is_none_or(|wanted| wanted == tenant));
        for tenant in tenants.filter(|tenant| after.as_ref().is_none_or(|(after, _)| *tenant >= *after)) {
            let after = after.as_ref().filter(|(after, _)| *after == tenant);
            let query = BalanceQuery {
                name: name.clone(),
                after: after.map(|(_, name)| name.clone()),
                most: left.saturating_add(1),
                pots: POTS_LISTED,
                of: None,
            };
            let found = self.committer().balances(tenant.clone(), query).await?;
            for balance in &found.balances {
                let this = (tenant.clone(), balance.spec.name.clone());
                if last.as_ref() != Some(&this) {
                    if left == 0 {
                        page.next = last.map(|(tenant, name)| format!("{tenant}/{name}"));
                        return Ok(page);
                    }
                    left -= 1;
                    page.note_cut(&found, &this.1);
                    last = Some(this);
                }
                let report = self.report(actor, &tenant, balance, &found, &mut people).await?;
                page.budgets.push(report);
            }
        }
        Ok(page)
    }

    /// How one budget stands, with its pots.
    pub async fn budget(&self, actor: &Actor, tenant: TenantName, name: &str) -> Result<BudgetPage, AdminError> {
        Self::require(actor, Permission::ReadState)?;
        let name = self.known_budget(&tenant, name).await?;
        self.page_of(actor, &tenant, &name).await
    }

    pub(super) async fn page_of(
        &self,
        actor: &Actor,
        tenant: &TenantName,
        name: &BudgetName,
    ) -> Result<BudgetPage, AdminError> {
        let found = self.balances_of(tenant, name, POTS_SHOWN).await?;
        let mut page = BudgetPage::default();
        let mut people = People::default();
        page.note_cut(&found, name);
        for balance in &found.balances {
            let report = self.report(actor, tenant, balance, &found, &mut people).await?;
            page.budgets.push(report);
        }
        Ok(page)
    }

    pub(super) async fn balances_of(
        &self,
        tenant: &TenantName,
        name: &BudgetName,
        pots: usize,
    ) -> Result<Balances, AdminError> {
        let query = BalanceQuery {
            name: Some(name.clone()),
            after: None,
            most: 1,
            pots,
            of: None,
        };
        Ok(self.committer().balances(tenant.clone(), query).await?)
    }

    /// How one pot stands; `None` if the budget was removed, or keeps others apart by now.
    pub(super) async fn balance_of(
        &self,
        tenant: &TenantName,
        name: &BudgetName,
        of: &[String],
    ) -> Result<Option<Balance>, AdminError> {
        let query = BalanceQuery {
            name: Some(name.clone()),
            after: None,
            most: 1,
            pots: 1,
            of: Some(of.to_vec()),
        };
        let found = self.committer().balances(tenant.clone(), query).await?;
        Ok(found.balances.into_iter().next())
    }

    /// A budget that is there, or the one that was probably meant.
    pub(super) async fn known_budget(&self, tenant: &TenantName, name: &str) -> Result<BudgetName, AdminError> {
        self.known_tenant(tenant)?;
        if let Ok(name) = BudgetName::new(name)
            && !self.balances_of(tenant, &name, 1).await?.balances.is_empty()
        {
            return Ok(name);
        }
        let view = self.committer().view(tenant.clone()).await?;
        let names: Vec<&str> = view.budgets.iter().map(|spec| spec.name.as_str()).collect();
        Err(AdminError::NoBudget {
            tenant: tenant.clone(),
            name: name.to_owned(),
            nearest: model::nearest(name, &names).map(str::to_owned),
        })
    }

    pub(crate) fn known_tenant(&self, tenant: &TenantName) -> Result<(), AdminError> {
        if self.snapshot().tenants.contains_key(tenant) {
            return Ok(());
        }
        Err(AdminError::NotFound {
            what: "tenant",
            name: tenant.to_string(),
        })
    }

    async fn report(
        &self,
        actor: &Actor,
        tenant: &TenantName,
        balance: &Balance,
        found: &Balances,
        people: &mut People,
    ) -> Result<BudgetReport, AdminError> {
        let mut report = BudgetReport::of(tenant, balance, &found.facts, &found.set);
        // Who may not answer for a person's budget is not told who it is.
        if Permission::Answer.granted_to(actor.role) {
            people.name(self, tenant, &mut report.of).await?;
        }
        Ok(report)
    }

    pub(super) fn tenants(&self) -> Vec<TenantName> {
        let mut tenants: Vec<_> = self.snapshot().tenants.keys().cloned().collect();
        tenants.sort_unstable();
        tenants
    }
}

/// Who is behind pseudonyms, each looked up once.
#[derive(Default)]
pub(super) struct People(HashMap<(TenantName, String), Option<String>>);

impl People {
    /// Puts the person in place of the pseudonym, where it was not erased.
    pub(super) async fn name(
        &mut self,
        control: &Control,
        tenant: &TenantName,
        of: &mut BTreeMap<String, String>,
    ) -> Result<(), AdminError> {
        let Some(user) = of.get_mut(Label::User.as_str()) else {
            return Ok(());
        };
        let key = (tenant.clone(), user.clone());
        let known = match self.0.get(&key) {
            Some(known) => known.clone(),
            None => {
                let pseudonym = Pseudonym(user.clone());
                let person = control.reader().person(tenant, &pseudonym).await?;
                self.0.insert(key, person.clone());
                person
            }
        };
        *user = known.unwrap_or_else(|| format!("{PSEUDONYM}{user}"));
        Ok(())
    }
}
