//! Months of agents' spending, healthy and running away, and what the rules about money make of them.

use std::collections::BTreeMap;

use ledger::{
    BreakerEnding as Ending, BreakerSpec, Breakers, Labels, NextStep, Notice, Scope, Selector, SpendRate, SpendSurge,
    StepKind,
};
use model::{BreakerName, NanoUsd};

use super::{
    random::Random,
    runs::{attempt, instant},
    sizes::{Sizes, draw},
};

const HOURS: usize = 28 * 24;
/// A runaway is followed for two days.
const FOLLOWED: usize = 48;
/// It begins in the fourth week.
const EARLIEST: usize = 21 * 24;
/// As many hours before it as the longest median looks back, and some.
const BEFORE: usize = 16 * 24;

/// An agent's month: in each hour the calls, as seconds since the start and costs.
type Month = Vec<Vec<(f64, NanoUsd)>>;

/// What an agent does for a living.
#[derive(Clone, Copy)]
pub(super) enum Living {
    Office,
    Service,
    Nightly,
    Developer,
}

impl Living {
    pub(super) const ALL: [Self; 4] = [Self::Office, Self::Service, Self::Nightly, Self::Developer];

    /// How many calls an hour has in the mean, as a multiple of the agent's usual.
    fn rhythm(self, hour: usize, random: &mut Random) -> f64 {
        let (of_day, day) = (hour % 24, hour / 24);
        let weekend = day % 7 >= 5;
        match self {
            // Office hours, a little in the evening, hardly anything at night and on weekends.
            Self::Office => match of_day {
                _ if weekend => 0.1,
                8..=17 => 1.0,
                18..=22 => 0.2,
                _ => 0.02,
            },
            // All day, with a peak in the afternoon four times the low at night, and random hours of twice as much.
            Self::Service => {
                let angle = f64::from(u8::try_from(of_day).unwrap_or(0)) / 24.0 * std::f64::consts::TAU;
                let burst = if random.chance(0.02) { 2.0 } else { 1.0 };
                burst * (1.0 - 0.6 * (angle - 0.5).cos())
            }
            // One job at two o'clock on weekdays, whose size varies.
            Self::Nightly => match of_day {
                2 if !weekend => random.log_normal(15.0, 0.4),
                _ => 0.0,
            },
            // Two of five office hours, and those very different.
            Self::Developer => match of_day {
                9..=18 if !weekend && random.chance(0.4) => random.log_normal(2.0, 0.8),
                _ => 0.0,
            },
        }
    }

    fn costs(self, sizes: &Sizes) -> &[NanoUsd] {
        match self {
            Self::Office | Self::Service => &sizes.conversation,
            Self::Nightly | Self::Developer => &sizes.code,
        }
    }
}

/// One agent.
pub(super) struct Agent {
    month: Month,
    /// Its usual number of calls an hour.
    usual: f64,
    /// How much larger its requests are than those of the data.
    factor: f64,
    living: Living,
}

impl Agent {
    pub(super) fn draw(living: Living, sizes: &Sizes, random: &mut Random) -> Self {
        let usual = random.log_normal(15.0, 0.8);
        let factor = random.log_normal(4.0, 0.5);
        let month = (0..HOURS)
            .map(|hour| {
                // One day of a month is three times as busy, and nothing is wrong: a campaign, a deadline.
                let busy = if hour / 24 == 16 { 3.0 } else { 1.0 };
                let rhythm = living.rhythm(hour, random);
                let calls = random.poisson(usual * busy * rhythm);
                hour_of(hour, calls, factor, living.costs(sizes), random)
            })
            .collect();
        Self {
            month,
            usual,
            factor,
            living,
        }
    }

    /// What it spent in its busiest hour of the first two weeks.
    fn peak(&self) -> NanoUsd {
        let first = self.month.iter().take(14 * 24);
        first.map(|hour| spent(hour)).max().unwrap_or_default()
    }
}

fn hour_of(hour: usize, calls: usize, factor: f64, costs: &[NanoUsd], random: &mut Random) -> Vec<(f64, NanoUsd)> {
    let start = f64::from(u32::try_from(hour).unwrap_or(0)) * 3600.0;
    let mut calls: Vec<(f64, NanoUsd)> = (0..calls)
        .map(|_| (start + random.unit() * 3600.0, times(draw(costs, random), factor)))
        .collect();
    calls.sort_by(|a, b| a.0.total_cmp(&b.0));
    calls
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a model's money"
)]
fn times(cost: NanoUsd, factor: f64) -> NanoUsd {
    NanoUsd((cost.0 as f64 * factor) as i64)
}

fn spent(calls: &[(f64, NanoUsd)]) -> NanoUsd {
    calls
        .iter()
        .fold(NanoUsd::ZERO, |sum, (_, cost)| sum.saturating_add(*cost))
}

/// How an agent runs away.
#[derive(Clone, Copy)]
pub(super) enum Away {
    /// Ten times its calls, from an hour in which it works.
    Calls,
    /// The same calls, each ten times as dear.
    Costs,
    /// Ten calls a minute, from any hour.
    Loop,
}

impl Away {
    pub(super) const ALL: [Self; 3] = [Self::Calls, Self::Costs, Self::Loop];
}

/// What is tried.
pub(super) enum Rule {
    Surge(SpendSurge),
    /// As many hundredths of the busiest hour of the first two weeks, within an hour.
    Peak(i64),
}

impl Rule {
    fn spec(&self, name: BreakerName, agent: &Agent) -> BreakerSpec {
        let spend = |percent: &i64| SpendRate {
            over: NanoUsd((agent.peak().0.saturating_mul(*percent) / 100).max(1)),
            within_s: 3600,
        };
        BreakerSpec {
            name,
            select: Selector::default(),
            scope: Scope::Agent,
            spend: if let Self::Peak(percent) = self {
                Some(spend(percent))
            } else {
                None
            },
            surge: if let Self::Surge(rule) = self {
                Some(*rule)
            } else {
                None
            },
            steps: StepKind::Calls,
            loops: None,
            errors: None,
            no_progress: None,
            cooldown_s: 600,
        }
    }
}

/// How a runaway was caught.
pub(super) struct Caught {
    pub(super) seconds: f64,
    pub(super) calls: usize,
    pub(super) money: NanoUsd,
}

/// Breakers that stop nobody: an administrator resets each at once.
struct Watched {
    breakers: Breakers,
    number: usize,
}

impl Watched {
    fn new(rules: &[(BreakerName, Rule)], agent: &Agent) -> anyhow::Result<Self> {
        let mut breakers = Breakers::default();
        for (name, rule) in rules {
            breakers.define(rule.spec(name.clone(), agent))?;
        }
        Ok(Self { breakers, number: 0 })
    }

    /// Which breakers trip because of a call.
    fn call(&mut self, at_s: f64, cost: NanoUsd) -> anyhow::Result<Vec<BreakerName>> {
        let labels = Labels {
            agent: "agent",
            ..Labels::default()
        };
        let (attempt, now) = (attempt(self.number), instant(at_s));
        self.number += 1;
        self.breakers.begin(attempt, &labels, NextStep::default(), now);
        let mut tripped = Vec::new();
        for notice in self.breakers.end(&attempt, Ending::Answered, cost, now) {
            if let Notice::Tripped(trip) = notice {
                self.breakers.trip(&trip, now)?;
                self.breakers.reset(&trip.breaker, &trip.of, now)?;
                tripped.push(trip.breaker);
            }
        }
        Ok(tripped)
    }
}

/// How often each rule tripped in a healthy month: in all of it, or for rules that are set after two weeks, in the others.
pub(super) fn false_alarms(
    rules: &[(BreakerName, Rule)],
    agent: &Agent,
    from: usize,
) -> anyhow::Result<BTreeMap<BreakerName, usize>> {
    let mut watched = Watched::new(rules, agent)?;
    let mut count = BTreeMap::new();
    for (hour, calls) in agent.month.iter().enumerate() {
        for (at_s, cost) in calls {
            for name in watched.call(*at_s, *cost)? {
                *count.entry(name).or_default() += usize::from(hour >= from);
            }
        }
    }
    Ok(count)
}

/// When each rule catches an agent that runs away.
pub(super) fn caught(
    rules: &[(BreakerName, Rule)],
    agent: &Agent,
    away: Away,
    sizes: &Sizes,
    random: &mut Random,
) -> anyhow::Result<BTreeMap<BreakerName, Caught>> {
    let start = match away {
        Away::Loop => random.between(EARLIEST, HOURS - 1),
        Away::Calls | Away::Costs => {
            let works = |hour: &usize| agent.month.get(*hour).is_some_and(|calls| calls.len() > 1);
            let hours: Vec<usize> = (EARLIEST..HOURS).filter(works).collect();
            random.of(&hours).copied().unwrap_or(EARLIEST)
        }
    };
    let mut watched = Watched::new(rules, agent)?;
    for (at_s, cost) in agent.month.iter().take(start).skip(start - BEFORE).flatten() {
        watched.call(*at_s, *cost)?;
    }
    let mut found = BTreeMap::new();
    let (mut calls, mut money) = (0, NanoUsd::ZERO);
    let costs = agent.living.costs(sizes);
    let first = f64::from(u32::try_from(start).unwrap_or(0)) * 3600.0;
    for hour in start..start + FOLLOWED {
        let (number, factor) = match away {
            Away::Loop => (random.poisson(600.0), agent.factor),
            Away::Calls => {
                let mean = agent.usual * agent.living.rhythm(hour, random);
                (random.poisson(10.0 * mean), agent.factor)
            }
            Away::Costs => {
                let mean = agent.usual * agent.living.rhythm(hour, random);
                (random.poisson(mean), 10.0 * agent.factor)
            }
        };
        for (at_s, cost) in hour_of(hour, number, factor, costs, random) {
            calls += 1;
            money = money.saturating_add(cost);
            for name in watched.call(at_s, cost)? {
                let seconds = at_s - first;
                found.entry(name).or_insert(Caught { seconds, calls, money });
            }
        }
        if found.len() == rules.len() {
            break;
        }
    }
    Ok(found)
}
