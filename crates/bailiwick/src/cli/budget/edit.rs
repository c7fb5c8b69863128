//! `bailiwick budget set-limit` and what else changes a budget while traffic flows.

use api::wire;
use serde::Serialize;

use super::{
    super::{
        Common, Failure,
        output::{GOOD, Output},
        table::clean,
    },
    Which, path, show,
};

pub(super) async fn limit(
    common: &Common,
    which: &Which,
    limit: Option<&String>,
    out: &mut Output,
) -> Result<(), Failure> {
    let body = wire::BudgetLimit {
        tenant: which.tenant.clone(),
        limit: limit.cloned(),
        note: which.note.clone(),
    };
    let done = match limit {
        Some(_) => "limited",
        None => "back to its declared limit:",
    };
    post(common, which, "limit", &body, done, out).await
}

pub(super) async fn pause(common: &Common, which: &Which, out: &mut Output) -> Result<(), Failure> {
    post(common, which, "pause", &reason(which), "paused", out).await
}

pub(super) async fn resume(common: &Common, which: &Which, out: &mut Output) -> Result<(), Failure> {
    post(common, which, "resume", &reason(which), "resumed", out).await
}

pub(super) async fn top_up(
    common: &Common,
    which: &Which,
    amount: &str,
    of: &[(String, String)],
    out: &mut Output,
) -> Result<(), Failure> {
    let body = wire::TopUp {
        tenant: which.tenant.clone(),
        amount: amount.to_owned(),
        of: of.iter().cloned().collect(),
        note: which.note.clone(),
    };
    post(common, which, "top-up", &body, "topped up", out).await
}

fn reason(which: &Which) -> wire::Reason {
    wire::Reason {
        tenant: which.tenant.clone(),
        note: which.note.clone(),
    }
}

async fn post(
    common: &Common,
    which: &Which,
    what: &str,
    body: &impl Serialize,
    done: &str,
    out: &mut Output,
) -> Result<(), Failure> {
    let client = which.target.client(common)?;
    let budget: wire::Budgets = client
        .post(&format!("{}/{what}", path(&which.name)), Some(body))
        .await?;
    out.show(&budget, |out| {
        out.line(format_args!("{GOOD}{done}{GOOD:#} {}\n", clean(&which.name)))?;
        show::list(&budget, out)
    })
}

/// A label and its value, with `=` between them.
pub(super) fn labelled(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((label, value)) if !label.is_empty() && !value.is_empty() => Ok((label.to_owned(), value.to_owned())),
        _ => Err("write a label and its value, such as user=alice@acme.example".to_owned()),
    }
}
