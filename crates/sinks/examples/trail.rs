//! How many entries a second a server with everything on makes durable: what `cargo xtask bench audit` runs.
//!
//! `trail DIR CALLERS WARM_MILLIS MILLIS [AGENTS [KEPT_MILLIS]]` starts the pipeline on a new data directory, with the projection and its search
//! index, the tiles, the signer with its guard files and a sink into a file, and has so many callers make model calls as
//! fast as they can. What it forwards them to answers at once, in the process: there is no HTTP. With a number of agents so
//! many are declared, and with a second number entries of calls are let go once they are so old. Prints one line of JSON.

use std::{
    collections::BTreeMap,
    error::Error,
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use control::{
    Actor, AgentSpec, Ask, Cleared, Control, Forwarded, Governance, KeyOrder, Limits, Options, PolicySource,
    PolicySources, Session, SinkFormat, SinkSpec, SinkStart, SinkTarget, TenantGovernance, Upstream, UpstreamSpec,
};
use entry::Class;
use ledger::{BudgetSpec, Label, Selector, THRESHOLDS, Unit, Window};
use llm::{Dialect, Endpoint};
use model::{AgentName, BudgetName, NanoUsd, SinkName, TenantName, Tier, UpstreamName};
use secrecy::ExposeSecret as _;
use sinks::Sinks;
use store::{DataDir, SystemClock};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How many agents call.
const AGENTS: usize = 16;
const TEAM: &str = "customer-support";
const UPSTREAM: &str = "openai";
const POLICY: &str = r#"@id("support-models")
permit (principal, action == Action::"llm:generate", resource) when { resource.name like "gpt-4o*" };"#;
/// How often it is looked at how far everything else is.
const LOOK: Duration = Duration::from_millis(20);
/// How long what follows the log may take to read the rest of it.
const PATIENCE: Duration = Duration::from_secs(120);
/// Clock ticks a second in /proc.
const TICKS: u64 = 100;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [dir, callers, warm, length, more @ ..] = words.as_slice() else {
        return Err("usage: trail DIR CALLERS WARM_MILLIS MILLIS [AGENTS [KEPT_MILLIS]]".into());
    };
    let agents = more.first().map_or(Ok(AGENTS), |agents| agents.parse())?;
    let kept = more.get(1).map(|kept| kept.parse().map(Duration::from_millis));
    let server = Server::start(Path::new(dir), agents, kept.transpose()?).await?;
    let (warm, length) = (
        Duration::from_millis(warm.parse()?),
        Duration::from_millis(length.parse()?),
    );
    let line = run(Path::new(dir), server, callers.parse()?, warm, length).await?;
    println!("{line}");
    Ok(())
}

async fn run(dir: &Path, server: Server, callers: usize, warm: Duration, length: Duration) -> Result<String> {
    let data = dir.join("data");
    let sync = sync_us(dir)?;
    let sessions = server.sessions().await?;
    let over = Arc::new(AtomicBool::new(false));
    let number = Arc::<AtomicU64>::default();
    let begin = Instant::now() + warm;
    let mut tasks = Vec::new();
    for session in sessions.iter().cycle().take(callers) {
        let caller = Caller {
            control: server.control.clone(),
            session: session.clone(),
            number: Arc::clone(&number),
            over: Arc::clone(&over),
        };
        tasks.push(tokio::spawn(caller.call(begin)));
    }
    tokio::time::sleep_until(begin.into()).await;
    let (before, cpu) = (server.counters(), cpu_us()?);
    let most = server.watch(length).await?;
    let (took, after, cpu) = (begin.elapsed(), server.counters(), cpu_us()? - cpu);
    over.store(true, Relaxed);
    let ended = Instant::now();
    let mut waits = Vec::new();
    for task in tasks {
        waits.extend(task.await??);
    }
    let left = server.behind()?;
    let caught_up = server.catch_up(ended).await?;
    let size: u64 = server.heads()?.values().sum();
    server.stop().await;
    waits.sort_unstable();
    let at = |hundredth: usize| waits.get(waits.len() * hundredth / 100).map_or(0, Duration::as_micros);
    let ([commits, entries, commit_us], [commits0, entries0, commit_us0]) = (after, before);
    let text = bytes_of(dir, &["entries.jsonl"])?;
    let (expiries, let_go) = expired(&dir.join("entries.jsonl"))?;
    Ok(serde_json::json!({
        "calls": waits.len(), "entries": entries - entries0, "took_us": took.as_micros(), "cpu_us": cpu,
        "commits": commits - commits0, "commit_us": commit_us - commit_us0, "sync_us": sync, "p50_us": at(50), "p99_us": at(99),
        "most_behind": most, "left_behind": left, "caught_up_us": caught_up.map(|took| took.as_micros()),
        "size": size, "text": text - size,
        "longest_us": waits.last().map_or(0, Duration::as_micros),
        "expiries": expiries, "let_go": let_go,
        "log": bytes_of(&data, &["bailiwick.db", "bailiwick.db-wal"])?,
        "tiles": bytes_of(&data, &["tiles.db", "tiles.db-wal"])?,
        "projection": bytes_of(&data, &["projections.db", "projections.db-wal"])?,
    })
    .to_string())
}

/// A server without its listeners.
struct Server {
    control: Control,
    owner: Actor,
    sinks: Sinks,
}

impl Server {
    async fn start(dir: &Path, agents: usize, kept: Option<Duration>) -> Result<Self> {
        let governance = governance(agents.max(AGENTS))?;
        let options = Options {
            dir: DataDir::open(&dir.join("data"))?,
            trust_domain: "agents.acme.example".to_owned(),
            guards: dir.join("guard"),
            reserve: 0,
            spool: None,
            retention: kept.into_iter().map(|kept| (Class::Calls, kept)).collect(),
            public_log: true,
            heartbeat: Some(Duration::from_secs(900)),
            witnesses: None,
            limits: Limits::default(),
            authzen: control::AuthzenSettings::default(),
            version: "0.0.0".to_owned(),
            clock: Arc::new(SystemClock::new()),
            loader: Box::new(move || Ok(governance.clone())),
        };
        let control = Control::start(options).await?;
        let owner = fs::read_to_string(control.owner_file())?;
        let owner = control.authenticate_admin(Some(owner.trim()))?;
        let sink = SinkSpec {
            name: SinkName::new("file")?,
            target: SinkTarget::File {
                path: dir.join("entries.jsonl"),
                rotation: None,
            },
            format: SinkFormat::Json,
            tenants: Vec::new(),
            kinds: Vec::new(),
            agents: Vec::new(),
            start: SinkStart::Beginning,
        };
        let sinks = Sinks::start(vec![sink], &control)?;
        Ok(Self { control, owner, sinks })
    }

    /// One for each agent.
    async fn sessions(&self) -> Result<Vec<Session>> {
        let mut sessions = Vec::new();
        for number in 0..AGENTS {
            let order = KeyOrder {
                tenant: TenantName::default_tenant(),
                agent: agent_name(number)?,
                label: String::new(),
                tier: Tier::Api,
                user: Some(format!("user-{number}@acme.example")),
                upstreams: Vec::new(),
                models: Vec::new(),
                expires: None,
            };
            let issued = self.control.issue_key(&self.owner, order).await?;
            let session = self.control.authenticate(Some(issued.credential.expose_secret()));
            sessions.push(session.map_err(|error| error.refusal.message)?);
        }
        Ok(sessions)
    }

    /// How many entries each log has.
    fn heads(&self) -> Result<BTreeMap<String, u64>> {
        let report = self.control.search_index(&self.owner)?;
        Ok(report.logs.into_iter().map(|(name, log)| (name, log.size)).collect())
    }

    /// Commits, entries and the microseconds that commits took.
    fn counters(&self) -> [u64; 3] {
        let text = self.control.render_metrics();
        ["commits", "entries", "commit_microseconds"].map(|name| {
            let name = format!("bailiwick_{name}_total ");
            let value = text.lines().find_map(|line| line.strip_prefix(name.as_str()));
            value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
        })
    }

    /// How many committed entries the index, the published checkpoints and the sink do not have yet.
    fn behind(&self) -> Result<[u64; 3]> {
        let index = self.control.search_index(&self.owner)?;
        let published = self.control.checkpoints();
        let signed: u64 = published.borrow().values().map(|published| published.size).sum();
        let size: u64 = index.logs.values().map(|log| log.size).sum();
        let sinks = self.control.sinks(&self.owner)?;
        let sink = sinks.iter().map(|sink| sink.behind).sum();
        Ok([index.behind, size.saturating_sub(signed), sink])
    }

    /// The most that each was behind within some time, and the longest that the index was, in milliseconds.
    async fn watch(&self, length: Duration) -> Result<[u64; 4]> {
        let end = Instant::now() + length;
        let mut most = [0; 4];
        while Instant::now() < end {
            tokio::time::sleep(LOOK.min(end.saturating_duration_since(Instant::now()))).await;
            let [index, signed, sink] = self.behind()?;
            let lag = self.control.search_index(&self.owner)?.lag_ms;
            for (most, now) in most.iter_mut().zip([index, signed, sink, lag]) {
                *most = now.max(*most);
            }
        }
        Ok(most)
    }

    /// When each had everything that was committed, from an instant on.
    async fn catch_up(&self, since: Instant) -> Result<[Duration; 3]> {
        let mut done = [None; 3];
        while done.contains(&None) {
            for (done, behind) in done.iter_mut().zip(self.behind()?) {
                if behind == 0 {
                    done.get_or_insert_with(|| since.elapsed());
                }
            }
            if since.elapsed() > PATIENCE {
                return Err(format!("still behind: {:?}", self.behind()?).into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(done.map(Option::unwrap_or_default))
    }

    async fn stop(self) {
        self.sinks.stop(PATIENCE).await;
        self.control.stop("requested").await;
    }
}

/// Who makes one call after the other.
struct Caller {
    control: Control,
    session: Session,
    number: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Caller {
    /// How long each call took that began when it counts.
    async fn call(self, counts: Instant) -> Result<Vec<Duration>> {
        let upstream = self.control.upstream(UPSTREAM).ok_or("no such upstream")?;
        let mut waits = Vec::new();
        while !self.over.load(Relaxed) {
            let number = self.number.fetch_add(1, Relaxed);
            let ask = Ask {
                id: self.control.new_action(),
                upstream: upstream.clone(),
                endpoint: Endpoint::ChatCompletions,
                target: None,
                content_type: Some("application/json".to_owned()),
                body: request(number),
                run: Some(format!("ticket-{}", 480_000 + number / 8)),
                task: Some("support-triage".to_owned()),
                idempotency: None,
                audience: None,
            };
            let asked = Instant::now();
            let answer = self.control.run(&self.session, ask, &AtOnce(number)).await;
            answer.map_err(|refusal| refusal.message)?;
            if asked >= counts {
                waits.push(asked.elapsed());
            }
        }
        Ok(waits)
    }
}

fn request(number: u64) -> Bytes {
    Bytes::from(format!(
        r#"{{"model":"gpt-4o-mini","messages":[{{"role":"system","content":"You sort the tickets of a shop. Answer with one word: billing, delivery, returns or other."}},{{"role":"user","content":"Order {number} arrived two days late and one of the three boxes was open. What do I do now?"}}],"max_tokens":64,"temperature":0}}"#
    ))
}

/// A provider that answers at once.
struct AtOnce(u64);

impl Upstream for AtOnce {
    type Reply = ();

    async fn forward(&self, cleared: Cleared) -> Forwarded<()> {
        let reply = format!(
            r#"{{"id":"chatcmpl-{}","object":"chat.completion","created":1764547200,"model":"gpt-4o-mini-2024-07-18","choices":[{{"index":0,"message":{{"role":"assistant","content":"delivery","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":{},"completion_tokens":2,"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0}}}},"service_tier":"default","system_fingerprint":"fp_44add55e8e"}}"#,
            provider_id(self.0),
            60 + self.0 % 9,
            62 + self.0 % 9,
        );
        cleared.begin().reply(200, "application/json", reply.as_bytes());
        Forwarded::Reply(())
    }
}

/// 29 letters and digits that look drawn, as OpenAI's ids have them: they must not pack better than those.
fn provider_id(number: u64) -> String {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let drawn = std::iter::repeat_with(|| {
        // xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        usize::try_from(state % 62).ok().and_then(|at| letters.get(at)).copied()
    });
    drawn.take(29).flatten().map(char::from).collect()
}

fn agent_name(number: usize) -> Result<AgentName> {
    Ok(AgentName::new(&format!("triage-{number}"))?)
}

/// Agents with a budget each, and one that they have together.
fn governance(count: usize) -> Result<Governance> {
    let day = || Window::Calendar {
        unit: Unit::Day,
        zone: "Europe/Berlin".to_owned(),
    };
    let money = |name: &str| -> Result<BudgetSpec> {
        Ok(BudgetSpec {
            thresholds: THRESHOLDS.to_vec(),
            ..BudgetSpec::money(BudgetName::new(name)?, "1000000 USD".parse::<NanoUsd>()?, day())
        })
    };
    let mut agents = Vec::new();
    for number in 0..count {
        let name = agent_name(number)?;
        agents.push(AgentSpec {
            budget: money(name.as_str())?,
            name,
            owner: "support-lead@acme.example".to_owned(),
            team: TEAM.to_owned(),
            product: "shop".to_owned(),
            environment: "production".to_owned(),
            purpose: "Sorts tickets".to_owned(),
            output_limit: None,
            allowance: None,
        });
    }
    let team = BudgetSpec {
        select: Some(Selector::of(Label::Team, TEAM)),
        ..money("customer-support-daily")?
    };
    let tenant = TenantGovernance {
        agents,
        budgets: vec![team],
        sources: PolicySources {
            policies: vec![PolicySource {
                file: "policies/support.cedar".to_owned(),
                text: POLICY.to_owned(),
            }],
            ..PolicySources::default()
        },
        ..TenantGovernance::default()
    };
    let upstream = UpstreamSpec::new(UpstreamName::new(UPSTREAM)?, Dialect::OpenAi, "http://127.0.0.1:1");
    Ok(Governance {
        tenants: BTreeMap::from([(TenantName::default_tenant(), tenant)]),
        upstreams: vec![upstream],
        routes: Vec::new(),
        prices: Vec::new(),
    })
}

/// How often entries were let go, and how many in all.
fn expired(entries: &Path) -> Result<(u64, u64)> {
    let (mut times, mut count) = (0, 0);
    for line in BufReader::new(File::open(entries)?).lines() {
        let line = line?;
        if line.contains("\"expired\"") {
            let entry: entry::Entry = serde_json::from_str(&line)?;
            if let entry::Event::Expired(expired) = entry.event {
                times += 1;
                count += expired.count;
            }
        }
    }
    Ok((times, count))
}

/// How long the named files of a directory are together. Those that are not there count nothing.
fn bytes_of(dir: &Path, names: &[&str]) -> Result<u64> {
    let mut sum = 0;
    for name in names {
        match fs::metadata(dir.join(name)) {
            Ok(found) => sum += found.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(sum)
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
