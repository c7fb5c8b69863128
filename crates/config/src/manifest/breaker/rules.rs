//! What trips a breaker.

use std::{borrow::Cow, fmt, ops::RangeInclusive};

use ledger::{ErrorRate, Loops, NoProgress, Repeats, SpendRate, SpendSurge};
use model::NanoUsd;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{
    file::within,
    node::{Field, Placed},
    problem::{Findings, Mark},
    quantity::{Amount, Percent, Span, Times},
};

/// How long a breaker may stay open.
pub(super) const COOLDOWNS: RangeInclusive<Span> = LENGTHS;
/// The lengths of time in which something is counted.
const LENGTHS: RangeInclusive<Span> = Span(1)..=Span(30 * 86_400);
const TIMES: RangeInclusive<Times> = Times(101)..=Times(100_000);
const WINDOWS: RangeInclusive<u64> = 5..=336;
/// As many steps of a run are kept as may be compared.
const REPEATED: RangeInclusive<u64> = 2..=64;
/// The longest pattern has three steps.
const PERIODS: RangeInclusive<u64> = 2..=21;
const STEP_CALLS: RangeInclusive<u64> = 2..=64;
const STEPS: RangeInclusive<u64> = 1..=63;
const CALLS: RangeInclusive<u64> = 2..=10_000;
const PERCENTS: RangeInclusive<Percent> = Percent(1)..=Percent(100);

const HOUR: Span = Span(3_600);
const SAME: Repeats = Repeats { warn: 3, stop: 4 };
const PERIODIC: Repeats = Repeats { warn: 2, stop: 3 };
const LOOP_LENGTH: Span = Span(600);
const SURGE_WINDOWS: u16 = SpendSurge::WINDOWS;
const ERROR_CALLS: u16 = 20;
const ERROR_LENGTH: Span = Span(5 * 60);

/// More than an amount within a time.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "`{ over: 10 USD, within: 10 minutes }`")]
#[schemars(rename = "SpendRate", extend("required" = ["over", "within"]))]
pub(super) struct RawSpend {
    /// More than this trips it.
    over: Field<Amount>,
    /// Within how long.
    within: Field<Span>,
}

/// A multiple of what is usual.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "`{ times: 5, within: 10 minutes, at_least: 1 USD }`"
)]
#[schemars(rename = "SpendSurge", extend("required" = ["times", "within", "at_least"]))]
pub(super) struct RawSurge {
    /// More than so many times the median trips it.
    #[schemars(extend("minimum" = 1.01, "maximum" = 1_000))]
    times: Field<Times>,
    /// The length of the windows that are compared.
    within: Field<Span>,
    /// Of how many windows before this one the median is taken.
    #[schemars(extend("minimum" = WINDOWS.start(), "maximum" = WINDOWS.end(), "default" = SURGE_WINDOWS))]
    windows: Field<u64>,
    /// Less than this in a window never trips it.
    at_least: Field<Amount>,
}

/// How often the same step may be taken.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Loops")]
pub(super) struct RawLoopRule {
    /// The how many-th time leaves an entry.
    #[schemars(extend("minimum" = REPEATED.start(), "maximum" = REPEATED.end(), "default" = SAME.warn))]
    warn: Field<u64>,
    /// The how many-th time is refused.
    #[schemars(extend("minimum" = REPEATED.start(), "maximum" = REPEATED.end(), "default" = SAME.stop))]
    stop: Field<u64>,
    /// The same two or three steps one after the other, over and over.
    periodic: Field<RawRepeats>,
    /// Within how long.
    #[schemars(extend("default" = "10 minutes"))]
    within: Field<Span>,
}

/// How often.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "`{ warn: 2, stop: 3 }`")]
#[schemars(rename = "Repeats")]
pub(super) struct RawRepeats {
    /// The how many-th time leaves an entry.
    #[schemars(extend("minimum" = PERIODS.start(), "maximum" = PERIODS.end(), "default" = PERIODIC.warn))]
    warn: Field<u64>,
    /// The how many-th time is refused.
    #[schemars(extend("minimum" = PERIODS.start(), "maximum" = PERIODS.end(), "default" = PERIODIC.stop))]
    stop: Field<u64>,
}

/// Failing calls.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "`{ percent: 50, calls: 20, within: 5 minutes }`"
)]
#[schemars(rename = "ErrorRate", extend("required" = ["percent"]))]
pub(super) struct RawErrors {
    /// As many of a hundred calls.
    percent: Field<Percent>,
    /// Of at least so many calls.
    #[schemars(extend("minimum" = CALLS.start(), "maximum" = CALLS.end(), "default" = ERROR_CALLS))]
    calls: Field<u64>,
    /// Within how long.
    #[schemars(extend("default" = "5 minutes"))]
    within: Field<Span>,
}

/// Standing still.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "`{ calls: 30, steps: 3, within: 1 hour }`"
)]
#[schemars(rename = "NoProgress", extend("required" = ["calls", "steps"]))]
pub(super) struct RawNoProgress {
    /// Among the last so many calls ...
    #[schemars(extend("minimum" = STEP_CALLS.start(), "maximum" = STEP_CALLS.end()))]
    calls: Field<u64>,
    /// ... no more than so many different steps.
    #[schemars(extend("minimum" = STEPS.start(), "maximum" = STEPS.end()))]
    steps: Field<u64>,
    /// Within how long.
    #[schemars(extend("default" = "1 hour"))]
    within: Field<Span>,
}

/// `true`, or what differs from the defaults.
#[derive(Debug)]
pub(super) enum RawLoops {
    Plain(bool),
    Rule(RawLoopRule),
}

impl<'de> Deserialize<'de> for RawLoops {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LoopsVisitor;

        impl<'de> Visitor<'de> for LoopsVisitor {
            type Value = RawLoops;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`true` or `{ warn: 3, stop: 4 }`")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<RawLoops, E> {
                Ok(RawLoops::Plain(value))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawLoops, A::Error> {
                RawLoopRule::deserialize(MapAccessDeserializer::new(map)).map(RawLoops::Rule)
            }
        }

        deserializer.deserialize_any(LoopsVisitor)
    }
}

impl JsonSchema for RawLoops {
    fn schema_name() -> Cow<'static, str> {
        "LoopsOrTrue".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let rule = generator.subschema_for::<RawLoopRule>();
        schemars::json_schema!({ "anyOf": [{ "type": "boolean" }, rule] })
    }
}

/// Checks the rules, one after the other. `None` is one that is not there, or was reported.
pub(super) struct Rules<'a>(pub(super) &'a mut Findings);

impl Rules<'_> {
    pub(super) fn spend(&mut self, field: Field<RawSpend>) -> Option<SpendRate> {
        let Placed { mark, value: raw } = field.given()?;
        let over = self.required(mark, "spend", "over", raw.over, "such as `over: 10 USD`");
        let within_s = self.required(mark, "spend", "within", raw.within, "such as `within: 10 minutes`");
        let over = over.and_then(|over| {
            self.amount(
                over,
                "`over` is nothing",
                "then every call that costs something trips it",
            )
        });
        let within_s = within_s.and_then(|length| self.length(length));
        Some(SpendRate {
            over: over?,
            within_s: within_s?,
        })
    }

    pub(super) fn surge(&mut self, field: Field<RawSurge>) -> Option<SpendSurge> {
        let Placed { mark, value: raw } = field.given()?;
        let help = "such as `times: 5`: five times what is usual trips it";
        let times = self.required(mark, "surge", "times", raw.times, help);
        let within_s = self.required(mark, "surge", "within", raw.within, "such as `within: 10 minutes`");
        let help = "such as `at_least: 1 USD`: what is less is no surge, however little is usual";
        let at_least = self.required(mark, "surge", "at_least", raw.at_least, help);
        let windows = self.number(raw.windows, WINDOWS, SURGE_WINDOWS);
        let times = times.and_then(|times| within(Field::Given(times), TIMES, self.0));
        let within_s = within_s.and_then(|length| self.length(length));
        let help = "without it, a cent after a quiet night is a surge";
        let at_least = at_least.and_then(|amount| self.amount(amount, "`at_least` is nothing", help));
        Some(SpendSurge {
            percent: times?.0,
            within_s: within_s?,
            windows: windows?,
            at_least: at_least?,
        })
    }

    pub(super) fn loops(&mut self, field: Field<RawLoops>) -> Option<Loops> {
        let Placed { mark, value } = field.given()?;
        let raw = match value {
            RawLoops::Plain(false) => return None,
            RawLoops::Plain(true) => RawLoopRule::default(),
            RawLoops::Rule(raw) => raw,
        };
        let same = self.repeats(mark, (raw.warn, raw.stop), REPEATED, SAME);
        let periodic = match raw.periodic {
            Field::Absent => Some(PERIODIC),
            Field::Bad(_) => None,
            Field::Given(Placed { mark, value }) => self.repeats(mark, (value.warn, value.stop), PERIODS, PERIODIC),
        };
        let within_s = self.length_or(raw.within, LOOP_LENGTH);
        Some(Loops {
            same: same?,
            periodic: periodic?,
            within_s: within_s?,
        })
    }

    pub(super) fn errors(&mut self, field: Field<RawErrors>) -> Option<ErrorRate> {
        let Placed { mark, value: raw } = field.given()?;
        let percent = self.required(mark, "errors", "percent", raw.percent, "such as `percent: 50`");
        let percent = percent.and_then(|percent| within(Field::Given(percent), PERCENTS, self.0));
        let calls = self.number(raw.calls, CALLS, ERROR_CALLS);
        let within_s = self.length_or(raw.within, ERROR_LENGTH);
        Some(ErrorRate {
            percent: u8::try_from(percent?.0).ok()?,
            calls: calls?,
            within_s: within_s?,
        })
    }

    pub(super) fn no_progress(&mut self, field: Field<RawNoProgress>) -> Option<NoProgress> {
        let Placed { mark, value: raw } = field.given()?;
        let calls = self.required(mark, "no_progress", "calls", raw.calls, "such as `calls: 30`");
        let steps = self.required(mark, "no_progress", "steps", raw.steps, "such as `steps: 3`");
        let place = steps.as_ref().map(|steps| steps.mark);
        let calls = calls.and_then(|calls| self.given_number(calls, STEP_CALLS));
        let steps = steps.and_then(|steps| self.given_number(steps, STEPS));
        let within_s = self.length_or(raw.within, HOUR);
        let (calls, steps) = (calls?, steps?);
        if steps >= calls {
            let message = format!("{calls} calls never have more than {steps} different steps");
            self.0.add_with_help(
                place,
                message,
                "make `steps` less than `calls`, or every agent stands still",
            );
            return None;
        }
        Some(NoProgress {
            calls,
            steps,
            within_s: within_s?,
        })
    }

    fn required<T>(&mut self, at: Mark, rule: &str, key: &str, field: Field<T>, help: &str) -> Option<Placed<T>> {
        field.required(Some(at), format!("`{rule}` has no `{key}`"), help, self.0)
    }

    /// An amount that is not nothing.
    fn amount(&mut self, Placed { mark, value }: Placed<Amount>, message: &str, help: &str) -> Option<NanoUsd> {
        if value.0 > NanoUsd::ZERO {
            return Some(value.0);
        }
        self.0.add_with_help(mark, message, help);
        None
    }

    fn repeats(
        &mut self,
        at: Mark,
        (warn, stop): (Field<u64>, Field<u64>),
        range: RangeInclusive<u64>,
        absent: Repeats,
    ) -> Option<Repeats> {
        let place = stop.mark().or(warn.mark()).unwrap_or(at);
        let warn = self.number(warn, range.clone(), absent.warn);
        let stop = self.number(stop, range, absent.stop);
        let (warn, stop) = (warn?, stop?);
        if warn >= stop {
            let message = format!("it would stop before it warns: `warn` is {warn} and `stop` is {stop}");
            self.0.add_with_help(
                place,
                message,
                format!(
                    "make `warn` less than `stop`; they are {} and {} if absent",
                    absent.warn, absent.stop
                ),
            );
            return None;
        }
        Some(Repeats { warn, stop })
    }

    /// A number within its range, or the default.
    fn number(&mut self, field: Field<u64>, range: RangeInclusive<u64>, default: u16) -> Option<u16> {
        match field {
            Field::Absent => Some(default),
            field => self.given_number(field.given()?, range),
        }
    }

    fn given_number(&mut self, number: Placed<u64>, range: RangeInclusive<u64>) -> Option<u16> {
        let number = within(Field::Given(number), range, self.0)?;
        u16::try_from(number).ok()
    }

    fn length_or(&mut self, field: Field<Span>, default: Span) -> Option<u32> {
        match field {
            Field::Absent => Some(default.0),
            field => self.length(field.given()?),
        }
    }

    fn length(&mut self, length: Placed<Span>) -> Option<u32> {
        within(Field::Given(length), LENGTHS, self.0).map(|length| length.0)
    }
}
