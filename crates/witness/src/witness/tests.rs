use std::thread;

use tlog::{
    checkpoint::Origin,
    note::{Signature, VerifierKey},
};

use super::*;
use crate::{state::Step, testing::World};

const TIME: u64 = 1_700_000_000;

fn key() -> CosigningKey {
    CosigningKey::from_seed("witness.example/w1", &[8; 32]).unwrap()
}

struct Stage {
    dir: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        State::create(&dir.path().join("state")).unwrap();
        Self { dir }
    }

    fn open(&self, log: KnownLog) -> Witness {
        let state = State::open(&self.dir.path().join("state")).unwrap();
        Witness::open(key(), vec![log], state).unwrap()
    }

    fn evidence(&self) -> Vec<String> {
        let dir = self.dir.path().join("state").join("evidence");
        let files = std::fs::read_dir(dir).into_iter().flatten();
        files
            .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
            .collect()
    }
}

fn ask(witness: &Witness, request: &AddCheckpoint) -> Answer {
    witness.add_checkpoint(request.to_string().as_bytes(), TIME)
}

/// The published dialogue, in order, to one fresh witness that knows this one log.
#[test]
fn the_published_dialogue() {
    #[derive(serde::Deserialize)]
    struct Dialogue {
        log_ed25519_pubkey_hex: String,
        steps: Vec<Asked>,
    }
    #[derive(serde::Deserialize)]
    struct Asked {
        request_body: String,
        status: u16,
        assert: String,
    }
    let text = include_str!("../../tests/vectors/litewitness-add-checkpoint.json");
    let dialogue: Dialogue = serde_json::from_str(text).unwrap();
    assert_eq!(dialogue.steps.len(), 9);
    let public = data_encoding::HEXLOWER
        .decode(dialogue.log_ed25519_pubkey_hex.as_bytes())
        .unwrap();
    let name = "sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562";
    let log = VerifierKey::new(name, public.try_into().unwrap()).unwrap();
    let log = KnownLog::new(Origin::new(name).unwrap(), vec![log]).unwrap();
    let stage = Stage::new();
    let state = State::open(&stage.dir.path().join("state")).unwrap();
    let key = CosigningKey::from_seed("example.com/witness", &[8; 32]).unwrap();
    let witness = Witness::open(key, vec![log], state).unwrap();
    for (step, number) in dialogue.steps.iter().zip(1..) {
        let answer = witness.add_checkpoint(step.request_body.as_bytes(), TIME);
        let (_, body) = answer.body();
        // The dialogue is of a version that had 403 for a log that the witness does not know; now that is 404.
        let expected = if number == 3 { 404 } else { step.status };
        assert_eq!(answer.status().as_u16(), expected, "step {number}: {body}");
        let held = match step.assert.split_once(" == ") {
            Some(("body", quoted)) => body == serde_json::from_str::<String>(quoted).unwrap(),
            _ => {
                let quoted = step.assert.strip_prefix("body contains ").unwrap();
                body.contains(&serde_json::from_str::<String>(quoted).unwrap())
            }
        };
        assert!(held, "step {number}: {body:?}, not {}", step.assert);
        if let Answer::Cosigned(signatures) = answer {
            let request: AddCheckpoint = step.request_body.parse().unwrap();
            let note = request.note().clone().with(signatures).unwrap();
            let known = [witness.cosigner().clone()];
            assert_eq!(cosignatures(&note, &known).unwrap()[0].time, TIME);
        }
    }
}

#[test]
fn what_was_cosigned_is_remembered_and_shown() {
    let (stage, world) = (Stage::new(), World::new());
    let witness = stage.open(world.log());
    let path = origin_hash(&world.origin());
    assert_eq!(witness.checkpoint(&path), None);
    assert!(matches!(ask(&witness, &world.request(0, 3)), Answer::Cosigned(_)));
    assert!(matches!(ask(&witness, &world.request(3, 7)), Answer::Cosigned(_)));
    let shown = witness.checkpoint(&path).unwrap();
    drop(witness);
    let witness = stage.open(world.log());
    assert_eq!(witness.checkpoint(&path), Some(shown.clone()));
    assert_eq!(witness.logs()[0].1, Some(7));
    let note = Note::parse(&shown).unwrap();
    assert_eq!(note.body(), world.checkpoint(7).to_string());
    assert_eq!(note.signatures().len(), 2, "the log's and ours");
    assert_eq!(
        ask(&witness, &world.request(3, 7)),
        Answer::Refused(Refusal::OtherSize(7))
    );
    assert_eq!(witness.checkpoint("nonsense"), None);
}

#[test]
fn signatures_by_strangers_are_not_kept() {
    let (stage, world) = (Stage::new(), World::new());
    let witness = stage.open(world.log());
    let junk = (0..99).map(|n| Signature::parse_lines(&format!("— w{n} AAAAAAA=\n")).unwrap().remove(0));
    let note = world.note(5).with(junk).unwrap();
    let request = AddCheckpoint::new(0, vec![], note).unwrap();
    assert!(matches!(ask(&witness, &request), Answer::Cosigned(_)));
    let shown = witness.checkpoint(&origin_hash(&world.origin())).unwrap();
    assert_eq!(Note::parse(&shown).unwrap().signatures().len(), 2);
}

/// The log signs two histories; both are sent at once, again and again. One wins, and the other never gets a word.
#[test]
fn two_histories_race_and_one_wins() {
    for round in 0..20_u64 {
        let (stage, worlds) = (Stage::new(), [World::new(), World::forked_at(2)]);
        let witness = stage.open(worlds[0].log());
        assert!(matches!(ask(&witness, &worlds[0].request(0, 2)), Answer::Cosigned(_)));
        let barrier = std::sync::Barrier::new(8);
        let answers: Vec<(usize, Answer)> = thread::scope(|scope| {
            let asking = (0..8_u64).map(|index| {
                let (witness, barrier, worlds) = (&witness, &barrier, &worlds);
                scope.spawn(move || {
                    let side = usize::from((index + round) % 2 == 0);
                    barrier.wait();
                    // Different sizes: the same would be told apart by the root alone.
                    (side, ask(witness, &worlds[side].request(2, 3 + index)))
                })
            });
            let asking: Vec<_> = asking.collect();
            asking.into_iter().map(|asked| asked.join().unwrap()).collect()
        });
        let won: Vec<_> = answers
            .iter()
            .filter(|(_, answer)| matches!(answer, Answer::Cosigned(_)))
            .collect();
        assert_eq!(won.len(), 1, "{answers:?}");
        let size = witness.logs()[0].1.unwrap();
        for (_, answer) in answers
            .iter()
            .filter(|(_, answer)| !matches!(answer, Answer::Cosigned(_)))
        {
            assert_eq!(*answer, Answer::Refused(Refusal::OtherSize(size)));
        }
        // Who lost comes back from the size that it was told.
        let lost = &worlds[1 - won[0].0];
        let answer = ask(&witness, &lost.request(size, size + 1));
        assert!(
            matches!(answer, Answer::Refused(Refusal::Unproved { .. })),
            "{answer:?}"
        );
        assert_eq!(
            ask(&witness, &lost.request(size, size)),
            Answer::Refused(Refusal::Forked(size))
        );
        assert_eq!(stage.evidence().len(), 2, "both are kept");
    }
}

#[test]
fn a_signed_fork_is_refused_and_kept_as_evidence() {
    let (stage, world, fork) = (Stage::new(), World::new(), World::forked_at(4));
    let witness = stage.open(world.log());
    assert!(matches!(ask(&witness, &world.request(0, 5)), Answer::Cosigned(_)));
    for _ in 0..3 {
        assert_eq!(ask(&witness, &fork.request(5, 5)), Answer::Refused(Refusal::Forked(5)));
    }
    assert_eq!(stage.evidence(), [fork.request(5, 5).to_string()]);
    for size in 6..60 {
        assert!(matches!(
            ask(&witness, &fork.request(5, size)),
            Answer::Refused(Refusal::Unproved { .. })
        ));
    }
    assert_eq!(stage.evidence().len(), 1 + 8, "and no more of what is not proved");
    for fork in 0..4 {
        let fork = World::forked_at(fork);
        assert_eq!(ask(&witness, &fork.request(5, 5)), Answer::Refused(Refusal::Forked(5)));
    }
    assert_eq!(stage.evidence().len(), 5 + 8);
    assert!(
        matches!(ask(&witness, &world.request(5, 6)), Answer::Cosigned(_)),
        "the first history goes on"
    );
}

/// Each step of storing fails, or fails and lands all the same. Then the process goes on, or is killed and started again.
/// Whatever was answered, no second history is ever cosigned.
#[test]
fn every_step_fails_and_fails_but_lands() {
    for step in [Step::Write, Step::Sync, Step::Rename, Step::SyncDirectory] {
        for lands in [false, true] {
            for killed in [false, true] {
                let what = format!("{step:?}, lands: {lands}, killed: {killed}");
                let (stage, world, fork) = (Stage::new(), World::new(), World::forked_at(3));
                let mut witness = stage.open(world.log());
                assert!(
                    matches!(ask(&witness, &world.request(0, 3)), Answer::Cosigned(_)),
                    "{what}"
                );
                *witness.state.fault.lock().unwrap() = Some((step, lands));
                assert_eq!(
                    ask(&witness, &world.request(3, 5)),
                    Answer::Refused(Refusal::Storage),
                    "{what}"
                );
                let shown = witness.checkpoint(&origin_hash(&world.origin())).unwrap();
                assert!(shown.contains("\n3\n"), "{what}: what is not answered is not shown");
                if killed {
                    drop(witness);
                    witness = stage.open(world.log());
                }
                let at = witness.logs()[0].1.unwrap();
                // Once it is in its place it is remembered after a start, although nobody was told.
                let placed = step == Step::SyncDirectory || (step == Step::Rename && lands);
                assert_eq!(at, if killed && placed { 5 } else { 3 }, "{what}");
                // Either history may be the one that goes on where nobody has our word of the other, and only one.
                let second = ask(&witness, &fork.request(at, 6));
                assert_eq!(matches!(second, Answer::Cosigned(_)), at == 3, "{what}: {second:?}");
                let (goes_on, other) = if at == 3 { (&fork, &world) } else { (&world, &fork) };
                let size = witness.logs()[0].1.unwrap();
                assert!(
                    !matches!(ask(&witness, &other.request(size, 9)), Answer::Cosigned(_)),
                    "{what}"
                );
                assert!(
                    matches!(ask(&witness, &goes_on.request(size, 9)), Answer::Cosigned(_)),
                    "{what}"
                );
                drop(witness);
                assert_eq!(stage.open(world.log()).logs()[0].1, Some(9), "{what}");
            }
        }
    }
}

#[test]
fn a_lost_or_damaged_memory_is_not_gone_on_without() {
    let (stage, world) = (Stage::new(), World::new());
    let dir = stage.dir.path().join("state");
    let witness = stage.open(world.log());
    assert!(matches!(State::open(&dir), Err(StateError::InUse(_))));
    assert!(matches!(State::create(&dir), Err(StateError::Exists(_))));
    assert!(matches!(ask(&witness, &world.request(0, 3)), Answer::Cosigned(_)));
    let file = witness.state.path(&world.origin());
    drop(witness);
    let good = std::fs::read_to_string(&file).unwrap();
    let open = |key| Witness::open(key, vec![world.log()], State::open(&dir).unwrap()).map(drop);
    for (bad, why) in [
        (String::new(), "empty line"),
        (good.replace("\n3\n", "\n2\n"), "does not match"),
        (world.note(3).to_string(), "no cosignature"),
    ] {
        std::fs::write(&file, bad).unwrap();
        let error = open(key()).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    std::fs::write(&file, &good).unwrap();
    assert!(open(key()).is_ok());
    let other = CosigningKey::from_seed("witness.example/w1", &[9; 32]).unwrap();
    assert!(open(other).unwrap_err().to_string().contains("no cosignature"));
    // A half-written file beside it is what a kill leaves.
    std::fs::write(file.with_extension("new"), "half").unwrap();
    assert!(open(key()).is_ok());
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(matches!(State::open(&dir), Err(StateError::Missing(_))));
    std::fs::create_dir(&dir).unwrap();
    let error = State::open(&dir).unwrap_err().to_string();
    assert!(error.contains("second history"), "{error}");
}

/// Anybody can send what the log has published, with whatever proof. It must not take the place of a fork.
#[test]
fn garbage_beside_a_published_checkpoint_takes_no_place_of_a_fork() {
    let (stage, world, fork) = (Stage::new(), World::new(), World::forked_at(4));
    let witness = stage.open(world.log());
    assert!(matches!(ask(&witness, &world.request(0, 5)), Answer::Cosigned(_)));
    let garbage = |seed: u8, count: usize| vec![tlog::Hash([seed; 32]); count];
    for seed in 0..40 {
        // The last one that was cosigned is no evidence whatever comes with it.
        let same = ask(&witness, &world.request_with(5, 5, garbage(seed, 1)));
        assert!(matches!(same, Answer::Refused(Refusal::Unproved { .. })), "{same:?}");
    }
    assert_eq!(stage.evidence(), [""; 0]);
    for seed in 0..40 {
        let newer = ask(&witness, &world.request_with(5, 9, garbage(seed, 4)));
        assert!(matches!(newer, Answer::Refused(Refusal::Unproved { .. })), "{newer:?}");
    }
    assert_eq!(stage.evidence().len(), 1, "it is one checkpoint, however it is sent");
    // All that the log will ever publish takes up the places of what is not proved, and of nothing else.
    for size in 10..60 {
        assert!(matches!(
            ask(&witness, &world.request_with(5, size, vec![])),
            Answer::Refused(Refusal::Unproved { .. })
        ));
    }
    assert_eq!(ask(&witness, &fork.request(5, 5)), Answer::Refused(Refusal::Forked(5)));
    assert!(stage.evidence().contains(&fork.request(5, 5).to_string()));
    assert!(matches!(
        ask(&witness, &fork.request(5, 70)),
        Answer::Refused(Refusal::Unproved { .. })
    ));
    assert!(
        stage.evidence().contains(&fork.request(5, 70).to_string()),
        "what was sent last is kept"
    );
    assert_eq!(stage.evidence().len(), 1 + 8, "and no more");
}

#[test]
fn what_was_cosigned_last_is_cosigned_again_without_the_disk() {
    let (stage, world) = (Stage::new(), World::new());
    let witness = stage.open(world.log());
    assert!(matches!(ask(&witness, &world.request(0, 5)), Answer::Cosigned(_)));
    *witness.state.fault.lock().unwrap() = Some((Step::Write, false));
    let again = witness.add_checkpoint(world.request(5, 5).to_string().as_bytes(), TIME + 9);
    let Answer::Cosigned(signatures) = again else {
        panic!("{again:?}");
    };
    let note = world.note(5).with(signatures).unwrap();
    let known = [witness.cosigner().clone()];
    assert_eq!(
        cosignatures(&note, &known).unwrap()[0].time,
        TIME + 9,
        "a signature says when it was made"
    );
    assert!(witness.state.fault.lock().unwrap().is_some(), "nothing was written");
}
