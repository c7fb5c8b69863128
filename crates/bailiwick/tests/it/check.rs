//! `bailiwick check`, and what `serve` says of the same mistakes.

use crate::harness::{Done, World};

fn spoil(world: &World) {
    world.edit(
        "bailiwick.toml",
        "trust_domain = \"it.example\"",
        "trust_domian = \"it.example\"",
    );
    world.edit("governance/agents/worker.yaml", "owner: tests@acme.example\n", "");
    world.edit("governance/policies/policies.cedar", "llm:generate", "llm:generat");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_are_told_with_their_place() {
    let world = World::builder().build().await;
    let fine = world.run(&["check"]).exits(0);
    assert_eq!(fine.stdout, "ok: 1 agent, 1 policy file, 2 upstreams\n");
    spoil(&world);
    insta::assert_snapshot!("mistake_in_settings", world.run(&["check"]).story(world.path()));
    // The rest of the mistakes shows once the settings can be read.
    world.edit("bailiwick.toml", "trust_domian", "trust_domain");
    insta::assert_snapshot!("mistakes_in_governance", world.run(&["check"]).story(world.path()));
    let json = world.run(&["check", "--json"]).exits(64).json();
    assert_eq!(json["ok"], false);
    assert_eq!(json["problems"][0]["file"], "governance/agents/worker.yaml");
    assert!(json["problems"][0]["line"].is_u64());
    // A server says the same, and does not start.
    let checked = world.run(&["check"]).exits(64).stdout;
    let served = world.run(&["serve"]).exits(64);
    assert_eq!(served.stdout, "");
    assert_eq!(
        Some(served.stderr.as_str()),
        checked.rsplit_once("2 problems found\n").map(|(problems, _)| problems)
    );
    assert!(!world.data().exists(), "a server that may not start touches nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_credential_is_only_warned_of() {
    let world = World::builder().build().await;
    let mut check = world.command(&["check"]);
    let checked = Done::of(check.env_remove("OPENAI_API_KEY")).exits(0);
    assert!(
        checked.stdout.contains("warning: bailiwick.toml:"),
        "{}",
        checked.stdout
    );
    assert!(
        checked.stdout.contains("OPENAI_API_KEY is not set"),
        "{}",
        checked.stdout
    );
    let mut serve = world.command(&["serve"]);
    let served = Done::of(serve.env_remove("OPENAI_API_KEY")).exits(64);
    assert!(served.stderr.contains("error: bailiwick.toml:"), "{}", served.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schema_is_json() {
    let world = World::builder().build().await;
    let schema = world.json(&["config", "schema"]);
    assert_eq!(schema["bailiwick.toml"]["title"], "bailiwick.toml");
    assert_eq!(world.run(&["config", "schema"]).exits(0).json(), schema);
}
