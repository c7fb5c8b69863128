//! Times as people write them, in a time zone.

use control::AdminError;
use jiff::{
    RoundMode, Span, Timestamp, ToSpan as _, Unit, Zoned, ZonedRound,
    civil::{Date, DateTime, Weekday},
    tz::TimeZone,
};
use model::nearest;

/// What a time can be, for messages.
const FORMS: &str = "write a date such as 2026-11-01, a month such as 2026-11, a time such as 2026-11-01T14:30 or \
                     2026-11-01T14:30:00Z, a length of time before now such as 90m, 12h, 7d or 4w, or one of now, today, \
                     yesterday, week, month, year";

/// A time zone of the IANA database.
pub(crate) fn zone(name: &str) -> Result<TimeZone, AdminError> {
    TimeZone::get(name).map_err(|_| {
        let known: Vec<String> = jiff::tz::db().available().map(|zone| zone.to_string()).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let near = nearest(name, &known).map_or_else(
            || "use a name of the IANA database such as `Europe/Berlin` or `UTC`".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        AdminError::Invalid(format!("there is no time zone {name:?}: {near}"))
    })
}

/// The instant that a text names at `now`, in its zone. Words and dates name their first instant.
pub(crate) fn instant(what: &str, text: &str, now: &Zoned) -> Result<model::Timestamp, AdminError> {
    let found = absolute(text, now.time_zone()).or_else(|| relative(text, now));
    let found = found.ok_or_else(|| AdminError::Invalid(format!("{what}: {text:?} is no time: {FORMS}")))?;
    Ok(model::Timestamp::from_unix_micros(found.as_microsecond()))
}

/// An instant, or a date or clock time of the zone. Of a clock time that comes twice, the first is meant; of one that the
/// zone skips, the one as long after the change as it seems.
fn absolute(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant);
    }
    // A month is the first of it. Dates are written whole: what else jiff reads (`20261101`) may be a slip.
    let is_long = text.len() >= "2026-11-01".len() && text.as_bytes().get(4) == Some(&b'-');
    let date = match text.len() {
        7 => format!("{text}-01")
            .parse::<Date>()
            .ok()?
            .to_datetime(jiff::civil::Time::midnight()),
        _ if is_long => text.parse::<DateTime>().ok()?,
        _ => return None,
    };
    let midnight = date.time() == jiff::civil::Time::midnight();
    let at = zone.to_ambiguous_zoned(date).compatible().ok()?;
    // Some zones change their clocks at midnight: then the day begins with what comes next.
    let at = if midnight { at.start_of_day().ok()? } else { at };
    Some(at.timestamp())
}

/// A word, or a length of time before now.
fn relative(text: &str, now: &Zoned) -> Option<Timestamp> {
    let today = now.start_of_day().ok()?;
    let first = |date: Date| {
        today
            .time_zone()
            .to_ambiguous_zoned(date.into())
            .compatible()
            .ok()?
            .start_of_day()
            .ok()
    };
    let date = today.date();
    let found = match text {
        "now" => minute(now)?,
        "today" => today,
        "yesterday" => first(date.yesterday().ok()?)?,
        "week" => {
            let since_monday = i32::from(date.weekday().since(Weekday::Monday));
            first(date.checked_sub(since_monday.days()).ok()?)?
        }
        "month" => first(date.first_of_month())?,
        "year" => first(date.first_of_year())?,
        _ => minute(&now.checked_sub(length(text)?).ok()?)?,
    };
    Some(found.timestamp())
}

fn minute(at: &Zoned) -> Option<Zoned> {
    at.round(ZonedRound::new().smallest(Unit::Minute).mode(RoundMode::Trunc))
        .ok()
}

/// `90m`, `12h`, `7d`, `4w`, and the same behind a minus sign. Days and weeks are those of the calendar: the same clock time, so many days before.
fn length(text: &str) -> Option<Span> {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: i64 = number
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| number.parse().ok())??;
    match unit {
        "m" => Span::new().try_minutes(number).ok(),
        "h" => Span::new().try_hours(number).ok(),
        "d" => Span::new().try_days(number).ok(),
        "w" => Span::new().try_weeks(number).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_their_zone() {
        let now: Timestamp = "2026-11-23T12:34:56.789Z".parse().unwrap();
        for (text, zone_name, expected) in [
            ("2026-11-01", "UTC", Some("2026-11-01T00:00:00Z")),
            ("2026-11-01", "Europe/Berlin", Some("2026-10-31T23:00:00Z")),
            ("2026-07-01", "Europe/Berlin", Some("2026-06-30T22:00:00Z")),
            ("2026-11", "Asia/Kolkata", Some("2026-10-31T18:30:00Z")),
            ("2026-11-01T14:30", "Europe/Berlin", Some("2026-11-01T13:30:00Z")),
            ("2026-11-01 14:30", "Europe/Berlin", Some("2026-11-01T13:30:00Z")),
            ("2026-11-01T14:30:00Z", "Europe/Berlin", Some("2026-11-01T14:30:00Z")),
            ("2026-11-01T14:30+05:30", "UTC", Some("2026-11-01T09:00:00Z")),
            // Berlin's clocks skip 02:30 on 29 March and show it twice on 25 October.
            ("2026-03-29T02:30", "Europe/Berlin", Some("2026-03-29T01:30:00Z")),
            ("2026-10-25T02:30", "Europe/Berlin", Some("2026-10-25T00:30:00Z")),
            // Midnight does not exist in Beirut on the day on which summer time begins.
            ("2026-03-29", "Asia/Beirut", Some("2026-03-28T22:00:00Z")),
            ("now", "UTC", Some("2026-11-23T12:34:00Z")),
            ("today", "UTC", Some("2026-11-23T00:00:00Z")),
            ("today", "Pacific/Auckland", Some("2026-11-23T11:00:00Z")),
            ("yesterday", "Europe/Berlin", Some("2026-11-21T23:00:00Z")),
            ("week", "UTC", Some("2026-11-23T00:00:00Z")),
            ("week", "Pacific/Auckland", Some("2026-11-22T11:00:00Z")),
            ("month", "Europe/Berlin", Some("2026-10-31T23:00:00Z")),
            ("year", "UTC", Some("2026-01-01T00:00:00Z")),
            ("90m", "UTC", Some("2026-11-23T11:04:00Z")),
            ("12h", "UTC", Some("2026-11-23T00:34:00Z")),
            ("7d", "UTC", Some("2026-11-16T12:34:00Z")),
            // Across the end of summer time.
            ("30d", "Europe/Berlin", Some("2026-10-24T11:34:00Z")),
            ("4w", "UTC", Some("2026-10-26T12:34:00Z")),
            ("", "UTC", None),
            ("d", "UTC", None),
            ("-7d", "UTC", Some("2026-11-16T12:34:00Z")),
            ("--7d", "UTC", None),
            ("7", "UTC", None),
            ("7y", "UTC", None),
            ("7ä", "UTC", None),
            ("99999999999999999999d", "UTC", None),
            ("9999999999d", "UTC", None),
            ("20261101", "UTC", None),
            ("2026-11-31", "UTC", None),
            ("2026-13", "UTC", None),
            ("11/01/2026", "UTC", None),
            ("Today", "UTC", None),
        ] {
            let now = now.to_zoned(zone(zone_name).unwrap());
            let found = instant("since", text, &now).ok();
            let expected = expected.map(|at| at.parse::<Timestamp>().unwrap().as_microsecond());
            assert_eq!(
                found.map(model::Timestamp::unix_micros),
                expected,
                "{text} in {zone_name}"
            );
        }
    }

    #[test]
    fn zones_are_named_as_the_database_does() {
        for (name, told) in [
            ("Europe/Berlni", "did you mean `Europe/Berlin`?"),
            ("", "use a name of the IANA database"),
            ("+01:00", "use a name of the IANA database"),
        ] {
            let error = zone(name).unwrap_err().to_string();
            assert!(error.contains(told), "{name}: {error}");
        }
    }
}
