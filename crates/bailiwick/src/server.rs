//! A server put together and taken apart: what `serve` and the demo run.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use api::{
    Api,
    authzen::{Authzen, Unread},
};
use config::{Loaded, Problems, Settings};
use control::{Actor, AdminError, Control, Governance, LoadProblem, LoadReport, Loader, Options, StartError};
use entry::Role;
use gateway::{Gateway, Mount, Mounted, RequestBody};
use http::request::Parts;
use model::AdminName;
use serde::Serialize;
use sinks::{SinkError, Sinks};
use store::{DataDir, StoreError};

use crate::{certificates::Certificates, witnesses};

/// Where a running server writes down its administration address, below the data directory. Commands find it there when
/// the configuration leaves the port to the system.
pub(crate) const ADMIN_ADDRESS_FILE: &str = "admin.addr";
/// The same for the address of agents.
pub(crate) const AGENTS_ADDRESS_FILE: &str = "agents.addr";
/// Guard files, below the data directory unless the configuration says where.
const GUARD_DIR: &str = "guard";
/// How long the administration listener may take to answer what it is in the middle of.
const API_DRAIN: Duration = Duration::from_secs(5);
/// How long sinks may take to hand over what they are in the middle of, and to keep their place.
const SINKS_LEAVE: Duration = Duration::from_secs(8);
/// Who reloads when a signal says so. Names that start with `_` are nobody's.
const SIGNALLER: &str = "_signal";

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Addresses {
    /// For agents.
    pub(crate) agents: SocketAddr,
    /// For administrators.
    pub(crate) admin: SocketAddr,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// What is declared is wrong. Nothing was bound or opened.
    #[error("{0}")]
    Declarations(Problems),
    /// The data directory or the database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Entries cannot be streamed as declared.
    #[error(transparent)]
    Sinks(#[from] SinkError),
    /// The pipeline does not start.
    #[error(transparent)]
    Start(StartError),
    /// An address cannot be listened on.
    #[error("cannot listen for {who} on {addr}: {source}")]
    Bind {
        /// Whose address.
        who: &'static str,
        /// Which.
        addr: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

/// A running server: both listeners and everything behind them. It runs until [`Server::stop`].
#[derive(Debug)]
pub(crate) struct Server {
    settings: Settings,
    control: Control,
    gateway: Gateway,
    api: Api,
    sinks: Sinks,
    /// Looks after the listeners' certificates.
    renewing: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Loads what is declared, opens the data directory, and starts to serve on the current tokio runtime.
    pub(crate) async fn start(settings: Settings) -> Result<Self, ServerError> {
        // An error says that there is one already: this one, from an earlier start in this process.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let loaded = config::load_governance(&settings, &environment).map_err(ServerError::Declarations)?;
        warn_of(&loaded.warnings);
        let certificates = Certificates::load(&settings).map_err(ServerError::Declarations)?;
        let sinks = config::load_sinks(&settings, &environment).map_err(ServerError::Declarations)?;
        let witnesses = witnesses::load(&settings).map_err(ServerError::Declarations)?;
        let options = Options {
            dir: DataDir::open(&settings.data_dir)?,
            trust_domain: settings.trust_domain.clone(),
            guards: guard_dir(&settings),
            reserve: settings.audit.reserve,
            spool: settings.audit.spool.clone(),
            retention: settings.retention.clone(),
            public_log: settings.audit.public_log,
            heartbeat: settings.audit.heartbeat,
            witnesses,
            limits: settings.limits.clone(),
            authzen: settings.authzen.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            clock: std::sync::Arc::new(store::SystemClock::new()),
            loader: loader(settings.clone(), loaded.governance, certificates.clone()),
        };
        let control = Control::start(options).await.map_err(|error| match error {
            StartError::Problems(problems) => ServerError::Declarations(problems.into_iter().collect()),
            StartError::Store(error) => ServerError::Store(error),
            error => ServerError::Start(error),
        })?;
        let started = async {
            // Before anybody can ask for something: what is let go waits for the sinks that are announced.
            let sinks = Sinks::start(sinks, &control)?;
            match listen(&settings, &control, &certificates).await {
                Ok((gateway, api)) => Ok((gateway, api, sinks)),
                Err(error) => {
                    sinks.stop(settings.limits.shutdown_timeout).await;
                    Err(error)
                }
            }
        };
        match started.await {
            Ok((gateway, api, sinks)) => Ok(Self {
                renewing: tokio::spawn(certificates.watch(control.clone())),
                settings,
                control,
                gateway,
                api,
                sinks,
            }),
            Err(error) => {
                control.stop("not started").await;
                Err(error)
            }
        }
    }

    /// Where it listens.
    pub(crate) fn addresses(&self) -> Addresses {
        Addresses {
            agents: self.gateway.addr(),
            admin: self.api.addr(),
        }
    }

    /// What it runs on, for those in the same process.
    pub(crate) fn control(&self) -> &Control {
        &self.control
    }

    /// Finishes what is in flight within the configured time, records the stop and closes the store.
    pub(crate) async fn stop(self, why: &str) {
        self.renewing.abort();
        let timeout = self.settings.limits.shutdown_timeout;
        if !self.gateway.drain(timeout).await {
            tracing::warn!(
                ?timeout,
                "calls were still in flight when the time to finish them was over"
            );
        }
        if !self.api.drain(API_DRAIN).await {
            tracing::warn!("administrators' requests were still being answered when the time for that was over");
        }
        // What a stop itself writes into the log is handed over after the next start.
        self.sinks.stop(SINKS_LEAVE).await;
        self.control.stop(why).await;
        for name in [ADMIN_ADDRESS_FILE, AGENTS_ADDRESS_FILE] {
            // A file left behind only leads a command to a port where nobody answers.
            let _ = std::fs::remove_file(self.settings.data_dir.join(name));
        }
    }
}

/// Reads the declarations again on behalf of whoever sent the process a signal: they may do as much with its files.
pub(crate) async fn reload(control: &Control) -> Result<LoadReport, AdminError> {
    let name = AdminName::new(SIGNALLER).map_err(|error| AdminError::Invalid(error.to_string()))?;
    let role = Role::Operator;
    control.reload(&Actor { name, role }).await
}

/// Where the guard files of a configuration are.
pub(crate) fn guard_dir(settings: &Settings) -> PathBuf {
    let configured = settings.audit.checkpoint_guard.clone();
    configured.unwrap_or_else(|| default_guard_dir(&settings.data_dir))
}

/// Where the guard files of a data directory are if no configuration says otherwise.
pub(crate) fn default_guard_dir(data: &Path) -> PathBuf {
    data.join(GUARD_DIR)
}

/// The environment as the configuration sees it.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

async fn listen(
    settings: &Settings,
    control: &Control,
    certificates: &Certificates,
) -> Result<(Gateway, Api), ServerError> {
    let bind = |who, addr| move |source| ServerError::Bind { who, addr, source };
    let addr = settings.listen_admin;
    let api = Api::bind_with(control.clone(), addr, certificates.admin());
    let api = api.await.map_err(bind("administrators", addr))?;
    let addr = settings.listen_agents;
    let tls = certificates.agents();
    let has_tls = tls.is_some();
    let mount =
        |addr| -> Option<Arc<dyn Mount>> { Some(Arc::new(Decisions(Authzen::new(control.clone(), addr, has_tls)))) };
    let gateway = Gateway::bind_with(control.clone(), addr, tls, mount);
    let gateway = gateway.await.map_err(bind("agents", addr))?;
    for (name, addr) in [(ADMIN_ADDRESS_FILE, api.addr()), (AGENTS_ADDRESS_FILE, gateway.addr())] {
        DataDir::replace_at(&settings.data_dir.join(name), format!("{addr}\n").as_bytes())?;
    }
    Ok((gateway, api))
}

/// The decision point on the agents' listener: neither edge knows the other.
#[derive(Debug)]
struct Decisions(Authzen);

impl Mount for Decisions {
    fn answer<'a>(&'a self, head: &'a Parts, body: &'a mut RequestBody) -> Mounted<'a> {
        Box::pin(self.0.answer(head, |most| async move {
            let read = body.read(most).await;
            read.map_err(|unread| match unread {
                gateway::Unread::TooLarge => Unread::TooLarge,
                gateway::Unread::NoRoom => Unread::NoRoom,
                gateway::Unread::BrokenOff => Unread::BrokenOff,
                gateway::Unread::Late => Unread::Late,
            })
        }))
    }
}

/// What control calls at the start, which takes what was loaded before anything was opened, and at each reload.
fn loader(running: Settings, first: Governance, certificates: Certificates) -> Loader {
    let first = Mutex::new(Some(first));
    Box::new(move || {
        // A poisoned lock only means that a loader died while taking the first declarations.
        let first = first.lock().ok().and_then(|mut first| first.take());
        match first {
            Some(governance) => Ok(governance),
            None => {
                let governance = load_again(&running).map_err(Vec::<LoadProblem>::from)?;
                certificates.refresh();
                Ok(governance)
            }
        }
    })
}

fn load_again(running: &Settings) -> Result<Governance, Problems> {
    let settings = config::load(Path::new(&running.file))?;
    let Loaded { governance, warnings } = config::load_governance(&settings, &environment)?;
    warn_of(&warnings);
    let changed = needs_restart(running, &settings);
    if !changed.is_empty() {
        tracing::warn!(
            settings = changed.join(", "),
            "changed settings take effect at the next start only"
        );
    }
    Ok(governance)
}

/// The settings that a reload does not change.
fn needs_restart(running: &Settings, new: &Settings) -> Vec<&'static str> {
    let changed = [
        ("trust_domain", running.trust_domain != new.trust_domain),
        ("data_dir", running.data_dir != new.data_dir),
        ("listen.agents", running.listen_agents != new.listen_agents),
        ("listen.admin", running.listen_admin != new.listen_admin),
        ("listen.agents_tls", running.agents_tls != new.agents_tls),
        ("listen.admin_tls", running.admin_tls != new.admin_tls),
        ("log", running.log != new.log),
        ("limits, timeouts", running.limits != new.limits),
        ("audit", running.audit != new.audit),
        ("authzen", running.authzen != new.authzen),
        ("sinks", running.sinks != new.sinks),
    ];
    let changed = changed.into_iter().filter(|(_, changed)| *changed);
    changed.map(|(name, _)| name).collect()
}

fn warn_of(warnings: &Problems) {
    for warning in warnings.iter() {
        tracing::warn!("{warning}");
    }
}
