//! A budget as administrators write it: the fields that files have, with text for amounts and labels.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{AtLimit, BudgetSpec, Label, MAX_VALUES, THRESHOLDS, Unit, Window};
use model::BudgetName;
use serde::{Deserialize, Serialize};

use super::{edit::is_value, text::counted};
use crate::privacy::written;

/// The longest value of a label, in characters.
pub(super) const VALUE_MAX: usize = 256;
/// The most thresholds.
const THRESHOLDS_MAX: usize = 16;
/// How long a request waits for an administrator if that is not said, and at most, in seconds.
const WAIT_S: u32 = 5 * 60;
const WAIT_MAX_S: u32 = 60 * 60;

/// Why no budget is of a tool.
pub(super) const NO_TOOLS: &str =
    "budgets do not tell tools apart: a request offers several, and costs what it costs for all";

/// What a budget is to say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetForm {
    /// How much may be used in one window, with the unit: `500 USD`, `2M tokens`, `300k input tokens`, `5000 calls`.
    pub limit: String,
    /// How long a window is: `minute`, `hour`, `day`, `week`, `month`, `year` or `total`.
    pub per: String,
    /// `calendar` (if absent) or `rolling`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// The calendar's time zone, by its name in the IANA database; `UTC` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Which requests must fit into it, by label; all of the tenant's if absent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub select: BTreeMap<String, Values>,
    /// A pot for each value of these labels, each with the whole limit.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    pub each: Values,
    /// What shares of the limit, in hundredths, leave an entry when they are booked; 50, 80 and 95 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<Vec<u8>>,
    /// What happens at the limit: the request is refused if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_limit: Option<AtLimitForm>,
}

/// What happens at the limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AtLimitForm {
    /// `deny`, or `ask`: the request waits for an administrator for five minutes.
    Word(String),
    /// It waits as long as is said.
    Ask {
        /// A length of time such as `10 minutes`, at most an hour.
        ask: String,
    },
}

/// One text, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Values {
    /// One.
    One(String),
    /// Any number.
    Many(Vec<String>),
}

impl Default for Values {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Values {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

impl BudgetForm {
    /// The budget, or the first thing that is wrong with it. A user that it selects is as written.
    pub(super) fn read(&self, name: BudgetName) -> Result<BudgetSpec, String> {
        let (unit, limit) = counted(&self.limit).map_err(|error| format!("`limit`: {error}"))?;
        let window = self.window()?;
        let select = self.select.iter().map(|(name, values)| selected(name, values));
        let select: BTreeMap<Label, Vec<String>> = select.collect::<Result<_, _>>()?;
        let each = self.each.as_slice().iter().map(|name| label(name));
        let each: BTreeSet<Label> = each.collect::<Result<_, _>>()?;
        check_each(&window, &each)?;
        Ok(BudgetSpec {
            name,
            limit,
            window,
            unit,
            select: Some(select.into_iter().collect()),
            each: each.into_iter().collect(),
            thresholds: self.thresholds()?,
            at_limit: self.at_limit()?,
        })
    }

    fn window(&self) -> Result<Window, String> {
        const UNITS: [Unit; 6] = [Unit::Minute, Unit::Hour, Unit::Day, Unit::Week, Unit::Month, Unit::Year];
        let unit = UNITS.into_iter().find(|unit| unit.as_str() == self.per);
        let rolling = match self.window.as_deref() {
            None | Some("calendar") => false,
            Some("rolling") => true,
            Some(other) => return Err(format!("`window` is calendar or rolling, not {other:?}")),
        };
        let plain = |window: Window, what: &str| match (&self.time_zone, &window) {
            (Some(_), _) => Err(format!("{what} knows no calendar: leave `time_zone` out")),
            (None, Window::Total) if self.window.is_some() => {
                Err(format!("{what} never starts again: leave `window` out"))
            }
            (None, _) => Ok(window),
        };
        let window = match unit {
            Some(unit) if rolling => return plain(Window::Rolling { unit }, "a rolling window"),
            None if self.per == "total" => return plain(Window::Total, "a budget `per: total`"),
            None => {
                let per = &self.per;
                return Err(format!(
                    "`per` is minute, hour, day, week, month, year or total, not {per:?}"
                ));
            }
            Some(unit) => Window::Calendar {
                unit,
                zone: self.time_zone.clone().unwrap_or_else(|| "UTC".to_owned()),
            },
        };
        window.check().map_err(|error| format!("`time_zone`: {error}"))?;
        Ok(window)
    }

    fn thresholds(&self) -> Result<Vec<u8>, String> {
        let Some(thresholds) = &self.thresholds else {
            return Ok(THRESHOLDS.to_vec());
        };
        let rising = check_thresholds(thresholds)?;
        Ok(rising.into_iter().collect())
    }

    fn at_limit(&self) -> Result<AtLimit, String> {
        let form = || "`at_limit` is \"deny\", \"ask\" or {\"ask\": \"10 minutes\"}, at most an hour".to_owned();
        let wait_s = match &self.at_limit {
            None => return Ok(AtLimit::Deny),
            Some(AtLimitForm::Word(word)) => match word.as_str() {
                "deny" => return Ok(AtLimit::Deny),
                "ask" => WAIT_S,
                _ => return Err(form()),
            },
            Some(AtLimitForm::Ask { ask }) => seconds(ask).ok_or_else(form)?,
        };
        if may_wait(wait_s) {
            Ok(AtLimit::Ask { wait_s })
        } else {
            Err(form())
        }
    }
}

/// Whether a request may wait for so many seconds.
pub(super) fn may_wait(wait_s: u32) -> bool {
    (1..=WAIT_MAX_S).contains(&wait_s)
}

/// The thresholds in their order.
pub(super) fn check_thresholds(thresholds: &[u8]) -> Result<BTreeSet<u8>, String> {
    let rising: BTreeSet<u8> = thresholds.iter().copied().collect();
    let in_range = rising.iter().all(|percent| (1..=100).contains(percent));
    if !in_range || rising.len() != thresholds.len() || rising.len() > THRESHOLDS_MAX {
        return Err(format!(
            "`thresholds` are at most {THRESHOLDS_MAX} different shares of the limit in percent, from 1 to 100"
        ));
    }
    Ok(rising)
}

/// Whether a budget of this window may keep pots for the values of these labels.
pub(super) fn check_each(window: &Window, each: &BTreeSet<Label>) -> Result<(), String> {
    let piling = [Label::Run, Label::Task].into_iter().find(|label| each.contains(label));
    match (window, piling) {
        (Window::Total, Some(label)) => Err(format!(
            "a budget `per: total` cannot keep a pot for each {label}: new ones come all the time, so choose another `per`"
        )),
        _ => Ok(()),
    }
}

/// `30s`, `10 minutes`, `1 hour`.
fn seconds(text: &str) -> Option<u32> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
    let seconds = match unit.trim_start() {
        "s" | "second" | "seconds" => 1,
        "m" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3_600,
        _ => return None,
    };
    number.checked_mul(seconds)
}

/// A label that a request has at most one value of.
fn label(name: &str) -> Result<Label, String> {
    let known = Label::ALL.into_iter().filter(|label| *label != Label::Tool);
    if let Some(label) = known.clone().find(|label| label.as_str() == name) {
        return Ok(label);
    }
    if name == Label::Tool.as_str() {
        return Err(NO_TOOLS.to_owned());
    }
    let names: Vec<&str> = known.map(Label::as_str).collect();
    Err(match model::nearest(name, &names) {
        Some(nearest) => format!("there is no label {name:?}; did you mean {nearest:?}?"),
        None => format!("there is no label {name:?}; there are {}", names.join(", ")),
    })
}

fn selected(name: &str, values: &Values) -> Result<(Label, Vec<String>), String> {
    let label = label(name)?;
    let written = values.as_slice();
    let values: BTreeSet<String> = written.iter().map(|value| value.trim().to_owned()).collect();
    check_values(label, &values, written.len())?;
    Ok((label, values.into_iter().collect()))
}

/// Whether a budget may select by these values of a label, of which so many were written.
pub(super) fn check_values(label: Label, values: &BTreeSet<String>, count: usize) -> Result<(), String> {
    if values.is_empty() || values.len() != count || values.len() > MAX_VALUES {
        return Err(format!(
            "`select`: {label} has 1 to {MAX_VALUES} different values; leave it out to select all"
        ));
    }
    for value in values {
        if !is_value(value) {
            return Err(format!(
                "`select`: a value of {label} has 1 to {VALUE_MAX} characters and no control characters"
            ));
        }
        if label == Label::User
            && let Some(Err(error)) = written(value)
        {
            return Err(format!("`select`: {error}"));
        }
        if label == Label::User && value.contains('*') {
            return Err(
                "`select`: the log knows users by pseudonyms, which have no beginning in common: name each, or keep \
                        a pot for each (`each`)"
                    .to_owned(),
            );
        }
        if value.strip_suffix('*').unwrap_or(value).contains('*') {
            return Err(format!("`select`: `*` can only stand at the end of a value of {label}"));
        }
    }
    Ok(())
}
