//! Searching the audit trail: out of the projection of the logs, with the entries as they stand in the log.

mod condition;
mod cursor;
pub(crate) mod shelf;

use std::{collections::BTreeMap, time::Duration};

use entry::Entry;
use model::{NanoUsd, TenantName, Timestamp, nearest};
use serde::{Deserialize, Serialize};
use store::{Facts, Field, Position, SEARCH_LIMIT_MAX, SearchAnswer, SearchError, SearchQuestion};

pub use condition::{SEARCH_FILTERS, search_condition};

use self::{condition::Condition, shelf::Shelf};
use crate::{Actor, AdminError, Control, EntryReport, Permission};

/// How many entries an answer has if it is not said.
pub const SEARCH_LIMIT: usize = 50;
/// The most values and words of one search, and the longest of them, in bytes.
const CONDITIONS_MAX: usize = 64;
const VALUE_MAX: usize = 256;
/// How long a search waits for what was just committed; then it says that it is behind.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long is waited until the index is thrown away.
const THROWN_AWAY: Duration = Duration::from_secs(15);

/// What is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchQuery {
    /// Whose entries; those of all tenants if there are none.
    pub tenants: Vec<TenantName>,
    /// Filters of [`SEARCH_FILTERS`] and their values. Several values of one filter are alternatives.
    pub only: Vec<(String, String)>,
    /// Texts whose words all have to be there.
    pub texts: Vec<String>,
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
    /// How many at most.
    pub limit: Option<usize>,
    /// Where an earlier answer ended: it has all the rest of that search, but how many at most.
    pub cursor: Option<String>,
}

/// An entry that was found, and what it was found by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundReport {
    /// The entry as it stands in the log.
    #[serde(flatten)]
    pub entry: EntryReport,
    /// What it says, and what it has from the entry that it follows from, by field. People are named to those who may
    /// answer for others.
    pub about: BTreeMap<String, Vec<String>>,
    /// What is booked, US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<String>,
    /// What is reserved, US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_usd: Option<String>,
}

/// How far the index of a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedReport {
    /// How many entries can be found.
    pub indexed: u64,
    /// How many there were when it was asked.
    pub size: u64,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchReport {
    /// The entries, the newest first if not said otherwise.
    pub entries: Vec<FoundReport>,
    /// How many more there were, which were let go.
    #[serde(default, skip_serializing_if = "crate::trace::is_none")]
    pub gone: u64,
    /// What to give as `cursor` for what comes behind them; left out where that is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Whether it ends early because searching took too long: `next` goes on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub out_of_time: bool,
    /// Up to where that was searched, where it ended early, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub searched_to: Option<String>,
    /// How far the index of each log is.
    pub logs: BTreeMap<String, IndexedReport>,
    /// Why the index is behind, where it is and that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// What may have been meant, where nothing was found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

/// How far the index is, and the cost reports with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexReport {
    /// How far it is in each log.
    pub logs: BTreeMap<String, IndexedReport>,
    /// How many committed entries are not in it.
    pub behind: u64,
    /// For how long it has not had all that is committed, in milliseconds.
    pub lag_ms: u64,
    /// Why it does not go on, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl From<SearchError> for AdminError {
    fn from(error: SearchError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl Control {
    /// Entries that fit all of a query. What was committed when it is asked for is among them, or the answer says how far the
    /// index is.
    pub async fn search_log(&self, actor: &Actor, query: SearchQuery) -> Result<SearchReport, AdminError> {
        Self::require(actor, Permission::ReadAudit)?;
        check_bounds(&query)?;
        let named = Permission::Answer.granted_to(actor.role);
        let question = self.question(&query, named).await?;
        let answer = self.inner.projection.search(question.clone(), PATIENCE).await?;
        let mut shelf = Shelf::default();
        let entries = self.found_entries(&mut shelf, &answer.hits, named).await?;
        let hints = match answer.hits.is_empty() && answer.next.is_none() && query.cursor.is_none() {
            true => self.hints(&query, named),
            false => Vec::new(),
        };
        let searched_to = answer.next.as_ref().filter(|_| answer.out_of_time);
        Ok(SearchReport {
            gone: u64::try_from(answer.hits.len().saturating_sub(entries.len())).unwrap_or(0),
            entries,
            next: answer
                .next
                .as_ref()
                .map(|next| self.cursor(&question, next))
                .transpose()?,
            out_of_time: answer.out_of_time,
            searched_to: searched_to.map(|at| crate::rfc3339(at.time)),
            trouble: answer.trouble.clone().filter(|_| is_behind(&answer)),
            logs: logs(&answer.indexed, &answer.sizes),
            hints,
        })
    }

    /// How far the index is.
    pub fn search_index(&self, actor: &Actor) -> Result<IndexReport, AdminError> {
        Self::require(actor, Permission::ReadAudit)?;
        Ok(self.index_report())
    }

    /// Throws the index and the sums for cost reports away, to be made again from the logs.
    pub async fn reindex(&self, actor: &Actor) -> Result<IndexReport, AdminError> {
        Self::require(actor, Permission::Operate)?;
        tracing::info!(by = %actor.name, "the index is to be made again");
        if !self.inner.projection.make_again(THROWN_AWAY).await {
            let trouble = self.inner.projection.progress().borrow().trouble.clone();
            let why = trouble.map_or_else(
                || "it is at work; it is thrown away as soon as it can be".to_owned(),
                |why| format!("it does not go on: {why}"),
            );
            return Err(AdminError::Unavailable(format!(
                "the index is not thrown away yet: {why}"
            )));
        }
        Ok(self.index_report())
    }

    fn index_report(&self) -> IndexReport {
        let heads = self.committer().heads().borrow().clone();
        let sizes = heads.into_iter().map(|(tenant, head)| (tenant, head.size)).collect();
        let projection = &self.inner.projection;
        let progress = projection.progress().borrow().clone();
        IndexReport {
            logs: logs(&progress.read, &sizes),
            behind: projection.behind(),
            lag_ms: u64::try_from(projection.lag().as_millis()).unwrap_or(u64::MAX),
            trouble: progress.trouble,
        }
    }

    async fn question(&self, query: &SearchQuery, named: bool) -> Result<SearchQuestion, AdminError> {
        let limit = query.limit.unwrap_or(SEARCH_LIMIT);
        if let Some(cursor) = &query.cursor {
            let alone = SearchQuery {
                limit: query.limit,
                cursor: query.cursor.clone(),
                ..SearchQuery::default()
            };
            if *query != alone {
                return Err(AdminError::Invalid(
                    "a cursor has all that was searched for: give it alone, or with `limit`".to_owned(),
                ));
            }
            return Ok(SearchQuestion {
                limit,
                ..self.read_cursor(cursor)?
            });
        }
        for tenant in &query.tenants {
            self.committed_size(tenant)?;
        }
        let mut groups: BTreeMap<&str, Vec<(Field, String)>> = BTreeMap::new();
        for (filter, value) in &query.only {
            let values = match search_condition(filter, value)? {
                Condition::Value(field, value) => vec![(field, value)],
                Condition::User(user) => self.users(user, named).await?,
            };
            groups.entry(filter).or_default().extend(values);
        }
        Ok(SearchQuestion {
            tenants: query.tenants.iter().cloned().collect(),
            only: groups.into_values().collect(),
            words: query.texts.iter().flat_map(|text| store::words(text)).collect(),
            since: query.since,
            until: query.until,
            min_cost: query.min_cost,
            max_cost: query.max_cost,
            oldest_first: query.oldest_first,
            from: None,
            limit,
        })
    }

    /// A user as logs know them. Who may not answer for a person is not told who it is, nor whether a guess is right.
    async fn users(&self, user: String, named: bool) -> Result<Vec<(Field, String)>, AdminError> {
        let mut users = Vec::new();
        if named {
            users = self.pseudonyms_of(std::slice::from_ref(&user)).await?;
        }
        users.push(user);
        Ok(users.into_iter().map(|user| (Field::User, user)).collect())
    }

    /// The entries at these places, and what is known of them.
    async fn found_entries(
        &self,
        shelf: &mut Shelf,
        places: &[Position],
        named: bool,
    ) -> Result<Vec<FoundReport>, AdminError> {
        self.fill(shelf, places).await?;
        let mut names = std::collections::HashMap::new();
        let mut found = Vec::with_capacity(places.len());
        for Position { tenant, index, .. } in places {
            let Some(report) = shelf.get(tenant, *index) else {
                // The projection is of this log, so it was let go.
                continue;
            };
            let facts = shelf.facts(&report.entry);
            let mut about: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for (field, value) in &facts.values {
                let value = match field {
                    Field::User if named => self.name_of(tenant, value.to_string(), &mut names).await?,
                    _ => value.to_string(),
                };
                let values = about.entry(field.as_str().to_owned()).or_default();
                if !values.contains(&value) {
                    values.push(value);
                }
            }
            found.push(FoundReport {
                entry: report.clone(),
                about,
                cost_usd: facts.cost.map(|cost| cost.to_string()),
                hold_usd: facts.hold.map(|hold| hold.to_string()),
            });
        }
        Ok(found)
    }

    /// What somebody may have meant who found nothing.
    fn hints(&self, query: &SearchQuery, named: bool) -> Vec<String> {
        let snapshot = self.snapshot();
        let mut hints = Vec::new();
        for (filter, value) in &query.only {
            let known: Vec<String> = match filter.as_str() {
                "agent" => {
                    let agents = snapshot.tenants.values().flat_map(|tenant| tenant.agents.keys());
                    agents.map(ToString::to_string).collect()
                }
                "reason" => model::Reason::ALL
                    .iter()
                    .map(|reason| reason.code().to_owned())
                    .collect(),
                "user" if !named => {
                    hints.push("your role finds people by their pseudonyms only".to_owned());
                    continue;
                }
                _ => continue,
            };
            if known.contains(value) {
                continue;
            }
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            hints.push(match nearest(value, &known) {
                Some(near) => format!("no {filter} {value:?} is known: did you mean `{near}`?"),
                None => format!("no {filter} {value:?} is known"),
            });
        }
        if let (Some(since), Some(until)) = (query.since, query.until)
            && since >= until
        {
            hints.push("the time ends before it begins".to_owned());
        }
        hints
    }
}

fn is_behind(answer: &SearchAnswer) -> bool {
    let indexed = |tenant| answer.indexed.get(tenant).copied().unwrap_or(0);
    answer.sizes.iter().any(|(tenant, size)| indexed(tenant) < *size)
}

fn logs(indexed: &BTreeMap<TenantName, u64>, sizes: &BTreeMap<TenantName, u64>) -> BTreeMap<String, IndexedReport> {
    let report = |(tenant, size): (&TenantName, &u64)| {
        let indexed = indexed.get(tenant).copied().unwrap_or(0);
        // The index may have gone on since the sizes were looked at.
        let size = indexed.max(*size);
        (tenant.to_string(), IndexedReport { indexed, size })
    };
    sizes.iter().map(report).collect()
}

fn check_bounds(query: &SearchQuery) -> Result<(), AdminError> {
    let values = query.only.iter().map(|(_, value)| value).chain(&query.texts);
    let long = values.clone().any(|value| value.len() > VALUE_MAX);
    if long || values.count() > CONDITIONS_MAX || query.tenants.len() > CONDITIONS_MAX {
        return Err(AdminError::Invalid(format!(
            "a search has at most {CONDITIONS_MAX} conditions, each with a value of at most {VALUE_MAX} bytes"
        )));
    }
    if query
        .limit
        .is_some_and(|limit| !(1..=SEARCH_LIMIT_MAX).contains(&limit))
    {
        return Err(AdminError::Invalid(format!(
            "an answer has 1 to {SEARCH_LIMIT_MAX} entries"
        )));
    }
    if let Some(text) = query.texts.iter().find(|text| store::words(text).is_empty()) {
        return Err(AdminError::Invalid(format!("there is no word in {text:?} to look for")));
    }
    let words: usize = query.texts.iter().map(|text| store::words(text).len()).sum();
    if words > CONDITIONS_MAX {
        return Err(AdminError::Invalid(format!(
            "a search has at most {CONDITIONS_MAX} words"
        )));
    }
    if let (Some(min), Some(max)) = (query.min_cost, query.max_cost)
        && min > max
    {
        return Err(AdminError::Invalid(format!(
            "no cost is {min} USD at least and {max} USD at most"
        )));
    }
    if query
        .min_cost
        .into_iter()
        .chain(query.max_cost)
        .any(|cost| cost < NanoUsd::ZERO)
    {
        return Err(AdminError::Invalid("costs are never less than nothing".to_owned()));
    }
    Ok(())
}

/// The facts of an entry, with what it has from others as far as these are at hand.
pub(crate) fn facts_of<'a>(entry: &'a Entry, intent: Option<&'a Entry>) -> Facts<'a> {
    let mut facts = Facts::of(&entry.event);
    if let Some(intent) = intent {
        facts.inherit(&Facts::of(&intent.event), store::follows(&entry.event));
    }
    facts
}
