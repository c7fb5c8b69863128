//! Witnesses, run by the same binary: they cosign what the server signs, and catch a log that has two histories.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use http::Request;
use http_body_util::Full;
use tlog::{
    CompactRange, Hash,
    checkpoint::{Checkpoint, Origin},
    cosignature::{CosignerKey, cosignatures},
    leaf_hash,
    note::{Note, SigningKey},
    proof,
};
use witness::{ADD_CHECKPOINT_PATH, AddCheckpoint, checkpoint_path};

use crate::harness::{Done, Http, PATIENCE, Process, World, bailiwick, chat};

/// A witness in a directory of its own.
struct Witness {
    dir: PathBuf,
    vkey: String,
    process: Option<Process>,
    url: String,
}

impl Witness {
    fn init(dir: &Path, name: &str) -> Self {
        let made = Done::of(bailiwick(dir).args(["witness", "init", name, "--name", &format!("{name}.example")]));
        let vkey = made.exits(0).stdout.trim().to_owned();
        let dir = dir.join(name);
        let file = dir.join("witness.toml");
        let text = fs::read_to_string(&file).unwrap();
        let text = text.replace("# listen = \"127.0.0.1:7480\"", "listen = \"127.0.0.1:0\"");
        fs::write(&file, text).unwrap();
        Self {
            dir,
            vkey,
            process: None,
            url: String::new(),
        }
    }

    fn knows(&self, origin: &str, vkey: &str) {
        let file = self.dir.join("witness.toml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(
            &file,
            format!("{text}\n[[logs]]\norigin = \"{origin}\"\nvkeys = [\"{vkey}\"]\n"),
        )
        .unwrap();
    }

    fn start(&mut self) {
        let mut command = bailiwick(&self.dir);
        command.args(["witness", "run"]);
        let process = Process::start(&mut command, &self.dir.join("witness.log"));
        self.url = format!("http://{}", process.listening()["witness"].as_str().unwrap());
        self.process = Some(process);
    }

    fn kill(&mut self) {
        self.process.take().unwrap().kill();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("witness.log")).unwrap()
    }
}

/// Waits until something is there.
async fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            copy(&file.path(), &target);
        } else {
            fs::copy(file.path(), target).unwrap();
        }
    }
}

/// How far the checkpoint in a file goes, and who of these witnesses has cosigned it.
fn cosigned(file: &Path, known: &[CosignerKey]) -> Option<(u64, usize)> {
    let note = Note::parse(&fs::read_to_string(file).ok()?).unwrap();
    let size = Checkpoint::parse(note.body()).unwrap().size;
    Some((size, cosignatures(&note, known).unwrap().len()))
}

/// The whole data directory, its guard files and all, is put back as it was, and the server goes on from there: every
/// checkpoint that it signs is valid by its own key. Only somebody else can tell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validly_signed_fork_is_caught_by_a_witness() {
    let mut world = World::start_default().await;
    let key = world.key("worker");
    world.stop();
    let vkey = fs::read_to_string(world.data().join("keys/log.default.vkey")).unwrap();
    let mut witnesses = ["w1", "w2"].map(|name| Witness::init(world.path(), name));
    let mut toml = "[audit]\nquorum = 2\nwitness_timeout = \"2s\"\n".to_owned();
    for witness in &mut witnesses {
        witness.knows("it.example/default", vkey.trim());
        witness.start();
        toml.push_str(&format!(
            "[[audit.witnesses]]\nvkey = \"{}\"\nurl = \"{}\"\n",
            witness.vkey, witness.url
        ));
    }
    let known: Vec<CosignerKey> = witnesses.iter().map(|witness| witness.vkey.parse().unwrap()).collect();
    let settings = fs::read_to_string(world.path().join("bailiwick.toml")).unwrap();
    world.write("bailiwick.toml", &format!("{settings}\n{toml}"));
    world.start();
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    let file = world.data().join("cosigned/default.checkpoint");
    let signed = world.entries("default").len() as u64;
    until("both have cosigned", || {
        cosigned(&file, &known).filter(|(size, count)| *size >= signed && *count == 2)
    })
    .await;
    world.stop();
    copy(&world.data(), &world.path().join("older"));

    // The history that the witnesses know.
    world.start();
    for _ in 0..3 {
        world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    }
    world.settled().await;
    let signed = world.entries("default").len() as u64;
    let (seen, _) = until("both go on", || {
        cosigned(&file, &known).filter(|(size, _)| *size >= signed)
    })
    .await;
    world.stop();

    // Another one.
    fs::rename(world.data(), world.path().join("first")).unwrap();
    copy(&world.path().join("older"), &world.data());
    world.start();
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    let entries = until("it is recorded", || {
        let entries = world.entries("default");
        entries
            .iter()
            .any(|entry| entry.event.kind() == "quorum_missed")
            .then_some(entries)
    })
    .await;
    let missed = entries
        .iter()
        .find(|entry| entry.event.kind() == "quorum_missed")
        .unwrap();
    let missed = serde_json::to_value(&missed.event).unwrap();
    assert_eq!(missed["quorum_missed"]["absent"][0]["why"], "fork", "{missed}");
    let log = world.server().log();
    assert!(log.contains("a witness has seen another history of this log"), "{log}");
    let (published, _) = cosigned(&file, &known).unwrap();
    assert!(published < seen, "the fork is not published: {published}");
    // It grows past what the witnesses have seen, and then they have two signatures that contradict each other.
    for _ in 0..8 {
        world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    }
    until("a witness keeps the evidence, and says so", || {
        let kept = witnesses[0].dir.join("state/evidence").is_dir();
        (kept && witnesses[0].log().contains("two histories")).then_some(())
    })
    .await;
    // Each is said once, whatever becomes of the server.
    let told = |world: &mut World| {
        world
            .server()
            .log()
            .matches("a witness has seen another history")
            .count()
    };
    let before = told(&mut world);
    world.restart();
    until("both are asked again", || {
        (told(&mut world) >= before + 2).then_some(())
    })
    .await;
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    let kind = |kind: &str| -> Vec<serde_json::Value> {
        let entries = world.entries("default").into_iter();
        let found = entries.filter(|entry| entry.event.kind() == kind);
        found.map(|entry| serde_json::to_value(&entry.event).unwrap()).collect()
    };
    let mut forks: Vec<_> = kind("fork_reported")
        .iter()
        .map(|fork| fork["fork_reported"]["witness"].as_str().unwrap().to_owned())
        .collect();
    forks.sort_unstable();
    assert_eq!(forks, witnesses.each_ref().map(|witness| witness.vkey.clone()));
    assert_eq!(kind("quorum_missed").len(), 1);
    world.stop();
    let told = world.run(&["audit", "verify"]).exits(0);
    let told = told.stdout + &told.stderr;
    assert!(
        told.contains("has seen another history") && told.contains("too few witnesses signed"),
        "{told}"
    );

    // With the first history back everything goes on.
    fs::remove_dir_all(world.data()).unwrap();
    copy(&world.path().join("first"), &world.data());
    world.start();
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    until("both go on", || {
        cosigned(&file, &known).filter(|(size, count)| *size > seen && *count == 2)
    })
    .await;
}

/// A log that the test signs itself.
struct Log(Vec<Hash>);

impl Log {
    fn key() -> SigningKey {
        SigningKey::from_seed("log.example/audit", &[7; 32]).unwrap()
    }

    fn request(&self, old: u64, new: u64) -> AddCheckpoint {
        let leaves = &self.0[..usize::try_from(new).unwrap()];
        let tree: CompactRange = leaves.iter().copied().collect();
        let checkpoint = Checkpoint {
            origin: Origin::new("log.example/audit").unwrap(),
            size: new,
            root: tree.root(),
        };
        let note = checkpoint.sign(&Self::key()).unwrap();
        AddCheckpoint::new(old, proof::consistency(leaves, old).unwrap(), note).unwrap()
    }
}

async fn ask(http: &Http, url: &str, request: &AddCheckpoint) -> Result<u16, String> {
    let request = Request::post(format!("{url}{ADD_CHECKPOINT_PATH}")).body(Full::from(request.to_string()));
    http.send(request.unwrap()).await.map(|reply| reply.status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_that_is_killed_has_forgotten_nothing_that_it_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut witness = Witness::init(dir.path(), "w");
    witness.knows("log.example/audit", &Log::key().verifier().to_string());
    let log = Log((0..4000_u64).map(|index| leaf_hash(&index.to_be_bytes())).collect());
    let fork = Log((0..4000_u64)
        .map(|index| leaf_hash(&(index + u64::from(index > 0)).to_be_bytes()))
        .collect());
    let http = Http::new();
    let mut size = 0;
    for kill in 0..20_u64 {
        witness.start();
        let place = checkpoint_path(&log.request(0, 1).checkpoint().origin);
        let shown = http.get(&format!("{}{place}", witness.url)).await.unwrap();
        let remembered = match shown.status {
            200 => {
                Checkpoint::parse(Note::parse(shown.text()).unwrap().body())
                    .unwrap()
                    .size
            }
            _ => 0,
        };
        // The last one may have been stored and not answered.
        assert!(
            (size..=size + 1).contains(&remembered),
            "kill {kill}: said {size}, remembered {remembered}"
        );
        // The first entry is in both.
        if remembered > 1 {
            let refused = ask(&http, &witness.url, &fork.request(remembered, remembered + 1)).await;
            assert_eq!(refused, Ok(422), "kill {kill}");
        }
        size = remembered;
        let process = witness.process.take().unwrap();
        let pid = process.pid();
        let killer = tokio::task::spawn_blocking(move || {
            std::thread::sleep(Duration::from_millis(3 + kill * 2));
            crate::harness::signal(pid, "KILL");
            process
        });
        while let Ok(status) = ask(&http, &witness.url, &log.request(size, size + 1)).await {
            assert_eq!(status, 200, "kill {kill}");
            size += 1;
        }
        drop(killer.await.unwrap());
    }
    assert!(size > 20, "{size}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_witness_is_started_with() {
    let dir = tempfile::tempdir().unwrap();
    let mut witness = Witness::init(dir.path(), "w");
    let run = |arguments: &[&str]| Done::of(bailiwick(&witness.dir).args(arguments));
    assert_eq!(run(&["witness", "key"]).exits(0).stdout.trim(), witness.vkey);
    let again = Done::of(bailiwick(dir.path()).args(["witness", "init", "w", "--name", "other.example"])).exits(1);
    assert!(again.stderr.contains("there already"), "{}", again.stderr);
    let nowhere = Done::of(bailiwick(dir.path()).args(["witness", "run"])).exits(64);
    assert!(nowhere.stderr.contains("bailiwick witness init"), "{}", nowhere.stderr);
    witness.start();
    let second = Done::of(bailiwick(&witness.dir).args(["witness", "run"])).exits(1);
    assert!(
        second.stderr.contains("another witness is running"),
        "{}",
        second.stderr
    );
    assert!(witness.log().contains("no log is declared"), "{}", witness.log());
    let process = witness.process.as_mut().unwrap();
    process.signal("TERM");
    assert_eq!(process.wait(), 0);
    fs::rename(witness.dir.join("state"), witness.dir.join("lost")).unwrap();
    let lost = Done::of(bailiwick(&witness.dir).args(["witness", "run"])).exits(1);
    assert!(lost.stderr.contains("could cosign a second history"), "{}", lost.stderr);
    witness.kill();
}

/// What nobody has cosigned is not given out, nor let go of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_published_before_enough_have_cosigned() {
    let mut world = World::start_default().await;
    let key = world.key("worker");
    world.stop();
    // It is declared, and does not run.
    let witness = Witness::init(world.path(), "w1");
    let settings = fs::read_to_string(world.path().join("bailiwick.toml")).unwrap();
    let declared = format!(
        "[retention]\ncalls = \"1s\"\n[audit]\nquorum = 1\n[[audit.witnesses]]\nvkey = \"{}\"\nurl = \"http://127.0.0.1:9\"\n",
        witness.vkey
    );
    world.write("bailiwick.toml", &format!("{settings}\n{declared}"));
    world.start();
    world.chat(&key, &chat("gpt-4o-mini")).await.is(200);
    world.settled().await;
    let waits = world.run(&["audit", "expire", "--dry-run", "--tenant", "default"]);
    assert!(
        waits.stdout.contains("enough of them have cosigned"),
        "{}",
        waits.stdout
    );
    let data = world.data();
    for stopped in [false, true] {
        if stopped {
            world.stop();
        }
        for asked in [
            &["audit", "export", "--tenant", "default", "--tiles", "out"][..],
            &["audit", "prove", "0", "--tenant", "default"],
        ] {
            let refused = world.run(asked).exits(1);
            assert!(
                refused
                    .stderr
                    .contains("no checkpoint yet that enough witnesses have cosigned"),
                "{asked:?}: {}",
                refused.stderr
            );
        }
        assert!(!data.join("cosigned/default.checkpoint").exists());
    }
    // Of all logs each is named.
    let refused = world.run(&["audit", "export", "--tiles", "out"]).exits(1);
    for log in ["default", "_system"] {
        let named = format!("{log} is not exported: the log of tenant {log} has no checkpoint yet");
        assert!(refused.stderr.contains(&named), "{}", refused.stderr);
    }
    // Without witnesses what is signed is published.
    world.write("bailiwick.toml", &settings);
    world.start();
    world.stop();
    world.json(&["audit", "export", "--tenant", "default", "--tiles", "out"]);
}

/// Nothing that is signed is given out before enough have cosigned it: not what leads to a new key either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handover_waits_for_the_witnesses() {
    let mut world = World::start_default().await;
    world.stop();
    let vkey = fs::read_to_string(world.data().join("keys/log.default.vkey")).unwrap();
    let mut witness = Witness::init(world.path(), "w1");
    witness.knows("it.example/default", vkey.trim());
    witness.start();
    let declared = format!(
        "[audit]\nquorum = 1\nwitness_timeout = \"2s\"\n[[audit.witnesses]]\nvkey = \"{}\"\nurl = \"{}\"\n",
        witness.vkey, witness.url
    );
    let settings = fs::read_to_string(world.path().join("bailiwick.toml")).unwrap();
    world.write("bailiwick.toml", &format!("{settings}\n{declared}"));
    world.start();
    let known: Vec<CosignerKey> = vec![witness.vkey.parse().unwrap()];
    let file = world.data().join("cosigned/default.checkpoint");
    until("it has cosigned", || cosigned(&file, &known)).await;
    witness.kill();
    let added = world.json(&["audit", "rotate-key"]);
    let id = added["id"].as_str().unwrap().to_owned();
    until("both keys have signed", || {
        world
            .data()
            .join(format!("handover/default/{id}"))
            .is_file()
            .then_some(())
    })
    .await;
    let refused = world.run(&["audit", "prove", "--handover", &id]).exits(1);
    assert!(refused.stderr.contains("not published yet"), "{}", refused.stderr);
    let owner = fs::read_to_string(world.data().join("owner.credential")).unwrap();
    let get = async || {
        let request = Request::get(format!("{}/log/default/handover/{id}", world.admin_url()))
            .header("authorization", format!("Bearer {}", owner.trim()));
        world.http().send(request.body(Full::default()).unwrap()).await.unwrap()
    };
    get().await.is(404);
    // The witness is told of the new key, and all goes on.
    let address = witness.url.strip_prefix("http://").unwrap().to_owned();
    let file = witness.dir.join("witness.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("127.0.0.1:0", &address)).unwrap();
    witness.start();
    let proof = until("it is published", || {
        let proved = world.run(&["audit", "prove", "--handover", &id]);
        (proved.code == 0).then_some(proved.stdout)
    })
    .await;
    let handover = get().await.is(200);
    assert!(
        proof.ends_with(handover.text()),
        "the proof is under the same checkpoint"
    );
    witness.kill();
}
