//! What it all comes to: three accounts of the same calls set side by side, and the log verified.

use std::{collections::BTreeMap, time::Duration};

use model::NanoUsd;
use serde::Serialize;

use super::{
    board::{Board, Row},
    cast::Agent,
    event::State,
    record::{Account, Accounts},
    show::millis,
};
use crate::verify::Report;

/// The last object for programs, and what the sentences for people are made of.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    /// `summary`
    event: &'static str,
    /// Whether everything holds.
    pub(crate) ok: bool,
    /// How long the agents worked.
    took_ms: u64,
    /// Each agent.
    pub(crate) agents: Vec<AgentSummary>,
    /// All calls, as the provider counted them.
    pub(crate) provider: Totals,
    /// All calls, as the audit log has them.
    pub(crate) ledger: Totals,
    /// Whether both agree, agent by agent.
    pub(crate) ledger_agrees: bool,
    /// Whether the audit log verifies.
    pub(crate) verified: bool,
    /// What its verification found.
    pub(crate) audit: Report,
    /// All that does not hold.
    pub(crate) troubles: Vec<String>,
}

/// One agent.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AgentSummary {
    pub(crate) agent: Agent,
    /// What it did: `done`, `stopped` or `failed`.
    state: &'static str,
    /// Calls that it made.
    pub(crate) calls: u64,
    /// Of these, answered.
    pub(crate) allowed: u64,
    /// Of these, refused, by reason.
    pub(crate) denied: BTreeMap<String, u64>,
    /// Of these, failed by the provider.
    failed: u64,
    /// Input and output.
    tokens: u64,
    limit_usd: String,
    /// Booked, by the audit log.
    ledger_usd: String,
    /// Billed, by the provider's count.
    provider_usd: String,
    #[serde(skip)]
    pub(crate) limit: NanoUsd,
    #[serde(skip)]
    pub(crate) billed: NanoUsd,
}

/// Sums over all agents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Totals {
    pub(crate) calls: u64,
    pub(crate) tokens: u64,
    cost_usd: String,
    #[serde(skip)]
    pub(crate) cost: NanoUsd,
}

impl Totals {
    fn of(accounts: &Accounts) -> Self {
        let mut totals = Self::default();
        for account in accounts.values() {
            totals.calls += account.calls;
            totals.tokens += account.tokens;
            totals.cost = totals.cost.saturating_add(account.cost);
        }
        totals.cost_usd = totals.cost.to_string();
        totals
    }
}

impl Summary {
    /// Compares what the agents saw, what the log says and what the provider counted.
    pub(crate) fn new(board: &Board, log: &Accounts, provider: &Accounts, audit: Report, took: Duration) -> Self {
        let nothing = Account::default();
        let (mut agents, mut differences, mut troubles) = (Vec::new(), Vec::new(), Vec::new());
        for row in &board.rows {
            let of = |accounts: &'_ Accounts| accounts.get(&row.agent).unwrap_or(&nothing).clone();
            let (told, billed) = (of(log), of(provider));
            differences.extend(compare(row, &told, &billed));
            troubles.extend(unexpected(row, &told));
            agents.push(agent(row, &told, &billed));
        }
        let verified = audit.ok
            && audit
                .tenants
                .iter()
                .all(|log| log.signed.is_some() && log.found.holds_open == 0);
        troubles.splice(0..0, log_troubles(&audit));
        let ledger_agrees = differences.is_empty();
        troubles.extend(differences);
        Self {
            event: "summary",
            ok: troubles.is_empty() && verified,
            took_ms: millis(took),
            agents,
            provider: Totals::of(provider),
            ledger: Totals::of(log),
            ledger_agrees,
            verified,
            audit,
            troubles,
        }
    }

    /// One agent's part.
    pub(crate) fn agent(&self, agent: Agent) -> Option<&AgentSummary> {
        self.agents.iter().find(|summary| summary.agent == agent)
    }
}

fn agent(row: &Row, told: &Account, billed: &Account) -> AgentSummary {
    AgentSummary {
        agent: row.agent,
        state: match row.state {
            State::Waiting => "waiting",
            State::Working => "working",
            State::Stopped => "stopped",
            State::Done => "done",
            State::Failed => "failed",
        },
        calls: row.calls,
        allowed: row.allowed,
        denied: row.denied.clone(),
        failed: row.failed,
        tokens: billed.tokens,
        limit_usd: row.limit.to_string(),
        ledger_usd: told.cost.to_string(),
        provider_usd: billed.cost.to_string(),
        limit: row.limit,
        billed: billed.cost,
    }
}

/// How the three accounts of an agent's calls differ.
fn compare(row: &Row, told: &Account, billed: &Account) -> Vec<String> {
    let agent = row.agent;
    let mut differences = Vec::new();
    let mut differ = |what: &str, seen: &dyn ToString, told: &dyn ToString| {
        let (seen, told) = (seen.to_string(), told.to_string());
        if seen != told {
            differences.push(format!("{agent}: {what}: {seen}, but the audit log has {told}"));
        }
    };
    differ("calls answered", &(row.allowed + row.failed), &told.calls);
    differ("calls the provider counted", &billed.calls, &told.calls);
    differ("tokens the provider counted", &billed.tokens, &told.tokens);
    differ("US dollars the provider bills", &billed.cost, &told.cost);
    let reasons: std::collections::BTreeSet<&String> = row.denied.keys().chain(told.denied.keys()).collect();
    for reason in reasons {
        let count = |denied: &BTreeMap<String, u64>| denied.get(reason).copied().unwrap_or_default();
        differ(
            &format!("refusals ({reason})"),
            &count(&row.denied),
            &count(&told.denied),
        );
    }
    differences
}

/// What did not go as the demo says it does.
fn unexpected(row: &Row, told: &Account) -> Vec<String> {
    let agent = row.agent;
    let mut troubles = Vec::new();
    if told.cost > row.limit {
        let (spent, limit) = (told.cost, row.limit);
        troubles.push(format!("{agent}: spent {spent} USD, over its limit of {limit} USD"));
    }
    let (state, reason) = match agent {
        Agent::NightlyReport | Agent::SupportAssistant => (State::Done, None),
        Agent::SiteAuditor => (State::Stopped, Some("budget_exhausted")),
        Agent::FraudAnalyst => (State::Done, Some("policy_denied")),
    };
    if row.state != state {
        troubles.push(format!("{agent}: {}", row.doing));
    }
    let reasons: Vec<&str> = row.denied.keys().map(String::as_str).collect();
    let expected: Vec<&str> = reason.into_iter().collect();
    if reasons != expected {
        troubles.push(format!(
            "{agent}: refused with {reasons:?}, where {expected:?} was to be expected"
        ));
    }
    troubles
}

fn log_troubles(audit: &Report) -> Vec<String> {
    let mut troubles = Vec::new();
    for log in &audit.tenants {
        let tenant = &log.found.tenant;
        if let Some(trouble) = &log.trouble {
            troubles.push(format!("the audit log of {tenant}: {trouble}"));
        } else if log.signed.is_none() {
            troubles.push(format!("the audit log of {tenant} has no signed checkpoint"));
        } else if log.found.holds_open > 0 {
            troubles.push(format!(
                "the audit log of {tenant} has {} holds that never ended",
                log.found.holds_open
            ));
        }
        if log.found.overrun_usd != "0" {
            troubles.push(format!("{} USD were booked past their holds", log.found.overrun_usd));
        }
    }
    troubles
}
