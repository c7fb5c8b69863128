//! What a budget says.

use model::BudgetName;
use serde::{Deserialize, Serialize};

use crate::{Amount, Label, Measure, Selector, Window};

/// The thresholds of a budget that names none, in hundredths of its limit.
pub const THRESHOLDS: [u8; 3] = [50, 80, 95];

/// What happens to a request that a budget has no room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AtLimit {
    /// It is refused.
    #[default]
    Deny,
    /// It waits for an administrator, who tops the budget up or refuses.
    Ask {
        /// For how long at most, in seconds.
        wait_s: u32,
    },
}

impl AtLimit {
    fn is_deny(&self) -> bool {
        *self == Self::Deny
    }
}

/// What a budget allows. The limit is hard: no hold is granted that would take settled + held above it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetSpec {
    /// The budget's name, unique within its tenant.
    pub name: BudgetName,
    /// How much may be used in one window.
    pub limit: Amount,
    /// When it starts again.
    pub window: Window,
    /// What is counted.
    #[serde(default, skip_serializing_if = "Measure::is_money")]
    pub unit: Measure,
    /// The requests that must fit into it. Without one, those of the agents whose manifests name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Selector>,
    /// A pot for each value of these labels, each with the whole limit: with `user`, every user has one. A request that has
    /// no value of one of them is not selected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub each: Vec<Label>,
    /// What share of the limit, in hundredths, leaves an entry when it is booked; rising.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<u8>,
    /// What happens at the limit.
    #[serde(default, skip_serializing_if = "AtLimit::is_deny")]
    pub at_limit: AtLimit,
}

impl BudgetSpec {
    /// A budget of money for the agents that name it, without thresholds.
    pub fn money(name: BudgetName, limit: impl Into<Amount>, window: Window) -> Self {
        Self {
            name,
            limit: limit.into(),
            window,
            unit: Measure::Money,
            select: None,
            each: Vec::new(),
            thresholds: Vec::new(),
            at_limit: AtLimit::Deny,
        }
    }

    /// Whether it says nothing that the first versions of the schema could not say.
    pub fn is_plain(&self) -> bool {
        let Self {
            name: _,
            limit: _,
            window,
            unit,
            select,
            each,
            thresholds,
            at_limit,
        } = self;
        unit.is_money()
            && select.is_none()
            && each.is_empty()
            && thresholds.is_empty()
            && at_limit.is_deny()
            && !window.is_year()
    }

    /// Whether what is booked under this one can stand under the other: the same is counted, in the same pots.
    pub(crate) fn counts_as(&self, other: &Self) -> bool {
        self.unit == other.unit && self.each == other.each
    }
}
