//! Rate limits: all that was let through, replayed from the beginning each time it is asked for.
//!
//! What comes before the first hold that has not ended can no longer change, and is kept as the level that it led to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ledger::{Amount, Attempt, Charge, Label, LimitReason, Limited, Measure, Rate, RateSpec};
use model::Timestamp;

use super::{Facts, charged, matches};

/// Microseconds of an hour: so many units are one of what is counted.
const UNITS: i128 = 3_600_000_000;
const LONG: usize = 96;

/// Whose bucket: the values of its limit's labels, in the order of the labels.
type Of = Vec<(Label, String)>;

#[derive(Clone, Debug, Default)]
pub(in super::super) struct Limits {
    pub(in super::super) all: BTreeMap<String, Limit>,
    buckets: u64,
}

#[derive(Clone, Debug)]
pub(in super::super) struct Limit {
    pub(in super::super) spec: RateSpec,
    buckets: BTreeMap<Of, Bucket>,
}

#[derive(Clone, Debug)]
struct Bucket {
    id: u64,
    /// One for each rate.
    meters: Vec<Meter>,
}

#[derive(Clone, Debug)]
struct Meter {
    level: i128,
    at: Timestamp,
    pace: i128,
    /// What happened since then.
    events: VecDeque<(Timestamp, Event)>,
    long: usize,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Held(Attempt, i128),
    Took(i128),
    Pace(i128),
}

/// Where a hold took from.
#[derive(Clone, Debug)]
pub(super) struct Took {
    limit: String,
    of: Of,
    bucket: u64,
}

/// A rate that stops a request, and for how long; `None` for ever.
#[derive(Clone, Debug)]
pub(in super::super) struct Stop {
    limit: String,
    of: Of,
    rate: Rate,
    wait_us: Option<i128>,
}

fn pace(rate: &Rate) -> i128 {
    i128::from(rate.limit.0) * UNITS / i128::from(rate.per.micros())
}

fn units(amount: Amount) -> i128 {
    i128::from(amount.0) * UNITS
}

impl Meter {
    fn new(rate: &Rate, now: Timestamp) -> Self {
        Self {
            level: 0,
            at: now,
            pace: pace(rate),
            events: VecDeque::new(),
            long: LONG,
        }
    }

    fn pass(&mut self, at: Timestamp, event: Event) {
        self.level = (self.level - self.pace * i128::from(at.micros_since(self.at))).max(0);
        self.at = at;
        match event {
            Event::Held(_, amount) | Event::Took(amount) => self.level += amount,
            Event::Pace(pace) => self.pace = pace,
        }
    }

    fn level(&self, now: Timestamp) -> i128 {
        let mut sum = Self {
            events: VecDeque::new(),
            ..*self
        };
        self.events.iter().for_each(|(at, event)| sum.pass(*at, *event));
        sum.pass(now, Event::Took(0));
        sum.level
    }

    fn shorten(&mut self) {
        if self.events.len() < self.long {
            return;
        }
        while let Some((at, event)) = self.events.front().copied()
            && !matches!(event, Event::Held(..))
        {
            self.pass(at, event);
            self.events.pop_front();
        }
        self.long = LONG.max(self.events.len() * 2);
    }
}

impl Limits {
    pub(super) fn define(&mut self, spec: &RateSpec, now: Timestamp) {
        let name = spec.name.to_string();
        let mut buckets = BTreeMap::new();
        if let Some(before) = self.all.remove(&name) {
            let set = |each: &[Label]| each.iter().copied().collect::<BTreeSet<_>>();
            if before.spec == *spec || set(&before.spec.each) == set(&spec.each) {
                buckets = before.buckets;
            }
            if before.spec != *spec {
                for bucket in buckets.values_mut() {
                    bucket.refit(&before.spec.rates, &spec.rates, now);
                }
            }
        }
        self.all.insert(
            name,
            Limit {
                spec: spec.clone(),
                buckets,
            },
        );
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.all.remove(name);
    }

    /// The buckets that a request takes from: of the most specific limit of each group.
    fn of(&self, facts: &Facts<'_>) -> Vec<(&Limit, Of)> {
        let mut found: BTreeMap<&str, (&Limit, Of)> = BTreeMap::new();
        for limit in self.all.values() {
            let mut each = limit.spec.each.clone();
            each.sort_unstable();
            let of: Option<Vec<_>> = each
                .iter()
                .map(|label| Some((*label, facts.get(*label)?.to_owned())))
                .collect();
            let Some(of) = of.filter(|_| matches(&limit.spec.select, facts)) else {
                continue;
            };
            let better = found
                .get(limit.spec.group.as_str())
                .is_none_or(|(other, _)| says_more(&limit.spec, &other.spec));
            if better {
                found.insert(&limit.spec.group, (limit, of));
            }
        }
        found.into_values().collect()
    }

    /// What stops a request.
    pub(super) fn stops(&self, facts: &Facts<'_>, charge: &Charge, now: Timestamp) -> Vec<Stop> {
        let mut stops = Vec::new();
        for (limit, of) in self.of(facts) {
            for (at, rate) in limit.spec.rates.iter().enumerate() {
                let asked = charged(charge, rate.measure);
                let level = limit.buckets.get(&of).map_or(0, |bucket| bucket.meters[at].level(now));
                let over = level + units(asked) - units(rate.burst);
                if asked.0 > 0 && over > 0 {
                    let pace = pace(rate);
                    stops.push(Stop {
                        limit: limit.spec.name.to_string(),
                        of: of.clone(),
                        rate: *rate,
                        wait_us: (asked <= rate.burst).then(|| (over + pace - 1) / pace),
                    });
                }
            }
        }
        stops
    }

    /// Whether a refusal names one of what stops a request, and how long that is.
    pub(super) fn check(stops: &[Stop], limited: &Limited, charge: &Charge) {
        let wait = |stop: &Stop| (stop.wait_us.is_none(), stop.wait_us);
        let longest = stops.iter().map(wait).max().expect("no rate limit stops it");
        let named = stops
            .iter()
            .find(|stop| stop.limit == limited.limit.as_str() && stop.of == limited.of && stop.rate == limited.rate);
        let named = named.expect("a rate limit that does not stop it is named");
        assert_eq!(wait(named), longest, "another rate stops it for longer: {stops:?}");
        assert_eq!(limited.retry_after_us.map(i128::from), named.wait_us);
        assert_eq!(limited.asked, charged(charge, limited.rate.measure));
        let why = if named.wait_us.is_some() {
            LimitReason::TooFast
        } else {
            LimitReason::TooLarge
        };
        assert_eq!(limited.why, why);
    }

    pub(super) fn take(&mut self, attempt: Attempt, facts: &Facts<'_>, charge: &Charge, now: Timestamp) -> Vec<Took> {
        let places: Vec<_> = self
            .of(facts)
            .into_iter()
            .map(|(limit, of)| (limit.spec.name.to_string(), of))
            .collect();
        let mut took = Vec::new();
        for (name, of) in places {
            let limit = self.all.get_mut(&name).unwrap();
            let rates = &limit.spec.rates;
            let bucket = limit.buckets.entry(of.clone()).or_insert_with(|| {
                self.buckets += 1;
                let meters = rates.iter().map(|rate| Meter::new(rate, now)).collect();
                Bucket {
                    id: self.buckets,
                    meters,
                }
            });
            for (meter, rate) in bucket.meters.iter_mut().zip(rates) {
                let amount = units(charged(charge, rate.measure));
                meter.events.push_back((now, Event::Held(attempt, amount)));
                meter.shorten();
            }
            took.push(Took {
                limit: name,
                of,
                bucket: bucket.id,
            });
        }
        took
    }

    pub(super) fn end(&mut self, attempt: Attempt, took: &[Took], held: &Charge, used: &Charge, now: Timestamp) {
        for took in took {
            let Some(limit) = self.all.get_mut(&took.limit) else {
                continue;
            };
            let Some(bucket) = limit
                .buckets
                .get_mut(&took.of)
                .filter(|bucket| bucket.id == took.bucket)
            else {
                continue;
            };
            for (meter, rate) in bucket.meters.iter_mut().zip(&limit.spec.rates) {
                let (held, used) = (units(charged(held, rate.measure)), units(charged(used, rate.measure)));
                let mut events = meter.events.iter_mut().rev();
                let took = events.find(|(_, event)| matches!(event, Event::Held(other, _) if *other == attempt));
                if let Some((_, event)) = took {
                    *event = Event::Took(used.min(held));
                }
                if used > held {
                    meter.events.push_back((now, Event::Took(used - held)));
                }
            }
        }
    }
}

impl Bucket {
    fn refit(&mut self, before: &[Rate], after: &[Rate], now: Timestamp) {
        let meters = after.iter().map(|rate| {
            let same = before
                .iter()
                .position(|old| old.measure == rate.measure && old.per == rate.per);
            let alike = || before.iter().position(|old| old.measure == rate.measure);
            let Some(at) = same.or_else(alike) else {
                return Meter::new(rate, now);
            };
            let mut meter = self.meters[at].clone();
            meter.events.push_back((now, Event::Pace(pace(rate))));
            meter
        });
        self.meters = meters.collect();
    }
}

/// Whether a limit is more specific than another: by the greatest label that only one of them selects by, then by the
/// greatest that only one of them has buckets for, then by name.
fn says_more(one: &RateSpec, other: &RateSpec) -> bool {
    let selected = |spec: &RateSpec| spec.select.labels().collect::<BTreeSet<_>>();
    let each = |spec: &RateSpec| spec.each.iter().copied().collect::<BTreeSet<_>>();
    for (one, other) in [(selected(one), selected(other)), (each(one), each(other))] {
        if let Some(greatest) = one.symmetric_difference(&other).max() {
            return one.contains(greatest);
        }
    }
    one.name < other.name
}

/// Whether a limit counts tokens.
pub(super) fn counts_tokens(spec: &RateSpec) -> bool {
    spec.rates
        .iter()
        .any(|rate| !matches!(rate.measure, Measure::Money | Measure::Calls))
}
