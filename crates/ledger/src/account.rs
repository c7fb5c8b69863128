//! One pot: what was booked and held in each period that still counts.

use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Amount, Period, Window, WindowError,
    balance::{Standing, Sums},
    debt::{Debt, Slot, is_in_order},
    form::is_default,
};

/// By how many hundredths of the limit the spending of a rolling window must fall below a threshold before reaching it
/// again is worth another entry.
const MARGIN: u8 = 5;

/// More than the numbers of an account come to: amounts are below `2^63`, and no log has `2^40` entries or windows.
/// Hundred times as much, or what comes later on top of it, still does not overflow.
const MOST: i128 = 1 << 112;

/// What an account is kept by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) window: &'a Window,
    /// As it was raised or lowered.
    pub(crate) limit: Amount,
    /// In hundredths of the limit.
    pub(crate) thresholds: &'a [u8],
}

/// What is booked in one pot.
///
/// A calendar (or total) window has one current period and the debt of those before it; a window that passes pays off one
/// limit, also if nothing was asked in it. A rolling one has a period for each part that has not rolled out, and no debt:
/// an overrun counts until it rolls out. What the pot was topped up with belongs to the period it was topped up in.
///
/// When the window is redefined, all that counts becomes debt; under a rolling window it counts until the part of the
/// redefinition rolls out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Account {
    /// The ledger's count of definitions when the window took effect.
    edition: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    earlier: Debt,
    /// Until when `earlier` counts.
    #[serde(default = "never", skip_serializing_if = "is_never")]
    earlier_until: Timestamp,
    /// Of the window as it is now, oldest first.
    #[serde(default, skip_serializing_if = "is_default")]
    slots: Vec<Slot>,
    /// The threshold that the last entry told of, in this calendar window or lately; 0 for none.
    #[serde(default, skip_serializing_if = "is_default")]
    warned: u8,
}

fn never() -> Timestamp {
    Timestamp::MAX
}

fn is_never(at: &Timestamp) -> bool {
    *at == never()
}

impl Account {
    pub(crate) fn new(edition: u64) -> Self {
        Self {
            edition,
            earlier: Debt::default(),
            earlier_until: Timestamp::MAX,
            slots: Vec::new(),
            warned: 0,
        }
    }

    /// Takes changed terms. Spending is never forgotten by an edit.
    pub(crate) fn redefine(&mut self, before: Terms<'_>, after: Terms<'_>, edition: u64, now: Timestamp) {
        if before.window == after.window {
            // Windows that have passed are paid off at the limit they had.
            self.keep_up(before, now);
            self.expect_share(after, now);
            return;
        }
        self.close(before, now);
        self.earlier_until = match after.window.period(now) {
            Ok(first) if after.window.is_rolling() => first.end,
            _ => Timestamp::MAX,
        };
        self.edition = edition;
        // From here on windows are counted, and pay off what is carried.
        self.keep_up(after, now);
        self.expect_share(after, now);
    }

    /// Adds to the limit for as long as the period counts.
    pub(crate) fn top_up(&mut self, period: Period, amount: Amount, terms: Terms<'_>, now: Timestamp) {
        self.begin(period, terms).credit += i128::from(amount.0);
        self.expect_share(terms, now);
    }

    /// Begins the current calendar window. Without it an edit in a window in which nothing was asked would not know
    /// which ones are over. A zone that is not known has no windows: then nothing is paid off.
    fn keep_up(&mut self, terms: Terms<'_>, now: Timestamp) {
        if !terms.window.is_rolling()
            && let Ok(period) = self.period(terms.window, now)
        {
            self.begin(period, terms);
        }
    }

    /// Turns all that counts into debt, and forgets what does not.
    fn close(&mut self, terms: Terms<'_>, now: Timestamp) {
        self.keep_up(terms, now);
        if self.earlier_until <= now {
            self.earlier = Debt::default();
        }
        let rolling = terms.window.is_rolling();
        self.slots.retain(|slot| !rolling || slot.period.end > now);
        // All of it counted together, so a top-up pays for what was spent in other parts of a rolling window, too.
        let credit: i128 = self.slots.iter().map(|slot| slot.credit).sum();
        let last = self.slots.len();
        for (place, slot) in std::mem::take(&mut self.slots).into_iter().enumerate() {
            self.earlier.push(slot, if place + 1 == last { credit } else { 0 });
        }
    }

    /// The period a hold at `now` books into. Resolving a calendar is costly, so the last period is tried first. A period
    /// that has begun is not left by a clock that goes back.
    pub(crate) fn period(&self, window: &Window, now: Timestamp) -> Result<Period, WindowError> {
        let rolling = window.is_rolling();
        let stays = |last: &&Slot| now < if rolling { last.period.start } else { last.period.end };
        match self.slots.last().filter(stays) {
            Some(last) => Ok(last.period),
            None => window.period(now),
        }
    }

    /// Whether the period that an entry names is one a hold at `now` can book into.
    pub(crate) fn accepts(&self, window: &Window, period: Period, now: Timestamp) -> bool {
        if !matches!(window, Window::Calendar { .. }) {
            return self.period(window, now) == Ok(period);
        }
        let runs = |last: &&Slot| now < last.period.end;
        match self.slots.last().filter(runs) {
            Some(last) if last.period == period => true,
            // It was begun by an edit and not by an entry, and the rules of the zone have changed since.
            Some(last) if last.is_untouched() && window.windows_between(last.period, period) == 0 => {
                window.fits(period, now)
            }
            Some(_) => false,
            None => window.fits(period, now),
        }
    }

    pub(crate) fn standing(&self, terms: Terms<'_>, now: Timestamp) -> Result<Standing, WindowError> {
        Ok(self.standing_in(terms, self.period(terms.window, now)?, now))
    }

    /// The standing at `now` in a period that it was told: no calendar is asked.
    pub(crate) fn standing_in(&self, terms: Terms<'_>, period: Period, now: Timestamp) -> Standing {
        let carried = |carried| Sums {
            carried,
            ..Sums::default()
        };
        let sums = match self.slots.last() {
            _ if terms.window.is_rolling() => self.rolling_sums(now),
            Some(last) if last.period == period => Sums {
                carried: self.earlier.total(),
                settled: last.settled,
                held: last.held,
                credit: last.credit,
            },
            Some(last) => {
                let allowance = allowance(terms, last, period);
                carried(self.earlier.total_after(last.used(), allowance))
            }
            None => carried(self.earlier.total()),
        };
        Standing::new(period, sums, i128::from(terms.limit.0))
    }

    fn rolling_sums(&self, now: Timestamp) -> Sums {
        let carried = if now < self.earlier_until {
            self.earlier.total()
        } else {
            0
        };
        let none = Sums {
            carried,
            ..Sums::default()
        };
        self.live(now).fold(none, |sums, slot| Sums {
            carried,
            settled: sums.settled + slot.settled,
            held: sums.held + slot.held,
            credit: sums.credit + slot.credit,
        })
    }

    /// The parts of a rolling window that have not rolled out.
    fn live(&self, now: Timestamp) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(move |slot| slot.period.end > now)
    }

    /// When the oldest spending that counts now stops counting; `None` if it never does.
    pub(crate) fn resets_at(&self, window: &Window, standing: &Standing, now: Timestamp) -> Option<Timestamp> {
        if !window.is_rolling() {
            return Some(standing.period.end).filter(|end| *end != Timestamp::MAX);
        }
        let earlier = Some(self.earlier_until).filter(|_| standing.carried > 0);
        let oldest = self.live(now).find(|slot| slot.used() > 0);
        oldest.map(|slot| slot.period.end).into_iter().chain(earlier).min()
    }

    /// Makes a period the current one, and returns where to book.
    pub(crate) fn begin(&mut self, period: Period, terms: Terms<'_>) -> &mut Slot {
        if self.slots.last().is_none_or(|last| last.period != period) {
            if terms.window.is_rolling() {
                // What rolled out is forgotten, its open holds too: they book into what no longer counts.
                let gone = self.slots.iter().take_while(|slot| slot.period.end <= period.start);
                let gone = gone.count();
                self.slots.drain(..gone);
            } else if let Some(last) = self.slots.pop() {
                let allowance = allowance(terms, &last, period);
                self.earlier.push(last, allowance);
                self.warned = 0;
            }
            if self.slots.is_empty() {
                // Mostly it stays the only one.
                self.slots.reserve_exact(1);
            }
            self.slots.push(Slot::new(period, self.edition));
        }
        let last = self.slots.len().saturating_sub(1);
        #[expect(clippy::indexing_slicing, reason = "the last element was found or pushed just above")]
        &mut self.slots[last]
    }

    /// The slot that a hold was placed in under the given count of definitions; `None` if it no longer counts.
    pub(crate) fn slot_mut(&mut self, period: Period, edition: u64) -> Option<&mut Slot> {
        let current = edition >= self.edition;
        // A slot of this window that has rolled out must not be taken for one that an earlier window left, with the same
        // period: a window edited forth and back within one part has it twice.
        let since = if current { self.edition } else { 0 };
        let mut slots = self.slots.iter_mut().rev().filter(|_| current);
        slots
            .find(|slot| slot.period == period)
            .or_else(|| self.earlier.slot_mut(period, since..=edition))
    }

    /// The threshold that what is booked has newly reached: told once in a calendar window, and under a rolling one again
    /// after spending had fallen below it.
    pub(crate) fn warn(&mut self, terms: Terms<'_>, now: Timestamp) -> Option<(u8, Standing)> {
        let standing = self.standing_in(terms, self.slots.last()?.period, now);
        let reached = standing.reached(terms.thresholds, 0);
        if reached <= self.warned {
            return None;
        }
        self.warned = reached;
        Some((reached, standing))
    }

    /// To be called before anything is held or booked: what a rolling window spent falls while nothing happens, and one
    /// booking may bring it back at once. An account that was forgotten meanwhile would tell no less.
    pub(crate) fn expect_booking(&mut self, terms: Terms<'_>, now: Timestamp) {
        if terms.window.is_rolling() {
            self.rearm(terms, MARGIN, now);
        }
    }

    /// The thresholds are shares of another limit from now on: what is a smaller share than it was is told again when it
    /// is reached again.
    fn expect_share(&mut self, terms: Terms<'_>, now: Timestamp) {
        self.rearm(terms, 0, now);
    }

    fn rearm(&mut self, terms: Terms<'_>, margin: u8, now: Timestamp) {
        if self.warned == 0 {
            return;
        }
        let last = self.slots.last().map(|last| last.period);
        // What counts in a rolling window is the same in each of its parts.
        let any = Period { start: now, end: now };
        if let Some(period) = last.or(terms.window.is_rolling().then_some(any)) {
            let standing = self.standing_in(terms, period, now);
            self.warned = self.warned.min(standing.reached(terms.thresholds, margin));
        }
    }

    /// Whether it says no more than a new one would: nothing counts, and nothing is held. No calendar is asked, so replay
    /// forgets the same accounts under other rules of the zone; a debt may be taken to last a window or two longer.
    pub(crate) fn is_idle(&self, terms: Terms<'_>, now: Timestamp) -> bool {
        let open = self.slots.iter().any(|slot| slot.open > 0) || !self.earlier.is_closed();
        let over = |slot: &Slot| slot.period.end <= now;
        let last = self.slots.last().map(|last| last.period);
        let period = last.map_or(Period { start: now, end: now }, |last| {
            terms.window.earliest_now(last, now)
        });
        !open && self.slots.iter().all(over) && self.standing_in(terms, period, now).used() == Amount::ZERO
    }

    /// Whether it can be an account of a window, at the ledger's count of definitions. Where it could not, a later hold
    /// might be booked in one period and end in another, or a sum overflow.
    pub(crate) fn is_sound(&self, window: &Window, edition: u64) -> bool {
        let slots: Vec<&Slot> = self.earlier.last().into_iter().chain(&self.slots).collect();
        let own =
            |slot: &Slot| slot.edition == self.edition && (!window.is_rolling() || window.fits_itself(slot.period));
        let earlier = self.earlier.last().is_none_or(|last| {
            let follows = !window.is_rolling() && !self.slots.is_empty();
            last.edition < self.edition || (last.edition == self.edition && follows)
        });
        let Some(mut numbers) = self.earlier.numbers() else {
            return false;
        };
        numbers.extend(self.slots.iter().flat_map(Slot::numbers));
        let sum = numbers.iter().try_fold(0_i128, |sum, number| sum.checked_add(*number));
        self.edition <= edition
            && earlier
            && is_in_order(&slots)
            && self.slots.iter().all(own)
            && (window.is_rolling() || self.slots.len() <= 1)
            && numbers.iter().all(|number| *number >= 0)
            && sum.is_some_and(|sum| sum <= MOST)
    }

    /// Whether a hold of this count of definitions that is in none of its periods could get into one: of this window, and
    /// not of the past.
    pub(crate) fn may_begin(&self, period: Period, edition: u64, now: Timestamp) -> bool {
        edition >= self.edition && period.end > now
    }

    /// For how many periods there is room.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.slots.capacity()
    }

    /// How many periods are kept.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        self.slots.len() + self.earlier.len()
    }
}

/// What the windows from one period up to another pay off: their limits, and what the first was topped up with. A negative
/// limit allows nothing, and costs nothing.
fn allowance(terms: Terms<'_>, earlier: &Slot, later: Period) -> i128 {
    let windows = terms.window.windows_between(earlier.period, later);
    i128::from(terms.limit.at_least_zero().0) * i128::from(windows) + earlier.credit
}
