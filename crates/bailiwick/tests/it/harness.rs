//! A world for tests: a directory with a configuration, a simulated provider, and the binary that serves in between.

mod command;
mod http;
mod process;
mod world;

pub(crate) use command::{Done, bailiwick};
pub(crate) use http::{Http, Reply};
pub(crate) use process::{Process, signal};
pub(crate) use world::{Agent, World, chat};

/// Long enough for a loaded machine; nobody waits for it when all is well.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// The credential the provider takes. It must never be seen by an agent, a log or an entry.
pub(crate) const UPSTREAM_KEY: &str = "sk-upstream-canary-5f2b7c91d0e4";
