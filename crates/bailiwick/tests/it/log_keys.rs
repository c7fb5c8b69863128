//! Keys of logs are exchanged on a running server.

use std::{
    fs,
    time::{Duration, Instant},
};

use tlog::{checkpoint::Checkpoint, note::VerifierKey};

use crate::harness::{PATIENCE, World, chat};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_exchanged_and_whoever_knew_the_old_one_goes_on() {
    let mut world = World::start_default().await;
    let key = world.key("worker");
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    let vkeys = || -> Vec<VerifierKey> {
        let text = fs::read_to_string(world.data().join("keys/log.default.vkey")).unwrap();
        text.lines().map(|line| line.parse().unwrap()).collect()
    };
    let old = vkeys().remove(0);
    let export = |world: &World| drop(world.run(&["audit", "export", "--tiles", "public"]).exits(0));
    let began = Instant::now();
    while world
        .run(&["audit", "export", "--tiles", "public", "--tenant", "default"])
        .code
        != 0
    {
        assert!(began.elapsed() < PATIENCE, "nothing is signed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let only = world.run(&["audit", "retire-key", &old.id().to_string()]).exits(1);
    assert!(only.stderr.contains("only key"), "{}", only.stderr);
    let added = world.json(&["audit", "rotate-key"]);
    let new: VerifierKey = added["vkey"].as_str().unwrap().parse().unwrap();
    assert_eq!(vkeys(), [old.clone(), new.clone()]);
    let twice = world.run(&["audit", "rotate-key"]).exits(1);
    assert!(twice.stderr.contains("retire one of them first"), "{}", twice.stderr);
    let unknown = world.run(&["audit", "retire-key", "00000000"]).exits(1);
    assert!(unknown.stderr.contains("there is no key"), "{}", unknown.stderr);

    let began = Instant::now();
    let retired = loop {
        let retired = world.run(&["audit", "retire-key", &old.id().to_string()]);
        if retired.code == 0 {
            break retired;
        }
        assert!(
            retired.stderr.contains("no checkpoint was signed by both keys yet"),
            "{}",
            retired.stderr
        );
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(retired.stderr.contains("may be deleted"), "{}", retired.stderr);
    let handover = world.data().join("handover/default").join(new.id().to_string());
    let note = fs::read_to_string(handover).unwrap();
    let by_old = Checkpoint::open(&note, std::slice::from_ref(&old)).unwrap();
    assert_eq!(Checkpoint::open(&note, std::slice::from_ref(&new)), Ok(by_old.clone()));
    assert_eq!(vkeys(), std::slice::from_ref(&new));
    let entries = world.entries("default");
    let added = entries
        .iter()
        .position(|entry| entry.event.kind() == "signing_key_added")
        .unwrap();
    assert!(by_old.size > added as u64, "the checkpoint covers the entry");
    let listed = world.run(&["audit", "keys", "--tenant", "default"]).exits(0).stdout;
    assert!(listed.contains("retired") && listed.contains("kept"), "{listed}");

    // The old file goes, and everything goes on and verifies.
    world.kill();
    fs::remove_file(world.data().join("keys/log.default.seed")).unwrap();
    world.start();
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    world.restart();
    world.stop();
    world.verify().exits(0);
    export(&world);
    let public = world.path().join("public/default");
    let read = |name: &str| fs::read_to_string(public.join(name)).unwrap();
    assert_eq!(
        read("vkey"),
        format!("{new}\n"),
        "an export from before is gone on from"
    );
    assert_eq!(read(&format!("handover/{}", new.id())), note);
    assert!(Checkpoint::open(&read("checkpoint"), std::slice::from_ref(&new)).is_ok());
    world
        .run(&["audit", "prove", "3", "--out", "entry-3.tlog-proof"])
        .exits(0);
    let guard = fs::read_to_string(world.data().join("guard/default.checkpoint")).unwrap();
    assert!(Checkpoint::open(&guard, &[new]).is_ok() && Checkpoint::open(&guard, &[old]).is_err());
    // Without the key that signs, nothing starts.
    fs::rename(world.data().join("keys/log.default~2.seed"), world.path().join("kept")).unwrap();
    let refused = world.run(&["serve"]).exits(1);
    assert!(
        refused.stderr.contains("restore it from a backup"),
        "{}",
        refused.stderr
    );
    fs::rename(world.path().join("kept"), world.data().join("keys/log.default~2.seed")).unwrap();
}
