//! Where entries are streamed to: what is declared of it, and how it stands. The streaming itself is the crate `sinks`.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use model::{AgentName, SinkName, TenantName, Timestamp};
use serde::{Deserialize, Serialize};
use store::Heads;

use crate::{Actor, AdminError, Control, Permission, Secret, rfc3339};

/// A sink, as it is declared.
#[derive(Clone, Debug)]
pub struct SinkSpec {
    /// Its name.
    pub name: SinkName,
    /// Where to.
    pub target: SinkTarget,
    /// In which form.
    pub format: SinkFormat,
    /// Of which tenants; of all if empty.
    pub tenants: Vec<TenantName>,
    /// Which kinds of entries; all if empty.
    pub kinds: Vec<String>,
    /// About which agents; about everything if empty.
    pub agents: Vec<AgentName>,
    /// Where it begins when it is new.
    pub start: SinkStart,
}

/// Where to.
#[derive(Clone, Debug)]
pub enum SinkTarget {
    /// The end of a file.
    File {
        /// Which.
        path: PathBuf,
        /// How it is kept short; `None` if it is not.
        rotation: Option<Rotation>,
    },
    /// The server's standard output.
    Stdout,
    /// A server that takes them.
    Webhook(Webhook),
}

/// How a file is kept short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// A file that would pass so many bytes is put aside.
    pub size: u64,
    /// How many files are kept aside. The oldest is deleted.
    pub keep: u32,
}

/// A server that takes entries.
#[derive(Clone)]
pub struct Webhook {
    /// Where they are sent. It may hold a credential: it is never shown but for its host.
    pub url: String,
    /// What requests are signed with: the bytes behind `whsec_`, as base64. `None` if they are not signed.
    pub secret: Option<Secret>,
    /// The authorities that the server's certificate must come from, as PEM text: these instead of the public ones.
    pub ca: Option<String>,
    /// The most entries of a request.
    pub batch: usize,
    /// How long a request may take, connecting included.
    pub timeout: Duration,
}

impl Webhook {
    /// Where to, without what may be secret.
    fn shown(&self) -> String {
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("", &self.url));
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        format!("{scheme}://{host}")
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("url", &self.shown())
            .finish_non_exhaustive()
    }
}

/// The form of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkFormat {
    /// Each entry's own bytes, a line each.
    Json,
    /// CloudEvents 1.0 in JSON, with the entry as data.
    CloudEvents,
}

impl SinkFormat {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::CloudEvents => "cloudevents",
        }
    }
}

/// Where a new sink begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkStart {
    /// Behind what is there already.
    Now,
    /// With the first entry of each log.
    Beginning,
}

impl SinkTarget {
    /// The word for its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Stdout => "stdout",
            Self::Webhook(_) => "webhook",
        }
    }

    /// Where to, without what may be secret.
    fn shown(&self) -> String {
        match self {
            Self::File { path, .. } => path.display().to_string(),
            Self::Stdout => "standard output".to_owned(),
            Self::Webhook(webhook) => webhook.shown(),
        }
    }
}

/// How a sink stands. Whoever streams writes it.
#[derive(Debug)]
pub struct SinkStatus {
    name: SinkName,
    kind: &'static str,
    target: String,
    format: SinkFormat,
    delivered: AtomicU64,
    failures: AtomicU64,
    let_go: AtomicU64,
    now: Mutex<Standing>,
}

#[derive(Debug, Default)]
struct Standing {
    /// The tenants it takes entries of; of all if empty.
    tenants: Vec<TenantName>,
    /// How many entries of each log are behind it; `None` until it knows.
    passed: Option<BTreeMap<TenantName, u64>>,
    trouble: Option<(String, Timestamp)>,
}

impl SinkStatus {
    fn of(spec: &SinkSpec) -> Self {
        Self {
            name: spec.name.clone(),
            kind: spec.target.kind(),
            target: spec.target.shown(),
            format: spec.format,
            delivered: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            let_go: AtomicU64::new(0),
            now: Mutex::new(Standing {
                tenants: spec.tenants.clone(),
                ..Standing::default()
            }),
        }
    }

    /// So many entries arrived.
    pub fn delivered(&self, entries: u64) {
        self.delivered.fetch_add(entries, Relaxed);
    }

    /// So many entries were let go before they could be handed over: nobody can be told what they said.
    pub fn let_go(&self, entries: u64) {
        self.let_go.fetch_add(entries, Relaxed);
    }

    /// So many entries of each log are behind it.
    pub fn begun(&self, passed: BTreeMap<TenantName, u64>) {
        self.lock().passed = Some(passed);
    }

    /// So many entries of a log are behind it.
    pub fn passed(&self, tenant: &TenantName, size: u64) {
        let mut now = self.lock();
        now.passed.get_or_insert_default().insert(tenant.clone(), size);
    }

    /// Something failed. Whether it is the first failure since something went well.
    pub fn failed(&self, error: String, at: Timestamp) -> bool {
        self.failures.fetch_add(1, Relaxed);
        let mut now = self.lock();
        let since = now.trouble.take().map(|(_, since)| since);
        now.trouble = Some((error, since.unwrap_or(at)));
        since.is_none()
    }

    /// It goes on. Whether it did not before.
    pub fn recovered(&self) -> bool {
        self.lock().trouble.take().is_some()
    }

    /// How many committed entries it has not passed yet, of all logs it takes entries of.
    fn behind(&self, heads: &Heads) -> u64 {
        let now = self.lock();
        let Some(passed) = &now.passed else { return 0 };
        let taken = |tenant: &TenantName| now.tenants.is_empty() || now.tenants.contains(tenant);
        let heads = heads.iter().filter(|(tenant, _)| taken(tenant));
        let behind = heads.map(|(tenant, head)| head.size.saturating_sub(passed.get(tenant).copied().unwrap_or(0)));
        behind.sum()
    }

    fn report(&self, heads: &Heads) -> SinkReport {
        let behind = self.behind(heads);
        let now = self.lock();
        let trouble = now.trouble.as_ref();
        let state = match (trouble, &now.passed) {
            (Some(_), _) => "failing",
            (None, None) => "starting",
            (None, Some(_)) => "ok",
        };
        SinkReport {
            name: self.name.to_string(),
            kind: self.kind.to_owned(),
            target: self.target.clone(),
            format: self.format.as_str().to_owned(),
            state: state.to_owned(),
            behind,
            delivered: self.delivered.load(Relaxed),
            failures: self.failures.load(Relaxed),
            let_go: self.let_go.load(Relaxed),
            error: trouble.map(|(error, _)| error.clone()),
            since: trouble.map(|(_, since)| rfc3339(*since)),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Standing> {
        // A thread that panicked left nothing half-done.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a sink stands, for administrators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkReport {
    /// Its name.
    pub name: String,
    /// `file`, `stdout` or `webhook`.
    pub kind: String,
    /// Where to: the path of the file, or the host of the webhook.
    pub target: String,
    /// `json` or `cloudevents`.
    pub format: String,
    /// `ok`, `failing`, or `starting` while it finds out where it was.
    pub state: String,
    /// How many committed entries it has not passed yet, those included that its filters leave out.
    pub behind: u64,
    /// How many entries arrived since the server started. Some may have arrived twice.
    pub delivered: u64,
    /// How many attempts failed since the server started.
    pub failures: u64,
    /// How many entries it passed over since the server started because they had been let go before it came to them.
    #[serde(default)]
    pub let_go: u64,
    /// Why it is failing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// All sinks of a server.
#[derive(Debug, Default)]
pub(crate) struct SinkBoard(Mutex<Vec<Arc<SinkStatus>>>);

impl SinkBoard {
    fn all(&self) -> Vec<Arc<SinkStatus>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many entries of a log each sink has passed that takes any of it.
    pub(crate) fn passed(&self, tenant: &TenantName) -> Vec<(SinkName, u64)> {
        let passed = |sink: &Arc<SinkStatus>| {
            let now = sink.lock();
            let taken = now.tenants.is_empty() || now.tenants.contains(tenant);
            let passed = now.passed.as_ref().and_then(|passed| passed.get(tenant).copied());
            taken.then(|| (sink.name.clone(), passed.unwrap_or(0)))
        };
        self.all().iter().filter_map(passed).collect()
    }

    /// Adds the metrics of all, in Prometheus' text format.
    pub(crate) fn render(&self, heads: &Heads, out: &mut String) {
        let sinks = self.all();
        if sinks.is_empty() {
            return;
        }
        type Value = fn(&SinkStatus, &Heads) -> u64;
        let families: [(&str, &str, &str, &str, Value); 5] = [
            (
                "sink_delivered",
                "counter",
                "_total",
                "Entries that arrived where they are streamed to",
                |sink, _| sink.delivered.load(Relaxed),
            ),
            (
                "sink_failures",
                "counter",
                "_total",
                "Attempts to stream entries that failed",
                |sink, _| sink.failures.load(Relaxed),
            ),
            (
                "sink_let_go",
                "counter",
                "_total",
                "Entries that were let go before they could be streamed",
                |sink, _| sink.let_go.load(Relaxed),
            ),
            (
                "sink_entries_behind",
                "gauge",
                "",
                "Entries that are committed and not streamed yet",
                SinkStatus::behind,
            ),
            ("sink_failing", "gauge", "", "1 while a sink cannot go on", |sink, _| {
                u64::from(sink.lock().trouble.is_some())
            }),
        ];
        for (name, kind, suffix, help, value) in families {
            // Writing to a `String` does not fail.
            let _ = writeln!(out, "# HELP bailiwick_{name} {help}.\n# TYPE bailiwick_{name} {kind}");
            for sink in &sinks {
                let (label, value) = (&sink.name, value(sink, heads));
                let _ = writeln!(out, "bailiwick_{name}{suffix}{{sink=\"{label}\"}} {value}");
            }
        }
    }
}

impl Control {
    /// Announces a sink. What is written into the answer is what administrators and metrics see of it.
    pub fn announce_sink(&self, spec: &SinkSpec) -> Arc<SinkStatus> {
        let status = Arc::new(SinkStatus::of(spec));
        let mut board = self.inner.sinks.0.lock().unwrap_or_else(PoisonError::into_inner);
        board.push(status.clone());
        status
    }

    /// How all sinks stand.
    ///
    /// # Errors
    /// When the role does not allow it.
    pub fn sinks(&self, actor: &Actor) -> Result<Vec<SinkReport>, AdminError> {
        Self::require(actor, Permission::ReadState)?;
        let heads = self.committer().heads();
        let heads = heads.borrow();
        Ok(self.inner.sinks.all().iter().map(|sink| sink.report(&heads)).collect())
    }
}
