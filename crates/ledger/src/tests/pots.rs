//! Budgets that keep pots apart. In tests one keeps four at most.

use super::table::{check, check_under_rules_of};

#[test]
fn everyone_has_a_pot_with_the_whole_limit() {
    check(
        "define day 5 each=user select=team:data
         at 2026-03-02T10:00 hold a 5 for team=data,user=ann
         hold b 1 for team=data,user=ann => refused: 5 of 5 used in b[ann]
         hold b 4 for team=data,user=bob
         expect b[ann]: used=5 remaining=0
         expect b[bob]: used=4 remaining=1
         expect b[cyd]: used=0 remaining=5
         pots => ann bob
         end a 7
         end b 1
         at 2026-03-03T10:00 expect b[ann]: carried=2
         expect b[bob]: carried=0
         hold c 1 for team=data => an action needs 1 to 16 budgets, found 0   # of no user
         hold c 1 in b => crowded                                             # the budget has no pot of its own
         hold c 1 in b[ann/x] => crowded in b[ann/x]",
    );
}

#[test]
fn pots_of_two_labels() {
    check(
        "define day 5 each=team,user select=*
         at 2026-03-02T10:00 hold a 5 for team=data,user=ann
         hold b 5 for team=web,user=ann
         hold c 1 for team=web => an action needs 1 to 16 budgets, found 0
         hold c 1 for user=ann,team=web => refused: 5 of 5 used in b[web/ann]
         pots => data/ann web/ann",
    );
}

/// An agent that names it takes from the pot that its request falls into.
#[test]
fn a_named_budget_keeps_pots_apart_too() {
    check(
        "define day 5 each=user
         at 2026-03-02T10:00 hold a 5 in b for user=ann
         hold b 5 in b for user=bob
         hold c 1 in b for user=bob => refused: 5 of 5 used in b[bob]
         hold c 1 in b for team=data => an action needs 1 to 16 budgets, found 0",
    );
}

#[test]
fn edits_of_a_budget_are_edits_of_its_pots() {
    check(
        "define day 5 each=user
         at 2026-03-02T10:00 hold a 5 in b[ann]
         hold b 3 in b[bob]
         limit 7
         expect b[ann]: limit=7 remaining=2
         topup b[ann]: 2
         topup b[cyd]: 1
         topup 1 => budget b has no such pot
         topup b[ann/x]: 1 => budget b has no such pot
         expect b[ann]: limit=9 credit=2
         expect b[bob]: limit=7 credit=0
         expect b[cyd]: limit=8 credit=1
         pause
         hold c 1 in b[bob] => paused in b[bob]
         hold c 1 in b[dan] => paused in b[dan]
         resume
         define week 7 each=user
         expect b[ann]: carried=3
         expect b[bob]: carried=3
         expect b[cyd]: used=0 limit=7
         end a 5
         end b 0
         expect b[bob]: used=0
         define week 7 each=team,user                  # other pots: they start from nothing
         expect b[data/ann]: used=0
         hold c 7 in b[data/ann]
         limit 8
         define week 7
         expect used=0 limit=8                         # what was set stays, for it counts the same
         end c 7
         expect used=0",
    );
}

#[test]
fn pots_that_say_nothing_are_forgotten() {
    check(
        "define minute 5 each=user
         at 2026-03-02T10:00 hold a 1 in b[ann]
         hold b 1 in b[bob]
         hold c 1 in b[cyd]
         end a 5
         end b 9
         pots => ann bob cyd
         at 2026-03-02T10:01 hold d 1 in b[dan]
         hold g 1 in b[dan]
         pots => bob cyd dan                           # of bob's 4 are left, and cyd's is open
         end c 1
         at 2026-03-02T10:05 hold e 1 in b[eve]
         hold f 1 in b[eve]
         hold h 1 in b[eve]
         pots => dan eve                               # dan's is open",
    );
}

#[test]
fn pots_of_a_rolling_window_are_forgotten_when_all_rolled_out() {
    check(
        "define rolling-hour 5 each=user
         at 2026-03-02T10:00 hold a 5 in b[ann]
         end a 5
         topup b[bob]: 1
         at 2026-03-02T11:00 hold c 1 in b[cyd]
         hold d 1 in b[cyd]
         pots => ann bob cyd
         at 2026-03-02T11:01 hold e 1 in b[cyd]
         pots => cyd
         expect b[ann]: used=0 limit=5",
    );
}

/// A pot that is forgotten is a new one when it is made again, and a hold of before books nowhere twice.
#[test]
fn a_pot_that_comes_back() {
    check(
        "define minute 5 each=user thresholds=50
         at 2026-03-02T10:00 hold a 5 in b[ann]
         end a 5 => 50%: 5 of 5 in b[ann]
         at 2026-03-02T10:02 hold b 1 in b[bob]
         hold c 1 in b[bob]
         pots => bob
         hold d 5 in b[ann]
         end d 5 => 50%: 5 of 5 in b[ann]
         define hour 5 each=user thresholds=50
         expect b[ann]: carried=5
         at 2026-03-02T11:00 end b 5 => 50%: 6 of 5 in b[bob]   # with what c may still book
         end c 1
         expect b[bob]: carried=1",
    );
}

#[test]
fn a_budget_with_too_many_pots_refuses() {
    check(
        "define minute 5 each=user ask=60
         define t: day 100
         at 2026-03-02T10:00 hold a 1 in b[ann]
         hold b 1 in b[bob]
         hold c 1 in b[cyd]
         hold d 1 in b[dan]
         hold e 1 in b[eve],t => crowded in b[eve]     # and nobody is asked: a top-up would not help
         topup b[eve]: 1 => budget b has no such pot
         expect t: used=0
         hold e 1 in b[ann],t
         crowded                                       # all of them are in use
         hold f 1 in b[eve] => crowded in b[eve]
         end b 1
         end c 1
         at 2026-03-02T10:01 hold f 1 in b[eve] => crowded in b[eve]
         crowded
         pots => ann dan
         hold f 1 in b[eve]",
    );
}

#[test]
fn those_that_ask_are_told_after_those_that_only_refuse() {
    check(
        "define ask: day 5 ask=60
         define other: day 4 ask=90
         define plain: day 3
         at 2026-03-02T10:00
         hold a 9 in ask,other,plain => refused: 0 of 3 used in plain
         hold a 9 in ask,other => refused: 0 of 5 used in ask, asks 60 s
         hold a 9 in other,ask => refused: 0 of 4 used in other, asks 90 s
         pause other
         hold a 9 in ask,other => paused in other      # resuming is not topping up
         hold a 9 in ask,nobody => there is no budget nobody
         resume other
         topup ask: 4
         hold a 9 in ask,other => refused: 0 of 4 used in other, asks 90 s
         topup other: 5
         hold a 9 in ask,other",
    );
}

/// Which pots are forgotten does not depend on the rules of a zone, so replay has room for the same ones.
#[test]
fn pots_are_forgotten_under_other_rules_too() {
    let scenario = "zone Europe/Berlin
         define day 5 each=user
         at 2026-03-28T10:00 hold a 5 in b[ann]
         end a 5
         hold b 5 in b[bob]
         end b 11
         hold c 1 in b[cyd]
         end c 1
         at 2026-03-29T00:00 hold d 1 in b[dan]
         end d 1
         at 2026-03-30T00:00 hold e 1 in b[eve]
         end e 1
         at 2026-03-31T00:00 hold f 1 in b[fay]
         end f 1
         at 2026-04-01T00:00 hold g 1 in b[gus]
         end g 1
         at 2026-04-02T00:00 hold h 1 in b[ann]
         end h 1";
    for zone in ["Europe/Atlantis", "Europe/London", "Europe/Athens", "UTC"] {
        check_under_rules_of(zone, scenario);
    }
}
