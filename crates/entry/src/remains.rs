//! What is still there of a log's entries, compared with what the log says it let go.

use std::collections::BTreeMap;

use crate::{Class, Event, Evidence};

/// Counts the entries of a log that are there and those that are gone, in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    gone: u64,
    last_gone: Option<u64>,
    /// The first entry of each class that is there.
    first: BTreeMap<Class, u64>,
}

/// Why entries cannot be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GoneError {
    /// No entry says that entries of this place were let go.
    #[error("entry {0} is gone, and no entry says that it was let go")]
    NotLetGo(u64),
    /// Others are gone than were let go.
    #[error("{gone} entries are gone, and the log says that {said} were let go: others vanished among them")]
    Count {
        /// How many are gone.
        gone: u64,
        /// How many the log says.
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
        if let Some(class) = event.class() {
            let first = self.first.entry(class).or_insert(index);
            *first = index.min(*first);
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
        let left = self.first.iter();
        let left = left.filter(|(class, index)| said.lets_go(Some(**class), **index));
        let left = left.map(|(_, index)| *index).min();
        let fits = match left {
            Some(_) => self.gone < said.gone,
            None => self.gone == said.gone,
        };
        match fits {
            true => Ok(left),
            false => Err(GoneError::Count {
                gone: self.gone,
                said: said.gone,
            }),
        }
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
        check(&[0, 2, 4, 5], server, Err(GoneError::Count { gone: 4, said: 3 }));
        // One vanished instead of another, which is there.
        check(&[0, 1, 2], server, Err(GoneError::Count { gone: 3, said: 3 }));
        check(&[0, 2, 4, 8], server, Err(GoneError::NotLetGo(8)));
        check(&[0, 2], Class::Calls, Err(GoneError::Count { gone: 2, said: 3 }));
        let (none, said) = (Remains::default(), Evidence::default());
        assert_eq!(none.check(&said), Ok(None));
    }
}
