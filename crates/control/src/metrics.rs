//! Numbers for Prometheus. Labels come from declarations, never from callers, so their number is bounded.

mod decisions;

use std::{
    fmt::Write as _,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use entry::Status;
use model::{AgentName, BudgetName, NanoUsd, Principal, Reason, TenantName, UpstreamName};
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use signing::Vouched;
use store::{Ending, Handle};

use self::decisions::Decisions;
pub(crate) use self::decisions::Outcomes;
use crate::sinks::SinkBoard;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Labels {
    tenant: String,
    agent: String,
    upstream: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AgentLabels {
    tenant: String,
    agent: String,
    upstream: String,
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DenialLabels {
    tenant: String,
    agent: String,
    upstream: String,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CostLabels {
    tenant: String,
    agent: String,
    upstream: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabels {
    upstream: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DistrustLabels {
    tenant: String,
    upstream: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EditLabels {
    tenant: String,
    change: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    tenant: String,
    answer: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabels {
    listener: &'static str,
}

/// All metrics of the data plane.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    calls: Family<AgentLabels, Counter>,
    denials: Family<DenialLabels, Counter>,
    cost: Family<CostLabels, Counter>,
    in_flight: Gauge,
    seconds: Family<CostLabels, Histogram, fn() -> Histogram>,
    unauthenticated: Counter,
    again: Family<UpstreamLabels, Counter>,
    overruns: Family<CostLabels, Counter>,
    distrusted: Family<DistrustLabels, Gauge>,
    edits: Family<EditLabels, Counter>,
    answers: Family<AnswerLabels, Counter>,
    stale_certificate: Family<ListenerLabels, Gauge>,
    pub(crate) witnesses: Arc<Vouched>,
    decisions: Decisions,
}

fn seconds() -> Histogram {
    Histogram::new([0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0])
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("bailiwick");
        let calls = Family::default();
        let denials = Family::default();
        let cost = Family::default();
        let in_flight = Gauge::default();
        let seconds: Family<CostLabels, Histogram, fn() -> Histogram> = Family::new_with_constructor(seconds);
        let unauthenticated = Counter::default();
        let again = Family::default();
        let overruns = Family::default();
        let distrusted = Family::default();
        let edits = Family::default();
        let answers = Family::default();
        let stale_certificate = Family::default();
        registry.register("calls", "Calls forwarded, by how they ended", calls.clone());
        registry.register("denials", "Actions refused, by reason", denials.clone());
        registry.register(
            "cost_nano_usd",
            "Cost booked, in billionths of a US dollar",
            cost.clone(),
        );
        registry.register("calls_in_flight", "Calls forwarded and not ended", in_flight.clone());
        registry.register(
            "call_seconds",
            "From forwarding to the end of the reply",
            seconds.clone(),
        );
        registry.register(
            "unauthenticated",
            "Requests without a valid credential",
            unauthenticated.clone(),
        );
        registry.register(
            "attempts_again",
            "Attempts after the first, by the upstream they went to",
            again.clone(),
        );
        registry.register(
            "overruns",
            "Calls that a provider billed past their hold",
            overruns.clone(),
        );
        registry.register(
            "distrusted_models",
            "Models held at their maximum because of an overrun that nobody accepted",
            distrusted.clone(),
        );
        registry.register(
            "budget_edits",
            "Changes of budgets by administrators while traffic flowed",
            edits.clone(),
        );
        registry.register(
            "asks_answered",
            "Attempts that waited for an administrator, by what they were answered",
            answers.clone(),
        );
        registry.register(
            "stale_certificate",
            "1 if the certificate files of a listener cannot be used, so that an older certificate stays in use",
            stale_certificate.clone(),
        );
        let witnesses = Arc::new(Vouched::register(&mut registry));
        let decisions = Decisions::register(&mut registry);
        Self {
            registry,
            calls,
            denials,
            cost,
            in_flight,
            seconds,
            unauthenticated,
            again,
            overruns,
            distrusted,
            edits,
            answers,
            stale_certificate,
            witnesses,
            decisions,
        }
    }

    /// Says whether a listener goes on with an older certificate than its files hold.
    pub(crate) fn stale_certificate(&self, listener: &'static str, stale: bool) {
        let gauge = self.stale_certificate.get_or_create(&ListenerLabels { listener });
        gauge.set(i64::from(stale));
    }

    /// Counts a change of a budget by an administrator.
    pub(crate) fn budget_edited(&self, tenant: &TenantName, change: &'static str) {
        let tenant = tenant.to_string();
        self.edits.get_or_create(&EditLabels { tenant, change }).inc();
    }

    /// Counts an answer to an attempt that waited.
    pub(crate) fn ask_answered(&self, tenant: &TenantName, answer: &'static str) {
        let tenant = tenant.to_string();
        self.answers.get_or_create(&AnswerLabels { tenant, answer }).inc();
    }

    /// Counts an attempt after the first.
    pub(crate) fn attempted_again(&self, upstream: &UpstreamName) {
        let upstream = upstream.to_string();
        self.again.get_or_create(&UpstreamLabels { upstream }).inc();
    }

    pub(crate) fn unauthenticated(&self) {
        self.unauthenticated.inc();
    }

    /// Shows how many models are held at their maximum.
    pub(crate) fn distrusted<'a>(&self, counts: impl Iterator<Item = (&'a TenantName, &'a UpstreamName, usize)>) {
        self.distrusted.clear();
        for (tenant, upstream, models) in counts {
            let labels = DistrustLabels {
                tenant: tenant.to_string(),
                upstream: upstream.to_string(),
            };
            let models = i64::try_from(models).unwrap_or(i64::MAX);
            self.distrusted.get_or_create(&labels).set(models);
        }
    }

    /// Counts a refusal. `upstream` is a declared one, or empty: what a caller made up becomes no label.
    pub(crate) fn denied(&self, tenant: &TenantName, agent: &AgentName, upstream: &str, reason: Reason) {
        self.denials
            .get_or_create(&DenialLabels {
                tenant: tenant.to_string(),
                agent: agent.to_string(),
                upstream: upstream.to_owned(),
                reason: reason.code().to_owned(),
            })
            .inc();
    }

    /// Counts a call from now until its end.
    pub(crate) fn call(self: &Arc<Self>, principal: &Principal, upstream: &UpstreamName) -> Call {
        self.in_flight.inc();
        let labels = Labels {
            tenant: principal.tenant.to_string(),
            agent: principal.agent.to_string(),
            upstream: upstream.to_string(),
        };
        Call {
            metrics: self.clone(),
            labels,
        }
    }

    /// The text format, with the committer's numbers as they are now.
    pub(crate) fn render(&self, committer: &Handle, (behind, lag): (u64, Duration), sinks: &SinkBoard) -> String {
        let mut out = String::new();
        // Writing to a `String` does not fail.
        let _ = text::encode_registry(&mut out, &self.registry);
        let stats = committer.stats();
        let trailer = "# EOF\n";
        if out.ends_with(trailer) {
            out.truncate(out.len() - trailer.len());
        }
        let ready = u64::from(committer.health().borrow().trouble.is_none());
        for (name, kind, help, value) in [
            (
                "commits_total",
                "counter",
                "Transactions of the committer",
                stats.batches.load(Relaxed),
            ),
            (
                "entries_total",
                "counter",
                "Audit entries appended",
                stats.entries.load(Relaxed),
            ),
            (
                "commit_microseconds_total",
                "counter",
                "Time spent in commits",
                stats.commit_us.load(Relaxed),
            ),
            (
                "commit_failures_total",
                "counter",
                "Transactions that failed",
                stats.failures.load(Relaxed),
            ),
            (
                "commit_stalls_total",
                "counter",
                "Times at which the disk did not finish a write in time",
                stats.stalls.load(Relaxed),
            ),
            (
                "fail_open_calls_total",
                "counter",
                "Calls let through on allowances while the log could not be written",
                stats.spooled.load(Relaxed),
            ),
            (
                "spool_failures_total",
                "counter",
                "Writes of the spool that failed",
                stats.spool_failures.load(Relaxed),
            ),
            (
                "decisions_waiting",
                "gauge",
                "Decisions that were answered and are not durable yet",
                stats.decisions_waiting.load(Relaxed),
            ),
            (
                "decisions_lost_total",
                "counter",
                "Decisions that were answered and could not be recorded",
                stats.decisions_lost.load(Relaxed),
            ),
            (
                "open_holds",
                "gauge",
                "Holds that have not ended",
                committer.open_holds(),
            ),
            (
                "asks_waiting",
                "gauge",
                "Attempts that wait for an administrator",
                stats.waiting.load(Relaxed),
            ),
            (
                "cost_entries_behind",
                "gauge",
                "Entries that are committed, and not in cost reports and searches yet",
                behind,
            ),
            (
                "projection_lag_seconds",
                "gauge",
                "For how long there have been such entries",
                lag.as_secs(),
            ),
            ("ready", "gauge", "Whether the store can record", ready),
        ] {
            let family = name.trim_end_matches("_total");
            let _ = writeln!(
                out,
                "# HELP bailiwick_{family} {help}.\n# TYPE bailiwick_{family} {kind}\nbailiwick_{name} {value}"
            );
        }
        let breakers = stats.breakers();
        if !breakers.is_empty() {
            let help = "What circuit breakers did: warned, tripped or closed, and by which rule";
            let _ = writeln!(
                out,
                "# HELP bailiwick_breaker_events {help}.\n# TYPE bailiwick_breaker_events counter"
            );
        }
        for ((tenant, breaker, event, rule), times) in breakers {
            let _ = writeln!(
                out,
                "bailiwick_breaker_events_total{{tenant=\"{tenant}\",breaker=\"{breaker}\",event=\"{event}\",rule=\"{rule}\"}} {times}"
            );
        }
        let thresholds = stats.thresholds();
        if !thresholds.is_empty() {
            let help = "Times at which what was booked in a budget reached a threshold, in percent of its limit";
            let _ = writeln!(
                out,
                "# HELP bailiwick_budget_thresholds {help}.\n# TYPE bailiwick_budget_thresholds counter"
            );
        }
        for ((tenant, budget, percent), times) in thresholds {
            let budget = budget.as_ref().map_or("", BudgetName::as_str);
            let _ = writeln!(
                out,
                "bailiwick_budget_thresholds_total{{tenant=\"{tenant}\",budget=\"{budget}\",percent=\"{percent}\"}} {times}"
            );
        }
        sinks.render(&committer.heads().borrow(), &mut out);
        out.push_str(trailer);
        out
    }
}

/// A call in flight, for the counters.
#[derive(Debug)]
pub(crate) struct Call {
    metrics: Arc<Metrics>,
    labels: Labels,
}

impl Call {
    /// Counts the end of a call for which so much was held.
    pub(crate) fn ended(&self, ending: &Ending, held: NanoUsd, elapsed: Duration) {
        let Labels {
            tenant,
            agent,
            upstream,
        } = self.labels.clone();
        let cost = CostLabels {
            tenant: tenant.clone(),
            agent: agent.clone(),
            upstream: upstream.clone(),
        };
        let nano = u64::try_from(ending.cost.0).unwrap_or(0);
        self.metrics.cost.get_or_create(&cost).inc_by(nano);
        if ending.cost > held {
            self.metrics.overruns.get_or_create(&cost).inc();
        }
        self.metrics.seconds.get_or_create(&cost).observe(elapsed.as_secs_f64());
        let outcome = outcome(ending.status).to_owned();
        self.metrics
            .calls
            .get_or_create(&AgentLabels {
                tenant,
                agent,
                upstream,
                outcome,
            })
            .inc();
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
    }
}

fn outcome(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::UpstreamError => "upstream_error",
        Status::Unreachable => "unreachable",
        Status::Timeout => "timeout",
        Status::Broken => "broken",
        Status::ClientGone => "client_gone",
        Status::Cut => "cut",
        Status::Revoked => "revoked",
        Status::NotForwarded => "not_forwarded",
        Status::Indeterminate => "indeterminate",
    }
}
