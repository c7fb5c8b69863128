//! Certificates of the listeners: what commands trust, what is wrong with files, and how they are renewed.

use std::time::{Duration, Instant};

use testkit::pki::{Age, Authority, Leaf};

use crate::harness::{PATIENCE, World};

const TABLE: &str = "[listen.admin_tls]\ncertificate = \"tls/admin.pem\"\nkey = \"tls/admin.key\"\n";

fn write(world: &World, leaf: &Leaf) {
    world.write("tls/admin.key", &leaf.key);
    world.write("tls/admin.pem", &leaf.certificate);
}

#[track_caller]
fn wait_for_log(world: &mut World, text: &str, times: usize) {
    let started = Instant::now();
    while world.server().log().matches(text).count() < times {
        assert!(
            started.elapsed() < PATIENCE,
            "no {text:?} in:\n{}",
            world.server().log()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_trust_the_configured_certificate_and_it_can_be_renewed() {
    let authority = Authority::new().unwrap();
    let mut world = World::builder().configuration(TABLE).build().await;
    // Without its files a server does not start; a check, which often runs elsewhere, warns.
    let missing = world.run(&["serve"]).exits(64);
    assert!(
        missing.stderr.contains("tls/admin.pem: cannot be read: "),
        "{}",
        missing.stderr
    );
    let checked = world.run(&["check"]).exits(0);
    assert!(
        checked.stdout.contains("tls/admin.key: cannot be read: "),
        "{}",
        checked.stdout
    );

    // The name does not matter to whoever has the certificate itself.
    write(&world, &authority.leaf("bailiwick.example", Age::Good).unwrap());
    world.start();
    world.key("worker");
    world.write("tls/other.pem", &Authority::new().unwrap().pem());
    let refused = world.run(&["key", "list", "--ca", "tls/other.pem"]).exits(1);
    assert!(
        refused.stderr.contains("no TLS with https://127.0.0.1:"),
        "{}",
        refused.stderr
    );

    write(&world, &authority.leaf("127.0.0.1", Age::Good).unwrap());
    world.server().signal("HUP");
    wait_for_log(&mut world, "a new certificate is in use", 1);
    world.key("worker");
    // Its authority can be trusted instead, under its name.
    world.write("tls/ca.pem", &authority.pem());
    world.run(&["key", "list", "--ca", "tls/ca.pem"]).exits(0);

    // Nobody says that the files changed, and they do not fit: what is in use stays.
    world.write("tls/admin.key", &authority.leaf("127.0.0.1", Age::Good).unwrap().key);
    wait_for_log(&mut world, "the certificate in use stays", 1);
    assert!(
        world
            .server()
            .log()
            .contains("the key does not belong to the certificate")
    );
    world.key("worker");
    // Nor is anything else put in effect while they are wrong.
    let applied = world.run(&["apply"]).exits(1);
    assert!(
        applied.stderr.contains("tls/admin.key: the key does not belong"),
        "{}",
        applied.stderr
    );
    assert!(
        world
            .run(&["check"])
            .exits(64)
            .stdout
            .contains("the key does not belong")
    );

    // So it does where they fit, but callers would refuse the certificate.
    write(&world, &authority.leaf("127.0.0.1", Age::Expired).unwrap());
    wait_for_log(&mut world, "the certificate has expired", 1);
    wait_for_log(&mut world, "the certificate in use stays", 2);
    world.run(&["key", "list", "--ca", "tls/ca.pem"]).exits(0);
    assert!(
        world
            .run(&["check"])
            .exits(0)
            .stdout
            .contains("the certificate has expired")
    );
    write(&world, &authority.leaf("127.0.0.1", Age::Good).unwrap());
    wait_for_log(&mut world, "a new certificate is in use", 2);
    world.key("worker");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_say_what_a_listener_with_tls_wants() {
    let authority = Authority::new().unwrap();
    let table = format!("{TABLE}client_ca = \"tls/ca.pem\"\n");
    let mut world = World::builder().configuration(&table).build().await;
    write(&world, &authority.leaf("127.0.0.1", Age::Good).unwrap());
    world.write("tls/ca.pem", &authority.pem());
    let own = authority.leaf("admin.example", Age::Good).unwrap();
    world.write("tls/own.pem", &own.certificate);
    world.write("tls/own.key", &own.key);
    world.start();
    let nameless = world.run(&["key", "list"]).exits(1);
    assert!(
        nameless.stderr.contains("--client-certificate FILE"),
        "{}",
        nameless.stderr
    );
    world
        .run(&[
            "key",
            "list",
            "--client-certificate",
            "tls/own.pem",
            "--client-key",
            "tls/own.key",
        ])
        .exits(0);
    let address = nameless.stderr.split("https://").nth(1).unwrap();
    let address = address.split(' ').next().unwrap().to_owned();
    let plain = world
        .run(&["key", "list", "--admin", &format!("http://{address}")])
        .exits(1);
    assert!(
        plain.stderr.contains(&format!("write --admin https://{address}")),
        "{}",
        plain.stderr
    );
}
