//! A report as a table with bars.

use std::io::{self, IsTerminal as _};

use anstyle::{AnsiColor, Style};
use control::{CostFigures, CostReport};
use jiff::{Timestamp, tz::TimeZone};
use model::NanoUsd;

use super::bars::{Ink, percent};
use crate::{
    cli::{
        output::{HEADING, Output},
        table::{
            Align::{Left, Point, Right},
            Table, money,
        },
    },
    demo::{terminal, text::grouped},
};

/// The colour of bars.
const BAR: Style = AnsiColor::Cyan.on_default();
/// The longest bar, and the shortest that is worth it, in columns.
const BAR_MAX: usize = 24;
const BAR_MIN: usize = 6;
/// What stands for a value that is none.
const NONE: &str = "(none)";

pub(super) fn print(report: &CostReport, zone: &str, out: &mut Output) -> io::Result<()> {
    let is_terminal = io::stdout().is_terminal();
    let ink = Ink::of(is_terminal, |name| std::env::var_os(name));
    let columns = terminal::size().unwrap_or_default().columns;
    out.line(period(report, zone))?;
    if report.lines.is_empty() {
        return out.line(
            "Nothing was booked. Calls in flight are not counted; `bailiwick budget list` shows what they hold.",
        );
    }
    out.line("")?;
    let lines = table(report).lines();
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let room = columns.saturating_sub(width + 2).min(BAR_MAX);
    let total = amount(&report.total);
    let shares = report.lines.iter().map(|line| &line.figures);
    let mut shares = shares.chain(report.other.iter().map(|other| &other.figures));
    let last = lines.len().saturating_sub(1);
    for (nth, line) in lines.iter().enumerate() {
        if nth == 0 || nth == last {
            out.line(format_args!("{HEADING}{line}{HEADING:#}"))?;
            continue;
        }
        let bar = shares.next().map(|figures| ink.bar(amount(figures), total, room));
        match bar.filter(|bar| room >= BAR_MIN && !bar.is_empty()) {
            Some(bar) => out.line(format_args!("{line:<width$}  {BAR}{bar}{BAR:#}"))?,
            None => out.line(line)?,
        }
    }
    Ok(())
}

/// What time it is about, as clocks of the zone show it.
fn period(report: &CostReport, name: &str) -> String {
    let zone = TimeZone::get(name).unwrap_or(TimeZone::UTC);
    let shown = |text: &String| match text.parse::<Timestamp>() {
        Ok(at) => at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string(),
        Err(_) => text.clone(),
    };
    let since = report.since.as_ref().map(shown);
    let since = since.map_or_else(|| "From the beginning".to_owned(), |since| format!("From {since}"));
    let until = report.until.as_ref().map(shown);
    let until = until.map_or_else(|| "on".to_owned(), |until| format!("to {until}"));
    format!("{since} {until} ({name}), in US dollars")
}

/// All lines, the total last.
fn table(report: &CostReport) -> Table {
    let some_failed = report.total.failed > 0;
    let headings = report.by.iter().map(|label| (heading(label), Left));
    let counts = [("CALLS", Right), ("FAILED", Right), ("TOKENS", Right)];
    let counts = counts.into_iter().filter(|(name, _)| some_failed || *name != "FAILED");
    let mut table = Table::new(headings.chain(counts).chain([("COST", Point), ("SHARE", Right)]));
    let total = amount(&report.total);
    let figures = |figures: &CostFigures| {
        let failed = some_failed.then(|| grouped(figures.failed));
        let counts = [
            Some(grouped(figures.calls)),
            failed,
            Some(grouped(figures.tokens.total)),
        ];
        let cost = [money(&figures.cost_usd), percent(amount(figures), total)];
        counts.into_iter().flatten().chain(cost).collect::<Vec<_>>()
    };
    for line in &report.lines {
        let values = report.by.iter().map(|label| match line.labels.get(label) {
            Some(value) if !value.is_empty() => value.clone(),
            _ => NONE.to_owned(),
        });
        table.row(values.chain(figures(&line.figures)));
    }
    // The name stands in the first column.
    let named = |name: String| {
        let blanks = report.by.iter().skip(1).map(|_| String::new());
        std::iter::once(name).chain(blanks).collect::<Vec<_>>()
    };
    if let Some(other) = &report.other {
        let name = format!("({} others)", grouped(u64::try_from(other.lines).unwrap_or(u64::MAX)));
        table.row(named(name).into_iter().chain(figures(&other.figures)));
    }
    table.row(named("TOTAL".to_owned()).into_iter().chain(figures(&report.total)));
    table
}

/// The label's heading. The server names no label that was not asked for.
fn heading(label: &str) -> &'static str {
    match label {
        "tenant" => "TENANT",
        "team" => "TEAM",
        "product" => "PRODUCT",
        "environment" => "ENVIRONMENT",
        "agent" => "AGENT",
        "tier" => "TIER",
        "user" => "USER",
        "task" => "TASK",
        "operation" => "OPERATION",
        "upstream" => "UPSTREAM",
        "model" => "MODEL",
        _ => "LABEL",
    }
}

fn amount(figures: &CostFigures) -> NanoUsd {
    format!("{} USD", figures.cost_usd).parse().unwrap_or_default()
}
