//! The pipeline and the use cases. Each mutation is authorised beside its write and recorded with it.
//!
//! `control` never sees HTTP types: edges are codecs around it. Its files, in the order of a first reading:
//! `pipeline.rs` (what happens to an action), `authenticate.rs` (who calls), the crate `route` (how often it is tried, and where), `quote.rs` (what it can cost),
//! `bound.rs` (how much output is reserved for), `record.rs` (what is recorded of a refusal), `repeat.rs` (what is sent
//! again), `asking.rs` and `audience.rs` (what waits for an administrator), `meter.rs` (what it used), `expiry.rs` (when its
//! credential ends it), `governance.rs` (what is declared, beside the crate `upstream`), `load.rs` and `publish.rs`
//! (how that takes effect), `snapshot.rs` (what requests read), `admin.rs`, `budgets.rs`, `rules.rs`, `overruns.rs`, `cost.rs`
//! `simulate.rs` and `replays.rs` (what administrators may do and see), `rotation.rs` (the keys of checkpoints, which the crate `signing` makes), `public_log.rs` (the logs as
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
mod replays;
mod report;
mod retention;
mod rotation;
mod rules;
mod search;
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
pub use model::rfc3339;
pub use overruns::Acceptance;
pub use pdp::{PepAnswer, PepError, PepSession, Presented, endpoints as pdp_endpoints};
pub use pipeline::{Ask, Forwarded, Upstream};
pub use policy::{Source as PolicySource, Sources as PolicySources};
pub use refusal::Refusal;
pub use repeat::RepeatKey;
pub use replay::{
    NotReplayed, ReplayAnswer, ReplayChange, ReplayDay, ReplayExample, ReplayOrder, ReplayReport, ReplaySet, Unlike,
};
pub use report::{
    AdminReport, AgentReport, AskReport, BreakerReport, BucketReport, BudgetPage, BudgetReport, EditReport,
    EntryReport, KeyReport, LimitReport, LoadReport, OverrunReport, PepKeyReport, PepReport, SimulationReport,
    StandingReport, StopReport, StoppedReport, UpstreamReport,
};
pub use retention::{ExpiryClass, ExpiryReport, LegalHoldReport, Retention};
pub use rotation::LogKeyReport;
pub use route::{Bounds, Cause, Failure, Fallback, ModelPattern, Places, Retry, RouteSpec};
pub use rules::Reset;
pub use search::{
    FoundReport, IndexReport, IndexedReport, SEARCH_FILTERS, SEARCH_LIMIT, SearchQuery, SearchReport, search_condition,
};
pub use signing::{
    Accepted, AskWitness, Asked, Checkpoints, GuardFile, KeyFiles, Loss, Published, Restoration, RestoreError,
    SigningError, WitnessAnswer, WitnessSpec, Witnesses, cosigned_file, log_keys,
};
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
