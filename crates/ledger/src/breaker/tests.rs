//! Transitions as text tables, loops against a naive reading of the whole past, and random traffic.

mod loops;
mod properties;
mod specs;
mod table;
mod transitions;
