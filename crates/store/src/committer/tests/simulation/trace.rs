//! What to say when something is wrong: the seed, the step, and what came before it.

use std::collections::VecDeque;

use super::script::Step;

/// How many steps are told.
const TOLD: usize = 12;

#[derive(Debug)]
pub(super) struct Trace {
    seed: u64,
    steps: usize,
    last: VecDeque<Step>,
}

impl Trace {
    pub(super) fn new(seed: u64) -> Self {
        let last = VecDeque::with_capacity(TOLD);
        Self { seed, steps: 0, last }
    }

    pub(super) fn next(&mut self, step: &Step) {
        self.steps += 1;
        if self.last.len() == TOLD {
            self.last.pop_front();
        }
        self.last.push_back(step.clone());
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, steps, last } = self;
            println!("the world of seed {seed} went wrong at step {steps}; the last steps were");
            last.iter().for_each(|step| println!("  {step:?}"));
            println!("BAILIWICK_SEED={seed} repeats it");
        }
    }
}
