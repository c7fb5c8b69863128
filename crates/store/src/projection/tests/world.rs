//! A committer with several agents, and the projection behind it.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use entry::{Action, AgentRecord, Class, Declared, Entry, Event, KeyRecord, State, Status, Tokens, Why};
use futures_util::{StreamExt as _, TryStreamExt as _};
use ledger::{BudgetSpec, NextStep, Unit, Window};
use model::{
    ActionId, AdminName, AgentName, BudgetName, Digest, KeyId, NanoUsd, Pseudonym, TenantName, Tier, Timestamp,
    UpstreamName, Usage, UsageSource,
};
use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, Row as _, SqliteConnection, sqlite::SqliteConnectOptions,
};
use tempfile::TempDir;
use tlog::{CompactRange, Stored};
use tokio::task::JoinHandle;

use super::super::{CostAnswer, CostLabel, CostQuestion, CostSums, MAX_CALL_TOKENS, Projection, file};
use crate::{
    Ask, Clock, Committer, Config, DataDir, Ending, Handle, Hold, HoldAnswer, HoldRequest, Reader, Store, View,
    db::faults::{Fate, Faults},
};

/// 2026-10-24T20:00:00Z, the evening before summer time ends in Berlin.
pub(super) const EVENING: i64 = 1_792_872_000_000_000;
pub(super) const SECOND: i64 = 1_000_000;
pub(super) const LIFETIME: i64 = 900 * SECOND;
pub(super) const AGENTS: [&str; 3] = ["alone", "both", "clerk"];
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
pub(super) struct ManualClock(Arc<Mutex<(i64, i64)>>);

impl ManualClock {
    pub(super) fn pass(&self, micros: i64) {
        let mut clocks = self.0.lock().unwrap();
        clocks.0 += micros;
        clocks.1 += micros;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.0.lock().unwrap().0)
    }

    fn elapsed(&self) -> Duration {
        Duration::from_micros(self.0.lock().unwrap().1.try_into().unwrap())
    }
}

pub(super) fn tenant() -> TenantName {
    TenantName::default_tenant()
}

fn by() -> AdminName {
    AdminName::new("ada").unwrap()
}

/// The budgets of an agent: name, unit and zone.
fn budgets_of(agent: &str) -> &'static [(&'static str, Unit, &'static str)] {
    match agent {
        "alone" => &[("alone", Unit::Day, "Europe/Berlin")],
        "both" => &[
            ("both", Unit::Day, "UTC"),
            ("both-month", Unit::Month, "America/New_York"),
        ],
        _ => &[("clerk", Unit::Hour, "Asia/Kolkata")],
    }
}

pub(super) fn budgets_loaded(agent: &str) -> Vec<Event> {
    let loaded = |(name, unit, zone): &(&str, Unit, &str)| {
        let window = Window::Calendar {
            unit: *unit,
            zone: (*zone).to_owned(),
        };
        let budget = BudgetSpec::money(BudgetName::new(name).unwrap(), NanoUsd(20_000), window);
        Event::BudgetLoaded {
            budget,
            declared: Declared::Files,
            note: String::new(),
            by: by(),
        }
    };
    budgets_of(agent).iter().map(loaded).collect()
}

/// The agent's manifest with one of several teams.
pub(super) fn agent_loaded(agent: &str, team: &str, allowance: Option<i64>) -> Event {
    let budgets = budgets_of(agent).iter();
    let agent = AgentRecord {
        name: AgentName::new(agent).unwrap(),
        owner: Pseudonym("9f86d081884c7d659a2feaa0c55ad015".to_owned()),
        team: team.to_owned(),
        product: format!("{agent}-product"),
        environment: "test".to_owned(),
        purpose: "Tests".to_owned(),
        budgets: budgets.map(|(name, ..)| BudgetName::new(name).unwrap()).collect(),
        output_limit: None,
        allowance: allowance.map(NanoUsd),
    };
    Event::AgentLoaded { agent, by: by() }
}

fn key_issued(id: &str, agent: &str, tier: Tier) -> Event {
    let key = KeyRecord {
        id: KeyId::new(id).unwrap(),
        agent: AgentName::new(agent).unwrap(),
        label: String::new(),
        verifier: Digest([7; 32]),
        tier,
        user: None,
        upstreams: Vec::new(),
        models: Vec::new(),
        expires: None,
    };
    Event::KeyIssued { key, by: by() }
}

/// What a call is to be like.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Call {
    pub(super) agent: usize,
    /// Which of the agent's two credentials.
    pub(super) key: usize,
    pub(super) user: Option<u8>,
    pub(super) task: Option<u32>,
    pub(super) model: u8,
    pub(super) attempt: u16,
    pub(super) amount: i64,
}

impl Call {
    fn request(&self, number: u32, epoch: u64) -> HoldRequest {
        let agent = AGENTS[self.agent % AGENTS.len()];
        let action = Action {
            id: action_id(number),
            agent: AgentName::new(agent).unwrap(),
            seq: 0,
            key: KeyId::new(&format!("{agent}-{}", self.key % 2)).unwrap(),
            user: self.user.map(|user| Pseudonym(format!("{user:032x}"))),
            run: Some(format!("run-{number}")),
            task: self.task.map(|task| format!("task-{task}")),
            name: "llm:generate".to_owned(),
            upstream: UpstreamName::new("openai").unwrap(),
            model: format!("model-{}", self.model),
        };
        HoldRequest {
            ask: Ask {
                tenant: tenant(),
                action,
            },
            attempt: self.attempt,
            epoch,
            why: Why::default(),
            prices: 0,
            stream: false,
            // Without a limit of output an overrun does not make the model distrusted for what follows.
            limit: 0,
            bound: None,
            bytes: 200,
            request: String::new(),
            amount: NanoUsd(self.amount),
            tokens: Tokens {
                input: 200,
                output: 100,
            },
            tools: Vec::new(),
            all_tools: false,
            next: NextStep::default(),
            may_wait: true,
            lifetime_us: LIFETIME,
            idempotency: None,
        }
    }
}

pub(super) fn action_id(number: u32) -> ActionId {
    let mut random = [0; 10];
    random[..4].copy_from_slice(&number.to_be_bytes());
    ActionId::new(Timestamp::from_unix_micros(EVENING), random)
}

pub(super) fn ended(cost: i64) -> Ending {
    let count = cost.unsigned_abs();
    Ending {
        source: UsageSource::Provider,
        cost: NanoUsd(cost),
        usage: Some(Usage {
            input: count,
            cache_read: 1,
            output: 2 * count,
            reasoning: count,
            ..Usage::default()
        }),
        duration_us: 10,
        ..Ending::unused(Status::Ok)
    }
}

pub(super) struct World {
    pub(super) dir: TempDir,
    pub(super) clock: ManualClock,
    pub(super) faults: Faults,
    pub(super) handle: Handle,
    pub(super) projection: Projection,
    pub(super) reader: Reader,
    task: JoinHandle<()>,
    data: DataDir,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with_allowance(None).await
    }

    /// Agents that may spend so much each while nothing can be recorded, if there is a number.
    pub(super) async fn with_allowance(allowance: Option<i64>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        if allowance.is_some() {
            std::fs::create_dir(dir.path().join("spool")).unwrap();
        }
        let world = Self::open(dir, ManualClock(Arc::new(Mutex::new((EVENING, 0))))).await;
        for agent in AGENTS {
            let mut events = budgets_loaded(agent);
            events.push(agent_loaded(agent, "data", allowance));
            events.push(key_issued(&format!("{agent}-0"), agent, Tier::Interactive));
            events.push(key_issued(&format!("{agent}-1"), agent, Tier::Background));
            world.handle.change(tenant(), events).await.unwrap();
        }
        world
    }

    pub(super) async fn open(dir: TempDir, clock: ManualClock) -> Self {
        let config = Config {
            node: "n1".to_owned(),
            version: "0.0.0".to_owned(),
            open_holds: 1_000,
            reserve: 0,
            spool: Some(dir.path().join("spool")).filter(|spool| spool.is_dir()),
            heartbeat: None,
            random: || [7; 10],
        };
        let data = DataDir::open(dir.path()).unwrap();
        let store = Store::open(&data).await.unwrap();
        let (faults, reader) = (store.faults(), store.reader().clone());
        let (handle, task) = Committer::start(store, clock.clone(), config).await.unwrap();
        let projection = Projection::start(dir.path(), reader.clone(), handle.heads(), 0);
        Self {
            dir,
            clock,
            faults,
            handle,
            projection,
            reader,
            task,
            data,
        }
    }

    pub(super) async fn view(&self) -> View {
        patiently(async {
            loop {
                if let Ok(view) = self.handle.view(tenant()).await {
                    return view;
                }
            }
        })
        .await
    }

    pub(super) async fn ask(&self, number: u32, call: Call) -> Option<Hold> {
        let request = call.request(number, self.view().await.epoch);
        match self.handle.hold(request).await {
            HoldAnswer::Held(hold) => Some(hold),
            HoldAnswer::Unavailable | HoldAnswer::Refused(..) => None,
            other => panic!("{other:?}"),
        }
    }

    /// A call on the agent's allowance.
    pub(super) async fn ask_on_allowance(&self, number: u32, call: Call) -> Hold {
        let epoch = self.handle.heads().borrow()[&tenant()].epoch;
        match self.handle.hold_on_allowance(call.request(number, epoch)).await {
            HoldAnswer::Held(hold) => hold,
            other => panic!("{other:?}"),
        }
    }

    /// A call that is made and paid.
    pub(super) async fn call(&self, number: u32, call: Call, cost: i64) {
        self.ask(number, call).await.expect("it is held").settle(ended(cost));
        self.settled(0).await;
    }

    /// Waits until so many attempts are open.
    pub(super) async fn settled(&self, open: usize) {
        patiently(async { while self.view().await.open.len() != open {} }).await;
    }

    pub(super) async fn change(&self, events: Vec<Event>) -> bool {
        self.handle.change(tenant(), events).await.is_ok()
    }

    pub(super) async fn healthy(&self) {
        let mut health = self.handle.health();
        patiently(health.wait_for(|health| health.trouble.is_none()))
            .await
            .unwrap();
    }

    pub(super) async fn sums(&self, question: CostQuestion) -> CostAnswer {
        self.projection.ask(question, PATIENCE).await.unwrap()
    }

    /// Has the entries of some classes expire that are from before an instant, and waits until they are gone.
    pub(super) async fn let_go(&self, until: &[(Class, i64)]) {
        let until = until.iter().copied();
        let until = until.map(|(class, until)| (class, Timestamp::from_unix_micros(until)));
        let (said, none, until) = (self.view().await.evidence, BTreeMap::new(), until.collect());
        let tenant = tenant();
        let found = self.reader.expiry(&tenant, &said, &until, u64::MAX, &none);
        let found = found.await.unwrap();
        let gone = self.gone().await + usize::try_from(found.count()).unwrap();
        self.handle.expire(tenant.clone(), found, by()).await.unwrap();
        let size = self.view().await.size;
        let signed = self.handle.save_checkpoint(tenant, size, "signed".to_owned());
        signed.await.unwrap();
        patiently(async { while self.gone().await < gone {} }).await;
    }

    /// How many entries are gone.
    async fn gone(&self) -> usize {
        let batches: Vec<crate::Batch> = self.reader.batches(&tenant(), 0).try_collect().await.unwrap();
        let entries = batches.iter().flat_map(|batch| batch.entries().unwrap());
        entries.filter(|entry| matches!(entry, Stored::Gone(_))).count()
    }

    /// What the whole log folds to, and its entries.
    pub(super) async fn log(&self) -> (State, Vec<Entry>) {
        let mut state = State::new(tenant());
        let (mut range, mut entries) = (CompactRange::new(), Vec::new());
        let mut batches = std::pin::pin!(self.reader.batches(&tenant(), 0));
        while let Some(batch) = batches.next().await {
            let batch = batch.unwrap();
            let folded = batch.fold(&mut state, &mut range, |entry, _| entries.push(entry.clone()));
            folded.unwrap();
        }
        (state, entries)
    }

    /// The entries of a log.
    pub(super) async fn entries_of(&self, tenant: &TenantName) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut batches = std::pin::pin!(self.reader.batches(tenant, 0));
        while let Some(batch) = batches.next().await {
            let batch = batch.unwrap();
            entries.extend(batch.kept().unwrap().map(|(_, bytes)| Entry::decode(bytes).unwrap()));
        }
        entries
    }

    /// Compares everything that the projection says with what the log says.
    pub(super) async fn check(&self) {
        self.view().await;
        let everything = self.sums(CostQuestion::default()).await;
        let (state, entries) = self.log().await;
        // Ends may have come in between.
        if everything.sizes[&tenant()] != state.size {
            return Box::pin(self.check()).await;
        }
        let booked = Booked::of(&entries);
        let total: CostSums = everything.groups.iter().map(|group| group.sums).sum();
        assert_eq!(total.cost, state.spent, "the sum of everything");
        for labels in [
            &[][..],
            &[CostLabel::Agent],
            &[CostLabel::Team],
            &[CostLabel::Team, CostLabel::Model, CostLabel::User],
            &[CostLabel::Task, CostLabel::Tier],
            &CostLabel::ALL,
        ] {
            let question = CostQuestion {
                by: labels.to_vec(),
                ..CostQuestion::default()
            };
            let answer = self.sums(question).await;
            let groups = answer.groups.into_iter().map(|group| {
                let CostSums {
                    calls, cost, tokens, ..
                } = group.sums;
                (group.values, (calls, cost.0, tokens.input))
            });
            let found: BTreeMap<_, _> = groups.collect();
            assert_eq!(found, booked.by(labels), "by {labels:?}");
        }
        for agent in AGENTS {
            self.check_budgets(agent, &state).await;
        }
    }

    /// What the projection has in each budget's window is what the budget has settled there.
    async fn check_budgets(&self, agent: &str, state: &State) {
        for (name, ..) in budgets_of(agent) {
            let name = BudgetName::new(name).unwrap();
            let balance = state.ledger.balance(&name.clone().into(), state.time).unwrap();
            let period = balance.spec.window.period(state.time).unwrap();
            let question = CostQuestion {
                since: Some(period.start),
                until: Some(period.end),
                only: BTreeMap::from([(CostLabel::Agent, vec![agent.to_owned()])]),
                ..CostQuestion::default()
            };
            let groups = self.sums(question).await.groups;
            let cost: i64 = groups.iter().map(|group| group.sums.cost.0).sum();
            assert_eq!(cost, balance.settled.0, "budget {name} in {period:?}");
        }
    }

    /// A connection to the projection that only reads, with the index of terms as a table.
    pub(super) async fn connect(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(file::path(self.dir.path()));
        let mut connection = options.read_only(true).connect().await.unwrap();
        connection
            .execute("CREATE VIRTUAL TABLE temp.word USING fts5vocab(main, term, instance)")
            .await
            .unwrap();
        connection
    }

    /// All rows that matter, in an order that does not depend on how they came about.
    pub(super) async fn rows(&self) -> Vec<String> {
        self.sums(CostQuestion::default()).await;
        let mut connection = self.connect().await;
        let rows = sqlx::query(
            "SELECT json_array(span, start, calls, failed, cost, input, cache_read, output, reasoning, duration_us, team,
                 product, environment, agent, tier, user, task, operation, upstream, model) AS row
             FROM booked JOIN label_set ON label_set.id = booked.labels
             UNION ALL SELECT json_array('open', intent, minute, team, agent, task) FROM open
                 JOIN label_set ON label_set.id = open.labels
             UNION ALL SELECT json_array('cursor', tenant, size, hex(root)) FROM cursor WHERE tenant <> '_system'
             UNION ALL SELECT json_array('entry', tenant, entry.id & (1 << 44) - 1, time, cost) FROM entry
                 JOIN cursor ON cursor.id = entry.id >> 44 WHERE tenant <> '_system'
             UNION ALL SELECT json_array('term', tenant, doc & (1 << 44) - 1, word.term) FROM word
                 JOIN cursor ON cursor.id = doc >> 44 WHERE tenant <> '_system'
             ORDER BY row",
        )
        .fetch_all(&mut connection)
        .await
        .unwrap();
        connection.close().await.unwrap();
        rows.iter().map(|row| row.get("row")).collect()
    }

    /// Stops everything in order and starts it again.
    pub(super) async fn restart(self) -> Self {
        let clock = self.clock.clone();
        let dir = self.stop().await;
        Self::open(dir, clock).await
    }

    pub(super) async fn stop(self) -> TempDir {
        self.projection.stop().await;
        self.handle.stop("requested").await;
        self.handle.close().await;
        self.task.await.unwrap();
        drop(self.data);
        self.dir
    }

    /// Everything dies, and is started again.
    pub(super) async fn crash(self) -> Self {
        self.projection.crash().await;
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
        while self.faults.store_is_open() {
            tokio::task::yield_now().await;
        }
        drop(self.data);
        Self::open(self.dir, self.clock).await
    }

    /// The follower dies and another begins.
    pub(super) async fn crash_projection(self) -> Self {
        let Self {
            dir,
            handle,
            projection,
            reader,
            ..
        } = self;
        projection.crash().await;
        let projection = Projection::start(dir.path(), reader.clone(), handle.heads(), 0);
        Self {
            dir,
            handle,
            projection,
            reader,
            ..self
        }
    }

    /// The follower stops in order and begins again, maybe after something was done to its file.
    pub(super) async fn reopen_projection(self, meanwhile: impl AsyncFnOnce(&Path)) -> Self {
        self.projection.stop().await;
        meanwhile(&file::path(self.dir.path())).await;
        let projection = Projection::start(self.dir.path(), self.reader.clone(), self.handle.heads(), 0);
        Self { projection, ..self }
    }

    pub(super) fn clear_faults_of_projection(&self) {
        self.projection.faults.clear();
    }

    pub(super) fn order_fault_of_projection(&self, fate: Fate) {
        self.projection.faults.order(fate);
    }
}

/// What a log books, worked out entry by entry and without the fold that is tested: labels in the order of
/// [`CostLabel::ALL`], cost and input tokens.
struct Booked(Vec<([String; 11], i64, u64)>);

impl Booked {
    fn of(entries: &[Entry]) -> Self {
        let (mut teams, mut tiers, mut intents) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut booked = Vec::new();
        for entry in entries {
            match &entry.event {
                Event::AgentLoaded { agent, .. } => {
                    let AgentRecord {
                        team,
                        product,
                        environment,
                        ..
                    } = agent.clone();
                    teams.insert(agent.name.clone(), [team, product, environment]);
                }
                Event::KeyIssued { key, .. } => drop(tiers.insert(key.id.clone(), key.tier.to_string())),
                Event::Intent(intent) => {
                    let action = &intent.action;
                    let [team, product, environment] = teams[&action.agent].clone();
                    let labels = [
                        tenant().to_string(),
                        team,
                        product,
                        environment,
                        action.agent.to_string(),
                        tiers[&action.key].clone(),
                        action.user.as_ref().map_or(String::new(), ToString::to_string),
                        action.task.clone().unwrap_or_default(),
                        action.name.clone(),
                        action.upstream.to_string(),
                        action.model.clone(),
                    ];
                    intents.insert(intent.attempt(), labels);
                }
                Event::Outcome(outcome) => {
                    let labels = intents.remove(&outcome.attempt()).unwrap();
                    let input = outcome.usage.map_or(0, |usage| usage.input.min(MAX_CALL_TOKENS));
                    booked.push((labels, outcome.cost.0, input));
                }
                _ => {}
            }
        }
        Self(booked)
    }

    fn by(&self, labels: &[CostLabel]) -> BTreeMap<Vec<String>, (u64, i64, u64)> {
        let mut groups = BTreeMap::new();
        for (all, cost, input) in &self.0 {
            let place = |label: &CostLabel| CostLabel::ALL.iter().position(|known| known == label).unwrap();
            let values: Vec<String> = labels.iter().map(|label| all[place(label)].clone()).collect();
            let sums: &mut (u64, i64, u64) = groups.entry(values).or_default();
            *sums = (sums.0 + 1, sums.1 + cost, sums.2 + input);
        }
        groups
    }
}

/// Waits for what must come, but not for ever.
pub(super) async fn patiently<T>(awaited: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, awaited).await.expect("it never comes")
}
