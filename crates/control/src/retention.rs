//! How long entries are kept, and legal holds, under which nothing goes.
//!
//! What is let go must be signed, and read by everybody who reads the log as it grows: the tiles, the index with the cost
//! reports, and each sink. The bytes themselves go in the committer.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use entry::{Class, Event, Evidence};
use model::{AdminName, TenantName, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{Actor, AdminError, Control, Permission, admin::is_text, rfc3339, start::Inner};

/// How long entries are kept, by class. What is not named is kept for as long as the log.
pub type Retention = BTreeMap<Class, Duration>;

/// Where it is known that a log has nothing of a class up to, from what was let go before.
pub(crate) type Nothing = BTreeMap<TenantName, BTreeMap<Class, u64>>;

/// The longest that the server waits between two looks at what is old. Each time that something goes, two entries come that
/// stay, and all that follows from the log is written down: so not much more often than has to be.
const LOOKS: Duration = Duration::from_secs(24 * 3_600);
/// The longest that it waits after a start: one that is started every day lets go of things, too.
const FIRST_LOOK: Duration = Duration::from_secs(15 * 60);
/// How long after the last entry a server can start without doubt in its clock, which would make everything old. In doubt it
/// waits as long: somebody may notice.
const AWAY: Duration = Duration::from_secs(24 * 3_600);
/// A look in so many parts of the shortest time that something is kept.
const LOOKS_EACH: u32 = 24;
/// The longest name of a legal hold.
const NAME_MAX: usize = 64;

/// What was let go of a log, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiryReport {
    /// Whose log.
    pub tenant: TenantName,
    /// The classes that are not kept for ever.
    pub classes: Vec<ExpiryClass>,
    /// How many entries that is.
    pub count: u64,
    /// The entry that says that they are let go; none if nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// The legal holds under which nothing goes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub legal_holds: Vec<String>,
    /// Who has to read or sign what is old first, and what keeps it from being let go otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Why it failed; it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl ExpiryReport {
    fn failed(tenant: &TenantName, error: &AdminError) -> Self {
        Self {
            tenant: tenant.clone(),
            classes: Vec::new(),
            count: 0,
            entry: None,
            legal_holds: Vec::new(),
            waits_for: None,
            trouble: Some(error.to_string()),
        }
    }
}

/// What of a class was let go, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiryClass {
    /// The class.
    pub class: Class,
    /// What was recorded up to then is old.
    pub until: String,
    /// Entries before this one are let go.
    pub before: u64,
    /// How many that are, beside those that are gone already.
    pub count: u64,
}

/// A legal hold in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegalHoldReport {
    /// Whose log.
    pub tenant: TenantName,
    /// Its name.
    pub name: String,
    /// Who set it.
    pub by: String,
}

impl Control {
    /// How long entries are kept.
    pub fn retention(&self) -> &Retention {
        &self.inner.retention
    }

    /// Lets go what is old in all logs, or in one; or says what that would be.
    ///
    /// # Errors
    /// [`AdminError::Forbidden`] but for owners, who else may only ask what it would be; and when something cannot be read
    /// or recorded.
    pub async fn expire(
        &self,
        actor: &Actor,
        only: Option<&TenantName>,
        dry_run: bool,
    ) -> Result<Vec<ExpiryReport>, AdminError> {
        let needed = if dry_run {
            Permission::ReadAudit
        } else {
            Permission::Own
        };
        Self::require(actor, needed)?;
        if let Some(only) = only {
            self.committed_size(only)?;
        }
        if self.inner.retention.is_empty() {
            return Err(AdminError::Conflict(
                "nothing expires: all entries are kept for as long as the log. Say how long in [retention] of bailiwick.toml, \
                 and restart the server"
                    .to_owned(),
            ));
        }
        self.expire_logs(&actor.name, only, dry_run).await
    }

    async fn expire_logs(
        &self,
        by: &AdminName,
        only: Option<&TenantName>,
        dry_run: bool,
    ) -> Result<Vec<ExpiryReport>, AdminError> {
        let trouble = self.committer().health().borrow().trouble.clone();
        if let Some(trouble) = trouble.filter(|_| !dry_run) {
            // A clock that runs ahead makes everything old.
            return Err(AdminError::Unavailable(trouble));
        }
        let mut nothing = self.inner.expiring.lock().await;
        let tenants: Vec<_> = self.committer().heads().borrow().keys().cloned().collect();
        let mut reports = Vec::new();
        for tenant in tenants.iter().filter(|tenant| only.is_none_or(|only| only == *tenant)) {
            let nothing = nothing.entry(tenant.clone()).or_default();
            let report = self.expire_log(by, tenant, nothing, dry_run).await;
            // A log of which nothing can go holds up no other.
            reports.push(report.unwrap_or_else(|error| ExpiryReport::failed(tenant, &error)));
        }
        Ok(reports)
    }

    async fn expire_log(
        &self,
        by: &AdminName,
        tenant: &TenantName,
        nothing: &mut BTreeMap<Class, u64>,
        dry_run: bool,
    ) -> Result<ExpiryReport, AdminError> {
        let now = self.inner.clock.now();
        let until: BTreeMap<Class, Timestamp> = self
            .inner
            .retention
            .iter()
            .map(|(class, kept)| {
                let kept = i64::try_from(kept.as_micros()).unwrap_or(i64::MAX);
                (
                    *class,
                    Timestamp::from_unix_micros(now.unix_micros().saturating_sub(kept)),
                )
            })
            .collect();
        let said: Evidence = self.committer().view(tenant.clone()).await?.evidence;
        let (bound, who) = self.read_by_all(tenant);
        let found = self.reader().expiry(tenant, &said, &until, bound, nothing).await?;
        for (class, count) in found.counts() {
            if let Some(before) = found.before().get(class).filter(|_| *count == 0) {
                nothing.insert(*class, *before);
            }
        }
        let classes = until.iter().map(|(class, until)| ExpiryClass {
            class: *class,
            until: rfc3339(*until),
            before: found
                .before()
                .get(class)
                .or(said.expired.get(class))
                .copied()
                .unwrap_or(0),
            count: found.counts().get(class).copied().unwrap_or(0),
        });
        let held_back = found.before().values().any(|before| *before == bound) || (found.count() == 0 && bound == 0);
        let mut report = ExpiryReport {
            tenant: tenant.clone(),
            classes: classes.collect(),
            count: found.count(),
            entry: None,
            legal_holds: said.legal_holds.keys().cloned().collect(),
            waits_for: who.filter(|_| held_back),
            trouble: None,
        };
        if dry_run || report.count == 0 || !report.legal_holds.is_empty() {
            return Ok(report);
        }
        match self.committer().expire(tenant.clone(), found, by.clone()).await {
            // The first of the two is the snapshot's.
            Ok(changed) => report.entry = Some(changed.first_index + 1),
            Err(store::ChangeError::Refused(why)) => report.waits_for = Some(why),
            Err(error) => return Err(error.into()),
        }
        Ok(report)
    }

    /// How many entries of a log all have read who read it as it grows, and who is the last of them if not all.
    fn read_by_all(&self, tenant: &TenantName) -> (u64, Option<String>) {
        let size = self.committed_size(tenant).unwrap_or(0);
        let published = self
            .inner
            .checkpoints
            .borrow()
            .get(tenant)
            .map_or(0, |published| published.size);
        let indexed = self
            .inner
            .projection
            .progress()
            .borrow()
            .read
            .get(tenant)
            .copied()
            .unwrap_or(0);
        let mut readers = vec![
            (
                published,
                format!(
                    "the last published checkpoint (where there are witnesses, the last that enough of them have \
                     cosigned) covers {published} of {size} entries"
                ),
            ),
            (indexed, format!("the index has {indexed} of {size} entries")),
        ];
        readers.extend(
            self.inner
                .sinks
                .passed(tenant)
                .into_iter()
                .map(|(sink, passed)| (passed, format!("the sink {sink} has passed {passed} of {size} entries"))),
        );
        let last = readers.into_iter().min_by_key(|(read, _)| *read);
        last.map_or((0, None), |(read, who)| (read, Some(who).filter(|_| read < size)))
    }

    /// The legal holds that are in force, of all logs or of one.
    pub async fn legal_holds(
        &self,
        actor: &Actor,
        only: Option<&TenantName>,
    ) -> Result<Vec<LegalHoldReport>, AdminError> {
        Self::require(actor, Permission::ReadAudit)?;
        if let Some(only) = only {
            self.committed_size(only)?;
        }
        let mut reports = Vec::new();
        let tenants: Vec<_> = self.committer().heads().borrow().keys().cloned().collect();
        for tenant in tenants
            .into_iter()
            .filter(|tenant| only.is_none_or(|only| only == tenant))
        {
            let said = self.committer().view(tenant.clone()).await?.evidence;
            reports.extend(said.legal_holds.into_iter().map(|(name, by)| LegalHoldReport {
                tenant: tenant.clone(),
                name,
                by: by.to_string(),
            }));
        }
        Ok(reports)
    }

    /// Puts a log under a legal hold: from now on nothing of it is let go, whatever is old.
    ///
    /// # Errors
    /// [`AdminError::Conflict`] where there is one of this name.
    pub async fn set_legal_hold(
        &self,
        actor: &Actor,
        tenant: TenantName,
        name: String,
        note: String,
    ) -> Result<LegalHoldReport, AdminError> {
        Self::require(actor, Permission::Operate)?;
        self.committed_size(&tenant)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !(1..=NAME_MAX).contains(&name.len()) || !name.chars().all(plain) {
            return Err(AdminError::Invalid(format!(
                "a legal hold's name has 1 to {NAME_MAX} letters, digits, '-', '_' and '.', such as case-4711"
            )));
        }
        check_note(&note)?;
        let said = self.committer().view(tenant.clone()).await?.evidence;
        if said.legal_holds.contains_key(&name) {
            return Err(AdminError::Conflict(format!(
                "a legal hold {name} of the log of {tenant} is in force already"
            )));
        }
        let event = Event::LegalHoldSet {
            name: name.clone(),
            note,
            by: actor.name.clone(),
        };
        self.change(tenant.clone(), vec![event]).await?;
        let by = actor.name.to_string();
        Ok(LegalHoldReport { tenant, name, by })
    }

    /// Lifts a legal hold.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] where there is none of this name.
    pub async fn lift_legal_hold(
        &self,
        actor: &Actor,
        tenant: TenantName,
        name: &str,
        note: String,
    ) -> Result<LegalHoldReport, AdminError> {
        Self::require(actor, Permission::Own)?;
        self.committed_size(&tenant)?;
        check_note(&note)?;
        let said = self.committer().view(tenant.clone()).await?.evidence;
        let Some(by) = said.legal_holds.get(name).map(ToString::to_string) else {
            return Err(AdminError::NotFound {
                what: "legal hold",
                name: name.to_owned(),
            });
        };
        let event = Event::LegalHoldLifted {
            name: name.to_owned(),
            note,
            by: actor.name.clone(),
        };
        self.change(tenant.clone(), vec![event]).await?;
        let name = name.to_owned();
        Ok(LegalHoldReport { tenant, name, by })
    }

    /// Lets go now and then what is old, until the server stops.
    pub(crate) async fn keep_short(inner: Weak<Inner>, by: AdminName, away: Duration, mut stop: watch::Receiver<bool>) {
        let Some(pause) = inner.upgrade().and_then(|inner| pause(&inner.retention)) else {
            return;
        };
        let mut wait = first_look(pause, away);
        if wait == AWAY {
            tracing::warn!(
                away.days = away.as_secs() / 86_400,
                "the server was away for long, or its clock is wrong: entries whose time is over are let go in 24 hours, or by \
                 `bailiwick audit expire`. If the clock is wrong, set it right and restart"
            );
        }
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(std::mem::replace(&mut wait, pause)) => {}
            }
            let Some(control) = inner.upgrade().map(|inner: Arc<Inner>| Self { inner }) else {
                return;
            };
            match control.expire_logs(&by, None, false).await {
                Ok(reports) => reports.iter().for_each(tell),
                Err(error) => tracing::warn!(%error, "entries whose time is over are not let go; it is tried again"),
            }
        }
    }
}

fn tell(report: &ExpiryReport) {
    let ExpiryReport { tenant, count, .. } = report;
    if let Some(why) = &report.trouble {
        tracing::warn!(%tenant, why, "entries whose time is over are not let go; it is tried again");
    }
    match (&report.entry, &report.waits_for) {
        (Some(entry), _) => tracing::info!(%tenant, count, entry, "entries are let go whose time is over"),
        (None, Some(why)) if *count > 0 => {
            tracing::info!(%tenant, count, "entries whose time is over stay for now: {why}")
        }
        _ => {}
    }
}

/// How long to wait between two looks; `None` if nothing is ever old.
fn pause(retention: &Retention) -> Option<Duration> {
    let shortest = retention.values().min()?;
    Some((*shortest / LOOKS_EACH).clamp(Duration::from_secs(1), LOOKS))
}

/// How long after a start it is looked first, of a server that was away for so long.
fn first_look(pause: Duration, away: Duration) -> Duration {
    match away > AWAY {
        true => AWAY,
        false => pause.min(FIRST_LOOK),
    }
}

fn check_note(note: &str) -> Result<(), AdminError> {
    match is_text(note) && !note.is_empty() {
        true => Ok(()),
        false => Err(AdminError::Invalid(
            "a note says why, in 1 to 200 bytes without line breaks".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_no_rarer_than_daily_and_no_more_frequent_than_each_second() {
        const DAY: u64 = 86_400;
        for (kept, expected) in [
            (&[][..], None),
            (&[1], Some(1)),
            (&[240], Some(10)),
            (&[DAY], Some(3_600)),
            (&[400 * DAY, 240], Some(10)),
            (&[12 * DAY], Some(DAY / 2)),
            (&[400 * DAY], Some(DAY)),
        ] {
            let kept = Class::ALL
                .into_iter()
                .zip(kept.iter().copied().map(Duration::from_secs));
            assert_eq!(pause(&kept.collect()), expected.map(Duration::from_secs));
        }
    }

    #[test]
    fn the_first_look_is_soon_unless_the_clock_is_in_doubt() {
        let seconds = Duration::from_secs;
        for (pause, away, expected) in [
            (seconds(1), Duration::ZERO, seconds(1)),
            (LOOKS, Duration::ZERO, FIRST_LOOK),
            (LOOKS, AWAY, FIRST_LOOK),
            (seconds(1), AWAY + seconds(1), AWAY),
        ] {
            assert_eq!(first_look(pause, away), expected, "{pause:?} {away:?}");
        }
    }
}
