//! What administrators read of a simulation.

use model::{TenantName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::simulate::{Simulation, Stop, Stopped};
use model::rfc3339;

/// What proposed budgets would have stopped in a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimulationReport {
    /// Whose log.
    pub tenant: String,
    /// The begin of the period.
    pub since: String,
    /// Its end.
    pub until: String,
    /// Calls that were let through in the period.
    pub calls: u64,
    /// Those that a proposed budget selects.
    pub selected: u64,
    /// What all of them cost, US dollars.
    pub cost_usd: String,
    /// Calls that would have been stopped.
    pub stopped_calls: u64,
    /// What those cost, US dollars.
    pub stopped_cost_usd: String,
    /// Calls that were refused at the time: what they would have cost is not known.
    pub refused_then: u64,
    /// Calls that more than 16 of the proposed budgets select: such budgets would not load, and the calls are not counted.
    pub overselected: u64,
    /// Calls of which it could not be said whether the budgets have room for them, or what they took: the rest is what is
    /// known, and no more.
    pub undecided: u64,
    /// By pot, what it would have stopped.
    pub pots: Vec<StoppedReport>,
    /// The first calls that would have been stopped.
    pub stops: Vec<StopReport>,
}

/// What one pot would have stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoppedReport {
    /// The budget.
    pub budget: String,
    /// Whose pot, where it keeps several apart.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub of: String,
    /// How many calls.
    pub calls: u64,
    /// What they cost, US dollars.
    pub cost_usd: String,
    /// When the first came.
    pub first: String,
    /// When the last came.
    pub last: String,
}

/// A call that would have been stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopReport {
    /// When.
    pub at: String,
    /// Its intent's entry.
    pub entry: u64,
    /// The agent.
    pub agent: String,
    /// The upstream and the model.
    pub model: String,
    /// The budget.
    pub budget: String,
    /// Whose pot, where it keeps several apart.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub of: String,
    /// What it could have taken at most, with its unit.
    pub asked: String,
    /// What was used, with its unit.
    pub used: String,
    /// The limit, with its unit.
    pub limit: String,
}

impl SimulationReport {
    pub(crate) fn of(tenant: &TenantName, since: Timestamp, until: Timestamp, simulation: &Simulation) -> Self {
        Self {
            tenant: tenant.to_string(),
            since: rfc3339(since),
            until: rfc3339(until),
            calls: simulation.calls,
            selected: simulation.selected,
            cost_usd: simulation.cost.to_string(),
            stopped_calls: simulation.stopped_calls,
            stopped_cost_usd: simulation.stopped_cost.to_string(),
            refused_then: simulation.refused_then,
            overselected: simulation.overselected,
            undecided: simulation.undecided,
            pots: simulation.pots.values().map(pot).collect(),
            stops: simulation.stops.iter().map(stop).collect(),
        }
    }
}

fn pot(stopped: &Stopped) -> StoppedReport {
    StoppedReport {
        budget: stopped.pot.budget.to_string(),
        of: stopped.pot.of.join(", "),
        calls: stopped.calls,
        cost_usd: stopped.cost.to_string(),
        first: rfc3339(stopped.first),
        last: rfc3339(stopped.last),
    }
}

fn stop(stop: &Stop) -> StopReport {
    let balance = &stop.refusal.balance;
    let unit = balance.spec.unit;
    StopReport {
        at: rfc3339(stop.at),
        entry: stop.index,
        agent: stop.agent.clone(),
        model: stop.model.clone(),
        budget: balance.spec.name.to_string(),
        of: balance.of.join(", "),
        asked: unit.show(stop.refusal.amount),
        used: unit.show(balance.used()),
        limit: unit.show(balance.limit),
    }
}
