//! A whole deployment in one process. Checks on the way out that the log verifies and that no hold is open.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use control::{Actor, AgentSpec, Control, Governance, KeyOrder, Limits, Options, TenantGovernance, UpstreamSpec};
use entry::{Entry, Event, State};
use fake::Provider;
use futures_util::StreamExt as _;
use gateway::Gateway;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use ledger::{BudgetSpec, Window};
use llm::Dialect;
use model::{AgentName, BudgetName, KeyId, NanoUsd, TenantName, Tier, UpstreamName};
use secrecy::ExposeSecret as _;
use store::DataDir;

mod clock;

pub(crate) use clock::ManualClock;

/// The credential the provider wants; agents must never see it.
pub(crate) const UPSTREAM_KEY: &str = "sk-canary-upstream-7f3a";

pub(crate) struct Harness {
    pub(crate) control: Control,
    pub(crate) provider: Provider,
    pub(crate) url: String,
    pub(crate) addr: std::net::SocketAddr,
    pub(crate) key: String,
    pub(crate) key_id: KeyId,
    pub(crate) owner: Actor,
    gateway: Option<Gateway>,
    governance: Arc<Mutex<Governance>>,
    dir: tempfile::TempDir,
    limits: Limits,
    clock: Arc<dyn store::Clock>,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// What a test wants to differ.
pub(crate) struct Setup {
    pub(crate) limit: &'static str,
    pub(crate) limits: Limits,
    pub(crate) policy: &'static str,
    pub(crate) provider: fake::Config,
    /// Where the gateway listens, and its TLS.
    pub(crate) listen: (&'static str, Option<transport::ServerTls>),
    pub(crate) routes: Vec<control::RouteSpec>,
    /// Changes what is declared.
    pub(crate) declare: fn(&mut Governance),
    /// More upstreams, given the provider's URL.
    pub(crate) upstreams: fn(&str) -> Vec<UpstreamSpec>,
    pub(crate) prices: Vec<pricing::Override>,
    /// Where calls go instead of the simulated provider.
    pub(crate) base_url: Option<String>,
    /// The machine's clocks if there is none.
    pub(crate) clock: Option<ManualClock>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            limit: "5 USD",
            limits: Limits::default(),
            policy: r#"@id("tester-models") permit (principal == Agent::"tester", action == Action::"llm:generate", resource)
                when { resource.name like "gpt-4o*" || resource.name like "claude-*" };"#,
            provider: fake::Config::default(),
            listen: ("127.0.0.1:0", None),
            routes: Vec::new(),
            declare: |_| {},
            upstreams: |_| Vec::new(),
            prices: Vec::new(),
            clock: None,
            base_url: None,
        }
    }
}

fn governance(setup: &Setup, provider: &str) -> Governance {
    let name = "tester";
    let agent = AgentSpec {
        name: AgentName::new(name).unwrap(),
        owner: "owner@acme.example".to_owned(),
        team: "data".to_owned(),
        product: "reports".to_owned(),
        environment: "test".to_owned(),
        purpose: "Tests".to_owned(),
        budget: BudgetSpec::money(
            BudgetName::new(name).unwrap(),
            setup.limit.parse::<NanoUsd>().unwrap(),
            Window::Total,
        ),
        output_limit: None,
        allowance: None,
    };
    let policies = vec![policy::Source {
        file: "policies/tester.cedar".to_owned(),
        text: setup.policy.to_owned(),
    }];
    let sources = policy::Sources {
        policies,
        ..Default::default()
    };
    let tenant = TenantGovernance {
        agents: vec![agent],
        sources,
        ..TenantGovernance::default()
    };
    let upstream = |name: &str, kind, base_url: &str| UpstreamSpec {
        credential: Some(UPSTREAM_KEY.to_owned().into()),
        ..UpstreamSpec::new(UpstreamName::new(name).unwrap(), kind, base_url)
    };
    Governance {
        tenants: BTreeMap::from([(TenantName::default_tenant(), tenant)]),
        upstreams: [
            upstream("openai", Dialect::OpenAi, provider),
            upstream("anthropic", Dialect::Anthropic, provider),
            upstream("gone", Dialect::OpenAi, "http://127.0.0.1:1"),
        ]
        .into_iter()
        .chain((setup.upstreams)(provider))
        .collect(),
        routes: setup.routes.clone(),
        prices: setup.prices.clone(),
    }
}

/// Declares the provider twice more, as one that does not keep to output limits: `loose` and `loose-anthropic`.
pub(crate) fn loose(governance: &mut Governance) {
    for (name, of) in [("loose", "openai"), ("loose-anthropic", "anthropic")] {
        let mut upstream = governance
            .upstreams
            .iter()
            .find(|it| it.name.as_str() == of)
            .unwrap()
            .clone();
        upstream.name = UpstreamName::new(name).unwrap();
        upstream.honours_output_limit = false;
        governance.upstreams.push(upstream);
    }
}

impl Harness {
    pub(crate) async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let provider_config = fake::Config {
            expect_key: Some(UPSTREAM_KEY.to_owned()),
            ..setup.provider.clone()
        };
        let provider = Provider::start(provider_config).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let base_url = setup.base_url.clone().unwrap_or_else(|| provider.url());
        let mut governance = governance(&setup, &base_url);
        (setup.declare)(&mut governance);
        let governance = Arc::new(Mutex::new(governance));
        let clock: Arc<dyn store::Clock> = match setup.clock {
            Some(clock) => Arc::new(clock),
            None => Arc::new(store::SystemClock::new()),
        };
        let data = DataDir::open(&dir.path().join("data")).unwrap();
        let limits = setup.limits;
        let control = start(data, &limits, &clock, &governance).await;
        let owner = owner(&control);
        let issued = control.issue_key(&owner, order(|_| {})).await.unwrap();
        let (addr, tls) = setup.listen;
        let gateway = Gateway::bind_with(control.clone(), addr.parse().unwrap(), tls, |_| None)
            .await
            .unwrap();
        let addr = gateway.addr();
        let url = format!("http://{addr}");
        // No request depends on what became of the connection of the one before.
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build_http();
        let key = issued.credential.expose_secret().to_owned();
        Self {
            control,
            provider,
            url,
            addr,
            key,
            key_id: issued.id,
            owner,
            gateway: Some(gateway),
            governance,
            dir,
            limits,
            clock,
            client,
        }
    }

    /// Stops it and starts it again on the same data.
    pub(crate) async fn restart(mut self) -> Self {
        if let Some(gateway) = self.gateway.take() {
            assert!(gateway.drain(Duration::from_secs(10)).await, "calls in flight end");
        }
        self.control.stop("test").await;
        let path = self.data();
        let Self {
            control,
            provider,
            key,
            key_id,
            governance,
            dir,
            limits,
            clock,
            client,
            ..
        } = self;
        drop(control);
        // What ran in the background lets go of the directory in its own time.
        let data = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                match DataDir::open(&path) {
                    Ok(data) => return data,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        });
        let data = data.await.expect("the directory is free");
        let control = start(data, &limits, &clock, &governance).await;
        let gateway = Gateway::bind_with(control.clone(), "127.0.0.1:0".parse().unwrap(), None, |_| None)
            .await
            .unwrap();
        let addr = gateway.addr();
        Self {
            owner: owner(&control),
            control,
            provider,
            url: format!("http://{addr}"),
            addr,
            key,
            key_id,
            gateway: Some(gateway),
            governance,
            dir,
            limits,
            clock,
            client,
        }
    }

    /// A request to the gateway with the default key.
    pub(crate) fn request(&self, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        Request::post(format!("{}{path}", self.url))
            .header("authorization", format!("Bearer {}", self.key))
            .header("content-type", "application/json")
            .body(Full::new(body.into()))
            .unwrap()
    }

    pub(crate) fn chat(&self, extra: &str) -> Request<Full<Bytes>> {
        let body = format!(
            r#"{{"model":"gpt-4o-mini","messages":[{{"role":"user","content":"Hello there"}}],"max_tokens":50{extra}}}"#
        );
        self.request("/openai/v1/chat/completions", body)
    }

    pub(crate) fn messages(&self, extra: &str) -> Request<Full<Bytes>> {
        let body = format!(
            r#"{{"model":"claude-sonnet-4-5","messages":[{{"role":"user","content":"Hello there"}}],"max_tokens":50{extra}}}"#
        );
        self.request("/anthropic/v1/messages", body)
    }

    /// With a script for the provider.
    pub(crate) fn scripted(mut request: Request<Full<Bytes>>, script: &str) -> Request<Full<Bytes>> {
        request.headers_mut().insert("fake-script", script.parse().unwrap());
        request
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        self.client.request(request).await.unwrap()
    }

    /// The same where the connection may break.
    pub(crate) async fn try_send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, hyper_util::client::legacy::Error> {
        self.client.request(request).await
    }

    /// Status, reason header and body.
    pub(crate) async fn call(&self, request: Request<Full<Bytes>>) -> (u16, String, String) {
        let response = self.send(request).await;
        let reason = header(&response, "bailiwick-reason");
        let status = response.status().as_u16();
        let body = response
            .into_body()
            .collect()
            .await
            .map(|body| body.to_bytes())
            .unwrap_or_default();
        (status, reason, String::from_utf8_lossy(&body).into_owned())
    }

    /// The entries of the default tenant, as committed.
    pub(crate) async fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        loop {
            let from = u64::try_from(entries.len()).unwrap();
            let tenant = TenantName::default_tenant();
            let (page, size) = self.control.entries(&self.owner, &tenant, from, 1_000).await.unwrap();
            entries.extend(page.into_iter().map(|report| report.entry));
            if u64::try_from(entries.len()).unwrap() >= size {
                return entries;
            }
        }
    }

    /// Waits for the `count`-th outcome entry and gives all of them.
    pub(crate) async fn outcomes(&self, count: usize) -> Vec<entry::Outcome> {
        self.at_least(count, outcome).await
    }

    /// Waits for the `count`-th denial entry and gives all of them.
    pub(crate) async fn denied(&self, count: usize) -> Vec<entry::Denial> {
        self.at_least(count, denial).await
    }

    async fn at_least<T>(&self, count: usize, pick: impl Fn(Event) -> Option<T>) -> Vec<T> {
        let tenant = TenantName::default_tenant();
        let waited = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                let entries = self.entries().await;
                let size = u64::try_from(entries.len()).unwrap();
                let found: Vec<_> = entries.into_iter().filter_map(|entry| pick(entry.event)).collect();
                if found.len() >= count {
                    return found;
                }
                self.control.grown(&self.owner, &tenant, size).await.unwrap();
            }
        });
        waited.await.expect("the entries come in time")
    }

    pub(crate) async fn denials(&self) -> Vec<entry::Denial> {
        self.denied(0).await
    }

    pub(crate) async fn issue(&self, change: impl FnOnce(&mut KeyOrder)) -> (KeyId, String) {
        self.try_issue(change).await.unwrap()
    }

    /// The same where the order may be refused.
    pub(crate) async fn try_issue(
        &self,
        change: impl FnOnce(&mut KeyOrder),
    ) -> Result<(KeyId, String), control::AdminError> {
        let issued = self.control.issue_key(&self.owner, order(change)).await?;
        Ok((issued.id, issued.credential.expose_secret().to_owned()))
    }

    /// Changes what the next reload finds.
    pub(crate) fn declare(&self, change: impl FnOnce(&mut Governance)) {
        change(&mut self.governance.lock().unwrap());
    }

    /// Takes the agent's manifest away and reloads. Its credentials stay.
    pub(crate) async fn remove_agent(&self) {
        for tenant in self.governance.lock().unwrap().tenants.values_mut() {
            tenant.agents.clear();
            tenant.sources.policies.clear();
        }
        self.control.reload(&self.owner).await.unwrap();
    }

    /// The data directory.
    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    /// Takes the gateway out, to drain it.
    pub(crate) fn take_gateway(&mut self) -> Gateway {
        self.gateway.take().unwrap()
    }

    /// Stops everything and checks the stored log from its first byte: it folds, and every hold ended.
    pub(crate) async fn finish(mut self) -> State {
        if let Some(gateway) = self.gateway.take() {
            assert!(gateway.drain(Duration::from_secs(10)).await, "calls in flight end");
        }
        self.control.stop("test").await;
        let reader = store::Reader::open(&self.dir.path().join("data")).await.unwrap();
        let tenant = TenantName::default_tenant();
        let mut log = store::Refold::new(tenant.clone(), None);
        let mut batches = Box::pin(reader.batches(&tenant, 0));
        while let Some(batch) = batches.next().await {
            log.take(&batch.unwrap(), |_, _| {}).unwrap();
        }
        let (state, ..) = log.finish().unwrap();
        assert_eq!(state.open.len(), 0, "no hold is open");
        state
    }
}

async fn start(
    dir: DataDir,
    limits: &Limits,
    clock: &Arc<dyn store::Clock>,
    governance: &Arc<Mutex<Governance>>,
) -> Control {
    let declared = governance.clone();
    let guards = dir.path().with_file_name("guard");
    let options = Options {
        dir,
        trust_domain: "agents.acme.example".to_owned(),
        guards,
        reserve: 0,
        spool: None,
        retention: control::Retention::new(),
        public_log: false,
        heartbeat: None,
        witnesses: None,
        limits: limits.clone(),
        authzen: control::AuthzenSettings::default(),
        version: "test".to_owned(),
        clock: clock.clone(),
        loader: Box::new(move || Ok(declared.lock().unwrap().clone())),
    };
    Control::start(options).await.unwrap()
}

fn owner(control: &Control) -> Actor {
    let text = std::fs::read_to_string(control.owner_file()).unwrap();
    control.authenticate_admin(Some(text.trim())).unwrap()
}

fn order(change: impl FnOnce(&mut KeyOrder)) -> KeyOrder {
    let mut order = KeyOrder {
        tenant: TenantName::default_tenant(),
        agent: AgentName::new("tester").unwrap(),
        label: String::new(),
        tier: Tier::Api,
        user: None,
        upstreams: Vec::new(),
        models: Vec::new(),
        expires: None,
    };
    change(&mut order);
    order
}

fn denial(event: Event) -> Option<entry::Denial> {
    if let Event::Denial(denial) = event {
        Some(denial)
    } else {
        None
    }
}

fn outcome(event: Event) -> Option<entry::Outcome> {
    if let Event::Outcome(outcome) = event {
        Some(outcome)
    } else {
        None
    }
}

pub(crate) fn header<B>(response: &Response<B>, name: &str) -> String {
    response
        .headers()
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

/// Runs many at once and gives what each came to.
pub(crate) async fn at_once<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    count: usize,
    task: impl Fn(Arc<Harness>) -> F,
    harness: &Arc<Harness>,
) -> Vec<T> {
    let tasks: Vec<_> = (0..count).map(|_| tokio::spawn(task(harness.clone()))).collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}
