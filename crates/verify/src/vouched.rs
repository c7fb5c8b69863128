//! What a log says itself of its witnesses: when too few of them signed, and which have seen another history.

use entry::{Entry, Event};
use model::rfc3339;
use serde::Serialize;

/// How many of the times without witnesses are told. All are counted.
const MOST: usize = 20;

/// What a log says of its witnesses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Vouched {
    /// Who has seen another history than this one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forks: Vec<Fork>,
    /// How often too few witnesses signed in time.
    pub missed: u64,
    /// The first of these times.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unwitnessed: Vec<Unwitnessed>,
}

/// A witness that has seen another history than this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fork {
    /// The entry that says so.
    pub entry: u64,
    /// Its time.
    pub at: String,
    /// The witness's key.
    pub witness: String,
    /// The size of the checkpoint that it was shown.
    pub size: u64,
}

/// A time in which too few witnesses signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unwitnessed {
    /// The entry that says so.
    pub entry: u64,
    /// Its time.
    pub from: String,
    /// When enough signed again; absent if they have not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

impl Vouched {
    pub(crate) fn take(&mut self, entry: &Entry) {
        match &entry.event {
            Event::ForkReported { witness, size } => self.forks.push(Fork {
                entry: entry.index,
                at: rfc3339(entry.time),
                witness: witness.clone(),
                size: *size,
            }),
            Event::QuorumMissed { .. } => {
                self.missed += 1;
                if self.unwitnessed.len() < MOST {
                    self.unwitnessed.push(Unwitnessed {
                        entry: entry.index,
                        from: rfc3339(entry.time),
                        to: None,
                    });
                }
            }
            Event::QuorumMet { .. } => {
                if let Some(last) = self.unwitnessed.last_mut() {
                    last.to.get_or_insert_with(|| rfc3339(entry.time));
                }
            }
            _ => {}
        }
    }

    /// Adds what another log says.
    pub(crate) fn add(&mut self, other: Self) {
        self.forks.extend(other.forks);
        self.missed += other.missed;
        self.unwitnessed.extend(other.unwitnessed);
    }
}

impl Fork {
    /// What it says, for people.
    pub fn what(&self) -> String {
        let Self {
            entry,
            at,
            witness,
            size,
        } = self;
        format!("entry {entry} says that {witness} has seen another history, when it was shown {size} entries at {at}")
    }
}

impl Unwitnessed {
    /// What it says, for people.
    pub fn what(&self) -> String {
        let Self { entry, from, to } = self;
        match to {
            Some(to) => format!("entry {entry} says that too few witnesses signed, from {from} to {to}"),
            None => format!("entry {entry} says that too few witnesses signed, from {from} until now"),
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{TenantName, Timestamp};

    use super::*;

    #[test]
    fn what_the_log_says_is_told_with_its_times() {
        let mut vouched = Vouched::default();
        let mut index = 0;
        let mut take = |vouched: &mut Vouched, event| {
            vouched.take(&Entry {
                v: entry::VERSION,
                tenant: TenantName::default_tenant(),
                index,
                time: Timestamp::from_unix_micros(i64::try_from(index).unwrap() * 1_000_000),
                event,
            });
            index += 1;
        };
        let missed = || Event::QuorumMissed {
            size: 1,
            quorum: 1,
            absent: Vec::new(),
        };
        take(&mut vouched, missed());
        take(
            &mut vouched,
            Event::ForkReported {
                witness: "w".to_owned(),
                size: 1,
            },
        );
        assert_eq!(vouched.unwitnessed[0].to, None);
        take(&mut vouched, Event::QuorumMet { size: 2 });
        for _ in 0..MOST {
            take(&mut vouched, missed());
            take(&mut vouched, Event::QuorumMet { size: 3 });
        }
        assert_eq!((vouched.missed, vouched.unwitnessed.len()), (21, MOST));
        let (first, second) = (&vouched.unwitnessed[0], &vouched.unwitnessed[1]);
        assert_eq!(
            (first.entry, first.to.as_deref()),
            (0, Some("1970-01-01T00:00:02.000000Z"))
        );
        assert_eq!(
            (second.entry, second.to.as_deref()),
            (3, Some("1970-01-01T00:00:04.000000Z"))
        );
        assert_eq!((vouched.forks.len(), vouched.forks[0].entry), (1, 1));
    }
}
