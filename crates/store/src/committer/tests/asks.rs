//! Attempts that wait for an administrator, as many as may.

use entry::ASKS_OF_AGENT_MAX;
use ledger::{Amount, AtLimit, BudgetSpec, Window};
use model::{BudgetName, Timestamp};

use super::world::{NOON, agent_loaded, budget_event, key_issued, request, tenant};
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
