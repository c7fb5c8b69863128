//! What other policies would have decided: the recorded questions of a past period, put to two sets of policies.
//!
//! Every question is asked of both sets as it was asked then: a call through the gateway with what its intent or denial
//! says, of the sets as they are; a question of an enforcement point with its recorded input, of the sets with pseudonyms
//! in the place of people, for the log knows nobody's name (`docs/adr/0031-replays-know-people-by-pseudonyms.md`).
//! Manifests are those of the time; stored entities are those of now, for the log does not have them. What cannot be asked
//! again is counted with the reason, and so is what the first set does not answer as it was answered then.
//!
//! `recorded.rs` says how a question is recorded, `past.rs` follows the log, `ask.rs` makes questions of entries, `tally.rs`
//! counts, `report.rs` tells.

mod ask;
mod past;
mod recorded;
mod report;
mod tally;

use std::sync::Arc;

use entry::{Entry, Event};
use model::{AgentName, PepName, TenantName, Timestamp};
use policy::{AgentFacts, Bundle, Sources};

pub use self::{
    ask::Veil,
    past::facts,
    recorded::{INCOMPLETE, recorded},
    report::{NotReplayed, ReplayAnswer, ReplayChange, ReplayDay, ReplayExample, ReplayReport, ReplaySet, Unlike},
};
use self::{
    ask::{Asked, Side, asked},
    past::Past,
    tally::Tally,
};

/// A period, and the policies that its decisions are put to.
#[derive(Clone, Debug)]
pub struct ReplayOrder {
    /// Whose log.
    pub tenant: TenantName,
    /// From when decisions count.
    pub since: Timestamp,
    /// Up to when.
    pub until: Timestamp,
    /// Only what this agent asked, or was asked about it as the subject.
    pub agent: Option<AgentName>,
    /// Only what this enforcement point asked.
    pub pep: Option<PepName>,
    /// Only this action.
    pub action: Option<String>,
    /// The policies in question.
    pub candidate: Sources,
    /// What they are compared with; what is in effect if `None`.
    pub against: Option<Sources>,
}

/// A replay on its way through the log.
pub struct Replay {
    order: ReplayOrder,
    past: Past,
    base: Side,
    candidate: Side,
    tally: Tally,
    /// The entry that put the base in effect and the version of the stored entities, where it is what is in effect.
    in_effect: Option<(u64, u64)>,
}

impl Replay {
    /// Before the log's first entry. Both sets have the manifests of `agents`; `in_effect` is the entry that put the base in
    /// effect and the version of the stored entities, where it is what is in effect.
    pub fn new(
        order: ReplayOrder,
        agents: Vec<AgentFacts>,
        (base, in_effect): (Arc<Bundle>, Option<(u64, u64)>),
        candidate: Arc<Bundle>,
        veil: Veil,
    ) -> Self {
        Self {
            past: Past::new(&order.candidate.schemas, agents),
            base: Side::new(base, veil.clone()),
            candidate: Side::new(candidate, veil),
            tally: Tally::default(),
            in_effect,
            order,
        }
    }

    /// The log that it reads.
    pub fn tenant(&self) -> &TenantName {
        &self.order.tenant
    }

    /// What has come out so far.
    pub fn report(&self) -> ReplayReport {
        let sides = [&self.base, &self.candidate];
        report::report(&self.order, sides, &self.tally, self.in_effect.map(|(entry, _)| entry))
    }

    /// Takes the next entry of the log. `false` once nothing more can come.
    ///
    /// # Errors
    /// A mistake of this code, in words.
    pub fn take(&mut self, entry: &Entry) -> Result<bool, String> {
        let over = entry.time >= self.order.until;
        if over && !self.tally.awaits() {
            return Ok(false);
        }
        if let Event::Outcome(outcome) = &entry.event {
            self.tally.ended(outcome);
        }
        if !over && entry.time >= self.order.since {
            for asked in asked(entry, &self.order, &self.past) {
                self.ask(&asked)?;
            }
        }
        self.past.take(entry);
        Ok(true)
    }

    fn ask(&mut self, asked: &Asked<'_>) -> Result<(), String> {
        let question = match &asked.question {
            Ok(question) => question,
            Err(missing) => {
                self.tally.missing(*missing, asked);
                return Ok(());
            }
        };
        if let Some((put, removed)) = self.past.changed_agents() {
            self.base.set_agents(&put, &removed)?;
            self.candidate.set_agents(&put, &removed)?;
        }
        let answers = (self.base.answer(question)?, self.candidate.answer(question)?);
        match answers {
            (Ok(before), Ok(after)) => {
                let same_bundle = self.in_effect == Some(asked.by);
                if question.is_of_pep() && !self.past.has_schemas() {
                    self.tally.other_schema += 1;
                }
                self.tally.count(asked, &before, &after, same_bundle);
            }
            (Err(missing), _) | (_, Err(missing)) => self.tally.missing(missing, asked),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
