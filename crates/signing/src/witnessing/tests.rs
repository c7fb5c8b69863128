//! The task against witnesses of the real protocol, some of which are away, hang, lie or know another history.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use entry::{Absent, Event};
use prometheus_client::registry::Registry;
use store::StoreError;
use tlog::{CompactRange, Hash, checkpoint::Origin, cosignature::CosigningKey, leaf_hash, note::SigningKey, proof};
use witness::{AddCheckpoint, Answer, KnownLog, Refusal, State, Witness};

use super::*;
use crate::Asked;

const ORIGIN: &str = "test.example/default";

fn tenant() -> TenantName {
    TenantName::default_tenant()
}

fn leaf(index: u64, fork: u64) -> Hash {
    leaf_hash(&[index.to_be_bytes(), u64::from(index >= fork).to_be_bytes()].concat())
}

fn leaves(size: u64, fork: u64) -> Vec<Hash> {
    (0..size).map(|index| leaf(index, fork)).collect()
}

fn log_key() -> SigningKey {
    SigningKey::from_seed(ORIGIN, &[1; 32]).unwrap()
}

fn cosigning_key(witness: usize) -> CosigningKey {
    let seed = u8::try_from(witness).unwrap() + 10;
    CosigningKey::from_seed(&format!("w{witness}.example"), &[seed; 32]).unwrap()
}

/// A checkpoint of the log, which from an entry on has another history.
fn signed(size: u64, fork: u64) -> Note {
    let tree: CompactRange = leaves(size, fork).into_iter().collect();
    let checkpoint = Checkpoint {
        origin: Origin::new(ORIGIN).unwrap(),
        size,
        root: tree.root(),
    };
    checkpoint.sign(&log_key()).unwrap()
}

/// What a witness does when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    Away,
    Hangs,
    /// Signs with another key.
    Lies,
    /// Says that it stands elsewhere, each time.
    Wanders,
}

#[derive(Debug)]
struct People {
    witnesses: Vec<Witness>,
    moods: Mutex<Vec<Mood>>,
    asked: AtomicU64,
    _dir: tempfile::TempDir,
}

#[derive(Debug)]
struct Door(Arc<People>);

impl AskWitness for Door {
    fn ask(&self, witness: usize, old: u64, proof: Vec<Hash>, checkpoint: Note) -> Asked<'_> {
        let people = &self.0;
        people.asked.fetch_add(1, Relaxed);
        let mood = people.moods.lock().unwrap()[witness];
        Box::pin(async move {
            match mood {
                Mood::Well => {}
                Mood::Away => return WitnessAnswer::Unreachable("away".to_owned()),
                Mood::Hangs => std::future::pending().await,
                Mood::Lies => {
                    let liar = CosigningKey::from_seed("w0.example", &[77; 32]).unwrap();
                    let signature = liar.cosign(checkpoint.body(), 1).unwrap();
                    return WitnessAnswer::Cosigned(vec![signature]);
                }
                Mood::Wanders => return WitnessAnswer::At(old ^ 1),
            }
            let request = AddCheckpoint::new(old, proof, checkpoint).unwrap().to_string();
            match people.witnesses[witness].add_checkpoint(request.as_bytes(), 1_700_000_000) {
                Answer::Cosigned(signatures) => WitnessAnswer::Cosigned(signatures),
                Answer::Refused(Refusal::OtherSize(size)) => WitnessAnswer::At(size),
                Answer::Refused(refusal @ (Refusal::Forked(_) | Refusal::Unproved { .. })) => {
                    WitnessAnswer::Fork(refusal.to_string())
                }
                Answer::Refused(Refusal::UnknownLog(_) | Refusal::Unsigned(_)) => {
                    WitnessAnswer::Unknown("unknown".to_owned())
                }
                Answer::Refused(refusal) => WitnessAnswer::Failed(refusal.to_string()),
            }
        })
    }
}

/// The log as it is stored: from an entry on it may be another one.
#[derive(Debug, Default)]
struct Place {
    fork: AtomicU64,
    events: Mutex<Vec<Event>>,
    kept: Mutex<Option<String>>,
    /// How many of the next records fail, though they land.
    failing: AtomicU64,
}

impl Surroundings for Arc<Place> {
    async fn proof(&self, _: &TenantName, old: u64, new: u64) -> Result<Vec<Hash>, StoreError> {
        Ok(proof::consistency(&leaves(new, self.fork.load(Relaxed)), old).unwrap())
    }

    async fn said(&self, _: &TenantName) -> Result<Said, String> {
        let mut said = Said::default();
        for event in self.events.lock().unwrap().iter() {
            match event {
                Event::QuorumMissed { .. } => said.missed = true,
                Event::QuorumMet { .. } => said.missed = false,
                Event::ForkReported { witness, .. } => said.forks.extend([witness.clone()]),
                _ => panic!("{event:?}"),
            }
        }
        Ok(said)
    }

    async fn record(&self, _: &TenantName, event: Event) -> Result<(), String> {
        self.events.lock().unwrap().push(event);
        let failing = self.failing.load(Relaxed);
        self.failing.store(failing.saturating_sub(1), Relaxed);
        if failing > 0 {
            Err("as the test has ordered".to_owned())
        } else {
            Ok(())
        }
    }

    async fn keep(&self, _: &TenantName, note: &str) -> Result<(), StoreError> {
        *self.kept.lock().unwrap() = Some(note.to_owned());
        Ok(())
    }
}

struct World {
    people: Arc<People>,
    place: Arc<Place>,
    task: Witnessing<Arc<Place>>,
    registry: Registry,
    size: u64,
}

impl World {
    fn new(count: usize, quorum: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = KnownLog::new(Origin::new(ORIGIN).unwrap(), vec![log_key().verifier().clone()]).unwrap();
        let witness = |index: usize| {
            let state = dir.path().join(index.to_string());
            State::create(&state).unwrap();
            Witness::open(cosigning_key(index), vec![log.clone()], State::open(&state).unwrap()).unwrap()
        };
        let witnesses: Vec<_> = (0..count).map(witness).collect();
        let known = witnesses.iter().map(|witness| witness.cosigner().clone()).collect();
        let people = Arc::new(People {
            witnesses,
            moods: Mutex::new(vec![Mood::Well; count]),
            asked: AtomicU64::new(0),
            _dir: dir,
        });
        let place = Arc::new(Place {
            fork: AtomicU64::new(u64::MAX),
            ..Place::default()
        });
        let mut registry = Registry::default();
        let numbers = Arc::new(Vouched::register(&mut registry));
        let all = Witnesses {
            known,
            quorum,
            timeout: Duration::from_secs(30),
            ask: Box::new(Door(people.clone())),
        };
        let task = Witnessing::new(place.clone(), all, numbers).unwrap();
        let size = 0;
        Self {
            people,
            place,
            task,
            registry,
            size,
        }
    }

    fn mood(&self, witness: usize, mood: Mood) {
        self.people.moods.lock().unwrap()[witness] = mood;
    }

    /// Signs a checkpoint and shows it.
    async fn sign(&mut self, size: u64) {
        self.size = size;
        self.show().await;
    }

    /// Another round with the last checkpoint.
    async fn show(&mut self) {
        let note = signed(self.size, self.place.fork.load(Relaxed)).to_string();
        let signed = Checkpoints::from([(tenant(), Arc::new(Published::read(note).unwrap()))]);
        self.task.rounds(&signed).await;
    }

    async fn later(&mut self, seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        self.show().await;
    }

    /// What is published: its size, and how many witnesses' signatures it has.
    fn published(&self) -> Option<(u64, usize)> {
        let published = self.task.published.borrow().get(&tenant()).cloned()?;
        assert_eq!(
            self.place.kept.lock().unwrap().as_ref(),
            Some(&published.note),
            "what is published is kept"
        );
        let note = Note::parse(&published.note).unwrap();
        let signatures = cosignatures(&note, self.task.quorum.known()).unwrap();
        Some((published.size, signatures.len()))
    }

    fn asked(&self) -> u64 {
        self.people.asked.swap(0, Relaxed)
    }

    fn events(&self) -> Vec<Event> {
        std::mem::take(&mut self.place.events.lock().unwrap())
    }
}

fn missed(size: u64, quorum: u32, absent: &[(&str, Absence)]) -> Event {
    let absent = absent.iter().map(|(witness, why)| Absent {
        witness: (*witness).to_owned(),
        why: *why,
    });
    Event::QuorumMissed {
        size,
        quorum,
        absent: absent.collect(),
    }
}

fn forked(witness: usize, size: u64) -> Event {
    let witness = cosigning_key(witness).cosigner().to_string();
    Event::ForkReported { witness, size }
}

#[tokio::test(start_paused = true)]
async fn all_sign_and_each_is_asked_once_a_checkpoint() {
    let mut world = World::new(3, 2);
    world.sign(5).await;
    assert_eq!(world.published(), Some((5, 3)));
    assert_eq!(world.asked(), 3);
    world.sign(9).await;
    assert_eq!(world.published(), Some((9, 3)));
    assert_eq!(world.asked(), 3, "it is known where they stand");
    world.later(100).await;
    assert_eq!(world.asked(), 0, "nothing is left to ask");
    assert_eq!(world.events(), []);
}

#[tokio::test(start_paused = true)]
async fn a_witness_that_stands_elsewhere_is_gone_on_from_there() {
    let mut world = World::new(1, 1);
    world.sign(5).await;
    world.asked();
    // After a start nothing is known of where witnesses stand.
    world.task.logs.clear();
    world.sign(8).await;
    assert_eq!((world.published(), world.asked()), (Some((8, 1)), 2));
}

#[tokio::test(start_paused = true)]
async fn too_few_are_recorded_once_and_their_return_once() {
    let mut world = World::new(3, 2);
    world.sign(4).await;
    world.mood(0, Mood::Away);
    world.mood(1, Mood::Lies);
    world.sign(6).await;
    assert_eq!(
        world.published(),
        Some((4, 3)),
        "what too few have signed is not published"
    );
    assert_eq!(world.events(), [], "their time is not over");
    world.later(31).await;
    let absent = [
        ("w0.example", Absence::Unreachable),
        ("w1.example", Absence::BadSignature),
    ];
    assert_eq!(world.events(), [missed(6, 2, &absent)]);
    world.sign(7).await;
    world.later(120).await;
    world.later(120).await;
    assert_eq!(world.events(), [], "it is said already");
    assert_eq!(world.published(), Some((4, 3)));
    world.mood(1, Mood::Well);
    world.later(120).await;
    assert_eq!(world.events(), [Event::QuorumMet { size: 7 }]);
    assert_eq!(world.published(), Some((7, 2)));
    world.mood(0, Mood::Well);
    world.later(120).await;
    assert_eq!(world.published(), Some((7, 3)), "who comes later is added");
    assert_eq!(world.events(), []);
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_keeps_nobody_waiting() {
    let mut world = World::new(3, 2);
    world.mood(1, Mood::Hangs);
    let began = Instant::now();
    world.sign(4).await;
    assert_eq!(world.published(), Some((4, 2)));
    assert!(
        began.elapsed() <= REST + Duration::from_millis(10),
        "{:?}",
        began.elapsed()
    );
    // Where it is needed it is waited for, and then counts as unreachable.
    world.mood(0, Mood::Hangs);
    world.sign(6).await;
    let absent = [
        ("w0.example", Absence::Unreachable),
        ("w1.example", Absence::Unreachable),
    ];
    assert_eq!(world.events(), [missed(6, 2, &absent)]);
}

#[tokio::test(start_paused = true)]
async fn who_fails_is_spared_for_a_while() {
    let mut world = World::new(1, 1);
    world.mood(0, Mood::Away);
    world.sign(4).await;
    assert_eq!(world.asked(), 1);
    world.show().await;
    assert_eq!(world.asked(), 0);
    for _ in 0..20 {
        world.later(2).await;
    }
    let asked = world.asked();
    assert!((3..=6).contains(&asked), "in 40 seconds {asked} times");
    world.mood(0, Mood::Wanders);
    world.later(120).await;
    assert_eq!(world.asked(), TRIES as u64);
    world.mood(0, Mood::Well);
    world.later(120).await;
    assert_eq!(world.published(), Some((4, 1)));
}

/// An older copy was put in the place of the log, which then went on to another history, all of it signed.
#[tokio::test(start_paused = true)]
async fn a_signed_fork_is_caught() {
    for fork_size in [7, 9, 12] {
        let mut world = World::new(2, 1);
        world.sign(9).await;
        world.events();
        world.task.logs.clear();
        world.place.fork.store(6, Relaxed);
        world.sign(fork_size).await;
        assert_eq!(
            world.published(),
            Some((9, 2)),
            "{fork_size}: the fork is published nowhere"
        );
        assert_eq!(
            world.events(),
            [forked(0, fork_size), forked(1, fork_size)],
            "nobody waits for it to be late"
        );
        world.later(31).await;
        let absent = [("w0.example", Absence::Fork), ("w1.example", Absence::Fork)];
        assert_eq!(world.events(), [missed(fork_size, 1, &absent)], "{fork_size}");
        let mut text = String::new();
        prometheus_client::encoding::text::encode_registry(&mut text, &world.registry).unwrap();
        assert!(text.contains("answer=\"fork\""), "{text}");
        // The old history goes on where it was.
        world.place.fork.store(u64::MAX, Relaxed);
        world.task.logs.clear();
        world.sign(14).await;
        assert_eq!(world.published(), Some((14, 2)), "{fork_size}");
    }
}

/// One of two has seen another history, and the other one is enough.
#[tokio::test(start_paused = true)]
async fn a_fork_is_recorded_once_though_the_quorum_is_met() {
    let mut world = World::new(2, 1);
    world.mood(1, Mood::Away);
    world.sign(4).await;
    world.mood(1, Mood::Well);
    // The second one sees the log before an older copy takes its place; the first has a state of its own.
    world.people.witnesses[1].add_checkpoint(
        AddCheckpoint::new(0, Vec::new(), signed(9, u64::MAX))
            .unwrap()
            .to_string()
            .as_bytes(),
        1_700_000_000,
    );
    world.place.fork.store(6, Relaxed);
    world.place.failing.store(1, Relaxed);
    world.sign(12).await;
    world.later(60).await;
    assert_eq!(world.published(), Some((12, 1)));
    world.task.logs.clear();
    world.sign(13).await;
    world.later(120).await;
    assert_eq!(
        world.events(),
        [forked(1, 12)],
        "also where it failed and landed, and after a start"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_recorded_although_it_failed_is_not_recorded_twice() {
    let mut world = World::new(1, 1);
    world.mood(0, Mood::Away);
    world.place.failing.store(1, Relaxed);
    world.sign(4).await;
    world.later(31).await;
    world.later(60).await;
    assert_eq!(world.place.events.lock().unwrap().len(), 1, "the log was asked");
    // After a start too.
    world.task.logs.clear();
    world.show().await;
    world.later(31).await;
    assert_eq!(world.place.events.lock().unwrap().len(), 1);
    world.mood(0, Mood::Well);
    world.place.failing.store(1, Relaxed);
    world.later(120).await;
    world.sign(5).await;
    let events = world.events();
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[1], Event::QuorumMet { size: 4 });
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_run_published_is_taken_up_if_the_quorum_still_holds() {
    let mut world = World::new(2, 2);
    world.sign(5).await;
    let note = world.place.kept.lock().unwrap().clone().unwrap();
    let mut other = World::new(2, 2);
    other.task.take_up(&tenant(), note.clone());
    assert_eq!(other.task.published.borrow()[&tenant()].size, 5);
    let mut stricter = World::new(3, 3);
    stricter.task.take_up(&tenant(), note);
    stricter.task.take_up(&tenant(), "nonsense".to_owned());
    assert!(stricter.task.published.borrow().is_empty());
}

#[tokio::test(start_paused = true)]
async fn it_runs_until_it_is_told_to_stop() {
    let world = World::new(2, 2);
    let mut published = world.task.published();
    let (stop, stopping) = watch::channel(false);
    let (signer, checkpoints) = watch::channel(Checkpoints::new());
    let running = tokio::spawn(world.task.run(checkpoints, stopping));
    for size in [3, 8] {
        let note = signed(size, u64::MAX).to_string();
        let all = Checkpoints::from([(tenant(), Arc::new(Published::read(note).unwrap()))]);
        signer.send_replace(all);
        let covers = |all: &Checkpoints| all.get(&tenant()).is_some_and(|published| published.size == size);
        published.wait_for(covers).await.unwrap();
    }
    // One that is away is asked again without anything new being signed.
    world.people.moods.lock().unwrap().fill(Mood::Away);
    let note = signed(9, u64::MAX).to_string();
    signer.send_replace(Checkpoints::from([(
        tenant(),
        Arc::new(Published::read(note).unwrap()),
    )]));
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert_eq!(world.place.events.lock().unwrap().len(), 1);
    world.people.moods.lock().unwrap().fill(Mood::Well);
    published.wait_for(|all| all[&tenant()].size == 9).await.unwrap();
    stop.send_replace(true);
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_counts_as_unreachable_and_is_spared() {
    let mut world = World::new(3, 2);
    world.mood(1, Mood::Hangs);
    world.sign(4).await;
    assert_eq!((world.published(), world.asked()), (Some((4, 2)), 3));
    let mut text = String::new();
    prometheus_client::encoding::text::encode_registry(&mut text, &world.registry).unwrap();
    let counted = text
        .lines()
        .find(|line| line.contains("unreachable"))
        .unwrap_or_default();
    assert!(counted.contains("w1.example") && counted.ends_with(" 1"), "{text}");
    world.sign(5).await;
    assert_eq!((world.published(), world.asked()), (Some((5, 2)), 2), "it is spared");
    // Where there are enough already the rest is waited for no longer than else.
    let began = Instant::now();
    world.later(5).await;
    assert_eq!(world.asked(), 1);
    let took = began.elapsed();
    assert!(
        took <= Duration::from_secs(5) + REST + Duration::from_millis(10),
        "{took:?}"
    );
    let mut asked = 0;
    for _ in 0..60 {
        world.later(2).await;
        asked += world.asked();
    }
    assert!((2..=6).contains(&asked), "in two minutes {asked} times");
    world.mood(1, Mood::Well);
    world.later(60).await;
    assert_eq!(world.published(), Some((5, 3)), "who comes back is added");
    assert_eq!(world.events(), []);
}

#[tokio::test(start_paused = true)]
async fn who_is_unreachable_for_one_log_is_spared_for_all() {
    let mut world = World::new(1, 1);
    let note = signed(4, u64::MAX).to_string();
    let of = |names: &[&str]| {
        let published = Arc::new(Published::read(note.clone()).unwrap());
        let logs = names
            .iter()
            .map(|name| (TenantName::new(name).unwrap(), published.clone()));
        logs.collect::<Checkpoints>()
    };
    world.mood(0, Mood::Away);
    world.task.rounds(&of(&["a"])).await;
    assert_eq!(world.asked(), 1);
    world.task.rounds(&of(&["a", "b", "c"])).await;
    assert_eq!(world.asked(), 0);
    let again = world.task.next(&of(&["b"])).unwrap();
    assert!(
        again <= Instant::now() + ROUND,
        "all are asked about when its time is over"
    );
    // What many logs find out at once is found out once.
    world.mood(0, Mood::Hangs);
    tokio::time::advance(ROUND).await;
    world.task.rounds(&of(&["a", "b", "c"])).await;
    assert_eq!(world.asked(), 3);
    tokio::time::advance(2 * ROUND).await;
    world.task.rounds(&of(&["a", "b", "c"])).await;
    assert_eq!(world.asked(), 3);
    world.mood(0, Mood::Well);
    tokio::time::advance(4 * ROUND).await;
    world.task.rounds(&of(&["a", "b", "c"])).await;
    assert_eq!(world.task.published.borrow().len(), 3);
}
