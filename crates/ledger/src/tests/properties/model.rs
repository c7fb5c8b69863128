//! What a ledger must say, computed from all events anew: it walks from window to window, and keeps no sums.

use std::collections::HashMap;

use model::{NanoUsd, Timestamp};

use super::super::table::{instant, window_of};
use crate::{Amount, Attempt, BudgetSpec, Charge, Edit, Hold, Measure, Period, Pot, Reached, Window};

/// How many commands one case has at most.
pub(super) const COMMANDS: i64 = 60;

/// Windows of like lengths, and the clock they are tried with.
pub(super) struct Family {
    pub(super) start: Timestamp,
    /// How far one command moves the clock at most.
    pub(super) step_micros: i64,
    /// Each window with its periods over the time that all commands may take.
    pub(super) windows: Vec<(Window, Vec<Period>)>,
}

impl Family {
    pub(super) fn new(start: &str, step_micros: i64, windows: &[(&str, &str)]) -> Self {
        let start = instant(start, "UTC");
        let end = start.saturating_add_micros(step_micros * (COMMANDS + 1));
        let periods = |window: &Window| {
            let mut all = vec![window.period(start).unwrap()];
            while let Some(last) = all.last().filter(|last| last.end <= end && !window.is_rolling()) {
                all.push(window.period(last.end).unwrap());
            }
            all
        };
        let windows = windows.iter().map(|(text, zone)| window_of(text, zone));
        Self {
            start,
            step_micros,
            windows: windows.map(|window| (window.clone(), periods(&window))).collect(),
        }
    }

    fn periods(&self, window: &Window) -> &[Period] {
        let found = self.windows.iter().find(|(known, _)| known == window);
        &found.expect("a window of the family").1
    }

    /// The period a hold at `at` books into.
    pub(super) fn period(&self, window: &Window, at: Timestamp) -> Period {
        match window {
            Window::Rolling { .. } => window.period(at).unwrap(),
            _ => *self.periods(window).iter().find(|period| period.end > at).unwrap(),
        }
    }
}

/// What happened, all of it.
pub(super) enum Event {
    Define(BudgetSpec, Timestamp),
    Edit {
        budget: usize,
        edit: Edit,
        at: Timestamp,
    },
    Hold {
        attempt: Attempt,
        hold: Hold,
        at: Timestamp,
    },
    End {
        attempt: Attempt,
        booked: Charge,
        reached: Vec<Reached>,
        at: Timestamp,
    },
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) carried: i128,
    pub(super) settled: i128,
    pub(super) held: i128,
    pub(super) credit: i128,
}

impl Sums {
    pub(super) fn used(&self) -> i128 {
        self.carried + self.settled + self.held
    }
}

/// The time from one definition of a window to the next.
struct Era<'a> {
    from: Timestamp,
    window: &'a Window,
    limits: Vec<(Timestamp, i64)>,
    holds: Vec<(Period, Attempt, Amount)>,
    credits: Vec<(Period, i64)>,
}

/// The terms of a budget now.
pub(super) struct Terms<'a> {
    pub(super) spec: &'a BudgetSpec,
    pub(super) limit: i64,
    pub(super) overlay: Option<Amount>,
    pub(super) paused: bool,
}

pub(super) struct Model {
    pub(super) names: &'static [&'static str],
    pub(super) family: &'static Family,
    pub(super) events: Vec<Event>,
    /// What was booked when holds ended.
    pub(super) ended: HashMap<Attempt, Charge>,
}

impl Model {
    /// The definitions of a pot since it counts what it does now, what was added to it, and the holds placed under each.
    fn eras(&self, pot: &Pot) -> Vec<Era<'_>> {
        let mut eras: Vec<Era<'_>> = Vec::new();
        let (mut spec, mut overlay): (Option<&BudgetSpec>, _) = (None, None);
        for event in &self.events {
            let changed_at = match event {
                Event::Define(declared, at) if declared.name == pot.budget => {
                    if spec.is_some_and(|before| before.unit != declared.unit) {
                        eras.clear();
                        overlay = None;
                    }
                    if eras.last().is_none_or(|era| *era.window != declared.window) {
                        eras.push(Era {
                            from: *at,
                            window: &declared.window,
                            limits: Vec::new(),
                            holds: Vec::new(),
                            credits: Vec::new(),
                        });
                    }
                    spec = Some(declared);
                    Some(*at)
                }
                Event::Edit { budget, edit, at } if self.names[*budget] == pot.budget.as_str() => match edit {
                    Edit::Limit { limit } => {
                        overlay = Some(limit.0);
                        Some(*at)
                    }
                    Edit::DeclaredLimit {} => {
                        overlay = None;
                        Some(*at)
                    }
                    Edit::ToppedUp { amount, of, .. } => {
                        if *of == pot.of {
                            let era = eras.last_mut().unwrap();
                            era.credits.push((self.family.period(era.window, *at), amount.0));
                        }
                        None
                    }
                    Edit::Paused {} | Edit::Resumed {} => None,
                },
                Event::Hold { attempt, hold, at } if hold.bookings.iter().any(|booking| booking.is_in(pot)) => {
                    let era = eras.last_mut().unwrap();
                    let period = self.family.period(era.window, *at);
                    era.holds.push((period, *attempt, hold.amount.of(spec.unwrap().unit)));
                    None
                }
                _ => None,
            };
            if let (Some(at), Some(spec)) = (changed_at, spec) {
                eras.last_mut()
                    .unwrap()
                    .limits
                    .push((at, overlay.unwrap_or(spec.limit.0)));
            }
        }
        eras
    }

    pub(super) fn sums(&self, pot: &Pot, now: Timestamp) -> Sums {
        let unit = self.terms(pot).spec.unit;
        let eras = self.eras(pot);
        let mut carried = 0;
        let mut sums = None;
        for (at, era) in eras.iter().enumerate() {
            let until = eras.get(at + 1).map_or(now, |next| next.from);
            let found = match era.window {
                Window::Rolling { .. } => self.rolling(era, unit, carried, until),
                _ => self.calendar(era, unit, carried, until),
            };
            // What a top-up paid for is not carried, and what was not used of it is gone.
            carried = (found.used() - found.credit).max(0);
            sums = Some(found);
        }
        sums.expect("a defined budget")
    }

    fn rolling(&self, era: &Era<'_>, unit: Measure, carried: i128, until: Timestamp) -> Sums {
        let first = era.window.period(era.from).unwrap();
        let carried = if until < first.end { carried } else { 0 };
        self.booked_in(era, unit, carried, |period| period.end > until)
    }

    fn calendar(&self, era: &Era<'_>, unit: Measure, carried: i128, until: Timestamp) -> Sums {
        let mut debt = carried;
        for window in self.family.periods(era.window).iter().filter(|w| w.end > era.from) {
            let sums = self.booked_in(era, unit, debt, |period| period == window);
            if window.end > until {
                return sums;
            }
            let in_force = era.limits.iter().rev().find(|(at, _)| *at < window.end);
            let (_, limit) = in_force.unwrap();
            debt = (sums.used() - i128::from(*limit).max(0) - sums.credit).max(0);
        }
        unreachable!("the clock went past the family's time");
    }

    fn booked_in(&self, era: &Era<'_>, unit: Measure, carried: i128, counts: impl Fn(&Period) -> bool) -> Sums {
        let mut sums = Sums {
            carried,
            ..Sums::default()
        };
        for (_, attempt, amount) in era.holds.iter().filter(|(period, ..)| counts(period)) {
            match self.ended.get(attempt) {
                Some(booked) => sums.settled += i128::from(booked.of(unit).0),
                None => sums.held += i128::from(amount.0),
            }
        }
        let credits = era.credits.iter().filter(|(period, _)| counts(period));
        sums.credit = credits.map(|(_, amount)| i128::from(*amount)).sum();
        sums
    }

    pub(super) fn terms(&self, pot: &Pot) -> Terms<'_> {
        let mut terms: Option<Terms<'_>> = None;
        for event in &self.events {
            match (event, &mut terms) {
                (Event::Define(spec, _), before) if spec.name == pot.budget => {
                    let same = before.take().filter(|before| before.spec.unit == spec.unit);
                    terms = Some(Terms {
                        spec,
                        limit: 0,
                        overlay: same.as_ref().and_then(|before| before.overlay),
                        paused: self.paused(pot),
                    });
                }
                (Event::Edit { budget, edit, .. }, Some(terms)) if self.names[*budget] == pot.budget.as_str() => {
                    match edit {
                        Edit::Limit { limit } => terms.overlay = Some(*limit),
                        Edit::DeclaredLimit {} => terms.overlay = None,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        let mut terms = terms.expect("a defined budget");
        terms.limit = terms.overlay.unwrap_or(terms.spec.limit).0;
        terms
    }

    fn paused(&self, pot: &Pot) -> bool {
        let mut edits = self.events.iter().rev().filter_map(|event| match event {
            Event::Edit { budget, edit, .. } if self.names[*budget] == pot.budget.as_str() => Some(edit),
            _ => None,
        });
        let last = edits.find(|edit| matches!(edit, Edit::Paused {} | Edit::Resumed {}));
        matches!(last, Some(Edit::Paused {}))
    }

    /// The attempts whose holds are open, or have ended, and what was held.
    pub(super) fn attempts(&self, open: bool) -> Vec<(Attempt, Charge)> {
        let holds = self.events.iter().filter_map(|event| match event {
            Event::Hold { attempt, hold, .. } => Some((*attempt, hold.amount)),
            _ => None,
        });
        holds
            .filter(|(attempt, _)| self.ended.contains_key(attempt) != open)
            .collect()
    }
}

/// So much more or less of everything.
pub(super) fn changed(charge: Charge, more: i64) -> Charge {
    let count = |count: u64| count.saturating_add_signed(more);
    Charge {
        money: NanoUsd((charge.money.0 + more).max(0)),
        input: count(charge.input),
        output: count(charge.output),
        calls: charge.calls,
    }
}
