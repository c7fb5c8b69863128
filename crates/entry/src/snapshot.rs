//! The state of a log written down, so that the log can go on from there when earlier entries are gone.
//!
//! Compact JSON in UTF-8: named fields, integers only, lists and records in the order of their keys. A state is written in
//! one way only, and any other spelling is refused: the SHA-256 of the bytes, which a `snapshot_taken` entry says, names the
//! state. What follows from the rest is not written: sums of open holds, indexes, what rules count. `docs/entries.md` has a
//! section about it.
//!
//! Whoever reads a snapshot compares its digest with the entry first. [`decode`] believes nothing all the same: bytes that
//! nobody wrote are an error, not a panic, and not a state that admits what no log would.

pub(crate) mod named;

use std::collections::{BTreeMap, VecDeque};

use aws_lc_rs::digest;
use ledger::{Attempt, Breakers, Ledger, LedgerParts, Rates, form};
use model::{AdminName, AgentName, Digest, KeyId, NanoUsd, TenantName, Timestamp, UpstreamName};
use serde::{Deserialize, Serialize};

use crate::{
    AdminRecord, AgentState, Ask, BudgetFacts, Counted, Distrust, Evidence, KeyState, OpenIntent, Peps, PolicyFile,
    Repeats, Spooled, State, UpstreamRecord, VERSION, codec::is_written_as,
};

/// The format that is written now. Earlier ones are read.
pub const FORMAT: u32 = 1;

/// The longest snapshot, in bytes: what a database keeps in one value, with room to spare.
pub const MAX_SNAPSHOT_BYTES: usize = 512 << 20;

/// Why a state cannot be written down, or bytes are no state.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SnapshotError {
    /// Something follows from the last entry and has to be the next one.
    #[error("a snapshot cannot stand between an entry and what follows from it: append what is owed first")]
    Owed,
    /// Above the hard cap.
    #[error("a snapshot has {0} bytes, at most {MAX_SNAPSHOT_BYTES} are allowed")]
    TooLong(usize),
    /// Written by a later program.
    #[error(
        "the snapshot has format {0}; this program reads up to format {FORMAT}: use the program that wrote it, or a later one"
    )]
    Format(u32),
    /// Of a log with entries that this program does not read.
    #[error("the snapshot is of a log with entries of version {0}; this program reads up to version {VERSION}")]
    Version(u32),
    /// Not a snapshot.
    #[error("not a readable snapshot: {0}")]
    Unreadable(String),
    /// What it says is not the state of any log.
    #[error("the snapshot contradicts itself: {0}")]
    Broken(&'static str),
}

/// The bytes of a state: always the same for the same state.
///
/// # Errors
/// [`SnapshotError::Owed`], [`SnapshotError::TooLong`].
pub fn encode(state: &State) -> Result<Vec<u8>, SnapshotError> {
    if !state.owed.is_empty() {
        return Err(SnapshotError::Owed);
    }
    let bytes = serde_json::to_vec(&Written::of(state));
    let bytes = bytes.map_err(|error| SnapshotError::Unreadable(error.to_string()))?;
    check_length(&bytes)?;
    Ok(bytes)
}

/// The state that the bytes of [`encode`] are of.
///
/// # Errors
/// What is wrong with them.
pub fn decode(bytes: &[u8]) -> Result<State, SnapshotError> {
    check_length(bytes)?;
    let unreadable = |error: serde_json::Error| match serde_json::from_slice::<Formatted>(bytes) {
        Ok(Formatted { format }) if format != FORMAT => SnapshotError::Format(format),
        _ => SnapshotError::Unreadable(error.to_string()),
    };
    let read: Read = serde_json::from_slice(bytes).map_err(unreadable)?;
    let state = read.state()?;
    if !is_written_as(&Written::of(&state), bytes) {
        return Err(SnapshotError::Unreadable("not in the form it is written in".to_owned()));
    }
    Ok(state)
}

/// What a `snapshot_taken` entry says of a snapshot's bytes: SHA-256 of them. The entry is the one whose index is the
/// state's `size`.
pub fn digest(bytes: &[u8]) -> Digest {
    let found = digest::digest(&digest::SHA256, bytes);
    let mut digest = Digest([0; 32]);
    digest
        .0
        .iter_mut()
        .zip(found.as_ref())
        .for_each(|(to, from)| *to = *from);
    digest
}

fn check_length(bytes: &[u8]) -> Result<(), SnapshotError> {
    if bytes.len() > MAX_SNAPSHOT_BYTES {
        return Err(SnapshotError::TooLong(bytes.len()));
    }
    Ok(())
}

#[derive(Deserialize)]
struct Formatted {
    format: u32,
}

/// A state as it is written. What is left out follows from the rest.
#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    tenant: &'a TenantName,
    version: u32,
    size: u64,
    time: Timestamp,
    epoch: u64,
    boot: u64,
    ledger: &'a Ledger,
    budgets: &'a BudgetFacts,
    asks: Vec<&'a Ask>,
    rates: &'a Rates,
    breakers: &'a Breakers,
    agents: BTreeMap<&'a AgentName, &'a AgentState>,
    keys: Vec<&'a KeyState>,
    peps: &'a Peps,
    admins: Vec<&'a AdminRecord>,
    #[serde(serialize_with = "form::pairs")]
    open: BTreeMap<&'a Attempt, &'a OpenIntent>,
    repeats: &'a Repeats,
    policy_files: Vec<EnteredRef<'a>>,
    #[serde(skip_serializing_if = "Option::is_none", with = "named::effect")]
    bundle: Option<(Digest, u64)>,
    #[serde(skip_serializing_if = "Option::is_none", with = "named::effect")]
    prices: Option<(Digest, u64)>,
    upstreams: &'a [UpstreamRecord],
    spooled: &'a Spooled,
    spent: NanoUsd,
    overrun: NanoUsd,
    distrusted: Vec<&'a Distrust>,
    evidence: &'a Evidence,
}

#[derive(Serialize)]
struct EnteredRef<'a> {
    file: &'a PolicyFile,
    entry: u64,
}

impl<'a> Written<'a> {
    fn of(state: &'a State) -> Self {
        // A field that is added later does not compile until it is decided how it is written.
        let State {
            tenant,
            version,
            size,
            time,
            epoch,
            boot,
            ledger,
            budgets,
            asks,
            rates,
            breakers,
            counted: _,
            agents,
            keys,
            peps,
            admins,
            open,
            repeats,
            policy_files,
            bundle,
            prices,
            upstreams,
            spooled,
            spent,
            overrun,
            distrusted,
            evidence,
            owed: _,
        } = state;
        let files = policy_files.values();
        Self {
            format: FORMAT,
            tenant,
            version: *version,
            size: *size,
            time: *time,
            epoch: *epoch,
            boot: *boot,
            ledger,
            budgets,
            asks: asks.values().collect(),
            rates,
            breakers,
            agents: agents.iter().collect(),
            keys: keys.values().collect(),
            peps,
            admins: admins.values().collect(),
            open: open.iter().collect(),
            repeats,
            policy_files: files.map(|(file, entry)| EnteredRef { file, entry: *entry }).collect(),
            bundle: *bundle,
            prices: *prices,
            upstreams,
            spooled,
            spent: *spent,
            overrun: *overrun,
            distrusted: distrusted.values().collect(),
            evidence,
        }
    }
}

/// The same, read but not believed yet. A field that comes later gets a default, which is what its absence means.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    format: u32,
    tenant: TenantName,
    version: u32,
    size: u64,
    time: Timestamp,
    epoch: u64,
    boot: u64,
    ledger: LedgerParts,
    budgets: BudgetFacts,
    asks: Vec<Ask>,
    rates: Rates,
    breakers: Breakers,
    agents: BTreeMap<AgentName, AgentState>,
    keys: Vec<KeyState>,
    peps: Peps,
    admins: Vec<AdminRecord>,
    open: Vec<(Attempt, OpenIntent)>,
    repeats: Repeats,
    policy_files: Vec<Entered>,
    #[serde(default, with = "named::effect")]
    bundle: Option<(Digest, u64)>,
    #[serde(default, with = "named::effect")]
    prices: Option<(Digest, u64)>,
    upstreams: Vec<UpstreamRecord>,
    spooled: Spooled,
    spent: NanoUsd,
    overrun: NanoUsd,
    distrusted: Vec<Distrust>,
    evidence: Evidence,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entered {
    file: PolicyFile,
    entry: u64,
}

impl Read {
    fn state(self) -> Result<State, SnapshotError> {
        if self.format != FORMAT {
            return Err(SnapshotError::Format(self.format));
        }
        if self.version > VERSION {
            return Err(SnapshotError::Version(self.version));
        }
        let ledger = self.ledger.at(self.time).map_err(SnapshotError::Broken)?;
        let key_of = |key: KeyState| (key.record.id.clone(), key);
        let file_of = |Entered { file, entry }| (file.file.clone(), (file, entry));
        let state = State {
            tenant: self.tenant,
            version: self.version,
            size: self.size,
            time: self.time,
            epoch: self.epoch,
            boot: self.boot,
            counted: Counted::all(&self.rates, &self.breakers, &ledger),
            ledger,
            budgets: self.budgets,
            asks: self.asks.into_iter().map(|ask| (ask.asked.attempt(), ask)).collect(),
            rates: self.rates,
            breakers: self.breakers,
            agents: self.agents.into_iter().collect(),
            keys: self.keys.into_iter().map(key_of).collect::<BTreeMap<KeyId, _>>(),
            peps: self.peps,
            admins: by_name(self.admins),
            open: self.open.into_iter().collect(),
            repeats: self.repeats,
            policy_files: self.policy_files.into_iter().map(file_of).collect(),
            bundle: self.bundle,
            prices: self.prices,
            upstreams: self.upstreams,
            spooled: self.spooled,
            spent: self.spent,
            overrun: self.overrun,
            distrusted: self.distrusted.into_iter().map(model_of).collect(),
            evidence: self.evidence,
            owed: VecDeque::new(),
        };
        check(&state).map_err(SnapshotError::Broken)?;
        Ok(state)
    }
}

fn by_name(admins: Vec<AdminRecord>) -> BTreeMap<AdminName, AdminRecord> {
    admins.into_iter().map(|admin| (admin.name.clone(), admin)).collect()
}

fn model_of(distrust: Distrust) -> ((UpstreamName, String), Distrust) {
    let of = (distrust.last.upstream.clone(), distrust.last.model.clone());
    (of, distrust)
}

/// What each part cannot see for itself.
fn check(state: &State) -> Result<(), &'static str> {
    // Whatever is counted once an entry at most.
    let peps = state.peps.peps.values().map(|pep| pep.seq);
    let agents = state.agents.values().map(|agent| agent.seq);
    let distrust = state.distrusted.values().map(|distrust| distrust.count);
    let indexes = state.open.values().map(|open| open.index.saturating_add(1));
    let others = [
        state.epoch,
        state.peps.anybody,
        state.peps.entities,
        state.evidence.restores,
        state.spooled.calls,
    ];
    let mut counts = peps.chain(agents).chain(distrust).chain(indexes).chain(others);
    if state.size > form::MOST || counts.any(|count| count > state.size) {
        return Err("it counts more than there are entries");
    }
    if state
        .ledger
        .holds()
        .any(|(attempt, _)| !state.open.contains_key(attempt))
        || state.open.keys().any(|attempt| state.ledger.hold(attempt).is_none())
    {
        return Err("an open attempt has no hold, or a hold no open attempt");
    }
    if !state
        .ledger
        .budgets()
        .map(|spec| &spec.name)
        .eq(state.budgets.declared.keys())
    {
        return Err("it does not say of each budget, and of no other, where it was declared");
    }
    let own =
        |(name, agent): (&AgentName, &AgentState)| agent.record.as_ref().is_none_or(|record| record.name == *name);
    if !state.agents.iter().all(own) {
        return Err("an agent has another one's manifest");
    }
    Ok(())
}
