//! Which idempotency keys were used: what keeps a call that is sent again from being paid for again, also after a restart.

use std::collections::{HashMap, VecDeque};

use model::{ActionId, AgentName, Timestamp};

/// How long a key is remembered, in microseconds: a day.
pub const REPEATS_REMEMBERED_US: i64 = 24 * 3_600 * 1_000_000;
/// How many keys a tenant's state remembers; beyond that the oldest are forgotten first.
pub const REPEATS_REMEMBERED: usize = 100_000;

/// The keys that were used lately.
///
/// A key belongs to an action from its first intent on. It is free again once an attempt ends that used nothing, unless an
/// earlier attempt of the action did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repeats {
    used: HashMap<(AgentName, String), Use>,
    /// When each was used, oldest first. What was freed meanwhile stays here until its time.
    order: VecDeque<(Timestamp, (AgentName, String))>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Use {
    action: ActionId,
    at: Timestamp,
    paid: bool,
}

impl Repeats {
    /// The action that used this key, if it was used and is remembered.
    pub fn find(&self, agent: &AgentName, key: &str, now: Timestamp) -> Option<ActionId> {
        let used = self.used.get(&(agent.clone(), key.to_owned()))?;
        (used.at.saturating_add_micros(REPEATS_REMEMBERED_US) > now).then_some(used.action)
    }

    /// An attempt with this key was admitted.
    pub(crate) fn used(&mut self, agent: &AgentName, key: &str, action: ActionId, now: Timestamp) {
        self.forget(now);
        let name = (agent.clone(), key.to_owned());
        if self.used.get(&name).is_some_and(|used| used.action == action) {
            return;
        }
        self.order.push_back((now, name.clone()));
        let at = now;
        self.used.insert(
            name,
            Use {
                action,
                at,
                paid: false,
            },
        );
    }

    /// An attempt with this key ended.
    pub(crate) fn ended(&mut self, agent: &AgentName, key: &str, action: ActionId, unused: bool) {
        let name = (agent.clone(), key.to_owned());
        let Some(used) = self.used.get_mut(&name).filter(|used| used.action == action) else {
            return;
        };
        used.paid |= !unused;
        if !used.paid {
            self.used.remove(&name);
        }
    }

    fn forget(&mut self, now: Timestamp) {
        let over = |at: Timestamp| at.saturating_add_micros(REPEATS_REMEMBERED_US) <= now;
        while self.order.len() >= REPEATS_REMEMBERED || self.order.front().is_some_and(|(at, _)| over(*at)) {
            let Some((at, name)) = self.order.pop_front() else {
                return;
            };
            // It may have been freed and used again since.
            if self.used.get(&name).is_some_and(|used| used.at == at) {
                self.used.remove(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_unix_micros(micros)
    }

    fn action(number: u8) -> ActionId {
        ActionId::new(at(0), [number; 10])
    }

    /// Plays steps of one agent, each `now action what`: `+` an attempt was admitted, `$` it ended and used something, `0` it
    /// used nothing. Then says whose key it is.
    fn check(steps: &[(i64, u8, char)], now: i64, expected: Option<u8>) {
        let agent = AgentName::new("a").unwrap();
        let mut repeats = Repeats::default();
        for (time, number, what) in steps {
            match what {
                '+' => repeats.used(&agent, "k", action(*number), at(*time)),
                _ => repeats.ended(&agent, "k", action(*number), *what == '0'),
            }
        }
        assert_eq!(repeats.find(&agent, "k", at(now)), expected.map(action), "{steps:?}");
        assert_eq!(repeats.find(&AgentName::new("b").unwrap(), "k", at(now)), None);
        assert_eq!(repeats.find(&agent, "other", at(now)), None);
    }

    #[test]
    fn a_key_is_its_actions_once_something_was_used() {
        let day = REPEATS_REMEMBERED_US;
        check(&[], 0, None);
        check(&[(0, 1, '+')], 5, Some(1));
        check(&[(0, 1, '+'), (1, 1, '$')], 5, Some(1));
        check(&[(0, 1, '+'), (1, 1, '0')], 5, None);
        // A second attempt that used nothing does not undo the first.
        check(&[(0, 1, '+'), (1, 1, '$'), (2, 1, '+'), (3, 1, '0')], 5, Some(1));
        check(&[(0, 1, '+'), (1, 1, '0'), (2, 1, '+'), (3, 1, '$')], 5, Some(1));
        check(&[(0, 1, '+'), (1, 1, '0'), (2, 2, '+')], 5, Some(2));
        // What belongs to another action is not ended by a late one.
        check(&[(0, 1, '+'), (1, 1, '0'), (2, 2, '+'), (3, 1, '0')], 5, Some(2));
        check(&[(0, 1, '+')], day - 1, Some(1));
        check(&[(0, 1, '+')], day, None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let agent = AgentName::new("a").unwrap();
        let mut repeats = Repeats::default();
        for number in 0..REPEATS_REMEMBERED + 10 {
            repeats.used(&agent, &number.to_string(), action(1), at(0));
        }
        assert_eq!(
            (repeats.used.len(), repeats.order.len()),
            (REPEATS_REMEMBERED, REPEATS_REMEMBERED)
        );
        assert_eq!(repeats.find(&agent, "9", at(0)), None, "the oldest are forgotten first");
        assert!(repeats.find(&agent, "10", at(0)).is_some());
        repeats.used(&agent, "later", action(2), at(REPEATS_REMEMBERED_US));
        assert_eq!((repeats.used.len(), repeats.order.len()), (1, 1));
    }
}
