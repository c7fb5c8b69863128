//! Which idempotency keys were used: what keeps a call that is sent again from being paid for again, also after a restart.

use std::collections::{BTreeMap, HashMap};

use ledger::form;
use model::{ActionId, AgentName, Timestamp};
use serde::{Deserialize, Serialize};

/// How long a key is remembered, in microseconds: a day.
pub const REPEATS_REMEMBERED_US: i64 = 24 * 3_600 * 1_000_000;
/// How many keys of an agent are remembered; beyond that its oldest are forgotten first.
pub const REPEATS_REMEMBERED: usize = 10_000;

/// The keys that were used lately.
///
/// A key belongs to an action from its first intent on. It is free again once no attempt of the action is open and none
/// that ended used anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Repeats {
    #[serde(serialize_with = "form::record")]
    of: HashMap<AgentName, Keys>,
}

/// The keys of one agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
struct Keys {
    #[serde(serialize_with = "form::pairs")]
    used: HashMap<String, Use>,
    /// The same keys by the number of their use: the oldest come first.
    #[serde(skip)]
    order: BTreeMap<u64, String>,
    /// The number of the next use.
    next: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Use {
    action: ActionId,
    at: Timestamp,
    /// Its place in the order.
    number: u64,
    /// Attempts that have not ended. A later one may be recorded before an earlier one's end.
    open: u32,
    paid: bool,
}

/// What is written of an agent's keys. The rest follows from it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    used: Vec<(String, Use)>,
    next: u64,
}

impl TryFrom<Parts> for Keys {
    type Error = &'static str;

    fn try_from(Parts { used, next }: Parts) -> Result<Self, &'static str> {
        let order: BTreeMap<u64, String> = used.iter().map(|(key, used)| (used.number, key.clone())).collect();
        let newest = order.keys().next_back();
        if order.len() != used.len() || newest.is_some_and(|newest| *newest >= next) || next > form::MOST {
            return Err("the uses of idempotency keys are not numbered one by one");
        }
        let used = used.into_iter().collect();
        Ok(Self { used, order, next })
    }
}

impl Repeats {
    /// The action that used this key, if it was used and is remembered.
    pub fn find(&self, agent: &AgentName, key: &str, now: Timestamp) -> Option<ActionId> {
        let used = self.of.get(agent)?.used.get(key)?;
        (!used.is_over(now)).then_some(used.action)
    }

    /// An attempt with this key was admitted.
    pub(crate) fn used(&mut self, agent: &AgentName, key: &str, action: ActionId, now: Timestamp) {
        let keys = self.of.entry(agent.clone()).or_default();
        keys.forget_what_is_over(now);
        if let Some(used) = keys.used.get_mut(key).filter(|used| used.action == action) {
            used.open = used.open.saturating_add(1);
            return;
        }
        keys.free(key);
        while keys.order.len() >= REPEATS_REMEMBERED && keys.forget_oldest() {}
        let number = keys.next;
        keys.next += 1;
        keys.order.insert(number, key.to_owned());
        let used = Use {
            action,
            at: now,
            number,
            open: 1,
            paid: false,
        };
        keys.used.insert(key.to_owned(), used);
    }

    /// An attempt with this key ended.
    pub(crate) fn ended(&mut self, agent: &AgentName, key: &str, action: ActionId, unused: bool) {
        let Some(keys) = self.of.get_mut(agent) else { return };
        let Some(used) = keys.used.get_mut(key).filter(|used| used.action == action) else {
            return;
        };
        used.open = used.open.saturating_sub(1);
        used.paid |= !unused;
        if used.open == 0 && !used.paid {
            keys.free(key);
        }
    }
}

impl Use {
    fn is_over(&self, now: Timestamp) -> bool {
        self.at.saturating_add_micros(REPEATS_REMEMBERED_US) <= now
    }
}

impl Keys {
    fn free(&mut self, key: &str) {
        if let Some(used) = self.used.remove(key) {
            self.order.remove(&used.number);
        }
    }

    fn forget_what_is_over(&mut self, now: Timestamp) {
        let over = |keys: &Self| {
            let oldest = keys.order.first_key_value().and_then(|(_, key)| keys.used.get(key));
            oldest.is_some_and(|used| used.is_over(now))
        };
        while over(self) && self.forget_oldest() {}
    }

    /// Returns whether there was one.
    fn forget_oldest(&mut self) -> bool {
        let oldest = self.order.pop_first();
        oldest.is_some_and(|(_, key)| self.used.remove(&key).is_some())
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
        // A later attempt may be recorded before an earlier one's end.
        check(&[(0, 1, '+'), (1, 1, '+'), (2, 1, '0')], 5, Some(1));
        check(&[(0, 1, '+'), (1, 1, '+'), (2, 1, '0'), (3, 1, '0')], 5, None);
        check(&[(0, 1, '+'), (1, 1, '+'), (2, 1, '0'), (3, 1, '$')], 5, Some(1));
        check(&[(0, 1, '+'), (1, 1, '+'), (2, 1, '$'), (3, 1, '0')], 5, Some(1));
        check(&[(0, 1, '+')], day - 1, Some(1));
        check(&[(0, 1, '+')], day, None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let [busy, other] = ["a", "b"].map(|name| AgentName::new(name).unwrap());
        let mut repeats = Repeats::default();
        let kept = |repeats: &Repeats| {
            let keys = &repeats.of[&busy];
            (keys.used.len(), keys.order.len())
        };
        repeats.used(&other, "paid", action(1), at(0));
        repeats.ended(&other, "paid", action(1), false);
        // What is free again takes no place.
        for number in 0..REPEATS_REMEMBERED {
            repeats.used(&busy, &number.to_string(), action(1), at(0));
            repeats.ended(&busy, &number.to_string(), action(1), true);
        }
        assert_eq!(kept(&repeats), (0, 0));
        for number in 0..REPEATS_REMEMBERED + 10 {
            repeats.used(&busy, &number.to_string(), action(1), at(0));
        }
        assert_eq!(kept(&repeats), (REPEATS_REMEMBERED, REPEATS_REMEMBERED));
        assert_eq!(repeats.find(&busy, "9", at(0)), None, "the oldest are forgotten first");
        assert!(repeats.find(&busy, "10", at(0)).is_some());
        assert!(
            repeats.find(&other, "paid", at(0)).is_some(),
            "an agent forgets only its own"
        );
        repeats.used(&busy, "later", action(2), at(REPEATS_REMEMBERED_US));
        assert_eq!(kept(&repeats), (1, 1));
    }
}
