//! What is in the pots of a budget: plain lists of what was booked, summed up anew each time it is asked for.
//!
//! A list is shortened by what can no longer change: bookings of one period that have ended become one, and periods before
//! the first that can change become the debt that they left.

use std::collections::{BTreeMap, VecDeque};

use ledger::{Amount, Attempt, BudgetSpec, Period, Reached, Window};
use model::Timestamp;

use super::windows::{Periods, between};

/// How long a list gets before it is tried to shorten it.
const LONG: usize = 96;

#[derive(Clone, Debug)]
pub(in super::super) struct Budget {
    pub(in super::super) spec: BudgetSpec,
    /// Whether it is declared still.
    pub(in super::super) live: bool,
    /// What an administrator set instead of the limit.
    pub(in super::super) overlay: Option<Amount>,
    pub(in super::super) paused: bool,
    /// How often it began to count something else.
    generation: u64,
    /// How often its window was changed.
    edition: u64,
    /// The limits, and since when.
    limits: Vec<(Timestamp, i64)>,
    pub(in super::super) pots: BTreeMap<Vec<String>, Pot>,
}

#[derive(Clone, Debug, Default)]
pub(in super::super) struct Pot {
    /// One for each window that it was kept by.
    eras: VecDeque<Era>,
    /// The threshold that was told last.
    warned: u8,
    /// The period that was last booked in, or that an edit began.
    begun: Option<Period>,
}

#[derive(Clone, Debug)]
struct Era {
    edition: u64,
    window: Window,
    /// What is carried from before, where the eras before are forgotten.
    carried: i128,
    /// Until when that counts.
    carried_until: Timestamp,
    /// When the window was changed, and the period then.
    closed: Option<(Timestamp, Period)>,
    /// In the order of their periods.
    items: VecDeque<Item>,
    long: usize,
}

#[derive(Clone, Debug)]
struct Item {
    period: Period,
    amount: i128,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Held(Attempt),
    Settled,
    Credit,
    /// The limit changed: windows before this one pay off what it was.
    Edited,
}

/// Where a hold was placed.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) budget: String,
    pub(super) of: Vec<String>,
    generation: u64,
    edition: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Sums {
    pub(in super::super) carried: i128,
    pub(in super::super) settled: i128,
    pub(in super::super) held: i128,
    pub(in super::super) credit: i128,
}

impl Sums {
    pub(in super::super) fn used(&self) -> i128 {
        self.carried + self.settled + self.held
    }

    fn add(&mut self, item: &Item) {
        match item.what {
            What::Held(_) => self.held += item.amount,
            What::Settled => self.settled += item.amount,
            What::Credit => self.credit += item.amount,
            What::Edited => {}
        }
    }

    /// The highest threshold that what is spent has reached, less a margin in hundredths.
    fn reached(&self, thresholds: &[u8], margin: i128, limit: i128) -> u8 {
        let spent = self.carried + self.settled;
        let limit = (limit + self.credit).max(0);
        let reached = |percent: &&u8| spent > 0 && spent * 100 >= (i128::from(**percent) - margin).max(0) * limit;
        thresholds.iter().filter(reached).max().copied().unwrap_or(0)
    }
}

impl Budget {
    pub(super) fn new(spec: BudgetSpec, now: Timestamp) -> Self {
        Self {
            live: true,
            overlay: None,
            paused: false,
            generation: 0,
            edition: 0,
            limits: vec![(now, spec.limit.0)],
            pots: BTreeMap::new(),
            spec,
        }
    }

    pub(in super::super) fn limit(&self) -> i128 {
        i128::from(self.overlay.unwrap_or(self.spec.limit).0)
    }

    /// It is declared anew.
    pub(super) fn define(&mut self, spec: BudgetSpec, periods: &mut Periods, now: Timestamp) {
        self.live = true;
        let before = std::mem::replace(&mut self.spec, spec);
        if before.unit != self.spec.unit {
            self.overlay = None;
        }
        if before.unit != self.spec.unit || before.each != self.spec.each {
            self.generation += 1;
            self.pots.clear();
            self.limits = vec![(now, i64::try_from(self.limit()).unwrap())];
            return;
        }
        let changed = before.window != self.spec.window;
        self.edition += u64::from(changed);
        let then = periods.at(&before.window, now);
        let period = periods.at(&self.spec.window, now);
        for pot in self.pots.values_mut() {
            if changed {
                pot.change_window(self.edition, &self.spec.window, (then, period), now);
            }
        }
        self.terms_changed(periods, now);
    }

    /// It is declared no more, and what an administrator set of it is gone.
    pub(super) fn remove(&mut self, periods: &mut Periods, now: Timestamp) {
        assert!(std::mem::replace(&mut self.live, false));
        self.paused = false;
        if self.overlay.is_some() {
            self.set_limit(None, periods, now);
        }
    }

    pub(super) fn set_limit(&mut self, limit: Option<Amount>, periods: &mut Periods, now: Timestamp) {
        self.overlay = limit;
        self.terms_changed(periods, now);
    }

    fn terms_changed(&mut self, periods: &mut Periods, now: Timestamp) {
        self.limits.push((now, i64::try_from(self.limit()).unwrap()));
        if !self.spec.window.is_rolling() {
            let period = periods.at(&self.spec.window, now);
            for pot in self.pots.values_mut() {
                pot.add(period, 0, What::Edited, &self.spec.window);
            }
        }
        let limit = self.limit();
        for pot in self.pots.values_mut() {
            pot.rearm(&self.spec, &self.limits, limit, 0, now);
        }
    }

    pub(super) fn top_up(&mut self, of: &[String], period: Period, amount: Amount, now: Timestamp) {
        let window = self.spec.window.clone();
        self.pot(of).add(period, amount.0.into(), What::Credit, &window);
        let limit = self.limit();
        if let Some(pot) = self.pots.get_mut(of) {
            pot.rearm(&self.spec, &self.limits, limit, 0, now);
        }
    }

    fn pot(&mut self, of: &[String]) -> &mut Pot {
        let (edition, window) = (self.edition, &self.spec.window);
        let pot = self.pots.entry(of.to_vec()).or_default();
        if pot.eras.is_empty() {
            pot.eras.push_back(Era::new(edition, window, Timestamp::MAX));
        }
        pot
    }

    pub(super) fn hold(
        &mut self,
        attempt: Attempt,
        of: &[String],
        period: Period,
        amount: Amount,
        now: Timestamp,
    ) -> Place {
        let limit = self.limit();
        self.pot(of);
        if let Some(pot) = self.pots.get_mut(of).filter(|_| self.spec.window.is_rolling()) {
            pot.rearm(&self.spec, &self.limits, limit, 5, now);
        }
        let window = self.spec.window.clone();
        self.pot(of).add(period, amount.0.into(), What::Held(attempt), &window);
        if let Some(pot) = self.pots.get_mut(of) {
            pot.shorten(&self.limits, now);
        }
        Place {
            budget: self.spec.name.to_string(),
            of: of.to_vec(),
            generation: self.generation,
            edition: self.edition,
        }
    }

    /// Books in place of what was held. Returns the threshold that has to be told.
    pub(super) fn end(&mut self, attempt: Attempt, place: &Place, booked: Amount, now: Timestamp) -> Option<Reached> {
        if place.generation != self.generation {
            return None;
        }
        let limit = self.limit();
        let pot = self.pots.get_mut(&place.of)?;
        if self.spec.window.is_rolling() {
            pot.rearm(&self.spec, &self.limits, limit, 5, now);
        }
        let gone = pot.end(attempt, place.edition, booked);
        let begun = pot.begun.filter(|_| !gone && booked > Amount::ZERO)?;
        let sums = pot.sums(&self.limits, begun, now);
        let percent = sums.reached(&self.spec.thresholds, 0, limit);
        if percent <= pot.warned {
            return None;
        }
        pot.warned = percent;
        Some(Reached {
            budget: self.spec.name.clone(),
            of: place.of.clone(),
            unit: self.spec.unit,
            percent,
            spent: amount(sums.carried + sums.settled),
            limit: amount(limit + sums.credit),
        })
    }

    /// What counts now in a pot, and the period a hold would book into.
    pub(in super::super) fn standing(&self, of: &[String], periods: &mut Periods, now: Timestamp) -> (Period, Sums) {
        let period = periods.at(&self.spec.window, now);
        let pot = self.pots.get(of);
        (
            period,
            pot.map(|pot| pot.sums(&self.limits, period, now)).unwrap_or_default(),
        )
    }

    /// When the oldest that counts stops counting.
    pub(in super::super) fn resets_at(
        &self,
        of: &[String],
        period: Period,
        sums: &Sums,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if !self.spec.window.is_rolling() {
            return Some(period.end).filter(|end| *end != Timestamp::MAX);
        }
        let era = self.pots.get(of)?.eras.back()?;
        let mut used: BTreeMap<Timestamp, i128> = BTreeMap::new();
        for item in era.items.iter().filter(|item| item.period.end > now) {
            if matches!(item.what, What::Held(_) | What::Settled) {
                *used.entry(item.period.end).or_default() += item.amount;
            }
        }
        let oldest = used.into_iter().find(|(_, used)| *used > 0).map(|(end, _)| end);
        let carried = Some(era.carried_until).filter(|_| sums.carried > 0);
        oldest.into_iter().chain(carried).min()
    }
}

impl Era {
    fn new(edition: u64, window: &Window, carried_until: Timestamp) -> Self {
        Self {
            edition,
            window: window.clone(),
            carried: 0,
            carried_until,
            closed: None,
            items: VecDeque::new(),
            long: LONG,
        }
    }

    /// What counts in a period at an instant, if so much is carried into the first one.
    fn sums(&self, carried: i128, limits: &[(Timestamp, i64)], period: Period, now: Timestamp) -> Sums {
        if self.window.is_rolling() {
            let carried = if now < self.carried_until { carried } else { 0 };
            let mut sums = Sums {
                carried,
                ..Sums::default()
            };
            self.items
                .iter()
                .filter(|item| item.period.end > now)
                .for_each(|item| sums.add(item));
            return sums;
        }
        let mut sums = Sums {
            carried,
            ..Sums::default()
        };
        let mut last = None;
        for item in &self.items {
            if let Some(last) = last.replace(item.period).filter(|last| *last != item.period) {
                sums = self.after(&sums, limits, last, item.period);
            }
            sums.add(item);
        }
        match last.filter(|last| *last != period) {
            Some(last) => self.after(&sums, limits, last, period),
            None => sums,
        }
    }

    /// What a period, and those behind it in which nothing happened, leave to a later one.
    fn after(&self, sums: &Sums, limits: &[(Timestamp, i64)], period: Period, later: Period) -> Sums {
        let in_force = limits.iter().rev().find(|(since, _)| *since < period.end);
        let limit = in_force.map_or(0, |(_, limit)| i128::from(*limit).max(0));
        let windows = i128::from(between(&self.window, period, later));
        Sums {
            carried: (sums.used() - sums.credit - windows * limit).max(0),
            ..Sums::default()
        }
    }

    fn is_settled(&self) -> bool {
        self.items.iter().all(|item| !matches!(item.what, What::Held(_)))
    }

    fn shorten(&mut self, limits: &[(Timestamp, i64)], now: Timestamp) {
        if self.items.len() < self.long {
            return;
        }
        if self.window.is_rolling() {
            self.items
                .retain(|item| item.period.end > now || matches!(item.what, What::Held(_)));
        }
        let mut items: VecDeque<Item> = VecDeque::new();
        for item in self.items.drain(..) {
            let mut same = items.iter_mut().rev().take_while(|other| other.period == item.period);
            match same.find(|other| other.what == item.what && !matches!(item.what, What::Held(_))) {
                Some(other) => other.amount += item.amount,
                None => items.push_back(item),
            }
        }
        self.items = items;
        while !self.window.is_rolling()
            && let Some(first) = self.items.front().map(|item| item.period)
            && let Some(next) = self
                .items
                .iter()
                .map(|item| item.period)
                .find(|period| *period != first)
        {
            let items = self.items.iter().take_while(|item| item.period == first);
            if items.clone().any(|item| matches!(item.what, What::Held(_))) {
                break;
            }
            let mut sums = Sums {
                carried: self.carried,
                ..Sums::default()
            };
            items.for_each(|item| sums.add(item));
            self.carried = self.after(&sums, limits, first, next).carried;
            self.items.retain(|item| item.period != first);
        }
        self.long = LONG.max(self.items.len() * 2);
    }
}

impl Pot {
    fn add(&mut self, period: Period, amount: i128, what: What, window: &Window) {
        if self.begun.is_some_and(|begun| begun != period) && !window.is_rolling() {
            self.warned = 0;
        }
        self.begun = Some(period);
        let item = Item { period, amount, what };
        self.eras.back_mut().unwrap().items.push_back(item);
    }

    fn change_window(&mut self, edition: u64, window: &Window, (then, now_in): (Period, Period), now: Timestamp) {
        let before = self.eras.back_mut().unwrap();
        before.closed = Some((now, then));
        if !before.window.is_rolling() && self.begun != Some(then) {
            self.warned = 0;
        }
        let carried_until = if window.is_rolling() {
            now_in.end
        } else {
            Timestamp::MAX
        };
        self.eras.push_back(Era::new(edition, window, carried_until));
        // Otherwise the edit begins one.
        self.begun = None;
    }

    fn sums(&self, limits: &[(Timestamp, i64)], period: Period, now: Timestamp) -> Sums {
        let mut carried = self.eras.front().unwrap().carried;
        let mut sums = Sums::default();
        for era in &self.eras {
            let (now, period) = era.closed.unwrap_or((now, period));
            sums = era.sums(carried, limits, period, now);
            carried = (sums.used() - sums.credit).max(0);
        }
        sums
    }

    fn rearm(&mut self, spec: &BudgetSpec, limits: &[(Timestamp, i64)], limit: i128, margin: i128, now: Timestamp) {
        let any = Period { start: now, end: now };
        let period = self.begun.or(spec.window.is_rolling().then_some(any));
        if let Some(begun) = period.filter(|_| self.warned > 0) {
            let sums = self.sums(limits, begun, now);
            self.warned = self.warned.min(sums.reached(&spec.thresholds, margin, limit));
        }
    }

    /// Returns whether the period of the hold is forgotten.
    fn end(&mut self, attempt: Attempt, edition: u64, booked: Amount) -> bool {
        let at = self.eras.iter().position(|era| era.edition == edition);
        let at = at.expect("a hold that is open keeps its era");
        let dropped_later = self.eras.iter().skip(at + 1).any(|era| {
            let closed = era.closed.map(|(closed, _)| closed);
            era.window.is_rolling() && closed.is_some_and(|closed| era.carried_until <= closed)
        });
        let begun = self.begun;
        let era = &mut self.eras[at];
        let mut items = era.items.iter_mut().rev();
        let item = items
            .find(|item| item.what == What::Held(attempt))
            .expect("a hold that ends once");
        item.what = What::Settled;
        item.amount = booked.0.into();
        let rolled_out = match era.closed {
            Some((closed, _)) => item.period.end <= closed,
            None => begun.is_some_and(|begun| item.period.end <= begun.start),
        };
        dropped_later || (era.window.is_rolling() && rolled_out)
    }

    fn shorten(&mut self, limits: &[(Timestamp, i64)], now: Timestamp) {
        self.eras.back_mut().unwrap().shorten(limits, now);
        while self.eras.len() > 1
            && let Some(first) = self.eras.front().filter(|era| era.is_settled())
            && let Some((closed, period)) = first.closed
        {
            let sums = first.sums(first.carried, limits, period, closed);
            self.eras.pop_front();
            self.eras.front_mut().unwrap().carried = (sums.used() - sums.credit).max(0);
        }
    }
}

pub(super) fn amount(sum: i128) -> Amount {
    Amount(i64::try_from(sum).unwrap())
}
