//! `[retention]`: how long entries are kept.

use std::{ops::RangeInclusive, time::Duration};

use control::Retention;
use entry::Class;
use schemars::JsonSchema;
use serde::Deserialize;

use super::limits::within;
use crate::{
    node::Field,
    problem::Findings,
    quantity::{DAY, Keep, keep_text},
};

/// How long entries of the audit log are kept. What is not named is kept for as long as the log.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Retention")]
pub(crate) struct RawRetention {
    /// What agents did and were refused, and what it cost.
    calls: Field<Keep>,
    /// What enforcement points asked and were answered.
    decisions: Field<Keep>,
    /// What administrators and files changed.
    administration: Field<Keep>,
    /// What the server says of itself: its starts, stops and heartbeats.
    server: Field<Keep>,
}

/// A second is for trying it out.
const KEPT: RangeInclusive<Keep> = Keep(Duration::from_secs(1))..=Keep(Duration::from_secs(36_500 * DAY));
/// What is let go sooner than that cannot be looked at after a weekend.
const SHORT: Duration = Duration::from_secs(7 * DAY);

impl RawRetention {
    /// What it says.
    pub(super) fn check(self, findings: &mut Findings, warnings: &mut Findings) -> Retention {
        let fields = [
            (Class::Calls, self.calls),
            (Class::Decisions, self.decisions),
            (Class::Administration, self.administration),
            (Class::Server, self.server),
        ];
        let mut retention = Retention::new();
        for (class, field) in fields {
            let mark = field.mark();
            let kept = within(field, KEPT, findings);
            if let (Some(Keep(kept)), Some(mark)) = (kept, mark) {
                if kept < SHORT {
                    warnings.add_with_help(
                        mark,
                        format!("entries about {} are let go after {}", class.as_str(), keep_text(kept)),
                        "what was let go cannot be brought back: is that long enough for whoever has to look at it?",
                    );
                }
                retention.insert(class, kept);
            }
        }
        retention
    }
}
