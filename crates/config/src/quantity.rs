//! Values that are written as text with a unit: sizes, lengths of time, addresses, amounts of money.

mod count;

use std::{borrow::Cow, net::SocketAddr, time::Duration};

use model::{MoneyError, NanoUsd};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

pub(crate) use count::{Count, Counted, Percent, Times};

use crate::{node::parse_text, suggest::shown};

/// Seconds of a day.
pub(crate) const DAY: u64 = 86_400;

/// A type whose values are texts that match a pattern.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident($inner:ty), $expecting:literal, $pattern:literal, $parse:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) struct $name(pub(crate) $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                parse_text(deserializer, $expecting, $parse).map(Self)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

text_type! {
    /// A number of bytes.
    Size(u64), "a size such as \"32MiB\"", "^[0-9]+(B|KiB|MiB|GiB)$", size
}
text_type! {
    /// A length of time.
    Time(Duration), "a length of time such as \"30s\" or \"5m\"", "^[0-9]+(ms|s|m|h)$", time
}
text_type! {
    /// An address and a port to listen on; port 0 lets the system choose one.
    Address(SocketAddr), "an address and port such as \"127.0.0.1:7400\"", "^.+:[0-9]+$", address
}
text_type! {
    /// A length of time in whole seconds, as manifests write it.
    Span(u32), "a length of time such as `10 minutes`", "^[0-9]+ ?(s|seconds?|m|minutes?|h|hours?|days?)$", span
}
text_type! {
    /// How long something is kept.
    Keep(Duration), "a length of time such as \"90d\"", "^[0-9]+(s|m|h|d)$", keep
}
text_type! {
    /// An amount of money.
    Amount(NanoUsd), "an amount such as `5 USD`", "^[0-9]+(\\.[0-9]{1,9})? ?USD$", amount
}

/// A whole number and its unit.
fn split(text: &str) -> (Option<u64>, &str) {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = text.strip_suffix(unit).unwrap_or_default();
    (digits.parse().ok(), unit.trim_start())
}

fn size(text: &str) -> Result<u64, String> {
    let bytes = match split(text) {
        (Some(number), unit) => match unit {
            "B" => Some(number),
            "KiB" => number.checked_mul(1 << 10),
            "MiB" => number.checked_mul(1 << 20),
            "GiB" => number.checked_mul(1 << 30),
            _ => None,
        },
        (None, _) => None,
    };
    let help = "write a whole number and one of B, KiB, MiB, GiB, such as \"32MiB\"";
    bytes.ok_or_else(|| format!("`{}` is not a size\n{help}", shown(text)))
}

fn time(text: &str) -> Result<Duration, String> {
    let length = match split(text) {
        (Some(number), unit) => match unit {
            "ms" => Some(Duration::from_millis(number)),
            "s" => Some(Duration::from_secs(number)),
            "m" => number.checked_mul(60).map(Duration::from_secs),
            "h" => number.checked_mul(3_600).map(Duration::from_secs),
            _ => None,
        },
        (None, _) => None,
    };
    let help = "write a whole number and one of ms, s, m, h, such as \"30s\"";
    length.ok_or_else(|| format!("`{}` is not a length of time\n{help}", shown(text)))
}

fn keep(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let length = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3_600),
        "d" => Some(DAY),
        _ => None,
    };
    let seconds = number
        .zip(length)
        .and_then(|(number, length)| number.checked_mul(length));
    let help = "write a whole number and one of s, m, h, d, such as \"90d\"";
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| format!("`{}` is not a length of time\n{help}", shown(text)))
}

/// The shortest text that reads as the same time to keep something.
pub(crate) fn keep_text(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds > 0 && seconds.is_multiple_of(DAY) {
        true => format!("{}d", seconds / DAY),
        false => time_text(length),
    }
}

fn span(text: &str) -> Result<u32, String> {
    let (number, unit) = split(text);
    let length = match unit {
        "s" | "second" | "seconds" => Some(1),
        "m" | "minute" | "minutes" => Some(60),
        "h" | "hour" | "hours" => Some(3_600),
        "day" | "days" => Some(86_400),
        _ => None,
    };
    let seconds = number.zip(length).and_then(|(number, length): (u64, u64)| {
        let seconds = number.checked_mul(length)?;
        u32::try_from(seconds).ok()
    });
    let help = "write a whole number and one of seconds, minutes, hours, such as `10 minutes`";
    seconds.ok_or_else(|| format!("`{}` is not a length of time\n{help}", shown(text)))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let help = "write a numeric address and a port, such as \"127.0.0.1:7400\" or \"[::1]:7400\"";
    text.parse()
        .map_err(|_| format!("`{}` is not an address and port\n{help}", shown(text)))
}

pub(crate) fn amount(text: &str) -> Result<NanoUsd, String> {
    let shown = shown(text);
    text.parse().map_err(|error| match error {
        MoneyError::Form(_) => format!("`{shown}` is not an amount\nwrite US dollars, such as `5 USD` or `0.25 USD`"),
        MoneyError::TooFine(_) => format!("`{shown}` has more than 9 digits after the point"),
        MoneyError::TooLarge(_) => format!("`{shown}` is too large"),
    })
}

/// The shortest text that reads as the same length of time.
pub(crate) fn time_text(length: Duration) -> String {
    let millis = length.as_millis();
    match (millis % 1_000, millis / 1_000) {
        (0, seconds) if seconds > 0 && seconds % 3_600 == 0 => format!("{}h", seconds / 3_600),
        (0, seconds) if seconds > 0 && seconds % 60 == 0 => format!("{}m", seconds / 60),
        (0, seconds) => format!("{seconds}s"),
        _ => format!("{millis}ms"),
    }
}

/// A text that reads as the same length of time, in the greatest unit that goes.
pub(crate) fn span_text(seconds: u32) -> String {
    let (number, unit) = match seconds {
        0 => (0, "second"),
        seconds if seconds % 86_400 == 0 => (seconds / 86_400, "day"),
        seconds if seconds % 3_600 == 0 => (seconds / 3_600, "hour"),
        seconds if seconds % 60 == 0 => (seconds / 60, "minute"),
        seconds => (seconds, "second"),
    };
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{s}")
}

/// The shortest text that reads as the same number of bytes.
pub(crate) fn size_text(bytes: u64) -> String {
    match (bytes.trailing_zeros(), bytes) {
        (_, 0) => "0B".to_owned(),
        (30.., _) => format!("{}GiB", bytes >> 30),
        (20.., _) => format!("{}MiB", bytes >> 20),
        (10.., _) => format!("{}KiB", bytes >> 10),
        _ => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_and_times_are_read() {
        for (text, bytes) in [("0B", 0), ("12 KiB", 12 << 10), ("32MiB", 32 << 20), ("1GiB", 1 << 30)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for bad in [
            "",
            "32",
            "MiB",
            "32MB",
            "32 mib",
            "1.5MiB",
            "-1B",
            "99999999999GiB",
            "٣B",
        ] {
            assert!(size(bad).is_err(), "{bad}");
        }
        for (text, millis) in [("250ms", 250), ("30s", 30_000), ("5 m", 300_000), ("24h", 86_400_000)] {
            assert_eq!(time(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "30", "s", "5min", "1.5s", "-1s", "1h30m", "9999999999999999999h"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_to_keep_are_read() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("12h", 43_200), ("90d", 90 * DAY)] {
            assert_eq!(keep(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in [
            "",
            "90",
            "d",
            "90 days",
            "1.5d",
            "-1d",
            "1w",
            "2y",
            "9999999999999999999d",
            "99999999999999999999d",
        ] {
            assert!(keep(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_are_read() {
        for (text, seconds) in [
            ("30s", 30),
            ("1 second", 1),
            ("10 minutes", 600),
            ("5m", 300),
            ("1 hour", 3_600),
            ("2h", 7_200),
            ("1 day", 86_400),
        ] {
            assert_eq!(span(text), Ok(seconds), "{text}");
        }
        for bad in [
            "",
            "30",
            "minute",
            "10 minuten",
            "1.5 hours",
            "-1s",
            "10  Minutes",
            "9999999999 hours",
            "٣s",
        ] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn shown_quantities_read_back(bytes: u64, millis in 0..10_000_000_000_u64, seconds: u32) {
            prop_assert_eq!(span(&span_text(seconds)), Ok(seconds));
            prop_assert_eq!(size(&size_text(bytes)), Ok(bytes));
            let length = Duration::from_millis(millis);
            prop_assert_eq!(time(&time_text(length)), Ok(length));
            let length = Duration::from_secs(seconds.into());
            prop_assert_eq!(keep(&keep_text(length)), Ok(length));
        }
    }
}
