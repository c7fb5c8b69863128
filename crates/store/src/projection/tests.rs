//! The projection behind a real committer on a real database: its sums are those of the log, whatever happens.

mod following;
mod pace;
mod random;
mod sums;
mod world;
