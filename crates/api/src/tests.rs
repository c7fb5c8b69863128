//! The API over a real control in a temporary directory.

mod deciding;
mod guards;
mod listening;
mod public_log;
mod roles;
mod shapes;
mod world;
