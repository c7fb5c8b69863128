//! A committer on a database in a temporary directory, with clocks moved by hand and faults to order.

use std::{
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use entry::{Action, AgentRecord, Declared, Entry, Event, KeyRecord, Outcome, State, Status, Tokens, Why};
use futures_util::{StreamExt as _, TryStreamExt as _};
use ledger::{Balance, BudgetSpec, NextStep, Unit, Window};
use model::{
    ActionId, AdminName, AgentName, BudgetName, Digest, KeyId, NanoUsd, Pseudonym, TenantName, Tier, Timestamp,
    UpstreamName, UsageSource,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::super::shard::Shard;
use crate::{
    Ask, BalanceQuery, ChangeError, Changed, Clock, Committer, Config, DataDir, Denied, Ending, Handle, Hold,
    HoldAnswer, HoldRequest, Reader, Store, StoreError, View,
    db::faults::{Fate, Faults},
};

/// 2026-09-21T12:00:00Z.
pub(super) const NOON: i64 = 1_789_992_000_000_000;
pub(super) const SECOND: i64 = 1_000_000;
pub(super) const HOUR: i64 = 3_600 * SECOND;
/// The reserve of free disk in tests.
pub(super) const RESERVE: u64 = 1 << 20;
/// How long tests wait for what must come.
const PATIENCE: Duration = Duration::from_secs(20);
/// What stands in every log at each start and stop.
pub(super) const BOOTS: [&str; 2] = ["started", "stopped"];
/// How long a hold lives in tests.
pub(super) const LIFETIME: i64 = 900 * SECOND;

/// Clocks that stand still until they are moved.
#[derive(Clone, Debug)]
pub(super) struct ManualClock(Arc<Mutex<(i64, i64)>>);

impl ManualClock {
    /// Time passes.
    pub(super) fn pass(&self, micros: i64) {
        let mut clocks = self.0.lock().unwrap();
        clocks.0 += micros;
        clocks.1 += micros;
    }

    /// Somebody sets the wall clock.
    pub(super) fn step(&self, micros: i64) {
        self.0.lock().unwrap().0 += micros;
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

pub(super) fn by() -> AdminName {
    AdminName::new("ada").unwrap()
}

pub(super) fn key(name: &str) -> KeyId {
    KeyId::new(name).unwrap()
}

pub(super) fn budget_loaded(limit: i64) -> Event {
    let window = Window::Calendar {
        unit: Unit::Day,
        zone: "UTC".to_owned(),
    };
    budget_event(BudgetSpec::money(
        BudgetName::new("own").unwrap(),
        NanoUsd(limit),
        window,
    ))
}

pub(super) fn budget_event(budget: BudgetSpec) -> Event {
    Event::BudgetLoaded {
        budget,
        declared: Declared::Files,
        note: String::new(),
        by: by(),
    }
}

pub(super) fn agent_loaded(name: &str) -> Event {
    let agent = AgentRecord {
        name: AgentName::new(name).unwrap(),
        owner: Pseudonym("9f86d081884c7d659a2feaa0c55ad015".to_owned()),
        team: "data".to_owned(),
        product: "reports".to_owned(),
        environment: "test".to_owned(),
        purpose: "Tests".to_owned(),
        budgets: vec![BudgetName::new("own").unwrap()],
        output_limit: None,
        allowance: None,
    };
    Event::AgentLoaded { agent, by: by() }
}

/// An agent that may spend so much while nothing can be recorded.
pub(super) fn with_allowance(name: &str, allowance: Option<i64>) -> Event {
    let Event::AgentLoaded { agent, by } = agent_loaded(name) else {
        unreachable!()
    };
    let allowance = allowance.map(NanoUsd);
    Event::AgentLoaded {
        agent: AgentRecord { allowance, ..agent },
        by,
    }
}

pub(super) fn key_issued(id: &str) -> Event {
    let key = KeyRecord {
        id: key(id),
        agent: AgentName::new("alone").unwrap(),
        label: "laptop".to_owned(),
        verifier: Digest([7; 32]),
        tier: Tier::Background,
        user: None,
        upstreams: Vec::new(),
        models: Vec::new(),
        expires: None,
    };
    Event::KeyIssued { key, by: by() }
}

pub(super) fn key_revoked(id: &str) -> Event {
    Event::KeyRevoked {
        key: key(id),
        note: String::new(),
        by: by(),
    }
}

pub(super) fn action_id(number: u32) -> ActionId {
    let mut random = [0; 10];
    random[..4].copy_from_slice(&number.to_be_bytes());
    ActionId::new(Timestamp::from_unix_micros(NOON), random)
}

pub(super) fn ask(number: u32) -> Ask {
    let action = Action {
        id: action_id(number),
        agent: AgentName::new("alone").unwrap(),
        seq: 0,
        key: key("ka"),
        user: None,
        run: None,
        task: None,
        name: "llm:generate".to_owned(),
        upstream: UpstreamName::new("openai").unwrap(),
        model: "gpt-4o-mini".to_owned(),
    };
    let tenant = tenant();
    Ask { tenant, action }
}

pub(super) fn denied(number: u32) -> Denied {
    Denied {
        ask: ask(number),
        reason: model::Reason::PolicyDenied,
        why: None,
        input: None,
    }
}

/// A successful end that costs so much.
pub(super) fn ended(cost: i64) -> Ending {
    Ending {
        source: UsageSource::Provider,
        cost: NanoUsd(cost),
        ..Ending::unused(Status::Ok)
    }
}

/// A tenant's log, read back through a reader of its own and checked entry by entry: order, ledger, roots, and that no
/// entry takes a budget above its limit unless it is allowed to.
pub(super) async fn replay(dir: &Path, tenant: &TenantName, debt_allowed: bool) -> (Shard, Vec<Entry>) {
    let reader = Reader::open(dir).await.unwrap();
    let mut shard = Shard::new(tenant.clone());
    let mut entries = Vec::new();
    let mut live = State::new(tenant.clone());
    let mut batches = std::pin::pin!(reader.batches(tenant, 0));
    while let Some(batch) = batches.next().await {
        let batch = batch.unwrap();
        let folded = batch.fold(&mut shard.state, &mut shard.range, |entry, _| {
            entries.push(entry.clone())
        });
        folded.unwrap();
        for (_, bytes) in batch.kept().unwrap() {
            live.apply(&Entry::decode(bytes).unwrap()).unwrap();
            for spec in live.ledger.budgets() {
                for balance in live.ledger.balances(&spec.name, live.time, usize::MAX) {
                    assert!(
                        debt_allowed || balance.used() <= balance.limit,
                        "entry {}: {balance:?}",
                        live.size - 1
                    );
                }
            }
        }
    }
    assert_eq!(live, shard.state);
    (shard, entries)
}

pub(super) struct World {
    pub(super) dir: TempDir,
    pub(super) clock: ManualClock,
    pub(super) faults: Faults,
    pub(super) handle: Handle,
    pub(super) reader: Reader,
    task: JoinHandle<()>,
    data: DataDir,
}

impl World {
    /// A new data directory with one agent, `alone`, its credential `ka` and its budget of 1,000.
    pub(super) async fn new() -> Self {
        let world = Self::empty().await;
        world
            .change(vec![budget_loaded(1_000), agent_loaded("alone"), key_issued("ka")])
            .await
            .unwrap();
        world
    }

    /// The same with a spool, and an allowance of 400.
    pub(super) async fn with_spool() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("spool")).unwrap();
        let clock = ManualClock(Arc::new(Mutex::new((NOON, 0))));
        let world = Self::open(dir, clock, &[])
            .await
            .unwrap_or_else(|(_, error)| panic!("{error}"));
        world
            .change(vec![
                budget_loaded(1_000),
                with_allowance("alone", Some(400)),
                key_issued("ka"),
            ])
            .await
            .unwrap();
        world
    }

    pub(super) async fn empty() -> Self {
        let clock = ManualClock(Arc::new(Mutex::new((NOON, 0))));
        Self::open(tempfile::tempdir().unwrap(), clock, &[])
            .await
            .unwrap_or_else(|(_, error)| panic!("{error}"))
    }

    /// Starts on a directory. The first appends meet these fates.
    pub(super) async fn open(dir: TempDir, clock: ManualClock, fates: &[Fate]) -> Result<Self, (TempDir, StoreError)> {
        Self::open_with(dir, clock, fates, 1_000).await
    }

    /// Starts on a directory whose spool cannot be emptied so many times.
    pub(super) async fn open_without_reset(
        dir: TempDir,
        clock: ManualClock,
        fates: &[Fate],
        resets: usize,
    ) -> Result<Self, (TempDir, StoreError)> {
        Self::open_as(dir, clock, 1_000, None, |faults| {
            faults.appends(fates);
            faults.spool.resets(resets);
        })
        .await
    }

    /// Starts on a directory. So many times what an entry owes is refused.
    pub(super) async fn open_refusing(
        dir: TempDir,
        clock: ManualClock,
        refusals: u32,
    ) -> Result<Self, (TempDir, StoreError)> {
        Self::open_as(dir, clock, 1_000, None, |faults| faults.refuse_owed(refusals)).await
    }

    pub(super) async fn open_with(
        dir: TempDir,
        clock: ManualClock,
        fates: &[Fate],
        open_holds: usize,
    ) -> Result<Self, (TempDir, StoreError)> {
        Self::open_as(dir, clock, open_holds, None, |faults| faults.appends(fates)).await
    }

    /// Starts on a directory, with heartbeats.
    pub(super) async fn open_beating(dir: TempDir, clock: ManualClock, every: Duration) -> Self {
        let opened = Self::open_as(dir, clock, 1_000, Some(every), |_| {}).await;
        opened.unwrap_or_else(|(_, error)| panic!("{error}"))
    }

    async fn open_as(
        dir: TempDir,
        clock: ManualClock,
        open_holds: usize,
        heartbeat: Option<Duration>,
        order: impl FnOnce(&Faults),
    ) -> Result<Self, (TempDir, StoreError)> {
        let config = Config {
            node: "n1".to_owned(),
            version: "0.0.0".to_owned(),
            open_holds,
            reserve: RESERVE,
            spool: Some(dir.path().join("spool")).filter(|spool| spool.is_dir()),
            heartbeat,
            random: || [7; 10],
        };
        let started = async {
            let data = DataDir::open(dir.path())?;
            let store = Store::open(&data).await?;
            let (faults, reader) = (store.faults(), store.reader().clone());
            order(&faults);
            let (handle, task) = Committer::start(store, clock.clone(), config).await?;
            Ok((data, faults, reader, handle, task))
        };
        match started.await {
            Ok((data, faults, reader, handle, task)) => Ok(Self {
                dir,
                clock,
                faults,
                handle,
                reader,
                task,
                data,
            }),
            Err(error) => Err((dir, error)),
        }
    }

    pub(super) async fn change(&self, events: Vec<Event>) -> Result<Changed, ChangeError> {
        self.handle.change(tenant(), events).await
    }

    /// The tenant's state, as soon as there is one to be seen.
    pub(super) async fn view(&self) -> View {
        let seen = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Ok(view) = self.handle.view(tenant()).await {
                    return view;
                }
            }
        });
        seen.await
            .unwrap_or_else(|_| panic!("nothing to be seen: {:?}", *self.handle.health().borrow()))
    }

    /// Waits until every fault that was ordered was met.
    pub(super) async fn faults_are_met(&self) {
        patiently(async {
            while self.faults.left() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// A request decided under the present epoch.
    pub(super) async fn request(&self, number: u32, amount: i64) -> HoldRequest {
        request(number, amount, self.view().await.epoch)
    }

    /// Asks for a hold that is expected to be granted.
    pub(super) async fn held(&self, number: u32, amount: i64) -> Hold {
        match self.handle.hold(self.request(number, amount).await).await {
            HoldAnswer::Held(hold) => hold,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until so many attempts are open.
    pub(super) async fn open_is(&self, attempts: usize) {
        let waited = async { while self.view().await.open.len() != attempts {} };
        if tokio::time::timeout(PATIENCE * 2, waited).await.is_err() {
            let open = self.handle.view(tenant()).await.map(|view| view.open);
            panic!("never {attempts} open: {open:?}");
        }
    }

    /// Waits until the store can record.
    pub(super) async fn healthy(&self) {
        let mut health = self.handle.health();
        patiently(health.wait_for(|health| health.trouble.is_none()))
            .await
            .unwrap();
    }

    /// Waits until it cannot, and says why.
    pub(super) async fn troubled(&self) -> String {
        let mut health = self.handle.health();
        let health = patiently(health.wait_for(|health| health.trouble.is_some()))
            .await
            .unwrap();
        health.trouble.clone().unwrap()
    }

    /// How the only budget stands.
    pub(super) async fn balance(&self) -> Balance {
        let query = BalanceQuery {
            most: 1,
            pots: 1,
            ..BalanceQuery::default()
        };
        let found = self.handle.balances(tenant(), query).await.unwrap();
        found.balances.into_iter().next().unwrap()
    }

    /// The outcomes in the log, as attempt number in the order of their intents: status and cost.
    pub(super) async fn outcomes(&self) -> Vec<(Status, i64)> {
        let (_, entries) = self.log().await;
        outcomes(&entries)
            .map(|outcome| (outcome.status, outcome.cost.0))
            .collect()
    }

    /// The tenant's log; the committer's view must be what it folds to.
    pub(super) async fn log(&self) -> (Shard, Vec<Entry>) {
        let view = self.view().await;
        let (shard, entries) = replay(self.dir.path(), &tenant(), false).await;
        assert_same(&view, &shard.view());
        (shard, entries)
    }

    /// The tenant's log if it is a short one: the kinds of its entries behind those of [`World::new`], but for starts and
    /// stops.
    pub(super) async fn kinds(&self) -> Vec<&'static str> {
        let (_, entries) = self.log().await;
        let kinds = entries.iter().map(|entry| entry.event.kind());
        kinds.filter(|kind| !BOOTS.contains(kind)).skip(3).collect()
    }

    /// Stops and starts again.
    pub(super) async fn restart(self) -> Self {
        let clock = self.clock.clone();
        let dir = self.stop().await;
        Self::open(dir, clock, &[])
            .await
            .unwrap_or_else(|(_, error)| panic!("{error}"))
    }

    pub(super) async fn stop(self) -> TempDir {
        self.handle.stop("requested").await;
        self.handle.close().await;
        self.task.await.unwrap();
        drop(self.data);
        self.dir
    }

    /// Lets go of the only handle.
    pub(super) fn abandon(self) -> (TempDir, JoinHandle<()>) {
        drop(self.data);
        (self.dir, self.task)
    }

    /// Dies as a process does: at once, wherever it is.
    pub(super) async fn crash(self) -> (TempDir, ManualClock) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
        // A dead process writes nothing more; here a thread may still be at it.
        while self.faults.store_is_open() {
            tokio::task::yield_now().await;
        }
        drop(self.data);
        (self.dir, self.clock)
    }
}

pub(super) fn request(number: u32, amount: i64, epoch: u64) -> HoldRequest {
    HoldRequest {
        ask: ask(number),
        attempt: 0,
        epoch,
        why: Why::default(),
        prices: 0,
        stream: false,
        limit: 100,
        bound: None,
        bytes: 200,
        request: String::new(),
        amount: NanoUsd(amount),
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

pub(super) fn outcomes(entries: &[Entry]) -> impl Iterator<Item = &Outcome> {
    entries.iter().filter_map(|entry| match &entry.event {
        Event::Outcome(outcome) => Some(outcome),
        _ => None,
    })
}

/// The system's own log, as kinds and numbers of starts.
pub(super) async fn system_log(dir: &Path) -> Vec<(&'static str, u64)> {
    let events = events(dir, &TenantName::system()).await;
    events
        .into_iter()
        .filter_map(|event| match event {
            Event::Started { boot, .. } | Event::Stopped { boot, .. } => Some((event.kind(), boot)),
            Event::Heads { .. } => None,
            other => panic!("{other:?}"),
        })
        .collect()
}

/// What is stored of a log.
pub(super) async fn events(dir: &Path, tenant: &TenantName) -> Vec<Event> {
    let reader = Reader::open(dir).await.unwrap();
    let batches: Vec<_> = reader.batches(tenant, 0).try_collect().await.unwrap();
    let entries = batches.iter().flat_map(|batch| batch.kept().unwrap());
    entries.map(|(_, bytes)| Entry::decode(bytes).unwrap().event).collect()
}

pub(super) fn assert_same(view: &View, folded: &View) {
    assert_eq!(
        (view.size, view.epoch, view.time),
        (folded.size, folded.epoch, folded.time)
    );
    assert_eq!(view.agents, folded.agents);
    assert_eq!(view.keys, folded.keys);
    assert_eq!((&view.peps, &view.pep_keys), (&folded.peps, &folded.pep_keys));
    assert_eq!(view.entities, folded.entities);
    assert_eq!(view.admins, folded.admins);
    assert_eq!(view.budgets, folded.budgets);
    assert_eq!(view.policy_files, folded.policy_files);
    assert_eq!((view.bundle, view.prices), (folded.bundle, folded.prices));
    assert_eq!(view.upstreams, folded.upstreams);
    assert_eq!(view.distrusted, folded.distrusted);
    let sorted = |view: &View| {
        let mut open = view.open.clone();
        open.sort_unstable();
        open
    };
    assert_eq!(sorted(view), sorted(folded));
}

/// Polls a future once and leaves it where it is.
pub(super) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context))).await
}

/// Waits for what must come, but not for ever.
pub(super) async fn patiently<T>(awaited: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, awaited).await.expect("it never comes")
}
