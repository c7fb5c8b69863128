//! What administrators read of budgets.

use std::collections::BTreeMap;

use entry::{BudgetFacts, Declared};
use ledger::{Amount, AtLimit, Balance};
use model::{BudgetName, TenantName};
use serde::{Deserialize, Serialize};
use store::Balances;

use model::rfc3339;

/// Budgets as they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetPage {
    /// Their pots, by tenant, budget and values.
    pub budgets: Vec<BudgetReport>,
    /// Budgets of which not all pots are here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<String>,
    /// Where the next page begins; none if this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl BudgetPage {
    /// Notes that not all pots of a budget are here, if so.
    pub(crate) fn note_cut(&mut self, found: &Balances, name: &BudgetName) {
        if found.cut.contains(name) {
            self.cut.push(name.to_string());
        }
    }
}

/// A pot of a budget. Amounts are decimal text in its unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetReport {
    /// Its tenant.
    pub tenant: String,
    /// Its name.
    pub name: String,
    /// Whose pot it is, by label; empty where the budget keeps none apart.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub of: BTreeMap<String, String>,
    /// Which requests it selects: `agent` where an agent's manifest names it.
    pub selects: String,
    /// What it counts: `USD`, `tokens`, `input tokens`, `output tokens`, `calls`.
    pub unit: String,
    /// When it starts again, such as `day (UTC)`.
    pub window: String,
    /// What may be used in this window.
    pub limit: String,
    /// The limit that is declared, where an administrator set another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared_limit: Option<String>,
    /// What it was topped up with for this window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topped_up: Option<String>,
    /// Booked in the current window.
    pub spent: String,
    /// What is booked and counts against the limit: `spent` and `carried`.
    pub booked: String,
    /// Reserved by calls in flight.
    pub held: String,
    /// Debt from earlier windows.
    pub carried: String,
    /// What a call may still take.
    pub remaining: String,
    /// Whether it is paused: nothing is granted.
    pub paused: bool,
    /// What administrators have made of it: `paused`, `raised`, `lowered`, `topped up`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<String>,
    /// The thresholds that leave an entry, in hundredths of the limit.
    pub thresholds: Vec<u8>,
    /// What happens at the limit: `deny` or `ask`.
    pub at_limit: String,
    /// Where it is declared: `files` or `api`.
    pub declared: String,
    /// Who changed it last while traffic flowed, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_edit: Option<EditReport>,
    /// When the window ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<String>,
}

/// A change of a budget while traffic flowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditReport {
    /// Who.
    pub by: String,
    /// When.
    pub at: String,
    /// Why, in their words.
    pub note: String,
}

impl BudgetReport {
    pub(crate) fn of(
        tenant: &TenantName,
        balance: &Balance,
        facts: &BudgetFacts,
        set: &BTreeMap<model::BudgetName, Amount>,
    ) -> Self {
        let spec = &balance.spec;
        let number = |amount| spec.unit.number(amount);
        let edit = facts.edits.get(&spec.name);
        let select = spec.select.as_ref();
        Self {
            tenant: tenant.to_string(),
            name: spec.name.to_string(),
            of: balance
                .labels()
                .map(|(label, value)| (label.to_string(), value.to_owned()))
                .collect(),
            selects: select.map_or_else(|| "agent".to_owned(), ToString::to_string),
            unit: spec.unit.unit().to_owned(),
            window: spec.window.to_string(),
            limit: number(balance.limit),
            declared_limit: set.contains_key(&spec.name).then(|| number(spec.limit)),
            topped_up: Some(balance.credit).filter(|credit| *credit > Amount::ZERO).map(number),
            spent: number(balance.settled),
            booked: number(balance.spent()),
            held: number(balance.held),
            carried: number(balance.carried),
            remaining: number(balance.remaining()),
            paused: balance.paused,
            state: state(balance, set.get(&spec.name)),
            thresholds: spec.thresholds.clone(),
            at_limit: match spec.at_limit {
                AtLimit::Deny => "deny".to_owned(),
                AtLimit::Ask { .. } => "ask".to_owned(),
            },
            declared: match facts.declared.get(&spec.name) {
                Some(Declared::Api) => "api".to_owned(),
                Some(Declared::Files) | None => "files".to_owned(),
            },
            last_edit: edit.map(|edit| EditReport {
                by: edit.by.to_string(),
                at: rfc3339(edit.at),
                note: edit.note.clone(),
            }),
            resets_at: balance.resets_at.map(rfc3339),
        }
    }
}

fn state(balance: &Balance, set: Option<&Amount>) -> Vec<String> {
    let declared = balance.spec.limit;
    let words = [
        ("paused", balance.paused),
        ("raised", set.is_some_and(|set| *set > declared)),
        ("lowered", set.is_some_and(|set| *set < declared)),
        ("topped up", balance.credit > Amount::ZERO),
    ];
    let words = words.into_iter().filter(|(_, is)| *is);
    words.map(|(word, _)| word.to_owned()).collect()
}
