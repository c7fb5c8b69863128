//! How many holds a second the committer makes durable: what `cargo xtask bench holds` runs.
//!
//! `holds load DIR BUDGETS LABELS` makes a data directory with so many budgets, each of which selects by one label or by
//! three; `holds use DIR BUDGETS` holds and settles once under each of them; `holds run DIR SELECTING CONCURRENCY MILLIS`
//! opens it and has so many callers hold and settle as fast as they can, each request selected by so many budgets. All print
//! one line of JSON.

use std::{
    error::Error,
    fs::{self, File},
    io::Write as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use entry::{Action, AgentRecord, Declared, Event, KeyRecord, Status, Tokens, Why};
use ledger::{Amount, BudgetSpec, Label, Measure, NextStep, Selector, THRESHOLDS, Unit, Window};
use model::{
    ActionId, AdminName, AgentName, BudgetName, Digest, KeyId, NanoUsd, Pseudonym, TenantName, Tier, UpstreamName,
    UsageSource,
};
use store::{Ask, Clock as _, Committer, Config, DataDir, Ending, Handle, HoldAnswer, HoldRequest, Store, SystemClock};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How many agents call: their own budgets are the first that select their requests.
const CALLERS: usize = 512;
/// The most budgets that can select one request.
const SELECTING: usize = 16;
/// The team of all agents.
const TEAM: &str = "customer-support";
/// How many budgets one change declares.
const CHUNK: usize = 1_000;
/// Clock ticks a second in /proc.
const TICKS: u64 = 100;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let line = match *words.as_slice() {
        ["load", dir, budgets, labels] => load(Path::new(dir), budgets.parse()?, labels.parse()?).await?,
        ["use", dir, budgets] => use_all(Path::new(dir), budgets.parse()?).await?,
        ["run", dir, selecting, concurrency, millis] => {
            let millis = Duration::from_millis(millis.parse()?);
            run(Path::new(dir), selecting.parse()?, concurrency.parse()?, millis).await?
        }
        _ => return Err("usage: holds load DIR BUDGETS LABELS, holds use DIR BUDGETS, or holds run DIR SELECTING CONCURRENCY MILLIS".into()),
    };
    println!("{line}");
    Ok(())
}

async fn open(dir: &Path) -> Result<(Handle, DataDir)> {
    let data = DataDir::open(dir)?;
    let store = Store::open(&data).await?;
    let config = Config {
        node: "bench".to_owned(),
        version: "0.0.0".to_owned(),
        open_holds: 10_000,
        reserve: 0,
        spool: None,
        heartbeat: None,
        random: || [7; 10],
    };
    let (handle, _task) = Committer::start(store, SystemClock::new(), config).await?;
    Ok((handle, data))
}

async fn close(handle: &Handle) {
    handle.stop("requested").await;
    handle.close().await;
}

fn by() -> AdminName {
    AdminName::new("bench").unwrap_or_else(|error| unreachable!("{error}"))
}

fn day() -> Window {
    Window::Calendar {
        unit: Unit::Day,
        zone: "Europe/Berlin".to_owned(),
    }
}

fn budget(name: &str, select: Option<Selector>, unit: Measure) -> Result<Event> {
    let budget = BudgetSpec {
        select,
        unit,
        thresholds: THRESHOLDS.to_vec(),
        ..BudgetSpec::money(BudgetName::new(name)?, Amount(i64::MAX / 4), day())
    };
    Ok(Event::BudgetLoaded {
        budget,
        declared: Declared::Files,
        note: String::new(),
        by: by(),
    })
}

/// Budgets that select requests by their run, of which there is one for each number of selecting budgets, and by something
/// else that they all have: as budgets of a team, a product, a model and so on do.
fn wide() -> Result<Vec<Event>> {
    let others = [
        (Label::Tenant, "default"),
        (Label::Environment, "production"),
        (Label::Product, "shop"),
        (Label::Team, TEAM),
        (Label::Upstream, "openai"),
        (Label::Model, "gpt-4o-mini"),
    ];
    let units = [Measure::Money, Measure::Money, Measure::Tokens, Measure::Calls];
    let mut events = Vec::new();
    for selecting in 2..=SELECTING {
        for number in 1..selecting {
            let (label, value) = others
                .get(number % others.len())
                .copied()
                .unwrap_or((Label::Tenant, "default"));
            let mut select = Selector::of(Label::Task, &format!("task-{selecting}"));
            select.set(label, vec![value.to_owned()]);
            let unit = units.get(number % units.len()).copied().unwrap_or_default();
            events.push(budget(&format!("wide-{selecting}-{number}"), Some(select), unit)?);
        }
    }
    Ok(events)
}

fn caller(number: usize) -> Result<[Event; 3]> {
    let name = AgentName::new(&format!("caller-{number}"))?;
    let own = format!("own-{number}");
    let agent = AgentRecord {
        name: name.clone(),
        owner: Pseudonym("9f86d081884c7d659a2feaa0c55ad015".to_owned()),
        team: TEAM.to_owned(),
        product: "shop".to_owned(),
        environment: "production".to_owned(),
        purpose: "Is measured".to_owned(),
        budgets: vec![BudgetName::new(&own)?],
        output_limit: None,
        allowance: None,
    };
    let key = KeyRecord {
        id: KeyId::new(&format!("key-{number}"))?,
        agent: name,
        label: String::new(),
        verifier: Digest([7; 32]),
        tier: Tier::Background,
        user: None,
        upstreams: Vec::new(),
        models: Vec::new(),
        expires: None,
    };
    Ok([
        budget(&own, None, Measure::Money)?,
        Event::AgentLoaded { agent, by: by() },
        Event::KeyIssued { key, by: by() },
    ])
}

/// The task type that one of the many budgets selects.
fn task(number: usize) -> String {
    format!("support-triage-{number:05}")
}

/// One of many budgets, of a task type: as people name them, and of a team in an environment where three labels are asked
/// for.
fn one_of_many(number: usize, labels: usize) -> Result<Event> {
    let mut select = Selector::of(Label::Task, &task(number));
    if labels > 1 {
        select.set(Label::Environment, vec!["production".to_owned()]);
        select.set(Label::Team, vec![TEAM.to_owned()]);
    }
    budget(&format!("{}-daily", task(number)), Some(select), Measure::Money)
}

async fn load(dir: &Path, budgets: usize, labels: usize) -> Result<String> {
    let (handle, data) = open(dir).await?;
    let tenant = TenantName::default_tenant();
    let mut events = wide()?;
    for number in 0..CALLERS {
        events.extend(caller(number)?);
    }
    handle.change(tenant.clone(), events).await?;
    let started = Instant::now();
    for first in (0..budgets).step_by(CHUNK) {
        let numbers = first..budgets.min(first + CHUNK);
        let events: Result<Vec<Event>> = numbers.map(|number| one_of_many(number, labels)).collect();
        handle.change(tenant.clone(), events?).await?;
    }
    let seconds = started.elapsed().as_secs_f64();
    close(&handle).await;
    drop(data);
    Ok(serde_json::json!({ "budgets": budgets, "seconds": seconds }).to_string())
}

/// Holds and settles once under each of the many budgets, so that each has a pot with a period.
async fn use_all(dir: &Path, budgets: usize) -> Result<String> {
    let (handle, data) = open(dir).await?;
    let tenant = TenantName::default_tenant();
    let epoch = handle.heads().borrow().get(&tenant).map_or(0, |head| head.epoch);
    for first in (0..budgets).step_by(CALLERS) {
        let numbers = first..budgets.min(first + CALLERS);
        let mut holds = Vec::new();
        for number in numbers {
            let request = request(number % CALLERS, task(number), u64::try_from(number)?, epoch)?;
            holds.push(handle.hold(request));
        }
        for answer in futures_util::future::join_all(holds).await {
            match answer {
                HoldAnswer::Held(hold) => hold.settle(ending()),
                other => return Err(format!("{other:?}").into()),
            }
        }
    }
    close(&handle).await;
    drop(data);
    Ok(serde_json::json!({ "budgets": budgets }).to_string())
}

fn request(caller: usize, task: String, number: u64, epoch: u64) -> Result<HoldRequest> {
    let mut random = [0; 10];
    let (head, _) = random.split_at_mut(8);
    head.copy_from_slice(&number.to_be_bytes());
    let action = Action {
        id: ActionId::new(SystemClock::new().now(), random),
        agent: AgentName::new(&format!("caller-{caller}"))?,
        seq: 0,
        key: KeyId::new(&format!("key-{caller}"))?,
        user: None,
        run: None,
        task: Some(task),
        name: "llm:generate".to_owned(),
        upstream: UpstreamName::new("openai")?,
        model: "gpt-4o-mini".to_owned(),
    };
    Ok(HoldRequest {
        ask: Ask {
            tenant: TenantName::default_tenant(),
            action,
        },
        attempt: 0,
        epoch,
        why: Why::default(),
        prices: 0,
        stream: false,
        limit: 100,
        bound: None,
        bytes: 200,
        request: "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU".to_owned(),
        amount: NanoUsd(75_000),
        tokens: Tokens {
            input: 100,
            output: 100,
        },
        tools: Vec::new(),
        all_tools: false,
        next: NextStep::default(),
        may_wait: false,
        lifetime_us: 900_000_000,
        idempotency: None,
    })
}

fn ending() -> Ending {
    Ending {
        source: UsageSource::Provider,
        cost: NanoUsd(21_000),
        http: Some(200),
        duration_us: 500_000,
        bytes: 900,
        reply: "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU".to_owned(),
        ..Ending::unused(Status::Ok)
    }
}

async fn run(dir: &Path, selecting: usize, concurrency: usize, length: Duration) -> Result<String> {
    let (handle, data) = open(dir).await?;
    let resident_kib = resident_kib()?;
    let sync = sync_us(dir)?;
    let tenant = TenantName::default_tenant();
    let epoch = handle.heads().borrow().get(&tenant).map_or(0, |head| head.epoch);
    let (over, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (batches, entries) = (
        handle.stats().batches.load(Relaxed),
        handle.stats().entries.load(Relaxed),
    );
    let commit_us = handle.stats().commit_us.load(Relaxed);
    let (started, cpu) = (Instant::now(), cpu_us()?);
    let mut callers = Vec::new();
    for caller in 0..concurrency {
        let (handle, over, count) = (handle.clone(), Arc::clone(&over), Arc::clone(&count));
        callers.push(tokio::spawn(async move {
            let mut waits = Vec::new();
            while !over.load(Relaxed) {
                let number = count.fetch_add(1, Relaxed);
                let task = format!("task-{selecting}");
                let request = request(caller % CALLERS, task, number, epoch).map_err(|error| error.to_string())?;
                let asked = Instant::now();
                match handle.hold(request).await {
                    HoldAnswer::Held(hold) => {
                        waits.push(asked.elapsed());
                        hold.settle(ending());
                    }
                    other => return Err(format!("{other:?}")),
                }
            }
            Ok(waits)
        }));
    }
    tokio::time::sleep(length).await;
    over.store(true, Relaxed);
    let mut waits = Vec::new();
    for caller in callers {
        waits.extend(caller.await??);
    }
    let (took, cpu) = (started.elapsed(), cpu_us()? - cpu);
    let batches = handle.stats().batches.load(Relaxed) - batches;
    let entries = handle.stats().entries.load(Relaxed) - entries;
    let commit_us = handle.stats().commit_us.load(Relaxed) - commit_us;
    waits.sort_unstable();
    let at = |hundredth: usize| waits.get(waits.len() * hundredth / 100).map_or(0, Duration::as_micros);
    let line = serde_json::json!({
        "holds": waits.len(), "took_us": took.as_micros(), "p50_us": at(50), "p99_us": at(99), "cpu_us": cpu,
        "batches": batches, "entries": entries, "commit_us": commit_us, "sync_us": sync, "resident_kib": resident_kib,
    });
    close(&handle).await;
    drop(data);
    Ok(line.to_string())
}

/// The median time of writing 4 KiB at the end of a file and waiting for the disk.
fn sync_us(dir: &Path) -> Result<u128> {
    let path = dir.join("sync");
    let mut file = File::create(&path)?;
    let mut times = Vec::new();
    for _ in 0..100 {
        let started = Instant::now();
        file.write_all(&[7; 4_096])?;
        file.sync_data()?;
        times.push(started.elapsed().as_micros());
    }
    fs::remove_file(&path)?;
    times.sort_unstable();
    Ok(times.get(times.len() / 2).copied().unwrap_or_default())
}

/// The processor time of this process.
fn cpu_us() -> Result<u64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, rest) = stat.rsplit_once(')').ok_or("an unreadable /proc/self/stat")?;
    let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks: std::result::Result<Vec<u64>, _> = ticks.collect();
    Ok(ticks?.iter().sum::<u64>() * (1_000_000 / TICKS))
}

fn resident_kib() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
