//! What has happened so far: the fold of the events.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use model::NanoUsd;

use super::{
    cast::Agent,
    event::{Called, Event, Fate, State, Tone},
};

/// How many lines about what just happened are kept.
pub(crate) const NOTES: usize = 3;

/// How it stands with all agents.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    /// A row for each agent, in their order.
    pub(crate) rows: Vec<Row>,
    /// What just happened, oldest first.
    pub(crate) notes: VecDeque<Note>,
    /// Since the start.
    pub(crate) elapsed: Duration,
}

/// How it stands with one agent.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Which.
    pub(crate) agent: Agent,
    /// How it stands.
    pub(crate) state: State,
    /// What it does.
    pub(crate) doing: String,
    /// Calls that ended, in whatever way.
    pub(crate) calls: u64,
    /// Of these, how many were answered.
    pub(crate) allowed: u64,
    /// Of these, how many were refused, by reason.
    pub(crate) denied: BTreeMap<String, u64>,
    /// Why the last refused one was.
    pub(crate) last_reason: Option<String>,
    /// Of these, how many the provider failed.
    pub(crate) failed: u64,
    /// Booked.
    pub(crate) spent: NanoUsd,
    /// The most that may be.
    pub(crate) limit: NanoUsd,
    /// Of all replies, input and output.
    pub(crate) tokens: u64,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    /// When, from the start.
    pub(crate) at: Duration,
    /// Which agent's.
    pub(crate) agent: Agent,
    /// How good or bad it is.
    pub(crate) tone: Tone,
    /// What.
    pub(crate) text: String,
}

impl Row {
    fn new(agent: Agent) -> Self {
        Self {
            agent,
            state: State::default(),
            doing: String::new(),
            calls: 0,
            allowed: 0,
            denied: BTreeMap::new(),
            last_reason: None,
            failed: 0,
            spent: NanoUsd::ZERO,
            limit: NanoUsd::ZERO,
            tokens: 0,
        }
    }

    /// How many were refused, for whatever reason.
    pub(crate) fn refused(&self) -> u64 {
        self.denied.values().sum()
    }

    fn called(&mut self, call: &Called) {
        self.calls += 1;
        self.tokens += call.input_tokens + call.output_tokens;
        match call.fate() {
            Fate::Allowed => self.allowed += 1,
            Fate::Failed => self.failed += 1,
            Fate::Denied => {
                let reason = call.reason.clone().unwrap_or_default();
                *self.denied.entry(reason.clone()).or_default() += 1;
                self.last_reason = Some(reason);
            }
        }
    }
}

impl Board {
    /// Before anything has happened.
    pub(crate) fn new() -> Self {
        Self {
            rows: Agent::ALL.into_iter().map(Row::new).collect(),
            notes: VecDeque::new(),
            elapsed: Duration::ZERO,
        }
    }

    /// Takes in what happened at a time since the start.
    pub(crate) fn take(&mut self, event: &Event, at: Duration) {
        self.elapsed = self.elapsed.max(at);
        match event {
            Event::Doing { agent, state, what } => {
                if let Some(row) = self.row_mut(*agent) {
                    row.state = *state;
                    row.doing.clone_from(what);
                }
            }
            Event::Called(call) => {
                if let Some(row) = self.row_mut(call.agent) {
                    row.called(call);
                }
            }
            Event::Note { agent, tone, text } => {
                let note = Note {
                    at,
                    agent: *agent,
                    tone: *tone,
                    text: text.clone(),
                };
                self.notes.push_back(note);
                if self.notes.len() > NOTES {
                    self.notes.pop_front();
                }
            }
            Event::Balance { agent, spent, limit } => {
                if let Some(row) = self.row_mut(*agent) {
                    (row.spent, row.limit) = (*spent, *limit);
                }
            }
        }
    }

    fn row_mut(&mut self, agent: Agent) -> Option<&mut Row> {
        self.rows.iter_mut().find(|row| row.agent == agent)
    }
}
