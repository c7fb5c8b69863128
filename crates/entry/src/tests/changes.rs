//! Changes that cannot be the next entry, and what the others leave behind.

use model::{Digest, TenantName};

use super::{
    log::Log,
    refusals::{check_events, log},
    samples::{NOON, agent, agent_loaded, at, by, every_event, key, key_issued},
};
use crate::{Event, PolicyFile};

#[test]
fn changes() {
    let log = log();
    let loaded = |files: &[u64]| Event::PolicyLoaded {
        bundle: Digest([0; 32]),
        files: files.to_vec(),
        by: by(),
    };
    let many: Vec<String> = (0..17).map(|number| format!("b{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    check_events(
        &log,
        [
            (
                "an unknown policy file",
                loaded(&[6, 7]),
                "names policy file of entry \"7\"",
            ),
            (
                "an agent of an unknown budget",
                agent_loaded("new", &["none"]),
                "there is no budget none",
            ),
            (
                "an agent without a budget",
                agent_loaded("new", &[]),
                "1 to 16 budgets, found 0",
            ),
            (
                "an agent of too many budgets",
                agent_loaded("new", &many),
                "1 to 16 budgets, found 17",
            ),
            (
                "an agent of a budget twice",
                agent_loaded("new", &["own", "own"]),
                "budget own is named twice",
            ),
            (
                "removing an unknown agent",
                Event::AgentRemoved {
                    agent: agent("new"),
                    by: by(),
                },
                "names agent \"new\"",
            ),
            (
                "a key of an unknown agent",
                key_issued("new", "nobody"),
                "names agent \"nobody\"",
            ),
            (
                "a key again",
                key_issued("ka", "alone"),
                "a credential of this id was issued before",
            ),
            (
                "a revoked key again",
                key_issued("revoked", "alone"),
                "a credential of this id was issued before",
            ),
            (
                "revoking an unknown key",
                Event::KeyRevoked {
                    key: key("new"),
                    note: String::new(),
                    by: by(),
                },
                "names key \"new\"",
            ),
            (
                "removing an unknown administrator",
                Event::AdminRemoved { admin: by(), by: by() },
                "names administrator \"ada\"",
            ),
        ],
    );
}

#[test]
fn starts() {
    let mut log = Log::new();
    log.state.tenant = TenantName::system();
    let started = |boot| Event::Started {
        node: "n".to_owned(),
        boot,
        version: "0.1.0".to_owned(),
        heartbeat_s: None,
    };
    let order = "the number of the start does not follow the one before";
    check_events(
        &log,
        [
            ("starting at 0", started(0), order),
            ("starting at 2", started(2), order),
        ],
    );
    log.push(started(1));
    check_events(
        &log,
        [
            ("the same start", started(1), order),
            ("a start left out", started(3), order),
        ],
    );
    log.push(started(2));
    assert_eq!(log.state.boot, 2);
}

/// What a change does, besides being possible.
#[test]
fn what_changes_leave_behind() {
    let mut log = log();
    let state = &log.state;
    assert_eq!(state.agents[&agent("gone")].record, None);
    assert_eq!(state.keys[&key("revoked")].revoked, Some(at(NOON)));
    assert_eq!(state.keys[&key("ka")].last_used, Some(at(NOON)));
    assert_eq!(state.keys[&key("ks")].last_used, None);
    assert_eq!(state.agents[&agent("alone")].seq, 1);

    // Revoking again keeps the first instant.
    log.now += 1;
    let revoked = Event::KeyRevoked {
        key: key("revoked"),
        note: String::new(),
        by: by(),
    };
    log.push(revoked);
    assert_eq!(log.state.keys[&key("revoked")].revoked, Some(at(NOON)));

    // An agent that comes back goes on counting.
    log.push(agent_loaded("alone", &["own", "team"]));
    assert_eq!(log.state.agents[&agent("alone")].seq, 1);

    // A bundle keeps the files it is made of.
    let file = |file: &str| {
        Event::PolicyFile(PolicyFile {
            file: file.to_owned(),
            text: String::new(),
            sha256: file.ends_with(".json").then_some(Digest([3; 32])),
        })
    };
    let (first, second) = (log.push(file("a.cedar")), log.push(file("b.json")));
    let bundle = log.push(Event::PolicyLoaded {
        bundle: Digest([3; 32]),
        files: vec![second],
        by: by(),
    });
    assert_eq!(log.state.bundle, Some((Digest([3; 32]), bundle)));
    let files: Vec<_> = log.state.policy_files.values().map(|(_, entry)| *entry).collect();
    assert_eq!(files, [second]);
    assert!(first < second);
}

/// Decisions are taken again after these, and only these.
#[test]
fn the_epoch_counts_what_decisions_depend_on() {
    let log = log();
    let advancing: Vec<&str> = every_event()
        .iter()
        .filter(|event| event.advances_epoch())
        .map(Event::kind)
        .collect();
    assert_eq!(
        advancing,
        [
            "agent_loaded",
            "agent_removed",
            "budget_loaded",
            "policy_loaded",
            "prices_loaded",
            "upstreams_loaded",
            "key_revoked",
            "overrun",
            "overrun_cleared",
            "budget_removed",
            "budget_edited",
            "ask_refused",
            "limit_loaded",
            "limit_removed",
            "breaker_loaded",
            "breaker_removed",
            "pep_loaded",
            "pep_removed",
            "entities_changed"
        ]
    );
    let counted = log.entries.iter().filter(|entry| entry.event.advances_epoch()).count();
    assert_eq!(log.state.epoch, u64::try_from(counted).unwrap());
}
