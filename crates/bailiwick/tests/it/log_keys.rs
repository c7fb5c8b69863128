//! Keys of logs are exchanged on a running server.

use std::{
    fs,
    time::{Duration, Instant},
};

use tlog::{checkpoint::Checkpoint, note::VerifierKey};
use verify::{Trust, Way, verify_consistency, verify_proof};

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

    // Mirrors get it too, and nothing else that is named so.
    let owner = fs::read_to_string(world.data().join("owner.credential")).unwrap();
    let get = async |piece: &str| {
        let request = http::Request::get(format!("{}/log/default/handover/{piece}", world.admin_url()))
            .header("authorization", format!("Bearer {}", owner.trim()));
        let body = http_body_util::Full::new(bytes::Bytes::new());
        world.http().send(request.body(body).unwrap()).await.unwrap()
    };
    assert_eq!(get(&new.id().to_string()).await.is(200).text(), note);
    for other in ["00000000", "..%2Fcheckpoint", "%2Fetc%2Fpasswd", "0"] {
        get(other).await.is(404);
    }

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
    // What is signed by the new key only is believed by who knows the old one, with the handover and not without it.
    let handover = world
        .run(&["audit", "prove", "--handover", &new.id().to_string()])
        .exits(0)
        .stdout;
    let proof = fs::read_to_string(world.path().join("entry-3.tlog-proof")).unwrap();
    let mut trust = Trust::in_keys([old.clone()]);
    assert!(!verify_proof(&proof, None, &trust).ok);
    trust.handovers.push(handover);
    let proved = verify_proof(&proof, None, &trust);
    assert!(proved.ok && proved.keys_added[0].key == new.to_string(), "{proved:?}");
    let (from, to) = (note.as_str(), read("checkpoint"));
    let goes_on = verify_consistency(from, &to, &trust, Way::Log(&public));
    assert!(goes_on.ok, "{:?}", goes_on.trouble);
    let none = world
        .run(&["audit", "prove", "--handover", &old.id().to_string()])
        .exits(1);
    assert!(none.stderr.contains("no handover to a key"), "{}", none.stderr);
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
