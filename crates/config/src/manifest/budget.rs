//! `budget: { limit: 5 USD, per: day }`.

use ledger::{Unit, Window, WindowError};
use model::NanoUsd;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    node::{Field, Placed},
    problem::Findings,
    quantity::Amount,
    suggest::shown,
};

/// What an agent may spend. The limit is hard.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a budget such as `{ limit: 5 USD, per: day }`"
)]
#[schemars(rename = "Budget", extend("required" = ["limit", "per"]))]
pub(crate) struct RawBudget {
    /// How much may be spent in one window.
    limit: Field<Amount>,
    /// How long a window is.
    per: Field<Per>,
    /// Whether a window is a piece of the calendar or the time just passed.
    #[schemars(extend("default" = "calendar"))]
    window: Field<Kind>,
    /// The time zone of the calendar, by its name in the IANA database.
    #[schemars(extend("default" = "UTC", "examples" = ["Europe/Berlin"]))]
    time_zone: Field<String>,
}

/// How long a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Per {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    /// One window that never ends.
    Total,
}

/// How windows follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Kind {
    /// From one boundary of the calendar to the next.
    #[default]
    Calendar,
    /// The time just passed.
    Rolling,
}

impl TryFrom<Placed<RawBudget>> for (NanoUsd, Window) {
    type Error = Findings;

    fn try_from(Placed { mark, value: raw }: Placed<RawBudget>) -> Result<Self, Findings> {
        let mut findings = Findings::default();
        let help = "a limit is an amount, such as `limit: 5 USD`";
        let limit = raw
            .limit
            .required(Some(mark), "the budget has no `limit`", help, &mut findings);
        let help = "`per` is minute, hour, day, week, month or total";
        let per = raw
            .per
            .required(Some(mark), "the budget has no `per`", help, &mut findings);
        let kind = raw.window.given();
        let zone = raw.time_zone.given();
        let unit = per.as_ref().and_then(|per| match per.value {
            Per::Minute => Some(Unit::Minute),
            Per::Hour => Some(Unit::Hour),
            Per::Day => Some(Unit::Day),
            Per::Week => Some(Unit::Week),
            Per::Month => Some(Unit::Month),
            Per::Total => None,
        });
        let rolling = kind.as_ref().is_some_and(|kind| kind.value == Kind::Rolling);
        let never_resets = per.is_some() && unit.is_none();
        if let (Some(kind), true) = (&kind, never_resets) {
            let message = "a budget `per: total` has no `window`";
            findings.add_with_help(kind.mark, message, "it never starts again: leave `window` out");
        }
        if let (Some(zone), true) = (&zone, never_resets || rolling) {
            let what = if never_resets {
                "a budget `per: total`"
            } else {
                "a rolling window"
            };
            let message = format!("{what} has no `time_zone`");
            findings.add_with_help(zone.mark, message, "it knows no calendar: leave `time_zone` out");
        }
        let window = match (unit, rolling) {
            (None, _) => Window::Total,
            (Some(unit), true) => Window::Rolling { unit },
            (Some(unit), false) => Window::Calendar {
                unit,
                zone: zone
                    .as_ref()
                    .map_or_else(|| "UTC".to_owned(), |zone| zone.value.clone()),
            },
        };
        if let (Some(zone), Err(error)) = (&zone, window.check()) {
            let help = "use a name of the IANA database, such as Europe/Berlin or UTC";
            let message = match error {
                WindowError::Zone(zone) => format!("unknown time zone `{}`", shown(&zone)),
                WindowError::Range(_) => error.to_string(),
            };
            findings.add_with_help(zone.mark, message, help);
        }
        let budget = limit.zip(per).map(|(limit, _)| (limit.value.0, window));
        findings.conclude(budget)
    }
}
