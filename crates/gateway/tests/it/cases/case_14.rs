//! Case 14: windows that never start again, or start again where they must not (BerriAI/litellm#20532, #25495, #22013,
//! #34492, #40020). By a clock that is moved by hand, through the whole gateway; the arithmetic of windows, one line an
//! edge, is in `crates/ledger/src/tests`.

use std::time::Duration;

use ledger::Unit;

use super::*;
use crate::harness::ManualClock;

/// A budget of calls.
fn calls(limit: i64, window: Window) -> BudgetSpec {
    BudgetSpec {
        limit: Amount(limit),
        window,
        ..counting("calls", Measure::Calls)
    }
}

fn per(unit: Unit, zone: &str) -> Window {
    let zone = zone.to_owned();
    Window::Calendar { unit, zone }
}

/// A gateway at that time, with these budgets.
async fn at(time: &str, budgets: Vec<BudgetSpec>) -> (Harness, ManualClock) {
    let clock = ManualClock::at(time);
    let setup = Setup {
        clock: Some(clock.clone()),
        ..Setup::default()
    };
    let harness = Harness::with(setup).await;
    declare(&harness, budgets).await;
    (harness, clock)
}

/// Makes a call, and waits until it is booked if there was one.
async fn call(harness: &Harness) -> u16 {
    let before = harness.outcomes(0).await.len();
    let status = harness.call(harness.chat("")).await.0;
    if status == 200 {
        harness.outcomes(before + 1).await;
    }
    status
}

/// A window; calls in it that use it up; when the next call is still refused, and when it is not any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_14_each_window_starts_again_at_its_edge_and_not_before() {
    for (window, used, last, first) in [
        // A day of 23 hours, and one of 25.
        (
            per(Unit::Day, "Europe/Berlin"),
            "2026-03-29T00:00:00+01:00",
            "2026-03-29T23:59:59+02:00",
            "2026-03-30T00:00:00+02:00",
        ),
        (
            per(Unit::Day, "Europe/Berlin"),
            "2026-10-25T00:00:00+02:00",
            "2026-10-25T23:59:59+01:00",
            "2026-10-26T00:00:00+01:00",
        ),
        // The hour that comes twice is two.
        (
            per(Unit::Hour, "Europe/Berlin"),
            "2026-10-25T02:00:00+02:00",
            "2026-10-25T02:59:59+02:00",
            "2026-10-25T02:00:00+01:00",
        ),
        // A day that begins at one o'clock, because midnight is skipped.
        (
            per(Unit::Day, "Atlantic/Azores"),
            "2026-03-28T12:00:00-01:00",
            "2026-03-28T23:59:59-01:00",
            "2026-03-29T01:00:00+00:00",
        ),
        (
            per(Unit::Month, "UTC"),
            "2026-01-31T12:00:00Z",
            "2026-01-31T23:59:59Z",
            "2026-02-01T00:00:00Z",
        ),
        (
            per(Unit::Month, "UTC"),
            "2028-02-01T00:00:00Z",
            "2028-02-29T23:59:59Z",
            "2028-03-01T00:00:00Z",
        ),
        (
            per(Unit::Month, "Europe/Berlin"),
            "2026-03-01T00:00:00+01:00",
            "2026-03-31T23:59:59+02:00",
            "2026-04-01T00:00:00+02:00",
        ),
        (
            per(Unit::Week, "UTC"),
            "2026-12-31T00:00:00Z",
            "2027-01-03T23:59:59Z",
            "2027-01-04T00:00:00Z",
        ),
        (
            per(Unit::Year, "Pacific/Auckland"),
            "2026-12-31T12:00:00+13:00",
            "2026-12-31T23:59:59+13:00",
            "2027-01-01T00:00:00+13:00",
        ),
        // What was used at its beginning leaves a rolling hour a part (a minute) late, and never early.
        (
            Window::Rolling { unit: Unit::Hour },
            "2026-03-29T01:30:00+01:00",
            "2026-03-29T03:30:59+02:00",
            "2026-03-29T03:31:00+02:00",
        ),
    ] {
        let name = format!("{window} from {used}");
        let (harness, clock) = at(used, vec![calls(2, window)]).await;
        assert_eq!([call(&harness).await, call(&harness).await], [200, 200], "{name}");
        assert_eq!(call(&harness).await, 402, "{name}");
        clock.pass_to(last);
        assert_eq!(call(&harness).await, 402, "{name}");
        clock.pass_to(first);
        assert_eq!([call(&harness).await, call(&harness).await], [200, 200], "{name}");
        assert_eq!(call(&harness).await, 402, "{name}: it starts again once");
        harness.finish().await;
    }
}

/// A call that ends in the next window books into its own, and what was used in the new one stays used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_14_a_reset_does_not_wipe_what_is_fresh() {
    let day = calls(1, per(Unit::Day, "UTC"));
    let (harness, clock) = at("2026-03-31T23:59:50Z", vec![day]).await;
    let body = harness.chat(r#","stream":true"#);
    let under_way = harness.send(Harness::scripted(body, "hang-after=1")).await;
    assert_eq!(call(&harness).await, 402, "what is held counts");
    clock.pass_to("2026-04-01T00:00:05Z");
    assert_eq!(call(&harness).await, 200);
    assert_eq!(call(&harness).await, 402);
    drop(under_way);
    harness.outcomes(2).await;
    assert_eq!(
        call(&harness).await,
        402,
        "the end of yesterday's call frees nothing of today"
    );
    assert_eq!(spent(&harness).await["calls"], "1");
    // A clock that is set back to before the edge and over it again starts nothing anew.
    clock.step_back(Duration::from_secs(60));
    assert_eq!(call(&harness).await, 402);
    clock.pass(Duration::from_secs(120));
    assert_eq!(call(&harness).await, 402);
    harness.finish().await;
}

/// An edit of the window, or a first window for what had none, carries over what counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_14_an_edit_of_the_window_keeps_what_is_spent() {
    let day = || per(Unit::Day, "UTC");
    for (name, before, after) in [
        ("longer", day(), per(Unit::Month, "UTC")),
        ("shorter", day(), per(Unit::Hour, "UTC")),
        ("another zone", day(), per(Unit::Day, "Pacific/Auckland")),
        ("rolling", day(), Window::Rolling { unit: Unit::Day }),
        ("a first window", Window::Total, day()),
        ("none any more", day(), Window::Total),
    ] {
        let (harness, clock) = at("2026-03-10T12:30:00Z", vec![calls(2, before.clone())]).await;
        assert_eq!([call(&harness).await, call(&harness).await], [200, 200], "{name}");
        declare(&harness, vec![calls(2, after.clone())]).await;
        assert_eq!(call(&harness).await, 402, "{name}");
        declare(&harness, vec![calls(2, before)]).await;
        assert_eq!(call(&harness).await, 402, "{name}, and back");
        declare(&harness, vec![calls(2, after.clone())]).await;
        assert_eq!(call(&harness).await, 402, "{name}, and again");
        clock.pass_to("2026-05-01T00:00:00Z");
        let expected = if after == Window::Total { 402 } else { 200 };
        assert_eq!(call(&harness).await, expected, "{name}: the new window starts again");
        harness.finish().await;
    }
}

/// The agent's own budget had no window and carries spend; then its manifest gives it one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_14_an_agent_that_is_given_a_window_keeps_what_it_spent() {
    let (harness, clock) = at("2026-03-10T12:30:00Z", Vec::new()).await;
    assert_eq!(call(&harness).await, 200);
    let cost = harness.outcomes(1).await[0].cost;
    let limited = |window: Window| {
        move |governance: &mut control::Governance| {
            for agent in governance.tenants.values_mut().flat_map(|tenant| &mut tenant.agents) {
                agent.budget = BudgetSpec::money(agent.budget.name.clone(), cost, window.clone());
            }
        }
    };
    for window in [per(Unit::Month, "UTC"), Window::Total, per(Unit::Month, "UTC")] {
        harness.declare(limited(window));
        harness.control.reload(&harness.owner).await.unwrap();
        assert_eq!(call(&harness).await, 402);
        let booked = pots(&harness).await.remove(0).booked;
        assert_eq!(booked, cost.to_string());
    }
    // It starts again when its new window does.
    clock.pass_to("2026-04-01T00:00:00Z");
    assert_eq!(pots(&harness).await.remove(0).booked, "0");
    harness.finish().await;
}

/// A start is no reset; an edge that passed while the server was down is one, and once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_14_a_restart_starts_no_window_again() {
    let budgets = vec![
        calls(2, per(Unit::Day, "Europe/Berlin")),
        BudgetSpec {
            name: BudgetName::new("users").unwrap(),
            each: vec![Label::User],
            ..calls(3, Window::Rolling { unit: Unit::Day })
        },
    ];
    let (mut harness, clock) = at("2026-03-28T12:00:00+01:00", budgets).await;
    let (_, alice) = harness
        .issue(|order| order.user = Some("alice@acme.example".to_owned()))
        .await;
    harness.key = alice;
    assert_eq!([call(&harness).await, call(&harness).await], [200, 200]);
    for _ in 0..3 {
        harness = harness.restart().await;
        assert_eq!(call(&harness).await, 402);
    }
    // Midnight passes while it is down: the day is new, the rolling one is not.
    clock.pass_to("2026-03-29T00:00:00+01:00");
    harness = harness.restart().await;
    assert_eq!(call(&harness).await, 200);
    for _ in 0..3 {
        assert_eq!(call(&harness).await, 402, "the user's three are used");
        harness = harness.restart().await;
    }
    clock.pass_to("2026-03-29T14:00:00+02:00");
    assert_eq!(call(&harness).await, 200);
    assert_eq!(call(&harness).await, 402, "the day's two are used");
    harness.finish().await;
}
