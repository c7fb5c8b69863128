//! The audit entry: its schema, its reader for every version, and the fold of a log into state.
//!
//! An entry is compact JSON with a fixed field order and integers only; the bytes that are hashed are the bytes that are
//! kept ([`Entry::encode`], [`Entry::decode`]). [`State`] is the fold: the server's live state and an offline verifier's
//! are the same code, so a balance that cannot be replayed cannot exist.
//!
//! A state can be written down and read back ([`snapshot`]), so that a log goes on from there when earlier entries are gone.
//!
//! No entry holds a prompt, a completion, a credential or a raw personal identity: requests and replies are keyed
//! commitments, people are pseudonyms, credentials are verifiers (SHA-256 of 256 random bits).

mod action;
mod agents;
mod allowance;
mod ask;
mod budgets;
mod codec;
mod decided;
mod distrust;
mod error;
mod event;
mod evidence;
mod kinds;
mod pep;
mod record;
mod remains;
mod repeats;
mod rules;
pub mod snapshot;
mod state;
mod value;

pub use action::{
    Action, Closed, Denial, DenialInput, Intent, Outcome, Over, Overrun, Replay, Status, Stopper, Tokens, Why,
};
pub use agents::{AgentState, KeyState};
pub use allowance::{Allowance, SpoolApplied, Spooled};
pub use ask::{ASKS_MAX, ASKS_OF_AGENT_MAX, Ask, AskEnd, AskEnded, AskRefused, Asked, Asks};
pub use budgets::{BudgetFacts, Declared, LastEdit, ThresholdReached};
pub use codec::{MAX_ENTRY_BYTES, VERSION};
pub use decided::{Condensed, Decided, DecidedCall, DecidedItem, Decision, Found, Input, LeftOut, Party};
pub use distrust::Distrust;
pub use error::EntryError;
pub use event::{Entry, Event};
pub use evidence::{
    ABSENT_MAX, Absence, Absent, Class, Evidence, Expired, FORKS_MAX, HEADS_MAX, LEGAL_HOLDS_MAX, LastExpired, LogHead,
};
pub use pep::{DECIDED_LATE_US, PepKeyRecord, PepKeyState, PepReasons, PepRecord, PepRight, PepState, Peps};
pub use record::{AdminRecord, AgentRecord, KeyRecord, PolicyFile, PriceRecord, Role, UpstreamRecord};
pub use remains::{GoneError, Remains};
pub use repeats::{REPEATS_REMEMBERED, REPEATS_REMEMBERED_US, Repeats};
pub use rules::{Counted, recorded_tools};
pub use state::{OpenIntent, State};
pub use value::Value;

#[cfg(test)]
mod tests;
