//! Credentials of agents.

use serde_json::json;

use crate::harness::{World, chat};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoking_bites_on_the_next_request() {
    let world = World::start_default().await;
    let (first, second) = (world.json(&["key", "issue", "worker"]), world.key("worker"));
    let (id, first) = (first["id"].as_str().unwrap(), first["key"].as_str().unwrap());
    world.chat(first, &chat("gpt-4o-mini")).await.is(200);
    assert_eq!(
        world.json(&["key", "revoke", id, "--note", "lost"]),
        json!({ "revoked": id })
    );
    assert_eq!(
        world.chat(first, &chat("gpt-4o-mini")).await.is(401).reason(),
        "revoked_credential"
    );
    world.chat(&second, &chat("gpt-4o-mini")).await.is(200);
    assert_eq!(world.calls().count().received, 2);
    let listed = world.json(&["key", "list", "--agent", "worker"]);
    let listed = listed["keys"].as_array().unwrap().clone();
    let state = |id: &str| listed.iter().find(|key| key["id"] == id).unwrap()["state"].clone();
    assert_eq!(state(id), "revoked");
    assert_eq!(listed.len(), 2);
}

/// A stream that is running when its credential is revoked ends, and is recorded as such.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoking_ends_what_is_in_flight() {
    let world = World::start_default().await;
    let issued = world.json(&["key", "issue", "worker"]);
    let (id, key) = (issued["id"].as_str().unwrap(), issued["key"].as_str().unwrap());
    let calls = world.calls();
    let call = chat("gpt-4o-mini");
    let running = world.try_chat(key, "hang", &call);
    let revoked = async {
        while calls.count().received == 0 {
            tokio::task::yield_now().await;
        }
        tokio::task::block_in_place(|| world.run(&["key", "revoke", id]).exits(0))
    };
    let (reply, _) = tokio::join!(running, revoked);
    assert_eq!(reply.unwrap().is(403).reason(), "revoked");
    world.settled().await;
    let statuses = world
        .entries("default")
        .into_iter()
        .filter_map(|entry| match entry.event {
            entry::Event::Outcome(outcome) => Some(outcome.status),
            _ => None,
        });
    assert_eq!(statuses.collect::<Vec<_>>(), [entry::Status::Revoked]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_as_narrow_as_it_was_ordered() {
    let tier = "@id(\"background\")\npermit (principal, action, resource) when { context.tier == \"background\" };\n";
    let world = World::builder().policies(tier).start().await;
    let issued = world.json(&[
        "key",
        "issue",
        "worker",
        "--upstream",
        "openai",
        "--model",
        "gpt-4o-mini",
        "--user",
        "vera",
        "--tier",
        "background",
    ]);
    let key = issued["key"].as_str().unwrap();
    world.chat(key, &chat("gpt-4o-mini")).await.is(200);
    assert_eq!(
        world.chat(key, &chat("gpt-4o")).await.is(403).reason(),
        "credential_scope"
    );
    assert_eq!(
        world.message(key, &chat("claude-haiku-4-5")).await.is(403).reason(),
        "credential_scope"
    );
    assert_eq!(
        world
            .chat(&world.key("worker"), &chat("gpt-4o-mini"))
            .await
            .is(403)
            .reason(),
        "policy_denied"
    );
    let listed = world.json(&["key", "list"]);
    let listed = listed["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["id"] == issued["id"])
        .unwrap();
    let user = listed["user"].as_str().unwrap();
    assert_eq!(user.len(), 32, "a pseudonym");
    let trail = world.json(&["audit", "list"]).to_string();
    assert!(trail.contains(user) && !trail.contains("vera"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_works_until_it_expires() {
    let world = World::start_default().await;
    let issued = world.json(&["key", "issue", "worker", "--expires", "2s"]);
    let key = issued["key"].as_str().unwrap();
    while world.json(&["key", "list"])["keys"][0]["state"] == "active" {
        tokio::task::yield_now().await;
    }
    let reply = world.chat(key, &chat("gpt-4o-mini")).await;
    assert_eq!(reply.is(401).reason(), "expired_credential");
    assert_eq!(world.json(&["key", "list"])["keys"][0]["state"], "expired");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_and_balances_survive_a_restart() {
    let mut world = World::start_default().await;
    let key = world.key("worker");
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    let (keys, budgets) = (world.json(&["key", "list"]), world.json(&["budget", "list"]));
    assert_ne!(budgets["budgets"][0]["spent"], "0");
    world.restart();
    assert_eq!(
        (world.json(&["key", "list"]), world.json(&["budget", "list"])),
        (keys, budgets)
    );
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    let system = world.entries("_system");
    let kinds: Vec<_> = system.iter().map(|entry| entry.event.kind()).collect();
    let expected = ["started", "admin_added", "heads", "stopped", "started", "heads"];
    assert_eq!(kinds, expected);
}

/// A tenant that is declared no more keeps its log: its agents are removed there, and its credentials stop working.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_tenant_stops_and_its_log_says_so() {
    let mut world = World::builder().build().await;
    let worker = crate::harness::Agent::new("worker", "1 USD");
    world.write("governance/tenants/acme/agents/worker.yaml", &worker.manifest());
    let policy = "@id(\"all\") permit (principal, action == Action::\"llm:generate\", resource);";
    world.write("governance/tenants/acme/policies/all.cedar", policy);
    world.start();
    let key = world.run(&["key", "issue", "worker", "--tenant", "acme"]).exits(0);
    let key = key.stdout.trim();
    world.chat(key, &chat("gpt-4o-mini")).await.is(200);
    std::fs::remove_dir_all(world.path().join("governance/tenants")).unwrap();
    let applied = world.json(&["apply"]);
    assert!(applied.to_string().contains("acme: agent_removed worker"), "{applied}");
    world.chat(key, &chat("gpt-4o-mini")).await.is(401);
    let removed = world
        .entries("acme")
        .into_iter()
        .any(|entry| matches!(entry.event, entry::Event::AgentRemoved { .. }));
    assert!(removed);
}

/// What opens one listener is nothing at the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_listeners_take_each_their_own() {
    let world = World::start_default().await;
    let key = world.key("worker");
    let owner = std::fs::read_to_string(world.data().join("owner.credential")).unwrap();
    let reply = world.chat(owner.trim(), &chat("gpt-4o-mini")).await.is(401);
    assert_eq!(reply.reason(), "invalid_credential");
    let url = format!("{}/api/v1/keys", world.admin_url());
    let new = json!({ "agent": "worker" });
    let issued = world.http().post(&url, &key, "", &new).await.unwrap().is(401);
    assert!(!issued.text().contains("bwk_"), "{}", issued.text());
    world.http().post(&url, owner.trim(), "", &new).await.unwrap().is(201);
    assert_eq!(world.calls().count().received, 0);
}

/// A credential that is narrowed to a model nobody has would work for nothing: a slip is found when it is made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_not_narrowed_to_a_slip() {
    let own = "[[prices]]\nprovider = \"openai\"\nmodel = \"own-model\"\ninput = \"1\"\noutput = \"1\"\n";
    let world = World::builder().configuration(own).start().await;
    for (arguments, code, says) in [
        (&["--model", "gpt-4o-mni"][..], 1, "did you mean \"gpt-4o-mini\"?"),
        (
            &["--model", "gpt-4o-mini", "--model", "claude-sonet-4-5"],
            1,
            "did you mean \"claude-sonnet-4-5\"?",
        ),
        (
            &["--model", "gpt-4o-mini", "--upstream", "anthropic"],
            1,
            "no upstream that the credential may reach",
        ),
        (&["--model", "\u{2603}"], 1, "[[prices]]"),
        (&["--model", "own-model", "--model", "claude-sonnet-4-5"], 0, ""),
        (&["--model", "omni-moderation-latest", "--upstream", "openai"], 0, ""),
    ] {
        let done = world
            .run(&[&["key", "issue", "worker"], arguments].concat())
            .exits(code);
        assert!(done.stderr.contains(says), "{arguments:?}: {}", done.stderr);
        assert_eq!(done.stdout.is_empty(), code == 1, "{arguments:?}");
    }
    assert_eq!(world.json(&["key", "list"])["keys"].as_array().unwrap().len(), 2);
}
