//! What people are told when something does not work.

use crate::harness::{Done, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_server() {
    let mut world = World::builder().build().await;
    let story = |arguments: &[&str]| world.run(arguments).story(world.path());
    insta::assert_snapshot!("never_started", story(&["key", "list"]));
    insta::assert_snapshot!("no_configuration", story(&["key", "list", "-c", "nowhere.toml"]));
    insta::assert_snapshot!("no_database", story(&["audit", "verify"]));
    insta::assert_snapshot!("init_again", {
        world.run(&["init", "mydir"]).exits(0);
        story(&["init", "mydir"])
    });
    insta::assert_snapshot!(
        "another_machine",
        story(&["key", "list", "--admin", "http://192.0.2.1:7401"])
    );
    insta::assert_snapshot!("https", story(&["key", "list", "--admin", "https://127.0.0.1:7401"]));
    world.start();
    let address = std::fs::read_to_string(world.data().join("admin.addr")).unwrap();
    world.stop();
    assert!(!world.data().join("admin.addr").exists());
    world.write("data/admin.addr", &address);
    insta::assert_snapshot!("stopped", world.run(&["key", "list"]).story(world.path()));
    std::fs::remove_file(world.data().join("owner.credential")).unwrap();
    insta::assert_snapshot!("no_credential", world.run(&["key", "list"]).story(world.path()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_server() {
    let world = World::start_default().await;
    let story = |arguments: &[&str]| world.run(arguments).story(world.path());
    insta::assert_snapshot!("unknown_agent", story(&["key", "issue", "nobody"]));
    insta::assert_snapshot!("unknown_key", story(&["key", "revoke", "key-nope"]));
    insta::assert_snapshot!(
        "unknown_upstream",
        story(&["key", "issue", "worker", "--upstream", "mistral"])
    );
    insta::assert_snapshot!(
        "past_expiry",
        story(&["key", "issue", "worker", "--expires", "2020-01-01T00:00:00Z"])
    );
    insta::assert_snapshot!(
        "unreadable_expiry",
        story(&["key", "issue", "worker", "--expires", "soon"])
    );
    insta::assert_snapshot!("unknown_tenant", story(&["audit", "list", "--tenant", "nobody"]));
    insta::assert_snapshot!(
        "unknown_action",
        story(&["audit", "show", "019a5c0e7b7a7f3a9d1c2e4f60718293"])
    );
    insta::assert_snapshot!("own_role", story(&["admin", "add", "owner", "--role", "viewer"]));
    let mut wrong = world.command(&["key", "list"]);
    let wrong = Done::of(wrong.env("BAILIWICK_ADMIN_KEY", "bwa_wrong"));
    insta::assert_snapshot!("wrong_credential", wrong.story(world.path()));
    // What answers there is the gateway, which is not asked to administrate.
    let stranger = story(&["key", "list", "--admin", world.agents_url()]);
    insta::assert_snapshot!("not_the_admin_listener", stranger);
    let mut filter = world.command(&["serve"]);
    let filter = Done::of(filter.env("BAILIWICK_LOG", "info,gateway=loud"));
    insta::assert_snapshot!("no_filter", filter.story(world.path()));
}
