//! The pipeline and the use cases. Each mutation is authorised beside its write and recorded with it.
//!
//! `control` never sees HTTP types: edges are codecs around it. Its files, in the order of a first reading:
//! `pipeline.rs` (what happens to an action), `meter.rs` (what it used), `governance.rs` and `upstream.rs` (what is declared), `load.rs` and
//! `publish.rs` (how that takes effect), `snapshot.rs` (what requests read), `admin.rs` (what administrators may do),
//! `signer.rs` (checkpoints), `start.rs` (how it all begins and ends).

mod admin;
mod credential;
mod governance;
mod load;
mod meter;
mod metrics;
mod pipeline;
mod privacy;
mod publish;
mod refusal;
mod report;
mod signer;
mod snapshot;
mod start;
mod tariffs;
mod upstream;

pub use admin::{AdminError, IssuedAdmin, IssuedKey, KeyOrder, Permission};
pub use credential::{ADMIN_PREFIX, AGENT_PREFIX, recognise};
pub use governance::{AgentSpec, Governance, Limits, LoadProblem, TenantGovernance};
pub use meter::{BodyEnd, Cleared, Meter, Settled};
pub use pipeline::{Ask, Session, Unauthenticated, Upstream};
pub use refusal::Refusal;
pub use report::{AdminReport, AgentReport, BudgetReport, EntryReport, KeyReport, LoadReport, UpstreamReport, rfc3339};
pub use signer::{GuardFile, KeyFiles, log_keys};
pub use snapshot::Actor;
pub use start::{Control, Loader, Options, StartError};
pub use upstream::{Secret, UpstreamSpec};
