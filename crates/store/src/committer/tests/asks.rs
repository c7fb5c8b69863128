//! Attempts that wait for an administrator, as many as may.

use entry::{ASKS_MAX, ASKS_OF_AGENT_MAX, Event};
use ledger::{Amount, AtLimit, BudgetSpec, Measure, Window};
use model::{AgentName, BudgetName, Digest, Timestamp};

use super::world::{NOON, agent_loaded, budget_event, key, key_issued, request, tenant};
use crate::committer::shard::{Admitted, Shard};

#[test]
fn one_more_than_may_wait_is_refused_at_once() {
    let at = Timestamp::from_unix_micros(NOON);
    let mut shard = Shard::new(tenant());
    let budget = BudgetSpec {
        at_limit: AtLimit::Ask { wait_s: 60 },
        ..BudgetSpec::money(BudgetName::new("own").unwrap(), Amount(10), Window::Total)
    };
    for event in [budget_event(budget), agent_loaded("alone"), key_issued("ka")] {
        shard.push(event, at).unwrap();
    }
    let epoch = shard.state.epoch;
    let hold = |shard: &mut Shard, number: usize| {
        let mut request = request(u32::try_from(number).unwrap(), 400, epoch);
        request.may_wait = true;
        shard.hold(request, 1, at).unwrap()
    };
    for number in 0..ASKS_OF_AGENT_MAX {
        assert!(matches!(hold(&mut shard, number), Admitted::Asked(_)), "{number}");
    }
    assert!(matches!(hold(&mut shard, ASKS_OF_AGENT_MAX), Admitted::Refused(..)));
    assert!(
        matches!(hold(&mut shard, 0), Admitted::Waiting),
        "who waits goes on waiting"
    );
    assert_eq!(shard.state.asks.len(), ASKS_OF_AGENT_MAX);
}

/// The tenant's bound, which agents reach together: one more agent, of which nothing waits, is refused at once too.
#[test]
fn one_more_of_a_tenant_than_may_wait_is_refused_at_once() {
    let at = Timestamp::from_unix_micros(NOON);
    let mut shard = Shard::new(tenant());
    let budget = BudgetSpec {
        at_limit: AtLimit::Ask { wait_s: 60 },
        ..BudgetSpec::money(BudgetName::new("own").unwrap(), Amount(10), Window::Total)
    };
    shard.push(budget_event(budget), at).unwrap();
    let agents: Vec<String> = (0..=ASKS_MAX / ASKS_OF_AGENT_MAX).map(|n| format!("a{n}")).collect();
    for (number, name) in (0..).zip(&agents) {
        let Event::KeyIssued { mut key, by } = key_issued(name) else {
            unreachable!()
        };
        key.agent = AgentName::new(name).unwrap();
        key.verifier = Digest([number; 32]);
        for event in [agent_loaded(name), Event::KeyIssued { key, by }] {
            shard.push(event, at).unwrap();
        }
    }
    let epoch = shard.state.epoch;
    let hold = |shard: &mut Shard, number: usize| {
        let name = &agents[number / ASKS_OF_AGENT_MAX];
        let mut request = request(u32::try_from(number).unwrap(), 400, epoch);
        request.ask.action.agent = AgentName::new(name).unwrap();
        request.ask.action.key = key(name);
        shard.hold(request, 1, at).unwrap()
    };
    for number in 0..ASKS_MAX {
        assert!(matches!(hold(&mut shard, number), Admitted::Asked(_)), "{number}");
    }
    assert!(matches!(hold(&mut shard, ASKS_MAX), Admitted::Refused(..)));
    assert_eq!(shard.state.asks.len(), ASKS_MAX);
}

/// A question whose budget counts something else since is put anew: its numbers are none of the new unit's.
#[test]
fn what_waits_is_asked_anew_when_its_budget_counts_something_else() {
    let at = Timestamp::from_unix_micros(NOON);
    let mut shard = Shard::new(tenant());
    let money = BudgetSpec {
        at_limit: AtLimit::Ask { wait_s: 60 },
        ..BudgetSpec::money(BudgetName::new("own").unwrap(), Amount(10), Window::Total)
    };
    let calls = BudgetSpec {
        unit: Measure::Calls,
        limit: Amount(0),
        ..money.clone()
    };
    for event in [budget_event(money), agent_loaded("alone"), key_issued("ka")] {
        shard.push(event, at).unwrap();
    }
    let hold = |shard: &mut Shard| {
        let mut request = request(1, 400, shard.state.epoch);
        request.may_wait = true;
        shard.hold(request, 1, at).unwrap()
    };
    assert!(matches!(hold(&mut shard), Admitted::Asked(asked) if asked.over.unit == Measure::Money));
    assert!(matches!(hold(&mut shard), Admitted::Waiting));
    shard.push(budget_event(calls), at).unwrap();
    let size = shard.state.size;
    let Admitted::Asked(asked) = hold(&mut shard) else {
        panic!("it is asked anew");
    };
    assert_eq!((asked.over.unit, asked.over.asked), (Measure::Calls, Amount(1)));
    assert_eq!(shard.state.size, size + 2, "the end of the one and the other");
    let units: Vec<_> = shard.state.asks.values().map(|ask| ask.asked.over.unit).collect();
    assert_eq!(units, [Measure::Calls]);
    assert!(matches!(hold(&mut shard), Admitted::Waiting));
}
