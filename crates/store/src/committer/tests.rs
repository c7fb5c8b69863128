//! The committer on a real database: what is answered, what is stored, and what survives.

mod allowances;
mod asks;
mod boots;
mod case_03;
mod case_04;
mod decisions;
mod entities;
mod faults;
mod holds;
mod lifetimes;
mod outages;
mod overruns;
mod random;
mod retention;
mod simulation;
mod stopping;
mod storage;
mod tampering;
mod trouble;
mod world;
