//! What earlier periods leave to the current one.

use std::ops::RangeInclusive;

use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Period, form::is_default};

/// What was booked into one period. The sums are wider than an amount: no number of amounts overflows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Slot {
    pub(crate) period: Period,
    /// The ledger's count of definitions when the window that the period belongs to took effect. A window edited back
    /// and forth can have the same period twice; this tells the two apart.
    pub(crate) edition: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) settled: i128,
    /// The sum of the open holds, as is the next but one their number: a snapshot has the holds.
    #[serde(skip)]
    pub(crate) held: i128,
    /// What was added to the limit for as long as this period counts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) credit: i128,
    /// Holds of this period that have not ended.
    #[serde(skip)]
    pub(crate) open: u32,
}

impl Slot {
    pub(crate) fn new(period: Period, edition: u64) -> Self {
        Self {
            period,
            edition,
            settled: 0,
            held: 0,
            credit: 0,
            open: 0,
        }
    }

    pub(crate) fn used(&self) -> i128 {
        self.settled + self.held
    }

    pub(crate) fn numbers(&self) -> [i128; 3] {
        [self.settled, self.held, self.credit]
    }

    /// Where it stands in time, by the windows that there were one after the other.
    fn order(&self) -> (u64, Timestamp) {
        (self.edition, self.period.end)
    }

    /// Whether nothing is booked here, and no hold is open.
    pub(crate) fn is_untouched(&self) -> bool {
        self.used() == 0 && self.credit == 0 && self.open == 0
    }
}

/// The debt through all earlier periods, oldest first. What a hold of an earlier period books when it ends changes that
/// period's sum and so, by the same arithmetic, what every later one had to pay off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Debt {
    /// Of the periods before all links.
    base: i128,
    /// One for each period with an open hold; it stands for those without one that follow, too.
    #[serde(default, skip_serializing_if = "is_default")]
    links: Box<[Link]>,
}

/// An earlier period: it turns the debt before it into the debt after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    slot: Slot,
    /// What it, and the windows after it in which nothing was asked, pay off.
    allowance: i128,
    /// The least debt after it: zero, and more where it stands for several periods and not the first went above its limit.
    floor: i128,
}

impl Link {
    fn after(&self, debt: i128) -> i128 {
        (debt + self.slot.used() - self.allowance).max(self.floor)
    }

    /// Takes in the next period, whose sum is final: `max(b, max(a, d + x) + y) = max(max(b, a + y), d + x + y)`, where
    /// only `x`, the sum of this one less its allowance, may still change.
    fn join(&mut self, next: &Self) {
        self.floor = next.after(self.floor);
        self.slot.settled += next.slot.used();
        self.allowance += next.allowance;
    }
}

/// Whether each comes after the one before.
pub(crate) fn is_in_order(slots: &[&Slot]) -> bool {
    let starts = slots.iter().all(|slot| slot.period.start < slot.period.end);
    starts && slots.is_sorted_by(|earlier, later| earlier.order() < later.order())
}

impl Debt {
    /// The debt now.
    pub(crate) fn total(&self) -> i128 {
        self.links.iter().fold(self.base, |debt, link| link.after(debt))
    }

    /// The debt if one more period were over.
    pub(crate) fn total_after(&self, used: i128, allowance: i128) -> i128 {
        (self.total() + used - allowance).max(0)
    }

    /// Takes in a period that is over.
    pub(crate) fn push(&mut self, slot: Slot, allowance: i128) {
        let last = Link {
            slot,
            allowance,
            floor: 0,
        };
        let mut links: Vec<Link> = Vec::new();
        for link in std::mem::take(&mut self.links).into_iter().chain([last]) {
            match links.last_mut() {
                _ if link.slot.open > 0 => links.push(link),
                Some(before) => before.join(&link),
                None => self.base = link.after(self.base),
            }
        }
        self.links = links.into();
    }

    /// The period in which a hold is booked that was placed in a window of one of these counts of definitions.
    pub(crate) fn slot_mut(&mut self, period: Period, editions: RangeInclusive<u64>) -> Option<&mut Slot> {
        let is_it = |slot: &Slot| slot.period == period && editions.contains(&slot.edition);
        self.links
            .iter_mut()
            .rev()
            .map(|link| &mut link.slot)
            .find(|slot| is_it(slot))
    }

    /// All its numbers, if they can be those of a debt: none is negative, and the periods are in the order of time.
    pub(crate) fn numbers(&self) -> Option<Vec<i128>> {
        let slots: Vec<&Slot> = self.links.iter().map(|link| &link.slot).collect();
        let mut numbers = vec![self.base];
        for Link { slot, allowance, floor } in &self.links {
            numbers.extend([*allowance, *floor]);
            numbers.extend(slot.numbers());
        }
        (is_in_order(&slots) && numbers.iter().all(|number| *number >= 0)).then_some(numbers)
    }

    /// The last period, if a hold of it is open, or was lately.
    pub(crate) fn last(&self) -> Option<&Slot> {
        self.links.last().map(|link| &link.slot)
    }

    /// Whether no hold of an earlier period is open.
    pub(crate) fn is_closed(&self) -> bool {
        self.links.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.links.len()
    }
}
