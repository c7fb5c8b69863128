//! What the agents tell of their work while they do it.

use std::time::Duration;

use model::NanoUsd;

use super::cast::Agent;

/// Something happened.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// An agent turned to something.
    Doing {
        /// Which.
        agent: Agent,
        /// How it stands with it.
        state: State,
        /// What it does, in a few words.
        what: String,
    },
    /// A call ended.
    Called(Box<Called>),
    /// Something worth a line of its own.
    Note {
        /// About which agent.
        agent: Agent,
        /// How good or bad it is.
        tone: Tone,
        /// The line.
        text: String,
    },
    /// What a budget says.
    Balance {
        /// Whose budget.
        agent: Agent,
        /// Booked.
        spent: NanoUsd,
        /// The most that may be.
        limit: NanoUsd,
    },
}

/// How it stands with an agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// It has not begun.
    #[default]
    Waiting,
    /// It works.
    Working,
    /// Its budget stopped it.
    Stopped,
    /// It did what it had to.
    Done,
    /// It could not go on.
    Failed,
}

/// How something is meant, and so how it looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As any other text.
    #[default]
    Plain,
    /// Beside the point.
    Faint,
    /// A heading.
    Strong,
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// Refused or failed.
    Bad,
}

/// A call that ended, as its agent saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Called {
    /// Which agent's.
    pub(crate) agent: Agent,
    /// The upstream, which is also the dialect.
    pub(crate) upstream: &'static str,
    /// The model asked for.
    pub(crate) model: String,
    /// Whether it asked for a stream.
    pub(crate) stream: bool,
    /// The kind of task it named.
    pub(crate) task: &'static str,
    /// The HTTP status.
    pub(crate) status: u16,
    /// The id under which the audit log has it.
    pub(crate) request_id: String,
    /// The stable code, if Bailiwick refused it.
    pub(crate) reason: Option<String>,
    /// What it cost, where a header said so: never for a stream.
    pub(crate) cost_usd: Option<String>,
    /// Input tokens, as the reply says.
    pub(crate) input_tokens: u64,
    /// Output tokens, as the reply says.
    pub(crate) output_tokens: u64,
    /// From sending to the end of the reply.
    pub(crate) took: Duration,
}

impl Called {
    /// What became of it.
    pub(crate) fn fate(&self) -> Fate {
        match (&self.reason, self.status) {
            (Some(_), _) => Fate::Denied,
            (None, 200..300) => Fate::Allowed,
            (None, _) => Fate::Failed,
        }
    }
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was forwarded and answered.
    Allowed,
    /// Bailiwick refused it.
    Denied,
    /// The provider failed.
    Failed,
}
