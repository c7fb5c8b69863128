//! When there are more keys than room: what is owed must not rest on what is forgotten.

use model::{BreakerName, NanoUsd};
use proptest::prelude::*;

use super::table::{Request, attempt, instant, spec, step, steps};
use crate::{Admission, BreakerEnding as Ending, BreakerError, Breakers, Notice};

fn request(agent: &str, run: &str, next: &str) -> Request {
    Request {
        team: String::new(),
        agent: agent.to_owned(),
        run: run.to_owned(),
        step: Some(step(next)),
    }
}

fn begin(breakers: &mut Breakers, id: &str, request: &Request) {
    breakers.begin(attempt(id), &request.labels(), steps(request.step), instant(0));
}

/// Ends a call and pays what that owes.
fn end(breakers: &mut Breakers, id: &str, ending: Ending, cost: i64, now: i64) -> Result<usize, BreakerError> {
    let owed = breakers.end(&attempt(id), ending, NanoUsd(cost), instant(now));
    for notice in &owed {
        match notice {
            Notice::Tripped(trip) => breakers.trip(trip, instant(now))?,
            Notice::Closed(closing) => breakers.close(closing)?,
            Notice::Warned(_) => {}
        }
    }
    Ok(owed.len())
}

/// A run that stands still lets its last call hang while others fill the room.
#[test]
fn a_trip_is_never_owed_on_steps_that_are_forgotten() {
    for names in [&["b"][..], &["a", "b"], &["b", "c"]] {
        let mut tripped = 0;
        for others in 0..8 {
            let mut breakers = Breakers::with_room(8);
            for name in names {
                let rule = if *name == "b" {
                    "progress=3/1/300"
                } else {
                    "spend=100/60"
                };
                breakers.define(spec(name, &["scope=run", rule])).unwrap();
            }
            for id in ["1", "2", "3"] {
                begin(&mut breakers, id, &request("mailer", "r", "again"));
                if id != "3" {
                    assert_eq!(end(&mut breakers, id, Ending::Answered, 0, 0), Ok(0));
                }
            }
            for other in 0..others {
                begin(
                    &mut breakers,
                    &format!("other{other}"),
                    &request("mailer", &other.to_string(), "else"),
                );
            }
            let paid = end(&mut breakers, "3", Ending::Answered, 0, 0);
            assert!(paid.is_ok(), "{names:?}, {others} others: {paid:?}");
            tripped += paid.unwrap();
        }
        assert!((1..8).contains(&tripped), "{names:?}: {tripped}");
    }
}

/// What a reset made a run forget does not come back with the key that remembered it gone.
#[test]
fn steps_are_not_kept_longer_than_the_reset_that_forgot_them() {
    let mut breakers = Breakers::with_room(5);
    breakers.define(spec("b", &["scope=run", "progress=3/1/300"])).unwrap();
    for id in ["1", "2"] {
        begin(&mut breakers, id, &request("mailer", "r", "again"));
        assert_eq!(end(&mut breakers, id, Ending::Answered, 0, 0), Ok(0));
    }
    begin(&mut breakers, "3", &request("mailer", "r", "again"));
    breakers.reset(&"b".parse().unwrap(), "mailer/r", instant(0)).unwrap();
    for other in ["o1", "o2"] {
        begin(&mut breakers, other, &request("mailer", other, "else"));
    }
    assert_eq!(end(&mut breakers, "3", Ending::Answered, 0, 0), Ok(0));
}

/// Somebody who asks for few is shown what is open, whatever else there is.
#[test]
fn few_standings_are_the_open_ones() {
    let mut breakers = Breakers::default();
    for name in ["a", "b", "c"] {
        breakers.define(spec(name, &["scope=run", "spend=1/60"])).unwrap();
    }
    for run in 0..40 {
        let (id, run) = (run.to_string(), format!("r{run:02}"));
        begin(&mut breakers, &id, &request("mailer", &run, "else"));
    }
    let (b, c): (BreakerName, BreakerName) = ("b".parse().unwrap(), "c".parse().unwrap());
    for id in ["7", "9"] {
        for notice in breakers.end(&attempt(id), Ending::Answered, NanoUsd(2_000_000_000), instant(0)) {
            let Notice::Tripped(trip) = notice else {
                panic!("{notice:?}")
            };
            if trip.breaker == b || (trip.breaker == c && id == "9") {
                breakers.trip(&trip, instant(0)).unwrap();
            }
        }
    }
    let shown = |name, closed, most| {
        let all = breakers.standing(name, instant(0), closed, most);
        let all = all
            .iter()
            .map(|one| format!("{} {} {}", one.breaker, one.of, one.phase.as_str()));
        all.collect::<Vec<_>>()
    };
    let open = ["b mailer/r07 open", "b mailer/r09 open", "c mailer/r09 open"];
    assert_eq!(shown(None, true, 3), open);
    assert_eq!(shown(None, false, 100), open);
    assert_eq!(shown(None, false, 1), open[..1]);
    assert_eq!(shown(Some(&c), false, 2), open[2..]);
    assert_eq!(
        shown(Some(&c), true, 2),
        ["c mailer/r09 open", "c mailer/r07 closed"].map(str::to_owned)
    );
    assert_eq!(shown(None, true, 1_000).len(), 3 * 40);
    assert_eq!(shown(None, true, 0).len(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// What an end owes is taken in its order, whatever was forgotten meanwhile: nothing that it rests on may be.
    #[test]
    fn what_is_owed_can_be_paid_when_room_is_short(
        room in 2_usize..16,
        commands in prop::collection::vec((0_u8..7, 0_u8..6, 0_u8..2, any::<usize>(), 0_u8..8), 1..160),
    ) {
        let mut breakers = Breakers::with_room(room);
        let rules = [
            ("a", "scope=run spend=1/60 cooldown=20"),
            ("b", "scope=run progress=3/1/300 cooldown=20"),
            ("c", "scope=agent progress=4/2/300 errors=60/3/60 cooldown=20"),
            ("d", "scope=run progress=3/2/300 spend=2/90 cooldown=30"),
        ];
        for (name, rules) in rules {
            breakers.define(spec(name, &rules.split(' ').collect::<Vec<_>>())).unwrap();
        }
        let (mut now, mut flying) = (0, Vec::new());
        for (number, (what, run, next, which, ending)) in commands.into_iter().enumerate() {
            match what {
                0 => now += i64::from(ending) * 4,
                1..4 => {
                    let request = request(&format!("a{}", run % 2), &run.to_string(), &next.to_string());
                    let id = number.to_string();
                    match breakers.admit(&request.labels(), steps(request.step), instant(now)) {
                        Admission::Stopped(_) => {}
                        Admission::Trips(trip) => breakers.trip(&trip, instant(now)).unwrap(),
                        Admission::Go | Admission::GoAsProbe => {
                            breakers.begin(attempt(&id), &request.labels(), steps(request.step), instant(now));
                            flying.push(id);
                        }
                    }
                }
                _ if flying.is_empty() => {}
                _ => {
                    let id = flying.swap_remove(which % flying.len());
                    let (ending, cost) = match ending {
                        0 => (Ending::NotSent, 0),
                        1 => (Ending::Failed, 0),
                        cost => (Ending::Answered, i64::from(cost) * 100_000_000),
                    };
                    let paid = end(&mut breakers, &id, ending, cost, now);
                    prop_assert!(paid.is_ok(), "{paid:?}");
                }
            }
            prop_assert!(breakers.keys() <= room);
        }
    }
}
