//! What budgets count, which requests they select, and years.

use super::table::{attempt, budget, check, instant, pot, selector, window_of};
use crate::{Amount, BudgetSpec, Charge, Hold, Ledger};

#[test]
fn each_unit_counts_its_own() {
    check(
        "define money: day 5
         define all: day 100 unit=tokens
         define in: day 60 unit=input_tokens
         define out: day 50 unit=output_tokens
         define calls: day 2 unit=calls
         at 2026-03-02T10:00
         hold a 2+40in+30out+1call in money,all,in,out,calls
         expect money: used=2
         expect all: used=70 remaining=30
         expect in: used=40
         expect out: used=30
         expect calls: used=1
         hold b 1+10in+21out+1call in money,all,in,out,calls => refused: 70 of 100 used in all
         hold b 1+21in+9out+1call in money,in,out,calls => refused: 40 of 60 used in in
         hold b 1+1in+21out+1call in money,in,out,calls => refused: 30 of 50 used in out
         end a 1.5+40in+12out+1call
         expect money: settled=1.5
         expect all: settled=52
         expect out: settled=12
         hold b 1+10in+10out+1call in money,all,in,out,calls
         hold c 1call in calls => refused: 2 of 2 used in calls
         hold c 1 in calls                             # of what it does not count nothing is taken
         void c
         end b 0                                       # it never reached the provider
         expect calls: used=1
         hold c 1call in calls
         end c 1call",
    );
}

#[test]
fn tokens_that_went_over_are_a_debt_like_money() {
    check(
        "define day 100 unit=tokens
         at 2026-03-02T10:00 hold a 50in+50out
         end a 50in+260out
         expect used=310 remaining=0
         at 2026-03-03T10:00 expect carried=210
         hold b 1in => refused: 210 of 100 used
         hold b 5                                      # a call without tokens
         end b 5
         at 2026-03-05T10:00 expect carried=10 remaining=90",
    );
}

/// What was spent in dollars says nothing of tokens: another unit starts from nothing, and holds that are open then book
/// nowhere.
#[test]
fn another_unit_starts_from_nothing() {
    check(
        "define day 5
         at 2026-03-02T10:00 hold a 2+10in
         end a 2+10in
         hold b 2+10in
         limit 9
         pause
         define day 100 unit=tokens
         expect used=0 limit=100 paused=true           # a number of dollars is no number of tokens
         resume
         end b 3+20in
         expect used=0
         hold c 1+60in+40out
         hold d 1in => refused: 100 of 100 used
         define day 5
         expect used=0
         end c 1+60in+40out
         expect used=0",
    );
}

#[test]
fn a_budget_selects_by_labels() {
    check(
        "define data: day 5 select=team:data
         define prod: day 3 select=environment:production,team:data|web
         define ann: day 9 select=user:ann
         define gpt: day 9 select=model:gpt-*
         define search: day 9 select=tool:search|shell
         define everyone: day 100 select=*
         define day 50
         at 2026-03-02T10:00
         hold a 1 in b for team=data,user=bob
         expect used=1
         expect data: used=1
         expect everyone: used=1
         expect prod: used=0
         expect ann: used=0
         hold c 1 for team=data,environment=production,user=ann,model=gpt-5,tool=write,tool=shell
         expect data: used=2
         expect prod: used=1
         expect ann: used=1
         expect gpt: used=1
         expect search: used=1
         expect everyone: used=2
         hold d 3 for environment=production,team=web => refused: 1 of 3 used in prod
         hold d 3 for environment=test,team=web,model=claude-4,tool=write
         expect prod: used=1
         expect everyone: used=5
         hold e 1 for *
         expect everyone: used=6
         hold f 4 for team=data,user=ann => refused: 2 of 5 used in data
         remove everyone
         hold g 1 for * => an action needs 1 to 16 budgets, found 0",
    );
}

/// However often it names a value.
#[test]
fn a_budget_that_names_a_value_twice_selects_once() {
    check(
        "define z: day 5 select=team:data
         define y: day 5 select=team:data
         define x: day 5 select=team:data|web|data
         define z: day 5 select=team:data|data
         at 2026-03-02T10:00 hold a 1 for team=data
         expect x: used=1
         expect y: used=1
         expect z: used=1
         define y: day 5 select=team:web
         remove x
         hold b 1 for team=data
         expect z: used=2
         hold c 1 for team=web
         expect y: used=2",
    );
}

/// The agent's own first, then those that select it by name; one that does both counts once.
#[test]
fn a_budget_that_is_named_and_selects_counts_once() {
    check(
        "define z: day 5 select=team:data
         define y: day 5 select=team:data
         at 2026-03-02T10:00 hold a 2 in z for team=data
         expect z: used=2
         expect y: used=2
         hold b 4 in z for team=data => refused: 2 of 5 used in z
         hold b 4 for team=data => refused: 2 of 5 used in y
         hold b 1 in z for team=web
         expect z: used=3
         expect y: used=2",
    );
}

#[test]
fn a_selector_that_changes_selects_otherwise_from_then_on() {
    check(
        "define t: day 5 select=team:data
         at 2026-03-02T10:00 hold a 2 for team=data
         define t: day 5 select=team:web,user:a*|b
         hold b 1 for team=data => an action needs 1 to 16 budgets, found 0
         hold b 1 for team=web,user=c => an action needs 1 to 16 budgets, found 0
         hold b 1 for team=web,user=abe
         expect t: used=3
         define t: day 5
         hold c 1 for team=web,user=abe => an action needs 1 to 16 budgets, found 0
         define t: day 5 select=user:a*
         hold c 1 for user=ann
         end a 2
         expect t: used=4",
    );
}

#[test]
fn a_removed_budget_admits_nothing_and_forgets_nothing() {
    check(
        "define t: day 5 select=team:data
         define day 9
         at 2026-03-02T10:00 hold a 3 in b for team=data
         hold z 1 in b
         limit t: 6
         remove t
         remove t => there is no budget t
         hold b 4 in b for team=data                   # it selects nothing,
         hold c 1 in t => there is no budget t         # and cannot be named
         hold c 1 in t for team=data => there is no budget t
         limit t: 7 => there is no budget t
         topup t: 7 => there is no budget t
         pause t => there is no budget t
         end a 4
         expect t: settled=4
         define t: day 5 select=team:data
         expect t: used=4 limit=5                      # what an administrator set went with it
         hold d 3 for team=data => refused: 4 of 5 used in t
         remove t
         at 2026-03-04T10:00
         define t: day 1 select=team:data
         declared t => budget t has its declared limit
         expect t: used=0 limit=1
         remove b
         end z 1",
    );
}

#[test]
fn a_budget_that_is_removed_and_defined_again_has_its_new_terms() {
    check(
        "define day 5
         at 2026-03-02T10:00 hold a 4
         end a 4
         limit 50
         pause
         topup 2
         remove
         define day 6
         expect used=4 limit=8 credit=2 paused=false   # what was spent, and what was topped up, is of the window
         resume => budget b is not paused
         hold b 5 => refused: 4 of 8 used
         hold b 4
         end b 10
         at 2026-03-03T10:00 expect carried=6
         limit 1
         remove                                        # from here on at the declared limit
         at 2026-03-05T10:00 define day 6
         expect carried=0 limit=6 paused=false",
    );
}

#[test]
fn a_removed_budget_is_forgotten_when_nothing_of_it_counts() {
    let mut ledger = Ledger::default();
    let day = |text| instant(text, "UTC");
    let now = day("2026-03-02T10:00");
    for (name, window) in [
        ("idle", "day"),
        ("spent", "day"),
        ("held", "day"),
        ("total", "total"),
        ("last", "day"),
    ] {
        ledger.define(
            BudgetSpec::money(budget(name), Amount(5), window_of(window, "UTC")),
            now,
        );
    }
    let charge = Charge {
        money: model::NanoUsd(3),
        ..Charge::NONE
    };
    for name in ["spent", "held", "total"] {
        let hold = Hold {
            amount: charge,
            bookings: ledger.admit(&[pot(name)], &charge, now).unwrap(),
            expires: now,
            boot: 1,
        };
        ledger.place(attempt(name), hold, now).unwrap();
    }
    for name in ["spent", "total"] {
        ledger.end(attempt(name), &charge, now).unwrap();
    }
    let kept = |ledger: &Ledger| {
        let names = ["idle", "spent", "held", "total", "last"].into_iter();
        names
            .filter(|name| ledger.budget(&budget(name)).is_some())
            .collect::<Vec<_>>()
    };
    for name in ["idle", "spent", "held", "total"] {
        ledger.remove(&budget(name), now).unwrap();
    }
    assert_eq!(kept(&ledger), ["spent", "held", "total", "last"]);
    ledger.remove(&budget("last"), day("2026-03-04T10:00")).unwrap();
    assert_eq!(
        kept(&ledger),
        ["held", "total"],
        "nothing ends the total, and the hold is open"
    );
    ledger.end(attempt("held"), &charge, day("2026-03-04T11:00")).unwrap();
    assert!(ledger.holds().next().is_none());
}

/// A debt is paid off while the budget is removed, at the limit it had.
#[test]
fn a_debt_of_a_removed_budget() {
    check(
        "define day 5
         at 2026-03-02T10:00 hold a 1
         end a 30
         remove
         at 2026-03-04T10:00 define day 100
         expect carried=20
         at 2026-03-05T10:00 expect carried=0",
    );
}

#[test]
fn years() {
    check(
        "zone Europe/Berlin
         define year 5
         define r: rolling-year 5
         at 2026-12-31T23:59 hold a 5 in b,r
         end a 7
         expect resets=2027-01-01T00:00+01:00
         at 2027-01-01T00:00 expect carried=2 used=2 resets=2028-01-01T00:00+01:00
         expect r: used=7 remaining=0
         at 2027-12-31T23:59 expect r: used=7           # 365 days, and at most a part of six days and two hours more
         at 2028-01-06T23:59 expect r: used=0
         hold b 5
         end b 10
         at 2028-12-31T23:59 expect carried=0 used=10   # a leap year has 366 days
         at 2029-01-01T00:00 expect carried=5
         at 2029-12-31T23:59 expect carried=5
         at 2030-01-01T00:00 expect carried=0",
    );
}

#[test]
fn idle_years_are_counted_over_leap_years_and_centuries() {
    check(
        "define year 1
         at 1999-06-01T00:00 hold a 1
         end a 401
         at 2000-12-31T23:59 expect carried=400
         at 2001-01-01T00:00 expect carried=399
         at 2024-12-31T23:59 expect carried=376
         at 2025-01-01T00:00 expect carried=375
         at 2100-12-31T23:59 expect carried=300        # no leap year
         at 2101-01-01T00:00 expect carried=299
         at 2399-12-31T23:59 expect carried=1
         at 2400-01-01T00:00 expect carried=0",
    );
}

#[test]
fn selectors_that_overlap() {
    for (one, other, overlap) in [
        ("*", "*", true),
        ("team:a", "*", true),
        ("team:a", "team:a", true),
        ("team:a", "team:b", false),
        ("team:a|b", "team:b|c", true),
        ("team:a", "user:b", true),
        ("team:a,user:x", "team:a,user:y", false),
        ("team:a*", "team:ab", true),
        ("team:a*", "team:b*", false),
        ("team:a*", "team:abc*", true),
        ("team:abc*", "team:ab", false),
        ("tool:a", "tool:b", true),
    ] {
        for (one, other) in [(one, other), (other, one)] {
            assert_eq!(selector(one).overlaps(&selector(other)), overlap, "{one} {other}");
        }
    }
}
