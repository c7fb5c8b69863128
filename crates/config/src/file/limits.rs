//! `[limits]` and `[timeouts]`: the bounds of the data plane.

use std::{fmt, ops::RangeInclusive, time::Duration};

use control::Limits;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    node::{Field, Placed},
    problem::Findings,
    quantity::{Keep, Percent, Size, Span, Time, Times, keep_text, size_text, span_text, time_text},
};

/// How much.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Limits")]
pub(crate) struct RawLimits {
    /// The longest request body.
    #[schemars(extend("default" = "32MiB"))]
    request_size: Field<Size>,
    /// How much memory the request bodies of all calls in flight may take together; at least `request_size`.
    #[schemars(extend("default" = "512MiB"))]
    bodies_size: Field<Size>,
    /// The longest JSON reply that is held back so that its cost can be a header; longer ones pass as they come.
    #[schemars(extend("default" = "8MiB"))]
    reply_size: Field<Size>,
    /// How much of replies is kept in memory for calls that are sent again under the same `Idempotency-Key`.
    #[schemars(extend("default" = "64MiB"))]
    replay_size: Field<Size>,
    /// The output limit, in tokens, written into requests that give none and whose agent declares none.
    #[schemars(extend("default" = 4096, "minimum" = OUTPUT_LIMITS.start(), "maximum" = OUTPUT_LIMITS.end()))]
    output_limit: Field<u64>,
    /// The most calls in flight at once.
    #[schemars(extend("default" = 10000, "minimum" = IN_FLIGHT.start(), "maximum" = IN_FLIGHT.end()))]
    in_flight: Field<u64>,
}

/// How long.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Timeouts")]
pub(crate) struct RawTimeouts {
    /// How long a connection may take to send the head of a request, the wait for it included.
    #[schemars(extend("default" = "75s"))]
    head: Field<Time>,
    /// How long a caller may take to send its request's body.
    #[schemars(extend("default" = "30s"))]
    request: Field<Time>,
    /// How long connecting to an upstream may take.
    #[schemars(extend("default" = "10s"))]
    connect: Field<Time>,
    /// How long an upstream may take to its first byte.
    #[schemars(extend("default" = "5m"))]
    first_byte: Field<Time>,
    /// How long an upstream may pause in the middle of a reply.
    #[schemars(extend("default" = "2m"))]
    idle: Field<Time>,
    /// How long a call may take in all.
    #[schemars(extend("default" = "15m"))]
    total: Field<Time>,
    /// How long a shutdown waits for calls in flight.
    #[schemars(extend("default" = "30s"))]
    shutdown: Field<Time>,
}

/// Both sections.
pub(crate) struct RawBounds {
    pub(crate) limits: RawLimits,
    pub(crate) timeouts: RawTimeouts,
}

/// Bodies are held in memory: a larger one would be a way to exhaust it.
pub(super) const SIZES: RangeInclusive<Size> = Size(1 << 10)..=Size(1 << 30);
/// Beyond what a machine has there is no bound.
const BODIES_SIZES: RangeInclusive<Size> = Size(1 << 10)..=Size(1 << 40);
/// From "never held back".
const REPLY_SIZES: RangeInclusive<Size> = Size(0)..=Size(1 << 30);
/// Far above what any model produces.
pub(crate) const OUTPUT_LIMITS: RangeInclusive<u64> = 1..=10_000_000;
pub(super) const IN_FLIGHT: RangeInclusive<u64> = 1..=1_000_000;
/// A hold lives as long as its call may: one that lasts days would bind money for days after a crash.
pub(super) const TIMES: RangeInclusive<Time> = Time(Duration::from_millis(1))..=Time(Duration::from_secs(24 * 3_600));
/// From "does not wait".
const SHUTDOWN_TIMES: RangeInclusive<Time> = Time(Duration::ZERO)..=Time(Duration::from_secs(24 * 3_600));

impl TryFrom<RawBounds> for Limits {
    type Error = Findings;

    fn try_from(
        RawBounds {
            limits: raw,
            timeouts: times,
        }: RawBounds,
    ) -> Result<Self, Findings> {
        let default = Self::default();
        let mut findings = Findings::default();
        let bodies_mark = raw.bodies_size.mark();
        let mut bytes = |field: Field<Size>, range, default: usize| match within(field, range, &mut findings) {
            // What does not fit a `usize` does not fit the memory either.
            Some(size) => usize::try_from(size.0).unwrap_or(usize::MAX),
            None => default,
        };
        let request_bytes = bytes(raw.request_size, SIZES, default.request_bytes);
        // Whoever only allows longer requests has room for one.
        let bodies_bytes = bytes(raw.bodies_size, BODIES_SIZES, default.bodies_bytes.max(request_bytes));
        let reply_bytes = bytes(raw.reply_size, REPLY_SIZES, default.reply_bytes);
        let replay_bytes = bytes(raw.replay_size, REPLY_SIZES, default.replay_bytes);
        if let Some(mark) = bodies_mark.filter(|_| bodies_bytes < request_bytes) {
            findings.add_with_help(
                mark,
                "`bodies_size` is less than `request_size`: there would never be room for the longest request",
                "make it several times as much",
            );
        }
        let output_limit = within(raw.output_limit, OUTPUT_LIMITS, &mut findings).unwrap_or(default.output_limit);
        let in_flight = match within(raw.in_flight, IN_FLIGHT, &mut findings) {
            Some(calls) => usize::try_from(calls).unwrap_or(usize::MAX),
            None => default.in_flight,
        };
        let mut length = |field: Field<Time>, default: Duration| {
            within(field, TIMES, &mut findings).map_or(default, |length| length.0)
        };
        let limits = Self {
            request_bytes,
            bodies_bytes,
            reply_bytes,
            replay_bytes,
            output_limit,
            in_flight,
            head_timeout: length(times.head, default.head_timeout),
            request_timeout: length(times.request, default.request_timeout),
            connect_timeout: length(times.connect, default.connect_timeout),
            first_byte_timeout: length(times.first_byte, default.first_byte_timeout),
            idle_timeout: length(times.idle, default.idle_timeout),
            total_timeout: length(times.total, default.total_timeout),
            shutdown_timeout: within(times.shutdown, SHUTDOWN_TIMES, &mut findings)
                .map_or(default.shutdown_timeout, |length| length.0),
        };
        findings.conclude(Some(limits))
    }
}

/// The value, if it is there and within the range.
pub(crate) fn within<T: PartialOrd + Bound>(
    field: Field<T>,
    range: RangeInclusive<T>,
    findings: &mut Findings,
) -> Option<T> {
    let Placed { mark, value } = field.given()?;
    if range.contains(&value) {
        return Some(value);
    }
    let (least, most) = (range.start().shown(), range.end().shown());
    findings.add_with_help(
        mark,
        format!("{} is out of range", value.shown()),
        format!("from {least} to {most}"),
    );
    None
}

/// A value that has a range, as the files write it.
pub(crate) trait Bound {
    /// As the files write it.
    fn shown(&self) -> impl fmt::Display;
}

impl Bound for u64 {
    fn shown(&self) -> impl fmt::Display {
        self
    }
}

impl Bound for Keep {
    fn shown(&self) -> impl fmt::Display {
        keep_text(self.0)
    }
}

impl Bound for Size {
    fn shown(&self) -> impl fmt::Display {
        size_text(self.0)
    }
}

impl Bound for Percent {
    fn shown(&self) -> impl fmt::Display {
        self.0
    }
}

impl Bound for Span {
    fn shown(&self) -> impl fmt::Display {
        span_text(self.0)
    }
}

impl Bound for Times {
    fn shown(&self) -> impl fmt::Display {
        self
    }
}

impl Bound for Time {
    fn shown(&self) -> impl fmt::Display {
        time_text(self.0)
    }
}
