//! A log that grows the way the committer grows one.

use ledger::{Attempt, Booking, Charge};
use model::{ActionId, NanoUsd, TenantName, Usage};

use super::samples::{NOON, action, agent, agent_loaded, at, budget_loaded, intent, key, key_issued, outcome};
use crate::{Action, Entry, Event, Intent, Outcome, State, Tokens, VERSION};

/// What intents reserve where a budget counts tokens.
pub(super) const TOKENS: Tokens = Tokens {
    input: 700,
    output: 300,
};

/// A log that grows through the fold, with the clock moved by hand.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) state: State,
    pub(super) entries: Vec<Entry>,
    pub(super) now: i64,
}

impl Log {
    pub(super) fn new() -> Self {
        Self {
            state: State::new(TenantName::default_tenant()),
            entries: Vec::new(),
            now: NOON,
        }
    }

    /// Two agents: `alone` with a budget of its own, `shared` with that and one more; a credential each.
    pub(super) fn furnished() -> Self {
        let mut log = Self::new();
        for event in [
            budget_loaded("own", 1_000),
            budget_loaded("team", 1_500),
            agent_loaded("alone", &["own"]),
            agent_loaded("shared", &["own", "team"]),
            key_issued("ka", "alone"),
            key_issued("ks", "shared"),
        ] {
            log.push(event);
        }
        log
    }

    /// The entry that an event would be next.
    pub(super) fn next(&self, event: Event) -> Entry {
        Entry {
            v: VERSION,
            tenant: self.state.tenant.clone(),
            index: self.state.size,
            time: at(self.now),
            event,
        }
    }

    /// Appends an event, and what it owes.
    pub(super) fn push(&mut self, event: Event) -> u64 {
        let index = self.push_alone(event);
        while let Some(owed) = self.state.owed.front().cloned() {
            self.push_alone(owed);
        }
        index
    }

    pub(super) fn push_alone(&mut self, event: Event) -> u64 {
        let entry = self.next(event);
        self.state.apply(&entry).unwrap();
        self.entries.push(entry);
        self.state.size - 1
    }

    /// Whether an event may be next.
    pub(super) fn takes(&self, event: Event) -> bool {
        self.state.clone().apply(&self.next(event)).is_ok()
    }

    /// The agent's next action, with its own credential.
    pub(super) fn action(&self, name: &str, id: ActionId) -> Action {
        let credential = self.state.keys.values().find(|key| key.record.agent == agent(name));
        let record = &credential.unwrap().record;
        Action {
            agent: agent(name),
            key: record.id.clone(),
            user: record.user.clone(),
            ..action(id, self.state.agents[&agent(name)].seq + 1)
        }
    }

    /// The next action of the agent that a credential is of.
    pub(super) fn action_by(&self, credential: &str, id: ActionId) -> Action {
        let record = &self.state.keys[&key(credential)].record;
        Action {
            key: record.id.clone(),
            user: record.user.clone(),
            ..self.action(&record.agent.to_string(), id)
        }
    }

    /// The intent that the ledger admits now, or `None` if a budget has no room.
    pub(super) fn intent(&self, name: &str, id: ActionId, hold: i64) -> Option<Intent> {
        self.intent_of(self.action(name, id), hold, TOKENS)
    }

    pub(super) fn intent_of(&self, action: Action, hold: i64, tokens: Tokens) -> Option<Intent> {
        let bookings = self.bookings(&action, &[], hold, tokens)?;
        let bound = self.state.distrust(&action.upstream, &action.model).map(|_| 64_000);
        Some(Intent {
            action,
            bound,
            hold: NanoUsd(hold),
            tokens: self.state.counts_tokens(&bookings).then_some(tokens),
            bookings,
            ..intent()
        })
    }

    /// Where the ledger would book an action now; `None` if a budget has no room.
    pub(super) fn bookings(
        &self,
        action: &Action,
        tools: &[String],
        hold: i64,
        tokens: Tokens,
    ) -> Option<Vec<Booking>> {
        let charge = Charge {
            money: NanoUsd(hold),
            input: tokens.input,
            output: tokens.output,
            calls: 1,
        };
        let pots = self.state.pots(action, tools)?;
        self.state.ledger.admit(&pots, &charge, at(self.now)).ok()
    }

    /// The outcome that books so much of an open hold.
    pub(super) fn outcome(&self, attempt: Attempt, cost: i64) -> Outcome {
        let held = self.state.ledger.hold(&attempt).unwrap().amount.money;
        Outcome {
            action: attempt.action,
            attempt: attempt.number,
            intent: self.state.open[&attempt].index,
            cost: NanoUsd(cost),
            overrun: NanoUsd(cost).saturating_sub(held).at_least_zero(),
            // The provider counted what was held at most.
            usage: Some(Usage {
                input: TOKENS.input,
                output: TOKENS.output,
                ..Usage::default()
            }),
            ..outcome()
        }
    }
}

/// The first attempt of an action.
pub(super) fn first(action: ActionId) -> Attempt {
    Attempt { action, number: 0 }
}
