//! `kind: Budget`, and an agent's own `budget: { limit: 5 USD, per: day }`.

mod limits;
mod window;

use std::borrow::Cow;

use ledger::{AtLimit, BudgetSpec, Label, Window};
use model::{BudgetName, NanoUsd};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};

use self::{
    limits::{AskOrDeny, thresholds},
    window::{Kind, Per, RawWindow, window},
};
use super::{
    Declared,
    check::Check,
    kind::BudgetKind,
    select::{Names, RawSelect, Selected, each},
};
use crate::{
    node::{Field, Placed, parse_text},
    problem::Findings,
    quantity::{Amount, Counted, Percent, amount},
};

/// What an agent may spend. The limit is hard.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a budget such as `{ limit: 5 USD, per: day }`"
)]
#[schemars(rename = "AgentBudget", extend("required" = ["limit", "per"]))]
pub(super) struct RawOwnBudget {
    /// How much may be spent in one window.
    limit: Field<OwnLimit>,
    /// How long a window is.
    per: Field<Per>,
    /// Whether a window is a piece of the calendar or the time just passed.
    #[schemars(extend("default" = "calendar"))]
    window: Field<Kind>,
    /// The time zone of the calendar, by its name in the IANA database.
    #[schemars(extend("default" = "UTC", "examples" = ["Europe/Berlin"]))]
    time_zone: Field<String>,
    /// What shares of the limit, in hundredths, leave an entry when they are booked.
    #[schemars(extend("default" = ledger::THRESHOLDS))]
    thresholds: Field<Vec<Field<Percent>>>,
    /// What happens to a request that it has no room for: it is refused, or waits for an administrator.
    #[schemars(extend("default" = "deny"))]
    at_limit: Field<AskOrDeny>,
}

/// A budget: what the requests that it selects may use together. The limit is hard.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Budget", extend("required" = ["kind", "name", "limit", "per"]))]
pub(crate) struct RawBudget {
    /// What the document declares.
    kind: Field<BudgetKind>,
    /// The budget's name, unique in its tenant among budgets and agents: lower-case letters, digits, '-', '_' and '.'.
    name: Field<String>,
    /// How much may be used in one window: money, tokens (both ways, or `input tokens` or `output tokens`) or calls.
    limit: Field<Counted>,
    /// How long a window is.
    per: Field<Per>,
    /// Whether a window is a piece of the calendar or the time just passed.
    #[schemars(extend("default" = "calendar"))]
    window: Field<Kind>,
    /// The time zone of the calendar, by its name in the IANA database.
    #[schemars(extend("default" = "UTC", "examples" = ["Europe/Berlin"]))]
    time_zone: Field<String>,
    /// Which requests must fit into it; all of the tenant's if absent.
    select: Field<RawSelect>,
    /// A pot for each value of these labels, each with the whole limit.
    each: Field<Names>,
    /// What shares of the limit, in hundredths, leave an entry when they are booked.
    #[schemars(extend("default" = ledger::THRESHOLDS))]
    thresholds: Field<Vec<Field<Percent>>>,
    /// What happens to a request that it has no room for: it is refused, or waits for an administrator.
    #[schemars(extend("default" = "deny"))]
    at_limit: Field<AskOrDeny>,
}

/// The limit of an agent's own budget: money, because every agent has a limit of its costs.
#[derive(Debug)]
struct OwnLimit(NanoUsd);

impl OwnLimit {
    fn parse(text: &str) -> Result<Self, String> {
        amount(text).map(Self).map_err(|error| match Counted::parse(text) {
            Ok(_) => {
                "an agent's own budget is one of money, such as `limit: 5 USD`\nfor tokens and calls write a document \
                      `kind: Budget`, with `select: { agent: NAME }`"
                    .to_owned()
            }
            Err(_) => error,
        })
    }
}

impl<'de> Deserialize<'de> for OwnLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_text(deserializer, "an amount such as `5 USD`", Self::parse)
    }
}

/// That of any amount of money.
impl JsonSchema for OwnLimit {
    fn schema_name() -> Cow<'static, str> {
        Amount::schema_name()
    }

    fn inline_schema() -> bool {
        Amount::inline_schema()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Amount::json_schema(generator)
    }
}

/// What an agent's own budget says. Its name is the agent's.
pub(super) struct OwnBudget {
    pub(super) limit: NanoUsd,
    pub(super) window: Window,
    pub(super) thresholds: Vec<u8>,
    pub(super) at_limit: AtLimit,
}

impl OwnBudget {
    pub(super) fn named(self, name: BudgetName) -> BudgetSpec {
        BudgetSpec {
            thresholds: self.thresholds,
            at_limit: self.at_limit,
            ..BudgetSpec::money(name, self.limit, self.window)
        }
    }
}

impl TryFrom<Placed<RawOwnBudget>> for OwnBudget {
    type Error = Findings;

    fn try_from(Placed { mark, value: raw }: Placed<RawOwnBudget>) -> Result<Self, Findings> {
        let mut findings = Findings::default();
        let help = "a limit is an amount, such as `limit: 5 USD`";
        let limit = raw
            .limit
            .required(Some(mark), "the budget has no `limit`", help, &mut findings);
        let per = raw
            .per
            .required(Some(mark), "the budget has no `per`", window::PER_HELP, &mut findings);
        let written = RawWindow {
            per,
            kind: raw.window.given(),
            zone: raw.time_zone.given(),
        };
        let window = window(written, &mut findings);
        let thresholds = thresholds(raw.thresholds, &mut findings);
        let at_limit = AskOrDeny::check(raw.at_limit, &mut findings);
        let budget = || {
            Some(Self {
                limit: limit?.value.0,
                window: window?,
                thresholds,
                at_limit: at_limit?,
            })
        };
        let budget = budget();
        findings.conclude(budget)
    }
}

impl TryFrom<Placed<RawBudget>> for Declared<BudgetSpec> {
    type Error = Findings;

    fn try_from(Placed { mark, value: raw }: Placed<RawBudget>) -> Result<Self, Findings> {
        let mut check = Check::of("budget", mark, &raw.name);
        check.required("kind", raw.kind, "every document says what it declares: `kind: Budget`");
        let help = "every budget needs a name: refusals, reports and the log call it by that";
        let name = check.name(raw.name, BudgetName::new, help);
        let help = "a limit is an amount with its unit, such as `limit: 500 USD`, `2M tokens` or `5000 calls`";
        let limit = check.required("limit", raw.limit, help);
        let per = check.required("per", raw.per, window::PER_HELP);
        let written = RawWindow {
            per,
            kind: raw.window.given(),
            zone: raw.time_zone.given(),
        };
        let window = window(written, &mut check.findings);
        let select = raw.select.value().unwrap_or_default();
        let Selected { selector, values } = Selected::read(select, false, &mut check.findings);
        let each = each(raw.each, &mut check.findings);
        if window == Some(Window::Total) {
            let ends = |label: &Placed<Label>| matches!(label.value, Label::Run | Label::Task);
            for label in each.iter().filter(|label| ends(label)) {
                let message = format!("a budget `per: total` cannot keep a pot for each {}", label.value);
                let help =
                    "new ones come all the time, and their pots would pile up: choose another `per`, such as `day`";
                check.findings.add_with_help(label.mark, message, help);
            }
        }
        let thresholds = thresholds(raw.thresholds, &mut check.findings);
        let at_limit = AskOrDeny::check(raw.at_limit, &mut check.findings);
        let budget = || {
            let limit = limit?.value;
            Some(BudgetSpec {
                name: name?,
                limit: limit.amount,
                window: window?,
                unit: limit.measure,
                select: Some(selector),
                each: each.into_iter().map(|label| label.value).collect(),
                thresholds,
                at_limit: at_limit?,
            })
        };
        let budget = budget();
        check.recorded(budget.as_ref());
        let declared = budget.map(|spec| Self { mark, spec, values });
        check.findings.conclude(declared)
    }
}
