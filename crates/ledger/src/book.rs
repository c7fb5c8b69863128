//! The ledger: all budgets of a tenant and the holds that have not ended.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Bound,
    sync::Arc,
};

use model::{ActionId, AgentName, BudgetName, NanoUsd, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    Amount, AtLimit, Balance, BudgetSpec, Charge, Labels, LedgerError, Period, Pot, Reached, budget::Budget, form,
    select::Index,
};

/// How many budgets may select one action.
pub const MAX_BUDGETS_PER_HOLD: usize = 16;

/// One try of an action: the first is number 0, a retry or fallback the next. It names its hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Attempt {
    /// The action.
    pub action: ActionId,
    /// Which try.
    pub number: u16,
}

impl Attempt {
    /// Every attempt that an action can have.
    pub fn all_of(action: ActionId) -> std::ops::RangeInclusive<Self> {
        let attempt = |number| Self { action, number };
        attempt(0)..=attempt(u16::MAX)
    }
}

/// Where a hold reserves: one pot and the period it books into, whenever it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booking {
    /// The budget.
    pub budget: BudgetName,
    /// Which of its pots: the values of the labels that it keeps apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<String>,
    /// The period, resolved when the hold was admitted, so that replay needs no time-zone rules.
    pub period: Period,
    /// Settled + held + carried before this hold, in the budget's unit.
    pub used: Amount,
    /// What it was checked against: the limit as raised or lowered, and what the pot was topped up with.
    pub limit: Amount,
}

impl Booking {
    /// Whether it reserves in this pot.
    pub fn is_in(&self, pot: &Pot) -> bool {
        self.budget == pot.budget && self.of == pot.of
    }
}

/// A reservation that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// The worst case of the attempt; each budget takes what it counts.
    pub amount: Charge,
    /// The budgets it is reserved in.
    pub bookings: Vec<Booking>,
    /// After this instant its owner is taken for dead and the hold is booked in full.
    pub expires: Timestamp,
    /// Which start of the server placed it.
    pub boot: u64,
}

/// Why a budget refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The amount does not fit.
    Full,
    /// An administrator paused the budget.
    Paused,
    /// It keeps as many pots apart as it can.
    Crowded,
}

/// The budget an action did not fit into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The pot's standing.
    pub balance: Balance,
    /// What was asked for, in the budget's unit.
    pub amount: Amount,
    /// Why it was refused.
    pub why: Why,
}

impl Refusal {
    /// For how long the request may wait for an administrator, in seconds. `None` if none is asked, or a top-up would not
    /// help: the budget is paused or has too many pots.
    pub fn asks(&self) -> Option<u32> {
        match self.balance.spec.at_limit {
            AtLimit::Ask { wait_s } if self.why == Why::Full => Some(wait_s),
            AtLimit::Ask { .. } | AtLimit::Deny => None,
        }
    }
}

/// What ending a hold did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The hold as it was.
    pub hold: Hold,
    /// By how much the booked money passed the hold; zero when it did not.
    pub overrun: NanoUsd,
    /// The thresholds that were reached by it, in the order of the bookings.
    pub reached: Vec<Reached>,
}

/// Why an action is not admitted.
#[derive(Debug, PartialEq, Eq)]
pub enum NotAdmitted {
    /// It does not fit a budget: a value, not a fault.
    Refused(Box<Refusal>),
    /// It cannot be answered.
    Error(LedgerError),
}

/// All budgets of a tenant and the holds that have not ended.
///
/// Invariants (`tests::properties`):
/// 1. no hold is placed that takes carried + settled + held of one of its pots above the limit;
/// 2. every hold ends exactly once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    #[serde(serialize_with = "form::values")]
    pub(crate) budgets: HashMap<BudgetName, Box<Budget>>,
    /// The budgets that were not removed, in order.
    #[serde(skip)]
    pub(crate) names: BTreeSet<BudgetName>,
    #[serde(skip)]
    pub(crate) index: Index,
    #[serde(serialize_with = "form::pairs")]
    pub(crate) holds: HashMap<Attempt, Open>,
    #[serde(serialize_with = "form::record")]
    pub(crate) allowances: HashMap<AgentName, Open>,
    /// How many definitions there were.
    pub(crate) edition: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Open {
    pub(crate) hold: Hold,
    /// How many definitions there were when it was placed.
    pub(crate) edition: u64,
}

impl Ledger {
    /// The pots that a request must fit into: of the budgets that its agent names, in that order, and of those that select
    /// it, by name. One that the agent names counts once, whether or not it selects the request too. One that is not there
    /// is among them: nothing fits into it.
    pub fn select(&self, named: &[BudgetName], labels: &Labels<'_>) -> Vec<Pot> {
        let pot = |name: &BudgetName| {
            let each = self.live(name).map_or(&[][..], |budget| &budget.spec.each);
            let of = labels.values(each)?;
            let budget = name.clone();
            Some(Pot { budget, of })
        };
        let selects = |name: &&BudgetName| {
            let selector = self.live(name).and_then(|budget| budget.spec.select.as_ref());
            selector.is_some_and(|selector| selector.selects(labels)) && !named.contains(name)
        };
        let mut selected: Vec<Pot> = self.index.candidates(labels).filter(selects).filter_map(pot).collect();
        selected.sort_unstable();
        let mut pots: Vec<Pot> = named.iter().filter_map(pot).collect();
        pots.append(&mut selected);
        pots
    }

    /// Whether a charge fits into every pot now, and where it would book. Changes nothing. Of several that it does not fit
    /// into, the first that only refuses is told before one that asks an administrator, who cannot help there.
    pub fn admit(&self, pots: &[Pot], charge: &Charge, now: Timestamp) -> Result<Vec<Booking>, NotAdmitted> {
        check_charge(charge).map_err(NotAdmitted::Error)?;
        check_pots(pots.iter().map(|pot| (&pot.budget, &pot.of))).map_err(NotAdmitted::Error)?;
        let mut asks = None;
        let mut bookings = Vec::with_capacity(pots.len());
        for pot in pots {
            match self.admit_one(pot, charge, now) {
                Ok(booking) => bookings.push(booking),
                Err(NotAdmitted::Refused(refusal)) if refusal.asks().is_some() => asks = asks.or(Some(refusal)),
                Err(refused) => return Err(refused),
            }
        }
        match asks {
            Some(refusal) => Err(NotAdmitted::Refused(refusal)),
            None => Ok(bookings),
        }
    }

    fn admit_one(&self, pot: &Pot, charge: &Charge, now: Timestamp) -> Result<Booking, NotAdmitted> {
        let unknown = || NotAdmitted::Error(LedgerError::UnknownBudget(pot.budget.clone()));
        let budget = self.live(&pot.budget).ok_or_else(unknown)?;
        let window = |error| NotAdmitted::Error(LedgerError::Window(error));
        let standing = budget.standing(&pot.of, now).map_err(window)?;
        let amount = charge.of(budget.spec.unit);
        let why = match () {
            () if budget.paused => Some(Why::Paused),
            () if !budget.has_room_for(&pot.of) => Some(Why::Crowded),
            () if !standing.admits(amount) => Some(Why::Full),
            () => None,
        };
        if let Some(why) = why {
            let balance = budget.balance(&pot.of, now).map_err(window)?;
            return Err(NotAdmitted::Refused(Box::new(Refusal { balance, amount, why })));
        }
        Ok(Booking {
            budget: pot.budget.clone(),
            of: pot.of.clone(),
            period: standing.period,
            used: standing.used(),
            limit: standing.limit(),
        })
    }

    /// Places a hold as its intent entry says, checking the entry against this state. No calendar is asked: the entry's
    /// periods stand, if they can be the budgets' at all. After an error nothing has changed.
    pub fn place(&mut self, attempt: Attempt, hold: Hold, now: Timestamp) -> Result<(), LedgerError> {
        if self.holds.contains_key(&attempt) {
            return Err(LedgerError::HeldAlready(attempt));
        }
        let open = self.reserve(hold, now)?;
        self.holds.insert(attempt, open);
        Ok(())
    }

    /// Reserves in the periods that a hold names, if it fits.
    pub(crate) fn reserve(&mut self, hold: Hold, now: Timestamp) -> Result<Open, LedgerError> {
        check_charge(&hold.amount)?;
        check_pots(hold.bookings.iter().map(|booking| (&booking.budget, &booking.of)))?;
        for booking in &hold.bookings {
            self.check_booking(booking, &hold.amount, now)?;
        }
        for booking in &hold.bookings {
            if let Some(budget) = self.budgets.get_mut(&booking.budget) {
                let amount = hold.amount.of(budget.spec.unit);
                if let Some((account, terms)) = budget.open_account(&booking.of, now) {
                    account.expect_booking(terms, now);
                    let slot = account.begin(booking.period, terms);
                    slot.held += i128::from(amount.0);
                    slot.open += 1;
                }
            }
        }
        let edition = self.edition;
        Ok(Open { hold, edition })
    }

    fn check_booking(&self, booking: &Booking, charge: &Charge, now: Timestamp) -> Result<(), LedgerError> {
        let name = || booking.budget.clone();
        let unknown = || LedgerError::UnknownBudget(name());
        let budget = self.live(&booking.budget).ok_or_else(unknown)?;
        if budget.paused || !budget.has_room_for(&booking.of) {
            return Err(LedgerError::NotOpen(name()));
        }
        let Some(standing) = budget.standing_in(&booking.of, booking.period, now) else {
            let said = booking.period;
            return Err(LedgerError::WrongPeriod { budget: name(), said });
        };
        let unit = budget.spec.unit;
        let (said, found) = (booking.limit, standing.limit());
        if said != found {
            let budget = name();
            return Err(LedgerError::WrongLimit {
                budget,
                unit,
                said,
                found,
            });
        }
        let (said, found) = (booking.used, standing.used());
        if said != found {
            let budget = name();
            return Err(LedgerError::WrongBalance {
                budget,
                unit,
                said,
                found,
            });
        }
        let amount = charge.of(unit);
        if standing.admits(amount) {
            Ok(())
        } else {
            let booking = Box::new(booking.clone());
            Err(LedgerError::OverLimit { unit, amount, booking })
        }
    }

    /// Ends a hold by booking `booked`: nothing voids it, more money than was held is an overrun.
    pub fn end(&mut self, attempt: Attempt, booked: &Charge, now: Timestamp) -> Result<Ended, LedgerError> {
        check_charge(booked)?;
        let open = self.holds.remove(&attempt).ok_or(LedgerError::NotHeld(attempt))?;
        let reached = self.unreserve(&open, booked, now);
        let hold = open.hold;
        let overrun = booked.money.saturating_sub(hold.amount.money).at_least_zero();
        Ok(Ended { hold, overrun, reached })
    }

    /// Books in place of what was reserved.
    pub(crate) fn unreserve(&mut self, open: &Open, booked: &Charge, now: Timestamp) -> Vec<Reached> {
        let mut reached = Vec::new();
        for booking in &open.hold.bookings {
            if let Some(budget) = self.budgets.get_mut(&booking.budget) {
                let unit = budget.spec.unit;
                let (held, booked) = (open.hold.amount.of(unit), booked.of(unit));
                reached.extend(budget.book(booking, open.edition, held, booked, now));
            }
        }
        reached
    }

    /// A budget that is declared now.
    fn live(&self, name: &BudgetName) -> Option<&Budget> {
        let budget = self.budgets.get(name).filter(|budget| !budget.retired);
        budget.map(AsRef::as_ref)
    }

    /// A budget, also one that was removed.
    pub(crate) fn find(&self, name: &BudgetName) -> Result<&Budget, LedgerError> {
        self.budgets
            .get(name)
            .map(AsRef::as_ref)
            .ok_or_else(|| LedgerError::UnknownBudget(name.clone()))
    }

    /// A pot's standing.
    pub fn balance(&self, pot: &Pot, now: Timestamp) -> Result<Balance, LedgerError> {
        Ok(self.find(&pot.budget)?.balance(&pot.of, now)?)
    }

    /// The standing of a budget's pots, at most so many.
    pub fn balances(&self, name: &BudgetName, now: Timestamp, most: usize) -> Vec<Balance> {
        let budget = self.budgets.get(name);
        let pots = budget.into_iter().flat_map(|budget| {
            let pots = budget.pots(most).into_iter();
            pots.filter_map(|of| budget.balance(of, now).ok())
        });
        pots.collect()
    }

    /// What a budget allows, as it was declared, if there is one of this name. Unlike [`Ledger::balance`] it asks no calendar.
    pub fn budget(&self, name: &BudgetName) -> Option<&BudgetSpec> {
        self.budgets.get(name).map(|budget| &*budget.spec)
    }

    /// The same as [`Ledger::budgets`], to keep.
    pub fn declared(&self) -> impl Iterator<Item = Arc<BudgetSpec>> {
        let budgets = self.names.iter().filter_map(|name| self.budgets.get(name));
        budgets.map(|budget| Arc::clone(&budget.spec))
    }

    /// What every budget allows that was not removed, in the order of their names.
    pub fn budgets(&self) -> impl Iterator<Item = &BudgetSpec> {
        self.names.iter().filter_map(|name| self.budget(name))
    }

    /// The name of a budget, if it is there and was not removed.
    pub fn known(&self, name: &BudgetName) -> Option<&BudgetName> {
        self.names.get(name)
    }

    /// The names of budgets that were not removed and come behind this one, in order.
    pub fn names_after<'a>(&'a self, name: Option<&BudgetName>) -> impl Iterator<Item = &'a BudgetName> + use<'a> {
        let from = name.map_or(Bound::Unbounded, |name| Bound::Excluded(name.clone()));
        self.names.range((from, Bound::Unbounded))
    }

    /// An open hold.
    pub fn hold(&self, attempt: &Attempt) -> Option<&Hold> {
        self.holds.get(attempt).map(|open| &open.hold)
    }

    /// Every open hold, in no particular order.
    pub fn holds(&self) -> impl Iterator<Item = (&Attempt, &Hold)> {
        self.holds.iter().map(|(attempt, open)| (attempt, &open.hold))
    }

    /// How many periods a budget keeps.
    #[cfg(test)]
    pub(crate) fn kept(&self, name: &BudgetName) -> usize {
        self.budgets.get(name).map_or(0, |budget| budget.kept())
    }
}

pub(crate) fn check_charge(charge: &Charge) -> Result<(), LedgerError> {
    if charge.money < NanoUsd::ZERO {
        Err(LedgerError::Negative(charge.money))
    } else {
        Ok(())
    }
}

pub(crate) fn check_pots<'a>(
    mut pots: impl ExactSizeIterator<Item = (&'a BudgetName, &'a Vec<String>)> + Clone,
) -> Result<(), LedgerError> {
    if !(1..=MAX_BUDGETS_PER_HOLD).contains(&pots.len()) {
        return Err(LedgerError::BudgetCount(pots.len()));
    }
    while let Some((name, _)) = pots.next() {
        if pots.clone().any(|(later, _)| later == name) {
            return Err(LedgerError::Repeated(name.clone()));
        }
    }
    Ok(())
}
