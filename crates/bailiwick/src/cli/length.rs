//! Lengths of time and instants as arguments.

use std::time::Duration;

use jiff::Timestamp;

/// Reads a whole number with a unit: `20ms`, `30s`, `5m`, `12h`, `30d`.
pub(crate) fn length(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let wrong = || format!("{text:?} is not a length of time: write a whole number and one of ms, s, m, h, d");
    let (number, unit) = text.split_at_checked(digits).ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "ms" => return Ok(Duration::from_millis(number)),
        "s" => Some(number),
        "m" => number.checked_mul(60),
        "h" => number.checked_mul(3_600),
        "d" => number.checked_mul(86_400),
        _ => None,
    };
    seconds.map(Duration::from_secs).ok_or_else(wrong)
}

/// When something ends: after a length of time, or at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// So long from now.
    After(Duration),
    /// At this instant.
    At(Timestamp),
}

impl End {
    /// Reads a length of time, or an instant as RFC 3339 writes it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let instant = || text.parse().map(Self::At).ok();
        length(text).map(Self::After).ok().or_else(instant).ok_or_else(|| {
            format!("{text:?} is neither a length of time such as 30d nor an instant such as 2027-01-31T12:00:00Z")
        })
    }

    /// The instant, if it is still to come.
    pub(crate) fn from(self, now: Timestamp) -> Option<Timestamp> {
        let end = match self {
            Self::After(length) => now.checked_add(length).ok()?,
            Self::At(instant) => instant,
        };
        (end > now).then_some(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read() {
        for (text, millis) in [
            ("20ms", 20),
            ("0s", 0),
            ("30s", 30_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
        ] {
            assert_eq!(length(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(length("30d"), Ok(Duration::from_secs(2_592_000)));
        for bad in [
            "",
            "30",
            "d",
            "1.5h",
            "-1s",
            "30 d",
            "1w",
            "99999999999999999d",
            "99999999999999999999s",
            "٣s",
        ] {
            assert!(length(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ends_are_still_to_come() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        for (text, end) in [
            ("1d", Some("2026-11-23T12:00:00Z")),
            ("2026-11-22T14:00:00+01:00", Some("2026-11-22T13:00:00Z")),
            ("2026-11-22T12:00:00Z", None),
            ("0s", None),
            ("999999999d", None),
        ] {
            let found = End::parse(text).unwrap().from(now);
            assert_eq!(found, end.map(|end| end.parse().unwrap()), "{text}");
        }
        assert!(End::parse("tomorrow").is_err());
        assert!(End::parse("2026-11-22").is_err());
    }
}
