//! Trees of entries that are hard to come by with a server: a replay, a breaker, an unknown end.

use serde_json::{Value, json};

use super::*;

const ID: &str = "01a0c3d65a0071018101010101010101";
const OTHER: &str = "01a0c3d65a0073038303030303030303";

fn entry(index: u64, event: Value) -> EntryReport {
    let entry = json!({
        "v": 4, "tenant": "default", "index": index, "time": 1_789_992_000_000_000_u64 + index * 1_000_000,
        "event": event
    });
    EntryReport {
        leaf: String::new(),
        entry: serde_json::from_value(entry).unwrap(),
    }
}

fn action(id: &str) -> Value {
    json!({
        "id": id, "agent": "mailer", "seq": 7, "key": "k7f3a9c2e1b4d", "run": "r1", "name": "llm:generate",
        "upstream": "openai", "model": "gpt-4o"
    })
}

fn intent(attempt: u16) -> Value {
    json!({ "intent": {
        "action": action(ID), "attempt": attempt, "why": { "bundle": 1, "policies": ["p"] }, "prices": 2, "stream": false,
        "limit": 10, "bytes": 5, "request": "", "hold": 1_000_000,
        "bookings": [{ "budget": "b", "period": { "start": 0, "end": i64::MAX }, "used": 0, "limit": 5_000_000_000_u64 }],
        "expires": 1_789_992_960_000_000_u64, "boot": 1
    } })
}

fn outcome(intent: u64, attempt: u16, status: &str, source: &str) -> Value {
    json!({ "outcome": {
        "action": ID, "attempt": attempt, "intent": intent, "status": status, "source": source, "cost": 1_000_000,
        "duration_us": 250_000, "bytes": 0
    } })
}

fn drawn(node: &TraceNode, depth: usize, out: &mut Vec<String>) {
    out.push(format!("{}{}: {}", "  ".repeat(depth), node.what, node.text));
    for child in &node.children {
        drawn(child, depth + 1, out);
    }
}

fn check(id: &str, entries: &[EntryReport], expected: &[&str]) {
    let (shelf, people, units) = (Shelf::default(), People::new(), Units::new());
    let grounds = Grounds {
        tenant: &TenantName::default_tenant(),
        shelf: &shelf,
        people: &people,
        units: &units,
        begin: entries[0].entry.time,
    };
    let tree = tree(id.parse().unwrap(), entries, &[], &grounds);
    let mut lines = Vec::new();
    drawn(&tree, 0, &mut lines);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(lines, expected);
}

#[test]
fn what_follows_from_an_outcome_stands_below_it() {
    let trip = json!({ "breaker_tripped": {
        "breaker": "loops", "scope": "run", "of": "mailer/r1",
        "cause": { "same_step": { "step": "0123456789abcdef", "seen": 4, "within_s": 42 } },
        "until": 1_789_992_600_000_000_u64
    } });
    let reached = json!({ "threshold_reached": {
        "outcome": 9, "reached": { "budget": "b", "percent": 80, "spent": 4_000_000_000_u64, "limit": 5_000_000_000_u64 }
    } });
    let replay = json!({ "replay": { "action": action(OTHER), "why": { "bundle": 1, "policies": ["p"] }, "of": ID } });
    let hold = [
        "    decision: permitted: by p",
        "      bundle: of entry 1",
        "    hold: 0.001 USD, the worst case of 10 tokens of output",
        "      prices: of entry 2",
        "      budget: b: 0 of 5 USD were used before, since 1970-01-01 00:00:00Z",
    ];
    let mut expected = vec![
        "action: 01a0c3d65a0071018101010101010101: llm:generate",
        "  who: agent mailer, credential k7f3a9c2e1b4d, run r1, no. 7 of the agent",
        "  attempt: 0: openai/gpt-4o, 5 bytes",
    ];
    expected.extend(hold);
    expected.extend([
        "    outcome: nobody knows: the server died or lost track, after 250 ms, 0 bytes",
        "      cost: 0.001 USD, what was held, for there are no final figures",
        "  attempt: 1: openai/gpt-4o, 5 bytes",
    ]);
    expected.extend(hold);
    expected.extend([
        "    outcome: ok, after 250 ms, 0 bytes",
        "      cost: 0.001 USD, by the provider's figures",
        "      threshold: b passed 80 %: 4 of 5 USD",
        "      breaker: breaker loops stops run mailer/r1: the same step 4 times within 42 s",
        "  replay: its reply is delivered once more, to action 01a0c3d65a0073038303030303030303",
        "    decision: permitted: by p",
        "      bundle: of entry 1",
        "  total: 2 attempts, 0.002 USD booked, ok 3.0 s after the first entry",
    ]);
    let entries = [
        entry(6, intent(0)),
        entry(7, outcome(6, 0, "indeterminate", "hold")),
        entry(8, intent(1)),
        entry(9, outcome(8, 1, "ok", "provider")),
        entry(10, reached),
        entry(11, trip),
        entry(12, replay.clone()),
    ];
    check(ID, &entries, &expected);
    // The replay's own tree.
    let expected = [
        "action: 01a0c3d65a0073038303030303030303: llm:generate",
        "  who: agent mailer, credential k7f3a9c2e1b4d, run r1, no. 7 of the agent",
        "  replay: the reply to action 01a0c3d65a0071018101010101010101 is delivered once more",
        "    decision: permitted: by p",
        "      bundle: of entry 1",
        "  total: nothing was forwarded, held or booked",
    ];
    check(OTHER, &[entry(12, replay)], &expected);
}

#[test]
fn what_runs_is_said_to_run() {
    let denial = json!({ "denial": {
        "action": action(ID), "reason": "breaker_open",
        "breaker": { "breaker": "loops", "of": "mailer/r1", "until": 1_789_992_600_000_000_u64 }
    } });
    let expected = [
        "action: 01a0c3d65a0071018101010101010101: llm:generate",
        "  who: agent mailer, credential k7f3a9c2e1b4d, run r1, no. 7 of the agent",
        "  attempt: 0: openai/gpt-4o, 5 bytes",
        "    decision: permitted: by p",
        "      bundle: of entry 1",
        "    hold: 0.001 USD, the worst case of 10 tokens of output",
        "      prices: of entry 2",
        "      budget: b: 0 of 5 USD were used before, since 1970-01-01 00:00:00Z",
        "  denial: breaker_open",
        "    breaker: loops stops mailer/r1 until 2026-09-21 12:10:00Z",
        "  total: 1 attempt, 1 of them still running, 0 USD booked",
    ];
    check(ID, &[entry(6, intent(0)), entry(7, denial)], &expected);
}
