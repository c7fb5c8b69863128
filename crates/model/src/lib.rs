//! The values every other crate speaks in: ids, money, usage, principals and reasons.
//!
//! Nothing here does I/O, reads a clock or draws randomness: a [`Timestamp`] and the random half of an [`ActionId`]
//! are given. Names follow `GLOSSARY.md`.

mod feature;
mod hash;
mod id;
mod money;
mod nearest;
mod principal;
mod reason;
mod time;
mod usage;

pub use feature::{Feature, FeatureUse, ServiceTier, Work};
pub use hash::{Digest, HexError};
pub use id::{
    ActionId, AdminName, AgentName, BatchId, BreakerName, BudgetName, IdError, KeyId, LimitName, MAX_NAME, PepName,
    SinkName, TenantName, UpstreamName,
};
pub use money::{MoneyError, NanoUsd};
pub use nearest::nearest;
pub use principal::{Principal, Pseudonym, Tier};
pub use reason::{Fault, Reason};
pub use time::{Timestamp, rfc3339};
pub use usage::{Usage, UsageSource};
