//! Replays of policies, for administrators: what they compare is read and compiled here, what comes out the crate `replay`
//! computes.

use std::sync::Arc;

use entry::Entry;
use futures_util::{StreamExt as _, pin_mut};
use policy::{AgentFacts, Bundle, EntityChange, Sources};
use replay::{Replay, ReplayOrder, ReplayReport, Veil};
use store::Batch;

use crate::{Actor, AdminError, Control, LoadProblem, Permission, stored};

/// How many batches of the log are worked through before requests get their turn.
const BATCHES: usize = 256;
/// How many files a set has at most.
const FILES_MAX: usize = 10_000;

fn check(order: &ReplayOrder) -> Result<(), AdminError> {
    if order.since >= order.until {
        let message = "the period ends before it begins: `since` has to lie before `until`";
        return Err(AdminError::Invalid(message.to_owned()));
    }
    for sources in [Some(&order.candidate), order.against.as_ref()].into_iter().flatten() {
        let files = [&sources.schemas, &sources.policies, &sources.entities].map(Vec::len);
        if files.iter().sum::<usize>() > FILES_MAX {
            let message = format!("a set of policies has at most {FILES_MAX} files");
            return Err(AdminError::Invalid(message));
        }
    }
    Ok(())
}

/// Takes what batches hold. `false` once nothing more can come.
fn take_batches(replay: &mut Replay, batches: &[Batch]) -> Result<bool, Stopped> {
    for batch in batches {
        for (_, bytes) in batch.kept().map_err(|error| Stopped::Damaged(Box::new(error)))? {
            let entry = Entry::decode(bytes).map_err(|error| Stopped::Damaged(Box::new(error)))?;
            if !replay.take(&entry).map_err(Stopped::Broken)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
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
        check(&order)?;
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
        let agents: Vec<AgentFacts> = tenant.agents.values().map(|agent| replay::facts(agent)).collect();
        let mut replay = blocking(move || {
            let stored: Result<Vec<_>, _> = rows.iter().map(|row| stored::put(&row.name, &row.record)).collect();
            let stored = stored.map_err(|message| vec![LoadProblem::of("stored entities", message)])?;
            let compiled = |sources: &Sources| compiled(sources, &agents, &stored);
            let base = order.against.as_ref().map(compiled).transpose()?;
            let in_effect = base.is_none().then_some(in_effect);
            let candidate = compiled(&order.candidate)?;
            let name = order.tenant.clone();
            let veil: Veil = Arc::new(move |text| control.privacy().veil(&name, text));
            let base = (base.unwrap_or(bundle), in_effect);
            Ok(Replay::new(order, agents, base, candidate, veil))
        })
        .await?
        .map_err(AdminError::Problems)?;
        let batches = self.reader().batches(replay.tenant(), 0).ready_chunks(BATCHES);
        pin_mut!(batches);
        while let Some(chunk) = batches.next().await {
            let chunk: Vec<Batch> = chunk.into_iter().collect::<Result<_, _>>()?;
            let (returned, goes_on) = blocking(move || {
                let goes_on = take_batches(&mut replay, &chunk);
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
        Ok(replay.report())
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
