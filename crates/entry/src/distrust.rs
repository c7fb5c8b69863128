//! Models whose provider billed past a hold: from then on they are not trusted to keep to output limits, until somebody
//! accepts it.

use ledger::Charge;
use model::{NanoUsd, Timestamp, UpstreamName};
use serde::{Deserialize, Serialize};

use crate::{
    Entry, EntryError, Event, State,
    action::{Intent, Outcome, Overrun, Tokens},
    budgets::passes,
    state::OpenIntent,
};

/// The first version whose logs have an `overrun` entry behind each outcome that passed its hold.
const OVERRUNS_SINCE: u32 = 2;

/// Since when and why a model is not trusted to keep to output limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distrust {
    /// The overrun entry that began it.
    pub since: u64,
    /// When.
    pub at: Timestamp,
    /// How many overruns there were from then on, the first included.
    pub count: u64,
    /// How much money they booked past their holds in all; overruns of tokens alone booked none.
    pub past: NanoUsd,
    /// The last of them.
    pub last: Overrun,
}

impl State {
    /// Why a model of an upstream is not trusted to keep to output limits; `None` if it is.
    pub fn distrust(&self, upstream: &UpstreamName, model: &str) -> Option<&Distrust> {
        // The usual log distrusts nothing, and then no key is made.
        if self.distrusted.is_empty() {
            return None;
        }
        self.distrusted.get(&(upstream.clone(), model.to_owned()))
    }

    /// The overrun entry that has to follow an outcome, if it passed its hold. Logs of the first version had none.
    pub(crate) fn overrun_of(
        outcome: &Outcome,
        open: &OpenIntent,
        held: &Charge,
        booked: &Charge,
        entry: &Entry,
    ) -> Option<Event> {
        let passed = passes(booked, held, open.tokens.is_some());
        (entry.v >= OVERRUNS_SINCE && passed).then(|| {
            let Charge { input, output, .. } = *booked;
            Event::Overrun(Overrun {
                action: outcome.action,
                attempt: outcome.attempt,
                outcome: entry.index,
                agent: open.agent.clone(),
                upstream: open.upstream.clone(),
                model: open.model.clone(),
                held: held.money,
                booked: outcome.cost,
                limit: open.limit,
                bound: open.bound,
                tokens_held: open.tokens,
                tokens: open.tokens.map(|_| Tokens { input, output }),
            })
        })
    }

    /// What follows from an outcome stands right behind it, and says what follows.
    pub(crate) fn check_owed(&self, event: &Event) -> Result<(), EntryError> {
        let follows = matches!(
            event,
            Event::Overrun(_) | Event::ThresholdReached(_) | Event::BreakerWarned(_) | Event::BreakerClosed(_)
        );
        match self.owed.front() {
            None if follows => Err(EntryError::Mismatch(
                "it does not stand right behind an outcome that it follows from",
            )),
            Some(owed) if owed == event => Ok(()),
            Some(_) if follows => Err(EntryError::Mismatch(
                "it is not what follows from the outcome before it",
            )),
            Some(_) => Err(EntryError::Mismatch(
                "something follows from the outcome before it, and does not stand behind that",
            )),
            None => Ok(()),
        }
    }

    /// Whether the event changes what decisions depend on. Another overrun of a model that is distrusted already does not:
    /// decisions in flight must not be thrown away for each call of a provider that goes on overrunning.
    pub(crate) fn advances_epoch(&self, event: &Event) -> bool {
        match event {
            Event::Overrun(overrun) => self.distrust(&overrun.upstream, &overrun.model).is_none(),
            event => event.advances_epoch(),
        }
    }

    pub(crate) fn overrun(&mut self, overrun: &Overrun, entry: &Entry) {
        // Where only tokens passed their hold, less money may be booked than was held.
        let past = overrun.booked.saturating_sub(overrun.held).at_least_zero();
        let name = (overrun.upstream.clone(), overrun.model.clone());
        let distrust = self.distrusted.entry(name).or_insert_with(|| Distrust {
            since: entry.index,
            at: entry.time,
            count: 0,
            past: NanoUsd::ZERO,
            last: overrun.clone(),
        });
        distrust.count += 1;
        distrust.past = distrust.past.saturating_add(past);
        distrust.last.clone_from(overrun);
    }

    pub(crate) fn overrun_cleared(&mut self, upstream: &UpstreamName, model: &str) -> Result<(), EntryError> {
        let name = (upstream.clone(), model.to_owned());
        let cleared = self.distrusted.remove(&name);
        cleared
            .map(drop)
            .ok_or(EntryError::Mismatch("no overrun of this model is to be cleared"))
    }

    /// A hold reserves for the output limit that is sent, or for more. For more it must be where the limit is not to be
    /// relied on; work whose output no limit bounds has the limit 0 and is held as ever.
    pub(crate) fn check_bound(&self, intent: &Intent) -> Result<(), EntryError> {
        if intent.bound.is_some_and(|bound| bound < intent.limit) {
            return Err(EntryError::Mismatch("the hold reserves for less than the output limit"));
        }
        if intent.bound.is_some() || intent.limit == 0 {
            return Ok(());
        }
        let (upstream, model) = (&intent.action.upstream, &intent.action.model);
        if self.distrust(upstream, model).is_some() {
            return Err(EntryError::Mismatch(
                "a provider billed past a hold of this model, and this hold does not reserve for its maximum",
            ));
        }
        let declared = self.upstreams.iter().find(|record| record.name == *upstream);
        if declared.is_some_and(|record| !record.honours_output_limit) {
            return Err(EntryError::Mismatch(
                "the upstream does not honour output limits, and the hold does not reserve for the model's maximum",
            ));
        }
        Ok(())
    }
}
