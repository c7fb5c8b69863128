//! An entry in a few words.

use entry::{Denial, Event, Intent, Outcome, Overrun, Status};
use model::NanoUsd;

/// The kinds of entries, as the log spells them.
pub(super) const KINDS: [&str; 22] = [
    "intent",
    "outcome",
    "denial",
    "replay",
    "agent_loaded",
    "agent_removed",
    "budget_loaded",
    "policy_file",
    "policy_loaded",
    "prices_loaded",
    "upstreams_loaded",
    "key_issued",
    "key_revoked",
    "admin_added",
    "admin_removed",
    "started",
    "stopped",
    "overrun",
    "overrun_cleared",
    "allowance_held",
    "allowance_released",
    "spool_applied",
];

/// What happened, in a few words. Nothing of it is cleaned for a terminal.
pub(super) fn describe(event: &Event) -> String {
    match event {
        Event::Intent(intent) => of_intent(intent),
        Event::Outcome(outcome) => of_outcome(outcome),
        Event::Denial(denial) => of_denial(denial),
        Event::Replay(replay) => {
            let model = &replay.action.model;
            format!(
                "{}/{model}: the reply to {} once more",
                replay.action.upstream, replay.of
            )
        }
        Event::AllowanceHeld(allowance) => format!("{} USD", allowance.amount),
        Event::AllowanceReleased { .. } => String::new(),
        Event::SpoolApplied(applied) => format!(
            "{} calls were let through on allowances of {} USD while the log could not be written",
            applied.calls, applied.held
        ),
        Event::AgentLoaded { agent, by } => format!("owner {} by {by}", agent.owner),
        Event::AgentRemoved { by, .. } => format!("by {by}"),
        Event::BudgetLoaded { budget, by } => {
            format!("{} {} USD per {} by {by}", budget.name, budget.limit, budget.window)
        }
        Event::PolicyFile(file) => file.file.clone(),
        Event::PolicyLoaded { bundle, files, by } => {
            format!("bundle {} of {} files by {by}", bundle.short(), files.len())
        }
        Event::PricesLoaded { book, overrides, by } => {
            format!("book {} with {} overrides by {by}", book.short(), overrides.len())
        }
        Event::UpstreamsLoaded { upstreams, by } => {
            let names: Vec<_> = upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
            format!("{} by {by}", names.join(", "))
        }
        Event::KeyIssued { key, by } => format!("{} {:?} tier {} by {by}", key.id, key.label, key.tier),
        Event::KeyRevoked { key, note, by } if note.is_empty() => format!("{key} by {by}"),
        Event::KeyRevoked { key, note, by } => format!("{key} by {by}: {note}"),
        Event::AdminAdded { admin, by } => format!("{} as {} by {by}", admin.name, admin.role.as_str()),
        Event::AdminRemoved { admin, by } => format!("{admin} by {by}"),
        Event::Started { node, boot, version } => format!("start {boot} of {node}, version {version}"),
        Event::Stopped { node, boot, why } => format!("start {boot} of {node}: {why}"),
        Event::Overrun(overrun) => of_overrun(overrun),
        Event::OverrunCleared {
            upstream,
            model,
            note,
            by,
        } => format!("{upstream}/{model} by {by}: {note}"),
    }
}

fn of_intent(intent: &Intent) -> String {
    let stream = if intent.stream { ", stream" } else { "" };
    let attempt = match intent.attempt {
        0 => String::new(),
        attempt => format!(", attempt {attempt}"),
    };
    let action = &intent.action;
    let bound = match intent.bound {
        Some(bound) => format!(" for {bound} tokens of output"),
        None => String::new(),
    };
    format!(
        "{}/{} holds {} USD{bound}{}{stream}{attempt}",
        action.upstream,
        action.model,
        intent.hold,
        if intent.spooled.is_some() {
            " of the allowance"
        } else {
            ""
        },
    )
}

fn of_outcome(outcome: &Outcome) -> String {
    let http = outcome.http.map_or_else(String::new, |status| format!(" {status}"));
    let overrun = match outcome.overrun {
        NanoUsd::ZERO => String::new(),
        overrun => format!(", {overrun} USD past the hold"),
    };
    format!(
        "{}{http} cost {} USD{overrun}, of entry {}",
        word(outcome.status),
        outcome.cost,
        outcome.intent
    )
}

fn of_overrun(overrun: &Overrun) -> String {
    format!(
        "{}/{} booked {} USD of {} USD held, of entry {}",
        overrun.upstream, overrun.model, overrun.booked, overrun.held, overrun.outcome
    )
}

fn of_denial(denial: &Denial) -> String {
    let action = &denial.action;
    let over = denial.over.as_ref().map_or_else(String::new, |over| {
        format!(
            ": asked for {} USD, {} of {} USD are spent and {} held",
            over.asked, over.spent, over.limit, over.held
        )
    });
    format!("{}/{} {}{over}", action.upstream, action.model, denial.reason.code())
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::UpstreamError => "upstream error",
        Status::Unreachable => "unreachable",
        Status::Timeout => "timeout",
        Status::Broken => "broken",
        Status::ClientGone => "client gone",
        Status::Cut => "cut",
        Status::Revoked => "revoked",
        Status::NotForwarded => "not forwarded",
        Status::Indeterminate => "indeterminate",
    }
}
