//! Rate limits: how fast requests, tokens and money may go.

mod spec;

pub use spec::{Per, Rate, RateSpec};
