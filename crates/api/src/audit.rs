//! The audit trail.

use std::time::Duration;

use axum::{Json, extract::State};
use control::EntryReport;
use model::TenantName;
use serde::Deserialize;

use crate::{
    caller::Caller,
    input::{Parameters, Segment},
    listener::Shared,
    problem::Problem,
    wire,
};

/// How many entries an answer has if the request does not say.
const ENTRIES: usize = 100;
/// How many it has at most.
const ENTRIES_MAX: usize = 1_000;
/// How long a long poll waits if the request does not say, and at most. Shorter than what any request may take.
const WAIT_S: u64 = 20;

/// Which entries.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    #[serde(default = "TenantName::default_tenant")]
    tenant: TenantName,
    /// The first; the last `limit` ones if absent.
    from: Option<u64>,
    limit: Option<usize>,
}

pub(crate) async fn list(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Parameters(which): Parameters<Which>,
) -> Result<Json<wire::Entries>, Problem> {
    let Which { tenant, from, limit } = which;
    let limit = limit.unwrap_or(ENTRIES).min(ENTRIES_MAX);
    let control = &shared.control;
    let from = match from {
        Some(from) => from,
        None => {
            let (_, size) = control.entries(&actor, &tenant, u64::MAX, 0).await?;
            size.saturating_sub(u64::try_from(limit).unwrap_or(u64::MAX))
        }
    };
    let (entries, size) = control.entries(&actor, &tenant, from, limit).await?;
    Ok(Json(wire::Entries { tenant, size, entries }))
}

/// Whose entry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Whose {
    #[serde(default = "TenantName::default_tenant")]
    tenant: TenantName,
}

pub(crate) async fn show(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Segment(index): Segment<u64>,
    Parameters(Whose { tenant }): Parameters<Whose>,
) -> Result<Json<EntryReport>, Problem> {
    Ok(Json(shared.control.entry(&actor, &tenant, index).await?))
}

/// What to wait for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Awaited {
    #[serde(default = "TenantName::default_tenant")]
    tenant: TenantName,
    /// How many entries the caller has seen.
    after: u64,
    timeout_s: Option<u64>,
    limit: Option<usize>,
}

/// Waits until the log is longer than `after`, then answers with what comes there. Without entries when the time is over
/// or the server stops.
pub(crate) async fn wait(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Parameters(awaited): Parameters<Awaited>,
) -> Result<Json<wire::Entries>, Problem> {
    let Awaited { tenant, after, .. } = awaited;
    let control = &shared.control;
    // Only of a log that is there, so that a misspelt name is told at once.
    control.entries(&actor, &tenant, u64::MAX, 0).await?;
    let time = Duration::from_secs(awaited.timeout_s.unwrap_or(WAIT_S).min(WAIT_S));
    let mut stopping = shared.stopping.clone();
    tokio::select! {
        grown = control.grown(&actor, &tenant, after) => drop(grown?),
        () = tokio::time::sleep(time) => {}
        _ = stopping.wait_for(|stop| *stop) => {}
    }
    let limit = awaited.limit.unwrap_or(ENTRIES);
    let (entries, size) = control.entries(&actor, &tenant, after, limit).await?;
    Ok(Json(wire::Entries { tenant, size, entries }))
}
