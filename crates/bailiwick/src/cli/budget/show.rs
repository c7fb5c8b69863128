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
    // Points below each other tell nothing where some numbers have none.
    let money = page.budgets.iter().all(|budget| budget.unit == "USD");
    let number = if money { Point } else { Right };
    let mut table = Table::new([
        ("BUDGET", Left),
        ("LIMIT", Left),
        ("SPENT", number),
        ("LEFT", number),
        ("RESETS (UTC)", Left),
        ("STATE", Left),
    ]);
    for budget in &page.budgets {
        table.row([
            named(budget),
            format!("{}{}", with_unit(budget, &budget.limit), per(&budget.window)),
            amount(&budget.unit, &budget.booked),
            amount(&budget.unit, &budget.remaining),
            resets(budget),
            state(budget),
        ]);
    }
    table.print(out)?;
    told(page, out)
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
    let limit = with_unit(budget, &budget.limit);
    let mut limit = format!("{limit}{}", per_zone(&budget.window));
    if let Some(credit) = &budget.topped_up {
        limit.push_str(&format!(", {} of it topped up", with_unit(budget, credit)));
    }
    if let Some(declared) = &budget.declared_limit {
        limit.push_str(&format!("; {} is declared", with_unit(budget, declared)));
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
    let mut spent = with_unit(budget, &budget.booked);
    if budget.carried != "0" {
        spent.push_str(&format!(
            ", {} of it in earlier windows",
            with_unit(budget, &budget.carried)
        ));
    }
    let resets = budget.resets_at.as_deref().map(short_time);
    vec![
        ("spent", spent),
        (
            "held",
            format!("{} by calls in flight", with_unit(budget, &budget.held)),
        ),
        ("left", with_unit(budget, &budget.remaining)),
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
pub(in crate::cli) fn amount(unit: &str, number: &str) -> String {
    if unit == "USD" {
        money(number)
    } else {
        number.to_owned()
    }
}

/// A limit: `5.00 USD`, `2M tokens`.
fn with_unit(budget: &BudgetReport, number: &str) -> String {
    let number = match (
        budget.unit.as_str(),
        number.strip_suffix("000000"),
        number.strip_suffix("000"),
    ) {
        ("USD", _, _) => money(number),
        (_, Some(millions), _) if !millions.is_empty() => format!("{millions}M"),
        (_, _, Some(thousands)) if !thousands.is_empty() => format!("{thousands}k"),
        _ => number.to_owned(),
    };
    format!("{number} {}", budget.unit)
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

fn state(budget: &BudgetReport) -> String {
    let words = budget.state.join(", ");
    match &budget.last_edit {
        Some(edit) if !words.is_empty() => format!("{words} ({})", edit.by),
        _ => words,
    }
}
