//! What administrators read of rate limits and circuit breakers.

use ledger::{BreakerSpec, Label, RateSpec};
use model::TenantName;
use serde::{Deserialize, Serialize};
use store::Rules;

use model::rfc3339;

/// A rate limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitReport {
    /// Its tenant.
    pub tenant: String,
    /// Its name.
    pub name: String,
    /// The group in which the most specific one counts; empty for the usual one.
    pub group: String,
    /// Which requests it selects.
    pub selects: String,
    /// The labels whose values have a bucket each.
    pub each: Vec<String>,
    /// The rates, such as `60 calls per minute, 10 at once`.
    pub rates: Vec<String>,
    /// The buckets that something went through lately, some of them if there are many.
    pub buckets: Vec<BucketReport>,
}

/// What may go at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketReport {
    /// Whose.
    pub of: String,
    /// Calls in flight that took from it.
    pub in_flight: usize,
    /// What is free of each rate, in its order, with its unit.
    pub free: Vec<String>,
}

/// A circuit breaker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerReport {
    /// Its tenant.
    pub tenant: String,
    /// Its name.
    pub name: String,
    /// Which requests it watches.
    pub selects: String,
    /// What it stops: `run`, `agent` or `team`.
    pub scope: String,
    /// What trips it: `spend`, `surge`, `loops`, `errors`, `no_progress`.
    pub rules: Vec<String>,
    /// How long it stays open before one call may probe, in seconds.
    pub cooldown_s: u32,
    /// Teams, agents or runs that it stops, and some that it counts.
    pub standings: Vec<StandingReport>,
}

/// How a breaker stands for one team, agent or run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingReport {
    /// Whose.
    pub of: String,
    /// `open`, `half_open` or `closed`.
    pub state: String,
    /// Why it tripped, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// When it tripped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// When one call may probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

pub(crate) fn limit_reports(tenant: &TenantName, rules: &Rules) -> Vec<LimitReport> {
    let report = |spec: &RateSpec| {
        let buckets = rules.buckets.iter().filter(|fill| fill.limit == spec.name);
        let buckets = buckets.map(|fill| BucketReport {
            of: whose(&fill.of),
            in_flight: fill.open,
            free: fill.free.iter().map(|(rate, free)| rate.measure.show(*free)).collect(),
        });
        LimitReport {
            tenant: tenant.to_string(),
            name: spec.name.to_string(),
            group: spec.group.clone(),
            selects: spec.select.to_string(),
            each: spec.each.iter().map(ToString::to_string).collect(),
            rates: spec.rates.iter().map(ToString::to_string).collect(),
            buckets: buckets.collect(),
        }
    };
    rules.limits.iter().map(report).collect()
}

pub(crate) fn breaker_reports(tenant: &TenantName, rules: &Rules) -> Vec<BreakerReport> {
    let report = |spec: &BreakerSpec| {
        let standings = rules.standings.iter().filter(|standing| standing.breaker == spec.name);
        let standings = standings.map(|standing| StandingReport {
            of: standing.of.clone(),
            state: standing.phase.as_str().to_owned(),
            cause: standing.cause.as_ref().map(ToString::to_string),
            since: standing.since.map(rfc3339),
            until: standing.until.map(rfc3339),
        });
        BreakerReport {
            tenant: tenant.to_string(),
            name: spec.name.to_string(),
            selects: spec.select.to_string(),
            scope: spec.scope.as_str().to_owned(),
            rules: rules_of(spec),
            cooldown_s: spec.cooldown_s,
            standings: standings.collect(),
        }
    };
    rules.breakers.iter().map(report).collect()
}

fn rules_of(spec: &BreakerSpec) -> Vec<String> {
    let rules = [
        ("spend", spec.spend.is_some()),
        ("surge", spec.surge.is_some()),
        ("loops", spec.loops.is_some()),
        ("errors", spec.errors.is_some()),
        ("no_progress", spec.no_progress.is_some()),
    ];
    let given = rules.into_iter().filter(|(_, given)| *given);
    given.map(|(rule, _)| rule.to_owned()).collect()
}

fn whose(of: &[(Label, String)]) -> String {
    let each = of.iter().map(|(label, value)| format!("{label} {value}"));
    each.collect::<Vec<_>>().join(", ")
}
