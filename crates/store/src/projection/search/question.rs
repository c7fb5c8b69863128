//! Questions for entries, and their answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use model::{NanoUsd, TenantName, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout_at},
};

use super::{
    super::{CostError, Projection},
    Field,
    read::read,
    terms::{VALUE_MAX, magnitudes, term, terms_of_word},
};
use crate::StoreError;

/// The most entries of one answer.
pub const SEARCH_LIMIT_MAX: usize = 1_000;
/// How long is searched for one answer, about: after that it says how far it came.
const SEARCHING: Duration = Duration::from_secs(2);
/// When reading is given up, which nothing but a slow disk makes it be.
const READING: Duration = Duration::from_secs(15);

/// The place of an entry among those of all logs: by time, then by tenant, then by index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// When.
    pub time: Timestamp,
    /// Whose log.
    pub tenant: TenantName,
    /// The entry's index.
    pub index: u64,
}

/// What is looked for: entries that fit all of this.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchQuestion {
    /// Whose; of all tenants if there are none.
    pub tenants: BTreeSet<TenantName>,
    /// Entries that have one of the values of each of these groups.
    pub only: Vec<Vec<(Field, String)>>,
    /// Words that they have all of, as [`super::words`] makes them.
    pub words: Vec<String>,
    /// From when on.
    pub since: Option<Timestamp>,
    /// Up to when, which is not included.
    pub until: Option<Timestamp>,
    /// What is booked at least.
    pub min_cost: Option<NanoUsd>,
    /// What is booked at most.
    pub max_cost: Option<NanoUsd>,
    /// Whether the oldest come first.
    pub oldest_first: bool,
    /// Where to go on, as an answer said: with this entry and what comes behind it.
    pub from: Option<Position>,
    /// How many at most, up to [`SEARCH_LIMIT_MAX`].
    pub limit: usize,
}

impl SearchQuestion {
    /// What the index is asked for; `None` if any entry will do.
    pub(super) fn terms(&self) -> Option<String> {
        let mut parts: Vec<Vec<String>> = Vec::new();
        for group in &self.only {
            let told_apart = group.iter().filter(|(_, value)| value.len() <= VALUE_MAX);
            parts.push(told_apart.map(|(field, value)| term(*field, value)).collect());
        }
        parts.extend(self.words.iter().map(|word| terms_of_word(word)));
        if let Some((from, to)) = self.costs() {
            parts.push(magnitudes(from, to));
        }
        let any_of = |terms: Vec<String>| {
            // A term that no entry has, where nothing can be found.
            let none = terms.is_empty().then(|| "\u{bf}".to_owned());
            let quoted = terms.into_iter().chain(none).map(|term| format!("\"{term}\""));
            format!("({})", quoted.collect::<Vec<_>>().join(" OR "))
        };
        let parts: Vec<String> = parts.into_iter().map(any_of).collect();
        (!parts.is_empty()).then(|| parts.join(" AND "))
    }

    /// The range of costs, if there is one.
    pub(super) fn costs(&self) -> Option<(NanoUsd, NanoUsd)> {
        (self.min_cost.is_some() || self.max_cost.is_some()).then(|| {
            (
                self.min_cost.unwrap_or(NanoUsd::ZERO),
                self.max_cost.unwrap_or(NanoUsd::MAX),
            )
        })
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchAnswer {
    /// The entries, in the order that was asked for.
    pub hits: Vec<Position>,
    /// Where to go on, if there may be more.
    pub next: Option<Position>,
    /// Whether it ends before its limit because searching took too long. Then `next` says how far it came.
    pub out_of_time: bool,
    /// How many entries of each log could be found.
    pub indexed: BTreeMap<TenantName, u64>,
    /// How many each log had when it was asked.
    pub sizes: BTreeMap<TenantName, u64>,
    /// Why the index does not go on, if it does not.
    pub trouble: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// There is no index yet.
    #[error(
        "there is nothing to search in yet{}; ask again, it is made from the log by itself",
        .trouble.as_deref().map(|why| format!(" ({why})")).unwrap_or_default()
    )]
    Unready {
        /// Why, if that is known.
        trouble: Option<String>,
    },
    /// Reading takes too long.
    #[error("the search took longer than {} s: ask for a shorter time or for more exactly what", READING.as_secs())]
    Slow,
    /// Too many ask at once.
    #[error("others are searching: ask again")]
    Busy,
    /// The file.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Projection {
    /// Looks for entries. What was committed when it is asked can be found, if the follower comes so far within `patience`;
    /// else the answer says how far it is.
    pub async fn search(&self, question: SearchQuestion, patience: Duration) -> Result<SearchAnswer, SearchError> {
        let asked = |tenant: &TenantName| question.tenants.is_empty() || question.tenants.contains(tenant);
        let heads = self.heads.borrow().clone();
        let sizes = heads.into_iter().filter(|(tenant, _)| asked(tenant));
        let sizes: BTreeMap<TenantName, u64> = sizes.map(|(tenant, head)| (tenant, head.size)).collect();
        let deadline = Instant::now() + patience;
        let reached = timeout_at(deadline, self.caught_up(&sizes)).await;
        if matches!(reached, Ok(Err(CostError::Busy))) {
            return Err(SearchError::Busy);
        }
        let permit = self.place(deadline).await?;
        let path = self.path.clone();
        // In a task of its own: who asked may hang up, and a transaction is not to be dropped half-way.
        let reading = tokio::spawn(async move {
            let until = Instant::now() + SEARCHING;
            let answer = tokio::time::timeout(READING, read(&path, &question, until)).await;
            drop(permit);
            answer.map_err(|_| SearchError::Slow)?
        });
        let trouble = self.progress.borrow().trouble.clone();
        match reading.await.map_err(|_| SearchError::Busy)? {
            Ok(answer) => Ok(SearchAnswer {
                sizes,
                trouble,
                ..answer
            }),
            // There is no file, or it is being made again.
            Err(SearchError::Store(error)) => Err(SearchError::Unready {
                trouble: trouble.or_else(|| Some(error.to_string())),
            }),
            Err(error) => Err(error),
        }
    }

    async fn place(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, SearchError> {
        let deadline = deadline.max(Instant::now() + SEARCHING);
        let permit = timeout_at(deadline, self.searching.clone().acquire_owned()).await;
        permit.ok().and_then(Result::ok).ok_or(SearchError::Busy)
    }
}
