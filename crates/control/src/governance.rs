//! What is declared: agents, budgets, policies and upstreams as the files propose them. Loading appends entries that
//! carry each changed object whole; until then nothing here has any effect.

use std::{collections::BTreeMap, time::Duration};

use ledger::{BreakerSpec, BudgetSpec, RateSpec};
use model::{AgentName, Digest, NanoUsd, PepName, TenantName};
use pricing::Override;

use route::{Bounds, RouteSpec};
use upstream::UpstreamSpec;

/// Everything the files declare, validated.
#[derive(Clone, Debug)]
pub struct Governance {
    /// What each tenant declares. The tenant `default` is always there.
    pub tenants: BTreeMap<TenantName, TenantGovernance>,
    /// Where requests may go.
    pub upstreams: Vec<UpstreamSpec>,
    /// How calls are tried.
    pub routes: Vec<RouteSpec>,
    /// Prices that the configuration adds to the shipped catalogue or puts over it.
    pub prices: Vec<Override>,
}

/// What one tenant declares.
#[derive(Clone, Debug, Default)]
pub struct TenantGovernance {
    /// Its agents.
    pub agents: Vec<AgentSpec>,
    /// Its budgets besides those of the agents. A user that one selects is as the files write it, here and below: loading
    /// makes it a pseudonym.
    pub budgets: Vec<BudgetSpec>,
    /// Its rate limits.
    pub limits: Vec<RateSpec>,
    /// Its circuit breakers.
    pub breakers: Vec<BreakerSpec>,
    /// Its policy enforcement points.
    pub peps: Vec<PepSpec>,
    /// Its files of schemas, policies and entities; their names are relative to the governance directory.
    pub sources: policy::Sources,
}

/// An agent's manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSpec {
    /// The agent.
    pub name: AgentName,
    /// Who answers for it, as an address of a person or group. The log knows only its pseudonym.
    pub owner: String,
    /// The team.
    pub team: String,
    /// The product.
    pub product: String,
    /// The environment, such as `production`.
    pub environment: String,
    /// What it is for.
    pub purpose: String,
    /// What it may spend. Its name is the agent's.
    pub budget: BudgetSpec,
    /// The output limit written into requests that give none; the server's default if `None`. Tokens.
    pub output_limit: Option<u64>,
    /// What it may spend while the log cannot be written.
    pub allowance: Option<NanoUsd>,
}

/// A policy enforcement point's manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PepSpec {
    /// The enforcement point.
    pub name: PepName,
    /// Who answers for it, as an address of a person or group. The log knows only its pseudonym.
    pub owner: String,
    /// What it is for.
    pub purpose: String,
    /// Whether it may ask for decisions.
    pub may_evaluate: bool,
    /// Whether it may search.
    pub may_search: bool,
    /// Whether it is told the reasons for users.
    pub reasons_user: bool,
    /// Whether it is told the reasons for administrators.
    pub reasons_admin: bool,
    /// SHA-256 of each certificate (DER) that authenticates it.
    pub certificates: Vec<Digest>,
}

/// When the answer to an enforcement point leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recording {
    /// Once its entry is on the disk.
    #[default]
    Durable,
    /// Once its entry is among those that are about to be written: a crash may lose the last of them.
    Buffered,
}

/// How the decision point answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthzenSettings {
    /// The address by which enforcement points know it, without a slash at its end. The listener's own if `None`, where
    /// that is a loopback one.
    pub public_url: Option<String>,
    /// When answers leave.
    pub record: Recording,
    /// Whether anybody may ask without a credential, of the tenant `default`. For development on one machine.
    pub allow_unauthenticated: bool,
    /// The most items of a batch.
    pub max_evaluations: usize,
    /// The most results on a page of a search.
    pub page_size: usize,
    /// The longest body of a request, in bytes.
    pub request_bytes: usize,
}

impl Default for AuthzenSettings {
    fn default() -> Self {
        Self {
            public_url: None,
            record: Recording::Durable,
            allow_unauthenticated: false,
            max_evaluations: 200,
            page_size: 1_000,
            request_bytes: 256 * 1024,
        }
    }
}

/// Something that keeps declarations from taking effect.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LoadProblem {
    /// In which file.
    pub file: String,
    /// In which line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// In which column, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// What would mend it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl LoadProblem {
    pub(crate) fn of(file: &str, message: String) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            column: None,
            message,
            help: None,
        }
    }
}

impl From<policy::Problem> for LoadProblem {
    fn from(problem: policy::Problem) -> Self {
        let policy::Problem {
            file,
            line,
            column,
            message,
            help,
        } = problem;
        Self {
            file,
            line,
            column,
            message,
            help,
        }
    }
}

impl std::fmt::Display for LoadProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.file)?;
        for place in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{place}")?;
        }
        write!(f, ": {}", self.message)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

/// Bounds of the data plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest request body, in bytes.
    pub request_bytes: usize,
    /// How many bytes the request bodies of all calls in flight may take together.
    pub bodies_bytes: usize,
    /// The longest JSON reply that is held back so that its cost can be a header; longer ones pass as they come.
    pub reply_bytes: usize,
    /// How many bytes of replies are kept for calls that are sent again under the same idempotency key.
    pub replay_bytes: usize,
    /// The output limit written into requests that give none and whose agent declares none. Tokens.
    pub output_limit: u64,
    /// The most calls in flight at once.
    pub in_flight: usize,
    /// How long a connection may take to send the head of a request, the wait for it included.
    pub head_timeout: Duration,
    /// How long a caller may take to send its request's body.
    pub request_timeout: Duration,
    /// How long connecting to an upstream may take.
    pub connect_timeout: Duration,
    /// How long an upstream may take to its first byte.
    pub first_byte_timeout: Duration,
    /// How long an upstream may pause in the middle of a reply.
    pub idle_timeout: Duration,
    /// How long a call may take in all. A hold expires a minute later.
    pub total_timeout: Duration,
    /// How long a shutdown waits for calls in flight.
    pub shutdown_timeout: Duration,
}

impl Limits {
    /// The bounds of an attempt, where its route sets no closer ones.
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            connect: self.connect_timeout,
            first_byte: self.first_byte_timeout,
            idle: self.idle_timeout,
            total: self.total_timeout,
            request_bytes: self.request_bytes,
            reply_bytes: self.reply_bytes,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes: 32 * 1024 * 1024,
            bodies_bytes: 512 * 1024 * 1024,
            reply_bytes: 8 * 1024 * 1024,
            replay_bytes: 64 * 1024 * 1024,
            output_limit: 4_096,
            in_flight: 10_000,
            head_timeout: Duration::from_secs(75),
            request_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            first_byte_timeout: Duration::from_secs(300),
            idle_timeout: Duration::from_secs(120),
            total_timeout: Duration::from_secs(900),
            shutdown_timeout: Duration::from_secs(30),
        }
    }
}
