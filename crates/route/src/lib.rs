//! Routes: how often a call is tried, where it may go instead, how long it may take, and how many run at once.
//!
//! A route grants nothing. Each attempt is decided by policy, held in the budgets and recorded on its own
//! (`pipeline.rs`); a route only says which attempts are worth asking for. `plan.rs` counts them, `gate.rs` shares the
//! places of a route among agents.

mod gate;
mod plan;

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use model::UpstreamName;

pub use gate::{Busy, Gate, Place, Sharer};
pub use plan::{Plan, Step};

/// What a route does to the calls it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSpec {
    /// What people call it: it stands in messages.
    pub name: String,
    /// The upstream whose calls it is for.
    pub upstream: UpstreamName,
    /// The models it is for; empty for every model, and for calls that name none.
    pub models: Vec<ModelPattern>,
    /// How often an attempt that failed is made again.
    pub retry: Retry,
    /// Where a call goes that failed here, in this order.
    pub fallback: Vec<Fallback>,
    /// How long connecting may take; the server's bound if `None`. So for the other times.
    pub connect: Option<Duration>,
    /// How long the upstream may take to the first byte of its reply.
    pub first_byte: Option<Duration>,
    /// How long it may pause in the middle of a reply.
    pub idle: Option<Duration>,
    /// How long the call may take in all, with every attempt and the waits between them.
    pub total: Option<Duration>,
    /// The longest request body, in bytes, if shorter than the server's bound.
    pub request_bytes: Option<usize>,
    /// How many calls run at once, and who waits.
    pub places: Option<Places>,
}

/// A model's name, or the beginning of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelPattern {
    /// This model.
    Is(String),
    /// Every model whose name begins so; written with a `*` at the end.
    Begins(String),
}

impl ModelPattern {
    /// Reads `gpt-4o` or `gpt-4*`. A star elsewhere is part of the name.
    pub fn new(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(start) => Self::Begins(start.to_owned()),
            None => Self::Is(text.to_owned()),
        }
    }

    /// How closely it names a model: by how much of its name, and exactly before not; `None` if not at all.
    fn closeness(&self, model: &str) -> Option<(bool, usize)> {
        match self {
            Self::Is(name) => (name == model).then_some((true, name.len())),
            Self::Begins(start) if model.is_empty() || !model.starts_with(start.as_str()) => None,
            Self::Begins(start) => Some((false, start.len())),
        }
    }
}

impl fmt::Display for ModelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(name) => f.write_str(name),
            Self::Begins(start) => write!(f, "{start}*"),
        }
    }
}

/// How often an attempt that failed is made again, and after how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How many attempts each target gets, the first included: at least 1.
    pub tries: u8,
    /// After which failures another attempt is made, here or at a fallback.
    pub on: Vec<Cause>,
    /// The wait before the second attempt; it doubles with each further one.
    pub backoff: Duration,
    /// The longest wait. An upstream that asks for a longer one (`Retry-After`) is not asked again.
    pub longest: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            tries: 1,
            on: vec![Cause::Connect],
            backoff: Duration::from_millis(200),
            longest: Duration::from_secs(5),
        }
    }
}

/// A kind of failure that another attempt may mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No connection could be made. Nothing was used.
    Connect,
    /// The first byte did not come in time. The attempt is booked in full.
    Timeout,
    /// The connection broke before the reply began. The attempt is booked in full.
    Broken,
    /// The upstream answered with this status.
    Status(u16),
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What happened.
    pub cause: Cause,
    /// How long the upstream wants to be left alone.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure of this kind.
    pub fn of(cause: Cause) -> Self {
        Self {
            cause,
            retry_after: None,
        }
    }
}

/// Another place a call may go, as far as policy and budgets let it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// An upstream of the same dialect.
    pub upstream: UpstreamName,
    /// The model to ask for there; the same one if `None`.
    pub model: Option<String>,
}

/// How many calls run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// The most that run.
    pub running: usize,
    /// The most that wait for a place.
    pub waiting: usize,
    /// How long one waits.
    pub patience: Duration,
}

/// The bounds of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How long connecting may take.
    pub connect: Duration,
    /// How long the upstream may take to the first byte of its reply.
    pub first_byte: Duration,
    /// How long it may pause in the middle of a reply.
    pub idle: Duration,
    /// How long the call may take in all.
    pub total: Duration,
    /// The longest request body, in bytes.
    pub request_bytes: usize,
    /// The longest JSON reply that is held back so that its cost can be a header, in bytes.
    pub reply_bytes: usize,
}

/// A route in effect.
#[derive(Debug)]
pub struct Route {
    /// As it was declared.
    pub spec: RouteSpec,
    /// Its bounds, within those of the server.
    pub bounds: Bounds,
    /// Who runs and who waits, where it has a number of places.
    pub gate: Option<Arc<Gate>>,
}

impl Route {
    fn new(spec: RouteSpec, server: Bounds, before: &Routes) -> Self {
        let bounds = Bounds {
            connect: spec.connect.unwrap_or(server.connect),
            first_byte: spec.first_byte.unwrap_or(server.first_byte),
            idle: spec.idle.unwrap_or(server.idle),
            total: spec.total.unwrap_or(server.total),
            request_bytes: spec.request_bytes.unwrap_or(usize::MAX).min(server.request_bytes),
            ..server
        };
        // Who runs and waits is kept when the files are read again, unless the number of places changed.
        let kept = before
            .gate(&spec.name)
            .filter(|gate| Some(gate.places()) == spec.places);
        let gate = kept.or_else(|| spec.places.map(|places| Arc::new(Gate::new(places))));
        Self { spec, bounds, gate }
    }
}

/// Every route in effect, by upstream.
#[derive(Debug, Default)]
pub struct Routes {
    declared: HashMap<UpstreamName, Vec<Arc<Route>>>,
    /// For calls that no route is declared for: one attempt within the server's bounds.
    plain: HashMap<UpstreamName, Arc<Route>>,
}

impl Routes {
    /// The routes of these declarations, within the server's bounds. Gates of the routes in effect `before` are kept.
    pub fn new<'a>(
        specs: &[RouteSpec],
        upstreams: impl Iterator<Item = &'a UpstreamName>,
        server: Bounds,
        before: &Self,
    ) -> Self {
        let mut declared: HashMap<UpstreamName, Vec<Arc<Route>>> = HashMap::new();
        for spec in specs {
            let route = Arc::new(Route::new(spec.clone(), server, before));
            declared.entry(spec.upstream.clone()).or_default().push(route);
        }
        let plain = upstreams.map(|upstream| {
            let spec = RouteSpec::plain(upstream.clone());
            (upstream.clone(), Arc::new(Route::new(spec, server, before)))
        });
        Self {
            plain: plain.collect(),
            declared,
        }
    }

    /// The route of a call: of those that fit, the one that names the model most closely. `None` for an upstream that is
    /// not declared.
    pub fn find(&self, upstream: &UpstreamName, model: &str) -> Option<Arc<Route>> {
        let declared = self.declared.get(upstream).into_iter().flatten();
        let closeness = |route: &Arc<Route>| {
            let models = &route.spec.models;
            match models.is_empty() {
                true => Some(None),
                false => Some(Some(
                    models.iter().filter_map(|pattern| pattern.closeness(model)).max()?,
                )),
            }
        };
        declared
            .filter_map(|route| Some((closeness(route)?, route)))
            .max_by_key(|(closeness, _)| *closeness)
            .map(|(_, route)| route)
            .or_else(|| self.plain.get(upstream))
            .cloned()
    }

    fn gate(&self, name: &str) -> Option<Arc<Gate>> {
        let mut routes = self.declared.values().flatten();
        routes.find(|route| route.spec.name == name)?.gate.clone()
    }
}

impl RouteSpec {
    /// A route that does nothing special: one attempt, within the server's bounds.
    pub fn plain(upstream: UpstreamName) -> Self {
        Self {
            name: String::new(),
            upstream,
            models: Vec::new(),
            retry: Retry::default(),
            fallback: Vec::new(),
            connect: None,
            first_byte: None,
            idle: None,
            total: None,
            request_bytes: None,
            places: None,
        }
    }
}

#[cfg(test)]
mod tests;
