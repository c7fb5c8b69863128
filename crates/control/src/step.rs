//! What a request asks to be done next, as the circuit breakers see it: keyed hashes, of which the log says nothing else.

use ledger::{NextStep, WantedSteps};
use llm::Sameness;
use model::Principal;

use crate::{Control, pipeline::Attempt, snapshot::Key};

impl Control {
    /// What an attempt asks to be done next, as far as circuit breakers look at it.
    pub(crate) fn next_step(&self, key: &Key, attempt: &Attempt<'_>, wanted: WantedSteps) -> NextStep {
        let Principal { tenant, agent, .. } = &key.principal;
        let step = |wanted: bool, sameness| {
            let ask = attempt.ask;
            // What the agent sent: a fallback asks the same of another model.
            let step = || llm::step(ask.endpoint, ask.content_type.as_deref(), &ask.body, sameness);
            let step = wanted.then(step).flatten()?;
            Some(self.privacy().step(tenant, agent, &step))
        };
        NextStep {
            calls: step(wanted.calls, Sameness::Calls),
            results: step(wanted.results, Sameness::Results),
        }
    }
}
