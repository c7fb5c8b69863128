//! Scenarios as text tables, random commands against a model that keeps every arrival, and which limits count.

mod checks;
mod properties;
mod scenarios;
mod selection;
mod table;
