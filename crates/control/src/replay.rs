//! What other policies would have decided: the recorded questions of a past period, put to two sets of policies.
//!
//! Every question is asked of both sets as it was asked then: a call through the gateway with what its intent or denial
//! says, of the sets as they are; a question of an enforcement point with its recorded input, of the sets with pseudonyms
//! in the place of people, for the log knows nobody's name (`docs/adr/0031-replays-know-people-by-pseudonyms.md`).
//! Manifests are those of the time; stored entities are those of now, for the log does not have them. What cannot be asked
//! again is counted with the reason, and so is what the first set does not answer as it was answered then.
//!
//! `past.rs` follows the log, `ask.rs` makes questions of entries, `tally.rs` counts.

mod ask;
mod past;
mod tally;

use std::sync::Arc;

use entry::{Entry, Event};
use futures_util::{StreamExt as _, pin_mut};
use model::{AgentName, PepName, TenantName, Timestamp};
use policy::{AgentFacts, Bundle, EntityChange, Sources};
use store::Batch;

pub(crate) use self::{
    ask::Side,
    tally::{Group, Spot, Tally},
};
use self::{
    ask::{Asked, asked},
    past::Past,
};
use crate::{Actor, AdminError, Control, LoadProblem, Permission, ReplayReport, report::replayed, stored};

/// How many batches of the log are worked through before requests get their turn.
const BATCHES: usize = 256;
/// How many files a set has at most.
const FILES_MAX: usize = 10_000;

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

impl ReplayOrder {
    fn check(&self) -> Result<(), AdminError> {
        if self.since >= self.until {
            let message = "the period ends before it begins: `since` has to lie before `until`";
            return Err(AdminError::Invalid(message.to_owned()));
        }
        for sources in [Some(&self.candidate), self.against.as_ref()].into_iter().flatten() {
            let files = [&sources.schemas, &sources.policies, &sources.entities].map(Vec::len);
            if files.iter().sum::<usize>() > FILES_MAX {
                let message = format!("a set of policies has at most {FILES_MAX} files");
                return Err(AdminError::Invalid(message));
            }
        }
        Ok(())
    }
}

/// A replay on its way through the log.
pub(crate) struct Replay {
    order: ReplayOrder,
    past: Past,
    base: Side,
    candidate: Side,
    tally: Tally,
    /// The entry that put the base in effect and the version of the stored entities, where it is what is in effect.
    in_effect: Option<(u64, u64)>,
}

impl Replay {
    /// Takes the next entry of the log. `false` once nothing more can come.
    fn take(&mut self, entry: &Entry) -> Result<bool, String> {
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

    /// Takes what batches hold. `false` once nothing more can come.
    fn take_batches(&mut self, batches: &[Batch]) -> Result<bool, Stopped> {
        for batch in batches {
            for (_, bytes) in batch.kept().map_err(|error| Stopped::Damaged(Box::new(error)))? {
                let entry = Entry::decode(bytes).map_err(|error| Stopped::Damaged(Box::new(error)))?;
                if !self.take(&entry).map_err(Stopped::Broken)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// Why a replay could not go on.
enum Stopped {
    /// What is stored cannot be read.
    Damaged(Box<dyn std::error::Error + Send + Sync>),
    /// A mistake of this code.
    Broken(String),
}

impl Control {
    /// A misspelt name would find nothing, and nothing would seem to change.
    async fn check_filters(&self, order: &ReplayOrder, bundle: &Bundle) -> Result<(), AdminError> {
        let view = self.committer().view(order.tenant.clone()).await?;
        if let Some(pep) = order.pep.as_ref().filter(|pep| !view.peps.contains_key(*pep)) {
            let (what, name) = ("enforcement point", pep.to_string());
            return Err(AdminError::NotFound { what, name });
        }
        if let Some(agent) = order.agent.as_ref().filter(|agent| !view.agents.contains_key(*agent)) {
            let (what, name) = ("agent", agent.to_string());
            return Err(AdminError::NotFound { what, name });
        }
        match order.action.as_ref().filter(|action| !bundle.has_action(action)) {
            Some(action) => {
                let name = action.clone();
                Err(AdminError::NotFound { what: "action", name })
            }
            None => Ok(()),
        }
    }

    /// Puts the recorded questions of a period to other policies: what they would have decided otherwise. Nothing takes
    /// effect. Reads the log from its beginning, beside the requests; one replay or simulation runs at a time.
    ///
    /// # Errors
    /// [`AdminError::Problems`] where a set of policies does not compile; why the log cannot be read.
    pub async fn replay_policies(&self, actor: &Actor, order: ReplayOrder) -> Result<ReplayReport, AdminError> {
        Self::require(actor, Permission::ReadAudit)?;
        order.check()?;
        let tenant = self.snapshot().tenants.get(&order.tenant).cloned();
        let Some(tenant) = tenant else {
            let name = order.tenant.to_string();
            return Err(AdminError::NotFound { what: "tenant", name });
        };
        let Ok(_turn) = self.inner.simulating.try_lock() else {
            let message = "another simulation or replay is running; try again when it is done";
            return Err(AdminError::Conflict(message.to_owned()));
        };
        self.check_filters(&order, &tenant.bundle).await?;
        let mut rows = Vec::new();
        if tenant.entities > 0 {
            self.reader().entities(&order.tenant, |page| rows.extend(page)).await?;
        }
        let (control, bundle) = (self.clone(), tenant.bundle.clone());
        let in_effect = (tenant.bundle_entry, tenant.entities);
        let agents: Vec<AgentFacts> = tenant.agents.values().map(|agent| past::facts(agent)).collect();
        let mut replay = blocking(move || {
            let stored: Result<Vec<_>, _> = rows.iter().map(|row| stored::put(&row.name, &row.record)).collect();
            let stored = stored.map_err(|message| vec![LoadProblem::of("stored entities", message)])?;
            let compiled = |sources: &Sources| compiled(sources, &agents, &stored);
            let base = order.against.as_ref().map(compiled).transpose()?;
            let in_effect = base.is_none().then_some(in_effect);
            let candidate = compiled(&order.candidate)?;
            let name = order.tenant.clone();
            let veil: ask::Veil = Arc::new(move |text| control.privacy().veil(&name, text));
            Ok(Replay {
                past: Past::new(&order.candidate.schemas, agents),
                base: Side::new(base.unwrap_or(bundle), veil.clone()),
                candidate: Side::new(candidate, veil),
                tally: Tally::default(),
                in_effect,
                order,
            })
        })
        .await?
        .map_err(AdminError::Problems)?;
        let batches = self.reader().batches(&replay.order.tenant, 0).ready_chunks(BATCHES);
        pin_mut!(batches);
        while let Some(chunk) = batches.next().await {
            let chunk: Vec<Batch> = chunk.into_iter().collect::<Result<_, _>>()?;
            let (returned, goes_on) = blocking(move || {
                let goes_on = replay.take_batches(&chunk);
                (replay, goes_on)
            })
            .await?;
            replay = returned;
            match goes_on {
                Ok(true) => {}
                Ok(false) => break,
                Err(Stopped::Damaged(error)) => return Err(self.damaged(&*error)),
                Err(Stopped::Broken(message)) => return Err(AdminError::Unavailable(message)),
            }
        }
        let Replay {
            order,
            base,
            candidate,
            tally,
            in_effect,
            ..
        } = &replay;
        Ok(replayed::report(
            order,
            [base, candidate],
            tally,
            in_effect.map(|(entry, _)| entry),
        ))
    }
}

/// A set of policies with everything that would stand beside it if it were in effect.
fn compiled(
    sources: &Sources,
    agents: &[AgentFacts],
    stored: &[EntityChange],
) -> Result<Arc<Bundle>, Vec<LoadProblem>> {
    let told = |problems: Vec<policy::Problem>| problems.into_iter().map(LoadProblem::from).collect::<Vec<_>>();
    let bundle = Bundle::compile(sources, agents).map_err(told)?;
    if stored.is_empty() {
        return Ok(Arc::new(bundle));
    }
    let bundle = bundle.with_entities(stored);
    let bundle = bundle.map_err(|problems| problems.into_iter().map(stored::stored_problem).collect::<Vec<_>>())?;
    Ok(Arc::new(bundle))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, AdminError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| AdminError::Unavailable(error.to_string()))
}

#[cfg(test)]
mod tests;
