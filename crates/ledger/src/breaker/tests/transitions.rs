use model::NanoUsd;

use super::table::{Request, attempt, check, instant, spec, steps};
use crate::{BreakerEnding as Ending, BreakerError, Breakers, Closing, Notice, Scope, Trip};

#[test]
fn the_fourth_same_step_is_refused_and_trips() {
    check(
        "define b scope=run same=3/4 periodic=2/3 within=600 cooldown=60
         at 0 ask 1 mailer/r A => go
         end 1 0.1
         at 100 ask 2 mailer/r A => go
         end 2 0.1
         ask 3 mailer/r B => go
         end 3 0.1
         at 200 ask 4 mailer/r A => go, breaker b warns of run mailer/r: the same step 3 times within 200 s
         end 4 0.1
         at 312 ask 5 mailer/r A => breaker b stops run mailer/r: the same step 4 times within 312 s
         expect b mailer/r => open since 312 until 372
         ask 6 mailer/r C => b open for mailer/r until 372 (same_step)
         ask 7 mailer/other A => go              # another run
         at 371 ask 8 mailer/r C => b open for mailer/r until 372 (same_step)
         at 372 expect b mailer/r => half_open since 312 until 372
         ask 9 mailer/r C => probe
         expect b mailer/r => half_open since 312 until 372 probing
         end 9 0.1 => ok, breaker b lets run mailer/r go again
         expect b mailer/r => closed",
    );
}

#[test]
fn a_loop_that_goes_on_where_it_was_stopped_is_stopped_again() {
    check(
        "define b scope=run same=2/3 periodic=2/3 within=600 cooldown=60
         at 0 ask 1 mailer/r A => go
         ask 2 mailer/r A => go, breaker b warns of run mailer/r: the same step 2 times within 0 s
         ask 3 mailer/r A => breaker b stops run mailer/r: the same step 3 times within 0 s
         at 60 ask 4 mailer/r A => breaker b stops run mailer/r: the same step 3 times within 60 s
         expect b mailer/r => open since 0 until 120
         at 130 ask 5 mailer/r B => probe
         ask 6 mailer/r A => b probing for mailer/r until 135 (same_step)
         end 5 0 => ok, breaker b lets run mailer/r go again
         ask 7 mailer/r A => breaker b stops run mailer/r: the same step 3 times within 130 s
         reset b mailer/r
         ask 8 mailer/r A => go                  # what was counted is forgotten
         ask 9 mailer/r A => go, breaker b warns of run mailer/r: the same step 2 times within 0 s
         ask 10 mailer/r A => breaker b stops run mailer/r: the same step 3 times within 0 s
         at 730 ask 11 mailer/r A => probe       # the last of them is 600 s ago",
    );
}

#[test]
fn failed_and_unsent_calls_are_no_repeats() {
    check(
        "define b scope=run same=2/3 periodic=2/3 within=600 cooldown=60
         at 0 ask 1 mailer A => go
         fail 1
         ask 2 mailer A => go
         fail 2
         ask 3 mailer A => go
         unsent 3
         ask 4 mailer A => go
         ask 5 mailer A => go, breaker b warns of run mailer: the same step 2 times within 0 s
         fail 5
         ask 6 mailer A => go                    # warned of once
         ask 7 mailer A => breaker b stops run mailer: the same step 3 times within 0 s",
    );
}

#[test]
fn steps_in_turn_are_a_loop_too() {
    check(
        "define b scope=run same=8/9 periodic=2/3 within=600 cooldown=60
         at 0 ask 1 mailer/r X => go
         ask 2 mailer/r A => go
         ask 3 mailer/r B => go
         ask 4 mailer/r A => go
         ask 5 mailer/r B => go, breaker b warns of run mailer/r: the same 2 steps in turn 2 times within 0 s
         ask 6 mailer/r A => go
         at 9 ask 7 mailer/r B => breaker b stops run mailer/r: the same 2 steps in turn 3 times within 9 s
         at 70 ask 8 mailer/r C => probe
         end 8 0 => ok, breaker b lets run mailer/r go again
         ask 9 mailer/r D => go
         ask 10 mailer/r A => go
         ask 11 mailer/r C => go
         ask 12 mailer/r D => go, breaker b warns of run mailer/r: the same 3 steps in turn 2 times within 70 s
         ask 13 mailer/r A => go
         ask 14 mailer/r C => go
         ask 15 mailer/r D => breaker b stops run mailer/r: the same 3 steps in turn 3 times within 70 s",
    );
}

#[test]
fn a_breaker_of_an_agent_sees_loops_in_each_run_and_stops_all() {
    check(
        "define b scope=agent same=3/4 periodic=2/3 within=600 cooldown=60
         at 0 ask 1 mailer/r1 A => go
         ask 2 mailer/r2 A => go
         ask 3 mailer/r3 A => go
         ask 4 mailer/r4 A => go
         ask 5 mailer/r4 A => go
         ask 6 mailer/r4 A => go, breaker b warns of agent mailer: the same step 3 times within 0 s in run mailer/r4
         ask 7 mailer/r4 A => breaker b stops agent mailer: the same step 4 times within 0 s in run mailer/r4
         ask 8 mailer/r1 B => b open for mailer until 60 (same_step)
         ask 9 other/r1 B => go
         at 60 ask 10 mailer/r1 B => probe
         ask 11 mailer/r2 B => b probing for mailer until 65 (same_step)",
    );
}

#[test]
fn a_breaker_of_a_team_is_about_those_that_have_one() {
    check(
        "define b scope=team spend=1/60 cooldown=60
         at 0 ask 1 data:mailer => go
         ask 2 data:reader => go
         ask 3 mailer => go
         end 3 5
         end 1 0.6
         end 2 0.6 => ok, breaker b stops team data: 1.2 USD spent within 60 s, more than 1 USD
         ask 4 data:reader => b open for data until 60 (spend)
         ask 5 mailer => go",
    );
}

#[test]
fn a_probe_closes_no_breaker_that_still_has_its_reason() {
    check(
        "define b scope=agent spend=1/600 cooldown=60
         at 0 ask 1 mailer => go
         ask 2 mailer => go
         end 1 1
         at 1 ask 3 mailer => go
         end 3 0.1 => ok, breaker b stops agent mailer: 1.1 USD spent within 600 s, more than 1 USD
         at 2 end 2 5                            # was in flight: counts, and does not extend
         expect b mailer => open since 1 until 61
         at 61 ask 4 mailer => probe
         end 4 0.1 => ok, breaker b stops agent mailer: 6.2 USD spent within 600 s, more than 1 USD
         expect b mailer => open since 1 until 121
         at 700 ask 5 mailer => probe
         end 5 0.1 => ok, breaker b lets agent mailer go again",
    );
}

#[test]
fn a_failed_probe_opens_and_an_unsent_one_leaves_the_next() {
    check(
        "define b scope=agent errors=50/4/600 cooldown=60
         at 0 ask 1 mailer => go
         ask 2 mailer => go
         ask 3 mailer => go
         ask 4 mailer => go
         ask 5 mailer => go
         end 1 0
         end 2 0
         fail 3
         fail 4 => ok, breaker b stops agent mailer: 2 of 4 calls failed within 600 s
         fail 5                                  # was in flight
         at 60 ask 6 mailer => probe
         unsent 6
         ask 7 mailer => probe
         ask 8 mailer => b probing for mailer until 65 (errors)
         at 70 fail 7 => ok, breaker b stops agent mailer: the probe failed; it had tripped because of 2 of 4 calls failed within 600 s
         expect b mailer => open since 0 until 130
         at 130 ask 9 mailer => probe
         fail 9 => ok, breaker b stops agent mailer: 2 probes failed; it had tripped because of 2 of 4 calls failed within 600 s
         at 190 ask 10 mailer => probe
         end 10 0 => ok, breaker b lets agent mailer go again
         ask 11 mailer => go
         fail 11                                 # failures are forgotten when it closes
         expect b mailer => closed",
    );
}

#[test]
fn a_surge_is_measured_against_windows_in_which_something_was_spent() {
    check(
        "define b scope=agent surge=300/60/10/0.5 cooldown=60
         at 0 ask 1 mailer => go
         end 1 0.1
         at 60 ask 2 mailer => go
         end 2 0.2
         at 120 ask 3 mailer => go
         end 3 9                                 # nobody knows what is usual
         at 240 ask 4 mailer => go               # an idle minute before this one
         end 4 0.2
         at 300 ask 5 mailer => go
         end 5 0.3
         at 360 ask 6 mailer => go
         end 6 0.6                               # three times the median is not more than that
         ask 7 mailer => go
         end 7 0.1 => ok, breaker b stops agent mailer: 0.7 USD spent in one window of 60 s, more than 300 % of 0.2 USD, the median of 5 windows before
         at 420 ask 8 mailer => probe
         end 8 0.1 => ok, breaker b lets agent mailer go again
         at 1500 ask 9 mailer => go              # all windows are long past
         end 9 50",
    );
}

#[test]
fn standing_still_trips() {
    check(
        "define b scope=run progress=6/2/600 cooldown=60
         at 0 ask 1 mailer/r A => go
         end 1 0
         ask 2 mailer/r A => go
         end 2 0
         ask 3 mailer/r B => go
         fail 3
         ask 4 mailer/r A => go
         end 4 0
         ask 5 mailer/r B => go
         end 5 0
         ask 6 mailer/r B => go
         end 6 0
         at 9 ask 7 mailer/r A => go
         end 7 0 => ok, breaker b stops run mailer/r: 6 calls took 2 different steps within 9 s
         at 69 ask 8 mailer/r B => probe
         end 8 0 => ok, breaker b stops run mailer/r: 6 calls took 2 different steps within 69 s
         at 129 ask 9 mailer/r C => probe
         end 9 0 => ok, breaker b lets run mailer/r go again",
    );
}

#[test]
fn of_several_that_stop_a_trip_comes_first_then_the_longest() {
    check(
        "define a scope=agent spend=1/600 cooldown=60
         define b scope=agent spend=2/600 cooldown=600
         define c scope=run same=2/3 periodic=2/3 within=600 cooldown=10
         at 0 ask 1 mailer/r A => go
         ask 2 mailer/r A => go, breaker c warns of run mailer/r: the same step 2 times within 0 s
         ask 3 mailer/r B => go
         end 1 1.5 => ok, breaker a stops agent mailer: 1.5 USD spent within 600 s, more than 1 USD
         end 2 1.5 => ok, breaker b stops agent mailer: 3 USD spent within 600 s, more than 2 USD
         ask 4 mailer/r C => b open for mailer until 600 (spend)
         ask 5 mailer/r A => breaker c stops run mailer/r: the same step 3 times within 0 s
         ask 6 mailer/r A => b open for mailer until 600 (spend)
         remove b
         ask 7 mailer/r A => a open for mailer until 60 (spend)",
    );
}

#[test]
fn one_attempt_may_probe_several() {
    check(
        "define a scope=agent spend=1/60 cooldown=60
         define b scope=agent errors=100/2/60 cooldown=90
         at 0 ask 1 mailer => go
         ask 2 mailer => go
         ask 3 mailer => go
         fail 1
         fail 2 => ok, breaker b stops agent mailer: 2 of 2 calls failed within 60 s
         end 3 2 => ok, breaker a stops agent mailer: 2 USD spent within 60 s, more than 1 USD
         at 90 ask 4 mailer => probe
         ask 5 mailer => a probing for mailer until 95 (spend)
         end 4 0 => ok, breaker a lets agent mailer go again, breaker b lets agent mailer go again",
    );
}

#[test]
fn new_rules_leave_open_what_is_and_another_scope_begins_anew() {
    check(
        "define b scope=agent spend=1/600 cooldown=60
         at 0 ask 1 mailer => go
         end 1 2 => ok, breaker b stops agent mailer: 2 USD spent within 600 s, more than 1 USD
         define b scope=agent spend=9/600 cooldown=60
         ask 2 mailer => b open for mailer until 60 (spend)
         at 60 ask 3 mailer => probe
         end 3 0 => ok, breaker b lets agent mailer go again
         ask 4 mailer => go
         define b scope=run spend=1/600 cooldown=60
         end 4 3                                 # began under another scope
         expect b mailer => unknown
         ask 5 mailer => go
         end 5 3 => ok, breaker b stops run mailer: 3 USD spent within 600 s, more than 1 USD",
    );
}

#[test]
fn a_reset_makes_a_probe_a_call_like_any_other() {
    check(
        "define b scope=agent spend=1/600 cooldown=60
         at 0 ask 1 mailer => go
         end 1 2 => ok, breaker b stops agent mailer: 2 USD spent within 600 s, more than 1 USD
         at 60 ask 2 mailer => probe
         reset b mailer
         expect b mailer => closed
         ask 3 mailer => go
         end 2 0.5
         end 3 0.6 => ok, breaker b stops agent mailer: 1.1 USD spent within 600 s, more than 1 USD
         reset b other => breaker b knows of no such agent to close: other",
    );
}

#[test]
fn what_nobody_asks_about_is_forgotten() {
    check(
        "define b scope=run same=2/3 periodic=2/3 within=60 cooldown=60
         at 0 ask 1 mailer/r A => go
         ask 2 mailer/r A => go, breaker b warns of run mailer/r: the same step 2 times within 0 s
         ask 3 mailer/r A => breaker b stops run mailer/r: the same step 3 times within 0 s
         ask 4 mailer/s A => go
         at 86459 ask 5 mailer/t A => go
         expect b mailer/s => unknown
         expect b mailer/r => half_open since 0 until 60
         at 86460 ask 6 mailer/t B => go
         expect b mailer/r => unknown",
    );
}

#[test]
fn the_clock_may_step_back() {
    check(
        "define b scope=run same=2/3 periodic=2/3 within=60 cooldown=60
         at 1000 ask 1 mailer/r A => go
         at 990 ask 2 mailer/r A => go, breaker b warns of run mailer/r: the same step 2 times within 10 s
         at 100 ask 3 mailer/r A => go           # what is dated so far ahead does not count
         at 110 ask 4 mailer/r A => go, breaker b warns of run mailer/r: the same step 2 times within 10 s
         at 120 ask 5 mailer/r A => breaker b stops run mailer/r: the same step 3 times within 20 s",
    );
}

#[test]
fn a_refused_command_changes_nothing() {
    let mut breakers = Breakers::default();
    breakers
        .define(spec("b", &["scope=run", "spend=1/60", "cooldown=20"]))
        .unwrap();
    let request = Request {
        team: String::new(),
        agent: "mailer".to_owned(),
        run: "r".to_owned(),
        step: None,
    };
    breakers.begin(attempt("1"), &request.labels(), steps(None), instant(0));
    let mut owed = breakers.end(&attempt("1"), Ending::Answered, NanoUsd(2_000_000_000), instant(0));
    let Some(Notice::Tripped(trip)) = owed.pop() else {
        panic!("{owed:?}")
    };
    let named = |name: &str, of: &str, scope| Closing {
        breaker: name.parse().unwrap(),
        scope,
        of: of.to_owned(),
        since: instant(0),
    };
    let closed = breakers.clone();
    breakers.trip(&trip, instant(0)).unwrap();
    type Command<'a> = Box<dyn Fn(&mut Breakers) -> Result<(), BreakerError> + 'a>;
    let trips = |change: fn(&mut Trip)| -> Command<'_> {
        let mut wrong = trip.clone();
        change(&mut wrong);
        Box::new(move |breakers| breakers.trip(&wrong, instant(0)))
    };
    let closes = |name: &str, of: &str, scope| -> Command<'_> {
        let closing = named(name, of, scope);
        Box::new(move |breakers| breakers.close(&closing))
    };
    let resets = |name: &'static str, of: &'static str| -> Command<'_> {
        Box::new(move |breakers| breakers.reset(&name.parse().unwrap(), of, instant(0)))
    };
    let refused = [
        trips(|trip| trip.breaker = "other".parse().unwrap()),
        trips(|trip| trip.scope = Scope::Team),
        trips(|trip| trip.of = "nobody".to_owned()),
        trips(|trip| trip.until = instant(3_600)),
        closes("other", "mailer/r", Scope::Run),
        closes("b", "mailer/r", Scope::Team),
        closes("b", "nobody", Scope::Run),
        closes("b", "mailer/r", Scope::Run),
        resets("other", "mailer/r"),
        resets("b", "nobody"),
    ];
    for state in [breakers, closed] {
        for (number, command) in refused.iter().enumerate() {
            let mut copy = state.clone();
            assert!(command(&mut copy).is_err(), "command {number}");
            assert_eq!(copy, state, "command {number}");
        }
    }
}
