//! Scenarios as text tables, windows against the clock of a zone, and random commands against a naive model.

mod allowances;
mod edits;
mod entries;
pub(crate) mod form;
mod memory;
mod overlap;
mod pots;
mod properties;
mod scenarios;
mod selection;
mod selectors;
mod table;
mod thresholds;
mod units;
mod windows;
