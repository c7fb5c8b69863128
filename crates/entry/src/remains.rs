//! What is still there of a log's entries, compared with what the log says it let go.

use std::collections::BTreeMap;

use crate::{Class, Event, Evidence};

/// How many entries a word has bits for.
const WORD: u64 = 64;

/// Counts the entries of a log that are there and those that are gone, in any order. It has one bit for each entry and class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    gone: u64,
    last_gone: Option<u64>,
    /// Which entries of each class are there, a bit for each from the least on: up to where they were let go is only known
    /// at the end of the log.
    there: BTreeMap<Class, Vec<u64>>,
}

/// Why entries cannot be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GoneError {
    /// No entry says that entries of this place were let go.
    #[error("entry {0} is gone, and no entry says that it was let go")]
    NotLetGo(u64),
    /// Others are gone than were let go.
    #[error(
        "{gone} entries are gone and {left} are still there that were let go, and the log says that {said} were: others \
         vanished among them"
    )]
    Count {
        /// How many are gone.
        gone: u64,
        /// How many are there that were let go.
        left: u64,
        /// How many the log says were let go.
        said: u64,
    },
}

impl Remains {
    /// The entry of this place is gone.
    pub fn gone(&mut self, index: u64) {
        self.gone += 1;
        self.last_gone = self.last_gone.max(Some(index));
    }

    /// The entry of this place is there.
    pub fn kept(&mut self, event: &Event, index: u64) {
        let (Some(class), Ok(place)) = (event.class(), usize::try_from(index / WORD)) else {
            return;
        };
        let words = self.there.entry(class).or_default();
        if words.len() <= place {
            words.resize(place + 1, 0);
        }
        if let Some(word) = words.get_mut(place) {
            *word |= 1 << (index % WORD);
        }
    }

    /// How many are gone.
    pub fn count(&self) -> u64 {
        self.gone
    }

    /// Compares with what the log says at its end. Gives the first entry that was let go and is there all the same: whoever
    /// lets entries go does so one after the other, and a copy that was made earlier has them.
    ///
    /// # Errors
    /// Something is gone that was not let go.
    pub fn check(&self, said: &Evidence) -> Result<Option<u64>, GoneError> {
        if let Some(last) = self.last_gone.filter(|last| *last >= said.gone_below()) {
            return Err(GoneError::NotLetGo(last));
        }
        let (left, first) = self.left(said);
        match self.gone.checked_add(left) == Some(said.gone) {
            true => Ok(first),
            false => Err(GoneError::Count {
                gone: self.gone,
                left,
                said: said.gone,
            }),
        }
    }

    /// How many entries that were let go are there all the same, and the first of them.
    fn left(&self, said: &Evidence) -> (u64, Option<u64>) {
        let (mut left, mut first) = (0, None);
        for (class, before) in &said.expired {
            let words = self.there.get(class).into_iter().flatten();
            for (word, start) in words.zip((0_u64..*before).step_by(64)) {
                let mask = match before - start {
                    few @ 0..WORD => (1 << few) - 1,
                    _ => u64::MAX,
                };
                let word = word & mask;
                left += u64::from(word.count_ones());
                let lowest = (word != 0).then(|| start + u64::from(word.trailing_zeros()));
                first = first.into_iter().chain(lowest).min();
            }
        }
        (left, first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::evidence_events;

    /// A log of ten entries, of which those before 6 of two classes were let go: every second one.
    fn check(gone: &[u64], class: Class, expected: Result<Option<u64>, GoneError>) {
        let said = Evidence {
            expired: BTreeMap::from([(class, 6)]),
            gone: 3,
            ..Evidence::default()
        };
        let events = evidence_events();
        let of = |class| events.iter().find(|event| event.class() == class);
        let (mine, other) = (of(Some(Class::Server)).unwrap(), of(None).unwrap());
        let mut remains = Remains::default();
        for index in 0..10 {
            match gone.contains(&index) {
                true => remains.gone(index),
                false => remains.kept(if index % 2 == 0 { mine } else { other }, index),
            }
        }
        assert_eq!(remains.check(&said), expected, "{gone:?} {class:?}");
    }

    #[test]
    fn nothing_vanishes_among_what_was_let_go() {
        let server = Class::Server;
        check(&[0, 2, 4], server, Ok(None));
        check(&[0, 2], server, Ok(Some(4)));
        check(&[], server, Ok(Some(0)));
        check(
            &[0, 2, 4, 5],
            server,
            Err(GoneError::Count {
                gone: 4,
                left: 0,
                said: 3,
            }),
        );
        // One vanished instead of another, which is there.
        check(
            &[0, 1, 2],
            server,
            Err(GoneError::Count {
                gone: 3,
                left: 1,
                said: 3,
            }),
        );
        // The same while entries are still to go: one of those that stay vanished with some of them, or instead of any.
        check(
            &[0, 1],
            server,
            Err(GoneError::Count {
                gone: 2,
                left: 2,
                said: 3,
            }),
        );
        check(
            &[1],
            server,
            Err(GoneError::Count {
                gone: 1,
                left: 3,
                said: 3,
            }),
        );
        check(
            &[3, 4],
            server,
            Err(GoneError::Count {
                gone: 2,
                left: 2,
                said: 3,
            }),
        );
        check(&[0, 2, 4, 8], server, Err(GoneError::NotLetGo(8)));
        check(
            &[0, 2],
            Class::Calls,
            Err(GoneError::Count {
                gone: 2,
                left: 0,
                said: 3,
            }),
        );
        let (none, said) = (Remains::default(), Evidence::default());
        assert_eq!(none.check(&said), Ok(None));
    }
}
