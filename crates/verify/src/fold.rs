//! The sequential part of verifying a log: order, ledger, prices.

use std::iter::Sum;

use entry::{Entry, EntryError, Event, GoneError, LogHead, Remains, State, snapshot};
use model::{Digest, TenantName, Timestamp, rfc3339};
use serde::Serialize;

use crate::{
    presence::{Presence, Watch},
    prices::{Costs, Prices},
    restores::Restore,
    vouched::Vouched,
};

/// The fold of a log with what a verifier checks beyond the server: that costs are what usage and prices give.
#[derive(Debug)]
pub struct Fold {
    state: State,
    /// How many entries were looked at.
    size: u64,
    remains: Remains,
    /// The bytes of a snapshot, until they are needed.
    snapshot: Option<Vec<u8>>,
    /// What is replayed from once its entry comes.
    ahead: Option<Box<(State, Digest)>>,
    /// From where on the log was replayed.
    from: Option<u64>,
    prices: Prices,
    watch: Watch,
    signers: Vec<(u64, Signer)>,
    heads: Vec<(u64, LogHead)>,
    restores: Vec<Restore>,
    vouched: Vouched,
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
    /// Other entries are gone than were let go.
    #[error(transparent)]
    Gone(#[from] GoneError),
    /// Entries are gone, and what the rest could be replayed from is missing, or is not what was written down.
    #[error("{0}")]
    Snapshot(String),
}

/// What a log says when it fits together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Whose log.
    pub tenant: String,
    /// How many entries follow from each other: all of them, unless something does not fit.
    pub entries: u64,
    /// How many of them were let go, as the log says itself.
    #[serde(skip_serializing_if = "is_none")]
    pub gone: u64,
    /// The snapshot that the log was replayed from, by its entry, because some before it are gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replayed_from: Option<u64>,
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
    /// What the log says of its witnesses.
    pub vouched: Vouched,
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Fold {
    /// The fold of an empty log.
    pub fn new(tenant: TenantName) -> Self {
        Self {
            state: State::new(tenant),
            size: 0,
            remains: Remains::default(),
            snapshot: None,
            ahead: None,
            from: None,
            prices: Prices::default(),
            watch: Watch::default(),
            signers: Vec::new(),
            heads: Vec::new(),
            restores: Vec::new(),
            vouched: Vouched::default(),
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
        self.resume(entry)?;
        if self.ahead.is_none() {
            self.state.apply(entry)?;
        } else if (entry.index, &entry.tenant) != (self.size, &self.state.tenant) {
            // Nothing more can be known of it.
            let why = format!("this is entry {} of the log of {}", entry.index, entry.tenant);
            return Err(Misfit::Snapshot(why));
        }
        self.size += 1;
        self.remains.kept(&entry.event, entry.index);
        self.first.get_or_insert(entry.time);
        self.watch.take(entry);
        self.vouched.take(entry);
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

    /// Takes what was read of the next entry, which may have been let go.
    ///
    /// # Errors
    /// As [`Fold::take`] and [`Fold::gone`].
    pub fn take_read(&mut self, read: Option<Result<Entry, EntryError>>) -> Result<(), Misfit> {
        match read {
            Some(read) => self.take(&read?),
            None => self.gone(),
        }
    }

    /// Knows a snapshot: the bytes of a state. It is used once an entry before it is gone.
    pub fn set_snapshot(&mut self, bytes: Vec<u8>) {
        self.snapshot = Some(bytes);
    }

    /// The next entry was let go. What comes before the snapshot is looked at by itself from now on.
    ///
    /// # Errors
    /// Nothing is known from which the log could be replayed behind it.
    pub fn gone(&mut self) -> Result<(), Misfit> {
        let index = self.size;
        if self.ahead.is_none() {
            let missing = || {
                Misfit::Snapshot(format!(
                    "entry {index} was let go, and the snapshot is missing from which the log goes on"
                ))
            };
            let bytes = self.snapshot.take().ok_or_else(missing)?;
            let state = snapshot::decode(&bytes).map_err(|error| Misfit::Snapshot(error.to_string()))?;
            if state.size <= index || state.tenant != self.state.tenant {
                let of = (&state.tenant, state.size);
                let why = format!(
                    "entry {index} was let go, and the snapshot is of entry {} of the log of {}",
                    of.1, of.0
                );
                return Err(Misfit::Snapshot(why));
            }
            self.ahead = Some(Box::new((state, snapshot::digest(&bytes))));
        }
        self.size += 1;
        self.remains.gone(index);
        self.watch.gone();
        self.prices.gone();
        Ok(())
    }

    /// Goes on from the snapshot, if this is its entry.
    fn resume(&mut self, entry: &Entry) -> Result<(), Misfit> {
        let here = |ahead: &mut Box<(State, Digest)>| ahead.0.size == self.size;
        let Some(ahead) = self.ahead.take_if(here) else {
            return Ok(());
        };
        let (state, found) = *ahead;
        match &entry.event {
            Event::SnapshotTaken { digest } if *digest == found => {}
            _ => {
                let why = "the snapshot is not the one that this entry says was taken";
                return Err(Misfit::Snapshot(why.to_owned()));
            }
        }
        self.prices.resume(&state);
        self.from = Some(state.size);
        self.state = state;
        Ok(())
    }

    /// The log ends here: whether all that is gone was let go.
    ///
    /// # Errors
    /// It was not.
    pub fn finish(&self) -> Result<(), Misfit> {
        if let Some(ahead) = &self.ahead {
            let why = format!("the snapshot is of entry {}, behind the end of the log", ahead.0.size);
            return Err(Misfit::Snapshot(why));
        }
        self.remains.check(&self.state.evidence)?;
        Ok(())
    }

    /// How many entries were looked at, with those that are gone.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether nothing is known of the state here, because what led to it is gone.
    pub fn is_passing_over(&self) -> bool {
        self.ahead.is_some()
    }

    /// The state of the log so far. It is not known while [`Fold::is_passing_over`].
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
            entries: self.size,
            gone: self.remains.count(),
            replayed_from: self.from,
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
            vouched: self.vouched.clone(),
        }
    }
}

/// What several logs say together, as far as it can be counted.
impl Sum for Found {
    fn sum<I: Iterator<Item = Self>>(logs: I) -> Self {
        logs.fold(Self::default(), |mut sum, log| {
            sum.entries += log.entries;
            sum.gone += log.gone;
            sum.replayed_from = sum.replayed_from.max(log.replayed_from);
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
            sum.vouched.add(log.vouched);
            sum.presence.silences += log.presence.silences;
            sum.presence.silent.extend(log.presence.silent);
            sum.presence.unheard_s = sum.presence.unheard_s.max(log.presence.unheard_s);
            sum
        })
    }
}
