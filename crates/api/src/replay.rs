//! What other policies would have decided.

use axum::{Json, extract::State};
use control::{AdminError, PolicySource, PolicySources, ReplayOrder, ReplayReport};
use jiff::Zoned;
use model::Timestamp;

use crate::{caller::Caller, cost::time, input::Long, listener::Shared, problem::Problem, wire};

/// The longest body, in bytes: two sets of policies with some 100,000 entities each.
pub(crate) const BODY_MAX: usize = 64 * 1024 * 1024;

/// Puts recorded decisions to other policies.
pub(crate) async fn replay(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Long(proposed): Long<wire::ReplayPolicies, BODY_MAX>,
) -> Result<Json<ReplayReport>, Problem> {
    let order = order(proposed, &jiff::Timestamp::now())?;
    Ok(Json(shared.control.replay_policies(&actor, order).await?))
}

fn order(proposed: wire::ReplayPolicies, now: &jiff::Timestamp) -> Result<ReplayOrder, AdminError> {
    let now: Zoned = now.to_zoned(time::zone(&proposed.zone)?);
    let until = match &proposed.until {
        Some(until) => time::instant("until", until, &now)?,
        None => Timestamp::from_unix_micros(now.timestamp().as_microsecond()),
    };
    Ok(ReplayOrder {
        tenant: proposed.tenant,
        since: time::instant("since", &proposed.since, &now)?,
        until,
        agent: proposed.agent,
        pep: proposed.pep,
        action: proposed.action,
        candidate: sources(proposed.candidate),
        against: proposed.against.map(sources),
    })
}

fn sources(files: wire::PolicyFiles) -> PolicySources {
    let sources = |files: Vec<wire::PolicyFile>| {
        let sources = files
            .into_iter()
            .map(|wire::PolicyFile { file, text }| PolicySource { file, text });
        sources.collect()
    };
    PolicySources {
        schemas: sources(files.schemas),
        policies: sources(files.policies),
        entities: sources(files.entities),
    }
}
