//! The pipeline and the use cases. Each mutation is authorised beside its write and recorded with it.
//!
//! `control` never sees HTTP types: edges are codecs around it. Its files, in the order of a first reading:
//! `pipeline.rs` (what happens to an action), `authenticate.rs` (who calls), `route.rs` (how often it is tried, and where), `quote.rs` (what it can cost),
//! `bound.rs` (how much output is reserved for), `record.rs` (what is recorded of a refusal), `repeat.rs` (what is sent
//! again), `asking.rs` and `audience.rs` (what waits for an administrator), `meter.rs` (what it used), `expiry.rs` (when its
//! credential ends it), `governance.rs` and `upstream.rs` (what is declared), `load.rs` and `publish.rs`
//! (how that takes effect), `snapshot.rs` (what requests read), `admin.rs`, `budgets.rs`, `rules.rs`, `overruns.rs`, `cost.rs`
//! `simulate.rs` and `replay.rs` (what administrators may do and see), `signer.rs` (checkpoints), `public_log.rs` (the logs as
//! mirrors read them), `retention.rs` (how long they are kept), `start.rs` (how it all begins and ends).

mod admin;
mod asking;
mod audience;
mod authenticate;
mod bound;
mod budgets;
mod cost;
mod credential;
mod entering;
mod entities;
mod expiry;
mod fail_open;
mod feed;
mod governance;
mod load;
mod meter;
mod metrics;
mod overruns;
mod pdp;
mod pipeline;
mod privacy;
mod public_log;
mod publish;
mod quote;
mod record;
mod refusal;
mod repeat;
mod replay;
mod report;
mod retention;
mod rotation;
mod route;
mod rules;
mod search;
mod signer;
mod simulate;
mod sinks;
mod snapshot;
mod start;
mod step;
mod stored;
mod tariffs;
#[cfg(test)]
mod testing;
mod trace;
mod upstream;
mod witnesses;
mod witnessing;

pub use admin::{AdminError, IssuedAdmin, IssuedKey, KeyOrder, PepKeyOrder, Permission};
pub use audience::{Audience, Seat};
pub use authenticate::{Session, Unauthenticated};
pub use budgets::{
    AskTopUp, AtLimitForm, BUDGETS_PAGE, BudgetChange, BudgetEdit, BudgetForm, BudgetQuery, BudgetRemoval, NewBudget,
    Values,
};
pub use cost::{CostFigures, CostLine, CostOther, CostQuery, CostReport, TokenFigures, cost_label};
pub use credential::{ADMIN_PREFIX, AGENT_PREFIX, PEP_PREFIX, recognise};
pub use entities::{
    ENTITIES_BULK, ENTITIES_PAGE, EntityEdit, EntityExpected, EntityOrder, EntityPlace, StoredEntities, StoredEntity,
};
pub use feed::Feed;
pub use governance::{
    AgentSpec, AuthzenSettings, Governance, Limits, LoadProblem, PepSpec, Recording, TenantGovernance,
};
pub use ledger::Warning as Caution;
pub use meter::{BodyEnd, Cleared, Meter, Settled, Unassembled};
pub use overruns::Acceptance;
pub use pdp::{PepAnswer, PepError, PepSession, Presented, endpoints as pdp_endpoints};
pub use pipeline::{Ask, Failure, Forwarded, Upstream};
pub use policy::{Source as PolicySource, Sources as PolicySources};
pub use public_log::{Checkpoints, Published};
pub use refusal::Refusal;
pub use repeat::RepeatKey;
pub use replay::ReplayOrder;
pub use report::{
    AdminReport, AgentReport, AskReport, BreakerReport, BucketReport, BudgetPage, BudgetReport, EditReport,
    EntryReport, KeyReport, LimitReport, LoadReport, NotReplayed, OverrunReport, PepKeyReport, PepReport, ReplayAnswer,
    ReplayChange, ReplayDay, ReplayExample, ReplayReport, ReplaySet, SimulationReport, StandingReport, StopReport,
    StoppedReport, Unlike, UpstreamReport, rfc3339,
};
pub use retention::{ExpiryClass, ExpiryReport, LegalHoldReport, Retention};
pub use rotation::LogKeyReport;
pub use route::{Bounds, Cause, Fallback, ModelPattern, Places, Retry, RouteSpec};
pub use rules::Reset;
pub use search::{
    FoundReport, IndexReport, IndexedReport, KINDS, SEARCH_FILTERS, SEARCH_LIMIT, SearchQuery, SearchReport,
    search_condition,
};
pub use signer::{GuardFile, KeyFiles, log_keys};
pub use simulate::Proposal;
pub use sinks::{Rotation, SinkFormat, SinkReport, SinkSpec, SinkStart, SinkStatus, SinkTarget, Webhook};
pub use snapshot::Actor;
pub use start::{Control, Loader, Options, StartError};
pub use store::Warning;
pub use store::{CostLabel, Fed, LogFeed, StoreError};
pub use trace::{TraceNode, TraceQuery, TraceReport};
pub use upstream::{
    ClientIdentity, Fingerprint, HeaderTemplate, Http2, MAX_TEMPLATE, NoSegment, PathTemplate, Preset, Proxy,
    QueryTemplate, Secret, TemplateError, Transport, TransportSpec, UpstreamSpec,
};
pub use witnesses::{AskWitness, Asked, WitnessAnswer, WitnessSpec, Witnesses};
pub use witnessing::cosigned_file;
