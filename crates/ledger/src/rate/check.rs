//! What a set of rate limits must keep to before it is used.

use std::collections::{BTreeMap, BTreeSet};

use model::LimitName;

use super::{
    index::{Rank, rank},
    spec::{Per, Rate, RateSpec},
};
use crate::{Label, Measure};

/// The most rates of one limit.
pub const MAX_RATES: usize = 8;
/// The most rate limits of one tenant.
pub const MAX_LIMITS: usize = 1_000;
/// The most groups of rate limits of one tenant, and so the most limits that one request can be under.
pub const MAX_GROUPS: usize = 16;

/// What is wrong with a set of rate limits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateProblem {
    /// More than [`MAX_LIMITS`].
    #[error("there are {0} rate limits, the most is {MAX_LIMITS}: let one limit have a bucket for each value (`each`)")]
    TooManyLimits(usize),
    /// More than [`MAX_GROUPS`].
    #[error(
        "rate limits are in {0} groups, the most is {MAX_GROUPS}: put limits of which one should count into one group"
    )]
    TooManyGroups(usize),
    /// Two of one name.
    #[error("there are two rate limits of the name {0}: give one of them another name")]
    SameName(LimitName),
    /// It says no rate at all.
    #[error("rate limit {0} has no rates: say at least one, such as 60 calls per minute")]
    NoRates(LimitName),
    /// More than [`MAX_RATES`].
    #[error("rate limit {limit} has {count} rates, the most is {MAX_RATES}: drop some")]
    TooManyRates {
        /// Of which limit.
        limit: LimitName,
        /// How many it has.
        count: usize,
    },
    /// A limit of nothing, or less.
    #[error(
        "rate limit {limit} allows {rate}: the limit must be more than 0. To let nothing through, forbid it by policy"
    )]
    LimitNotPositive {
        /// Of which limit.
        limit: LimitName,
        /// The rate.
        rate: Rate,
    },
    /// A burst of nothing, or less.
    #[error(
        "rate limit {limit} allows {rate}: the burst must be more than 0, and as large as the largest request that should go"
    )]
    BurstNotPositive {
        /// Of which limit.
        limit: LimitName,
        /// The rate.
        rate: Rate,
    },
    /// Two rates that count the same in the same length of time.
    #[error("rate limit {limit} has two rates of {measure} per {per}: keep one", measure = .measure.unit(), per = .per.as_str())]
    SameRate {
        /// Of which limit.
        limit: LimitName,
        /// What both count.
        measure: Measure,
        /// In how long.
        per: Per,
    },
    /// `each` names tools, of which a request has several.
    #[error("rate limit {0} has a bucket for each tool, but a request may offer several: name the tools in `select`")]
    EachTool(LimitName),
    /// `each` names a label twice.
    #[error("rate limit {limit} names {label} twice in `each`: once is enough")]
    EachTwice {
        /// Of which limit.
        limit: LimitName,
        /// The label.
        label: Label,
    },
    /// Two limits of one group are about the same request and neither is more specific.
    #[error(
        "rate limits {first} and {second} can select the same request, by the same labels, so neither is more specific: \
         let one name a label more, or put them into different groups (`group`), where both count"
    )]
    SameRank {
        /// The one whose name comes first.
        first: LimitName,
        /// The other.
        second: LimitName,
    },
}

/// Checks all rate limits of a tenant together.
///
/// # Errors
/// The first problem found, in the order of the list: what is wrong with one limit comes before what is wrong between two.
pub fn check(specs: &[RateSpec]) -> Result<(), RateProblem> {
    if specs.len() > MAX_LIMITS {
        return Err(RateProblem::TooManyLimits(specs.len()));
    }
    let groups: BTreeSet<&str> = specs.iter().map(|spec| spec.group.as_str()).collect();
    if groups.len() > MAX_GROUPS {
        return Err(RateProblem::TooManyGroups(groups.len()));
    }
    let mut names = BTreeSet::new();
    for spec in specs {
        if !names.insert(&spec.name) {
            return Err(RateProblem::SameName(spec.name.clone()));
        }
        check_rates(spec)?;
        check_each(spec)?;
    }
    check_ranks(specs)
}

fn check_rates(spec: &RateSpec) -> Result<(), RateProblem> {
    let limit = || spec.name.clone();
    if spec.rates.is_empty() {
        return Err(RateProblem::NoRates(limit()));
    }
    if spec.rates.len() > MAX_RATES {
        let count = spec.rates.len();
        return Err(RateProblem::TooManyRates { limit: limit(), count });
    }
    let mut seen = Vec::new();
    for rate in &spec.rates {
        let Rate { measure, per, .. } = *rate;
        let (limit, rate) = (limit(), *rate);
        if rate.limit.0 <= 0 {
            return Err(RateProblem::LimitNotPositive { limit, rate });
        }
        if rate.burst.0 <= 0 {
            return Err(RateProblem::BurstNotPositive { limit, rate });
        }
        if seen.contains(&(measure, per)) {
            return Err(RateProblem::SameRate { limit, measure, per });
        }
        seen.push((measure, per));
    }
    Ok(())
}

fn check_each(spec: &RateSpec) -> Result<(), RateProblem> {
    let mut seen = BTreeSet::new();
    for label in &spec.each {
        if *label == Label::Tool {
            return Err(RateProblem::EachTool(spec.name.clone()));
        }
        if !seen.insert(*label) {
            let (limit, label) = (spec.name.clone(), *label);
            return Err(RateProblem::EachTwice { limit, label });
        }
    }
    Ok(())
}

fn check_ranks(specs: &[RateSpec]) -> Result<(), RateProblem> {
    let mut by_rank: BTreeMap<(&str, Rank), Vec<&RateSpec>> = BTreeMap::new();
    for spec in specs {
        let equals = by_rank.entry((&spec.group, rank(spec))).or_default();
        if let Some(other) = equals.iter().find(|other| other.select.overlaps(&spec.select)) {
            let (first, second) = (
                other.name.clone().min(spec.name.clone()),
                other.name.clone().max(spec.name.clone()),
            );
            return Err(RateProblem::SameRank { first, second });
        }
        equals.push(spec);
    }
    Ok(())
}
