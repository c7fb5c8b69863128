//! What people see, at the widths that matter, without a terminal.

use std::{collections::BTreeMap, time::Duration};

use model::NanoUsd;

use super::{
    board::Board,
    cast::Agent,
    event::{Called, Event, State, Tone},
    record::{Account, Accounts},
    summary::Summary,
    table, tell,
    text::Line,
};
use crate::verify::{Report, TenantReport};

fn called(agent: Agent, reason: Option<&str>, tokens: u64) -> Event {
    let call = Called {
        agent,
        upstream: "openai",
        model: "gpt-4o-mini".to_owned(),
        stream: false,
        task: "test",
        status: if reason.is_some() { 402 } else { 200 },
        request_id: String::new(),
        reason: reason.map(str::to_owned),
        cost_usd: None,
        input_tokens: tokens,
        output_tokens: 0,
        took: Duration::ZERO,
    };
    Event::Called(Box::new(call))
}

/// The demo after some seconds, or at its end.
fn board(over: bool) -> Board {
    let mut board = Board::new();
    let mut take = |event: Event| board.take(&event, Duration::from_millis(4_250));
    for (agent, spent, limit) in [
        (Agent::NightlyReport, 657_750, 10_000_000),
        (Agent::SiteAuditor, 18_666_150, 20_000_000),
        (Agent::FraudAnalyst, 5_032_000, 20_000_000),
        (Agent::SupportAssistant, 0, 10_000_000),
    ] {
        let (spent, limit) = (NanoUsd(spent), NanoUsd(limit));
        take(Event::Balance { agent, spent, limit });
    }
    (0..9).for_each(|_| take(called(Agent::NightlyReport, None, 150)));
    (0..95).for_each(|_| take(called(Agent::SiteAuditor, None, 1_126)));
    (0..12).for_each(|_| take(called(Agent::SiteAuditor, Some("budget_exhausted"), 0)));
    (0..8).for_each(|_| take(called(Agent::FraudAnalyst, None, 289)));
    (0..3).for_each(|_| take(called(Agent::FraudAnalyst, Some("policy_denied"), 0)));
    for (agent, state, what) in [
        (Agent::NightlyReport, State::Working, "part 5/8, 42 words"),
        (Agent::SiteAuditor, State::Stopped, "stopped by budget"),
        (Agent::FraudAnalyst, State::Done, "judged all 8 cases"),
        (Agent::SupportAssistant, State::Waiting, ""),
    ] {
        let state = if over && state != State::Stopped {
            State::Done
        } else {
            state
        };
        let what = what.to_owned();
        take(Event::Doing { agent, state, what });
    }
    for (agent, tone, text) in [
        (Agent::NightlyReport, Tone::Good, "forgotten by now"),
        (Agent::SiteAuditor, Tone::Good, "/contact audited"),
        (
            Agent::SiteAuditor,
            Tone::Bad,
            "402 budget_exhausted: This request could cost up to 0.0016 USD, but budget \"site-auditor\" has 0.0013 USD left",
        ),
        (Agent::FraudAnalyst, Tone::Good, "A-5093 judged in 85 words"),
    ] {
        let text = text.to_owned();
        take(Event::Note { agent, tone, text });
    }
    board
}

fn painted(lines: &[Line]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| line.paint(false)).collect();
    lines.join("\n")
}

#[test]
fn the_board_looks_like_this() {
    for width in [60, 80, 120] {
        let frame = painted(&table::frame(&board(false), width));
        insta::assert_snapshot!(format!("board_{width}"), frame);
    }
}

#[test]
fn no_line_is_wider_than_the_terminal_and_every_frame_as_high() {
    for width in 1..200 {
        let frames = [Board::new(), board(false), board(true)].map(|board| table::frame(&board, width));
        for frame in &frames {
            assert_eq!(frame.len(), frames[0].len(), "at {width}");
            let widest = frame.iter().map(Line::width).max().unwrap();
            assert!(widest <= width, "{widest} at {width}:\n{}", painted(frame));
        }
    }
}

#[test]
fn colours_change_no_text() {
    for line in table::frame(&board(false), 120) {
        let plain: String = anstream::adapter::strip_str(&line.paint(true)).to_string();
        assert_eq!(plain, line.paint(false));
    }
}

fn account(calls: u64, cost: i64, denied: &[(&str, u64)]) -> Account {
    Account {
        calls,
        tokens: calls * 100,
        cost: NanoUsd(cost),
        denied: denied
            .iter()
            .map(|(reason, count)| ((*reason).to_owned(), *count))
            .collect(),
    }
}

/// What the log says of the same calls.
fn log() -> Accounts {
    BTreeMap::from([
        (Agent::NightlyReport, account(9, 657_750, &[])),
        (Agent::SiteAuditor, account(95, 18_666_150, &[("budget_exhausted", 12)])),
        (Agent::FraudAnalyst, account(8, 5_032_000, &[("policy_denied", 3)])),
    ])
}

/// What the provider counted.
fn provider() -> Accounts {
    let mut accounts = log();
    accounts.values_mut().for_each(|account| account.denied.clear());
    accounts
}

fn audit() -> Report {
    let log = |tenant: &str, entries, holds_ended| TenantReport {
        found: verify::Found {
            tenant: tenant.to_owned(),
            entries,
            holds_ended,
            spent_usd: "0.024355900".to_owned(),
            overrun_usd: "0".to_owned(),
            ..verify::Found::default()
        },
        root: "R54LRrAK7P4+8Ou2zXqm+1JtkniiwfJQ36CVmhYrqWw=".to_owned(),
        signed: Some(entries),
        ..TenantReport::default()
    };
    Report {
        ok: true,
        tenants: vec![log("_system", 3, 0), log("default", 1_316, 112)],
    }
}

fn summary(log: &Accounts, provider: &Accounts, audit: Report) -> Summary {
    Summary::new(&board(true), log, provider, audit, Duration::from_millis(7_950))
}

#[test]
fn the_end_looks_like_this() {
    let summary = summary(&log(), &provider(), audit());
    assert!(summary.ok, "{:?}", summary.troubles);
    for width in [60, 100] {
        let mut lines = tell::report(&summary, width);
        lines.extend(tell::next("target/release/bailiwick", width));
        insta::assert_snapshot!(format!("end_{width}"), painted(&lines));
    }
    insta::assert_json_snapshot!("summary", summary);
}

/// Each thing that must not be passes for one trouble, and for no other.
#[test]
fn what_does_not_hold_is_said() {
    type Change = fn(&mut Accounts, &mut Accounts, &mut Report);
    let check = |change: Change, expected: &str| {
        let (mut log, mut provider, mut audit) = (log(), provider(), audit());
        change(&mut log, &mut provider, &mut audit);
        let summary = summary(&log, &provider, audit);
        assert!(!summary.ok);
        assert_eq!(summary.troubles.join("; "), expected);
        let told = painted(&tell::report(&summary, 200));
        assert!(told.contains(&format!("✗ {expected}")) && !told.contains('✓'), "{told}");
    };
    check(
        |_, provider, _| provider.get_mut(&Agent::FraudAnalyst).unwrap().cost.0 += 1,
        "fraud-analyst: US dollars the provider bills: 0.005032001, but the audit log has 0.005032",
    );
    check(
        |_, provider, _| provider.get_mut(&Agent::NightlyReport).unwrap().tokens += 1,
        "nightly-report: tokens the provider counted: 901, but the audit log has 900",
    );
    check(
        |log, _, _| {
            *log.get_mut(&Agent::SiteAuditor)
                .unwrap()
                .denied
                .get_mut("budget_exhausted")
                .unwrap() = 11
        },
        "site-auditor: refusals (budget_exhausted): 12, but the audit log has 11",
    );
    check(
        |log, provider, _| {
            log.get_mut(&Agent::SiteAuditor).unwrap().cost = NanoUsd(20_000_001);
            provider.get_mut(&Agent::SiteAuditor).unwrap().cost = NanoUsd(20_000_001);
        },
        "site-auditor: spent 0.020000001 USD, over its limit of 0.02 USD",
    );
    check(
        |_, _, audit| {
            audit.ok = false;
            audit.tenants[1].trouble = Some("entry 7: it was changed".to_owned());
        },
        "the audit log of default: entry 7: it was changed",
    );
    check(
        |_, _, audit| audit.tenants[0].signed = None,
        "the audit log of _system has no signed checkpoint",
    );
    check(
        |_, _, audit| audit.tenants[1].found.holds_open = 2,
        "the audit log of default has 2 holds that never ended",
    );
    check(
        |_, _, audit| audit.tenants[1].found.overrun_usd = "0.5".to_owned(),
        "0.5 USD were booked past their holds",
    );
}

#[test]
fn an_agent_that_failed_is_trouble() {
    let mut board = board(true);
    let (agent, state) = (Agent::FraudAnalyst, State::Failed);
    let what = "could not go on".to_owned();
    board.take(&Event::Doing { agent, state, what }, Duration::ZERO);
    let summary = Summary::new(&board, &log(), &provider(), audit(), Duration::ZERO);
    assert!(!summary.ok);
    assert_eq!(summary.troubles, ["fraud-analyst: could not go on"]);
}
