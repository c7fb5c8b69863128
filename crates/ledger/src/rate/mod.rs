//! Rate limits: how fast requests, tokens and money may go.
//!
//! A limit selects requests by their labels and has one bucket, or one for each value of some labels. A request takes its
//! worst case from the buckets of all limits that it is under, and gives back what it did not use when it ends. One that
//! is refused takes nothing.

mod bucket;
mod check;
mod index;
mod limited;
mod meter;
mod pool;
mod rates;
mod spec;

pub use bucket::Fill;
pub use check::{MAX_GROUPS, MAX_LIMITS, MAX_RATES, RateProblem, check as check_rates};
pub use limited::{LimitReason, Limited, RateError};
pub use rates::{MAX_BUCKETS, Rates};
pub use spec::{Per, Rate, RateSpec};

#[cfg(test)]
mod tests;
