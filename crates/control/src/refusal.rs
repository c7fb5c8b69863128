//! A refusal: what the caller is told. Where it is recorded is the pipeline's business, how it is spelt the edge's.

use std::time::Duration;

use entry::{Closed, Over};
use ledger::{Amount, BreakerStop, LimitReason, Limited, Measure};
use model::{ActionId, AdminName, NanoUsd, Reason, Timestamp};

/// Why an action was not carried out, in words for the caller and a code for programs. Never a secret, never internals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The action's id, if it got one.
    pub id: Option<ActionId>,
    /// The stable code.
    pub reason: Reason,
    /// What happened and what would mend it.
    pub message: String,
    /// When trying again can help.
    pub retry_after: Option<Duration>,
    /// What is left in the budget that refused, if it counts money.
    pub remaining: Option<NanoUsd>,
}

impl Refusal {
    pub(crate) fn new(id: ActionId, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            id: Some(id),
            reason,
            message: message.into(),
            retry_after: None,
            remaining: None,
        }
    }

    /// A refusal of a caller that is not known: it has no action.
    pub(crate) fn anonymous(reason: Reason, message: &str) -> Self {
        Self {
            id: None,
            reason,
            message: message.to_owned(),
            retry_after: None,
            remaining: None,
        }
    }

    pub(crate) fn unavailable(id: ActionId) -> Self {
        let message = "Bailiwick cannot record requests at the moment, so none is let through; nothing was forwarded. \
                       Its operator finds the cause in the server's log and under /readyz.";
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(id, Reason::GovernanceUnavailable, message)
        }
    }

    pub(crate) fn overloaded(id: ActionId) -> Self {
        let message = "As many calls are in flight as this server allows ([limits] in_flight); nothing was forwarded.";
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(id, Reason::Overloaded, message)
        }
    }

    /// The call was made and paid for before, and what it brought is not kept here any more.
    pub(crate) fn repeated(id: ActionId, of: ActionId) -> Self {
        let message = format!(
            "This Idempotency-Key belongs to request {of}, which was paid for, and its reply is not kept any more; nothing \
             was forwarded. To pay for the call once more, send it with another key."
        );
        Self::new(id, Reason::IdempotencyKeyUsed, message)
    }

    pub(crate) fn over_budget(id: ActionId, over: &Over, resets_at: Option<Timestamp>) -> Self {
        let budget = pot(over);
        let remaining = Some(NanoUsd(left(over).0)).filter(|_| over.unit == Measure::Money);
        let message = match over.closed {
            Some(Closed::Paused) => format!(
                "An administrator paused {budget}: nothing is granted on it until it is resumed (`bailiwick budget resume \
                 {}`). Nothing was forwarded.",
                over.budget
            ),
            Some(Closed::Crowded) => format!(
                "{budget} is kept for as many others already as it can be, so none is begun; an administrator has to keep \
                 fewer apart (`each`). Nothing was forwarded."
            ),
            None => format!("{} {} Nothing was forwarded.", no_room(over), resets(resets_at)),
        };
        Self {
            remaining,
            ..Self::new(id, Reason::BudgetExhausted, message)
        }
    }

    pub(crate) fn rate_limited(id: ActionId, limited: &Limited) -> Self {
        let Limited {
            limit,
            of,
            rate,
            asked,
            why,
            retry_after_us,
        } = limited;
        let of: Vec<_> = of.iter().map(|(label, value)| format!("{label} {value}")).collect();
        let of = match of.as_slice() {
            [] => String::new(),
            of => format!(" of {}", of.join(", ")),
        };
        let asked = rate.measure.show(*asked);
        let message = match why {
            LimitReason::TooFast => {
                format!("Rate limit \"{limit}\"{of} allows {rate}, and this request of up to {asked} would go faster.")
            }
            LimitReason::TooLarge => format!(
                "Rate limit \"{limit}\"{of} allows {rate}, and this request could take up to {asked}, which is more than \
                 may ever go at once. Ask for less, or let an administrator raise the burst."
            ),
            LimitReason::TooManyBuckets => {
                format!(
                    "Rate limit \"{limit}\"{of} counts as many others apart already as its share of buckets allows."
                )
            }
        };
        let retry_after = retry_after_us.and_then(|micros| u64::try_from(micros).ok());
        let message = match retry_after {
            Some(micros) => format!("{message} Retry in {} s. Nothing was forwarded.", seconds(micros)),
            None => format!("{message} Nothing was forwarded."),
        };
        Self {
            retry_after: retry_after.map(Duration::from_micros),
            ..Self::new(id, Reason::RateLimited, message)
        }
    }

    pub(crate) fn broken(id: ActionId, stop: &BreakerStop, now: Timestamp) -> Self {
        let left = u64::try_from(stop.until.micros_since(now)).unwrap_or_default();
        let since = shown(stop.since);
        let goes_on = if stop.probing {
            "One call is let through now to see whether it goes on well."
        } else {
            "After that one call may show that it goes on well."
        };
        let message = format!(
            "Circuit breaker \"{}\" has stopped {} {} since {since}: {}. Retry in {} s. {goes_on} An administrator can close \
             it with `bailiwick breaker reset {}`. Nothing was forwarded.",
            stop.breaker,
            stop.scope.as_str(),
            stop.of,
            stop.cause,
            seconds(left),
            stop.breaker,
        );
        Self {
            retry_after: Some(Duration::from_micros(left)),
            ..Self::new(id, Reason::BreakerOpen, message)
        }
    }

    /// An administrator was asked, and refused.
    pub(crate) fn not_topped_up(id: ActionId, over: &Over, by: &AdminName, note: &str) -> Self {
        let message = format!(
            "{} Administrator {by} was asked and refused to top it up: {note}. Nothing was forwarded.",
            no_room(over)
        );
        Self::new(id, Reason::BudgetExhausted, message)
    }
}

/// Seconds to the millisecond, rounded up: after that long it is so.
fn seconds(micros: u64) -> String {
    let millis = micros.div_ceil(1_000);
    format!("{}.{:03}", millis / 1_000, millis % 1_000)
}

/// `budget "team"`, and whose pot of it.
fn pot(over: &Over) -> String {
    match over.of.as_slice() {
        [] => format!("budget \"{}\"", over.budget),
        of => format!("budget \"{}\" of {}", over.budget, of.join(", ")),
    }
}

fn left(over: &Over) -> Amount {
    let used = over.spent.saturating_add(over.held);
    over.limit.saturating_sub(used).at_least_zero()
}

fn no_room(over: &Over) -> String {
    let show = |amount| over.unit.show(amount);
    let takes = if over.unit == Measure::Money { "cost" } else { "take" };
    format!(
        "This request could {takes} up to {}, but {} has {} left of {} ({} spent, {} held by calls in flight).",
        show(over.asked),
        pot(over),
        show(left(over)),
        show(over.limit),
        show(over.spent),
        show(over.held)
    )
}

fn resets(at: Option<Timestamp>) -> String {
    match at {
        Some(at) => format!("It resets at {}.", shown(at)),
        None => "It does not reset by itself.".to_owned(),
    }
}

fn shown(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_microsecond(at.unix_micros()).ok();
    at.map_or_else(
        || "the end of time".to_owned(),
        |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    )
}
