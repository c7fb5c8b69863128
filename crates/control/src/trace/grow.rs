//! How entries become a tree.

use std::collections::BTreeMap;

use entry::{Action, Asked, Decided, DecidedItem, Denial, Entry, Event, Intent, Outcome, Party, Status, Why};
use ledger::{Edit, Measure};
use model::{ActionId, BudgetName, NanoUsd, Pseudonym, TenantName, Timestamp, UsageSource};
use store::{decision, status};

use super::{TraceNode, words};
use crate::{EntryReport, rfc3339, search::shelf::Shelf};

/// Names of people, as far as they may be told.
pub(super) type People = BTreeMap<Pseudonym, String>;

/// On whose behalf an entry's action was taken.
pub(super) fn user_of(event: &Event) -> Option<&Pseudonym> {
    action_of(event)?.user.as_ref()
}

fn action_of(event: &Event) -> Option<&Action> {
    match event {
        Event::Intent(intent) => Some(&intent.action),
        Event::Denial(denial) => Some(&denial.action),
        Event::Replay(replay) => Some(&replay.action),
        Event::Asked(asked) => Some(&asked.action),
        _ => None,
    }
}

/// A place in the tree without an entry of its own.
fn said(what: &str, text: impl Into<String>) -> TraceNode {
    TraceNode {
        what: what.to_owned(),
        text: text.into(),
        entry: None,
        time: None,
        after_us: None,
        children: Vec::new(),
    }
}

/// An entry that is of no action.
pub(super) fn alone(entry: &Entry) -> TraceNode {
    TraceNode {
        entry: Some(entry.index),
        time: Some(rfc3339(entry.time)),
        children: vec![said(
            "total",
            "this entry is of no action: nothing was decided, held or booked by it",
        )],
        ..said("entry", entry.event.kind())
    }
}

/// What budgets count.
pub(super) type Units = BTreeMap<BudgetName, Measure>;

/// What is known besides the entries.
pub(super) struct Grounds<'a> {
    pub(super) tenant: &'a TenantName,
    /// Where bundles and prices are.
    pub(super) shelf: &'a Shelf,
    pub(super) people: &'a People,
    pub(super) units: &'a Units,
    /// When it began.
    pub(super) begin: Timestamp,
}

impl Grounds<'_> {
    /// A place in the tree that an entry says.
    fn of(&self, what: &str, text: impl Into<String>, entry: &Entry) -> TraceNode {
        TraceNode {
            entry: Some(entry.index),
            time: Some(rfc3339(entry.time)),
            after_us: Some(entry.time.micros_since(self.begin)),
            ..said(what, text)
        }
    }

    fn who(&self, action: &Action) -> TraceNode {
        let mut parts = vec![format!("agent {}", action.agent), format!("credential {}", action.key)];
        if let Some(user) = &action.user {
            let name = self.people.get(user);
            parts.push(match name {
                Some(name) => format!("for {name}"),
                None => format!("for the user with the pseudonym {user}"),
            });
        }
        parts.extend(action.run.as_ref().map(|run| format!("run {run}")));
        parts.extend(action.task.as_ref().map(|task| format!("task {task}")));
        parts.push(format!("no. {} of the agent", action.seq));
        said("who", parts.join(", "))
    }

    /// Which bundle, and who loaded it.
    fn bundle(&self, index: u64) -> String {
        let loaded = self.shelf.get(self.tenant, index).map(|report| &report.entry);
        match loaded.map(|entry| (&entry.event, entry.time)) {
            Some((Event::PolicyLoaded { bundle, by, .. }, at)) => {
                format!(
                    "{} of entry {index}, loaded by {by} at {}",
                    bundle.short(),
                    words::short(at)
                )
            }
            _ => format!("of entry {index}"),
        }
    }

    fn decision(&self, decided: &str, why: &Why) -> TraceNode {
        let by = match why.policies.as_slice() {
            [] => "no policy permits it".to_owned(),
            policies => format!("by {}", policies.join(", ")),
        };
        TraceNode {
            children: vec![said("bundle", self.bundle(why.bundle))],
            ..said("decision", format!("{decided}: {by}"))
        }
    }

    fn hold(&self, intent: &Intent) -> TraceNode {
        let mut text = format!("{} USD, the worst case", intent.hold);
        match (intent.bound, intent.limit) {
            (Some(bound), limit) => {
                text += &format!(" of {bound} tokens of output, although only {limit} were asked for")
            }
            (None, 0) => {}
            (None, limit) => text += &format!(" of {limit} tokens of output"),
        }
        if intent.spooled.is_some() {
            text += ", out of the agent's allowance: the log could not be written then";
        }
        let prices = self
            .shelf
            .get(self.tenant, intent.prices)
            .map(|report| &report.entry.event);
        let prices = match prices {
            Some(Event::PricesLoaded { book, .. }) => format!("book {} of entry {}", book.short(), intent.prices),
            _ => format!("of entry {}", intent.prices),
        };
        let mut children = vec![said("prices", prices)];
        children.extend(intent.bookings.iter().map(|booking| {
            let pot = words::pot(&booking.budget, &booking.of);
            let unit = self.units.get(&booking.budget).copied().unwrap_or_default();
            let (used, limit) = (unit.number(booking.used), unit.show(booking.limit));
            let period = words::period(booking.period);
            said("budget", format!("{pot}: {used} of {limit} were used before, {period}"))
        }));
        TraceNode {
            children,
            ..said("hold", text)
        }
    }

    fn attempt(&self, intent: &Intent, entry: &Entry) -> TraceNode {
        let Action { upstream, model, .. } = &intent.action;
        let place = if model.is_empty() {
            upstream.to_string()
        } else {
            format!("{upstream}/{model}")
        };
        let stream = if intent.stream { ", as a stream" } else { "" };
        let mut node = self.of(
            "attempt",
            format!("{}: {place}, {} bytes{stream}", intent.attempt, intent.bytes),
            entry,
        );
        node.children = vec![self.decision("permitted", &intent.why), self.hold(intent)];
        node
    }

    fn outcome(&self, outcome: &Outcome, entry: &Entry) -> TraceNode {
        let http = outcome.http.map_or_else(String::new, |http| format!(", HTTP {http}"));
        let id = outcome
            .provider_id
            .as_ref()
            .map_or_else(String::new, |id| format!(", {id} at the provider"));
        let text = format!(
            "{}{http}, after {}, {} bytes{id}",
            words::ending(outcome.status),
            words::length(i64::try_from(outcome.duration_us).unwrap_or(i64::MAX)),
            outcome.bytes
        );
        let mut cost = format!("{} USD, {}", outcome.cost, source(outcome));
        if let Some(usage) = &outcome.usage {
            cost += &format!(": {}", words::usage(usage));
        }
        if outcome.overrun > NanoUsd::ZERO {
            cost += &format!("; {} USD past the hold", outcome.overrun);
        }
        let mut node = self.of("outcome", text, entry);
        node.children.push(said("cost", cost));
        node
    }

    fn denial(&self, denial: &Denial, entry: &Entry) -> TraceNode {
        let mut node = self.of("denial", denial.reason.code(), entry);
        if let Some(why) = &denial.why {
            let decided = match denial.reason {
                model::Reason::PolicyDenied => "denied",
                _ => "permitted by policy",
            };
            node.children.push(self.decision(decided, why));
        }
        if let Some(over) = &denial.over {
            node.children.push(said("budget", words::over(over)));
        }
        if let Some(limited) = &denial.limited {
            node.children.push(said("limit", limited.to_string()));
        }
        if let Some(stopper) = &denial.breaker {
            let until = words::short(stopper.until);
            let mut stop = said(
                "breaker",
                format!("{} stops {} until {until}", stopper.breaker, stopper.of),
            );
            let before = entry
                .index
                .checked_sub(1)
                .and_then(|index| self.shelf.get(self.tenant, index));
            if let Some(EntryReport { entry: before, .. }) = before
                && let Event::BreakerTripped(trip) = &before.event
                && trip.breaker == stopper.breaker
            {
                stop.children.push(self.of("breaker", trip.to_string(), before));
            }
            node.children.push(stop);
        }
        node
    }

    fn asked(&self, asked: &Asked, entry: &Entry) -> TraceNode {
        let text = format!("waits for an administrator until {} at most", words::short(asked.until));
        let mut node = self.of("ask", text, entry);
        node.children = vec![
            self.decision("permitted", &asked.why),
            said("budget", words::over(&asked.over)),
        ];
        node
    }

    fn decided(&self, decided: &Decided, entry: &Entry) -> Vec<TraceNode> {
        let pep = decided
            .pep
            .as_ref()
            .map_or("anybody".to_owned(), |pep| format!("enforcement point {pep}"));
        let key = decided
            .key
            .as_ref()
            .map_or(String::new(), |key| format!(", credential {key}"));
        let certificate = decided.certificate.as_ref();
        let certificate = certificate.map_or(String::new(), |digest| format!(", certificate {}", digest.short()));
        let mut nodes = vec![said(
            "who",
            format!("{pep}{key}{certificate}, question no. {}", decided.seq),
        )];
        let items = decided.items.iter();
        nodes.extend(items.map(|item| self.of("decision", item_text(item), entry)));
        if let Some(condensed) = &decided.condensed {
            let text = format!(
                "{} permitted, {} denied, {} to be approved",
                condensed.permitted, condensed.denied, condensed.approval_required
            );
            nodes.push(self.of("decision", text, entry));
        }
        if let Some(found) = &decided.found {
            nodes.push(said(
                "found",
                format!("{} found: {}", found.total, found.names.join(", ")),
            ));
        }
        let grounds = format!(
            "{}; entities of version {}",
            self.bundle(decided.bundle),
            decided.entities
        );
        nodes.push(said("bundle", grounds));
        nodes.push(said("total", "a decision for others: nothing was held or booked"));
        nodes
    }
}

fn item_text(item: &DecidedItem) -> String {
    let party = |party: &Option<Party>| match party {
        Some(Party { kind, id: Some(id) }) => format!("{kind}/{id}"),
        Some(Party { kind, id: None }) => format!("any {kind}"),
        None => "?".to_owned(),
    };
    let policies = match item.policies.as_slice() {
        [] => String::new(),
        policies => format!(", by {}", policies.join(", ")),
    };
    format!(
        "{}: {} {} {}: {}{policies}",
        decision(item.outcome),
        party(&item.subject),
        item.action.as_deref().unwrap_or("?"),
        party(&item.resource),
        item.code
    )
}

fn source(outcome: &Outcome) -> &'static str {
    match outcome.source {
        UsageSource::Provider => "by the provider's figures",
        UsageSource::Hold if outcome.status == Status::Cut => "what was provably used",
        UsageSource::Hold => "what was held, for there are no final figures",
        UsageSource::Nothing => "for nothing was used",
    }
}

/// The tree of an action.
pub(super) fn tree(id: ActionId, entries: &[EntryReport], top_ups: &[Entry], grounds: &Grounds<'_>) -> TraceNode {
    let own = entries.iter().find_map(|report| {
        let action = action_of(&report.entry.event)?;
        (action.id == id).then_some((action, &report.entry))
    });
    let mut root = said("action", id.to_string());
    root.time = Some(rfc3339(grounds.begin));
    if let Some((action, _)) = own {
        root.text += &format!(": {}", action.name);
        root.children.push(grounds.who(action));
    }
    let mut all: Vec<&Entry> = entries.iter().map(|report| &report.entry).chain(top_ups).collect();
    all.sort_by_key(|entry| entry.index);
    for entry in all {
        add(&mut root, id, entry, grounds);
    }
    if own.is_some() {
        root.children.push(said("total", total(entries)));
    }
    root
}

/// Puts an entry where it belongs.
fn add(root: &mut TraceNode, id: ActionId, entry: &Entry, grounds: &Grounds<'_>) {
    let node = match &entry.event {
        Event::Intent(intent) => grounds.attempt(intent, entry),
        Event::Denial(denial) => grounds.denial(denial, entry),
        Event::Asked(asked) => grounds.asked(asked, entry),
        Event::Outcome(outcome) => {
            let node = grounds.outcome(outcome, entry);
            return place(root, Some(outcome.intent), node);
        }
        Event::Overrun(overrun) => {
            let text = format!(
                "{} USD booked of {} USD held: {}/{} is held at its maximum until somebody accepts it",
                overrun.booked, overrun.held, overrun.upstream, overrun.model
            );
            return follow(root, grounds.of("overrun", text, entry));
        }
        Event::ThresholdReached(threshold) => {
            return follow(root, grounds.of("threshold", words::reached(&threshold.reached), entry));
        }
        Event::BreakerWarned(warning) => return follow(root, grounds.of("breaker", warning.to_string(), entry)),
        Event::BreakerTripped(trip) => return follow(root, grounds.of("breaker", trip.to_string(), entry)),
        Event::BreakerClosed(closing) => return follow(root, grounds.of("breaker", closing.to_string(), entry)),
        Event::AskRefused(refused) => {
            let text = format!("refused by {}: {}", refused.by, refused.note);
            return ask(root, grounds.of("ask", text, entry));
        }
        Event::AskEnded(ended) => return ask(root, grounds.of("ask", words::ask_end(ended.end), entry)),
        Event::BudgetEdited {
            budget,
            unit,
            edit,
            note,
            by,
        } => {
            let text = match edit {
                Edit::ToppedUp { amount, of, .. } => {
                    format!(
                        "{} is topped up by {} by {by}: {note}",
                        words::pot(budget, of),
                        unit.show(*amount)
                    )
                }
                _ => format!("{budget} is changed by {by}: {note}"),
            };
            return ask(root, grounds.of("ask", text, entry));
        }
        Event::Replay(replay) => {
            let text = match replay.action.id == id {
                true => format!("the reply to action {} is delivered once more", replay.of),
                false => format!("its reply is delivered once more, to action {}", replay.action.id),
            };
            let mut node = grounds.of("replay", text, entry);
            node.children.push(grounds.decision("permitted", &replay.why));
            node
        }
        Event::Decided(decided) => {
            root.text = format!("{id}: a question to the decision point");
            root.children.extend(grounds.decided(decided, entry));
            return;
        }
        event => grounds.of("entry", event.kind(), entry),
    };
    root.children.push(node);
}

/// Puts a node below the one of an entry, or at the end of the tree.
fn place(root: &mut TraceNode, below: Option<u64>, node: TraceNode) {
    let parent = root
        .children
        .iter()
        .position(|child| below.is_some() && child.entry == below);
    match parent.and_then(|parent| root.children.get_mut(parent)) {
        Some(parent) => parent.children.push(node),
        None => root.children.push(node),
    }
}

/// Puts what follows from an outcome below the last one.
fn follow(root: &mut TraceNode, node: TraceNode) {
    let outcomes = root.children.iter_mut().flat_map(|attempt| attempt.children.iter_mut());
    let last = outcomes
        .filter(|child| child.what == "outcome" && child.entry < node.entry)
        .max_by_key(|child| child.entry);
    match last {
        Some(outcome) => outcome.children.push(node),
        None => root.children.push(node),
    }
}

/// Puts what became of waiting below that.
fn ask(root: &mut TraceNode, node: TraceNode) {
    let asks = root
        .children
        .iter_mut()
        .filter(|child| child.what == "ask" && child.entry < node.entry);
    match asks.max_by_key(|child| child.entry) {
        Some(ask) => ask.children.push(node),
        None => root.children.push(node),
    }
}

/// What it came to.
fn total(entries: &[EntryReport]) -> String {
    let (mut attempts, mut ended, mut cost) = (0_u64, 0_u64, NanoUsd::ZERO);
    let mut last = None;
    for EntryReport { entry, .. } in entries {
        match &entry.event {
            Event::Intent(_) => attempts += 1,
            Event::Outcome(outcome) => {
                ended += 1;
                cost = cost.saturating_add(outcome.cost);
                last = Some((outcome.status, entry.time));
            }
            _ => {}
        }
    }
    let begin = entries.first().map(|first| first.entry.time);
    let attempts_of = match attempts {
        0 if matches!(entries.last(), Some(last) if matches!(last.entry.event, Event::Asked(_))) => {
            return "nothing was forwarded, held or booked so far".to_owned();
        }
        0 => return "nothing was forwarded, held or booked".to_owned(),
        1 => "1 attempt".to_owned(),
        many => format!("{many} attempts"),
    };
    let open = match attempts.saturating_sub(ended) {
        0 => String::new(),
        open => format!(", {open} of them still running"),
    };
    let end = match (last, begin) {
        (Some((ending, at)), Some(begin)) => {
            format!(
                ", {} {} after the first entry",
                status(ending),
                words::length(at.micros_since(begin))
            )
        }
        _ => String::new(),
    };
    format!("{attempts_of}{open}, {cost} USD booked{end}")
}

#[cfg(test)]
mod tests;
