//! `per`, `window` and `time_zone`.

use ledger::{Unit, Window, WindowError};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{node::Placed, problem::Findings, suggest::shown};

pub(super) const PER_HELP: &str = "`per` is minute, hour, day, week, month, year or total";

/// How long a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum Per {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
    /// One window that never ends.
    Total,
}

impl Per {
    fn unit(self) -> Option<Unit> {
        match self {
            Self::Minute => Some(Unit::Minute),
            Self::Hour => Some(Unit::Hour),
            Self::Day => Some(Unit::Day),
            Self::Week => Some(Unit::Week),
            Self::Month => Some(Unit::Month),
            Self::Year => Some(Unit::Year),
            Self::Total => None,
        }
    }
}

/// How windows follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum Kind {
    /// From one boundary of the calendar to the next.
    #[default]
    Calendar,
    /// The time just passed.
    Rolling,
}

/// The three keys as they were given.
pub(super) struct RawWindow {
    pub(super) per: Option<Placed<Per>>,
    pub(super) kind: Option<Placed<Kind>>,
    pub(super) zone: Option<Placed<String>>,
}

/// The window they make; `None` without a length.
pub(super) fn window(RawWindow { per, kind, zone }: RawWindow, findings: &mut Findings) -> Option<Window> {
    let unit = per.as_ref().and_then(|per| per.value.unit());
    let rolling = kind.as_ref().is_some_and(|kind| kind.value == Kind::Rolling);
    let never_resets = per.is_some() && unit.is_none();
    if let (Some(kind), true) = (&kind, never_resets) {
        let message = "a budget `per: total` has no `window`";
        findings.add_with_help(kind.mark, message, "it never starts again: leave `window` out");
    }
    if let (Some(zone), true) = (&zone, never_resets || rolling) {
        let what = if never_resets {
            "a budget `per: total`"
        } else {
            "a rolling window"
        };
        let message = format!("{what} has no `time_zone`");
        findings.add_with_help(zone.mark, message, "it knows no calendar: leave `time_zone` out");
    }
    let window = match (unit, rolling) {
        (None, _) => Window::Total,
        (Some(unit), true) => Window::Rolling { unit },
        (Some(unit), false) => Window::Calendar {
            unit,
            zone: zone
                .as_ref()
                .map_or_else(|| "UTC".to_owned(), |zone| zone.value.clone()),
        },
    };
    if let (Some(zone), Err(error)) = (&zone, window.check()) {
        let help = "use a name of the IANA database, such as Europe/Berlin or UTC";
        let message = match error {
            WindowError::Zone(zone) => format!("unknown time zone `{}`", shown(&zone)),
            WindowError::Range(_) => error.to_string(),
        };
        findings.add_with_help(zone.mark, message, help);
    }
    per.map(|_| window)
}
