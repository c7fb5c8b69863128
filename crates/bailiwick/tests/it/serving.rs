//! Starting, stopping and reloading.

use std::{net::TcpListener, time::Duration};

use crate::harness::{Agent, Process, World, chat, signal};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_directory_has_one_server() {
    let mut world = World::start_default().await;
    let second = world.run(&["serve"]).exits(1);
    assert_eq!(second.stdout, "");
    let said = format!(
        "error: data is in use by another process (process {}). One server at a time may use a data directory: stop the \
         other one, or set another data_dir\n",
        world.server().pid()
    );
    assert_eq!(second.stderr, said);
    // The first one does not notice.
    let key = world.key("worker");
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_configuration_ends_before_a_port_is_bound() {
    let world = World::builder().build().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = format!("admin = \"{}\"", taken.local_addr().unwrap());
    world.edit("bailiwick.toml", "admin = \"127.0.0.1:0\"", &admin);
    world.edit("governance/agents/worker.yaml", "budget: ", "budgte: ");
    // If it had got to its ports, it would have said that one is taken.
    let bad = world.run(&["serve"]).exits(64);
    assert!(bad.stderr.contains("governance/agents/worker.yaml:"), "{}", bad.stderr);
    world.edit("governance/agents/worker.yaml", "budgte: ", "budget: ");
    let taken = world.run(&["serve"]).exits(1);
    assert!(
        taken
            .stderr
            .contains("error: cannot listen for administrators on 127.0.0.1:"),
        "{}",
        taken.stderr
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ports_the_system_chose_are_written_down() {
    let mut world = World::start_default().await;
    let written = |name: &str| std::fs::read_to_string(world.data().join(name)).unwrap();
    assert_eq!(format!("http://{}", written("admin.addr").trim()), world.admin_url());
    assert_eq!(format!("http://{}", written("agents.addr").trim()), world.agents_url());
    let ready = world
        .http()
        .get(&format!("{}/readyz", world.admin_url()))
        .await
        .unwrap();
    assert_eq!(ready.is(200).text(), "{\"ready\":true}");
    let metrics = world
        .http()
        .get(&format!("{}/metrics", world.admin_url()))
        .await
        .unwrap();
    assert!(metrics.text().contains("bailiwick_open_holds 0"), "{}", metrics.text());
    world.stop();
    assert!(!world.data().join("admin.addr").exists() && !world.data().join("agents.addr").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_finishes_what_is_in_flight() {
    let slow = |config: &mut fake::Config| config.latency = Duration::from_millis(300);
    let mut world = World::builder().provider(slow).start().await;
    let key = world.key("worker");
    let call = chat("gpt-4o-mini");
    let calls = world.calls();
    let pid = world.pid();
    let (reply, ()) = tokio::join!(world.try_chat(&key, "", &call), async {
        while calls.count().received == 0 {
            tokio::task::yield_now().await;
        }
        signal(pid, "TERM");
    });
    assert_eq!(reply.unwrap().is(200).header("bailiwick-decision"), "allow");
    assert_eq!(world.server().wait(), 0);
    world.forget_server();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_stops_at_once() {
    let mut world = World::start_default().await;
    let key = world.key("worker");
    let call = chat("gpt-4o-mini");
    let calls = world.calls();
    let pid = world.pid();
    let log = world.path().join("server.log");
    let (reply, ()) = tokio::join!(world.try_chat(&key, "hang", &call), async {
        while calls.count().received == 0 {
            tokio::task::yield_now().await;
        }
        signal(pid, "TERM");
        while !std::fs::read_to_string(&log).unwrap().contains("stopping") {
            tokio::task::yield_now().await;
        }
        signal(pid, "INT");
    });
    assert!(reply.is_err(), "{reply:?}");
    assert_eq!(world.server().wait(), 1);
    assert!(world.server().log().contains("booked in full at the next start"));
    world.forget_server();
    assert_eq!(world.verify().exits(0).json()["tenants"][1]["holds_open"], 1);
    // The next start books it.
    world.start();
    assert_ne!(world.json(&["budget", "list"])["budgets"][0]["spent"], "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_takes_effect_whole_or_not_at_all() {
    let mut world = World::builder().agent(Agent::new("worker", "1 USD")).start().await;
    let apply = |world: &World| world.run(&["apply"]);
    assert_eq!(
        apply(&world).exits(0).stdout,
        "Nothing changed: what is declared is in effect.\n"
    );
    world.write(
        "governance/agents/helper.yaml",
        &Agent::new("helper", "2 USD").manifest(),
    );
    world.edit("governance/agents/worker.yaml", "1 USD", "3 USD");
    let applied = apply(&world).exits(0).stdout;
    for change in [
        "budget_loaded helper 2 USD",
        "agent_loaded helper",
        "budget_loaded worker 3 USD",
    ] {
        assert!(applied.contains(&format!("applied {change}")), "{applied}");
    }
    let key = world.key("helper");
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    // A mistake leaves everything as it was.
    world.edit("governance/policies/policies.cedar", "permit", "prohibit");
    let refused = apply(&world).exits(1);
    assert!(
        refused.stderr.contains("what was in effect stays"),
        "{}",
        refused.stderr
    );
    assert!(
        refused.stderr.contains("governance/policies/policies.cedar:"),
        "{}",
        refused.stderr
    );
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    // The same by a signal; both are in the log.
    world.edit("governance/policies/policies.cedar", "prohibit", "forbid");
    world.server().signal("HUP");
    let mut tail = Process::start(
        &mut world.command(&["audit", "tail", "-n", "100", "--json"]),
        &world.path().join("tail.log"),
    );
    while !tail.line().contains("\"by\":\"_signal\"") {}
    tail.kill();
    assert_eq!(
        world.chat(&key, &chat("gpt-4o-mini")).await.is(403).reason(),
        "policy_denied"
    );
}

/// Case 5 of the public failures of other gateways: what a crash leaves is booked in full by the next start, once, and the
/// evidence stands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_05_a_crash_releases_its_hold_and_leaves_nothing_unbooked() {
    let mut world = World::start_default().await;
    let key = world.key("worker");
    let call = chat("gpt-4o-mini");
    let calls = world.calls();
    let pid = world.pid();
    let (reply, ()) = tokio::join!(world.try_chat(&key, "hang", &call), async {
        while calls.count().received == 0 {
            tokio::task::yield_now().await;
        }
        signal(pid, "KILL");
    });
    assert!(reply.is_err(), "{reply:?}");
    world.kill();
    world.start();
    let outcomes = world
        .entries("default")
        .into_iter()
        .filter_map(|entry| match entry.event {
            entry::Event::Outcome(outcome) => Some(outcome.status),
            _ => None,
        });
    assert_eq!(outcomes.collect::<Vec<_>>(), [entry::Status::Indeterminate]);
    let budgets = world.json(&["budget", "list"]);
    assert_eq!(budgets["budgets"][0]["held"], "0");
    assert_ne!(budgets["budgets"][0]["spent"], "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_away_costs_nothing() {
    let mut world = World::start_default().await;
    let key = world.key("worker");
    world.stop_provider().await;
    let reply = world.chat(&key, &chat("gpt-4o-mini")).await;
    assert!(reply.status >= 500, "{}", reply.text());
    world.settled().await;
    assert_eq!(world.json(&["budget", "list"])["budgets"][0]["spent"], "0");
}

/// A key that is gone is not made anew beside a log that was made with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_key_stops_the_start() {
    let mut world = World::start_default().await;
    world.stop();
    for name in ["keys/privacy.key", "keys/log.default.seed"] {
        let (path, kept) = (world.data().join(name), world.path().join("kept"));
        std::fs::rename(&path, &kept).unwrap();
        let refused = world.run(&["serve"]).exits(1);
        assert!(
            refused.stderr.contains(name) && refused.stderr.contains("restore it"),
            "{}",
            refused.stderr
        );
        std::fs::rename(&kept, &path).unwrap();
    }
    world.start();
}
