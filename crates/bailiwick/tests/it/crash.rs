//! The server is killed at random moments under load and restarted. What the log says afterwards is held against what
//! the provider saw.
//!
//! Each request carries an id of its own, once as a header that passes to the provider and once as the run that the
//! audit entry names, so that both sides can be joined.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use entry::{Entry, Event, State};
use fake::Calls;
use futures_util::StreamExt as _;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use model::{NanoUsd, ServiceTier, TenantName, Usage};
use pricing::PriceBook;
use tlog::{CompactRange, Hash, checkpoint::Checkpoint, note::VerifierKey};

use crate::harness::{Agent, PATIENCE, World};

/// How often the server is killed. The long version is `cargo xtask soak`.
const KILLS: u64 = 20;
/// How many clients call at once.
const CLIENTS: u64 = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_answered_is_lost_and_nothing_sent_is_free() {
    let kills = std::env::var("BAILIWICK_KILLS")
        .ok()
        .and_then(|kills| kills.parse().ok())
        .unwrap_or(KILLS);
    let seed = std::env::var("BAILIWICK_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(1, |since| u64::from(since.subsec_nanos()) | 1)
        });
    println!("seed {seed} (BAILIWICK_SEED={seed} repeats the choices, BAILIWICK_KILLS={kills} their number)");
    let mut random = Random(seed);
    let mut world = World::builder()
        .agent(Agent::new("tester", "10000 USD"))
        .provider(|provider| provider.chunk_delay = Duration::from_micros(300))
        .start()
        .await;
    let key = world.key("tester");
    let calls = world.calls();
    let ids = Arc::new(AtomicU64::new(0));
    let mut answered = 0;
    let mut guards = Vec::new();
    for kill in 0..kills {
        let load = Load::start(world.agents_url(), &key, &ids);
        let goal = calls.count().received + 5 + random.below(60);
        let waited = tokio::time::timeout(PATIENCE, calls.wait_for(goal)).await;
        assert!(waited.is_ok(), "the load of round {kill} does not get through");
        world.kill();
        answered += load.stop().await;
        guards.extend(fs::read_to_string(world.data().join("guard/default.checkpoint")));
        world.start();
    }
    world.stop();
    println!(
        "{answered} calls answered in {kills} rounds, {} seen by the provider",
        calls.count().received
    );
    check(&world.data(), &calls, &guards).await;
}

/// Clients that call until they are told to stop or the server is gone.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<tokio::task::JoinHandle<u64>>,
}

impl Load {
    fn start(url: &str, key: &str, ids: &Arc<AtomicU64>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = (0..CLIENTS).map(|client| {
            let (stop, ids) = (stop.clone(), ids.clone());
            let (url, key) = (url.to_owned(), key.to_owned());
            tokio::spawn(async move {
                let http = Client::builder(TokioExecutor::new()).build_http();
                let mut answered = 0;
                while !stop.load(Relaxed) {
                    let id = format!("call-{}", ids.fetch_add(1, Relaxed));
                    let Ok(response) = http.request(request(&url, &key, &id, client)).await else {
                        break;
                    };
                    let ok = response.status().is_success();
                    if response.into_body().collect().await.is_err() {
                        break;
                    }
                    answered += u64::from(ok);
                }
                answered
            })
        });
        Self {
            clients: clients.collect(),
            stop,
        }
    }

    async fn stop(self) -> u64 {
        self.stop.store(true, Relaxed);
        let mut answered = 0;
        for client in self.clients {
            answered += client.await.unwrap();
        }
        answered
    }
}

/// Half of the clients stream, a third speak Anthropic's dialect.
fn request(url: &str, key: &str, id: &str, client: u64) -> Request<Full<bytes::Bytes>> {
    let stream = if client.is_multiple_of(2) {
        r#","stream":true"#
    } else {
        ""
    };
    let (path, model) = if client.is_multiple_of(3) {
        ("/anthropic/v1/messages", "claude-sonnet-4-5")
    } else {
        ("/openai/v1/chat/completions", "gpt-4o-mini")
    };
    let body =
        format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Go on"}}],"max_tokens":40{stream}}}"#);
    Request::post(format!("{url}{path}"))
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .header("bailiwick-run", id)
        .header("x-call-id", id)
        .body(Full::new(body.into()))
        .unwrap()
}

/// Invariants 1 to 4 of ARCHITECTURE.md, from the stored log and the provider's own count.
async fn check(data: &Path, calls: &Calls, guards: &[String]) {
    let key = fs::read_to_string(data.join("keys/log.default.vkey")).unwrap();
    let key: VerifierKey = key.trim().parse().unwrap();
    let mut signed: BTreeMap<u64, Hash> = BTreeMap::new();
    for note in guards {
        let checkpoint = Checkpoint::open(note, std::slice::from_ref(&key)).unwrap();
        if let Some(root) = signed.insert(checkpoint.size, checkpoint.root) {
            assert_eq!(
                root, checkpoint.root,
                "two checkpoints of {} entries differ",
                checkpoint.size
            );
        }
    }
    assert!(!signed.is_empty(), "checkpoints were signed between the kills");
    let mut booked: HashMap<String, NanoUsd> = HashMap::new();
    let mut runs = HashMap::new();
    // Folding checks order, density, that each hold ends once, and that none was granted above the limit (1, 2, 4).
    let state = fold(data, |entry, root| {
        if let Some(signed) = signed.get(&(entry.index + 1)) {
            assert_eq!(
                *signed,
                root(),
                "the checkpoint of {} entries is of another log",
                entry.index + 1
            );
        }
        match &entry.event {
            Event::Intent(intent) => {
                runs.insert(intent.action.id, intent.action.run.clone().unwrap());
            }
            Event::Outcome(outcome) => {
                let before = booked.insert(runs[&outcome.action].clone(), outcome.cost);
                assert!(before.is_none(), "{} ended twice", runs[&outcome.action]);
            }
            _ => {}
        }
    })
    .await;
    assert_eq!(state.open.len(), 0, "every hold ended");
    assert_eq!(state.overrun, NanoUsd::ZERO);
    let prices = PriceBook::builtin();
    let mut seen = 0;
    for call in calls.snapshot() {
        let id = call
            .headers
            .iter()
            .find(|(name, _)| name == "x-call-id")
            .map(|(_, id)| id.clone())
            .unwrap();
        // 3: no upstream sees a request whose intent is not durable. A retry of ours would show as a second call.
        let cost = booked
            .remove(&id)
            .unwrap_or_else(|| panic!("the provider saw {id}, the log does not know it"));
        let provider = if call.path.ends_with("messages") {
            "anthropic"
        } else {
            "openai"
        };
        let usage = Usage {
            input: call.billed.input,
            output: call.billed.output,
            ..Usage::default()
        };
        let billed = prices
            .require(provider, &call.model)
            .unwrap()
            .cost(&usage, ServiceTier::Standard)
            .unwrap();
        assert!(
            cost >= billed,
            "{id} was billed at {billed} USD and booked at {cost} USD"
        );
        seen += 1;
    }
    assert!(seen > 0);
    // What the provider never saw was not sent: it may cost nothing, or its hold where the server died in between.
    println!(
        "{seen} calls seen by the provider, {} more in the log that never reached it",
        booked.len()
    );
}

async fn fold(data: &Path, mut each: impl FnMut(&Entry, &dyn Fn() -> Hash)) -> State {
    let tenant = TenantName::default_tenant();
    let reader = store::Reader::open(data).await.unwrap();
    let mut state = State::new(tenant.clone());
    let mut range = CompactRange::new();
    // A second tree, grown entry by entry, to know the root after each.
    let mut tree = CompactRange::new();
    let mut batches = Box::pin(reader.batches(&tenant, 0));
    while let Some(batch) = batches.next().await {
        let folded = batch.unwrap().fold(&mut state, &mut range, |entry, bytes| {
            tree.append(tlog::leaf_hash(bytes));
            each(entry, &|| tree.root());
        });
        folded.unwrap();
    }
    state
}

/// A small generator, so that a seed reproduces the choices. (Steele, Lea and Flood: SplitMix64.)
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
