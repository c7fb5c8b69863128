//! A seeded simulation: thousands of agents ask, end, crash and are edited under clocks that go anywhere, and after each
//! step an oracle that knows nothing of the ledger's arithmetic says what must have become of it.
//!
//! Every entry is held against what the oracle expects: that a hold is in exactly the pots that select it and takes none
//! above its limit; that what is refused does not fit, and the refusal says by how much; that every hold ends once; that
//! thresholds and overruns are told when they must be. The balances of the pots that a step was about are compared after
//! it, those of all pots now and then, and at the end of each world its log is folded anew and must give the same state.
//!
//! `memory.rs` drives one tenant's log without I/O, `database.rs` the committer on a real database. `BAILIWICK_SEED` repeats
//! a run whose seed was printed, and `BAILIWICK_STEPS` says how many steps are taken from a fresh one.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{SystemTime, UNIX_EPOCH},
};

mod cast;
mod database;
mod memory;
mod oracle;
mod random;
mod script;
mod trace;

/// How many steps one world lives on a database.
const STORED: usize = 2_500;
/// How many steps one world lives in memory.
const WORLD: usize = 25_000;

fn number<T: std::str::FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok().and_then(|value| value.parse().ok())
}

/// The seed to repeat, or one that is new each time.
fn fresh_seed() -> u64 {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH);
    let fresh = || now().map_or(1, |since| since.as_micros().try_into().unwrap_or(1));
    number("BAILIWICK_SEED").unwrap_or_else(fresh)
}

/// Runs worlds of consecutive seeds until so many steps were taken, on so many threads.
fn in_memory(seed: u64, steps: usize, threads: usize) {
    println!("seed {seed}, {steps} steps (BAILIWICK_SEED={seed} BAILIWICK_STEPS={steps} repeats them)");
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let kinds: Mutex<BTreeMap<&'static str, u64>> = Mutex::default();
    let work = || {
        loop {
            let world = next.fetch_add(1, Relaxed);
            let before = world * WORLD;
            if before >= steps {
                return;
            }
            let steps_here = WORLD.min(steps - before);
            let found = memory::run(seed.wrapping_add(world.try_into().unwrap()), steps_here);
            let done = done.fetch_add(steps_here, Relaxed) + steps_here;
            let mut kinds = kinds.lock().unwrap();
            for (kind, count) in found {
                *kinds.entry(kind).or_default() += count;
            }
            println!("{done} of {steps} steps");
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
    println!("{:?}", kinds.into_inner().unwrap());
}

#[test]
fn a_quarter_of_a_million_steps_in_memory() {
    in_memory(1, 250_000, 1);
}

#[test]
fn another_quarter_of_a_million_steps_in_memory() {
    in_memory(1_000_000, 250_000, 1);
}

#[test]
fn a_third_quarter_of_a_million_steps_in_memory() {
    in_memory(2_000_000, 250_000, 1);
}

/// Runs worlds of consecutive seeds on databases, one after the other.
fn on_databases(seed: u64, steps: usize) {
    println!("seed {seed}, {steps} steps (BAILIWICK_SEED={seed} BAILIWICK_STEPS={steps} repeats them)");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut kinds: BTreeMap<&'static str, u64> = BTreeMap::new();
    for before in (0..steps).step_by(STORED) {
        let steps_here = STORED.min(steps - before);
        let world = u64::try_from(before / STORED).unwrap();
        for (kind, count) in runtime.block_on(database::run(seed.wrapping_add(world), steps_here)) {
            *kinds.entry(kind).or_default() += count;
        }
        println!("{} of {steps} steps on databases", before + steps_here);
    }
    println!("{kinds:?}");
}

#[test]
fn ten_thousand_steps_on_a_database() {
    on_databases(3_000_000, 10_000);
}

#[test]
fn steps_on_a_database_of_a_fresh_seed() {
    on_databases(fresh_seed(), number("BAILIWICK_STEPS").unwrap_or(10_000));
}

/// `cargo xtask soak --steps` takes more of them.
#[test]
fn steps_in_memory_of_a_fresh_seed() {
    let steps = number("BAILIWICK_STEPS");
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    in_memory(
        fresh_seed(),
        steps.unwrap_or(250_000),
        if steps.is_some() { all } else { 1 },
    );
}
