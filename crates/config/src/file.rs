//! `bailiwick.toml`: process settings, upstreams and prices. One section, one file of this module.

mod audit;
mod authzen;
mod key;
mod limits;
mod listen;
mod log;
mod price;
mod retention;
mod route;
mod secrets;
mod sink;
mod tls;
mod transport;
mod upstream;
mod witness;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use control::{AuthzenSettings, Limits, Retention, RouteSpec, SinkSpec, UpstreamSpec, WitnessSpec};
use pricing::{Override, PriceBook};
use schemars::JsonSchema;
use serde::Deserialize;

pub use audit::Audit;
pub(crate) use key::KeyReference;
pub(crate) use limits::{OUTPUT_LIMITS, within};
pub(crate) use log::RawLog;
pub use log::{LogFormat, LogLevel, LogSettings};
pub(crate) use secrets::Missing;
pub use sink::Sink;
pub use tls::{OutsideDates, ServerFiles, ServerPem};
pub(crate) use tls::{RawServerTls, server_files};
pub(crate) use upstream::Upstream;
pub use witness::Witness;

use self::{
    audit::RawAudit,
    authzen::RawAuthzen,
    limits::{RawBounds, RawLimits, RawTimeouts},
    listen::{Listen, RawListen, is_public},
    price::RawPrice,
    retention::RawRetention,
    route::RawRoute,
    sink::{RawSink, sinks},
    upstream::{MAX_UPSTREAMS, RawUpstream},
};
use super::{
    node::{Field, Format, Keyed, Placed, decode, parse_toml},
    problem::{Findings, Mark, Problems},
    suggest,
};

/// The most bytes that all upstreams may take in their audit entry, which has more in it than them.
const MAX_RECORDED: usize = entry::MAX_ENTRY_BYTES - 1024;
/// All prices stand in one audit entry of at most 16 KiB.
const MAX_PRICES: usize = 64;

/// Settings of the Bailiwick server.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "bailiwick.toml", extend("required" = ["trust_domain"]))]
pub(crate) struct RawFile {
    /// The name of this deployment, such as `agents.acme.example`. It stands in the name of every audit log, so choose it
    /// once: lower-case letters, digits, '.', '-' and '_'.
    trust_domain: Field<String>,
    /// Where the store and the keys are, relative to this file.
    #[schemars(extend("default" = "./data"))]
    data_dir: Field<String>,
    /// Where agents and policies are declared, relative to this file.
    #[schemars(extend("default" = "./governance"))]
    governance: Field<String>,
    /// Where the two listeners are.
    listen: Field<RawListen>,
    /// The operators' log, on standard error.
    log: Field<RawLog>,
    /// How much.
    limits: Field<RawLimits>,
    /// How long.
    timeouts: Field<RawTimeouts>,
    /// The audit log.
    audit: Field<RawAudit>,
    /// How long entries of the audit log are kept. What is not named is kept for as long as the log.
    retention: Field<RawRetention>,
    /// The decision point.
    authzen: Field<RawAuthzen>,
    /// Model providers by name. The name is the first path segment of requests to it.
    upstreams: Field<Keyed<RawUpstream>>,
    /// How calls are tried, by name: attempts, fallbacks, times and how many run at once.
    routes: Field<Keyed<RawRoute>>,
    /// Prices that the shipped catalogue does not have, or has wrong.
    prices: Field<Vec<Field<RawPrice>>>,
    /// Where entries of the audit log are streamed to as they are committed.
    sinks: Field<Vec<Field<RawSink>>>,
}

/// What `bailiwick.toml` says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file, as a person would type it.
    pub file: String,
    /// The deployment's name.
    pub trust_domain: String,
    /// Where the store and the keys are.
    pub data_dir: PathBuf,
    /// Where agents and policies are declared.
    pub(crate) governance_dir: PathBuf,
    /// The address for agents.
    pub listen_agents: SocketAddr,
    /// The address for administration.
    pub listen_admin: SocketAddr,
    /// The TLS of the agents' listener.
    pub agents_tls: Option<ServerFiles>,
    /// The TLS of the administration listener.
    pub admin_tls: Option<ServerFiles>,
    /// The operators' log.
    pub log: LogSettings,
    /// The bounds of the data plane.
    pub limits: Limits,
    /// The audit log.
    pub audit: Audit,
    /// How long its entries are kept.
    pub retention: Retention,
    /// The decision point.
    pub authzen: AuthzenSettings,
    /// Model providers by name, their credentials as references.
    pub(crate) upstreams: Vec<Upstream>,
    /// How calls are tried.
    pub(crate) routes: Vec<RouteSpec>,
    /// Prices over those of the catalogue.
    pub(crate) prices: Vec<Override>,
    /// Where entries are streamed to, secrets and certificates as references.
    pub sinks: Vec<Sink>,
    /// What is legal but looks like a mistake.
    pub(crate) warnings: Problems,
}

impl Settings {
    /// Reads the text of a file: `file` is how messages name it, `dir` what its paths are relative to.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(crate) fn parse(text: &str, file: &str, dir: &Path) -> Result<Self, Problems> {
        let read = || {
            let tree = parse_toml(text)?;
            let (raw, mut findings) = decode::<RawFile>(&tree, Format::Toml);
            let checked = raw.and_then(|raw| findings.absorb(Checked::try_from((raw, dir))));
            findings.conclude(checked)
        };
        let checked: Checked = read().map_err(|findings: Findings| findings.of_file(file).sorted())?;
        Ok(Self {
            file: file.to_owned(),
            warnings: checked.warnings.of_file(file).sorted(),
            ..checked.settings
        })
    }

    /// The upstreams with their credentials and certificates, from the environment as `env` knows it and from files. The
    /// listeners' certificates are looked at as well.
    ///
    /// # Errors
    /// Every credential and certificate that is not there or cannot be used. A server must not start then; a check only
    /// warns of what is not there.
    pub(crate) fn resolve_secrets(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Vec<UpstreamSpec>, Missing<'_>> {
        let mut missing = Missing::of(&self.file);
        for files in [&self.agents_tls, &self.admin_tls].into_iter().flatten() {
            missing.files(files.load());
        }
        let mut upstreams = Vec::new();
        for upstream in &self.upstreams {
            let credential = upstream.key.as_ref().and_then(|key| {
                let resolved = key.value.resolve(env);
                resolved.map_err(|error| missing.secret(key.mark, error)).ok()
            });
            let transport = upstream.reach.resolve(env, &mut missing);
            upstreams.push(UpstreamSpec {
                transport,
                ..upstream.spec(credential)
            });
        }
        match missing.absent.is_empty() && missing.wrong.is_empty() {
            true => Ok(upstreams),
            false => Err(missing),
        }
    }
}

impl Settings {
    /// The sinks with their secrets and certificates, from the environment as `env` knows it and from files.
    ///
    /// # Errors
    /// Every secret and certificate that is not there or cannot be used.
    pub(crate) fn resolve_sinks(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Vec<SinkSpec>, Missing<'_>> {
        let mut missing = Missing::of(&self.file);
        let specs = self.sinks.iter().map(|sink| sink.resolve(env, &mut missing)).collect();
        match missing.absent.is_empty() && missing.wrong.is_empty() {
            true => Ok(specs),
            false => Err(missing),
        }
    }
}

impl Settings {
    /// The witnesses of the logs with their certificates.
    ///
    /// # Errors
    /// Every certificate that is not there or cannot be used.
    pub(crate) fn resolve_witnesses(&self) -> Result<Vec<WitnessSpec>, Missing<'_>> {
        let mut missing = Missing::of(&self.file);
        let witnesses = self.audit.witnesses.iter();
        let specs = witnesses.map(|witness| witness.resolve(&mut missing)).collect();
        match missing.absent.is_empty() && missing.wrong.is_empty() {
            true => Ok(specs),
            false => Err(missing),
        }
    }
}

/// Settings and what was noticed while checking them.
struct Checked {
    settings: Settings,
    warnings: Findings,
}

impl TryFrom<(RawFile, &Path)> for Checked {
    type Error = Findings;

    fn try_from((raw, dir): (RawFile, &Path)) -> Result<Self, Findings> {
        let mut findings = Findings::default();
        let mut warnings = Findings::default();
        let help = "it names this deployment in every audit log, such as trust_domain = \"agents.acme.example\"";
        let domain = raw
            .trust_domain
            .required(None, "`trust_domain` is missing", help, &mut findings);
        let trust_domain = domain.and_then(|domain| trust_domain(domain, &mut findings));
        let data_dir = directory(raw.data_dir, "data", dir, &mut findings);
        let governance_dir = directory(raw.governance, "governance", dir, &mut findings);
        let listen_mark = raw.listen.mark();
        let listen = findings.absorb((raw.listen.value().unwrap_or_default(), dir).try_into());
        let Listen {
            agents,
            admin,
            agents_tls,
            admin_tls,
        } = listen.unwrap_or_default();
        if is_public(agents) && agents_tls.is_none() {
            warnings.add_with_help(
                listen_mark,
                format!("agents on other machines would reach {agents} unencrypted"),
                "give it a certificate in [listen.agents_tls], or put a TLS proxy in front of it, so that credentials and \
                 prompts do not cross the network in the clear",
            );
        }
        let log = raw.log.value().unwrap_or_default().into();
        let limits = findings.absorb(Limits::try_from(RawBounds {
            limits: raw.limits.value().unwrap_or_default(),
            timeouts: raw.timeouts.value().unwrap_or_default(),
        }));
        let audit = findings.absorb(Audit::try_from((raw.audit.value().unwrap_or_default(), dir)));
        let retention = raw.retention.value().unwrap_or_default();
        let retention = retention.check(&mut findings, &mut warnings);
        let authzen = raw.authzen.value().unwrap_or_default();
        let authzen = findings.absorb(authzen::Checked::try_from((authzen, agents)));
        let upstreams = upstreams(raw.upstreams, dir, &mut findings);
        upstreams.iter().for_each(|upstream| upstream.warn(&mut warnings));
        let usual = limits.clone().unwrap_or_default();
        let routes = route::routes(raw.routes, &upstreams, &usual, &mut findings, &mut warnings);
        let prices = prices(raw.prices, &mut findings);
        let data = data_dir.as_deref().unwrap_or(dir);
        let sinks = sinks(raw.sinks, dir, data, &mut findings, &mut warnings);
        warn_of_unknown_providers(&upstreams, &prices, &mut warnings);
        upstreams
            .iter()
            .for_each(|upstream| upstream.warn_of_unknown_maxima(&prices, &mut warnings));
        let settings = || {
            Some(Settings {
                file: String::new(),
                trust_domain: trust_domain?,
                data_dir: data_dir?,
                governance_dir: governance_dir?,
                listen_agents: agents,
                listen_admin: admin,
                agents_tls,
                admin_tls,
                log,
                limits: limits?,
                audit: audit?,
                retention,
                authzen: authzen?.0,
                upstreams,
                routes,
                prices,
                sinks,
                warnings: Problems::default(),
            })
        };
        let settings = settings();
        findings.conclude(settings.map(|settings| Self { settings, warnings }))
    }
}

/// The form of a SPIFFE trust domain (SPIFFE-ID, section 2.1).
fn trust_domain(domain: Placed<String>, findings: &mut Findings) -> Option<String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
    if (1..=255).contains(&domain.value.len()) && domain.value.chars().all(plain) {
        return Some(domain.value);
    }
    findings.add_with_help(
        domain.mark,
        "`trust_domain` is not a trust domain",
        "it has only lower-case letters, digits, '.', '-' and '_', such as \"agents.acme.example\"",
    );
    None
}

fn directory(field: Field<String>, default: &str, dir: &Path, findings: &mut Findings) -> Option<PathBuf> {
    match field {
        Field::Absent => Some(dir.join(default)),
        field => field.given().and_then(|path| below(dir, path, findings)),
    }
}

/// A path of the file, relative to the file's directory.
pub(crate) fn below(dir: &Path, path: Placed<String>, findings: &mut Findings) -> Option<PathBuf> {
    let text = path.value.as_str();
    if text.is_empty() || text.contains('\0') {
        findings.add(path.mark, "this is not a path");
        return None;
    }
    if text.starts_with('~') {
        findings.add_with_help(
            path.mark,
            "`~` is not expanded here",
            "write the path out, or relative to this file",
        );
        return None;
    }
    // `./data` below `conf` is `conf/data`.
    Some(dir.join(Path::new(text).strip_prefix("./").unwrap_or(Path::new(text))))
}

fn upstreams(field: Field<Keyed<RawUpstream>>, dir: &Path, findings: &mut Findings) -> Vec<Upstream> {
    let Some(Placed {
        mark,
        value: Keyed(entries),
    }) = field.given()
    else {
        return Vec::new();
    };
    if entries.len() > MAX_UPSTREAMS {
        let message = format!("there are {} upstreams, more than {MAX_UPSTREAMS}", entries.len());
        findings.add_with_help(mark, message, "one audit entry carries them all");
    }
    let mut upstreams = Vec::new();
    for (name, raw) in entries {
        let Some(raw) = raw.value() else { continue };
        let Some(mut upstream) = findings.absorb(Upstream::try_from((name, raw, dir))) else {
            continue;
        };
        upstream.key = upstream.key.map(|key| Placed {
            value: key.value.below(dir),
            ..key
        });
        upstreams.push(upstream);
    }
    let recorded: usize = upstreams.iter().map(Upstream::recorded_bytes).sum();
    if recorded > MAX_RECORDED {
        let message = format!("the upstreams take {recorded} bytes in the audit log, more than {MAX_RECORDED}");
        findings.add_with_help(
            mark,
            message,
            "one audit entry carries them all: shorten `models`, or leave some out",
        );
    }
    // So that moving a table changes nothing that is recorded.
    upstreams.sort_by(|a, b| a.name().cmp(b.name()));
    upstreams
}

fn prices(field: Field<Vec<Field<RawPrice>>>, findings: &mut Findings) -> Vec<Override> {
    let Some(Placed { mark, value: tables }) = field.given() else {
        return Vec::new();
    };
    if tables.len() > MAX_PRICES {
        let message = format!("there are {} prices, more than {MAX_PRICES}", tables.len());
        findings.add_with_help(mark, message, "one audit entry carries them all");
    }
    let mut taken: BTreeMap<(String, String), Mark> = BTreeMap::new();
    let mut prices = Vec::new();
    for placed in tables.into_iter().filter_map(Field::given) {
        let mark = placed.mark;
        let Some(price) = findings.absorb(Override::try_from(placed)) else {
            continue;
        };
        let key = (price.provider.clone(), price.model.clone());
        match taken.get(&key) {
            Some(first) => {
                let message = format!("the model `{}` of `{}` has a price already", key.1, key.0);
                findings.add_with_help(mark, message, format!("the first is in line {}", first.line));
            }
            None => {
                taken.insert(key, mark);
                prices.push(price);
            }
        }
    }
    prices
}

/// An upstream whose provider nobody has a price of: every call to it would be refused.
fn warn_of_unknown_providers(upstreams: &[Upstream], prices: &[Override], warnings: &mut Findings) {
    let unpriced = |upstream: &&Upstream| prices.iter().all(|price| price.provider != upstream.prices());
    let mut doubtful = upstreams
        .iter()
        .filter(|upstream| upstream.prices_mark.is_some())
        .filter(unpriced)
        .peekable();
    if doubtful.peek().is_none() {
        return;
    }
    let book = PriceBook::builtin();
    let models: Vec<_> = book.models().collect();
    let known: BTreeSet<&str> = models.iter().map(|model| model.provider()).collect();
    let words: Vec<&str> = known.iter().copied().collect();
    for upstream in doubtful.filter(|upstream| !known.contains(upstream.prices())) {
        let help = match suggest::nearest(upstream.prices(), &words) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "add its models under [[prices]], or their calls are refused".to_owned(),
        };
        let message = format!("no price is known of the provider `{}`", upstream.prices());
        warnings.add_with_help(upstream.prices_mark, message, help);
    }
}

#[cfg(test)]
mod tests;
