//! Numbers about the committer, for metrics.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use model::{BreakerName, BudgetName, TenantName};

/// How many thresholds of budgets are counted apart; what others reach is counted together, tenant by tenant.
const THRESHOLDS_COUNTED: usize = 1_000;

/// A threshold of a budget, in hundredths of its limit; without a budget, that of any other of the tenant.
pub type Threshold = (TenantName, Option<BudgetName>, u8);

/// What a breaker did (`warned`, `tripped`, `closed`), and the rule that it did it by.
pub type BreakerDeed = (TenantName, BreakerName, &'static str, &'static str);

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Stats {
    /// Commits.
    pub batches: AtomicU64,
    /// Entries.
    pub entries: AtomicU64,
    /// Time spent in commits, microseconds.
    pub commit_us: AtomicU64,
    /// Failed commits.
    pub failures: AtomicU64,
    /// Holds not ended.
    pub open_holds: AtomicU64,
    /// Calls let through on allowances while nothing could be recorded.
    pub spooled: AtomicU64,
    /// Writes of the spool that failed.
    pub spool_failures: AtomicU64,
    /// Times at which the disk had not finished a write in time.
    pub stalls: AtomicU64,
    /// Attempts that wait for an administrator.
    pub waiting: AtomicU64,
    /// Decisions that were answered and are not durable yet.
    pub decisions_waiting: AtomicU64,
    /// Decisions that were answered before they were durable, and could not be recorded then: the log says why.
    pub decisions_lost: AtomicU64,
    /// What breakers did, and by which rule.
    breakers: Mutex<BTreeMap<BreakerDeed, u64>>,
    /// How often thresholds of budgets were reached.
    reached: Mutex<BTreeMap<Threshold, u64>>,
}

impl Stats {
    pub(crate) fn committed(&self, entries: u64, took: Duration) {
        self.batches.fetch_add(1, Relaxed);
        self.entries.fetch_add(entries, Relaxed);
        self.commit_us
            .fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    /// What breakers did, by which rule, and how often. A tenant has so many breakers at most, and each so many rules.
    pub fn breakers(&self) -> BTreeMap<BreakerDeed, u64> {
        self.breakers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn breaker(&self, tenant: &TenantName, breaker: &BreakerName, deed: &'static str, rule: &'static str) {
        let mut counted = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        *counted
            .entry((tenant.clone(), breaker.clone(), deed, rule))
            .or_default() += 1;
    }

    /// How often thresholds of budgets were reached.
    pub fn thresholds(&self) -> BTreeMap<Threshold, u64> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn reached(&self, tenant: &TenantName, budget: &BudgetName, percent: u8) {
        let mut counted = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        let mut threshold = (tenant.clone(), Some(budget.clone()), percent);
        if counted.len() >= THRESHOLDS_COUNTED && !counted.contains_key(&threshold) {
            threshold.1 = None;
        }
        *counted.entry(threshold).or_default() += 1;
    }

    pub(crate) fn waiting(&self, asks: usize) {
        self.waiting.store(u64::try_from(asks).unwrap_or(u64::MAX), Relaxed);
    }

    pub(crate) fn open(&self, holds: usize) {
        self.open_holds.store(u64::try_from(holds).unwrap_or(u64::MAX), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_thresholds_are_counted_apart() {
        let stats = Stats::default();
        let tenant = TenantName::default_tenant();
        for number in 0..2 * THRESHOLDS_COUNTED {
            let budget = BudgetName::new(&format!("b{number}")).unwrap();
            stats.reached(&tenant, &budget, 80);
        }
        let first = BudgetName::new("b0").unwrap();
        stats.reached(&tenant, &first, 80);
        let counted = stats.thresholds();
        assert_eq!(counted.len(), THRESHOLDS_COUNTED + 1);
        assert_eq!(counted[&(tenant.clone(), Some(first), 80)], 2);
        let others = u64::try_from(THRESHOLDS_COUNTED).unwrap();
        assert_eq!(counted[&(tenant, None, 80)], others);
    }
}
