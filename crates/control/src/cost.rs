//! What calls cost, summed by labels: a report out of the projection of the logs, exact to the nano-dollar.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use model::{Pseudonym, TenantName, Timestamp, nearest};
use serde::{Deserialize, Serialize};
use store::{CostAnswer, CostError, CostGroup, CostLabel, CostQuestion, CostSums};

use crate::{Actor, AdminError, Control, Permission, privacy::PSEUDONYM, rfc3339};

/// How many lines a report has if it is not said, and at most; what does not fit is summed in one more.
const LINES: usize = 1_000;
const LINES_MAX: usize = 10_000;
/// The most conditions of one report, and the longest value of one, in bytes.
const CONDITIONS_MAX: usize = 64;
const VALUE_MAX: usize = 256;
/// How long the report waits for what was just committed.
const PATIENCE: Duration = Duration::from_secs(15);
/// Microseconds of a minute: sums are kept by the minute.
const MINUTE: i64 = 60_000_000;

/// What a report is to be about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CostQuery {
    /// Whose calls; those of all tenants if absent.
    pub tenant: Option<TenantName>,
    /// What to sum by, in the order in which it is shown; everything in one line if there is nothing.
    pub by: Vec<CostLabel>,
    /// The first minute; the first there is if absent.
    pub since: Option<Timestamp>,
    /// The minute behind the last; none if absent.
    pub until: Option<Timestamp>,
    /// Only calls with these values. Several values of one label are alternatives; one that ends in `*` stands for all
    /// that begin so. A user is named as they are shown: by name to those who may answer for others, else by pseudonym, with or
    /// without `pseudonym:` before it.
    pub only: Vec<(CostLabel, String)>,
    /// How many lines at most, the costliest.
    pub top: Option<usize>,
}

/// What calls cost. A call counts at the time at which it was admitted, as in its budgets; one in flight is not counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostReport {
    /// What it is summed by.
    pub by: Vec<String>,
    /// The first instant, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The instant behind the last, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The costliest first.
    pub lines: Vec<CostLine>,
    /// What was left out of the lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<CostOther>,
    /// All of it.
    pub total: CostFigures,
    /// How many entries of each tenant's log are in it.
    pub entries: BTreeMap<String, u64>,
}

/// The calls that have the same labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostLine {
    /// The values by label. Empty is none.
    pub labels: BTreeMap<String, String>,
    /// What they used and cost.
    #[serde(flatten)]
    pub figures: CostFigures,
}

/// What was left out of the lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostOther {
    /// How many lines that would have been.
    pub lines: usize,
    /// What they used and cost.
    #[serde(flatten)]
    pub figures: CostFigures,
}

/// What calls used and cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostFigures {
    /// What was booked, US dollars.
    pub cost_usd: String,
    /// Attempts that ended; a retry is one of its own.
    pub calls: u64,
    /// Of these, the ones that did not end with the provider's whole answer delivered.
    pub failed: u64,
    /// From forwarding to the end, of all of them together.
    pub duration_ms: u64,
    /// What the providers counted.
    pub tokens: TokenFigures,
}

/// Tokens by class. No token is in two classes, except that `reasoning` is a part of `output`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenFigures {
    /// All input and output.
    pub total: u64,
    /// Input at the plain price.
    pub input: u64,
    /// Input read from the provider's prompt cache.
    pub cache_read: u64,
    /// Input written to it.
    pub cache_write: u64,
    /// Input of audio.
    pub audio_input: u64,
    /// Input of images.
    pub image_input: u64,
    /// Output, reasoning included.
    pub output: u64,
    /// Of `output`, what was spent on reasoning.
    pub reasoning: u64,
    /// Output of audio.
    pub audio_output: u64,
    /// Output of images.
    pub image_output: u64,
}

impl From<&CostSums> for CostFigures {
    fn from(sums: &CostSums) -> Self {
        let tokens = &sums.tokens;
        Self {
            cost_usd: sums.cost.to_string(),
            calls: sums.calls,
            failed: sums.failed,
            duration_ms: sums.duration_us / 1_000,
            tokens: TokenFigures {
                total: tokens.total(),
                input: tokens.input,
                cache_read: tokens.cache_read,
                cache_write: tokens.cache_write,
                audio_input: tokens.audio_input,
                image_input: tokens.image_input,
                output: tokens.output,
                reasoning: tokens.reasoning,
                audio_output: tokens.audio_output,
                image_output: tokens.image_output,
            },
        }
    }
}

impl From<CostError> for AdminError {
    fn from(error: CostError) -> Self {
        match error {
            CostError::TooMany => Self::Invalid(error.to_string()),
            error => Self::Unavailable(error.to_string()),
        }
    }
}

/// The label of a word that somebody wrote.
pub fn cost_label(word: &str) -> Result<CostLabel, AdminError> {
    CostLabel::find(word).ok_or_else(|| {
        let words = CostLabel::ALL.map(CostLabel::as_str);
        let near = nearest(word, &words).map(|near| format!("did you mean `{near}`? "));
        AdminError::Invalid(format!(
            "costs have no label {word:?}: {}the labels are {}",
            near.unwrap_or_default(),
            words.join(", ")
        ))
    })
}

/// An instant in a message: what people write has no fractions of a second.
fn seconds(at: Timestamp) -> String {
    rfc3339(at).replace(".000000Z", "Z")
}

impl Control {
    /// What calls cost. All that was committed when it is asked for is in it.
    pub async fn cost(&self, actor: &Actor, query: CostQuery) -> Result<CostReport, AdminError> {
        Self::require(actor, Permission::ReadState)?;
        self.check_cost_query(&query)?;
        let mut only: BTreeMap<CostLabel, Vec<String>> = BTreeMap::new();
        for (label, value) in &query.only {
            only.entry(*label).or_default().push(value.clone());
        }
        // Who may not answer for a person is not told who it is, nor whether a guess is right.
        let named = Permission::Answer.granted_to(actor.role);
        if let Some(users) = only.get_mut(&CostLabel::User) {
            for user in users.iter_mut() {
                if let Some(pseudonym) = user.strip_prefix(PSEUDONYM) {
                    *user = pseudonym.to_owned();
                }
            }
            if named {
                let pseudonyms = self.pseudonyms_of(users).await?;
                users.extend(pseudonyms);
            }
        }
        let question = CostQuestion {
            tenant: query.tenant,
            by: query.by.clone(),
            since: query.since,
            until: query.until,
            only,
        };
        let CostAnswer { mut groups, sizes } = self.inner.projection.ask(question, PATIENCE).await?;
        let total: CostSums = groups.iter().map(|group| group.sums).sum();
        // The sort is stable: lines of the same cost stay in the order of their values.
        groups.sort_by_key(|group| Reverse(group.sums.cost));
        let top = query.top.unwrap_or(LINES);
        let rest = groups.split_off(top.min(groups.len()));
        let other = (!rest.is_empty()).then(|| {
            let sums: CostSums = rest.iter().map(|group| group.sums).sum();
            CostOther {
                lines: rest.len(),
                figures: CostFigures::from(&sums),
            }
        });
        let entries = sizes.into_iter().filter(|(tenant, _)| !tenant.is_reserved());
        Ok(CostReport {
            lines: self.lines(named, &query.by, groups).await?,
            by: query.by.iter().map(ToString::to_string).collect(),
            since: query.since.map(rfc3339),
            until: query.until.map(rfc3339),
            other,
            total: CostFigures::from(&total),
            entries: entries.map(|(tenant, size)| (tenant.to_string(), size)).collect(),
        })
    }

    fn check_cost_query(&self, query: &CostQuery) -> Result<(), AdminError> {
        if let Some(tenant) = &query.tenant
            && !self.snapshot().tenants.contains_key(tenant)
            && !self.committer().heads().borrow().contains_key(tenant)
        {
            return Err(AdminError::NotFound {
                what: "tenant",
                name: tenant.to_string(),
            });
        }
        for (at, label) in query.by.iter().enumerate() {
            if query.by.iter().take(at).any(|earlier| earlier == label) {
                return Err(AdminError::Invalid(format!("the label {label} is named twice")));
            }
        }
        for at in [query.since, query.until].into_iter().flatten() {
            if at.unix_micros().rem_euclid(MINUTE) != 0 {
                return Err(AdminError::Invalid(format!(
                    "{} is not a whole minute, and costs are summed by the minute",
                    seconds(at)
                )));
            }
        }
        if let (Some(since), Some(until)) = (query.since, query.until)
            && since >= until
        {
            return Err(AdminError::Invalid(format!(
                "the time ends at {}, which is not after its begin, {}",
                seconds(until),
                seconds(since)
            )));
        }
        if query.only.len() > CONDITIONS_MAX || query.only.iter().any(|(_, value)| value.len() > VALUE_MAX) {
            return Err(AdminError::Invalid(format!(
                "a report has at most {CONDITIONS_MAX} conditions, each with a value of at most {VALUE_MAX} bytes"
            )));
        }
        if query.top.is_some_and(|top| !(1..=LINES_MAX).contains(&top)) {
            return Err(AdminError::Invalid(format!("a report has 1 to {LINES_MAX} lines")));
        }
        Ok(())
    }

    /// The pseudonyms of persons, as far as the mapping is there: one that was erased must not be found by a guess.
    pub(crate) async fn pseudonyms_of(&self, persons: &[String]) -> Result<Vec<String>, AdminError> {
        let heads = self.committer().heads().borrow().clone();
        let mut found = Vec::new();
        for tenant in heads.keys() {
            for person in persons {
                let pseudonym = self.privacy().pseudonym(tenant, person);
                if self.reader().person(tenant, &pseudonym).await?.is_some() {
                    found.push(pseudonym.0);
                }
            }
        }
        Ok(found)
    }

    /// The groups as they are shown: users by name, if they may be `named` and the mapping was not erased.
    async fn lines(&self, named: bool, by: &[CostLabel], groups: Vec<CostGroup>) -> Result<Vec<CostLine>, AdminError> {
        let mut names = HashMap::new();
        let mut lines = Vec::with_capacity(groups.len());
        for CostGroup { tenant, values, sums } in groups {
            let mut labels = BTreeMap::new();
            for (label, value) in by.iter().zip(values) {
                let shown = match &tenant {
                    Some(tenant) if named && *label == CostLabel::User => {
                        self.name_of(tenant, value, &mut names).await?
                    }
                    _ => value,
                };
                labels.insert(label.to_string(), shown);
            }
            let figures = CostFigures::from(&sums);
            lines.push(CostLine { labels, figures });
        }
        Ok(lines)
    }

    /// Who is behind a pseudonym, or the pseudonym; each is looked up once.
    pub(crate) async fn name_of(
        &self,
        tenant: &TenantName,
        pseudonym: String,
        names: &mut HashMap<(TenantName, String), String>,
    ) -> Result<String, AdminError> {
        if pseudonym.is_empty() {
            return Ok(pseudonym);
        }
        let key = (tenant.clone(), pseudonym);
        if let Some(name) = names.get(&key) {
            return Ok(name.clone());
        }
        let pseudonym = Pseudonym(key.1.clone());
        let person = self.reader().person(tenant, &pseudonym).await?;
        let name = person.unwrap_or(pseudonym.0);
        names.insert(key, name.clone());
        Ok(name)
    }
}
