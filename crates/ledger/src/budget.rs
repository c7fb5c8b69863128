//! A budget: its terms, what administrators changed of them, and its pots.

use std::{collections::BTreeMap, ops::Bound};

use model::Timestamp;

use crate::{
    Amount, Balance, Booking, BudgetSpec, Period, Reached, WindowError,
    account::{Account, Terms},
    balance::{Standing, amount},
    debt::Slot,
};

/// The most pots of one budget.
pub const MAX_POTS: usize = 100_000;
/// How many pots are looked at, whether they still say anything, when one is booked in.
const TIDY_A_BOOKING: usize = 2;
/// How many when there are too many.
const TIDY_A_REFUSAL: usize = 1_024;

/// A budget and what is booked in its pots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) spec: BudgetSpec,
    /// What an administrator set instead of the limit that is declared.
    pub(crate) limit: Option<Amount>,
    /// Nothing is granted while it is paused.
    pub(crate) paused: bool,
    /// It is declared no more: it selects nothing, and what was spent stays.
    pub(crate) retired: bool,
    /// The ledger's count of definitions when its terms took effect.
    edition: u64,
    pots: Pots,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pots {
    One(Account),
    Each {
        accounts: BTreeMap<Vec<String>, Account>,
        /// The pot that was looked at last, whether it still says anything.
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
}

impl Budget {
    pub(crate) fn new(spec: BudgetSpec, edition: u64) -> Self {
        Self {
            pots: Pots::new(&spec, edition),
            spec,
            limit: None,
            paused: false,
            retired: false,
            edition,
        }
    }

    /// The limit as raised or lowered.
    pub(crate) fn limit(&self) -> Amount {
        self.limit.unwrap_or(self.spec.limit)
    }

    fn terms(&self) -> Terms<'_> {
        Terms {
            window: &self.spec.window,
            limit: self.limit(),
        }
    }

    /// Takes changed terms. Spending is never forgotten by an edit, unless something else is counted from now on.
    pub(crate) fn redefine(&mut self, spec: BudgetSpec, edition: u64, now: Timestamp) {
        self.retired = false;
        if !spec.counts_as(&self.spec) {
            *self = Self {
                paused: self.paused,
                ..Self::new(spec, edition)
            };
            return;
        }
        let limit = self.limit.unwrap_or(spec.limit);
        self.change_terms(&spec, limit, edition, now);
        self.spec = spec;
    }

    /// Raises or lowers the limit; `None` to return to what is declared.
    pub(crate) fn set_limit(&mut self, limit: Option<Amount>, edition: u64, now: Timestamp) {
        let spec = self.spec.clone();
        self.change_terms(&spec, limit.unwrap_or(spec.limit), edition, now);
        self.limit = limit;
    }

    fn change_terms(&mut self, spec: &BudgetSpec, limit: Amount, edition: u64, now: Timestamp) {
        let before = Terms {
            window: &self.spec.window,
            limit: self.limit.unwrap_or(self.spec.limit),
        };
        let window = &spec.window;
        let after = Terms { window, limit };
        if before.window != after.window {
            self.edition = edition;
        }
        match &mut self.pots {
            Pots::One(account) => account.redefine(before, after, edition, now),
            Pots::Each { accounts, .. } => {
                for account in accounts.values_mut() {
                    account.redefine(before, after, edition, now);
                }
            }
        }
    }

    /// The pot for these values; `None` if nothing was booked there yet, or there can be none.
    pub(crate) fn account(&self, of: &[String]) -> Option<&Account> {
        match &self.pots {
            Pots::One(account) => of.is_empty().then_some(account),
            Pots::Each { accounts, .. } => accounts.get(of),
        }
    }

    pub(crate) fn account_mut(&mut self, of: &[String]) -> Option<(&mut Account, Terms<'_>)> {
        let terms = Terms {
            window: &self.spec.window,
            limit: self.limit.unwrap_or(self.spec.limit),
        };
        let account = match &mut self.pots {
            Pots::One(account) => of.is_empty().then_some(account),
            Pots::Each { accounts, .. } => accounts.get_mut(of),
        };
        Some((account?, terms))
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
        let terms = Terms {
            window: &self.spec.window,
            limit: self.limit.unwrap_or(self.spec.limit),
        };
        let Pots::Each { accounts, tidied } = &mut self.pots else {
            return;
        };
        for _ in 0..count {
            let after = (Bound::Excluded(std::mem::take(tidied)), Bound::Unbounded);
            let Some((of, account)) = accounts.range(after).next() else {
                return;
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

    /// The threshold that what is booked in a pot has newly reached.
    pub(crate) fn warn(&mut self, of: &[String], now: Timestamp) -> Option<Reached> {
        let terms = Terms {
            window: &self.spec.window,
            limit: self.limit.unwrap_or(self.spec.limit),
        };
        let account = match &mut self.pots {
            Pots::One(account) => account,
            Pots::Each { accounts, .. } => accounts.get_mut(of)?,
        };
        let (percent, standing) = account.warn(terms, &self.spec.thresholds, now)?;
        Some(Reached {
            budget: self.spec.name.clone(),
            of: of.to_vec(),
            unit: self.spec.unit,
            percent,
            spent: amount(standing.carried + standing.settled),
            limit: standing.limit(),
        })
    }

    pub(crate) fn balance(&self, of: &[String], now: Timestamp) -> Result<Balance, WindowError> {
        let standing = self.standing(of, now)?;
        let account = self.account(of);
        let resets_at = match account {
            Some(account) => account.resets_at(&self.spec.window, &standing, now),
            None => Account::new(self.edition).resets_at(&self.spec.window, &standing, now),
        };
        Ok(Balance {
            spec: self.spec.clone(),
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

    /// Whose pots there are, in order.
    pub(crate) fn pots(&self) -> Vec<&[String]> {
        match &self.pots {
            Pots::One(_) => vec![&[]],
            Pots::Each { accounts, .. } => accounts.keys().map(Vec::as_slice).collect(),
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
