//! Logs as a deployment writes them, and their export as tiles.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use entry::{
    Action, AgentRecord, Declared, Denial, Entry, Event, Intent, KeyRecord, Outcome, Over, PriceRecord, State, Status,
    Tokens, UpstreamRecord, VERSION, Why,
};
use ledger::{Amount, Attempt, BudgetSpec, Charge, Measure, NotAdmitted, Unit, Window};
use model::{
    ActionId, AdminName, AgentName, BudgetName, Digest, KeyId, NanoUsd, Pseudonym, Reason, ServiceTier, TenantName,
    Tier, Timestamp, UpstreamName, Usage, UsageSource,
};
use pricing::{ModelPrices, PriceBook};
use tlog::{
    bundle::{self, BundleId},
    checkpoint::{Checkpoint, Origin},
    leaf_hash,
    note::SigningKey,
    tile::Growing,
};

/// 2026-09-21T12:00:00Z.
const NOON: i64 = 1_789_992_000_000_000;
/// The name of the logs that are made here.
pub(crate) const ORIGIN: &str = "agents.example/default";
/// Agents.
const AGENTS: usize = 8;
/// What they call, with its prices' provider and what a call may cost.
const MODELS: [(&str, &str); 3] = [
    ("openai", "gpt-4o-mini"),
    ("openai", "gpt-4o"),
    ("anthropic", "claude-sonnet-4-5-20250929"),
];

/// The key that signs them.
pub(crate) fn key() -> SigningKey {
    SigningKey::from_seed(ORIGIN, &[7; 32]).unwrap()
}

/// A log that grows the way the committer grows one.
pub(crate) struct Log {
    pub(crate) state: State,
    now: i64,
    prices: Vec<ModelPrices>,
    sink: Box<dyn FnMut(Vec<u8>)>,
    bundle: u64,
    book: u64,
    calls: u64,
    open: VecDeque<(Attempt, usize)>,
}

fn name(number: usize) -> String {
    format!("agent-{number:02}")
}

fn by() -> AdminName {
    AdminName::new("ada").unwrap()
}

fn day() -> Window {
    Window::Calendar {
        unit: Unit::Day,
        zone: "Europe/Berlin".to_owned(),
    }
}

impl Log {
    /// A log with agents, budgets, prices and upstreams. Each entry's bytes go to the sink.
    pub(crate) fn furnished(sink: impl FnMut(Vec<u8>) + 'static) -> Self {
        let book = PriceBook::builtin();
        let digest = book.digest();
        Self::with_prices(sink, &book, digest, &[])
    }

    /// The same with other prices, and what the log says of them.
    pub(crate) fn with_prices(
        sink: impl FnMut(Vec<u8>) + 'static,
        book: &PriceBook,
        digest: Digest,
        overrides: &[PriceRecord],
    ) -> Self {
        let prices = MODELS.map(|(provider, model)| book.require(provider, model).unwrap());
        let mut log = Self {
            state: State::new(TenantName::default_tenant()),
            now: NOON,
            prices: prices.to_vec(),
            sink: Box::new(sink),
            bundle: 0,
            book: 0,
            calls: 0,
            open: VecDeque::new(),
        };
        log.furnish(digest, overrides);
        log
    }

    fn furnish(&mut self, digest: Digest, overrides: &[PriceRecord]) {
        self.bundle = self.push(Event::PolicyLoaded {
            bundle: Digest([1; 32]),
            files: Vec::new(),
            by: by(),
        });
        self.book = self.push(Event::PricesLoaded {
            book: digest,
            overrides: overrides.to_vec(),
            by: by(),
        });
        let upstream = |name: &str, base_url: &str| UpstreamRecord {
            name: UpstreamName::new(name).unwrap(),
            kind: name.to_owned(),
            base_url: base_url.to_owned(),
            prices: name.to_owned(),
            honours_output_limit: true,
            path: None,
            paths: Default::default(),
            query: String::new(),
            headers: Default::default(),
            models: Default::default(),
            azure_paths: false,
            private_network: false,
            proxy: None,
            http2: None,
            ca: None,
            client_certificate: None,
        };
        self.push(Event::UpstreamsLoaded {
            upstreams: vec![
                upstream("anthropic", "https://api.anthropic.com"),
                upstream("openai", "https://api.openai.com"),
            ],
            by: by(),
        });
        let usd = 1_000_000_000;
        let team = BudgetSpec::money(BudgetName::new("team-data").unwrap(), NanoUsd(5_000_000 * usd), day());
        let mut tokens = BudgetSpec::money(BudgetName::new("tokens").unwrap(), NanoUsd(0), day());
        tokens.limit = Amount(1_000_000_000_000);
        tokens.unit = Measure::Tokens;
        let mut tight = BudgetSpec::money(BudgetName::new("tight").unwrap(), NanoUsd(60 * usd), day());
        tight.thresholds = vec![50, 90];
        for spec in [team, tokens, tight] {
            self.load(spec);
        }
        for number in 0..AGENTS {
            let own = BudgetName::new(&name(number)).unwrap();
            self.load(BudgetSpec::money(own.clone(), NanoUsd(1_000_000 * usd), day()));
            let mut budgets = vec![own, BudgetName::new("team-data").unwrap()];
            match number {
                0 => budgets.push(BudgetName::new("tight").unwrap()),
                1 => budgets.push(BudgetName::new("tokens").unwrap()),
                _ => {}
            }
            let agent = AgentRecord {
                name: AgentName::new(&name(number)).unwrap(),
                owner: Pseudonym("9f86d081884c7d659a2feaa0c55ad015".to_owned()),
                team: "data".to_owned(),
                product: "reports".to_owned(),
                environment: "production".to_owned(),
                purpose: "Writes the nightly sales report".to_owned(),
                budgets,
                output_limit: None,
                allowance: None,
            };
            self.push(Event::AgentLoaded { agent, by: by() });
            let key = KeyRecord {
                id: key_of(number),
                agent: AgentName::new(&name(number)).unwrap(),
                label: "laptop".to_owned(),
                verifier: Digest([7; 32]),
                tier: Tier::Background,
                user: Some(Pseudonym("4e07408562bedb8b60ce05c1decfe3ad".to_owned())),
                upstreams: Vec::new(),
                models: Vec::new(),
                expires: None,
            };
            self.push(Event::KeyIssued { key, by: by() });
        }
    }

    fn load(&mut self, budget: BudgetSpec) {
        self.push(Event::BudgetLoaded {
            budget,
            declared: Declared::Files,
            note: String::new(),
            by: by(),
        });
    }

    /// Appends an event, and what it owes.
    pub(crate) fn push(&mut self, event: Event) -> u64 {
        let index = self.state.size;
        self.push_alone(event);
        while let Some(owed) = self.state.owed.front().cloned() {
            self.push_alone(owed);
        }
        index
    }

    fn push_alone(&mut self, event: Event) {
        let entry = Entry {
            v: VERSION,
            tenant: self.state.tenant.clone(),
            index: self.state.size,
            time: Timestamp::from_unix_micros(self.now),
            event,
        };
        self.state.apply(&entry).unwrap();
        (self.sink)(entry.encode().unwrap());
    }

    /// Goes on with calls until there are so many entries: up to 50 at once, some refused.
    pub(crate) fn grow(&mut self, size: u64) {
        while self.state.size < size {
            self.now += 1_370;
            if self.open.len() > 50 || (self.calls % 3 == 0 && self.open.len() > 20) {
                self.end();
            }
            if self.state.size < size {
                self.begin();
            }
        }
    }

    fn begin(&mut self) {
        self.calls += 1;
        let number = usize::try_from(self.calls * 7 % 64 % AGENTS as u64).unwrap();
        let model = usize::try_from(self.calls % MODELS.len() as u64).unwrap();
        let (upstream, model_name) = MODELS[model];
        let agent = AgentName::new(&name(number)).unwrap();
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.calls.to_be_bytes());
        let now = Timestamp::from_unix_micros(self.now);
        let action = Action {
            id: ActionId::new(now, random),
            seq: self.state.agents[&agent].seq + 1,
            agent,
            key: key_of(number),
            user: Some(Pseudonym("4e07408562bedb8b60ce05c1decfe3ad".to_owned())),
            run: Some(format!("2026-09-21-nightly-{}", self.calls / 1_000)),
            task: Some("summarise".to_owned()),
            name: "llm:generate".to_owned(),
            upstream: UpstreamName::new(upstream).unwrap(),
            model: model_name.to_owned(),
        };
        let why = Why {
            bundle: self.bundle,
            policies: vec!["nightly-report-models".to_owned()],
        };
        let tokens = Tokens {
            input: 28_411,
            output: 4_096,
        };
        let hold = NanoUsd(146_673_000);
        let charge = Charge {
            money: hold,
            input: tokens.input,
            output: tokens.output,
            calls: 1,
        };
        let pots = self.state.pots(&action, &[]).unwrap();
        let bookings = match self.state.ledger.admit(&pots, &charge, now) {
            Ok(bookings) => bookings,
            Err(NotAdmitted::Refused(refusal)) => {
                let balance = &refusal.balance;
                let over = Over {
                    budget: balance.spec.name.clone(),
                    of: Vec::new(),
                    unit: Measure::Money,
                    limit: balance.limit,
                    spent: balance.spent(),
                    held: balance.held,
                    asked: refusal.amount,
                    closed: None,
                };
                self.push(Event::Denial(Denial {
                    action,
                    reason: Reason::BudgetExhausted,
                    why: Some(why),
                    over: Some(over),
                    limited: None,
                    breaker: None,
                    input: None,
                }));
                return;
            }
            Err(NotAdmitted::Error(error)) => panic!("{error}"),
        };
        let intent = Intent {
            attempt: 0,
            why,
            prices: self.book,
            stream: true,
            limit: 4_096,
            bound: None,
            bytes: 28_411,
            request: "q1Wl8jvU0mZf0Qx9g2cT3r5k7pNn4bYyHs6aDdEeFfG".to_owned(),
            hold,
            tokens: self.state.counts_tokens(&bookings).then_some(tokens),
            tools: Vec::new(),
            tool_count: 3,
            step: None,
            result_step: None,
            bookings,
            expires: Timestamp::from_unix_micros(self.now + 960_000_000),
            boot: 1,
            idempotency: None,
            spooled: None,
            action,
        };
        self.open.push_back((intent.attempt(), model));
        self.push(Event::Intent(intent));
    }

    fn end(&mut self) {
        let Some((attempt, model)) = self.open.pop_front() else {
            return;
        };
        let usage = Usage {
            input: 1_102 + self.calls % 977,
            cache_read: 5_120,
            output: 422 + self.calls % 311,
            reasoning: 64,
            ..Usage::default()
        };
        let cost = self.prices[model]
            .clone()
            .in_region(pricing::Region::of_host(match MODELS[model].0 {
                "openai" => "api.openai.com",
                _ => "api.anthropic.com",
            }))
            .cost(&usage, ServiceTier::Standard)
            .unwrap();
        let (usage, source, cost, status) = match self.calls % 100 {
            0 => (None, UsageSource::Nothing, NanoUsd::ZERO, Status::UpstreamError),
            1 => (None, UsageSource::Hold, NanoUsd(146_673_000), Status::ClientGone),
            _ => (Some(usage), UsageSource::Provider, cost, Status::Ok),
        };
        self.push(Event::Outcome(Outcome {
            action: attempt.action,
            attempt: attempt.number,
            intent: self.state.open[&attempt].index,
            status,
            http: Some(200),
            usage,
            source,
            cost,
            overrun: NanoUsd::ZERO,
            duration_us: 1_842_211,
            bytes: 41_870,
            reply: "q1Wl8jvU0mZf0Qx9g2cT3r5k7pNn4bYyHs6aDdEeFfG".to_owned(),
            provider_id: Some("msg_01XFDUDYJgAACzvnptvVoYEL".to_owned()),
            spooled: None,
        }));
    }
}

fn key_of(number: usize) -> KeyId {
    KeyId::new(&format!("k7f3a9c2e1b{number:02}")).unwrap()
}

/// Writes an exported log.
pub(crate) struct Exporter {
    dir: PathBuf,
    tree: Growing,
    bundle: Vec<u8>,
    pub(crate) bytes: u64,
}

impl Exporter {
    pub(crate) fn new(dir: &Path) -> Self {
        fs::create_dir_all(dir).unwrap();
        Self {
            dir: dir.to_owned(),
            tree: Growing::new(),
            bundle: Vec::new(),
            bytes: 0,
        }
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        File::create(path).unwrap().write_all(bytes).unwrap();
    }

    pub(crate) fn push(&mut self, entry: &[u8]) {
        self.bytes += u64::try_from(entry.len()).unwrap();
        bundle::push(&mut self.bundle, entry).unwrap();
        let mut full = Vec::new();
        self.tree.append(leaf_hash(entry), |tile| full.push(tile));
        for tile in full {
            self.write(&tile.id.to_string(), &tile.bytes);
        }
        if self.tree.size() % 256 == 0 {
            let id = BundleId::in_log(self.tree.size() / 256 - 1, self.tree.size()).unwrap();
            self.write(&id.to_string(), &self.bundle);
            self.bundle.clear();
        }
    }

    /// Writes what is not full, and signs.
    pub(crate) fn sign(&self, key: &SigningKey) -> String {
        let size = self.tree.size();
        for (id, bytes) in self.tree.edge() {
            self.write(&id.to_string(), &bytes);
        }
        if let Some(id) = BundleId::in_log(size / 256, size) {
            self.write(&id.to_string(), &self.bundle);
        }
        let checkpoint = Checkpoint {
            origin: Origin::new(ORIGIN).unwrap(),
            size,
            root: self.tree.root(),
        };
        let note = checkpoint.sign(key).unwrap().to_string();
        self.write("checkpoint", note.as_bytes());
        self.write("vkey", format!("{}\n", key.verifier()).as_bytes());
        note
    }
}
