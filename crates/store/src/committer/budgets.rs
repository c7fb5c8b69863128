//! What budgets say to a request, and what administrators say to budgets.

use entry::{AskEnd, AskEnded, Asked as AskedEntry, Closed, EntryError, Event, Over, Stopper, Tokens};
use ledger::{Admission, Amount, Attempt, Booking, BreakerStop, Charge, Edit, Measure, Pot, Refusal, Why};
use model::{AdminName, BudgetName, NanoUsd, Reason, Timestamp};

use super::{
    command::{BalanceQuery, Balances, ChangeError, Changed, Denied, EditOrder, HoldRequest, Rules, RulesQuery},
    shard::{Admitted, Shard, Stopped},
};
use crate::hold::{Asked, Warning};

impl HoldRequest {
    /// The worst case, of all that can be counted.
    pub(crate) fn charge(&self) -> Charge {
        let Tokens { input, output } = self.tokens;
        Charge {
            money: self.amount,
            input,
            output,
            calls: 1,
        }
    }
}

impl Shard {
    /// What was left of the tightest budget of money.
    pub(super) fn remaining(&self, bookings: &[Booking], charge: &Charge) -> Option<NanoUsd> {
        let money = bookings.iter().filter(|booking| {
            let spec = self.state.ledger.budget(&booking.budget);
            spec.is_some_and(|spec| spec.unit == Measure::Money)
        });
        let asked = charge.of(Measure::Money);
        let left = money.map(|booking| booking.limit.saturating_sub(booking.used).saturating_sub(asked));
        left.min().map(|Amount(nanos)| NanoUsd(nanos).at_least_zero())
    }

    /// The budgets that are past a threshold.
    pub(super) fn warnings(&self, bookings: &[Booking], now: Timestamp) -> Vec<Warning> {
        let past = bookings.iter().filter_map(|booking| {
            let percent = self.state.ledger.past(booking, now)?;
            let budget = booking.budget.clone();
            Some(Warning { budget, percent })
        });
        past.collect()
    }

    /// Whether a rate limit, or a budget that a hold is in, counts tokens.
    pub(super) fn counts_tokens(&self, bookings: &[Booking]) -> bool {
        self.state.counted.tokens
            || bookings.iter().any(|booking| {
                let spec = self.state.ledger.budget(&booking.budget);
                spec.is_some_and(|spec| !matches!(spec.unit, Measure::Money | Measure::Calls))
            })
    }

    /// Whether a circuit breaker stops a request, or trips over it. What waits for an administrator goes on waiting while one
    /// is open.
    pub(super) fn broken(
        &mut self,
        request: &HoldRequest,
        tools: &[String],
        wall: Timestamp,
    ) -> Result<Option<Admitted>, EntryError> {
        let now = self.at(wall);
        let Some(labels) = self.state.labels(&request.ask.action, tools) else {
            return Ok(None);
        };
        let stop = match self.state.breakers.admit(&labels, request.next, now) {
            Admission::Go | Admission::GoAsProbe => return Ok(None),
            Admission::Stopped(_) if self.waits(request, now) => return Ok(Some(Admitted::Waiting)),
            Admission::Stopped(stop) => stop,
            Admission::Trips(trip) => {
                let stop = BreakerStop {
                    breaker: trip.breaker.clone(),
                    scope: trip.scope,
                    of: trip.of.clone(),
                    since: now,
                    until: trip.until,
                    cause: trip.cause.clone(),
                    probing: false,
                };
                self.push(Event::BreakerTripped(*trip), wall)?;
                Box::new(stop)
            }
        };
        let denied = Denied {
            ask: request.ask.clone(),
            reason: Reason::BreakerOpen,
            why: Some(request.why.clone()),
            input: None,
        };
        let breaker = Stopper {
            breaker: stop.breaker.clone(),
            of: stop.of.clone(),
            until: stop.until,
        };
        let by = Stopped {
            breaker: Some(breaker),
            ..Stopped::default()
        };
        self.denial(denied, by, wall)?;
        Ok(Some(Admitted::Broken(stop)))
    }

    /// What breakers warn of because of the intent just appended.
    pub(super) fn cautions(&self) -> Vec<ledger::Warning> {
        let owed = self.state.owed.iter();
        let warned = owed.filter_map(|event| match event {
            Event::BreakerWarned(warning) => Some(warning.clone()),
            _ => None,
        });
        warned.collect()
    }

    /// Whether a rate limit stops a request. What waits for an administrator goes on waiting.
    pub(super) fn rate_limited(
        &mut self,
        request: &HoldRequest,
        tools: &[String],
        charge: &Charge,
        wall: Timestamp,
    ) -> Result<Option<Admitted>, EntryError> {
        let now = self.at(wall);
        let Some(labels) = self.state.labels(&request.ask.action, tools) else {
            return Ok(None);
        };
        let Err(limited) = self.state.rates.admit(&labels, charge, now) else {
            return Ok(None);
        };
        if self.waits(request, now) {
            return Ok(Some(Admitted::Waiting));
        }
        let denied = Denied {
            ask: request.ask.clone(),
            reason: Reason::RateLimited,
            why: Some(request.why.clone()),
            input: None,
        };
        let by = Stopped {
            limited: Some(limited.clone()),
            ..Stopped::default()
        };
        self.denial(denied, by, wall)?;
        Ok(Some(Admitted::RateLimited(limited)))
    }

    /// Whether a request waits for an administrator, and may go on doing so.
    fn waits(&self, request: &HoldRequest, now: Timestamp) -> bool {
        let ask = self.state.asks.get(&request.name());
        request.may_wait && ask.is_some_and(|ask| now < ask.asked.until)
    }

    /// A budget has no room: the request is refused, or waits for an administrator.
    pub(super) fn no_room(
        &mut self,
        request: HoldRequest,
        refusal: Refusal,
        boot: u64,
        wall: Timestamp,
    ) -> Result<Admitted, EntryError> {
        let now = self.at(wall);
        let over = over(&refusal);
        let resets_at = refusal.balance.resets_at;
        let attempt = request.name();
        let asked = self.state.asks.get(&attempt).map(|ask| &ask.asked.over);
        let same = asked.is_some_and(|asked| asked.budget == over.budget && asked.of == over.of);
        if same && self.waits(&request, now) {
            return Ok(Admitted::Waiting);
        }
        // What waited for one budget and does not fit into another now waits for that one, if it asks.
        let moves = asked.is_some() && !same;
        let may = request.may_wait && (asked.is_none() || moves);
        let may = may && (moves || self.state.may_ask(&request.ask.action.agent));
        if let Some(wait_s) = refusal.asks().filter(|_| may) {
            if moves {
                self.end_ask(attempt, AskEnd::Moved, wall);
            }
            let until = now.saturating_add_micros(i64::from(wait_s) * 1_000_000);
            return self.wait(request, over, resets_at, until, boot, wall);
        }
        self.deny_for(request, &over, wall)?;
        Ok(Admitted::Refused(Box::new(over), resets_at))
    }

    fn wait(
        &mut self,
        request: HoldRequest,
        over: Over,
        resets_at: Option<Timestamp>,
        until: Timestamp,
        boot: u64,
        wall: Timestamp,
    ) -> Result<Admitted, EntryError> {
        let attempt = request.name();
        let mut action = request.ask.action.clone();
        action.seq = self.next_seq(&action.agent);
        let asked = AskedEntry {
            action,
            attempt: attempt.number,
            why: request.why.clone(),
            over: over.clone(),
            until,
            boot,
        };
        if let Err(error) = self.push(Event::Asked(asked), wall) {
            self.unrecordable(request.ask.action, &error, wall)?;
            return Ok(Admitted::Unrecordable);
        }
        Ok(Admitted::Asked(Asked {
            tenant: self.state.tenant.clone(),
            attempt,
            over: Box::new(over),
            resets_at,
            until,
        }))
    }

    /// Whether an administrator refused what waited.
    pub(super) fn refused_meanwhile(
        &mut self,
        request: &HoldRequest,
        wall: Timestamp,
    ) -> Result<Option<Admitted>, EntryError> {
        let ask = self.state.asks.get(&request.name());
        let Some((over, answer)) = ask.and_then(|ask| Some((ask.asked.over.clone(), ask.refused.clone()?))) else {
            return Ok(None);
        };
        self.deny_for(request.clone(), &over, wall)?;
        Ok(Some(Admitted::AskRefused(Box::new(over), Box::new(answer))))
    }

    fn deny_for(&mut self, request: HoldRequest, over: &Over, wall: Timestamp) -> Result<u64, EntryError> {
        let denied = Denied {
            ask: request.ask,
            reason: Reason::BudgetExhausted,
            why: Some(request.why),
            input: None,
        };
        let by = Stopped {
            over: Some(over.clone()),
            ..Stopped::default()
        };
        self.denial(denied, by, wall)
    }

    /// Ends what waited and nobody waits for any more.
    pub(super) fn end_ask(&mut self, attempt: Attempt, end: AskEnd, wall: Timestamp) {
        let ended = AskEnded {
            action: attempt.action,
            attempt: attempt.number,
            end,
        };
        let pushed = self.push(Event::AskEnded(ended), wall);
        drop(pushed.inspect_err(|error| tracing::error!(%error, "the end of a wait cannot be recorded")));
    }

    /// Ends what waited at an earlier start of the server, or waits past its time: nobody is there any more.
    pub(super) fn forget_asks(&mut self, wall: Timestamp, gone: impl Fn(&AskedEntry, Timestamp) -> bool) {
        let now = self.at(wall);
        let asks = self.state.asks.iter();
        let lost: Vec<_> = asks
            .filter(|(_, ask)| gone(&ask.asked, now))
            .map(|(attempt, _)| *attempt)
            .collect();
        for attempt in lost {
            self.end_ask(attempt, AskEnd::Lost, wall);
        }
    }

    /// Changes a budget as an administrator orders.
    pub(super) fn edit_budget(
        &mut self,
        budget: BudgetName,
        order: EditOrder,
        note: String,
        by: AdminName,
        wall: Timestamp,
    ) -> Result<Changed, ChangeError> {
        let edit = match order {
            EditOrder::Plain(edit) => edit,
            EditOrder::TopUp { amount, of } => {
                let pot = Pot {
                    budget: budget.clone(),
                    of,
                };
                let period = self.state.ledger.period(&pot, self.at(wall));
                let period = period.map_err(|error| ChangeError::Refused(error.to_string()))?;
                let Pot { of, .. } = pot;
                Edit::ToppedUp { amount, of, period }
            }
        };
        let unit = self
            .state
            .ledger
            .budget(&budget)
            .map(|spec| spec.unit)
            .unwrap_or_default();
        let event = Event::BudgetEdited {
            budget,
            unit,
            edit,
            note,
            by,
        };
        self.change(vec![event], wall)
    }

    /// How rate limits and circuit breakers stand.
    pub(super) fn rules(&self, query: &RulesQuery, wall: Timestamp) -> Rules {
        let now = self.at(wall);
        let state = &self.state;
        Rules {
            limits: state.rates.specs().cloned().collect(),
            buckets: state.rates.standing(None, now, query.most),
            breakers: state.breakers.specs().cloned().collect(),
            standings: state
                .breakers
                .standing(query.breaker.as_ref(), now, query.closed, query.most),
        }
    }

    /// How budgets stand.
    pub(super) fn balances(&self, query: &BalanceQuery, wall: Timestamp) -> Balances {
        let now = self.at(wall);
        let ledger = &self.state.ledger;
        let names: Vec<&BudgetName> = match &query.name {
            Some(name) => ledger.known(name).into_iter().collect(),
            None => ledger.names_after(query.after.as_ref()).take(query.most).collect(),
        };
        let mut found = Balances::default();
        for name in names {
            found.facts.take(&self.state.budgets, name);
            if let Some(of) = &query.of {
                let pot = Pot {
                    budget: name.clone(),
                    of: of.clone(),
                };
                let fits = ledger.budget(name).is_some_and(|spec| spec.each.len() == of.len());
                found.balances.extend(ledger.balance(&pot, now).ok().filter(|_| fits));
                continue;
            }
            let mut pots = ledger.balances(name, now, query.pots.saturating_add(1));
            if pots.is_empty() {
                // Nobody has used it yet: it stands as each of its pots will.
                pots.extend(ledger.balance(&Pot::from(name.clone()), now));
            }
            if pots.len() > query.pots {
                pots.truncate(query.pots);
                found.cut.push(name.clone());
            }
            found.balances.extend(pots);
            if let (Some(limit), _) = ledger.overlay(name) {
                found.set.insert(name.clone(), limit);
            }
        }
        found
    }
}

fn over(refusal: &Refusal) -> Over {
    let Refusal { balance, amount, why } = refusal;
    Over {
        budget: balance.spec.name.clone(),
        of: balance.of.clone(),
        unit: balance.spec.unit,
        limit: balance.limit,
        spent: balance.spent(),
        held: balance.held,
        asked: *amount,
        closed: match why {
            Why::Full => None,
            Why::Paused => Some(Closed::Paused),
            Why::Crowded => Some(Closed::Crowded),
        },
    }
}
