//! A budget: its terms, what administrators changed of them, and its pots.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Amount, Balance, Booking, BudgetSpec, Period, Reached, WindowError,
    account::{Account, Terms},
    balance::{Standing, amount},
    debt::Slot,
    form::{self, is_default},
};

/// The most pots of one budget.
pub const MAX_POTS: usize = if cfg!(test) { 4 } else { 100_000 };
/// How many pots are looked at, whether they still say anything, when one is booked in.
const TIDY_A_BOOKING: usize = 2;
/// How many when there are too many.
const TIDY_A_REFUSAL: usize = 1_024;

/// A budget and what is booked in its pots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budget {
    /// Shared with whoever reads what is declared.
    #[serde(with = "form::shared")]
    pub(crate) spec: Arc<BudgetSpec>,
    /// What an administrator set instead of the limit that is declared.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) limit: Option<Amount>,
    /// Nothing is granted while it is paused.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) paused: bool,
    /// It is declared no more: it selects nothing, and what was spent stays.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) retired: bool,
    /// The ledger's count of definitions when its terms took effect.
    edition: u64,
    pots: Pots,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Pots {
    One(Account),
    Each {
        #[serde(serialize_with = "form::pairs", deserialize_with = "form::from_pairs")]
        accounts: BTreeMap<Vec<String>, Account>,
        /// The pot that was looked at last, whether it still says anything.
        #[serde(default, skip_serializing_if = "is_default")]
        tidied: Vec<String>,
    },
}

impl Pots {
    fn new(spec: &BudgetSpec, edition: u64) -> Self {
        if spec.each.is_empty() {
            return Self::One(Account::new(edition));
        }
        Self::Each {
            accounts: BTreeMap::new(),
            tidied: Vec::new(),
        }
    }

    fn redefine(&mut self, before: Terms<'_>, after: Terms<'_>, edition: u64, now: Timestamp) {
        match self {
            Self::One(account) => account.redefine(before, after, edition, now),
            Self::Each { accounts, .. } => {
                // Those that say nothing would begin a window, and so stay for as long as it lasts.
                accounts.retain(|_, account| !account.is_idle(before, now));
                for account in accounts.values_mut() {
                    account.redefine(before, after, edition, now);
                }
            }
        }
    }

    fn get_mut(&mut self, of: &[String]) -> Option<&mut Account> {
        match self {
            Self::One(account) => of.is_empty().then_some(account),
            Self::Each { accounts, .. } => accounts.get_mut(of),
        }
    }
}

/// What the pots of a budget are kept by, if it is declared so and its limit was set to that.
fn terms(spec: &BudgetSpec, limit: Option<Amount>) -> Terms<'_> {
    Terms {
        window: &spec.window,
        limit: limit.unwrap_or(spec.limit),
        thresholds: &spec.thresholds,
    }
}

impl Budget {
    pub(crate) fn new(spec: BudgetSpec, edition: u64) -> Self {
        Self {
            pots: Pots::new(&spec, edition),
            spec: Arc::new(spec),
            limit: None,
            paused: false,
            retired: false,
            edition,
        }
    }

    fn terms(&self) -> Terms<'_> {
        terms(&self.spec, self.limit)
    }

    /// Takes changed terms. Spending is never forgotten by an edit, unless something else is counted from now on.
    pub(crate) fn redefine(&mut self, spec: BudgetSpec, edition: u64, now: Timestamp) {
        self.retired = false;
        if !spec.counts_as(&self.spec) {
            *self = Self {
                paused: self.paused,
                // A number of tokens says nothing of dollars.
                limit: self.limit.filter(|_| spec.unit == self.spec.unit),
                ..Self::new(spec, edition)
            };
            return;
        }
        if spec.window != self.spec.window {
            self.edition = edition;
        }
        let (before, after) = (terms(&self.spec, self.limit), terms(&spec, self.limit));
        self.pots.redefine(before, after, edition, now);
        self.spec = Arc::new(spec);
    }

    /// Raises or lowers the limit; `None` to return to what is declared.
    pub(crate) fn set_limit(&mut self, limit: Option<Amount>, edition: u64, now: Timestamp) {
        let (before, after) = (terms(&self.spec, self.limit), terms(&self.spec, limit));
        self.pots.redefine(before, after, edition, now);
        self.limit = limit;
    }

    /// Adds to a pot's limit for as long as the period counts.
    pub(crate) fn top_up(&mut self, of: &[String], period: Period, amount: Amount, now: Timestamp) {
        if let Some((account, terms)) = self.open_account(of, now) {
            account.top_up(period, amount, terms, now);
        }
    }

    /// Books in place of what was reserved, and tells the threshold that was newly reached by it.
    pub(crate) fn book(
        &mut self,
        booking: &Booking,
        edition: u64,
        held: Amount,
        booked: Amount,
        now: Timestamp,
    ) -> Option<Reached> {
        let (account, terms) = self.account_mut(&booking.of)?;
        account.expect_booking(terms, now);
        // A period that rolled out is gone: what is booked there would not count.
        let slot = account.slot_mut(booking.period, edition)?;
        slot.held -= i128::from(held.0);
        slot.settled += i128::from(booked.0);
        slot.open = slot.open.saturating_sub(1);
        if booked == Amount::ZERO {
            return None;
        }
        let (percent, standing) = account.warn(terms, now)?;
        Some(Reached {
            budget: self.spec.name.clone(),
            of: booking.of.clone(),
            unit: self.spec.unit,
            percent,
            spent: amount(standing.carried + standing.settled),
            limit: standing.limit(),
        })
    }

    /// The pot for these values; `None` if nothing was booked there yet, or there can be none.
    pub(crate) fn account(&self, of: &[String]) -> Option<&Account> {
        match &self.pots {
            Pots::One(account) => of.is_empty().then_some(account),
            Pots::Each { accounts, .. } => accounts.get(of),
        }
    }

    fn account_mut(&mut self, of: &[String]) -> Option<(&mut Account, Terms<'_>)> {
        Some((self.pots.get_mut(of)?, terms(&self.spec, self.limit)))
    }

    /// Where a hold was placed under the given count of definitions; `None` if it no longer counts.
    pub(crate) fn slot_mut(&mut self, booking: &Booking, edition: u64) -> Option<&mut Slot> {
        let (account, _) = self.account_mut(&booking.of)?;
        account.slot_mut(booking.period, edition)
    }

    /// Whether a pot for these values is there, or can be made.
    pub(crate) fn has_room_for(&self, of: &[String]) -> bool {
        match &self.pots {
            Pots::One(_) => of.is_empty(),
            Pots::Each { accounts, .. } => {
                of.len() == self.spec.each.len() && (accounts.len() < MAX_POTS || accounts.contains_key(of))
            }
        }
    }

    /// The pot for these values, made if need be.
    pub(crate) fn open_account(&mut self, of: &[String], now: Timestamp) -> Option<(&mut Account, Terms<'_>)> {
        self.forget_idle(TIDY_A_BOOKING, now);
        if let Pots::Each { accounts, .. } = &mut self.pots
            && !accounts.contains_key(of)
        {
            accounts.insert(of.to_vec(), Account::new(self.edition));
        }
        self.account_mut(of)
    }

    /// Makes room after a request was refused because there are too many pots.
    pub(crate) fn crowded(&mut self, now: Timestamp) {
        self.forget_idle(TIDY_A_REFUSAL, now);
    }

    /// Looks at the next so many pots in turn, and forgets those that say no more than new ones would.
    fn forget_idle(&mut self, count: usize, now: Timestamp) {
        let terms = terms(&self.spec, self.limit);
        let Pots::Each { accounts, tidied } = &mut self.pots else {
            return;
        };
        for _ in 0..count {
            let after = (Bound::Excluded(std::mem::take(tidied)), Bound::Unbounded);
            let Some((of, account)) = accounts.range(after).next() else {
                // From the first one again.
                continue;
            };
            tidied.clone_from(of);
            if account.is_idle(terms, now) {
                accounts.remove(tidied);
            }
        }
    }

    /// How the pot for these values stands; one that was never used stands as a new one would.
    pub(crate) fn standing(&self, of: &[String], now: Timestamp) -> Result<Standing, WindowError> {
        match self.account(of) {
            Some(account) => account.standing(self.terms(), now),
            None => Account::new(self.edition).standing(self.terms(), now),
        }
    }

    /// The standing in a period that it was told, if a hold at `now` can book into it: no calendar is asked.
    pub(crate) fn standing_in(&self, of: &[String], period: Period, now: Timestamp) -> Option<Standing> {
        let fresh;
        let account = match self.account(of) {
            Some(account) => account,
            None => {
                fresh = Account::new(self.edition);
                &fresh
            }
        };
        account
            .accepts(&self.spec.window, period, now)
            .then(|| account.standing_in(self.terms(), period, now))
    }

    pub(crate) fn balance(&self, of: &[String], now: Timestamp) -> Result<Balance, WindowError> {
        let standing = self.standing(of, now)?;
        let account = self.account(of);
        let resets_at = match account {
            Some(account) => account.resets_at(&self.spec.window, &standing, now),
            None => Account::new(self.edition).resets_at(&self.spec.window, &standing, now),
        };
        Ok(Balance {
            spec: (*self.spec).clone(),
            of: of.to_vec(),
            limit: standing.limit(),
            credit: amount(standing.credit),
            paused: self.paused,
            carried: amount(standing.carried),
            settled: amount(standing.settled),
            held: amount(standing.held),
            resets_at,
        })
    }

    /// Whether it was removed, and says no more than a new one would.
    pub(crate) fn is_forgettable(&self, now: Timestamp) -> bool {
        let terms = self.terms();
        let idle = |account: &Account| account.is_idle(terms, now);
        self.retired
            && match &self.pots {
                Pots::One(account) => idle(account),
                Pots::Each { accounts, .. } => accounts.values().all(idle),
            }
    }

    /// Whether it can be a budget of a ledger of this count of definitions.
    pub(crate) fn is_sound(&self, edition: u64) -> bool {
        let sound = |account: &Account| account.is_sound(&self.spec.window, edition);
        let each = self.spec.each.len();
        let pots = match &self.pots {
            Pots::One(account) => each == 0 && sound(account),
            Pots::Each { accounts, .. } => {
                each > 0 && accounts.iter().all(|(of, account)| of.len() == each && sound(account))
            }
        };
        self.edition <= edition && pots
    }

    /// Whether a hold of this count of definitions that is in none of its periods could get into one later.
    pub(crate) fn may_begin(&self, booking: &Booking, edition: u64, now: Timestamp) -> bool {
        let fresh;
        let account = match self.account(&booking.of) {
            Some(account) => account,
            None => {
                fresh = Account::new(self.edition);
                &fresh
            }
        };
        account.may_begin(booking.period, edition, now)
    }

    /// Whose pots there are, in order.
    pub(crate) fn pots(&self, most: usize) -> Vec<&[String]> {
        match &self.pots {
            Pots::One(_) => vec![&[]],
            Pots::Each { accounts, .. } => accounts.keys().map(Vec::as_slice).take(most).collect(),
        }
    }

    /// How many periods are kept.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        match &self.pots {
            Pots::One(account) => account.kept(),
            Pots::Each { accounts, .. } => accounts.values().map(Account::kept).sum(),
        }
    }
}
