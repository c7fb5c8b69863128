//! `kind: Agent`.

use control::AgentSpec;
use ledger::BudgetSpec;
use model::{AgentName, BudgetName, NanoUsd};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    budget::{OwnBudget, RawOwnBudget},
    check::Check,
    kind::AgentKind,
};
use crate::{
    file::{OUTPUT_LIMITS, within},
    node::{Field, Placed},
    problem::Findings,
    quantity::Amount,
};

/// A label stands in metrics, policies and reports, and an agent whole in one audit entry: both want bounds.
pub(super) const MAX_LABEL: usize = 64;
/// The longest address that mail can have (RFC 5321, section 4.5.3.1.3).
pub(super) const MAX_OWNER: usize = 254;
pub(super) const MAX_PURPOSE: usize = 500;

/// An agent: a governed software identity with an owner, a purpose and a budget.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(
    rename = "Agent",
    extend("required" = ["kind", "name", "owner", "team", "product", "environment", "purpose", "budget"])
)]
pub(crate) struct RawAgent {
    /// What the document declares.
    kind: Field<AgentKind>,
    /// The agent's name, unique in its tenant: lower-case letters, digits, '-', '_' and '.'. It stands in policies as
    /// `Agent::"name"`.
    name: Field<String>,
    /// Who answers for it: the address of a person or a group.
    owner: Field<String>,
    /// The team it belongs to.
    team: Field<String>,
    /// The product it works for.
    product: Field<String>,
    /// Where it runs, such as `production` or `test`.
    environment: Field<String>,
    /// What it is for, in a sentence.
    purpose: Field<String>,
    /// What it may spend.
    budget: Field<RawOwnBudget>,
    /// The output limit, in tokens, written into its requests that give none. The server's if absent.
    #[schemars(extend("minimum" = OUTPUT_LIMITS.start(), "maximum" = OUTPUT_LIMITS.end()))]
    output_limit: Field<u64>,
    /// What it may go on spending while the log cannot be written: it is reserved in its budget as long as all is well, and
    /// needs `spool` in `[audit]`. Without one it is refused then.
    allowance: Field<Amount>,
}

impl TryFrom<Placed<RawAgent>> for AgentSpec {
    type Error = Findings;

    fn try_from(Placed { mark, value: raw }: Placed<RawAgent>) -> Result<Self, Findings> {
        let mut check = Check::of("agent", mark, &raw.name);
        check.required("kind", raw.kind, "every document says what it declares: `kind: Agent`");
        let help = "every agent needs a name: policies, budgets and the log call it by that";
        let name = check.name(raw.name, AgentName::new, help);
        let help = "every agent needs an owner: the person or group that answers for it";
        let owner = check.label("owner", raw.owner, MAX_OWNER, help);
        let team = check.label(
            "team",
            raw.team,
            MAX_LABEL,
            "every agent belongs to a team: costs are told by team",
        );
        let help = "every agent works for a product: costs are told by product";
        let product = check.label("product", raw.product, MAX_LABEL, help);
        let help = "every agent runs in an environment, such as production or test: costs are told by environment";
        let environment = check.label("environment", raw.environment, MAX_LABEL, help);
        let purpose = check.label(
            "purpose",
            raw.purpose,
            MAX_PURPOSE,
            "every agent has a purpose: say it in a sentence",
        );
        let help = "cost limits are mandatory, tests included: `budget: { limit: 5 USD, per: day }`";
        let budget = check.required("budget", raw.budget, help);
        let budget = budget.and_then(|budget| check.budget(budget, name.as_ref()));
        let allowance = check.allowance(raw.allowance, budget.as_ref());
        let output_limit = within(raw.output_limit, OUTPUT_LIMITS, &mut check.findings);
        let agent = || {
            Some(Self {
                name: name?,
                owner: owner?,
                team: team?,
                product: product?,
                environment: environment?,
                purpose: purpose?,
                budget: budget?,
                output_limit,
                allowance: allowance?,
            })
        };
        let agent = agent();
        check.findings.conclude(agent)
    }
}

impl Check {
    /// A text for people, of bounded length and without characters that could disturb a terminal or a log.
    pub(super) fn label(&mut self, key: &str, field: Field<String>, max: usize, help: &str) -> Option<String> {
        let label = self.required(key, field, help)?;
        let text = label.value.trim();
        let many_lines = key == "purpose";
        let message = if text.is_empty() {
            format!("{} has an empty `{key}`", self.subject)
        } else if text.chars().count() > max {
            format!("`{key}` is longer than {max} characters")
        } else if text.chars().any(|c| c.is_control() && !(many_lines && c == '\n')) {
            format!("`{key}` holds control characters")
        } else {
            return Some(text.to_owned());
        };
        if text.is_empty() {
            self.findings.add_with_help(label.mark, message, help);
        } else {
            self.findings.add(label.mark, message);
        }
        None
    }

    /// What is more than the budget could never be reserved. `None` if it cannot be.
    fn allowance(&mut self, field: Field<Amount>, budget: Option<&BudgetSpec>) -> Option<Option<NanoUsd>> {
        let Some(Placed {
            mark,
            value: Amount(allowance),
        }) = field.given()
        else {
            return Some(None);
        };
        if allowance == NanoUsd::ZERO || budget.is_some_and(|budget| ledger::Amount::from(allowance) > budget.limit) {
            let message = format!("the allowance of {} is nothing, or more than its budget", self.subject);
            let help = "it is a part of the budget, reserved for the time in which the log cannot be written; leave it out \
                        to refuse the agent then";
            self.findings.add_with_help(mark, message, help);
            return None;
        }
        Some(Some(allowance))
    }

    /// The budget bears the agent's name.
    fn budget(&mut self, raw: Placed<RawOwnBudget>, agent: Option<&AgentName>) -> Option<BudgetSpec> {
        let budget: OwnBudget = self.findings.absorb(raw.try_into())?;
        let name = agent.and_then(|agent| BudgetName::new(agent.as_str()).ok())?;
        Some(budget.named(name))
    }
}
