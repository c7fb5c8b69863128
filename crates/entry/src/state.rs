//! The fold of a tenant's log: the server's live state and a verifier's are this one type.

use std::collections::{BTreeMap, HashMap, VecDeque};

use ledger::{Attempt, Breakers, Hold, Ledger, LedgerError, Rates};
use model::{AdminName, AgentName, Digest, KeyId, NanoUsd, TenantName, Timestamp, UpstreamName, UsageSource};
use serde::{Deserialize, Serialize};

use crate::{
    Entry, EntryError, Event, Repeats,
    action::{Action, Closed, Denial, Intent, Outcome, Replay, Tokens},
    agents::{AgentState, KeyState},
    allowance::Spooled,
    ask::Asks,
    budgets::{BudgetFacts, LastEdit},
    distrust::Distrust,
    error::unknown,
    evidence::Evidence,
    pep::Peps,
    record::{AdminRecord, PolicyFile, UpstreamRecord},
    rules::Counted,
};

/// An intent whose outcome is not known yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenIntent {
    /// Its entry.
    pub index: u64,
    /// Whose it is.
    pub agent: AgentName,
    /// Its idempotency key, as the entry has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<String>,
    /// The upstream.
    pub upstream: UpstreamName,
    /// The model, as the request spells it.
    pub model: String,
    /// The output limit that was sent, in tokens.
    pub limit: u64,
    /// The output that the hold reserves for, where that is not `limit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<u64>,
    /// The tokens that are reserved, where they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
    /// Whether it was let through on the agent's allowance.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spooled: bool,
}

/// The fold of one tenant's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Whose log.
    pub tenant: TenantName,
    /// The version of the last entry: versions never go back.
    pub version: u32,
    /// How many entries were folded: the index of the next.
    pub size: u64,
    /// The time of the last entry.
    pub time: Timestamp,
    /// The control epoch: how many entries changed what decisions depend on.
    pub epoch: u64,
    /// The last start that the log knows of.
    pub boot: u64,
    /// Budgets and holds.
    pub ledger: Ledger,
    /// Where budgets were declared, and who changed them.
    pub budgets: BudgetFacts,
    /// Attempts that wait for an administrator.
    pub asks: Asks,
    /// Rate limits, and what went through them lately.
    pub rates: Rates,
    /// Circuit breakers, and what they saw lately.
    pub breakers: Breakers,
    /// What rules count of requests.
    pub counted: Counted,
    /// Agents by name.
    pub agents: HashMap<AgentName, AgentState>,
    /// Credentials by id, revoked ones too.
    pub keys: BTreeMap<KeyId, KeyState>,
    /// Enforcement points, their credentials and questions, and the version of the entities.
    pub peps: Peps,
    /// Administrators by name.
    pub admins: BTreeMap<AdminName, AdminRecord>,
    /// Attempts that have not ended.
    pub open: HashMap<Attempt, OpenIntent>,
    /// Idempotency keys that were used lately.
    pub repeats: Repeats,
    /// The last record of each policy file, and its entry.
    pub policy_files: BTreeMap<String, (PolicyFile, u64)>,
    /// The bundle in effect and its entry.
    pub bundle: Option<(Digest, u64)>,
    /// The price book in effect and its entry.
    pub prices: Option<(Digest, u64)>,
    /// The upstreams in effect.
    pub upstreams: Vec<UpstreamRecord>,
    /// What was taken from spools.
    pub spooled: Spooled,
    /// Everything booked so far.
    pub spent: NanoUsd,
    /// Everything booked past a hold so far.
    pub overrun: NanoUsd,
    /// The models that are not trusted to keep to output limits, by upstream and as requests spell them.
    pub distrusted: BTreeMap<(UpstreamName, String), Distrust>,
    /// What the log says of itself.
    pub evidence: Evidence,
    /// What has to be the next entries, because it follows from the last outcome.
    pub owed: VecDeque<Event>,
}

impl State {
    /// The state of an empty log.
    pub fn new(tenant: TenantName) -> Self {
        Self {
            tenant,
            version: 0,
            size: 0,
            time: Timestamp::default(),
            epoch: 0,
            boot: 0,
            ledger: Ledger::default(),
            budgets: BudgetFacts::default(),
            asks: Asks::new(),
            rates: Rates::default(),
            breakers: Breakers::default(),
            counted: Counted::default(),
            agents: HashMap::new(),
            keys: BTreeMap::new(),
            peps: Peps::default(),
            admins: BTreeMap::new(),
            open: HashMap::new(),
            repeats: Repeats::default(),
            policy_files: BTreeMap::new(),
            bundle: None,
            prices: None,
            upstreams: Vec::new(),
            spooled: Spooled::default(),
            spent: NanoUsd::ZERO,
            overrun: NanoUsd::ZERO,
            distrusted: BTreeMap::new(),
            evidence: Evidence::default(),
            owed: VecDeque::new(),
        }
    }

    /// Takes the next entry, or says why it cannot be the next. After an error nothing has changed: every check comes
    /// before the first write.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), EntryError> {
        self.check_order(entry)?;
        self.check_owed(&entry.event)?;
        let advances = self.advances_epoch(&entry.event);
        match &entry.event {
            Event::Intent(intent) => self.intent(intent, entry)?,
            Event::Outcome(outcome) => self.outcome(outcome, entry)?,
            Event::Denial(denial) => self.denial(denial, entry.time)?,
            Event::Replay(Replay { action, .. }) => {
                self.check_action(action)?;
                self.count(action, entry.time);
            }
            Event::AgentLoaded { agent, .. } => self.agent_loaded(agent)?,
            Event::AgentRemoved { agent, .. } => self.agent_removed(agent)?,
            Event::AllowanceHeld(allowance) => self.allowance_held(allowance, entry)?,
            Event::AllowanceReleased { agent } => self.ledger.release_allowance(agent, entry.time)?,
            Event::SpoolApplied(applied) => self.spool_applied(applied)?,
            Event::BudgetLoaded {
                budget, declared, note, ..
            } => self.budget_loaded(budget, *declared, note, entry.time)?,
            Event::BudgetRemoved { budget, .. } => self.budget_removed(budget, entry.time)?,
            Event::BudgetEdited {
                budget,
                unit,
                edit,
                note,
                by,
            } => {
                let at = entry.time;
                let (by, note) = (by.clone(), note.clone());
                self.budget_edited(budget, *unit, edit, LastEdit { by, note, at })?;
            }
            Event::LimitLoaded { limit, .. } => self.limit_loaded(limit, entry.time),
            Event::LimitRemoved { limit, .. } => self.limit_removed(limit)?,
            Event::BreakerLoaded { breaker, .. } => self.breaker_loaded(breaker)?,
            Event::BreakerRemoved { breaker, .. } => self.breaker_removed(breaker)?,
            Event::BreakerTripped(trip) => self.breaker_tripped(trip, entry.time)?,
            Event::BreakerClosed(closing) => self.breakers.close(closing)?,
            Event::BreakerReset { breaker, of, note, .. } => self.breaker_reset(breaker, of, note, entry.time)?,
            // Evidence: what they follow from did what they say.
            Event::ThresholdReached(_) | Event::BreakerWarned(_) => {}
            Event::Asked(asked) => self.asked(asked, entry.time)?,
            Event::AskRefused(refused) => self.ask_refused(refused)?,
            Event::AskEnded(ended) => self.ask_ended(ended)?,
            Event::KeyIssued { key, .. } => self.key_issued(key, entry.time)?,
            Event::KeyRevoked { key, .. } => self.key_revoked(key, entry.time)?,
            Event::AdminAdded { admin, .. } => {
                self.admins.insert(admin.name.clone(), admin.clone());
            }
            Event::AdminRemoved { admin, .. } => {
                self.admins
                    .remove(admin)
                    .ok_or_else(|| unknown("administrator", admin))?;
            }
            Event::PolicyFile(file) => {
                self.policy_files.insert(file.file.clone(), (file.clone(), entry.index));
            }
            Event::PolicyLoaded { bundle, files, .. } => self.policy_loaded(*bundle, files, entry)?,
            Event::PricesLoaded { book, .. } => self.prices = Some((*book, entry.index)),
            Event::UpstreamsLoaded { upstreams, .. } => self.upstreams.clone_from(upstreams),
            Event::Started { boot, .. } => self.started(*boot)?,
            Event::Stopped { boot, .. } => self.stopped(*boot, entry.v)?,
            Event::Overrun(overrun) => self.overrun(overrun, entry),
            Event::OverrunCleared { upstream, model, .. } => self.overrun_cleared(upstream, model)?,
            Event::PepLoaded { pep, .. } => self.pep_loaded(pep, entry.time),
            Event::PepRemoved { pep, .. } => self.pep_removed(pep, entry.time)?,
            Event::PepKeyIssued { key, .. } => self.pep_key_issued(key, entry.time)?,
            Event::EntitiesChanged {
                version, put, removed, ..
            } => self.entities_changed(*version, put.saturating_add(*removed), entry.time)?,
            Event::Decided(decided) => self.decided(decided, entry.time)?,
            Event::Heads { boot, heads } => self.heads(*boot, heads)?,
            Event::Heartbeat { boot, .. } => self.check_boot(*boot)?,
            Event::SigningKeyAdded { key, beside, .. } => self.signing_key_added(key, beside)?,
            Event::SigningKeyRetired { key, .. } => self.signing_key_retired(key)?,
            Event::Restored { .. } => self.evidence.restores += 1,
            Event::QuorumMissed { absent, .. } => self.quorum_missed(absent, entry.index)?,
            Event::QuorumMet { .. } => self.quorum_met()?,
            Event::ForkReported { witness, .. } => self.fork_reported(witness)?,
            Event::SnapshotTaken { digest } => self.evidence.snapshot = Some((entry.index, *digest)),
            Event::Expired(expired) => self.expired(expired, entry.index)?,
            Event::LegalHoldSet { name, by, .. } => self.legal_hold_set(name, by)?,
            Event::LegalHoldLifted { name, .. } => self.legal_hold_lifted(name)?,
        }
        // What was owed before this entry is this entry; what this entry owes was put behind it.
        if self.owed.front().is_some_and(|owed| *owed == entry.event) {
            self.owed.pop_front();
        }
        self.version = entry.v;
        self.time = entry.time;
        self.epoch += u64::from(advances);
        self.size += 1;
        Ok(())
    }

    fn check_order(&self, entry: &Entry) -> Result<(), EntryError> {
        entry.check_version()?;
        if entry.v < self.version {
            return Err(EntryError::Older {
                last: self.version,
                found: entry.v,
            });
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

    /// Checks who acts: an agent and a credential of its own, both introduced before, and the agent's next action.
    pub(crate) fn check_action(&self, action: &Action) -> Result<(), EntryError> {
        let unknown_agent = || unknown("agent", &action.agent);
        let expected = self.agents.get(&action.agent).ok_or_else(unknown_agent)?.seq + 1;
        if action.seq != expected {
            return Err(EntryError::Sequence {
                agent: action.agent.clone(),
                expected,
                found: action.seq,
            });
        }
        let key = self.keys.get(&action.key).ok_or_else(|| unknown("key", &action.key))?;
        if key.record.agent != action.agent {
            return Err(EntryError::Mismatch("the credential is another agent's"));
        }
        Ok(())
    }

    /// Counts an action that [`State::check_action`] found in order.
    pub(crate) fn count(&mut self, action: &Action, at: Timestamp) {
        if let Some(agent) = self.agents.get_mut(&action.agent) {
            agent.seq = action.seq;
        }
        if let Some(key) = self.keys.get_mut(&action.key) {
            key.last_used = Some(at);
        }
    }

    /// Checks what an action must have to be forwarded, on top of what a refused one has: an agent that is not removed,
    /// and a credential that is not revoked.
    pub(crate) fn check_standing(&self, action: &Action) -> Result<(), EntryError> {
        let Action { agent, key, .. } = action;
        if self.agents.get(agent).is_none_or(|agent| agent.record.is_none()) {
            return Err(EntryError::Mismatch("the agent was removed"));
        }
        if self.keys.get(key).is_none_or(|key| key.revoked.is_some()) {
            return Err(EntryError::Mismatch("the credential was revoked"));
        }
        Ok(())
    }

    /// Checks that a call is not paid for a second time.
    fn check_repeat(&self, intent: &Intent, now: Timestamp) -> Result<(), EntryError> {
        let Some(key) = &intent.idempotency else {
            return Ok(());
        };
        match self.repeats.find(&intent.action.agent, key, now) {
            Some(action) if action != intent.action.id => {
                Err(EntryError::Mismatch("the idempotency key is another call's"))
            }
            _ => Ok(()),
        }
    }

    fn intent(&mut self, intent: &Intent, entry: &Entry) -> Result<(), EntryError> {
        self.check_action(&intent.action)?;
        if intent.spooled.is_some() {
            self.carve(intent)?;
        } else {
            self.check_standing(&intent.action)?;
            self.check_budgets(intent)?;
            self.check_answer(intent)?;
            self.check_repeat(intent, entry.time)?;
            self.check_bound(intent)?;
            self.check_rates(intent, entry.time)?;
            self.check_breakers(intent, entry.time)?;
            let hold = Hold {
                amount: intent.charge(),
                bookings: intent.bookings.clone(),
                expires: intent.expires,
                boot: intent.boot,
            };
            self.ledger.place(intent.attempt(), hold, entry.time)?;
            self.take_rates(intent, entry.time)?;
            self.watch(intent, entry.time);
        }
        self.count(&intent.action, entry.time);
        let Action { agent, id, .. } = &intent.action;
        if let Some(key) = &intent.idempotency {
            self.repeats.used(agent, key, *id, entry.time);
        }
        let open = OpenIntent {
            index: entry.index,
            agent: agent.clone(),
            idempotency: intent.idempotency.clone(),
            upstream: intent.action.upstream.clone(),
            model: intent.action.model.clone(),
            limit: intent.limit,
            bound: intent.bound,
            tokens: intent.tokens,
            spooled: intent.spooled.is_some(),
        };
        self.asks.remove(&intent.attempt());
        self.open.insert(intent.attempt(), open);
        Ok(())
    }

    fn outcome(&mut self, outcome: &Outcome, entry: &Entry) -> Result<(), EntryError> {
        let attempt = outcome.attempt();
        let not_held = LedgerError::NotHeld(attempt);
        let (Some(open), Some(hold)) = (self.open.get(&attempt), self.ledger.hold(&attempt)) else {
            return Err(not_held.into());
        };
        if open.index != outcome.intent {
            return Err(EntryError::Mismatch("the outcome names another entry as its intent"));
        }
        let held = hold.amount;
        if outcome.cost.saturating_sub(held.money).at_least_zero() != outcome.overrun {
            return Err(EntryError::Mismatch(
                "the overrun is not what was booked above the hold",
            ));
        }
        let booked = outcome.charge(&held);
        let overrun = Self::overrun_of(outcome, open, &held, &booked, entry);
        let mut ended = if outcome.spooled.is_some() {
            if !open.spooled {
                return Err(EntryError::Mismatch("the call was not let through on an allowance"));
            }
            let agent = open.agent.clone();
            self.end_carved(&agent, outcome, &booked, entry.time)?
        } else {
            self.ledger.end(attempt, &booked, entry.time)?
        };
        self.rates.end(&attempt, &booked, entry.time);
        self.owed.extend(overrun);
        self.owed.extend(Self::thresholds_of(&mut ended, entry.index));
        self.watch_end(outcome, entry.time);
        if let Some(OpenIntent {
            agent,
            idempotency: Some(key),
            ..
        }) = self.open.remove(&attempt)
        {
            let unused = outcome.source == UsageSource::Nothing;
            self.repeats.ended(&agent, &key, outcome.action, unused);
        }
        self.spent = self.spent.saturating_add(outcome.cost);
        self.overrun = self.overrun.saturating_add(outcome.overrun);
        Ok(())
    }

    /// A refusal of what waited ends the waiting; one for want of another pot makes room.
    fn denial(&mut self, denial: &Denial, now: Timestamp) -> Result<(), EntryError> {
        let Denial { action, over, .. } = denial;
        self.check_action(action)?;
        self.count(action, now);
        self.end_asks_of(action);
        if let Some(over) = over.as_ref().filter(|over| over.closed == Some(Closed::Crowded)) {
            self.ledger.crowded(&over.budget, now);
        }
        Ok(())
    }

    fn policy_loaded(&mut self, bundle: Digest, files: &[u64], entry: &Entry) -> Result<(), EntryError> {
        for file in files {
            if !self.policy_files.values().any(|(_, entry)| entry == file) {
                return Err(unknown("policy file of entry", file));
            }
        }
        self.policy_files.retain(|_, (_, file)| files.contains(file));
        if let Some((_, before)) = self.bundle.replace((bundle, entry.index)) {
            self.peps.bundle_gone(before, entry.time);
        }
        Ok(())
    }
}
