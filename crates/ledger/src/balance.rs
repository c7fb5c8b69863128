//! How a budget stands at an instant.

use model::{BudgetName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Amount, BudgetSpec, Label, Period};

/// One pot of a budget: the whole of it, or what it keeps for one value of each label it keeps apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pot {
    /// The budget.
    pub budget: BudgetName,
    /// The values of the labels that it keeps apart, in their order; empty where it keeps none apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<String>,
}

impl From<BudgetName> for Pot {
    fn from(budget: BudgetName) -> Self {
        let of = Vec::new();
        Self { budget, of }
    }
}

/// A pot's standing at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// What the budget allows.
    pub spec: BudgetSpec,
    /// Whose pot it is: the values of `spec.each`.
    pub of: Vec<String>,
    /// What may be used in this window: the limit, as raised or lowered, and what it was topped up with.
    pub limit: Amount,
    /// What it was topped up with for this window.
    pub credit: Amount,
    /// Whether it is paused.
    pub paused: bool,
    /// What earlier windows left: the debt of overruns and of a lowered limit, less one limit for each window since, and
    /// in the first period after the window was redefined all that counted before.
    pub carried: Amount,
    /// Booked in the windows that count now.
    pub settled: Amount,
    /// Reserved by holds that have not ended.
    pub held: Amount,
    /// When the oldest spending that counts now stops counting; `None` if it never does.
    pub resets_at: Option<Timestamp>,
}

impl Balance {
    /// All that counts against the limit.
    pub fn used(&self) -> Amount {
        self.spent().saturating_add(self.held)
    }

    /// What is booked and counts.
    pub fn spent(&self) -> Amount {
        self.carried.saturating_add(self.settled)
    }

    /// What a hold may still take; zero when there is debt.
    pub fn remaining(&self) -> Amount {
        self.limit.saturating_sub(self.used()).at_least_zero()
    }

    /// Whose pot it is, label by label.
    pub fn labels(&self) -> impl Iterator<Item = (Label, &str)> {
        self.spec.each.iter().copied().zip(self.of.iter().map(String::as_str))
    }
}

/// The numbers of a [`Balance`], exact, and the period in which a hold would book.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) period: Period,
    pub(crate) carried: i128,
    pub(crate) settled: i128,
    pub(crate) held: i128,
    /// What the pot was topped up with.
    pub(crate) credit: i128,
    /// The limit, and the credit.
    limit: i128,
}

impl Standing {
    pub(crate) fn new(period: Period, sums: Sums, limit: i128) -> Self {
        let Sums {
            carried,
            settled,
            held,
            credit,
        } = sums;
        Self {
            period,
            carried,
            settled,
            held,
            credit,
            limit: limit + credit,
        }
    }

    /// All that counts against the limit.
    pub(crate) fn used(&self) -> Amount {
        amount(self.carried + self.settled + self.held)
    }

    /// What may be used.
    pub(crate) fn limit(&self) -> Amount {
        amount(self.limit)
    }

    /// Whether a hold stays within the limit. What costs nothing takes nothing, so it is admitted whatever is used: a
    /// budget that is in debt must not stop models that run on one's own machines.
    pub(crate) fn admits(&self, hold: Amount) -> bool {
        hold == Amount::ZERO || self.carried + self.settled + self.held + i128::from(hold.0) <= self.limit
    }

    /// The highest of the thresholds that what is booked has reached, less a margin, both in hundredths of the limit.
    pub(crate) fn reached(&self, thresholds: &[u8], margin: u8) -> u8 {
        let spent = (self.carried + self.settled) * 100;
        let reached = |share: &&u8| spent > 0 && spent >= i128::from(share.saturating_sub(margin)) * self.limit.max(0);
        thresholds.iter().filter(reached).max().copied().unwrap_or_default()
    }
}

/// What counts now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) carried: i128,
    pub(crate) settled: i128,
    pub(crate) held: i128,
    pub(crate) credit: i128,
}

/// More than the largest amount is the largest: it is above every limit all the same.
pub(crate) fn amount(sum: i128) -> Amount {
    Amount(i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX }))
}
