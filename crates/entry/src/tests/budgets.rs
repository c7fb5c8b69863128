//! Holds in the budgets that select an action and in no other, and what administrators may do to budgets.

use ledger::{Amount, Booking, BudgetSpec, Edit, Label, Measure, Period, Pot, Selector, Unit, Window};
use model::Pseudonym;

use super::{
    log::{Log, TOKENS, first},
    refusals::check_events,
    samples::{
        action_id, agent, agent_loaded, at, budget, budget_loaded, budget_spec, by, denial, edited, key_of, loaded,
    },
};
use crate::{Closed, Declared, Denial, Event, Intent, Over};

const NOT_SELECTED: &str = "the hold is not in the budgets that select the action";

fn selecting(name: &str, limit: i64, select: Selector) -> BudgetSpec {
    BudgetSpec {
        select: Some(select),
        ..budget_spec(name, limit)
    }
}

/// Beside the budgets that agents name, one of each kind that selects by itself. `kone` and `ktwo` are credentials of
/// `alone` that act for users.
pub(super) fn log() -> Log {
    let mut log = Log::furnished();
    let calls = BudgetSpec {
        unit: Measure::Calls,
        window: Window::Rolling { unit: Unit::Hour },
        ..selecting("calls", 3, Selector::of(Label::Task, "summarise"))
    };
    let tokens = BudgetSpec {
        unit: Measure::Tokens,
        ..selecting("tokens", 10_000, Selector::of(Label::Model, "claude-*"))
    };
    let tool = selecting("tool", 600, Selector::of(Label::Tool, "web_search"));
    let users = BudgetSpec {
        each: vec![Label::User],
        ..selecting("users", 800, Selector::default())
    };
    for event in [
        loaded(selecting("data", 5_000, Selector::of(Label::Team, "data"))),
        loaded(selecting("others", 5_000, Selector::of(Label::Team, "others"))),
        loaded(calls),
        loaded(tokens),
        loaded(tool),
        loaded(users),
        key_of("kone", "alone", Some("one")),
        key_of("ktwo", "alone", Some("two")),
    ] {
        log.push(event);
    }
    log
}

/// What user one's next call is held for.
fn right(log: &Log) -> Intent {
    let action = log.action_by("kone", action_id(1));
    log.intent_of(action, 100, TOKENS).unwrap()
}

fn names(bookings: &[Booking]) -> Vec<String> {
    bookings.iter().map(|booking| booking.budget.to_string()).collect()
}

#[test]
fn a_hold_is_in_every_budget_that_selects_the_action() {
    let log = log();
    let right = right(&log);
    assert_eq!(names(&right.bookings), ["own", "calls", "data", "tokens", "users"]);
    assert!(log.takes(Event::Intent(right.clone())));
    let with = |change: &dyn Fn(&mut Intent)| {
        let mut intent = right.clone();
        change(&mut intent);
        Event::Intent(intent)
    };
    let last = right.bookings.len() - 1;
    for at in 0..=last {
        let missing = with(&|it| drop(it.bookings.remove(at)));
        let doubled = with(&|it| it.bookings.push(it.bookings[at].clone()));
        let swapped = with(&|it| it.bookings.swap(at, (at + 1) % (last + 1)));
        let renamed = with(&|it| it.bookings[at].budget = budget("others"));
        let apart = with(&|it| it.bookings[at].of.push("two".to_owned()));
        check_events(
            &log,
            [
                ("one missing", missing, NOT_SELECTED),
                ("one twice", doubled, NOT_SELECTED),
                ("another order", swapped, NOT_SELECTED),
                ("another budget", renamed, NOT_SELECTED),
                ("a pot more", apart, NOT_SELECTED),
            ],
        );
    }
    let mut other = right.bookings[2].clone();
    other.budget = budget("others");
    let pot = |of: &[&str]| of.iter().map(|of| (*of).to_owned()).collect::<Vec<_>>();
    check_events(
        &log,
        [
            ("none", with(&|it| it.bookings.clear()), NOT_SELECTED),
            (
                "one that does not select it",
                with(&|it| it.bookings.push(other.clone())),
                NOT_SELECTED,
            ),
            (
                "another user's pot",
                with(&|it| it.bookings[last].of = pot(&["two"])),
                NOT_SELECTED,
            ),
            ("no pot", with(&|it| it.bookings[last].of.clear()), NOT_SELECTED),
            (
                "another user's name and pot",
                with(&|it| {
                    it.action.user = Some(Pseudonym("two".to_owned()));
                    it.bookings[last].of = pot(&["two"]);
                }),
                NOT_SELECTED,
            ),
            (
                "no user",
                with(&|it| {
                    it.action.user = None;
                    it.bookings.truncate(last);
                }),
                NOT_SELECTED,
            ),
            (
                "another task",
                with(&|it| it.action.task = Some("translate".to_owned())),
                NOT_SELECTED,
            ),
            ("no task", with(&|it| it.action.task = None), NOT_SELECTED),
            (
                "another model",
                with(&|it| it.action.model = "gpt".to_owned()),
                NOT_SELECTED,
            ),
            (
                "a tool that another budget selects",
                with(&|it| it.tools.push("web_search".to_owned())),
                NOT_SELECTED,
            ),
            (
                "no tokens where they count",
                with(&|it| it.tokens = None),
                "does not say how many it reserves",
            ),
        ],
    );
    // What no budget selects by makes no difference, and what is told without need does no harm.
    for change in [
        |it: &mut Intent| it.action.run = None,
        |it: &mut Intent| it.tools.push("another".to_owned()),
        |it: &mut Intent| it.action.name = "llm:embed".to_owned(),
    ] {
        assert!(log.takes(with(&change)));
    }
}

/// A request that falls into no pot of a budget is not selected by it; another's pot is not touched.
#[test]
fn a_pot_is_one_users() {
    let mut log = log();
    let hold = |log: &Log, key: &str, number, hold| log.intent_of(log.action_by(key, action_id(number)), hold, TOKENS);
    log.push(Event::Intent(hold(&log, "kone", 1, 700).unwrap()));
    assert_eq!(hold(&log, "kone", 2, 101), None, "user one has 100 left");
    log.push(Event::Intent(hold(&log, "ktwo", 2, 101).unwrap()));
    log.push(edited("own", Edit::Limit { limit: Amount(9_000) }));
    let nobody = hold(&log, "ka", 3, 900).unwrap();
    assert_eq!(names(&nobody.bookings), ["own", "calls", "data", "tokens"]);
    log.push(Event::Intent(nobody));
    let used = |of: &str| {
        let of = vec![of.to_owned()];
        let pot = Pot {
            budget: budget("users"),
            of,
        };
        log.state.ledger.balance(&pot, at(log.now)).unwrap().used()
    };
    assert_eq!(["one", "two", "three"].map(used), [700, 101, 0].map(Amount));
    assert_eq!(hold(&log, "ktwo", 4, 1), None, "three calls of four");
    assert_eq!(log.state.ledger.balances(&budget("users"), at(log.now), 9).len(), 2);
}

#[test]
fn tools_select_where_they_are_told() {
    let mut log = log();
    let action = log.action("shared", action_id(1));
    let tools = vec!["web_search".to_owned()];
    let bookings = log.bookings(&action, &tools, 100, TOKENS).unwrap();
    assert_eq!(names(&bookings), ["own", "team", "calls", "data", "tokens", "tool"]);
    let intent = Intent {
        tools,
        bookings,
        ..log.intent_of(action, 100, TOKENS).unwrap()
    };
    let untold = Intent {
        tools: Vec::new(),
        ..intent.clone()
    };
    check_events(&log, [("a tool that is not told", Event::Intent(untold), NOT_SELECTED)]);
    log.push(Event::Intent(intent));
}

/// A hold names the limit and the room that there are when it is written, not those of a moment before.
#[test]
fn a_hold_is_checked_against_the_budget_as_it_was_edited() {
    let before = right(&log());
    let day = before.bookings[2].period;
    let top_up = |period| Edit::ToppedUp {
        amount: Amount(50),
        of: Vec::new(),
        period,
    };
    let limit = |limit| Edit::Limit { limit: Amount(limit) };
    for (what, edit, expected) in [
        (
            "paused",
            Edit::Paused {},
            Some("budget data is paused, or has no such pot"),
        ),
        (
            "raised",
            limit(5_001),
            Some("budget data has a limit of 0.000005001 USD, the entry says 0.000005 USD"),
        ),
        (
            "lowered",
            limit(99),
            Some("budget data has a limit of 0.000000099 USD, the entry says 0.000005 USD"),
        ),
        (
            "topped up",
            top_up(day),
            Some("budget data has a limit of 0.00000505 USD, the entry says 0.000005 USD"),
        ),
        ("set to what it was", limit(5_000), None),
    ] {
        let mut log = log();
        log.push(edited("data", edit));
        match expected {
            Some(expected) => check_events(&log, [(what, Event::Intent(before.clone()), expected)]),
            None => assert!(log.takes(Event::Intent(before.clone())), "{what}"),
        }
    }
    let mut log = log();
    log.push(edited("data", limit(99)));
    assert_eq!(log.intent_of(before.action.clone(), 100, TOKENS), None);
    let mut lower = before.clone();
    lower.bookings[2].limit = Amount(99);
    check_events(
        &log,
        [(
            "above a lowered limit",
            Event::Intent(lower.clone()),
            "takes budget data above its limit",
        )],
    );
    log.push(edited("data", top_up(day)));
    lower.bookings[2].limit = Amount(149);
    assert!(log.takes(Event::Intent(lower)));
    log.push(edited("data", Edit::Paused {}));
    log.push(edited("data", Edit::Resumed {}));
    assert!(log.intent_of(before.action.clone(), 100, TOKENS).is_some());
    // The next day has the limit without what the last one was topped up with.
    log.now += 86_400_000_000;
    assert_eq!(log.intent_of(before.action, 100, TOKENS), None);
}

#[test]
fn edits_that_cannot_be() {
    let mut log = log();
    log.push(edited("others", Edit::Paused {}));
    log.push(Event::BudgetRemoved {
        budget: budget("tool"),
        note: String::new(),
        by: by(),
    });
    let with = |name: &str, note: &str, unit, edit: Edit| Event::BudgetEdited {
        budget: budget(name),
        unit,
        edit,
        note: note.to_owned(),
        by: by(),
    };
    let data = budget_spec("data", 0).window.period(at(log.now)).unwrap();
    let next = Period {
        start: data.end,
        end: data.end.saturating_add_micros(86_400_000_000),
    };
    let top_up = |name: &str, amount, of: &[&str], period| {
        let of = of.iter().map(|of| (*of).to_owned()).collect();
        let amount = Amount(amount);
        edited(name, Edit::ToppedUp { amount, of, period })
    };
    let limit = |limit| Edit::Limit { limit: Amount(limit) };
    let paused = || Edit::Paused {};
    check_events(
        &log,
        [
            (
                "no reason",
                with("data", "", Measure::Money, paused()),
                "needs a reason",
            ),
            (
                "a blank one",
                with("data", " \t\n", Measure::Money, paused()),
                "needs a reason",
            ),
            (
                "calls of money",
                with("data", "n", Measure::Calls, paused()),
                "counts something else",
            ),
            ("money of calls", edited("calls", paused()), "counts something else"),
            ("an unknown budget", edited("none", paused()), "there is no budget none"),
            ("a removed one", edited("tool", limit(5)), "there is no budget tool"),
            (
                "less than nothing",
                edited("data", limit(-1)),
                "cannot have a negative limit",
            ),
            (
                "the declared limit again",
                edited("data", Edit::DeclaredLimit {}),
                "has its declared limit",
            ),
            ("paused twice", edited("others", paused()), "is paused already"),
            ("resumed untimely", edited("data", Edit::Resumed {}), "is not paused"),
            ("more by nothing", top_up("data", 0, &[], data), "by more than nothing"),
            ("more by less", top_up("data", -5, &[], data), "by more than nothing"),
            (
                "another day",
                top_up("data", 5, &[], next),
                "budget data has no period from",
            ),
            (
                "a pot of one that has none",
                top_up("data", 5, &["one"], data),
                "has no such pot",
            ),
            (
                "no pot of one that has some",
                top_up("users", 5, &[], data),
                "has no such pot",
            ),
            (
                "half a pot more",
                top_up("users", 5, &["one", "run"], data),
                "has no such pot",
            ),
        ],
    );
    assert!(log.takes(top_up("users", 5, &["one"], data)));
    assert!(log.takes(with("calls", "n", Measure::Calls, paused())));
}

/// What an administrator set lies over what is declared: a reload does not undo it.
#[test]
fn what_edits_leave_behind() {
    let mut log = log();
    let limit = |log: &Log, name: &str| {
        let balance = log.state.ledger.balance(&Pot::from(budget(name)), at(log.now));
        balance.unwrap().limit
    };
    let epoch = log.state.epoch;
    log.push(edited("own", Edit::Limit { limit: Amount(4_000) }));
    log.push(edited("own", Edit::Paused {}));
    log.now += 5;
    log.push(budget_loaded("own", 2_000));
    assert_eq!(log.state.epoch, epoch + 3);
    assert_eq!(log.state.ledger.overlay(&budget("own")), (Some(Amount(4_000)), true));
    assert_eq!(limit(&log, "own"), Amount(4_000));
    let last = &log.state.budgets.edits[&budget("own")];
    assert_eq!((&last.by, last.at), (&by(), at(log.now - 5)));
    log.push(edited("own", Edit::Resumed {}));
    log.push(edited("own", Edit::DeclaredLimit {}));
    assert_eq!(limit(&log, "own"), Amount(2_000));
    assert_eq!(log.state.budgets.edits[&budget("own")].at, at(log.now));
    assert_eq!(log.state.budgets.declared[&budget("own")], Declared::Files);
}

#[test]
fn removals() {
    let mut log = log();
    let removed = |name: &str| Event::BudgetRemoved {
        budget: budget(name),
        note: String::new(),
        by: by(),
    };
    let named = "an agent names the budget that is removed";
    check_events(
        &log,
        [
            ("an unknown budget", removed("none"), "there is no budget none"),
            ("an agent's own", removed("own"), named),
            ("one of several", removed("team"), named),
        ],
    );
    // It selects nothing from then on, and a hold that it had ends as ever. What was edited of it is gone.
    let before = right(&log);
    log.push(edited("data", Edit::Limit { limit: Amount(900) }));
    let before = Intent {
        bookings: log.intent_of(before.action.clone(), 100, TOKENS).unwrap().bookings,
        ..before
    };
    log.push(Event::Intent(before));
    let mut after = log.intent_of(log.action_by("kone", action_id(2)), 100, TOKENS).unwrap();
    log.push(removed("data"));
    check_events(
        &log,
        [
            ("a hold in it", Event::Intent(after.clone()), NOT_SELECTED),
            ("again", removed("data"), "there is no budget data"),
        ],
    );
    after.bookings.retain(|booking| booking.budget != budget("data"));
    log.push(Event::Intent(after));
    log.push(Event::Outcome(log.outcome(first(action_id(1)), 40)));
    log.push(Event::Outcome(log.outcome(first(action_id(2)), 60)));
    assert!(!log.state.budgets.declared.contains_key(&budget("data")));
    assert!(!log.state.budgets.edits.contains_key(&budget("data")));
    assert_eq!(log.state.ledger.overlay(&budget("data")), (None, false));
    // What was spent is there again with the budget.
    log.push(loaded(selecting("data", 5_000, Selector::of(Label::Team, "data"))));
    let again = log.intent_of(log.action_by("kone", action_id(3)), 100, TOKENS).unwrap();
    assert_eq!(again.bookings[2].used, Amount(40));

    // An agent's own can go once the agent has gone, and then no agent can name it.
    for name in ["alone", "shared"] {
        log.push(Event::AgentRemoved {
            agent: agent(name),
            by: by(),
        });
    }
    log.push(removed("own"));
    check_events(
        &log,
        [(
            "an agent of a removed budget",
            agent_loaded("alone", &["own"]),
            "there is no budget own",
        )],
    );
    log.push(budget_loaded("own", 1_000));
    log.push(agent_loaded("alone", &["own"]));
}

/// What a denial says of a budget that keeps too many pots apart makes idle ones go, and none that counts.
#[test]
fn a_denial_for_want_of_a_pot_forgets_idle_ones() {
    let mut log = log();
    log.push(Event::Intent(right(&log)));
    log.push(Event::Outcome(log.outcome(first(action_id(1)), 40)));
    let denied = |log: &mut Log| {
        let over = Over {
            budget: budget("users"),
            of: vec!["three".to_owned()],
            unit: Measure::Money,
            limit: Amount(800),
            spent: Amount::ZERO,
            held: Amount::ZERO,
            asked: Amount(100),
            closed: Some(Closed::Crowded),
        };
        log.push(Event::Denial(Denial {
            action: log.action("alone", action_id(2)),
            over: Some(over),
            ..denial()
        }));
        log.state.ledger.balances(&budget("users"), at(log.now), 9).len()
    };
    assert_eq!(denied(&mut log), 1);
    log.now += 86_400_000_000;
    assert_eq!(denied(&mut log), 0);
}
