//! Budgets as people read them.

use std::{collections::BTreeMap, io};

use api::wire;
use control::BudgetReport;

use super::super::{
    agent::qualified,
    output::{DOUBTFUL, HEADING, Output},
    table::{
        Align::{Left, Point, Right},
        Table, clean, money, short_time,
    },
};

/// All pots, a row each.
pub(super) fn list(page: &wire::Budgets, out: &mut Output) -> io::Result<()> {
    if page.budgets.is_empty() {
        return out.line("There are no budgets: each agent's manifest declares one, and there are no agents.");
    }
    table(page).print(out)?;
    // Few budgets have a state, and a column for it would make all rows wider than a terminal.
    for budget in &page.budgets {
        if let Some(state) = state(budget) {
            out.line(clean(&format!("{}: {state}", named(budget))))?;
        }
    }
    told(page, out)
}

fn table(page: &wire::Budgets) -> Table {
    // Points below each other tell nothing where some numbers have none.
    let money = page.budgets.iter().all(|budget| budget.unit == "USD");
    let number = if money { Point } else { Right };
    let mut table = Table::new([
        ("BUDGET", Left),
        ("LIMIT", Left),
        ("SPENT", number),
        ("LEFT", number),
        ("RESETS (UTC)", Left),
    ]);
    for budget in &page.budgets {
        table.row([
            named(budget),
            format!("{}{}", with_unit(&budget.unit, &budget.limit), per(&budget.window)),
            amount(&budget.unit, &budget.booked),
            amount(&budget.unit, &budget.remaining),
            resets(budget),
        ]);
    }
    table
}

/// What is not shown.
fn told(page: &wire::Budgets, out: &mut Output) -> io::Result<()> {
    for name in &page.cut {
        out.line(format_args!(
            "{DOUBTFUL}not all pots of {name} are shown{DOUBTFUL:#}: `bailiwick budget show {name}` shows the first thousand"
        ))?;
    }
    Ok(())
}

/// Everything about one budget.
pub(super) fn one(page: &wire::Budgets, out: &mut Output) -> io::Result<()> {
    let Some(budget) = page.budgets.first() else {
        return out.line("It was removed meanwhile.");
    };
    let name = qualified(&budget.tenant, &budget.name);
    out.line(format_args!("{HEADING}{name}{HEADING:#}"))?;
    let mut lines = terms(budget);
    let apart = !budget.of.is_empty();
    if !apart {
        lines.extend(standing(budget));
    }
    lines.extend(budget.last_edit.as_ref().map(|edit| {
        let at = short_time(&edit.at);
        ("changed", format!("by {} on {at} UTC: {}", edit.by, edit.note))
    }));
    for (what, text) in lines {
        out.line(format_args!("  {what:<11}{}", clean(&text)))?;
    }
    if !apart {
        return Ok(());
    }
    out.line("")?;
    let mut table = Table::new([
        ("POT", Left),
        ("LIMIT", Point),
        ("SPENT", Point),
        ("HELD", Point),
        ("LEFT", Point),
        ("RESETS (UTC)", Left),
    ]);
    for pot in &page.budgets {
        let show = |number: &str| amount(&pot.unit, number);
        table.row([
            whose(&pot.of),
            show(&pot.limit),
            show(&pot.booked),
            show(&pot.held),
            show(&pot.remaining),
            resets(pot),
        ]);
    }
    table.print(out)?;
    told(page, out)
}

fn terms(budget: &BudgetReport) -> Vec<(&'static str, String)> {
    let limit = with_unit(&budget.unit, &budget.limit);
    let mut limit = format!("{limit}{}", per_zone(&budget.window));
    if let Some(credit) = &budget.topped_up {
        limit.push_str(&format!(", {} of it topped up", with_unit(&budget.unit, credit)));
    }
    if let Some(declared) = &budget.declared_limit {
        limit.push_str(&format!("; {} is declared", with_unit(&budget.unit, declared)));
    }
    let warns: Vec<String> = budget.thresholds.iter().map(ToString::to_string).collect();
    let mut terms = vec![
        (
            "declared",
            if budget.declared == "api" {
                "by an administrator"
            } else {
                "in files"
            }
            .to_owned(),
        ),
        (
            "selects",
            match budget.selects.as_str() {
                "agent" => format!("the requests of agent {}", budget.name),
                selects => selects.to_owned(),
            },
        ),
        ("limit", limit),
        (
            "at limit",
            match budget.at_limit.as_str() {
                "ask" => "calls wait for an administrator".to_owned(),
                _ => "calls are refused".to_owned(),
            },
        ),
    ];
    if !warns.is_empty() {
        terms.push(("warns at", format!("{} %", warns.join(", "))));
    }
    if budget.paused {
        terms.push((
            "paused",
            "nothing is granted until `bailiwick budget resume`".to_owned(),
        ));
    }
    terms
}

fn standing(budget: &BudgetReport) -> Vec<(&'static str, String)> {
    let mut spent = with_unit(&budget.unit, &budget.booked);
    if budget.carried != "0" {
        spent.push_str(&format!(
            ", {} of it in earlier windows",
            with_unit(&budget.unit, &budget.carried)
        ));
    }
    let resets = budget.resets_at.as_deref().map(short_time);
    vec![
        ("spent", spent),
        (
            "held",
            format!("{} by calls in flight", with_unit(&budget.unit, &budget.held)),
        ),
        ("left", with_unit(&budget.unit, &budget.remaining)),
        (
            "resets",
            resets.map_or_else(|| "never".to_owned(), |at| format!("{at} UTC")),
        ),
    ]
}

fn named(budget: &BudgetReport) -> String {
    let name = qualified(&budget.tenant, &budget.name);
    if budget.of.is_empty() {
        return name;
    }
    format!("{name} {}", whose(&budget.of))
}

/// Whose pot it is.
pub(in crate::cli) fn whose(of: &BTreeMap<String, String>) -> String {
    let labels = of.iter().map(|(label, value)| format!("{label}={value}"));
    labels.collect::<Vec<_>>().join(" ")
}

/// A number as people write it: dollars with cents, whole thousands and millions short.
fn amount(unit: &str, number: &str) -> String {
    if unit == "USD" {
        money(number)
    } else {
        number.to_owned()
    }
}

/// A number with what it counts: `5.00 USD`, `2M tokens`, `1 call`.
pub(in crate::cli) fn with_unit(unit: &str, number: &str) -> String {
    let short = match (unit, number.strip_suffix("000000"), number.strip_suffix("000")) {
        ("USD", _, _) => money(number),
        (_, Some(millions), _) if !millions.is_empty() => format!("{millions}M"),
        (_, _, Some(thousands)) if !thousands.is_empty() => format!("{thousands}k"),
        _ => number.to_owned(),
    };
    let unit = match (unit, number) {
        ("USD", _) => unit,
        (_, "1") => unit.trim_end_matches('s'),
        _ => unit,
    };
    format!("{short} {unit}")
}

/// `/day` of `day (Europe/Berlin)`; the zone is in what `show` prints.
fn per(window: &str) -> String {
    match window.split(" (").next() {
        Some("total") | None => " in total".to_owned(),
        Some(window) => format!("/{window}"),
    }
}

fn per_zone(window: &str) -> String {
    match window {
        "total" => " in total".to_owned(),
        window => format!(" per {window}"),
    }
}

/// `11-24 00:00`: windows begin with a minute, and none is longer than a year.
fn resets(budget: &BudgetReport) -> String {
    let at = budget.resets_at.as_deref().map(short_time);
    at.map_or_else(|| "never".to_owned(), |at| at.chars().skip(5).take(11).collect())
}

/// What administrators made of it, and who did.
fn state(budget: &BudgetReport) -> Option<String> {
    if budget.state.is_empty() {
        return None;
    }
    let words = budget.state.join(", ");
    Some(match &budget.last_edit {
        Some(edit) => format!("{words} ({})", edit.by),
        None => words,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_their_unit() {
        for (unit, number, text) in [
            ("USD", "1", "1.00 USD"),
            ("USD", "0.0000249", "0.0000249 USD"),
            ("calls", "0", "0 calls"),
            ("calls", "1", "1 call"),
            ("calls", "2", "2 calls"),
            ("calls", "-1", "-1 calls"),
            ("input tokens", "1", "1 input token"),
            ("output tokens", "1000", "1k output tokens"),
            ("tokens", "2500000", "2500k tokens"),
            ("tokens", "11000000", "11M tokens"),
            ("tokens", "1000000", "1M tokens"),
        ] {
            assert_eq!(with_unit(unit, number), text);
        }
    }

    /// A list of budgets of ordinary names fits into a terminal of 80 columns, whatever was done to them.
    #[test]
    fn a_list_fits_into_a_terminal() {
        let budget = |name: &str, unit: &str, window: &str, limit: &str, booked: &str, remaining: &str| BudgetReport {
            tenant: "default".to_owned(),
            name: name.to_owned(),
            of: BTreeMap::new(),
            selects: "team data".to_owned(),
            unit: unit.to_owned(),
            window: window.to_owned(),
            limit: limit.to_owned(),
            declared_limit: None,
            topped_up: None,
            spent: booked.to_owned(),
            booked: booked.to_owned(),
            held: "0".to_owned(),
            carried: "0".to_owned(),
            remaining: remaining.to_owned(),
            paused: true,
            state: ["paused", "raised", "topped up"].map(str::to_owned).to_vec(),
            thresholds: Vec::new(),
            at_limit: "deny".to_owned(),
            declared: "files".to_owned(),
            last_edit: Some(control::EditReport {
                by: "operations-lead".to_owned(),
                at: "2026-11-22T20:30:00.000000Z".to_owned(),
                note: "quarter end".to_owned(),
            }),
            resets_at: Some("2026-12-01T00:00:00.000000Z".to_owned()),
        };
        let page = wire::Budgets {
            budgets: vec![
                budget(
                    "nightly-report-calls",
                    "tokens",
                    "month (Europe/Berlin)",
                    "2500000",
                    "46",
                    "2499954",
                ),
                budget("worker", "USD", "total", "250", "0.0000249", "249.9999751"),
                budget("experiments", "calls", "day (UTC)", "5000", "17", "4983"),
            ],
            ..wire::Budgets::default()
        };
        let lines = table(&page).lines();
        let states = page
            .budgets
            .iter()
            .filter_map(|budget| Some(format!("{}: {}", named(budget), state(budget)?)));
        let lines: Vec<_> = lines.into_iter().chain(states).collect();
        assert_eq!(lines.len(), 7);
        for line in lines {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
