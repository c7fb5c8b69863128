//! An entry in a few words.

use entry::{
    Action, AskEnd, Closed, Decided, DecidedItem, Denial, Event, Expired, Intent, Outcome, Over, Overrun, Party,
    Status, ThresholdReached,
};
use ledger::{Edit, Measure, Reached};
use model::{BudgetName, NanoUsd};

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
        Event::BudgetLoaded { budget, by, note, .. } => {
            let limit = budget.unit.show(budget.limit);
            format!("{} {limit} per {} by {by}{}", budget.name, budget.window, of_note(note))
        }
        Event::BudgetRemoved { budget, by, note } => format!("{budget} by {by}{}", of_note(note)),
        Event::BudgetEdited {
            budget,
            unit,
            edit,
            note,
            by,
        } => format!("{budget} {} by {by}: {note}", of_edit(*unit, edit)),
        Event::LimitLoaded { limit, by } => format!("{} by {by}", limit.name),
        Event::BreakerLoaded { breaker, by } => format!("{} by {by}", breaker.name),
        Event::BreakerRemoved { breaker, by } => format!("{breaker} by {by}"),
        Event::BreakerWarned(warning) => warning.to_string(),
        Event::BreakerTripped(trip) => trip.to_string(),
        Event::BreakerClosed(closing) => closing.to_string(),
        Event::BreakerReset { breaker, of, note, by } => format!("{breaker} of {of} by {by}: {note}"),
        Event::LimitRemoved { limit, by } => format!("{limit} by {by}"),
        Event::ThresholdReached(ThresholdReached { outcome, reached }) => {
            let Reached {
                budget,
                of,
                unit,
                percent,
                spent,
                limit,
            } = reached;
            let (spent, limit) = (unit.number(*spent), unit.show(*limit));
            format!(
                "{} passed {percent} %: {spent} of {limit}, of entry {outcome}",
                pot(budget, of)
            )
        }
        Event::Asked(asked) => {
            let Action { upstream, model, .. } = &asked.action;
            format!("{upstream}/{model} waits for an administrator{}", of_over(&asked.over))
        }
        Event::AskRefused(refused) => format!("{} by {}: {}", refused.action, refused.by, refused.note),
        Event::AskEnded(ended) => match ended.end {
            AskEnd::Withdrawn => format!("{}: the caller went away", ended.action),
            AskEnd::Moved => format!("{}: another budget has no room now", ended.action),
            AskEnd::Lost => format!("{}: the server that it waited at stopped", ended.action),
        },
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
        Event::Started {
            node, boot, version, ..
        } => format!("start {boot} of {node}, version {version}"),
        Event::Stopped { node, boot, why } => format!("start {boot} of {node}: {why}"),
        Event::Overrun(overrun) => of_overrun(overrun),
        Event::OverrunCleared {
            upstream,
            model,
            note,
            by,
        } => format!("{upstream}/{model} by {by}: {note}"),
        Event::PepLoaded { pep, by } => format!("{} owner {} by {by}", pep.name, pep.owner),
        Event::PepRemoved { pep, by } => format!("{pep} by {by}"),
        Event::PepKeyIssued { key, by } => format!("{} of {} {:?} by {by}", key.id, key.pep, key.label),
        Event::EntitiesChanged {
            version,
            put,
            removed,
            note,
            by,
            ..
        } => format!(
            "version {version}: {put} stored, {removed} removed by {by}{}",
            of_note(note)
        ),
        Event::Decided(decided) => of_decided(decided),
        Event::Heads { boot, heads } => {
            let heads = heads.iter().map(|head| format!("{} {}", head.tenant, head.size));
            format!("at start {boot}: {}", heads.collect::<Vec<_>>().join(", "))
        }
        Event::Heartbeat { every_s, .. } => format!("nothing for {every_s} s"),
        Event::SigningKeyAdded { key, by, .. } => format!("{key} by {by}"),
        Event::SigningKeyRetired { key, by } => format!("{key} by {by}"),
        Event::Restored { note, by, .. } => format!("an older copy accepted by {by}: {note}"),
        Event::QuorumMissed { size, quorum, absent } => {
            let absent: Vec<_> = absent.iter().map(|absent| absent.witness.as_str()).collect();
            format!("size {size}, {quorum} have to sign, without {}", absent.join(", "))
        }
        Event::QuorumMet { size } => format!("size {size}"),
        Event::ForkReported { witness, size } => format!("{witness} has seen another history than that of size {size}"),
        Event::SnapshotTaken { digest } => digest.short(),
        Event::Expired(expired) => of_expired(expired),
        Event::LegalHoldSet { name, note, by } | Event::LegalHoldLifted { name, note, by } => {
            format!("{name} by {by}: {note}")
        }
    }
}

fn of_expired(expired: &Expired) -> String {
    let classes = expired.before.iter();
    let classes = classes.map(|(class, before)| format!("{} before entry {before}", class.as_str()));
    format!(
        "{} entries: {} by {}",
        expired.count,
        classes.collect::<Vec<_>>().join(", "),
        expired.by
    )
}

fn of_decided(decided: &Decided) -> String {
    let pep = decided.pep.as_ref().map_or("anybody", |pep| pep.as_str());
    if let Some(condensed) = &decided.condensed {
        let (no, ask) = (condensed.denied, condensed.approval_required);
        return format!(
            "{pep}: {} permitted, {no} denied, {ask} to be approved",
            condensed.permitted
        );
    }
    let item = |item: &DecidedItem| {
        let party = |party: &Option<Party>| match party {
            Some(Party { kind, id: Some(id) }) => format!("{kind}::{id}"),
            Some(Party { kind, id: None }) => format!("{kind}::?"),
            None => "?".to_owned(),
        };
        let (who, what) = (party(&item.subject), party(&item.resource));
        let action = item.action.as_deref().unwrap_or("?");
        format!("{who} {action} {what}: {}", item.code)
    };
    let items: Vec<String> = decided.items.iter().take(3).map(item).collect();
    let more = match decided.items.len().saturating_sub(3) {
        0 => String::new(),
        more => format!("; {more} more"),
    };
    let found = decided.found.as_ref();
    let found = found.map_or(String::new(), |found| format!(", {} found", found.total));
    format!("{pep}: {}{more}{found}", items.join("; "))
}

fn of_note(note: &str) -> String {
    if note.is_empty() {
        return String::new();
    }
    format!(": {note}")
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
    let over = denial.over.as_ref().map_or_else(String::new, of_over);
    let breaker = denial.breaker.as_ref();
    let breaker = breaker.map_or_else(String::new, |stop| {
        format!(": breaker {} stops {}", stop.breaker, stop.of)
    });
    let limited = denial.limited.as_ref();
    let limited = limited.map_or_else(String::new, |limited| format!(": {limited}"));
    format!(
        "{}/{} {}{over}{limited}{breaker}",
        action.upstream,
        action.model,
        denial.reason.code()
    )
}

/// The budget that an action did not fit into.
fn of_over(over: &Over) -> String {
    let show = |amount| over.unit.show(amount);
    let pot = pot(&over.budget, &over.of);
    match over.closed {
        Some(Closed::Paused) => format!(": {pot} is paused"),
        Some(Closed::Crowded) => format!(": {pot} is kept apart for too many"),
        None => format!(
            ": asked for {}, {} of {} are spent and {} held in {pot}",
            show(over.asked),
            show(over.spent),
            show(over.limit),
            show(over.held)
        ),
    }
}

fn pot(budget: &BudgetName, of: &[String]) -> String {
    if of.is_empty() {
        return budget.to_string();
    }
    format!("{budget} of {}", of.join(", "))
}

fn of_edit(unit: Measure, edit: &Edit) -> String {
    match edit {
        Edit::Limit { limit } => format!("has the limit {}", unit.show(*limit)),
        Edit::DeclaredLimit {} => "has its declared limit again".to_owned(),
        Edit::Paused {} => "is paused".to_owned(),
        Edit::Resumed {} => "goes on".to_owned(),
        Edit::ToppedUp { amount, of, .. } if of.is_empty() => format!("is topped up by {}", unit.show(*amount)),
        Edit::ToppedUp { amount, of, .. } => format!("of {} is topped up by {}", of.join(", "), unit.show(*amount)),
    }
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
