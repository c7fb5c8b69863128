//! The projection behind a real committer on a real database: its sums are those of the log, whatever happens.

mod following;
mod random;
mod searching;
mod sums;
mod world;
