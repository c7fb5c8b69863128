//! What a log says of itself.

use std::collections::BTreeMap;

use model::{Digest, TenantName};

use super::{
    log::Log,
    samples::{by, every_event},
};
use crate::{Absence, Absent, Class, Event, Expired, FORKS_MAX, HEADS_MAX, LastExpired, LogHead, State};

const FIRST: &str = "agents.example/default+800c7c02+AYPq/wzmuWxj6qhTSxfK+4vgk3xyVwviAPuyBBnj2w/4";
const SECOND: &str = "agents.example/default+1f2e3d4c+Ae1oDDzJfQKGBCOTz6hG0jlmmNfqXH1OUSCdEBPY0UFQ";

fn started(boot: u64) -> Event {
    Event::Started {
        node: "n5c1e".to_owned(),
        boot,
        version: "0.1.0".to_owned(),
        heartbeat_s: None,
    }
}

fn stopped(boot: u64) -> Event {
    Event::Stopped {
        node: "n5c1e".to_owned(),
        boot,
        why: "signal".to_owned(),
    }
}

fn heads(boot: u64, tenants: &[&str]) -> Event {
    let head = |name: &&str| LogHead {
        tenant: TenantName::new(name).unwrap(),
        size: 184_467,
        root: Digest([4; 32]),
    };
    let heads = tenants.iter().map(head).collect();
    Event::Heads { boot, heads }
}

fn heartbeat(boot: u64) -> Event {
    Event::Heartbeat { boot, every_s: 60 }
}

fn added(key: &str, beside: &str) -> Event {
    let (key, beside) = (key.to_owned(), beside.to_owned());
    Event::SigningKeyAdded { key, beside, by: by() }
}

fn retired(key: &str) -> Event {
    let key = key.to_owned();
    Event::SigningKeyRetired { key, by: by() }
}

fn missed(absent: usize) -> Event {
    let absent = (0..absent).map(|number| Absent {
        witness: format!("witness-{number}.example"),
        why: Absence::Unreachable,
    });
    Event::QuorumMissed {
        size: 184_400,
        quorum: 2,
        absent: absent.collect(),
    }
}

fn met() -> Event {
    Event::QuorumMet { size: 184_467 }
}

fn forked(witness: usize) -> Event {
    Event::ForkReported {
        witness: format!("witness-{witness}.example+5b2f7c91+BFDM2z3qXeBTZ6hG0jlmmNfqXH1OUSCdEBPY0UFQ"),
        size: 184_467,
    }
}

fn snapshot() -> Event {
    let digest = Digest([3; 32]);
    Event::SnapshotTaken { digest }
}

fn expired(before: &[(Class, u64)], snapshot: u64) -> Event {
    counted(before, 1, snapshot)
}

fn counted(before: &[(Class, u64)], count: u64, snapshot: u64) -> Event {
    let before: BTreeMap<_, _> = before.iter().copied().collect();
    Event::Expired(Expired {
        before,
        count,
        snapshot,
        by: by(),
    })
}

fn hold(name: &str) -> Event {
    Event::LegalHoldSet {
        name: name.to_owned(),
        note: "case 4711".to_owned(),
        by: by(),
    }
}

fn lifted(name: &str) -> Event {
    Event::LegalHoldLifted {
        name: name.to_owned(),
        note: "closed".to_owned(),
        by: by(),
    }
}

/// One event of every kind that a log says of itself.
pub(crate) fn evidence_events() -> Vec<Event> {
    vec![
        heads(12, &["default", "research"]),
        heartbeat(12),
        added(SECOND, FIRST),
        retired(FIRST),
        Event::Restored {
            checkpoint: "agents.example/default\n11\nLP8qVEPF2NTjabnYBT9X+xjZvnzAswd+SBL10BUq12o=\n\n\u{2014} \
                         agents.example/default gAx8Arq=\n"
                .to_owned(),
            note: "the disk died; the backup of Sunday".to_owned(),
            by: by(),
        },
        missed(1),
        met(),
        snapshot(),
        counted(
            &[(Class::Calls, 120_000), (Class::Decisions, 180_000)],
            167_204,
            184_400,
        ),
        hold("case-4711"),
        lifted("case-4711"),
        forked(0),
    ]
}

/// The server's own log.
fn system() -> Log {
    let mut log = Log::new();
    log.state = State::new(TenantName::system());
    log
}

#[track_caller]
fn check(log: &Log, takes: bool, event: Event, what: &str) {
    assert_eq!(log.takes(event), takes, "{what}");
}

#[test]
fn starts_are_dense_in_the_servers_log_and_rise_in_others() {
    let mut own = system();
    let mut other = Log::new();
    check(&own, false, started(2), "the first start of all is the first");
    check(&other, true, started(7), "a log may be younger than the server");
    own.push(started(1));
    other.push(started(7));
    check(&own, false, started(3), "a start is missing");
    check(&own, false, started(1), "the same start twice");
    check(&other, true, started(9), "nothing was written there meanwhile");
    check(&other, false, started(7), "the same start twice");
    check(&other, false, started(6), "an earlier start");
}

#[test]
fn stops_and_heartbeats_are_of_the_start_that_the_log_is_in() {
    let mut log = Log::new();
    check(&log, true, heartbeat(4), "a log that was begun while the server ran");
    log.push(started(5));
    for (boot, takes) in [(5, true), (4, false), (6, false)] {
        check(&log, takes, heartbeat(boot), "a heartbeat");
        check(&log, takes, stopped(boot), "a stop");
    }
    // Stops of earlier versions stood in the server's own log only, and nothing was compared.
    let mut old = system();
    for event in [started(1), stopped(6)] {
        let entry = crate::Entry {
            v: 4,
            ..old.next(event)
        };
        assert_eq!(old.state.apply(&entry), Ok(()));
    }
}

#[test]
fn heads_are_of_other_logs_in_order() {
    let mut log = system();
    log.push(started(1));
    check(&log, true, heads(1, &["a", "b"]), "in order");
    check(&log, false, heads(2, &["a", "b"]), "another start");
    check(&log, false, heads(1, &["b", "a"]), "out of order");
    check(&log, false, heads(1, &["a", "a"]), "twice");
    check(&log, false, heads(1, &[]), "none");
    let many: Vec<String> = (0..=HEADS_MAX).map(|number| format!("t{number:03}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    check(&log, false, heads(1, &many), "too many");
    check(&log, true, heads(1, many.get(1..).unwrap()), "as many as there may be");
    check(&Log::new(), false, heads(1, &["a"]), "in another log");
}

#[test]
fn signing_keys_come_beside_others_and_the_last_stays() {
    let mut log = Log::new();
    check(&log, false, retired(FIRST), "no entry names it");
    check(&log, false, added(FIRST, FIRST), "beside itself");
    log.push(added(SECOND, FIRST));
    check(&log, false, added(SECOND, FIRST), "twice");
    log.push(retired(FIRST));
    check(&log, false, retired(SECOND), "the last");
    check(&log, false, added(FIRST, SECOND), "a key that retired");
    check(
        &log,
        false,
        added("agents.example/default+1+2", FIRST),
        "beside one that retired",
    );
    check(&log, false, added("other+1+2", SECOND), "another log's");
    check(
        &log,
        true,
        added("agents.example/default+1+2", SECOND),
        "beside one that signs",
    );
}

#[test]
fn missing_witnesses_are_said_once_and_so_is_their_return() {
    let mut log = Log::new();
    check(&log, false, met(), "nobody was missing");
    check(&log, false, missed(33), "too many");
    log.push(missed(2));
    check(&log, false, missed(1), "twice");
    log.push(met());
    check(&log, false, met(), "twice");
    check(&log, true, missed(1), "again");
}

#[test]
fn each_witness_reports_a_fork_once() {
    let mut log = Log::new();
    log.push(forked(0));
    check(&log, false, forked(0), "twice");
    log.push(missed(1));
    log.push(met());
    check(&log, false, forked(0), "whoever signs: it has seen another history");
    for witness in 1..FORKS_MAX {
        log.push(forked(witness));
    }
    check(&log, false, forked(FORKS_MAX), "too many");
}

#[test]
fn nothing_expires_without_a_snapshot_or_under_a_legal_hold() {
    let mut log = Log::new();
    for boot in 1..20 {
        log.push(started(boot));
    }
    check(&log, false, expired(&[(Class::Calls, 5)], 19), "no snapshot");
    let at = log.push(snapshot());
    check(&log, true, expired(&[(Class::Calls, 5)], at), "before the snapshot");
    check(
        &log,
        false,
        expired(&[(Class::Calls, at + 1)], at),
        "the snapshot itself",
    );
    check(&log, false, expired(&[], at), "nothing");
    check(&log, false, expired(&[(Class::Calls, 5)], at - 1), "another snapshot");
    log.push(hold("case"));
    check(&log, false, expired(&[(Class::Calls, 5)], at), "under a legal hold");
    check(&log, false, hold("case"), "twice");
    check(&log, false, lifted("other"), "an unknown hold");
    log.push(lifted("case"));
    log.push(expired(&[(Class::Calls, 5)], at));
    check(&log, false, expired(&[(Class::Calls, 5)], at), "what is gone already");
    check(&log, false, expired(&[(Class::Calls, 4)], at), "less than is gone");
    check(&log, true, expired(&[(Class::Calls, 6)], at), "more");
    check(&log, true, expired(&[(Class::Decisions, 2)], at), "another class");
}

#[test]
fn no_more_expires_than_there_is() {
    let mut log = Log::new();
    for boot in 1..20 {
        log.push(started(boot));
    }
    let at = log.push(snapshot());
    let five = &[(Class::Server, 5)];
    check(&log, false, counted(five, 0, at), "nothing");
    check(&log, false, counted(five, 6, at), "more than there are");
    check(&log, true, counted(five, 5, at), "all of them");
    let last = log.push(counted(five, 4, at));
    check(
        &log,
        false,
        counted(&[(Class::Server, 6)], 3, at),
        "one is left, and one more",
    );
    check(&log, true, counted(&[(Class::Server, 6)], 2, at), "all of them");
    check(&log, false, counted(&[(Class::Calls, 3)], 2, at), "one is left");
    let said = &log.state.evidence;
    let place = LastExpired {
        entry: last,
        snapshot: at,
    };
    assert_eq!((said.gone, said.last_expired, said.gone_below()), (4, Some(place), 5));
    for (class, index, gone) in [
        (Some(Class::Server), 4, true),
        (Some(Class::Server), 5, false),
        (Some(Class::Calls), 4, false),
        (None, 4, false),
    ] {
        assert_eq!(said.lets_go(class, index), gone, "{class:?} {index}");
    }
}

#[test]
fn every_kind_has_a_class_and_every_class_a_kind() {
    for class in Class::ALL {
        assert!(
            every_event().iter().any(|event| event.class() == Some(class)),
            "{class:?}"
        );
        assert_eq!(
            serde_json::to_string(&class).unwrap(),
            format!("\"{}\"", class.as_str())
        );
    }
}
