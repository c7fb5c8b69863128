//! When the server was there, as its log tells it: starts, stops, and silences that its heartbeats do not explain.

use std::{collections::BTreeMap, ops::Bound};

use entry::{Entry, Event};
use model::Timestamp;
use serde::Serialize;

use model::rfc3339;

/// Gaps shorter than this are not worth a thought, whatever the heartbeat.
const SHORT_US: i64 = 1_000_000;
/// How many gaps are remembered of one start, and how many silences are told. All are counted.
const MOST: usize = 20;

/// When the server was there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Presence {
    /// How often the server started, as far as this log says so.
    pub starts: u64,
    /// How many of these follow no stop: the server had died.
    pub after_a_crash: u64,
    /// How often the log has no entry for longer than the server's heartbeat, while it ran.
    pub silences: u64,
    /// Some of these: of each start the longest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub silent: Vec<Silence>,
    /// The longest time without an entry, in seconds, while it ran and no heartbeat said how long is too long.
    pub unheard_s: u64,
}

/// A time without entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Silence {
    /// The last entry before it.
    pub entry: u64,
    /// The time of that entry.
    pub from: String,
    /// The time of the next.
    pub to: String,
    /// How long that is, in seconds.
    pub seconds: u64,
    /// After how many seconds there should have been a heartbeat.
    pub every_s: u32,
}

/// What is known of the start that the log is in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    presence: Presence,
    last: Option<(u64, Timestamp)>,
    /// The server stopped of its own accord, and has not started since.
    stopped: bool,
    /// The longest interval that a heartbeat of this start named.
    every_s: Option<u32>,
    /// The longest gaps of this start: how long, behind which entry, from when to when.
    gaps: Vec<Gap>,
    /// How many gaps of this start have how many seconds. That so many differ takes a time that grows with their square.
    lengths: BTreeMap<u64, u64>,
}

#[derive(Clone, Debug)]
struct Gap {
    micros: i64,
    entry: u64,
    from: Timestamp,
    to: Timestamp,
}

impl Gap {
    fn seconds(&self) -> u64 {
        u64::try_from(self.micros / 1_000_000).unwrap_or(0)
    }
}

impl Watch {
    /// Takes the next entry.
    pub(crate) fn take(&mut self, entry: &Entry) {
        match &entry.event {
            Event::Started { .. } => {
                self.presence.starts += 1;
                let died = self.last.is_some() && !self.stopped && self.presence.starts > 1;
                self.presence.after_a_crash += u64::from(died);
                self.end();
            }
            Event::Restored { .. } => {}
            _ if self.stopped => {}
            _ => self.gap(entry),
        }
        match &entry.event {
            Event::Heartbeat { every_s, .. } => self.every_s = self.every_s.max(Some(*every_s)),
            Event::Started { heartbeat_s, .. } => self.every_s = *heartbeat_s,
            // What was lost with a newer copy may have said that it stopped.
            Event::Stopped { .. } | Event::Restored { .. } => self.end(),
            _ => {}
        }
        self.stopped = matches!(entry.event, Event::Stopped { .. } | Event::Restored { .. });
        self.last = Some((entry.index, entry.time));
    }

    /// The next entry was let go: when it was recorded is not known.
    pub(crate) fn gone(&mut self) {
        self.last = None;
    }

    /// Remembers the time since the entry before, if it is among the longest.
    fn gap(&mut self, entry: &Entry) {
        let Some((last, from)) = self.last else { return };
        let micros = entry.time.unix_micros().saturating_sub(from.unix_micros());
        if micros < SHORT_US {
            return;
        }
        let to = entry.time;
        let gap = Gap {
            micros,
            entry: last,
            from,
            to,
        };
        *self.lengths.entry(gap.seconds()).or_default() += 1;
        self.gaps.push(gap);
        if self.gaps.len() > MOST {
            self.gaps.sort_by_key(|gap| std::cmp::Reverse(gap.micros));
            self.gaps.truncate(MOST);
        }
    }

    /// The start is over, or the log: what is too long is known by now, if it ever is.
    fn end(&mut self) {
        let mut gaps = std::mem::take(&mut self.gaps);
        gaps.sort_by_key(|gap| gap.entry);
        let lengths = std::mem::take(&mut self.lengths);
        let presence = &mut self.presence;
        let Some(every_s) = self.every_s.take() else {
            let longest = gaps.iter().map(Gap::seconds).max().unwrap_or(0);
            presence.unheard_s = presence.unheard_s.max(longest);
            return;
        };
        // A heartbeat is written when its time has come, and that takes a moment.
        let allowed = u64::from(every_s) + u64::from(every_s / 10) + 5;
        let long = lengths.range((Bound::Excluded(allowed), Bound::Unbounded));
        presence.silences += long.map(|(_, count)| count).sum::<u64>();
        for gap in gaps.iter().filter(|gap| gap.seconds() > allowed) {
            if presence.silent.len() < MOST {
                presence.silent.push(Silence {
                    entry: gap.entry,
                    from: rfc3339(gap.from),
                    to: rfc3339(gap.to),
                    seconds: gap.seconds(),
                    every_s,
                });
            }
        }
    }

    /// What the log says so far.
    pub(crate) fn presence(&self) -> Presence {
        let mut watch = self.clone();
        watch.end();
        watch.presence
    }
}

#[cfg(test)]
mod tests {
    use model::TenantName;

    use super::*;

    /// What is said of a log of these events, each at a second.
    fn check(events: &[(i64, char)], expected: (u64, u64, u64), unheard_s: u64) {
        let mut watch = Watch::default();
        for ((second, what), index) in events.iter().zip(0..) {
            let (node, boot) = (String::new(), 1);
            if *what == '?' {
                watch.gone();
                continue;
            }
            let event = match what {
                '+' => Event::Started {
                    node,
                    boot,
                    version: String::new(),
                    heartbeat_s: None,
                },
                // It says at once how long is too long.
                '*' => Event::Started {
                    node,
                    boot,
                    version: String::new(),
                    heartbeat_s: Some(60),
                },
                '-' => Event::Stopped {
                    node,
                    boot,
                    why: String::new(),
                },
                'r' => Event::Restored {
                    checkpoint: String::new(),
                    note: String::new(),
                    by: model::AdminName::new("ada").unwrap(),
                },
                '.' => Event::Heartbeat { boot, every_s: 60 },
                _ => Event::QuorumMet { size: 0 },
            };
            watch.take(&Entry {
                v: entry::VERSION,
                tenant: TenantName::default_tenant(),
                index,
                time: Timestamp::from_unix_micros(second * 1_000_000),
                event,
            });
        }
        let found = watch.presence();
        assert_eq!(
            (found.starts, found.after_a_crash, found.silences),
            expected,
            "{events:?}: {found:?}"
        );
        assert_eq!(found.unheard_s, unheard_s, "{events:?}: {found:?}");
    }

    #[test]
    fn a_silence_is_longer_than_a_heartbeat_while_the_server_ran() {
        check(&[], (0, 0, 0), 0);
        check(&[(0, '+'), (60, '.'), (121, '.'), (130, '-')], (1, 0, 0), 0);
        // A silent hour, before or after the first heartbeat that says how long is too long.
        check(&[(0, '+'), (60, '.'), (3_660, 'x'), (3_670, '-')], (1, 0, 1), 0);
        check(&[(0, '+'), (3_600, 'x'), (3_660, '.'), (3_670, '-')], (1, 0, 1), 0);
        check(&[(0, 'x'), (60, '.'), (3_660, 'x')], (0, 0, 1), 0);
        // The server was not there.
        check(
            &[(0, '+'), (60, '.'), (70, '-'), (3_670, '+'), (3_730, '.')],
            (2, 0, 0),
            0,
        );
        // It died: how long it ran on, nobody knows.
        check(&[(0, '+'), (60, '.'), (3_660, '+'), (3_720, '.')], (2, 1, 0), 0);
        // Nobody says how long is too long: the other start has another configuration.
        check(&[(0, '+'), (60, '.'), (70, '-'), (80, '+'), (980, 'x')], (2, 0, 0), 900);
        check(&[(0, 'x'), (900, 'x')], (0, 0, 0), 900);
        // Somebody left out all heartbeats.
        check(&[(0, '*'), (3_600, 'x'), (3_610, '-')], (1, 0, 1), 0);
        // The start itself is as good as the first entry behind it.
        check(&[(0, '*'), (60, '.'), (120, '.'), (130, '-')], (1, 0, 0), 0);
        // A log may have been begun under another promise.
        check(&[(0, '*'), (10, '-'), (20, '+'), (3_620, 'x')], (2, 0, 0), 3_600);
        // An older copy was accepted: neither a crash nor a silence, for what is lost may tell.
        check(&[(0, '*'), (50, 'x'), (9_000, 'r'), (9_999, '+')], (2, 0, 0), 0);
        // What was let go may have been recorded at any time.
        check(
            &[(0, '+'), (60, '.'), (0, '?'), (3_660, 'x'), (3_720, '.')],
            (1, 0, 0),
            0,
        );
        // A busy log has no heartbeats and needs none.
        check(&[(0, '+'), (1, 'x'), (2, 'x'), (3, '-')], (1, 0, 0), 1);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_longest_stay() {
        let mut events = vec![(0, '+')];
        let mut now = 0;
        for number in 0..100 {
            now += if number == 50 { 5_000 } else { 61 + number % 4 };
            events.push((now, 'x'));
        }
        events.push((now + 60, '.'));
        check(&events, (1, 0, 1), 0);
        // All are counted, however many there are.
        let hours: Vec<(i64, char)> = (1..=70).map(|hour| (hour * 3_600 + hour % 3, 'x')).collect();
        check(&[&[(0, '*')], hours.as_slice()].concat(), (1, 0, 70), 0);
        check(
            &[&[(0, '+')], hours.as_slice(), &[(70 * 3_600 + 61, '.')]].concat(),
            (1, 0, 70),
            0,
        );
    }
}
