//! What an entry says that it can be found by.

use std::borrow::Cow;

use entry::{Action, Condensed, Decided, Decision, Denial, Event, Expired, Intent, Outcome, Party};
use ledger::{Booking, Scope};
use model::{ActionId, NanoUsd, UpstreamName};
use serde_json::Value;

use super::field::{Field, Inherited, ask_end, decision, status};

/// What an entry can be found by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The values of fields, the first of a field being its own.
    pub values: Vec<(Field, Cow<'a, str>)>,
    /// What else it says, for free text.
    pub texts: Vec<Cow<'a, str>>,
    /// What is booked.
    pub cost: Option<NanoUsd>,
    /// What is reserved.
    pub hold: Option<NanoUsd>,
}

impl<'a> Facts<'a> {
    /// Those of an event, without what it has from others: see [`Facts::inherit`].
    pub fn of(event: &'a Event) -> Self {
        let mut facts = Self {
            values: Vec::with_capacity(16),
            ..Self::default()
        };
        facts.add(Field::Kind, event.kind());
        facts.event(event);
        facts
    }

    /// Takes what the entry has from its intent: the entry is an outcome, or with `follows` what follows from one.
    pub fn inherit<'b: 'a>(&mut self, intent: &Facts<'b>, follows: bool) {
        let inherits = |field: Field| match field.inherited() {
            Inherited::Nobody => false,
            Inherited::Outcomes => !follows,
            Inherited::All => true,
        };
        for value in intent.values.iter().filter(|(field, _)| inherits(*field)) {
            if !self.values.contains(value) {
                self.values.push(value.clone());
            }
        }
    }

    /// The values of a field.
    pub fn all(&self, field: Field) -> impl Iterator<Item = &str> {
        let values = self.values.iter().filter(move |(found, _)| *found == field);
        values.map(|(_, value)| value.as_ref())
    }

    /// The first value of a field.
    pub fn first(&self, field: Field) -> Option<&str> {
        self.all(field).next()
    }

    fn add(&mut self, field: Field, value: impl Into<Cow<'a, str>>) {
        let value = value.into();
        if !value.is_empty() {
            self.values.push((field, value));
        }
    }

    fn text(&mut self, text: impl Into<Cow<'a, str>>) {
        let text = text.into();
        if !text.is_empty() {
            self.texts.push(text);
        }
    }

    fn texts(&mut self, texts: &'a [String]) {
        self.texts.extend(texts.iter().map(|text| Cow::Borrowed(text.as_str())));
    }

    /// Everything that an entry of a rare kind says in words: every text in it.
    fn all_texts(&mut self, event: &Event) {
        // An event is a JSON object by its type.
        let mut left = vec![serde_json::to_value(event).unwrap_or_default()];
        while let Some(value) = left.pop() {
            match value {
                Value::String(text) => self.text(text),
                Value::Array(values) => left.extend(values),
                Value::Object(members) => left.extend(members.into_iter().map(|(_, value)| value)),
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
    }

    /// No kind can be forgotten: there is no arm for the rest.
    fn event(&mut self, event: &'a Event) {
        match event {
            Event::Intent(intent) => self.intent(intent),
            Event::Outcome(outcome) => self.outcome(outcome),
            Event::Denial(denial) => self.denial(denial),
            Event::Replay(replay) => {
                self.action(&replay.action);
                self.add(Field::Action, replay.of.to_string());
                self.add(Field::Decision, decision(Decision::Permit));
                self.texts(&replay.why.policies);
            }
            Event::Decided(decided) => self.decided(decided),
            Event::Asked(asked) => {
                self.action(&asked.action);
                self.add(Field::Decision, decision(Decision::ApprovalRequired));
                self.add(Field::Budget, asked.over.budget.as_str());
                self.texts(&asked.over.of);
                self.texts(&asked.why.policies);
            }
            Event::AskRefused(refused) => {
                self.id(refused.action);
                self.add(Field::Decision, decision(Decision::Deny));
                self.add(Field::Admin, refused.by.as_str());
                self.text(&refused.note);
            }
            Event::AskEnded(ended) => {
                self.id(ended.action);
                self.add(Field::Status, ask_end(ended.end));
            }
            Event::Overrun(overrun) => {
                self.id(overrun.action);
                self.add(Field::Agent, overrun.agent.as_str());
                self.resource(&overrun.upstream, &overrun.model);
            }
            Event::ThresholdReached(threshold) => {
                self.add(Field::Budget, threshold.reached.budget.as_str());
                self.texts(&threshold.reached.of);
            }
            Event::BreakerWarned(warning) => self.breaker(event, warning.scope, &warning.of),
            Event::BreakerTripped(trip) => self.breaker(event, trip.scope, &trip.of),
            Event::BreakerClosed(closing) => self.breaker(event, closing.scope, &closing.of),
            _ => {
                self.administration(event);
                self.all_texts(event);
            }
        }
    }

    /// What is written seldom, and by or for administrators. All of its texts are taken, too.
    fn administration(&mut self, event: &'a Event) {
        match event {
            Event::AgentLoaded { agent, by } => {
                self.add(Field::Agent, agent.name.as_str());
                self.add(Field::Admin, by.as_str());
                for budget in &agent.budgets {
                    self.add(Field::Budget, budget.as_str());
                }
            }
            Event::AgentRemoved { agent, by } => {
                self.add(Field::Agent, agent.as_str());
                self.add(Field::Admin, by.as_str());
            }
            Event::BudgetLoaded { budget, by, .. } => {
                self.add(Field::Budget, budget.name.as_str());
                self.add(Field::Admin, by.as_str());
            }
            Event::BudgetRemoved { budget, by, .. } | Event::BudgetEdited { budget, by, .. } => {
                self.add(Field::Budget, budget.as_str());
                self.add(Field::Admin, by.as_str());
            }
            Event::AllowanceHeld(allowance) => {
                self.add(Field::Agent, allowance.agent.as_str());
                self.bookings(&allowance.bookings);
                self.hold = Some(allowance.amount);
            }
            Event::AllowanceReleased { agent } => self.add(Field::Agent, agent.as_str()),
            Event::KeyIssued { key, by } => {
                self.add(Field::Key, key.id.as_str());
                self.add(Field::Agent, key.agent.as_str());
                if let Some(user) = &key.user {
                    self.add(Field::User, user.0.as_str());
                }
                self.add(Field::Admin, by.as_str());
            }
            Event::KeyRevoked { key, by, .. } => {
                self.add(Field::Key, key.as_str());
                self.add(Field::Admin, by.as_str());
            }
            Event::PepLoaded { pep, by } => {
                self.add(Field::Pep, pep.name.as_str());
                self.add(Field::Admin, by.as_str());
            }
            Event::PepRemoved { pep, by } => {
                self.add(Field::Pep, pep.as_str());
                self.add(Field::Admin, by.as_str());
            }
            Event::PepKeyIssued { key, by } => {
                self.add(Field::Key, key.id.as_str());
                self.add(Field::Pep, key.pep.as_str());
                self.add(Field::Admin, by.as_str());
            }
            Event::AdminAdded { admin, by } => {
                self.add(Field::Admin, by.as_str());
                self.add(Field::Admin, admin.name.as_str());
            }
            Event::AdminRemoved { admin, by } => {
                self.add(Field::Admin, by.as_str());
                self.add(Field::Admin, admin.as_str());
            }
            Event::OverrunCleared {
                upstream, model, by, ..
            } => {
                self.resource(upstream, model);
                self.add(Field::Admin, by.as_str());
            }
            Event::LimitLoaded { by, .. }
            | Event::LimitRemoved { by, .. }
            | Event::BreakerLoaded { by, .. }
            | Event::BreakerRemoved { by, .. }
            | Event::BreakerReset { by, .. }
            | Event::PolicyLoaded { by, .. }
            | Event::PricesLoaded { by, .. }
            | Event::UpstreamsLoaded { by, .. }
            | Event::EntitiesChanged { by, .. }
            | Event::SigningKeyAdded { by, .. }
            | Event::SigningKeyRetired { by, .. }
            | Event::Restored { by, .. }
            | Event::Expired(Expired { by, .. })
            | Event::LegalHoldSet { by, .. }
            | Event::LegalHoldLifted { by, .. } => self.add(Field::Admin, by.as_str()),
            Event::PolicyFile(_)
            | Event::SpoolApplied(_)
            | Event::Started { .. }
            | Event::Stopped { .. }
            | Event::Heads { .. }
            | Event::Heartbeat { .. }
            | Event::QuorumMissed { .. }
            | Event::QuorumMet { .. }
            | Event::ForkReported { .. }
            | Event::SnapshotTaken { .. } => {}
            // Those of `event`.
            Event::Intent(_)
            | Event::Outcome(_)
            | Event::Denial(_)
            | Event::Replay(_)
            | Event::Decided(_)
            | Event::Asked(_)
            | Event::AskRefused(_)
            | Event::AskEnded(_)
            | Event::Overrun(_)
            | Event::ThresholdReached(_)
            | Event::BreakerWarned(_)
            | Event::BreakerTripped(_)
            | Event::BreakerClosed(_) => {}
        }
    }

    fn id(&mut self, action: ActionId) {
        self.add(Field::Action, action.to_string());
    }

    fn action(&mut self, action: &'a Action) {
        self.id(action.id);
        self.add(Field::Agent, action.agent.as_str());
        self.add(Field::Key, action.key.as_str());
        if let Some(user) = &action.user {
            self.add(Field::User, user.0.as_str());
        }
        self.add(Field::Run, action.run.as_deref().unwrap_or_default());
        self.add(Field::Task, action.task.as_deref().unwrap_or_default());
        self.add(Field::Operation, action.name.as_str());
        self.resource(&action.upstream, &action.model);
    }

    fn resource(&mut self, upstream: &'a UpstreamName, model: &'a str) {
        let upstream = upstream.as_str();
        match model {
            "" => self.add(Field::Resource, upstream),
            model => self.add(Field::Resource, format!("{upstream}/{model}")),
        }
        self.add(Field::ResourceType, upstream);
        self.add(Field::Model, model);
    }

    fn bookings(&mut self, bookings: &'a [Booking]) {
        for booking in bookings {
            self.add(Field::Budget, booking.budget.as_str());
            self.texts(&booking.of);
        }
    }

    fn intent(&mut self, intent: &'a Intent) {
        self.action(&intent.action);
        self.add(Field::Decision, decision(Decision::Permit));
        self.bookings(&intent.bookings);
        self.texts(&intent.why.policies);
        self.texts(&intent.tools);
        self.hold = Some(intent.hold);
    }

    fn outcome(&mut self, outcome: &'a Outcome) {
        self.id(outcome.action);
        self.add(Field::Status, status(outcome.status));
        self.text(outcome.provider_id.as_deref().unwrap_or_default());
        if let Some(http) = outcome.http {
            self.text(http.to_string());
        }
        self.cost = Some(outcome.cost);
    }

    fn denial(&mut self, denial: &'a Denial) {
        self.action(&denial.action);
        self.add(Field::Decision, decision(Decision::Deny));
        self.add(Field::Reason, denial.reason.code());
        if let Some(why) = &denial.why {
            self.texts(&why.policies);
        }
        if let Some(over) = &denial.over {
            self.add(Field::Budget, over.budget.as_str());
            self.texts(&over.of);
        }
        if let Some(limited) = &denial.limited {
            self.text(limited.limit.as_str());
            for (_, value) in &limited.of {
                self.text(value.as_str());
            }
        }
        if let Some(stopper) = &denial.breaker {
            self.text(stopper.breaker.as_str());
            self.text(stopper.of.as_str());
        }
        if let Some(input) = &denial.input {
            self.texts(&input.tools);
        }
    }

    fn breaker(&mut self, event: &Event, scope: Scope, of: &'a str) {
        match scope {
            Scope::Agent => self.add(Field::Agent, of),
            // `agent/run`: no agent's name has a slash.
            Scope::Run => match of.split_once('/') {
                Some((agent, run)) => {
                    self.add(Field::Agent, agent);
                    self.add(Field::Run, run);
                }
                None => self.add(Field::Agent, of),
            },
            Scope::Team => {}
        }
        self.all_texts(event);
    }

    fn decided(&mut self, decided: &'a Decided) {
        self.id(decided.id);
        if let Some(pep) = &decided.pep {
            self.add(Field::Pep, pep.as_str());
        }
        if let Some(key) = &decided.key {
            self.add(Field::Key, key.as_str());
        }
        for item in &decided.items {
            if let Some(subject) = &item.subject {
                self.party(Field::Subject, subject);
                // People stand in the log as pseudonyms, whatever their type is called.
                self.add(
                    Field::User,
                    subject.id.as_deref().filter(|id| is_pseudonym(id)).unwrap_or_default(),
                );
            }
            self.add(Field::Operation, item.action.as_deref().unwrap_or_default());
            if let Some(resource) = &item.resource {
                self.party(Field::Resource, resource);
                self.add(Field::ResourceType, resource.kind.as_str());
            }
            self.add(Field::Decision, decision(item.outcome));
            self.add(Field::Reason, item.code.as_str());
            self.texts(&item.policies);
            if let Some(input) = &item.input {
                let members = [&input.subject, &input.action, &input.resource, &input.context];
                for (name, value) in members.into_iter().flatten() {
                    self.text(name.as_str());
                    self.value(value);
                }
            }
        }
        if let Some(found) = &decided.found {
            self.texts(&found.names);
        }
        if let Some(condensed) = &decided.condensed {
            self.condensed(condensed);
        }
    }

    fn condensed(&mut self, condensed: &Condensed) {
        let Condensed {
            permitted,
            denied,
            approval_required,
            digest: _,
        } = *condensed;
        for (count, decided) in [
            (permitted, Decision::Permit),
            (denied, Decision::Deny),
            (approval_required, Decision::ApprovalRequired),
        ] {
            if count > 0 {
                self.add(Field::Decision, decision(decided));
            }
        }
    }

    fn party(&mut self, field: Field, party: &'a Party) {
        let kind = party.kind.as_str();
        match party.id.as_deref() {
            Some(id) => self.add(field, format!("{kind}/{id}")),
            None => self.add(field, kind),
        }
    }

    fn value(&mut self, value: &'a entry::Value) {
        // Bounded by the length of an entry.
        let mut left = vec![value];
        while let Some(value) = left.pop() {
            match value {
                entry::Value::Text(text) => self.text(text.as_str()),
                entry::Value::List(values) => left.extend(values),
                entry::Value::Record(members) => {
                    for (name, value) in members {
                        self.text(name.as_str());
                        left.push(value);
                    }
                }
                _ => {}
            }
        }
    }
}

/// Whether this has the form of a pseudonym.
fn is_pseudonym(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether an entry, where it stands right behind an outcome or behind another such entry, follows from the outcome.
pub fn follows(event: &Event) -> bool {
    matches!(
        event,
        Event::Overrun(_)
            | Event::ThresholdReached(_)
            | Event::BreakerWarned(_)
            | Event::BreakerTripped(_)
            | Event::BreakerClosed(_)
    )
}

#[cfg(test)]
mod tests;
