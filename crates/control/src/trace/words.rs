//! What entries say, in words.

use entry::{AskEnd, Closed, Over, Status};
use ledger::{Period, Reached};
use model::{BudgetName, Timestamp, Usage};

use crate::rfc3339;

/// An instant to the second.
pub(super) fn short(at: Timestamp) -> String {
    let text = rfc3339(at);
    match text.split_once('.') {
        Some((seconds, _)) => format!("{}Z", seconds.replacen('T', " ", 1)),
        None => text,
    }
}

/// The time for which a budget counts.
pub(super) fn period(period: Period) -> String {
    match period.end {
        Timestamp::MAX => format!("since {}", short(period.start)),
        end => format!("from {} to {}", short(period.start), short(end)),
    }
}

/// A length of time: `18.4 s`, `250 ms`, `12 µs`.
pub(super) fn length(us: i64) -> String {
    match us {
        ..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{} ms", us / 1_000),
        1_000_000..60_000_000 => format!("{}.{} s", us / 1_000_000, us % 1_000_000 / 100_000),
        _ => format!("{} min {} s", us / 60_000_000, us % 60_000_000 / 1_000_000),
    }
}

/// A budget, or one of its pots.
pub(super) fn pot(budget: &BudgetName, of: &[String]) -> String {
    match of {
        [] => budget.to_string(),
        of => format!("{budget} of {}", of.join(", ")),
    }
}

/// The budget that something did not fit into.
pub(super) fn over(over: &Over) -> String {
    let pot = pot(&over.budget, &over.of);
    let show = |amount| over.unit.show(amount);
    match over.closed {
        Some(Closed::Paused) => format!("{pot} is paused"),
        Some(Closed::Crowded) => format!("{pot} is kept apart for too many"),
        None => format!(
            "{pot} has no room for {}: {} of {} are spent and {} held",
            show(over.asked),
            show(over.spent),
            show(over.limit),
            show(over.held)
        ),
    }
}

/// A threshold.
pub(super) fn reached(reached: &Reached) -> String {
    let unit = reached.unit;
    format!(
        "{} passed {} %: {} of {}",
        pot(&reached.budget, &reached.of),
        reached.percent,
        unit.number(reached.spent),
        unit.show(reached.limit)
    )
}

/// How an attempt ended.
pub(super) fn ending(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::UpstreamError => "an error of the provider",
        Status::Unreachable => "the provider was not reached",
        Status::Timeout => "no answer in time",
        Status::Broken => "the answer broke off or made no sense",
        Status::ClientGone => "the caller went away",
        Status::Cut => "cut: what was used passed the hold",
        Status::Revoked => "cut: the credential was revoked or has expired",
        Status::NotForwarded => "never forwarded",
        Status::Indeterminate => "nobody knows: the server died or lost track",
    }
}

/// How waiting ended without an answer.
pub(super) fn ask_end(end: AskEnd) -> &'static str {
    match end {
        AskEnd::Withdrawn => "the caller went away",
        AskEnd::Moved => "another budget has no room now",
        AskEnd::Lost => "the server that it waited at stopped",
    }
}

/// Figures of use that are not nothing.
pub(super) fn usage(usage: &Usage) -> String {
    let figures = [
        (usage.input, "in"),
        (usage.cache_read, "from the cache"),
        (usage.cache_write.saturating_add(usage.cache_write_1h), "to the cache"),
        (usage.audio_input, "of audio in"),
        (usage.image_input, "of images in"),
        (usage.output, "out"),
        (usage.reasoning, "of these reasoning"),
        (usage.audio_output, "of audio out"),
        (usage.image_output, "of images out"),
    ];
    let figures = figures.into_iter().filter(|(count, _)| *count > 0);
    let figures: Vec<String> = figures.map(|(count, what)| format!("{count} {what}")).collect();
    match figures.is_empty() {
        true => "no tokens".to_owned(),
        false => format!("tokens {}", figures.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_short() {
        for (us, expected) in [
            (0, "0 µs"),
            (999, "999 µs"),
            (250_999, "250 ms"),
            (18_422_113, "18.4 s"),
            (61_000_000, "1 min 1 s"),
        ] {
            assert_eq!(length(us), expected);
        }
    }
}
