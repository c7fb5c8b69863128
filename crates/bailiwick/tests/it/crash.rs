//! Case 15 of the public failures of other gateways: what was used is lost when the server stops (BerriAI/litellm#34805,
//! #38157, #34820). The server is killed at random moments under load and restarted, or asked to stop under load. What the
//! log says afterwards is held against what the provider saw.
//!
//! The load is mixed: JSON and streams, both dialects, calls that fail and are tried again, calls whose first upstream is
//! gone, calls that are sent twice under one idempotency key, and calls that are refused.
//!
//! Each request carries an id of its own, once as a header that passes to the provider and once as the run that the
//! audit entry names, so that both sides can be joined.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
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
use model::{ActionId, NanoUsd, ServiceTier, TenantName, Usage};
use pricing::PriceBook;
use tlog::{CompactRange, Hash, checkpoint::Checkpoint, note::VerifierKey};

use crate::harness::{Agent, PATIENCE, World};

/// How often the server is killed. The long version is `cargo xtask soak`.
const KILLS: u64 = 20;
/// How many clients call at once: each has its own kind of call.
const CLIENTS: u64 = 7;
/// The client whose calls are refused: nobody knows what its model costs.
const REFUSED: u64 = 6;
/// How often the guard file is read while the server runs.
const GUARD_EVERY: Duration = Duration::from_millis(5);
/// Every so many calls the provider answers with an error.
const ERROR_EVERY: u64 = 7;
/// Errors are tried again, and an upstream that is gone has a fallback.
const ROUTES: &str = r#"
[upstreams.gone]
kind = "openai"
base_url = "http://127.0.0.1:1"
api_key = { env = "OPENAI_API_KEY" }
[routes.openai]
upstream = "openai"
tries = 3
retry_on = ["connect", "5xx"]
backoff = "1ms"
[routes.anthropic]
upstream = "anthropic"
tries = 3
retry_on = ["connect", "5xx"]
backoff = "1ms"
[routes.gone]
upstream = "gone"
fallback = [{ upstream = "openai", model = "gpt-4o" }]
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_15_killed_under_load_nothing_answered_is_lost_and_nothing_sent_is_free() {
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
        .configuration(ROUTES)
        .provider(|provider| {
            provider.chunk_delay = Duration::from_micros(300);
            provider.error_every = Some(ERROR_EVERY);
        })
        .start()
        .await;
    let key = world.key("tester");
    let calls = world.calls();
    let ids = Arc::new(AtomicU64::new(0));
    let mut answered = Vec::new();
    let guards = Guards::watch(&world.data());
    for kill in 0..kills {
        let load = Load::start(world.agents_url(), &key, &ids);
        let goal = calls.count().received + 5 + random.below(60);
        let waited = tokio::time::timeout(PATIENCE, calls.wait_for(goal)).await;
        assert!(waited.is_ok(), "the load of round {kill} does not get through");
        world.kill();
        answered.extend(load.stop().await);
        world.start();
    }
    world.stop();
    let guards = guards.seen().await;
    println!(
        "{} calls answered in {kills} rounds, {} seen by the provider, {} checkpoints seen",
        answered.len(),
        calls.count().received,
        guards.len()
    );
    check(&world.data(), &calls, &guards, &answered, Books::AtLeast).await;
}

/// Asked to stop, the server answers what it has taken on, and books each call at what the provider billed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_15_asked_to_stop_under_load_every_call_is_answered_and_booked_as_billed() {
    let mut world = World::builder()
        .agent(Agent::new("tester", "10000 USD"))
        .configuration(ROUTES)
        .provider(|provider| {
            provider.chunk_delay = Duration::from_micros(300);
            provider.error_every = Some(ERROR_EVERY);
        })
        .start()
        .await;
    let key = world.key("tester");
    let calls = world.calls();
    let ids = Arc::new(AtomicU64::new(0));
    let guards = Guards::watch(&world.data());
    let mut answered = Vec::new();
    for round in 1..=3 {
        let load = Load::start(world.agents_url(), &key, &ids);
        let waited = tokio::time::timeout(PATIENCE, calls.wait_for(round * 40)).await;
        assert!(waited.is_ok(), "the load of round {round} does not get through");
        world.server().signal("TERM");
        answered.extend(load.stop().await);
        assert_eq!(world.server().wait(), 0);
        world.forget_server();
        world.start();
    }
    world.stop();
    let whole: HashSet<&String> = answered.iter().collect();
    for id in billed(&calls).keys() {
        assert!(whole.contains(id), "{id} was sent on and not answered whole");
    }
    let guards = guards.seen().await;
    check(&world.data(), &calls, &guards, &answered, Books::Exactly).await;
}

/// What the log must say of what the provider billed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Books {
    /// As much or more: an end that nobody saw is booked at its hold.
    AtLeast,
    /// Just that.
    Exactly,
}

/// Whoever reads the guard file all the time, as everybody might who is shown a checkpoint.
struct Guards {
    stop: Arc<AtomicBool>,
    reading: tokio::task::JoinHandle<BTreeSet<String>>,
}

impl Guards {
    fn watch(data: &Path) -> Self {
        let (stop, file) = (Arc::<AtomicBool>::default(), data.join("guard/default.checkpoint"));
        let over = stop.clone();
        let reading = tokio::spawn(async move {
            let mut seen = BTreeSet::new();
            loop {
                let last = over.load(Relaxed);
                seen.extend(fs::read_to_string(&file));
                if last {
                    return seen;
                }
                tokio::time::sleep(GUARD_EVERY).await;
            }
        });
        Self { stop, reading }
    }

    /// Every checkpoint that was seen.
    async fn seen(self) -> BTreeSet<String> {
        self.stop.store(true, Relaxed);
        self.reading.await.unwrap()
    }
}

/// Clients that call until they are told to stop or the server is gone.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(url: &str, key: &str, ids: &Arc<AtomicU64>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = (0..CLIENTS).map(|client| {
            let (stop, ids) = (stop.clone(), ids.clone());
            let (url, key) = (url.to_owned(), key.to_owned());
            tokio::spawn(async move {
                let http = Client::builder(TokioExecutor::new()).build_http();
                let mut answered = Vec::new();
                while !stop.load(Relaxed) {
                    let id = format!("call-{}", ids.fetch_add(1, Relaxed));
                    let times = if is_keyed(client) { 2 } else { 1 };
                    for _ in 0..times {
                        let Ok(response) = http.request(request(&url, &key, &id, client)).await else {
                            return answered;
                        };
                        if response.into_body().collect().await.is_err() {
                            return answered;
                        }
                        answered.push(id.clone());
                    }
                }
                answered
            })
        });
        Self {
            clients: clients.collect(),
            stop,
        }
    }

    /// The ids of the calls that were answered whole.
    async fn stop(self) -> Vec<String> {
        self.stop.store(true, Relaxed);
        let mut answered = Vec::new();
        for client in self.clients {
            answered.extend(client.await.unwrap());
        }
        answered
    }
}

/// Whether a client sends each of its calls twice, under one idempotency key.
fn is_keyed(client: u64) -> bool {
    (4..6).contains(&client)
}

/// Half of the clients stream, a third speak Anthropic's dialect, one begins at an upstream that is gone.
fn request(url: &str, key: &str, id: &str, client: u64) -> Request<Full<bytes::Bytes>> {
    let stream = if client.is_multiple_of(2) {
        r#","stream":true"#
    } else {
        ""
    };
    let (path, model) = if client.is_multiple_of(3) {
        ("/anthropic/v1/messages", "claude-sonnet-4-5")
    } else if client == 1 {
        ("/gone/v1/chat/completions", "gpt-4o-mini")
    } else {
        ("/openai/v1/chat/completions", "gpt-4o-mini")
    };
    let model = if client == REFUSED {
        "nobody-knows-its-price"
    } else {
        model
    };
    let body =
        format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Go on"}}],"max_tokens":40{stream}}}"#);
    let mut request = Request::post(format!("{url}{path}"))
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .header("bailiwick-run", id)
        .header("x-call-id", id);
    if is_keyed(client) {
        // The key itself stays at the gateway, so the provider is told by a header that passes.
        request = request.header("idempotency-key", id).header("x-keyed", "yes");
    }
    request.body(Full::new(body.into())).unwrap()
}

/// Invariants 1 to 4 of ARCHITECTURE.md, from the stored log, what was answered and the provider's own count.
async fn check(data: &Path, calls: &Calls, guards: &BTreeSet<String>, answered: &[String], expected: Books) {
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
    let mut ledger: HashMap<String, Booked> = HashMap::new();
    let mut runs = HashMap::new();
    let mut actions: HashMap<String, HashSet<ActionId>> = HashMap::new();
    let mut denials = 0;
    // Folding checks order, density, that each hold ends once, and that none was granted above the limit (1, 2, 4).
    let state = fold(data, |entry, root| {
        if let Some(signed) = signed.remove(&(entry.index + 1)) {
            assert_eq!(
                signed,
                root(),
                "the checkpoint of {} entries is of another log",
                entry.index + 1
            );
        }
        let action = match &entry.event {
            Event::Intent(intent) => Some(&intent.action),
            Event::Replay(replay) => Some(&replay.action),
            Event::Denial(denial) => Some(&denial.action),
            _ => None,
        };
        if let Some(action) = action {
            actions
                .entry(action.run.clone().unwrap())
                .or_default()
                .insert(action.id);
        }
        match &entry.event {
            Event::Denial(_) => denials += 1,
            Event::Intent(intent) => {
                let run = intent.action.run.clone().unwrap();
                ledger.entry(run.clone()).or_default().attempts += 1;
                runs.insert(intent.action.id, run);
            }
            Event::Outcome(outcome) => {
                let booked = ledger.get_mut(&runs[&outcome.action]).unwrap();
                booked.cost = booked.cost.saturating_add(outcome.cost);
            }
            _ => {}
        }
    })
    .await;
    assert_eq!(signed, BTreeMap::new(), "the log ends before what was signed");
    assert_eq!(state.open.len(), 0, "every hold ended");
    // Whoever was answered is in the log as often: by an intent, as a repetition, or as refused.
    let mut times: HashMap<&String, usize> = HashMap::new();
    answered.iter().for_each(|id| *times.entry(id).or_default() += 1);
    for (id, times) in times {
        let known = actions.get(id).map_or(0, HashSet::len);
        assert!(
            known >= times,
            "{id} was answered {times} times, and the log knows of {known}"
        );
    }
    assert!(denials > 0, "nobody was refused");
    assert_eq!(state.overrun, NanoUsd::ZERO);
    let provider = billed(calls);
    assert!(!provider.is_empty());
    for (id, billed) in &provider {
        // 3: no upstream sees a request whose intent is not durable, however often it is tried.
        let booked = ledger
            .get(id)
            .unwrap_or_else(|| panic!("the provider saw {id}, the log does not know it"));
        assert!(
            booked.attempts >= billed.calls,
            "{id} reached the provider {} times with {} intents",
            billed.calls,
            booked.attempts
        );
        assert!(
            booked.cost == billed.cost || (booked.cost > billed.cost && expected == Books::AtLeast),
            "{id} was billed at {} USD and booked at {} USD",
            billed.cost,
            booked.cost
        );
        assert!(
            !billed.keyed || billed.paid <= 1,
            "{id} was paid for {} times",
            billed.paid
        );
    }
    // What the provider never saw was not sent: it may cost nothing, or its hold where the server died in between.
    let tried_again = provider
        .values()
        .filter(|billed| billed.calls > billed.paid.max(1))
        .count();
    let keyed = provider.values().filter(|billed| billed.keyed).count();
    println!(
        "{} ids seen by the provider ({tried_again} tried again, {keyed} sent under a key), {} more in the log that never \
         reached it",
        provider.len(),
        ledger.len() - provider.len()
    );
    assert!(tried_again > 0 && keyed > 0, "the load was not mixed");
}

/// What the log says of one id.
#[derive(Default)]
struct Booked {
    attempts: usize,
    cost: NanoUsd,
}

/// What the provider says of one id.
#[derive(Default)]
struct Billed {
    calls: usize,
    paid: usize,
    cost: NanoUsd,
    keyed: bool,
}

fn billed(calls: &Calls) -> HashMap<String, Billed> {
    let prices = PriceBook::builtin();
    let mut provider: HashMap<String, Billed> = HashMap::new();
    for call in calls.snapshot() {
        let header = |name: &str| {
            call.headers
                .iter()
                .find(|(found, _)| found == name)
                .map(|(_, value)| value.clone())
        };
        let billed = provider.entry(header("x-call-id").unwrap()).or_default();
        let catalogue = if call.path.ends_with("messages") {
            "anthropic"
        } else {
            "openai"
        };
        let usage = Usage {
            input: call.billed.input,
            output: call.billed.output,
            ..Usage::default()
        };
        let prices = prices.require(catalogue, &call.model).unwrap();
        let cost = prices.cost(&usage, ServiceTier::Standard).unwrap();
        billed.calls += 1;
        billed.paid += usize::from(cost > NanoUsd::ZERO);
        billed.cost = billed.cost.saturating_add(cost);
        billed.keyed |= header("x-keyed").is_some();
    }
    provider
}

async fn fold(data: &Path, mut each: impl FnMut(&Entry, &dyn Fn() -> Hash)) -> State {
    let tenant = TenantName::default_tenant();
    let reader = store::Reader::open(data).await.unwrap();
    let mut log = store::Refold::new(tenant.clone(), None);
    // A second tree, grown entry by entry, to know the root after each.
    let mut tree = CompactRange::new();
    let mut batches = Box::pin(reader.batches(&tenant, 0));
    while let Some(batch) = batches.next().await {
        let folded = log.take(&batch.unwrap(), |entry, bytes| {
            tree.append(tlog::leaf_hash(bytes));
            each(entry, &|| tree.root());
        });
        folded.unwrap();
    }
    let (state, ..) = log.finish().unwrap();
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
