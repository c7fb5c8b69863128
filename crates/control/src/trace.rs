//! One action from its intent through decision, attempts, holds and outcome to its cost: its entries, and the tree of what
//! they say.

mod grow;
mod words;

use std::collections::BTreeSet;

use entry::{Entry, Event};
use model::{ActionId, TenantName};
use serde::{Deserialize, Serialize};
use store::{Field, Position, SEARCH_LIMIT_MAX, SearchQuestion};

use crate::{
    Actor, AdminError, Control, EntryReport, Permission,
    search::{IndexedReport, shelf::Shelf},
};

/// The most entries of one action that are shown.
const ENTRIES_MAX: usize = 2_000;
/// How long the trace waits for what was just committed.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// What is to be traced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceQuery {
    /// The id of an action, of a decision of the decision point, or of what waits for an administrator; or the index of an
    /// entry.
    pub id: String,
    /// In whose log; with an id in all of them if absent, with an index in that of the default tenant.
    pub tenant: Option<TenantName>,
}

/// One action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceReport {
    /// In whose log.
    pub tenant: String,
    /// The action; left out where an entry is of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// What happened, as a tree.
    pub tree: TraceNode,
    /// Its entries, in order.
    pub entries: Vec<EntryReport>,
    /// How many more there were, which were let go.
    #[serde(default, skip_serializing_if = "is_none")]
    pub gone: u64,
    /// How far the index of that log is: what is not in it is not here.
    pub log: IndexedReport,
    /// Whether it has more entries than are shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// Something that happened, and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceNode {
    /// What: `action`, `who`, `decision`, `attempt`, `hold`, `budget`, `outcome`, `cost`, `denial`, `ask`, `overrun`,
    /// `threshold`, `breaker`, `replay`, `entry`, `total`.
    pub what: String,
    /// In words. What others wrote is in it as they wrote it.
    pub text: String,
    /// The entry that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// How long after the first entry, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_us: Option<i64>,
    /// What belongs to it, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Self>,
}

impl Control {
    /// All entries of an action, and what they say.
    pub async fn trace(&self, actor: &Actor, query: TraceQuery) -> Result<TraceReport, AdminError> {
        Self::require(actor, Permission::ReadAudit)?;
        let named = Permission::Answer.granted_to(actor.role);
        if let Some(tenant) = &query.tenant {
            self.committed_size(tenant)?;
        }
        let mut shelf = Shelf::default();
        let (tenant, action) = match which(&query.id)? {
            Which::Action(action) => (None, action),
            Which::Entry(index) => {
                let tenant = query.tenant.clone().unwrap_or_else(TenantName::default_tenant);
                let size = self.committed_size(&tenant)?;
                let place = Position {
                    time: model::Timestamp::default(),
                    tenant: tenant.clone(),
                    index,
                };
                self.fill(&mut shelf, std::slice::from_ref(&place)).await?;
                let Some(report) = shelf.get(&tenant, index) else {
                    // It was let go, or never there.
                    self.entry(actor, &tenant, index).await?;
                    let what = "entry";
                    let name = index.to_string();
                    return Err(AdminError::NotFound { what, name });
                };
                let action = shelf
                    .facts(&report.entry)
                    .first(Field::Action)
                    .and_then(|id| id.parse().ok());
                match action {
                    Some(action) => (Some(tenant), action),
                    None => return Ok(alone(&tenant, report, size)),
                }
            }
        };
        let tenant = tenant.or(query.tenant);
        self.of_action(&mut shelf, tenant, action, named).await
    }

    async fn of_action(
        &self,
        shelf: &mut Shelf,
        tenant: Option<TenantName>,
        action: ActionId,
        named: bool,
    ) -> Result<TraceReport, AdminError> {
        let mut question = SearchQuestion {
            tenants: tenant.into_iter().collect(),
            only: vec![vec![(Field::Action, action.to_string())]],
            oldest_first: true,
            limit: SEARCH_LIMIT_MAX,
            ..SearchQuestion::default()
        };
        let mut places: Vec<Position> = Vec::new();
        let (mut indexed, mut sizes);
        let cut = loop {
            let answer = self.inner.projection.search(question.clone(), PATIENCE).await?;
            (indexed, sizes) = (answer.indexed, answer.sizes);
            places.extend(answer.hits);
            match answer.next {
                Some(next) if places.len() < ENTRIES_MAX => question.from = Some(next),
                next => break next.is_some(),
            }
        };
        let Some(first) = places.first().cloned() else {
            let all = sizes
                .iter()
                .all(|(tenant, size)| indexed.get(tenant).is_some_and(|indexed| indexed >= size));
            return Err(match all {
                true => AdminError::NotFound {
                    what: "action",
                    name: action.to_string(),
                },
                false => AdminError::Unavailable(format!(
                    "there is no action {action} as far as the log is indexed, which is not all of it yet: ask again"
                )),
            });
        };
        // Ids are random, so that another tenant has the same one only if somebody made it so; they are not mixed.
        places.retain(|place| place.tenant == first.tenant);
        let tenant = first.tenant.clone();
        self.fill(shelf, &places).await?;
        self.fetch_grounds(shelf, &tenant, &places).await?;
        let entries: Vec<EntryReport> = places
            .iter()
            .filter_map(|place| shelf.get(&tenant, place.index))
            .cloned()
            .collect();
        let gone = places.len().saturating_sub(entries.len());
        if entries.is_empty() {
            return Err(AdminError::AllLetGo { action, gone });
        }
        let mut people = grow::People::new();
        for entry in &entries {
            if let Some(user) = grow::user_of(&entry.entry.event)
                && named
                && !people.contains_key(user)
                && let Some(person) = self.reader().person(&tenant, user).await?
            {
                people.insert(user.clone(), person);
            }
        }
        let top_ups = self.top_ups(shelf, &tenant, &entries).await?;
        let units = self.units(shelf, &tenant, &entries).await?;
        let size = sizes.get(&tenant).copied().unwrap_or(0);
        let indexed = indexed.get(&tenant).copied().unwrap_or(0);
        let grounds = grow::Grounds {
            tenant: &tenant,
            shelf,
            people: &people,
            units: &units,
            begin: first.time,
        };
        Ok(TraceReport {
            tree: grow::tree(action, &entries, &top_ups, &grounds),
            gone: u64::try_from(gone).unwrap_or(u64::MAX),
            tenant: tenant.to_string(),
            action: Some(action.to_string()),
            entries,
            log: IndexedReport {
                indexed,
                size: size.max(indexed),
            },
            cut,
        })
    }

    /// Fetches what decisions rest on: bundles and prices; and what stands before a denial, which may be why.
    async fn fetch_grounds(
        &self,
        shelf: &mut Shelf,
        tenant: &TenantName,
        places: &[Position],
    ) -> Result<(), AdminError> {
        let mut grounds = BTreeSet::new();
        for report in places.iter().filter_map(|place| shelf.get(tenant, place.index)) {
            match &report.entry.event {
                Event::Intent(intent) => grounds.extend([intent.why.bundle, intent.prices]),
                Event::Denial(denial) => {
                    grounds.extend(denial.why.as_ref().map(|why| why.bundle));
                    grounds.extend(report.entry.index.checked_sub(1).filter(|_| denial.breaker.is_some()));
                }
                Event::Asked(asked) => grounds.extend([asked.why.bundle]),
                Event::Replay(replay) => grounds.extend([replay.why.bundle]),
                Event::Decided(decided) => grounds.extend([decided.bundle]),
                _ => {}
            }
        }
        grounds.retain(|index| shelf.get(tenant, *index).is_none());
        self.fetch(shelf, tenant, &grounds).await?;
        Ok(())
    }

    /// What the budgets that attempts were held in counted then.
    async fn units(
        &self,
        shelf: &mut Shelf,
        tenant: &TenantName,
        entries: &[EntryReport],
    ) -> Result<grow::Units, AdminError> {
        let mut units = grow::Units::new();
        for EntryReport { entry, .. } in entries {
            let Event::Intent(intent) = &entry.event else { continue };
            for booking in &intent.bookings {
                if units.contains_key(&booking.budget) {
                    continue;
                }
                let question = SearchQuestion {
                    tenants: BTreeSet::from([tenant.clone()]),
                    only: vec![
                        vec![(Field::Kind, "budget_loaded".to_owned())],
                        vec![(Field::Budget, booking.budget.to_string())],
                    ],
                    until: Some(entry.time.saturating_add_micros(1)),
                    limit: 1,
                    ..SearchQuestion::default()
                };
                let answer = self.inner.projection.search(question, PATIENCE).await?;
                let Some(hit) = answer.hits.first() else { continue };
                self.fetch(shelf, tenant, &BTreeSet::from([hit.index])).await?;
                let loaded = shelf.get(tenant, hit.index).map(|report| &report.entry.event);
                if let Some(Event::BudgetLoaded { budget, .. }) = loaded {
                    units.insert(booking.budget.clone(), budget.unit);
                }
            }
        }
        Ok(units)
    }

    /// What administrators gave to the budget that an action waited for, while it waited.
    async fn top_ups(
        &self,
        shelf: &mut Shelf,
        tenant: &TenantName,
        entries: &[EntryReport],
    ) -> Result<Vec<Entry>, AdminError> {
        let mut found = BTreeSet::new();
        let mut entries = entries.iter().peekable();
        while let Some(report) = entries.next() {
            let Event::Asked(asked) = &report.entry.event else {
                continue;
            };
            let until = entries.peek().map_or(asked.until, |next| next.entry.time);
            let question = SearchQuestion {
                tenants: BTreeSet::from([tenant.clone()]),
                only: vec![
                    vec![(Field::Kind, "budget_edited".to_owned())],
                    vec![(Field::Budget, asked.over.budget.to_string())],
                ],
                since: Some(report.entry.time),
                until: Some(until.saturating_add_micros(1)),
                oldest_first: true,
                limit: 100,
                ..SearchQuestion::default()
            };
            let answer = self.inner.projection.search(question, PATIENCE).await?;
            let end = entries.peek().map_or(u64::MAX, |next| next.entry.index);
            let between = answer.hits.iter().map(|hit| hit.index);
            found.extend(between.filter(|index| (report.entry.index..end).contains(index)));
        }
        self.fetch(shelf, tenant, &found).await?;
        let entry = |index| shelf.get(tenant, index).map(|report| report.entry.clone());
        Ok(found.into_iter().filter_map(entry).collect())
    }
}

/// Whether there are none.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
pub(crate) fn is_none(count: &u64) -> bool {
    *count == 0
}

enum Which {
    Entry(u64),
    Action(ActionId),
}

fn which(id: &str) -> Result<Which, AdminError> {
    // 32 digits without a letter are an action's id too; an index has at most 20.
    let index = id.parse().map(Which::Entry).ok().filter(|_| id.len() < 32);
    index.or_else(|| id.parse().map(Which::Action).ok()).ok_or_else(|| {
        AdminError::Invalid(format!(
            "{id:?} is neither the id of an action, which has 32 hexadecimal digits, nor the index of an entry"
        ))
    })
}

/// An entry that is of no action.
fn alone(tenant: &TenantName, report: &EntryReport, size: u64) -> TraceReport {
    TraceReport {
        tenant: tenant.to_string(),
        action: None,
        tree: grow::alone(&report.entry),
        entries: vec![report.clone()],
        gone: 0,
        log: IndexedReport { indexed: size, size },
        cut: false,
    }
}
