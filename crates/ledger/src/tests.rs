//! Scenarios as text tables, windows against the clock of a zone, and random commands against a naive model.

mod allowances;
mod entries;
mod properties;
mod scenarios;
mod table;
mod windows;
