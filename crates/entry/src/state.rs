//! The fold of a tenant's log: the server's live state and a verifier's are this one type.

use std::collections::{BTreeMap, HashMap};

use ledger::{Attempt, Hold, Ledger, LedgerError};
use model::{AdminName, AgentName, Digest, KeyId, NanoUsd, TenantName, Timestamp};

use crate::{
    Entry, Event, VERSION,
    event::{Action, Denial, Intent, Outcome},
    record::{AdminRecord, AgentRecord, KeyRecord, UpstreamRecord},
};

/// Why an entry does not follow from the ones before it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EntryError {
    /// Not an entry.
    #[error("not a readable entry: {0}")]
    Unreadable(String),
    /// Written by another version of the program.
    #[error("the entry has version {0}; this program reads up to version {VERSION}")]
    Version(u32),
    /// Above the hard cap.
    #[error("an entry of kind {kind} has {bytes} bytes, at most {max} are allowed", max = crate::MAX_ENTRY_BYTES)]
    TooLong {
        /// The kind.
        kind: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// Another tenant's entry.
    #[error("an entry of tenant {found} in the log of tenant {expected}")]
    Tenant {
        /// Whose log it is.
        expected: TenantName,
        /// Whose entry it is.
        found: TenantName,
    },
    /// A gap or a repetition.
    #[error("expected the entry with index {expected}, found {found}")]
    Index {
        /// What should come.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// Time went backwards.
    #[error("the entry's time {found} lies before {last}, that of the entry before it (microseconds since 1970)")]
    Time {
        /// The time of the entry before.
        last: i64,
        /// The entry's.
        found: i64,
    },
    /// An agent's actions are not dense.
    #[error("expected action {expected} of agent {agent}, found {found}")]
    Sequence {
        /// The agent.
        agent: AgentName,
        /// What should come.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// An outcome that fits no open intent.
    #[error("the outcome does not match its intent: {0}")]
    Mismatch(&'static str),
    /// An entry about something the log never introduced.
    #[error("the entry names {what} {name:?}, which the log has not introduced")]
    Unknown {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The ledger refuses it.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// A credential and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyState {
    /// As it was issued.
    pub record: KeyRecord,
    /// When it was issued.
    pub issued: Timestamp,
    /// When it was revoked, if it was.
    pub revoked: Option<Timestamp>,
    /// When it last named an intent or a denial.
    pub last_used: Option<Timestamp>,
}

/// An agent and how far its actions are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentState {
    /// The manifest in effect; `None` once it was removed.
    pub record: Option<AgentRecord>,
    /// The last sequence number.
    pub seq: u64,
}

/// An intent whose outcome is not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenIntent {
    /// Its entry.
    pub index: u64,
    /// Whose it is.
    pub agent: AgentName,
}

/// The fold of one tenant's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Whose log.
    pub tenant: TenantName,
    /// How many entries were folded: the index of the next.
    pub size: u64,
    /// The time of the last entry.
    pub time: Timestamp,
    /// The control epoch: how many entries changed what decisions depend on.
    pub epoch: u64,
    /// How often the server started (in the log of the reserved tenant).
    pub boot: u64,
    /// Budgets and holds.
    pub ledger: Ledger,
    /// Agents by name.
    pub agents: HashMap<AgentName, AgentState>,
    /// Credentials by id, revoked ones too.
    pub keys: BTreeMap<KeyId, KeyState>,
    /// Administrators by name.
    pub admins: BTreeMap<AdminName, AdminRecord>,
    /// Attempts that have not ended.
    pub open: HashMap<Attempt, OpenIntent>,
    /// The last text of each policy file, and its entry.
    pub policy_files: BTreeMap<String, (String, u64)>,
    /// The bundle in effect and its entry.
    pub bundle: Option<(Digest, u64)>,
    /// The price book in effect and its entry.
    pub prices: Option<(Digest, u64)>,
    /// The upstreams in effect.
    pub upstreams: Vec<UpstreamRecord>,
    /// Everything booked so far.
    pub spent: NanoUsd,
    /// Everything booked past a hold so far.
    pub overrun: NanoUsd,
}

impl State {
    /// The state of an empty log.
    pub fn new(tenant: TenantName) -> Self {
        Self {
            tenant,
            size: 0,
            time: Timestamp::default(),
            epoch: 0,
            boot: 0,
            ledger: Ledger::default(),
            agents: HashMap::new(),
            keys: BTreeMap::new(),
            admins: BTreeMap::new(),
            open: HashMap::new(),
            policy_files: BTreeMap::new(),
            bundle: None,
            prices: None,
            upstreams: Vec::new(),
            spent: NanoUsd::ZERO,
            overrun: NanoUsd::ZERO,
        }
    }

    /// Takes the next entry, or says why it cannot be the next. After an error the state is not to be used again.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), EntryError> {
        self.check_order(entry)?;
        self.time = entry.time;
        match &entry.event {
            Event::Intent(intent) => self.intent(intent, entry)?,
            Event::Outcome(outcome) => self.outcome(outcome)?,
            Event::Denial(Denial { action, .. }) => self.count(action, entry.time)?,
            Event::AgentLoaded { agent, .. } => {
                for budget in &agent.budgets {
                    self.ledger.balance(budget, entry.time)?;
                }
                let seq = self.agents.get(&agent.name).map_or(0, |known| known.seq);
                self.agents.insert(
                    agent.name.clone(),
                    AgentState {
                        record: Some(agent.clone()),
                        seq,
                    },
                );
            }
            Event::AgentRemoved { agent, .. } => {
                let known = self.agents.get_mut(agent).ok_or_else(|| unknown("agent", agent))?;
                known.record = None;
            }
            Event::BudgetLoaded { budget, .. } => self.ledger.define(budget.clone(), entry.time),
            Event::KeyIssued { key, .. } => self.key_issued(key, entry.time)?,
            Event::KeyRevoked { key, .. } => {
                let known = self.keys.get_mut(key).ok_or_else(|| unknown("key", key))?;
                known.revoked.get_or_insert(entry.time);
            }
            Event::AdminAdded { admin, .. } => {
                self.admins.insert(admin.name.clone(), admin.clone());
            }
            Event::AdminRemoved { admin, .. } => {
                self.admins
                    .remove(admin)
                    .ok_or_else(|| unknown("administrator", admin))?;
            }
            Event::PolicyFile(file) => {
                self.policy_files
                    .insert(file.file.clone(), (file.text.clone(), entry.index));
            }
            Event::PolicyLoaded { bundle, files, .. } => self.policy_loaded(*bundle, files, entry.index)?,
            Event::PricesLoaded { book, .. } => self.prices = Some((*book, entry.index)),
            Event::UpstreamsLoaded { upstreams, .. } => self.upstreams.clone_from(upstreams),
            Event::Started { boot, .. } => self.started(*boot)?,
            Event::Stopped { .. } => {}
        }
        self.epoch += u64::from(entry.event.advances_epoch());
        self.size += 1;
        Ok(())
    }

    fn check_order(&self, entry: &Entry) -> Result<(), EntryError> {
        if entry.v != VERSION {
            return Err(EntryError::Version(entry.v));
        }
        if entry.tenant != self.tenant {
            return Err(EntryError::Tenant {
                expected: self.tenant.clone(),
                found: entry.tenant.clone(),
            });
        }
        if entry.index != self.size {
            return Err(EntryError::Index {
                expected: self.size,
                found: entry.index,
            });
        }
        if entry.time < self.time {
            return Err(EntryError::Time {
                last: self.time.unix_micros(),
                found: entry.time.unix_micros(),
            });
        }
        Ok(())
    }

    fn count(&mut self, action: &Action, at: Timestamp) -> Result<(), EntryError> {
        let agent = self
            .agents
            .get_mut(&action.agent)
            .ok_or_else(|| unknown("agent", &action.agent))?;
        if action.seq != agent.seq + 1 {
            let (agent, expected) = (action.agent.clone(), agent.seq + 1);
            return Err(EntryError::Sequence {
                agent,
                expected,
                found: action.seq,
            });
        }
        agent.seq = action.seq;
        let key = self
            .keys
            .get_mut(&action.key)
            .ok_or_else(|| unknown("key", &action.key))?;
        key.last_used = Some(at);
        Ok(())
    }

    fn intent(&mut self, intent: &Intent, entry: &Entry) -> Result<(), EntryError> {
        self.count(&intent.action, entry.time)?;
        let hold = Hold {
            amount: intent.hold,
            bookings: intent.bookings.clone(),
            expires: intent.expires,
            boot: intent.boot,
        };
        self.ledger.place(intent.attempt(), hold, entry.time)?;
        let open = OpenIntent {
            index: entry.index,
            agent: intent.action.agent.clone(),
        };
        self.open.insert(intent.attempt(), open);
        Ok(())
    }

    fn outcome(&mut self, outcome: &Outcome) -> Result<(), EntryError> {
        let attempt = Attempt {
            action: outcome.action,
            number: outcome.attempt,
        };
        let open = self.open.remove(&attempt).ok_or(LedgerError::NotHeld(attempt))?;
        if open.index != outcome.intent {
            return Err(EntryError::Mismatch("it names another entry as its intent"));
        }
        let ended = self.ledger.end(attempt, outcome.cost)?;
        if ended.overrun != outcome.overrun {
            return Err(EntryError::Mismatch("its overrun is not what it booked above the hold"));
        }
        self.spent = self.spent.saturating_add(outcome.cost);
        self.overrun = self.overrun.saturating_add(outcome.overrun);
        Ok(())
    }

    fn key_issued(&mut self, key: &KeyRecord, issued: Timestamp) -> Result<(), EntryError> {
        if !self.agents.contains_key(&key.agent) {
            return Err(unknown("agent", &key.agent));
        }
        let state = KeyState {
            record: key.clone(),
            issued,
            revoked: None,
            last_used: None,
        };
        match self.keys.insert(key.id.clone(), state) {
            None => Ok(()),
            Some(_) => Err(EntryError::Mismatch("a credential of this id was issued before")),
        }
    }

    fn policy_loaded(&mut self, bundle: Digest, files: &[u64], index: u64) -> Result<(), EntryError> {
        for file in files {
            if !self.policy_files.values().any(|(_, entry)| entry == file) {
                return Err(unknown("policy file of entry", file));
            }
        }
        self.policy_files.retain(|_, (_, entry)| files.contains(entry));
        self.bundle = Some((bundle, index));
        Ok(())
    }

    fn started(&mut self, boot: u64) -> Result<(), EntryError> {
        if boot != self.boot + 1 {
            return Err(EntryError::Mismatch("its boot number does not follow the one before"));
        }
        self.boot = boot;
        Ok(())
    }
}

fn unknown(what: &'static str, name: &dyn ToString) -> EntryError {
    EntryError::Unknown {
        what,
        name: name.to_string(),
    }
}
