//! The sequential part of verifying a log: order, ledger, prices.

use std::iter::Sum;

use entry::{Entry, EntryError, Event, LogHead, State};
use model::{TenantName, Timestamp, rfc3339};
use serde::Serialize;

use crate::{
    presence::{Presence, Watch},
    prices::{Costs, Prices},
    restores::Restore,
};

/// The fold of a log with what a verifier checks beyond the server: that costs are what usage and prices give.
#[derive(Debug)]
pub struct Fold {
    state: State,
    prices: Prices,
    watch: Watch,
    signers: Vec<(u64, Signer)>,
    heads: Vec<(u64, LogHead)>,
    restores: Vec<Restore>,
    first: Option<Timestamp>,
    denials: u64,
    ended: u64,
}

/// Why an entry does not follow from the ones before it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Misfit {
    /// The server's own fold refuses it.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// Its cost or prices are wrong.
    #[error("{0}")]
    Prices(String),
}

/// What a log says when it fits together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Whose log.
    pub tenant: String,
    /// How many entries follow from each other: all of them, unless something does not fit.
    pub entries: u64,
    /// The time of the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// The time of the last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// How many actions were refused.
    pub denials: u64,
    /// How many holds ended.
    pub holds_ended: u64,
    /// How many holds have not.
    pub holds_open: u64,
    /// Everything booked, in US dollars.
    pub spent_usd: String,
    /// What of it was booked past its hold.
    pub overrun_usd: String,
    /// How costs were checked.
    pub costs: Costs,
    /// When the server was there.
    pub presence: Presence,
    /// The older copies of the log that were accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restores: Vec<Restore>,
}

/// What an entry says of the keys that sign the log, as verifier keys in text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Signer {
    /// A key signs from now on, beside one that does already.
    Added {
        /// The new one.
        key: String,
        /// The one that does already.
        beside: String,
    },
    /// A key signs no more.
    Retired(String),
}

impl Fold {
    /// The fold of an empty log.
    pub fn new(tenant: TenantName) -> Self {
        Self {
            state: State::new(tenant),
            prices: Prices::default(),
            watch: Watch::default(),
            signers: Vec::new(),
            heads: Vec::new(),
            restores: Vec::new(),
            first: None,
            denials: 0,
            ended: 0,
        }
    }

    /// Takes the next entry, or says why it cannot be the next.
    ///
    /// # Errors
    /// Why not. The entry counts as taken where only its prices are wrong.
    pub fn take(&mut self, entry: &Entry) -> Result<(), Misfit> {
        self.state.apply(entry)?;
        self.first.get_or_insert(entry.time);
        self.watch.take(entry);
        match &entry.event {
            Event::Denial(_) => self.denials += 1,
            Event::Outcome(_) => self.ended += 1,
            Event::Heads { heads, .. } => self.heads.extend(heads.iter().map(|head| (entry.index, head.clone()))),
            Event::SigningKeyAdded { key, beside, .. } => {
                let (key, beside) = (key.clone(), beside.clone());
                self.signers.push((entry.index, Signer::Added { key, beside }));
            }
            Event::Restored { checkpoint, note, by } => self.restores.push(Restore::new(entry, checkpoint, note, by)),
            Event::SigningKeyRetired { key, .. } => self.signers.push((entry.index, Signer::Retired(key.clone()))),
            _ => {}
        }
        self.prices.take(entry).map_err(Misfit::Prices)
    }

    /// The state of the log so far.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// How long other logs were, and the roots of their trees, by the entries that say so: in the server's own log.
    pub fn heads(&self) -> &[(u64, LogHead)] {
        &self.heads
    }

    /// What the log says of the keys that sign it, by the entries that say so.
    pub(crate) fn signers(&self) -> &[(u64, Signer)] {
        &self.signers
    }

    /// The older copies of the log that were accepted, by the entries that say so.
    pub fn restores(&self) -> &[Restore] {
        &self.restores
    }

    /// What follows from the last entry and is not there: both are written at once.
    pub fn owes(&self) -> Option<&'static str> {
        self.state.owed.front().map(Event::kind)
    }

    /// What the log says so far.
    pub fn found(&self) -> Found {
        let state = &self.state;
        Found {
            tenant: state.tenant.to_string(),
            entries: state.size,
            first: self.first.map(rfc3339),
            last: self.first.map(|_| rfc3339(state.time)),
            denials: self.denials,
            holds_ended: self.ended,
            holds_open: u64::try_from(state.open.len()).unwrap_or(u64::MAX),
            spent_usd: state.spent.to_string(),
            overrun_usd: state.overrun.to_string(),
            costs: self.prices.costs.clone(),
            presence: self.watch.presence(),
            restores: self.restores.clone(),
        }
    }
}

/// What several logs say together, as far as it can be counted.
impl Sum for Found {
    fn sum<I: Iterator<Item = Self>>(logs: I) -> Self {
        logs.fold(Self::default(), |mut sum, log| {
            sum.entries += log.entries;
            sum.denials += log.denials;
            sum.holds_ended += log.holds_ended;
            sum.holds_open += log.holds_open;
            let Costs {
                computed,
                otherwise,
                held,
                nothing,
                unknown_book,
                pictures,
            } = log.costs;
            sum.costs.computed += computed;
            sum.costs.otherwise += otherwise;
            sum.costs.held += held;
            sum.costs.nothing += nothing;
            sum.costs.unknown_book += unknown_book;
            sum.costs.pictures += pictures;
            sum.restores.extend(log.restores);
            sum.presence.silences += log.presence.silences;
            sum.presence.silent.extend(log.presence.silent);
            sum.presence.unheard_s = sum.presence.unheard_s.max(log.presence.unheard_s);
            sum
        })
    }
}
