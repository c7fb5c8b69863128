//! One budget: what it allows, and what was spent and held in each period that still counts.

use std::collections::VecDeque;

use model::{BudgetName, NanoUsd, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Period, Window, WindowError};

/// What a budget allows. The limit is hard: no hold is granted that would take settled + held above it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetSpec {
    /// The budget's name, unique within its tenant.
    pub name: BudgetName,
    /// How much may be spent in one window.
    pub limit: NanoUsd,
    /// When spending starts again.
    pub window: Window,
}

/// A budget's standing at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// What the budget allows.
    pub spec: BudgetSpec,
    /// Debt from earlier windows: what overruns or a lowered limit left above the limit.
    pub carried: NanoUsd,
    /// Booked in the windows that count now.
    pub settled: NanoUsd,
    /// Reserved by holds that have not ended.
    pub held: NanoUsd,
    /// When the oldest spending that counts now stops counting; `None` if it never does.
    pub resets_at: Option<Timestamp>,
}

impl Balance {
    /// All that counts against the limit.
    pub fn used(&self) -> NanoUsd {
        self.carried.saturating_add(self.settled).saturating_add(self.held)
    }

    /// What a hold may still take; zero when there is debt.
    pub fn remaining(&self) -> NanoUsd {
        self.spec.limit.saturating_sub(self.used()).at_least_zero()
    }
}

/// What was booked into one period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) period: Period,
    /// The limit while this period was the current one; what was booked above it is carried into the next.
    limit: NanoUsd,
    /// Whether the window was redefined while this period counted: then all of it is carried into the next.
    closed: bool,
    pub(crate) settled: NanoUsd,
    pub(crate) held: NanoUsd,
    /// Holds of this period that have not ended: it is kept while there are any.
    pub(crate) open: u32,
}

impl Slot {
    fn new(period: Period) -> Self {
        let none = NanoUsd::ZERO;
        Self {
            period,
            limit: none,
            closed: false,
            settled: none,
            held: none,
            open: 0,
        }
    }

    fn used(&self) -> NanoUsd {
        self.settled.saturating_add(self.held)
    }
}

/// A budget and its periods, oldest first.
///
/// A calendar (or total) budget counts its last period plus the debt carried through the ones before. A rolling budget
/// counts every period that has not ended, and carries no debt: an overrun counts until it rolls out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) spec: BudgetSpec,
    /// Debt of periods no longer kept.
    carried: NanoUsd,
    slots: VecDeque<Slot>,
}

impl Budget {
    pub(crate) fn new(spec: BudgetSpec) -> Self {
        Self {
            spec,
            carried: NanoUsd::ZERO,
            slots: VecDeque::new(),
        }
    }

    /// Takes a changed limit or window. Spending is never forgotten by an edit: when the window changes, all that counts
    /// in the old one is carried into the first period of the new.
    pub(crate) fn redefine(&mut self, spec: BudgetSpec, now: Timestamp) {
        if spec.window != self.spec.window {
            let rolling = self.spec.window.is_rolling();
            for slot in self.slots.iter_mut().filter(|slot| slot.period.end > now) {
                slot.closed = true;
            }
            if rolling {
                self.slots.retain(|slot| slot.period.end > now || slot.open > 0);
            }
        } else if let Some(last) = self.slots.back_mut()
            && last.period.end > now
        {
            last.limit = spec.limit;
        }
        self.spec = spec;
    }

    /// The period a hold at `now` books into. Resolving a calendar is costly, so the last period is tried first.
    pub(crate) fn period(&self, now: Timestamp) -> Result<Period, WindowError> {
        match self.slots.back() {
            Some(last) if !self.spec.window.is_rolling() && !last.closed && contains(last, now) => Ok(last.period),
            _ => self.spec.window.period(now),
        }
    }

    pub(crate) fn balance(&self, now: Timestamp) -> Result<Balance, WindowError> {
        let period = self.period(now)?;
        Ok(if self.spec.window.is_rolling() {
            self.rolling_balance(now)
        } else {
            self.calendar_balance(period)
        })
    }

    fn calendar_balance(&self, period: Period) -> Balance {
        let current = self.slots.back().filter(|slot| slot.period == period && !slot.closed);
        let earlier = self
            .slots
            .iter()
            .take(self.slots.len().saturating_sub(usize::from(current.is_some())));
        let carried = earlier.fold(self.carried, carry);
        Balance {
            spec: self.spec.clone(),
            carried,
            settled: current.map_or(NanoUsd::ZERO, |slot| slot.settled),
            held: current.map_or(NanoUsd::ZERO, |slot| slot.held),
            resets_at: (period.end != Timestamp::MAX).then_some(period.end),
        }
    }

    fn rolling_balance(&self, now: Timestamp) -> Balance {
        let mut live = self.slots.iter().filter(|slot| slot.period.end > now).peekable();
        let resets_at = live.peek().map(|slot| slot.period.end);
        let (settled, held) = live.fold((NanoUsd::ZERO, NanoUsd::ZERO), |(settled, held), slot| {
            (settled.saturating_add(slot.settled), held.saturating_add(slot.held))
        });
        Balance {
            spec: self.spec.clone(),
            carried: NanoUsd::ZERO,
            settled,
            held,
            resets_at,
        }
    }

    /// The slot of a period, made if it is not there; periods that can no longer matter are dropped on the way.
    pub(crate) fn slot_for_hold(&mut self, period: Period, now: Timestamp) -> &mut Slot {
        let current = |last: &Slot| last.period == period && !last.closed;
        if !self.slots.back().is_some_and(current) {
            self.prune(now);
            // The period may have been closed by a redefinition that led back to it: it goes on, never twice.
            let again = self.slots.iter().position(|slot| slot.period == period);
            let slot = again
                .and_then(|at| self.slots.remove(at))
                .unwrap_or_else(|| Slot::new(period));
            self.slots.push_back(Slot {
                limit: self.spec.limit,
                closed: false,
                ..slot
            });
        }
        let last = self.slots.len().saturating_sub(1);
        #[expect(clippy::indexing_slicing, reason = "the last element was found or pushed just above")]
        &mut self.slots[last]
    }

    /// The slot a hold was placed in.
    pub(crate) fn slot_of(&mut self, period: Period) -> Option<&mut Slot> {
        self.slots.iter_mut().rev().find(|slot| slot.period == period)
    }

    fn prune(&mut self, now: Timestamp) {
        let rolling = self.spec.window.is_rolling();
        while let Some(first) = self.slots.front() {
            if first.open > 0 || (rolling && first.period.end > now) {
                break;
            }
            if !rolling {
                self.carried = carry(self.carried, first);
            }
            self.slots.pop_front();
        }
    }
}

fn contains(slot: &Slot, now: Timestamp) -> bool {
    slot.period.start <= now && now < slot.period.end
}

/// The debt after a period: what it and the debt before it took above its limit.
fn carry(debt: NanoUsd, slot: &Slot) -> NanoUsd {
    debt.saturating_add(slot.used())
        .saturating_sub(slot.limit)
        .at_least_zero()
}
