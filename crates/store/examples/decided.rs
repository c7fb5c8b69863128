//! How many decisions a second the committer records, and what one costs: `decided DIR durable|buffered CALLERS MILLIS`
//! makes a data directory and has so many callers record decisions as fast as they can. Prints one line of JSON.

use std::{
    error::Error,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use entry::{
    Decided, DecidedCall, DecidedItem, Decision, Event, Input, Party, PepKeyRecord, PepReasons, PepRecord, PepRight,
    PolicyFile, Value,
};
use model::{ActionId, AdminName, Digest, KeyId, PepName, Pseudonym, TenantName};
use store::{Clock as _, Committer, Config, DataDir, Handle, Recording, Store, SystemClock};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Clock ticks a second in /proc.
const TICKS: u64 = 100;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [dir, recording, callers, millis] = *words.as_slice() else {
        return Err("usage: decisions DIR durable|buffered CALLERS MILLIS".into());
    };
    let recording = match recording {
        "durable" => Recording::Durable,
        "buffered" => Recording::Buffered,
        _ => return Err("record durable or buffered".into()),
    };
    let millis = Duration::from_millis(millis.parse()?);
    println!("{}", run(Path::new(dir), recording, callers.parse()?, millis).await?);
    Ok(())
}

async fn run(dir: &Path, recording: Recording, callers: u32, length: Duration) -> Result<String> {
    fs::create_dir_all(dir)?;
    let data = DataDir::open(dir)?;
    let store = Store::open(&data).await?;
    let config = Config {
        node: "bench".to_owned(),
        version: "0.0.0".to_owned(),
        open_holds: 100,
        reserve: 0,
        spool: None,
        heartbeat: None,
        random: || [7; 10],
    };
    let (handle, _task) = Committer::start(store, SystemClock::new(), config).await?;
    let changed = handle.change(TenantName::default_tenant(), declared()?).await?;
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (began, spent) = (Instant::now(), cpu()?);
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let (handle, stop, count) = (handle.clone(), stop.clone(), count.clone());
            tokio::spawn(async move { ask(&handle, (caller, changed.epoch), recording, &stop, &count).await })
        })
        .collect();
    tokio::time::sleep(length).await;
    stop.store(true, Relaxed);
    for task in tasks {
        task.await?.map_err(|error| -> Box<dyn Error> { error.into() })?;
    }
    handle.stop("requested").await;
    let (took, spent) = (began.elapsed(), cpu()?.saturating_sub(spent));
    let (count, batches) = (count.load(Relaxed), handle.stats().batches.load(Relaxed));
    handle.close().await;
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    Ok(format!(
        "{{\"decisions\":{count},\"per_second\":{},\"cpu_ns_each\":{},\"batches\":{batches}}}",
        count * 1_000_000 / micros(took).max(1),
        spent * (1_000_000_000 / TICKS) / count.max(1),
    ))
}

async fn ask(
    handle: &Handle,
    (caller, epoch): (u32, u64),
    recording: Recording,
    stop: &AtomicBool,
    count: &AtomicU64,
) -> std::result::Result<(), String> {
    let clock = SystemClock::new();
    let mut number = 0_u32;
    while !stop.load(Relaxed) {
        let mut random = [0; 10];
        for (to, from) in random
            .iter_mut()
            .zip(caller.to_be_bytes().into_iter().chain(number.to_be_bytes()))
        {
            *to = from;
        }
        let decided = decided(ActionId::new(clock.now(), random)).map_err(|error| error.to_string())?;
        let recorded = handle
            .decide(TenantName::default_tenant(), epoch, decided, recording)
            .await;
        recorded.map_err(|error| error.to_string())?;
        count.fetch_add(1, Relaxed);
        number = number.wrapping_add(1);
    }
    Ok(())
}

/// An enforcement point, its credential and a bundle.
fn declared() -> Result<Vec<Event>> {
    let by = AdminName::new("bench")?;
    let pep = PepRecord {
        name: PepName::new("documents")?,
        owner: Pseudonym("9f86d081884c7d659a2feaa0c55ad015".to_owned()),
        purpose: "Bench".to_owned(),
        may: vec![PepRight::Evaluate],
        reasons: PepReasons::default(),
        certificates: Vec::new(),
    };
    let key = PepKeyRecord {
        id: KeyId::new("kp")?,
        pep: PepName::new("documents")?,
        label: "bench".to_owned(),
        verifier: Digest([7; 32]),
        expires: None,
    };
    let file = PolicyFile {
        file: "a.cedar".to_owned(),
        text: String::new(),
        sha256: None,
    };
    Ok(vec![
        Event::PolicyFile(file),
        Event::PolicyLoaded {
            bundle: Digest([1; 32]),
            files: vec![0],
            by: by.clone(),
        },
        Event::PepLoaded { pep, by: by.clone() },
        Event::PepKeyIssued { key, by },
    ])
}

/// A question as a document service asks it.
fn decided(id: ActionId) -> Result<Decided> {
    let text = |text: &str| Value::Text(text.to_owned());
    let party = |kind: &str, id: &str| {
        let (kind, id) = (kind.to_owned(), Some(id.to_owned()));
        Some(Party { kind, id })
    };
    let input = Input {
        subject: [("department".to_owned(), text("sales"))].into(),
        resource: [
            ("level".to_owned(), Value::Integer(3)),
            ("owner".to_owned(), text("grace")),
        ]
        .into(),
        context: [("channel".to_owned(), text("web"))].into(),
        ..Input::default()
    };
    let item = DecidedItem {
        subject: party("User", "4e07408562bedb8b60ce05c1decfe3ad"),
        action: Some("read".to_owned()),
        resource: party("Document", "q3-forecast"),
        input: Some(input),
        digest: None,
        outcome: Decision::Permit,
        code: "permitted".to_owned(),
        policies: vec!["sales-read".to_owned()],
    };
    Ok(Decided {
        id,
        pep: Some(PepName::new("documents")?),
        key: Some(KeyId::new("kp")?),
        certificate: None,
        seq: 0,
        call: DecidedCall::Evaluation,
        bundle: 1,
        entities: 0,
        items: vec![item],
        found: None,
        condensed: None,
        left_out: None,
        at: None,
    })
}

/// The processor time of this process so far, in clock ticks (proc(5), /proc/self/stat, fields 14 and 15).
fn cpu() -> Result<u64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let times = fields.split_whitespace().skip(11).take(2);
    times.map(|ticks| Ok(ticks.parse::<u64>()?)).sum()
}
