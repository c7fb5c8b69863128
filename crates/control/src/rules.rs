//! What administrators see of rate limits and circuit breakers, and what they may do to breakers.

use entry::Event;
use model::{BreakerName, TenantName};
use store::RulesQuery;

use crate::{
    Actor, AdminError, BreakerReport, Control, LimitReport, Permission,
    admin::{TEXT_MAX, is_text},
    report::rules::{breaker_reports, limit_reports},
};

/// How many buckets, teams, agents and runs one question returns at most.
const STANDINGS_MAX: usize = 1_000;

/// A circuit breaker that an administrator closes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// In whose log.
    pub tenant: TenantName,
    /// The breaker.
    pub breaker: BreakerName,
    /// Whose: the team, the agent, or `agent/run`. Where it stops only one, it need not be said.
    pub of: Option<String>,
    /// Why it is closed.
    pub note: String,
}

impl Control {
    /// All rate limits, and how their buckets stand.
    pub async fn rate_limits(&self, actor: &Actor) -> Result<Vec<LimitReport>, AdminError> {
        Self::require(actor, Permission::ReadState)?;
        let mut reports = Vec::new();
        for tenant in self.tenant_names() {
            let rules = self.committer().rules(tenant.clone(), all()).await?;
            reports.extend(limit_reports(&tenant, &rules));
        }
        Ok(reports)
    }

    /// All circuit breakers, and what they stop.
    pub async fn breakers(&self, actor: &Actor) -> Result<Vec<BreakerReport>, AdminError> {
        Self::require(actor, Permission::ReadState)?;
        let mut reports = Vec::new();
        for tenant in self.tenant_names() {
            let rules = self.committer().rules(tenant.clone(), all()).await?;
            reports.extend(breaker_reports(&tenant, &rules));
        }
        Ok(reports)
    }

    /// Closes a circuit breaker for a team, an agent or a run, and has it forget what it counted. Returns how it stood.
    pub async fn reset_breaker(&self, actor: &Actor, reset: Reset) -> Result<BreakerReport, AdminError> {
        Self::require(actor, Permission::Operate)?;
        let Reset {
            tenant,
            breaker,
            of,
            note,
        } = reset;
        check_reason(&note, "the provider mended it")?;
        if !self.snapshot().tenants.contains_key(&tenant) {
            let name = tenant.to_string();
            return Err(AdminError::NotFound { what: "tenant", name });
        }
        let query = RulesQuery {
            breaker: Some(breaker.clone()),
            // Who names whose may have a closed one forget what it counted.
            closed: of.is_some(),
            most: STANDINGS_MAX,
        };
        let rules = self.committer().rules(tenant.clone(), query).await?;
        let reports = breaker_reports(&tenant, &rules);
        let Some(report) = reports.into_iter().find(|report| report.name == breaker.as_str()) else {
            let name = breaker.to_string();
            return Err(AdminError::NotFound { what: "breaker", name });
        };
        let of = match of {
            Some(of) => of,
            None => only_stopped(&report)?,
        };
        let by = actor.name.clone();
        let event = Event::BreakerReset { breaker, of, note, by };
        self.change(tenant, vec![event]).await?;
        Ok(report)
    }

    pub(crate) fn tenant_names(&self) -> Vec<TenantName> {
        let mut tenants: Vec<_> = self.snapshot().tenants.keys().cloned().collect();
        tenants.sort_unstable();
        tenants
    }
}

/// What is shown of all that there is.
fn all() -> RulesQuery {
    RulesQuery {
        breaker: None,
        closed: true,
        most: STANDINGS_MAX,
    }
}

/// Whose breaker is meant if nobody says so.
fn only_stopped(report: &BreakerReport) -> Result<String, AdminError> {
    let stopped = report.standings.iter().filter(|standing| standing.state != "closed");
    let stopped: Vec<_> = stopped.map(|standing| standing.of.as_str()).collect();
    match stopped.as_slice() {
        [of] => Ok((*of).to_owned()),
        [] => Err(AdminError::Conflict(format!(
            "breaker {} stops nobody: there is nothing to reset",
            report.name
        ))),
        several => Err(AdminError::Invalid(format!(
            "breaker {} stops {}{} {}s: say which is meant (`of`), such as {:?}",
            report.name,
            several.len(),
            if several.len() < STANDINGS_MAX { "" } else { " or more" },
            report.scope,
            several.first().copied().unwrap_or_default()
        ))),
    }
}

/// Checks why somebody does something, for the audit trail.
pub(crate) fn check_reason(note: &str, example: &str) -> Result<(), AdminError> {
    if note.trim().is_empty() {
        let message = format!("say in the note why, such as {example:?}: it stands in the audit trail");
        return Err(AdminError::Invalid(message));
    }
    if !is_text(note) {
        return Err(AdminError::Invalid(format!(
            "a note has at most {TEXT_MAX} characters and no control characters"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StandingReport;

    /// Standings, by whose they are and how they stand, and whose is reset.
    type Case = (
        &'static [(&'static str, &'static str)],
        Result<&'static str, &'static str>,
    );

    /// Who is meant by a reset that says nobody: the only one that the breaker stops.
    #[test]
    fn a_reset_that_names_nobody_is_of_the_only_one_that_is_stopped() {
        let cases: [Case; 6] = [
            (&[], Err("breaker b stops nobody: there is nothing to reset")),
            (
                &[("ann", "closed")],
                Err("breaker b stops nobody: there is nothing to reset"),
            ),
            (&[("ann", "open")], Ok("ann")),
            (&[("ann", "half_open")], Ok("ann")),
            (&[("ann", "closed"), ("bob", "open"), ("cy", "closed")], Ok("bob")),
            (
                &[("ann", "closed"), ("bob", "open"), ("cy", "half_open")],
                Err("breaker b stops 2 agents: say which is meant (`of`), such as \"bob\""),
            ),
        ];
        for (standings, expected) in cases {
            let standing = |(of, state): &(&str, &str)| StandingReport {
                of: (*of).to_owned(),
                state: (*state).to_owned(),
                cause: None,
                since: None,
                until: None,
            };
            let report = BreakerReport {
                tenant: "default".to_owned(),
                name: "b".to_owned(),
                selects: "all requests".to_owned(),
                scope: "agent".to_owned(),
                rules: Vec::new(),
                cooldown_s: 600,
                standings: standings.iter().map(standing).collect(),
            };
            let found = only_stopped(&report).map_err(|error| error.to_string());
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{standings:?}");
        }
    }

    #[test]
    fn a_reason_is_a_short_line() {
        let (most, longer) = ("x".repeat(TEXT_MAX), "x".repeat(TEXT_MAX + 1));
        for (note, is_fine) in [
            ("checked by hand", true),
            (&most, true),
            ("", false),
            (" \t", false),
            (&longer, false),
            ("two\nlines", false),
        ] {
            assert_eq!(check_reason(note, "an example").is_ok(), is_fine, "{note}");
        }
    }
}
