//! What a log must say, from its entries alone, by other means than the ledger's.
//!
//! It keeps plain lists and adds them up anew each time; it finds the budgets of a request by looking at all of them, and
//! windows in the calendar. From what a request asked for it says what must become of it, and every entry is held against
//! that.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use entry::{
    Action, Asked, Closed, Denial, Entry, Event, Intent, Outcome, Over, Overrun, Status, ThresholdReached, Tokens,
};
use ledger::{Amount, AtLimit, Attempt, Balance, Charge, Edit, Label, Ledger, Measure, Period, Pot, Selector, Values};
use model::{ActionId, BudgetName, NanoUsd, Reason, Timestamp, UsageSource};

use self::{
    pots::{Budget, Place, Sums},
    rates::{Limits, Stop, Took},
    windows::Periods,
};
use crate::HoldRequest;

mod pots;
mod rates;
pub(super) mod windows;

/// The labels of a request.
pub(super) struct Facts<'a> {
    values: BTreeMap<Label, &'a str>,
    tools: &'a [String],
}

impl<'a> Facts<'a> {
    fn get(&self, label: Label) -> Option<&'a str> {
        self.values.get(&label).copied()
    }
}

fn matches(selector: &Selector, facts: &Facts<'_>) -> bool {
    selector.iter().all(|(label, patterns)| {
        let mut values: Vec<&str> = facts.get(label).into_iter().collect();
        if label == Label::Tool {
            values.extend(facts.tools.iter().map(String::as_str));
        }
        values
            .iter()
            .any(|value| patterns.iter().any(|pattern| fits(pattern, value)))
    })
}

fn fits(pattern: &str, value: &str) -> bool {
    match pattern.split_once('*') {
        Some((beginning, _)) => value.starts_with(beginning),
        None => pattern == value,
    }
}

/// How much a charge is in one measure.
fn charged(charge: &Charge, measure: Measure) -> Amount {
    let number = |count: u64| i64::try_from(count).unwrap();
    Amount(match measure {
        Measure::Money => charge.money.0,
        Measure::Tokens => number(charge.input) + number(charge.output),
        Measure::InputTokens => number(charge.input),
        Measure::OutputTokens => number(charge.output),
        Measure::Calls => number(charge.calls),
    })
}

#[derive(Clone, Debug)]
pub(super) struct Agent {
    pub(super) record: Option<entry::AgentRecord>,
    seq: u64,
}

#[derive(Clone, Debug)]
struct Key {
    agent: String,
    tier: &'static str,
    user: String,
    revoked: bool,
}

/// A hold that has not ended.
#[derive(Clone, Debug)]
struct Open {
    intent: Box<Intent>,
    index: u64,
    charge: Charge,
    places: Vec<Place>,
    took: Vec<Took>,
}

/// What must become of a request.
#[derive(Debug)]
enum Verdict {
    Granted(Vec<(Pot, Period, Sums)>),
    Limited(Vec<Stop>),
    /// A budget has no room.
    Refused(Box<Over>, Option<u32>),
    /// It cannot be recorded as it is.
    Unrecordable,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Oracle {
    size: u64,
    pub(super) now: Timestamp,
    pub(super) agents: HashMap<String, Agent>,
    keys: HashMap<String, Key>,
    pub(super) budgets: BTreeMap<String, Budget>,
    pub(super) limits: Limits,
    pub(super) distrusted: BTreeSet<(String, String)>,
    open: BTreeMap<Attempt, Open>,
    ended: HashSet<Attempt>,
    /// The last attempt of each action.
    attempts: HashMap<ActionId, u16>,
    asks: BTreeMap<Attempt, (Asked, bool)>,
    owed: VecDeque<Event>,
    periods: Periods,
    /// The pots that the entries since the last look were about.
    touched: BTreeSet<Pot>,
    /// The budget that refused last.
    pub(super) refused: Option<BudgetName>,
    /// How many entries there were of each kind.
    pub(super) kinds: BTreeMap<&'static str, u64>,
}

impl Oracle {
    pub(super) fn is_open(&self, attempt: &Attempt) -> bool {
        self.open.contains_key(attempt)
    }

    /// A hold that nobody ended up to an instant up to which it was to end.
    pub(super) fn expired(&self, at: Timestamp) -> Option<&Attempt> {
        let mut open = self.open.iter();
        let expired = open.find(|(_, open)| open.intent.expires <= at);
        expired.map(|(attempt, _)| attempt)
    }

    pub(super) fn waits(&self, attempt: &Attempt) -> bool {
        self.asks.contains_key(attempt)
    }

    /// The number of an action's next attempt.
    pub(super) fn next_attempt(&self, action: ActionId) -> u16 {
        self.attempts.get(&action).map_or(0, |last| last + 1)
    }

    fn tried(&mut self, attempt: Attempt) {
        let last = self.attempts.entry(attempt.action).or_default();
        *last = attempt.number.max(*last);
    }

    pub(super) fn open_holds(&self) -> usize {
        self.open.len()
    }

    /// Takes the next entry of the log, and the request that it is about.
    pub(super) fn take(&mut self, entry: &Entry, request: Option<&HoldRequest>) {
        let request = || request.expect("nobody asked for it");
        assert_eq!(entry.index, self.size);
        assert!(entry.time >= self.now, "time goes back");
        self.size += 1;
        self.now = entry.time;
        *self.kinds.entry(entry.event.kind()).or_default() += 1;
        if let Event::Denial(denial) = &entry.event {
            *self.kinds.entry(denial.reason.code()).or_default() += 1;
        }
        match self.owed.pop_front() {
            Some(owed) => assert_eq!(entry.event, owed, "what has to follow the outcome before it"),
            None => {
                let follows = matches!(entry.event, Event::Overrun(_) | Event::ThresholdReached(_));
                assert!(!follows, "it follows from nothing: {:?}", entry.event);
            }
        }
        match &entry.event {
            Event::Intent(intent) => self.intent(intent, request(), entry.index),
            Event::Outcome(outcome) => self.outcome(outcome, entry.index),
            Event::Denial(denial) if denial.reason == Reason::PolicyDenied => self.count(&denial.action),
            Event::Denial(denial) => self.denial(denial, request()),
            Event::Asked(asked) => self.asked(asked, request()),
            Event::AskRefused(refused) => {
                let attempt = Attempt {
                    action: refused.action,
                    number: refused.attempt,
                };
                let (_, refused) = self.asks.get_mut(&attempt).expect("it waits");
                assert!(!std::mem::replace(refused, true), "refused twice");
            }
            Event::AskEnded(ended) => {
                let attempt = Attempt {
                    action: ended.action,
                    number: ended.attempt,
                };
                self.asks.remove(&attempt).expect("it waits");
            }
            Event::Overrun(overrun) => {
                let model = (overrun.upstream.to_string(), overrun.model.clone());
                self.distrusted.insert(model);
            }
            // It was owed.
            Event::ThresholdReached(_) => {}
            Event::OverrunCleared { upstream, model, .. } => {
                assert!(self.distrusted.remove(&(upstream.to_string(), model.clone())));
            }
            event => self.change(event),
        }
    }

    /// Nothing may be missing at the end of a batch.
    pub(super) fn batch_is_over(&self) {
        assert!(
            self.owed.is_empty(),
            "an outcome without what follows from it: {:?}",
            self.owed
        );
    }

    fn change(&mut self, event: &Event) {
        let (now, periods) = (self.now, &mut self.periods);
        match event {
            Event::AgentLoaded { agent, .. } => {
                let seq = self.agents.get(agent.name.as_str()).map_or(0, |known| known.seq);
                let record = Some(agent.clone());
                self.agents.insert(agent.name.to_string(), Agent { record, seq });
            }
            Event::AgentRemoved { agent, .. } => self.agents.get_mut(agent.as_str()).unwrap().record = None,
            Event::KeyIssued { key, .. } => {
                let known = Key {
                    agent: key.agent.to_string(),
                    tier: key.tier.as_str(),
                    user: key.user.as_ref().map_or_else(String::new, |user| user.0.clone()),
                    revoked: false,
                };
                let before = self.keys.insert(key.id.to_string(), known);
                assert!(before.is_none());
            }
            Event::KeyRevoked { key, .. } => self.keys.get_mut(key.as_str()).unwrap().revoked = true,
            Event::BudgetLoaded { budget, .. } => match self.budgets.get_mut(budget.name.as_str()) {
                Some(known) => known.define(budget.clone(), periods, now),
                None => {
                    self.budgets
                        .insert(budget.name.to_string(), Budget::new(budget.clone(), now));
                }
            },
            Event::BudgetRemoved { budget, .. } => {
                let named = |agent: &Agent| {
                    agent
                        .record
                        .as_ref()
                        .is_some_and(|record| record.budgets.contains(budget))
                };
                assert!(!self.agents.values().any(named), "an agent names it");
                self.budgets.get_mut(budget.as_str()).unwrap().remove(periods, now);
            }
            Event::BudgetEdited { budget, edit, unit, .. } => {
                let known = self
                    .budgets
                    .get_mut(budget.as_str())
                    .filter(|budget| budget.live)
                    .unwrap();
                assert_eq!(*unit, known.spec.unit);
                match edit {
                    Edit::Limit { limit } => known.set_limit(Some(*limit), periods, now),
                    Edit::DeclaredLimit {} => known.set_limit(None, periods, now),
                    Edit::Paused {} | Edit::Resumed {} => known.paused = matches!(edit, Edit::Paused {}),
                    Edit::ToppedUp { amount, of, period } => {
                        assert_eq!(*period, periods.at(&known.spec.window, now));
                        known.top_up(of, *period, *amount, now);
                    }
                }
                let pots = known.pots.keys().take(4);
                let pots = pots.map(|of| Pot {
                    budget: budget.clone(),
                    of: of.clone(),
                });
                self.touched.extend(pots);
            }
            Event::LimitLoaded { limit, .. } => self.limits.define(limit, now),
            Event::LimitRemoved { limit, .. } => self.limits.remove(limit.as_str()),
            // In their order, which the fold checks.
            Event::Started { .. } | Event::Stopped { .. } => {}
            other => panic!("an entry that no step leads to: {other:?}"),
        }
    }

    /// Counts an action, which must be its agent's next.
    fn count(&mut self, action: &Action) {
        let agent = self.agents.get_mut(action.agent.as_str()).expect("a known agent");
        agent.seq += 1;
        assert_eq!(action.seq, agent.seq);
        assert_eq!(self.keys[action.key.as_str()].agent, action.agent.as_str());
    }

    fn facts<'a>(&'a self, action: &'a Action, tools: &'a [String]) -> Option<Facts<'a>> {
        let record = self.agents.get(action.agent.as_str())?.record.as_ref()?;
        let key = self.keys.get(action.key.as_str())?;
        let values = [
            (Label::Tenant, "default"),
            (Label::Environment, &record.environment),
            (Label::Product, &record.product),
            (Label::Team, &record.team),
            (Label::Tier, key.tier),
            (Label::Upstream, action.upstream.as_str()),
            (Label::Model, &action.model),
            (Label::Task, action.task.as_deref().unwrap_or("")),
            (Label::Agent, action.agent.as_str()),
            (Label::Run, action.run.as_deref().unwrap_or("")),
            (Label::User, &key.user),
        ];
        let values = values.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        Some(Facts { values, tools })
    }

    /// The pots that a request must fit into.
    fn pots(&self, action: &Action, facts: &Facts<'_>) -> Vec<Pot> {
        let record = self.agents[action.agent.as_str()].record.as_ref().unwrap();
        let named = record.budgets.iter().map(|name| &self.budgets[name.as_str()]);
        let others = self.budgets.values().filter(|budget| {
            let selects = budget.spec.select.as_ref().is_some_and(|select| matches(select, facts));
            selects && !record.budgets.contains(&budget.spec.name)
        });
        let pots = named.chain(others).filter(|budget| budget.live).filter_map(|budget| {
            let each = budget.spec.each.iter();
            let of: Option<Vec<_>> = each.map(|label| facts.get(*label).map(str::to_owned)).collect();
            Some(Pot {
                budget: budget.spec.name.clone(),
                of: of?,
            })
        });
        pots.collect()
    }

    fn charge(request: &HoldRequest) -> Charge {
        Charge {
            money: request.amount,
            input: request.tokens.input,
            output: request.tokens.output,
            calls: 1,
        }
    }

    /// What must become of a request now.
    fn judge(&mut self, request: &HoldRequest) -> Verdict {
        let (action, now) = (&request.ask.action, self.now);
        let mut periods = std::mem::take(&mut self.periods);
        let facts = self
            .facts(action, &request.tools)
            .expect("its agent and credential are known");
        let charge = Self::charge(request);
        let stops = self.limits.stops(&facts, &charge, now);
        let pots = self.pots(action, &facts);
        let verdict = if !stops.is_empty() {
            Verdict::Limited(stops)
        } else if pots.len() > 16 {
            Verdict::Unrecordable
        } else {
            let mut granted = Vec::new();
            let (mut refusal, mut asking) = (None, None);
            for pot in pots {
                let budget = &self.budgets[pot.budget.as_str()];
                let (period, sums) = budget.standing(&pot.of, &mut periods, now);
                let asked = charged(&charge, budget.spec.unit);
                let full = asked.0 > 0 && sums.used() + i128::from(asked.0) > budget.limit() + sums.credit;
                if budget.paused || full {
                    let over = Box::new(over(budget, &pot, &sums, asked));
                    match budget.spec.at_limit {
                        AtLimit::Ask { wait_s } if !budget.paused => asking = asking.or(Some((over, Some(wait_s)))),
                        _ => refusal = refusal.or(Some((over, None))),
                    }
                }
                granted.push((pot, period, sums));
            }
            match refusal.or(asking) {
                // Nobody is asked on behalf of a credential that does not work.
                Some((over, Some(_))) if self.may_ask(request, &over) && self.is_revoked(request) => {
                    Verdict::Unrecordable
                }
                Some((over, wait)) => Verdict::Refused(over, wait),
                None if !self.may_act(request) => Verdict::Unrecordable,
                None => Verdict::Granted(granted),
            }
        };
        self.periods = periods;
        verdict
    }

    /// Whether the credential works, and the hold is for enough output.
    fn may_act(&self, request: &HoldRequest) -> bool {
        let action = &request.ask.action;
        let model = (action.upstream.to_string(), action.model.clone());
        let bounded = request.bound.is_some() || request.limit == 0 || !self.distrusted.contains(&model);
        bounded && !self.is_revoked(request)
    }

    fn is_revoked(&self, request: &HoldRequest) -> bool {
        self.keys[request.ask.action.key.as_str()].revoked
    }

    /// Whether an administrator is asked for a request that a budget has no room for, if that budget asks: unless somebody
    /// was asked for the same already, or too many wait.
    fn may_ask(&self, request: &HoldRequest, over: &Over) -> bool {
        let agent = &request.ask.action.agent;
        let of_agent = self
            .asks
            .values()
            .filter(|(asked, _)| asked.action.agent == *agent)
            .count();
        let may = match self.asks.get(&request.name()) {
            Some((asked, _)) => !is_for(asked, over),
            None => self.asks.len() < 1_000 && of_agent < 100,
        };
        request.may_wait && may
    }

    fn intent(&mut self, intent: &Intent, request: &HoldRequest, index: u64) {
        let action = &intent.action;
        let attempt = intent.attempt();
        assert_eq!(attempt, request.name());
        self.tried(attempt);
        assert!(
            !self.ended.contains(&attempt) && !self.open.contains_key(&attempt),
            "held twice"
        );
        assert!(
            self.asks.get(&attempt).is_none_or(|(_, refused)| !refused),
            "granted although refused"
        );
        self.asks.remove(&attempt);
        let Verdict::Granted(pots) = self.judge(request) else {
            panic!("granted although something stops it: {intent:?}");
        };
        self.check_intent(intent, request, &pots);
        let charge = Self::charge(request);
        let places = intent.bookings.iter().map(|booking| {
            let budget = self.budgets.get_mut(booking.budget.as_str()).unwrap();
            let amount = charged(&charge, budget.spec.unit);
            budget.hold(attempt, &booking.of, booking.period, amount, self.now)
        });
        let places = places.collect();
        let now = self.now;
        let mut limits = std::mem::take(&mut self.limits);
        let facts = self.facts(action, &request.tools).unwrap();
        let took = limits.take(attempt, &facts, &charge, now);
        self.limits = limits;
        self.count(action);
        self.touched.extend(pots.into_iter().map(|(pot, ..)| pot));
        let intent = Box::new(intent.clone());
        self.open.insert(
            attempt,
            Open {
                intent,
                index,
                charge,
                places,
                took,
            },
        );
    }

    fn check_intent(&self, intent: &Intent, request: &HoldRequest, pots: &[(Pot, Period, Sums)]) {
        assert_eq!(
            (intent.hold, intent.bound, intent.limit),
            (request.amount, request.bound, request.limit)
        );
        let measures = pots.iter().map(|(pot, ..)| self.budgets[pot.budget.as_str()].spec.unit);
        let by_budget = measures
            .into_iter()
            .any(|unit| !matches!(unit, Measure::Money | Measure::Calls));
        let by_limit = self.limits.all.values().any(|limit| rates::counts_tokens(&limit.spec));
        let tokens = Some(request.tokens).filter(|_| by_budget || by_limit);
        assert_eq!(intent.tokens, tokens, "tokens are recorded where something counts them");
        assert_eq!(intent.tools, self.named(&request.tools));
        let booked: Vec<_> = intent
            .bookings
            .iter()
            .map(|booking| (&booking.budget, &booking.of))
            .collect();
        let found: Vec<_> = pots.iter().map(|(pot, ..)| (&pot.budget, &pot.of)).collect();
        assert_eq!(booked, found, "it is booked in exactly the pots that select it");
        for (booking, (_, period, sums)) in intent.bookings.iter().zip(pots) {
            let budget = &self.budgets[booking.budget.as_str()];
            assert_eq!(booking.period, *period, "{booking:?}");
            assert_eq!(i128::from(booking.used.0), sums.used(), "{booking:?} {sums:?}");
            assert_eq!(i128::from(booking.limit.0), budget.limit() + sums.credit, "{booking:?}");
        }
    }

    /// The tools that some rule names.
    fn named(&self, offered: &[String]) -> Vec<String> {
        let budgets = self.budgets.values().filter(|budget| budget.live);
        let selectors = budgets.filter_map(|budget| budget.spec.select.as_ref());
        let selectors = selectors.chain(self.limits.all.values().map(|limit| &limit.spec.select));
        let patterns: Vec<_> = selectors
            .filter_map(|selector| selector.get(Label::Tool))
            .flat_map(Values::iter)
            .collect();
        let named = offered
            .iter()
            .filter(|tool| patterns.iter().any(|pattern| fits(pattern, tool)));
        let named: BTreeSet<_> = named.cloned().collect();
        named.into_iter().collect()
    }

    fn outcome(&mut self, outcome: &Outcome, index: u64) {
        let attempt = outcome.attempt();
        assert!(self.ended.insert(attempt), "{attempt:?} ends twice");
        let Open {
            intent,
            index: intent_index,
            charge,
            places,
            took,
        } = self.open.remove(&attempt).expect("what ends was held");
        assert_eq!(outcome.intent, intent_index);
        let booked = booked(outcome, &charge, intent.tokens);
        // What is not recorded is counted by nothing, so it is not held either.
        let held = match intent.tokens {
            Some(_) => charge,
            None => Charge {
                input: 0,
                output: 0,
                ..charge
            },
        };
        assert_eq!(outcome.overrun, NanoUsd((outcome.cost.0 - held.money.0).max(0)));
        let more = intent.tokens.is_some() && (booked.input > held.input || booked.output > held.output);
        if booked.money > held.money || more {
            self.owed.push_back(overrun(&intent, outcome, index, &booked));
        }
        for place in &places {
            let budget = self.budgets.get_mut(&place.budget).unwrap();
            let amount = charged(&booked, budget.spec.unit);
            if let Some(reached) = budget.end(attempt, place, amount, self.now) {
                let event = Event::ThresholdReached(ThresholdReached {
                    outcome: index,
                    reached,
                });
                self.owed.push_back(event);
            }
            self.touched.insert(Pot {
                budget: budget.spec.name.clone(),
                of: place.of.clone(),
            });
        }
        self.limits.end(attempt, &took, &held, &booked, self.now);
    }

    fn denial(&mut self, denial: &Denial, request: &HoldRequest) {
        let id = denial.action.id;
        self.count(&denial.action);
        let attempt = request.name();
        let verdict = self.judge(request);
        let asked = self.asks.get(&attempt).cloned();
        match (denial.reason, verdict) {
            (Reason::BudgetExhausted, _) if asked.as_ref().is_some_and(|(_, refused)| *refused) => {
                assert_eq!(denial.over, asked.map(|(asked, _)| asked.over));
            }
            (Reason::BudgetExhausted, Verdict::Refused(over, wait)) => {
                assert_eq!(denial.over.as_ref(), Some(&*over));
                let waited = asked.is_some_and(|(asked, _)| is_for(&asked, &over) && asked.until <= self.now);
                let asks = wait.is_some() && self.may_ask(request, &over);
                assert!(waited || !request.may_wait || !asks, "it should have waited");
            }
            (Reason::RateLimited, Verdict::Limited(stops)) => {
                Limits::check(&stops, denial.limited.as_ref().unwrap(), &Self::charge(request));
            }
            (Reason::GovernanceUnavailable, Verdict::Unrecordable) => {}
            (_, verdict) => panic!("{denial:?}, where it should have been {verdict:?}"),
        }
        self.refused = denial
            .over
            .as_ref()
            .map(|over| over.budget.clone())
            .or(self.refused.take());
        self.asks.retain(|attempt, _| attempt.action != id);
    }

    fn asked(&mut self, asked: &Asked, request: &HoldRequest) {
        self.count(&asked.action);
        assert!(request.may_wait);
        let Verdict::Refused(over, Some(wait)) = self.judge(request) else {
            panic!("an administrator is asked although nothing asks: {asked:?}");
        };
        assert_eq!(asked.over, *over);
        assert_eq!(asked.until.micros_since(self.now), i64::from(wait) * 1_000_000);
        self.tried(asked.attempt());
        let before = self.asks.insert(asked.attempt(), (asked.clone(), false));
        assert!(before.is_none(), "asked twice");
    }

    /// That a request which goes on waiting has to.
    pub(super) fn check_waiting(&mut self, request: &HoldRequest) {
        let (asked, refused) = &self.asks[&request.name()];
        assert!(request.may_wait && !refused && self.now < asked.until);
        let asked = asked.clone();
        match self.judge(request) {
            Verdict::Limited(_) => {}
            Verdict::Refused(over, _) => assert!(is_for(&asked, &over), "it waits for another budget"),
            other => panic!("it waits, where it should have been {other:?}"),
        }
    }

    /// Holds the live balances of the pots that the last entries were about against the lists.
    pub(super) fn check_touched(&mut self, ledger: &Ledger) {
        for pot in std::mem::take(&mut self.touched) {
            self.check_pot(ledger, &pot);
        }
    }

    /// The same for all pots that there are. Returns how many.
    pub(super) fn check_all(&mut self, ledger: &Ledger) -> usize {
        let pots = self.budgets.values().flat_map(|budget| {
            let name = &budget.spec.name;
            budget.pots.keys().map(move |of| Pot {
                budget: name.clone(),
                of: of.clone(),
            })
        });
        let pots: Vec<_> = pots.collect();
        pots.iter().for_each(|pot| self.check_pot(ledger, pot));
        let open: BTreeSet<_> = ledger.holds().map(|(attempt, _)| *attempt).collect();
        assert!(open.iter().eq(self.open.keys()), "the holds that are open");
        pots.len()
    }

    fn check_pot(&mut self, ledger: &Ledger, pot: &Pot) {
        let budget = &self.budgets[pot.budget.as_str()];
        if pot.of.len() != budget.spec.each.len() {
            // It kept other pots apart when the hold was placed.
            return;
        }
        let (period, sums) = budget.standing(&pot.of, &mut self.periods, self.now);
        if ledger.budget(&pot.budget).is_none() {
            assert!(!budget.live && sums.used() == 0, "{pot:?} is forgotten");
            return;
        }
        let resets_at = budget.resets_at(&pot.of, period, &sums, self.now);
        let expected = Balance {
            spec: budget.spec.clone(),
            of: pot.of.clone(),
            limit: pots::amount(budget.limit() + sums.credit),
            credit: pots::amount(sums.credit),
            paused: budget.paused,
            carried: pots::amount(sums.carried),
            settled: pots::amount(sums.settled),
            held: pots::amount(sums.held),
            resets_at,
        };
        assert_eq!(ledger.balance(pot, self.now), Ok(expected), "{pot:?} at {:?}", self.now);
    }
}

/// Whether what waits does so for this pot.
fn is_for(asked: &Asked, over: &Over) -> bool {
    (&asked.over.budget, &asked.over.of, asked.over.unit) == (&over.budget, &over.of, over.unit)
}

fn over(budget: &Budget, pot: &Pot, sums: &Sums, asked: Amount) -> Over {
    Over {
        budget: pot.budget.clone(),
        of: pot.of.clone(),
        unit: budget.spec.unit,
        limit: pots::amount(budget.limit() + sums.credit),
        spent: pots::amount(sums.carried + sums.settled),
        held: pots::amount(sums.held),
        asked,
        closed: budget.paused.then_some(Closed::Paused),
    }
}

/// What an outcome books of all that can be counted.
fn booked(outcome: &Outcome, held: &Charge, recorded: Option<Tokens>) -> Charge {
    let Tokens { input, output } = recorded.unwrap_or_default();
    let told = outcome.usage.as_ref().map(|usage| (usage.input_total(), usage.output));
    let (input, output) = match outcome.source {
        UsageSource::Nothing => (0, 0),
        UsageSource::Provider => told.unwrap_or((input, output)),
        UsageSource::Hold => {
            let (told_input, told_output) = told.unwrap_or((0, 0));
            (input.max(told_input), output.max(told_output))
        }
    };
    let arrived = !matches!(outcome.status, Status::NotForwarded | Status::Unreachable);
    Charge {
        money: outcome.cost,
        input,
        output,
        calls: if arrived { held.calls } else { 0 },
    }
}

fn overrun(intent: &Intent, outcome: &Outcome, index: u64, booked: &Charge) -> Event {
    Event::Overrun(Overrun {
        action: outcome.action,
        attempt: outcome.attempt,
        outcome: index,
        agent: intent.action.agent.clone(),
        upstream: intent.action.upstream.clone(),
        model: intent.action.model.clone(),
        held: intent.hold,
        booked: outcome.cost,
        limit: intent.limit,
        bound: intent.bound,
        tokens_held: intent.tokens,
        tokens: intent.tokens.map(|_| Tokens {
            input: booked.input,
            output: booked.output,
        }),
    })
}
