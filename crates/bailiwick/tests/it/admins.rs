//! Administrators and their roles.

use serde_json::json;

use crate::harness::{Done, World};

struct As<'a> {
    world: &'a World,
    credential: String,
}

impl As<'_> {
    fn run(&self, arguments: &[&str]) -> Done {
        Done::of(
            self.world
                .command(arguments)
                .env("BAILIWICK_ADMIN_KEY", &self.credential),
        )
    }
}

fn add<'a>(world: &'a World, name: &str, role: &str) -> As<'a> {
    let done = world.run(&["admin", "add", name, "--role", role]).exits(0);
    let credential = done.stdout.trim().to_owned();
    assert!(credential.starts_with("bwa_"), "a credential says what it is");
    assert!(!done.stderr.contains(&credential), "the credential is shown once");
    As { world, credential }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_role_may_what_it_may() {
    let world = World::start_default().await;
    let commands: [&[&str]; 5] = [
        &["budget", "list"],
        &["audit", "list"],
        &["key", "issue", "worker"],
        &["apply"],
        &["admin", "add", "other", "--role", "viewer"],
    ];
    for (role, codes) in [
        ("operator", [0, 0, 0, 0, 1]),
        ("approver", [0, 1, 1, 1, 1]),
        ("viewer", [0, 1, 1, 1, 1]),
        ("auditor", [0, 0, 1, 1, 1]),
        ("owner", [0, 0, 0, 0, 0]),
    ] {
        let somebody = add(&world, &format!("some-{role}"), role);
        for (command, code) in commands.into_iter().zip(codes) {
            let done = somebody.run(command).exits(code);
            if code != 0 {
                let why = format!("error: the role {role} of administrator some-{role} does not allow this\n");
                assert_eq!(done.stderr, why, "{command:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn administrators_come_and_go() {
    let world = World::start_default().await;
    let olivia = add(&world, "olivia", "operator");
    let listed = world.json(&["admin", "list"]);
    let expected = json!({ "admins": [
        { "name": "olivia", "role": "operator" }, { "name": "owner", "role": "owner" }
    ] });
    assert_eq!(listed, expected);
    olivia.run(&["key", "issue", "worker"]).exits(0);
    let by = world.entries("default").pop().unwrap();
    assert!(matches!(by.event, entry::Event::KeyIssued { by, .. } if by.as_str() == "olivia"));
    // Added again: a new role, a new credential, and the old one is void.
    let demoted = add(&world, "olivia", "viewer");
    assert!(
        olivia
            .run(&["budget", "list"])
            .exits(1)
            .stderr
            .contains("does not know the credential")
    );
    demoted.run(&["budget", "list"]).exits(0);
    world.run(&["admin", "remove", "olivia"]).exits(0);
    demoted.run(&["budget", "list"]).exits(1);
    let again = world.run(&["admin", "remove", "olivia"]).exits(1);
    assert_eq!(again.stderr, "error: there is no administrator \"olivia\"\n");
}
