//! A control with one agent and one administrator of each role, and requests to the API in front of it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Body};
use control::{Actor, AgentSpec, Checkpoints, Control, Governance, Limits, LoadProblem, Options, TenantGovernance};
use entry::Role;
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use ledger::{BudgetSpec, Window};
use model::{AdminName, AgentName, BudgetName, NanoUsd, TenantName};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use store::DataDir;
use tokio::sync::watch;
use tower_service::Service as _;

use crate::{listener::Shared, routes::router};

/// The listener's address as the guard sees it.
pub(super) const LOCAL: &str = "127.0.0.1:7401";

pub(super) struct World {
    pub(super) control: Control,
    /// Credentials of administrators by role.
    pub(super) credentials: BTreeMap<Role, String>,
    /// What the next reload is told.
    pub(super) declared: Arc<Mutex<Result<Governance, Vec<LoadProblem>>>>,
    pub(super) stop: watch::Sender<bool>,
    router: Router,
    _dir: tempfile::TempDir,
}

/// An answer, read.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: http::HeaderMap,
    pub(super) bytes: Vec<u8>,
    /// The same, of what is text.
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The code of the problem it tells.
    pub(super) fn code(&self) -> String {
        assert_eq!(
            self.headers[header::CONTENT_TYPE],
            "application/problem+json",
            "{}",
            self.text
        );
        self.json()["code"].as_str().unwrap().to_owned()
    }
}

pub(super) fn declared() -> Governance {
    let name = AgentName::new("reader").unwrap();
    let agent = AgentSpec {
        budget: BudgetSpec::money(
            BudgetName::new(name.as_str()).unwrap(),
            NanoUsd(5_000_000_000),
            Window::Total,
        ),
        name,
        owner: "data-team@acme.example".to_owned(),
        team: "data".to_owned(),
        product: "reports".to_owned(),
        environment: "test".to_owned(),
        purpose: "Reads".to_owned(),
        output_limit: None,
        allowance: None,
    };
    let tenant = TenantGovernance {
        agents: vec![agent],
        ..TenantGovernance::default()
    };
    Governance {
        tenants: BTreeMap::from([(TenantName::default_tenant(), tenant)]),
        upstreams: Vec::new(),
        routes: Vec::new(),
        prices: Vec::new(),
    }
}

impl World {
    pub(super) async fn new() -> Self {
        Self::at(LOCAL.parse().unwrap()).await
    }

    /// As if the listener had this address.
    pub(super) async fn at(addr: SocketAddr) -> Self {
        Self::with(addr, false).await
    }

    /// With logs for everybody.
    pub(super) async fn public() -> Self {
        Self::with(LOCAL.parse().unwrap(), true).await
    }

    async fn with(addr: SocketAddr, public_log: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let declared = Arc::new(Mutex::new(Ok(declared())));
        let source = declared.clone();
        let options = Options {
            dir: DataDir::open(&dir.path().join("data")).unwrap(),
            trust_domain: "test.example".to_owned(),
            guards: dir.path().join("guard"),
            reserve: 0,
            spool: None,
            witnesses: None,
            retention: control::Retention::new(),
            public_log,
            heartbeat: None,
            limits: Limits::default(),
            authzen: control::AuthzenSettings::default(),
            version: "test".to_owned(),
            clock: std::sync::Arc::new(store::SystemClock::new()),
            loader: Box::new(move || source.lock().unwrap().clone()),
        };
        let control = Control::start(options).await.unwrap();
        let owner = std::fs::read_to_string(control.owner_file()).unwrap();
        let mut credentials = BTreeMap::from([(Role::Owner, owner)]);
        let actor = Actor {
            name: AdminName::new("owner").unwrap(),
            role: Role::Owner,
        };
        for role in Role::ALL.into_iter().filter(|role| *role != Role::Owner) {
            let name = AdminName::new(role.as_str()).unwrap();
            let issued = control.add_admin(&actor, name, role).await.unwrap();
            credentials.insert(role, issued.credential.expose_secret().to_owned());
        }
        let (stop, stopping) = watch::channel(false);
        let shared = Shared {
            control: control.clone(),
            addr,
            stopping,
        };
        Self {
            control,
            credentials,
            declared,
            stop,
            router: router(shared),
            _dir: dir,
        }
    }

    /// Waits until all entries of the default tenant are published; how many.
    pub(super) async fn published(&self) -> u64 {
        let tenant = TenantName::default_tenant();
        let owner = Actor {
            name: AdminName::new("owner").unwrap(),
            role: Role::Owner,
        };
        let (_, size) = self.control.entries(&owner, &tenant, u64::MAX, 0).await.unwrap();
        let mut checkpoints = self.control.checkpoints();
        let covers = |all: &Checkpoints| all.get(&tenant).is_some_and(|published| published.size >= size);
        checkpoints.wait_for(covers).await.unwrap();
        size
    }

    /// A request of an administrator with this role, or of nobody.
    pub(super) fn request(&self, role: Option<Role>, method: &str, path: &str) -> http::request::Builder {
        let request = Request::builder().method(method).uri(path).header(header::HOST, LOCAL);
        match role {
            Some(role) => request.header(header::AUTHORIZATION, format!("Bearer {}", self.credentials[&role])),
            None => request,
        }
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let mut router = self.router.clone();
        let response: Response<Body> = router.call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8_lossy(&body).into_owned(),
            bytes: body.to_vec(),
        }
    }

    /// Sends a request with a JSON body, or none if it is `Null`.
    pub(super) async fn ask(&self, role: Option<Role>, method: &str, path: &str, body: Value) -> Answer {
        let request = self.request(role, method, path);
        let request = if body.is_null() {
            request.body(Body::empty())
        } else {
            request
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(body.to_string()))
        };
        self.send(request.unwrap()).await
    }

    pub(super) async fn get(&self, role: Role, path: &str) -> Value {
        let answer = self.ask(Some(role), "GET", path, Value::Null).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        answer.json()
    }
}
