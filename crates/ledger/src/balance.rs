//! One budget: what it allows, and what was spent and held in each period that still counts.

use std::collections::VecDeque;

use model::{BudgetName, NanoUsd, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    Period, Window, WindowError,
    debt::{Debt, Slot},
};

/// What a budget allows. The limit is hard: no hold is granted that would take settled + held above it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
    /// What earlier windows left: the debt of overruns and of a lowered limit, less one limit for each window since, and
    /// in the first period after the window was redefined all that counted before.
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

/// The numbers of a [`Balance`], exact, and the period in which a hold would book.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) period: Period,
    carried: i128,
    settled: i128,
    held: i128,
}

impl Standing {
    /// All that counts against the limit.
    pub(crate) fn used(&self) -> NanoUsd {
        amount(self.carried + self.settled + self.held)
    }

    /// Whether a hold stays within a limit. What costs nothing takes nothing, so it is admitted whatever is used: a budget
    /// that is in debt must not stop models that run on one's own machines.
    pub(crate) fn admits(&self, hold: NanoUsd, limit: NanoUsd) -> bool {
        hold == NanoUsd::ZERO || self.carried + self.settled + self.held + i128::from(hold.0) <= i128::from(limit.0)
    }
}

/// More than the largest amount is the largest: it is above every limit all the same.
fn amount(sum: i128) -> NanoUsd {
    i64::try_from(sum).map_or(NanoUsd::MAX, NanoUsd)
}

/// A budget and what is booked in it.
///
/// A calendar (or total) budget has one current period and the debt of those before it; a window that passes pays off one
/// limit, also if nothing was asked in it. A rolling budget has a period for each part that has not rolled out, and no
/// debt: an overrun counts until it rolls out.
///
/// When the window is redefined, all that counts becomes debt; under a rolling window it counts until the part of the
/// redefinition rolls out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) spec: BudgetSpec,
    /// The ledger's count of definitions when the window took effect.
    edition: u64,
    earlier: Debt,
    /// Until when `earlier` counts.
    earlier_until: Timestamp,
    /// Of the window as it is now, oldest first.
    slots: VecDeque<Slot>,
}

impl Budget {
    pub(crate) fn new(spec: BudgetSpec, edition: u64) -> Self {
        Self {
            spec,
            edition,
            earlier: Debt::default(),
            earlier_until: Timestamp::MAX,
            slots: VecDeque::new(),
        }
    }

    /// Takes a changed limit or window. Spending is never forgotten by an edit.
    pub(crate) fn redefine(&mut self, spec: BudgetSpec, edition: u64, now: Timestamp) {
        if spec.window == self.spec.window {
            // Windows that have passed are paid off at the limit they had.
            self.keep_up(now);
            self.spec = spec;
            return;
        }
        self.close(now);
        self.earlier_until = match spec.window.period(now) {
            Ok(first) if spec.window.is_rolling() => first.end,
            _ => Timestamp::MAX,
        };
        self.edition = edition;
        self.spec = spec;
        // From here on windows are counted, and pay off what is carried.
        self.keep_up(now);
    }

    /// Begins the current calendar window. Without it an edit in a window in which nothing was asked would not know
    /// which ones are over. A zone that is not known has no windows: then nothing is paid off.
    fn keep_up(&mut self, now: Timestamp) {
        if !self.spec.window.is_rolling()
            && let Ok(period) = self.period(now)
        {
            self.begin(period);
        }
    }

    /// Turns all that counts into debt, and forgets what does not.
    fn close(&mut self, now: Timestamp) {
        self.keep_up(now);
        if self.earlier_until <= now {
            self.earlier = Debt::default();
        }
        let rolling = self.spec.window.is_rolling();
        for slot in self.slots.drain(..) {
            if !rolling || slot.period.end > now {
                self.earlier.push(slot, 0);
            }
        }
    }

    /// The period a hold at `now` books into. Resolving a calendar is costly, so the last period is tried first. A period
    /// that has begun is not left by a clock that goes back.
    pub(crate) fn period(&self, now: Timestamp) -> Result<Period, WindowError> {
        let rolling = self.spec.window.is_rolling();
        let stays = |last: &&Slot| now < if rolling { last.period.start } else { last.period.end };
        match self.slots.back().filter(stays) {
            Some(last) => Ok(last.period),
            None => self.spec.window.period(now),
        }
    }

    /// Whether the period that an entry names is one a hold at `now` can book into.
    pub(crate) fn accepts(&self, period: Period, now: Timestamp) -> bool {
        if !matches!(self.spec.window, Window::Calendar { .. }) {
            return self.period(now) == Ok(period);
        }
        let runs = |last: &&Slot| now < last.period.end;
        match self.slots.back().filter(runs) {
            Some(last) if last.period == period => true,
            // It was begun by an edit and not by an entry, and the rules of the zone have changed since.
            Some(last) if last.is_untouched() && self.spec.window.windows_between(last.period, period) == 0 => {
                self.spec.window.fits(period, now)
            }
            Some(_) => false,
            None => self.spec.window.fits(period, now),
        }
    }

    pub(crate) fn standing(&self, now: Timestamp) -> Result<Standing, WindowError> {
        Ok(self.standing_in(self.period(now)?, now))
    }

    /// The standing at `now` in a period that it was told: no calendar is asked.
    pub(crate) fn standing_in(&self, period: Period, now: Timestamp) -> Standing {
        let (carried, settled, held) = match self.slots.back() {
            _ if self.spec.window.is_rolling() => self.rolling_sums(now),
            Some(last) if last.period == period => (self.earlier.total(), last.settled, last.held),
            Some(last) => {
                let allowance = self.allowance(last.period, period);
                (self.earlier.total_after(last.used(), allowance), 0, 0)
            }
            None => (self.earlier.total(), 0, 0),
        };
        Standing {
            period,
            carried,
            settled,
            held,
        }
    }

    fn rolling_sums(&self, now: Timestamp) -> (i128, i128, i128) {
        let carried = if now < self.earlier_until {
            self.earlier.total()
        } else {
            0
        };
        self.live(now).fold((carried, 0, 0), |(carried, settled, held), slot| {
            (carried, settled + slot.settled, held + slot.held)
        })
    }

    /// The parts of a rolling window that have not rolled out.
    fn live(&self, now: Timestamp) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(move |slot| slot.period.end > now)
    }

    pub(crate) fn balance(&self, now: Timestamp) -> Result<Balance, WindowError> {
        let standing = self.standing(now)?;
        let resets_at = if self.spec.window.is_rolling() {
            let earlier = Some(self.earlier_until).filter(|_| standing.carried > 0);
            let oldest = self.live(now).find(|slot| slot.used() > 0);
            oldest.map(|slot| slot.period.end).into_iter().chain(earlier).min()
        } else {
            Some(standing.period.end).filter(|end| *end != Timestamp::MAX)
        };
        Ok(Balance {
            spec: self.spec.clone(),
            carried: amount(standing.carried),
            settled: amount(standing.settled),
            held: amount(standing.held),
            resets_at,
        })
    }

    /// What the windows from one period up to another pay off. A negative limit allows nothing, and costs nothing.
    fn allowance(&self, earlier: Period, later: Period) -> i128 {
        let windows = self.spec.window.windows_between(earlier, later);
        i128::from(self.spec.limit.at_least_zero().0) * i128::from(windows)
    }

    /// Makes a period the current one, and returns where to book.
    pub(crate) fn begin(&mut self, period: Period) -> &mut Slot {
        if self.slots.back().is_none_or(|last| last.period != period) {
            if self.spec.window.is_rolling() {
                // What rolled out is forgotten, its open holds too: they book into what no longer counts.
                while self.slots.front().is_some_and(|first| first.period.end <= period.start) {
                    self.slots.pop_front();
                }
            } else if let Some(last) = self.slots.pop_back() {
                let allowance = self.allowance(last.period, period);
                self.earlier.push(last, allowance);
            }
            self.slots.push_back(Slot::new(period, self.edition));
        }
        let last = self.slots.len().saturating_sub(1);
        #[expect(clippy::indexing_slicing, reason = "the last element was found or pushed just above")]
        &mut self.slots[last]
    }

    /// The slot that a hold was placed in under the given count of definitions; `None` if it no longer counts.
    pub(crate) fn slot_mut(&mut self, period: Period, edition: u64) -> Option<&mut Slot> {
        let current = edition >= self.edition;
        let mut slots = self.slots.iter_mut().rev().filter(|_| current);
        slots
            .find(|slot| slot.period == period)
            .or_else(|| self.earlier.slot_mut(period, edition))
    }

    /// How many periods are kept.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        self.slots.len() + self.earlier.len()
    }
}
