//! The spool: where calls are recorded that are let through on an allowance while the log cannot be written.
//!
//! It lies on a second disk. While the log works it is empty and closed. When a write of the log fails it is opened: a
//! call of an agent with an allowance is let through once its intent is durable here, and so is how it ended before what
//! it did not use can be spent again. When the log can be written again the spool is closed, the committer takes its
//! records into the log in one transaction, and only then it is emptied.
//!
//! `file.rs` is the file, `worker.rs` the task that writes it, `purse.rs` what may still be spent.

mod file;
mod purse;
mod worker;

pub(crate) use file::SpoolFile;
pub(crate) use purse::{Allowances, Purse};
pub(crate) use worker::{Contents, Keeper, Order, Worker};

/// Attempts that were let through on an allowance are counted from here, so that they cannot be mistaken for the attempt
/// whose hold the log did not take, or took without saying so.
pub(crate) const FIRST_ATTEMPT: u16 = 0x8000;

#[cfg(test)]
pub(crate) use file::faults::{Fate, Faults};
