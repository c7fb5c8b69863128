//! `[[sinks]]`: where entries of the audit log are streamed to.

mod places;

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use control::{Rotation, Secret, SinkFormat, SinkSpec, SinkStart, SinkTarget, Webhook};
use data_encoding::BASE64;
use entry::Event;
use http::Uri;
use model::{AgentName, SinkName, TenantName};
use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{
    KeyReference, below,
    key::NoSecret,
    limits::within,
    secrets::Missing,
    tls::{ClientFiles, RawClientTls, client_files},
    upstream::is_loopback,
};
use crate::{
    node::{Field, Placed},
    problem::{Findings, Mark},
    quantity::{Size, Time},
    suggest::{self, shown},
};

/// Each has a task and a cursor of its own.
const MAX_SINKS: usize = 16;
/// Names that one filter may have.
const MAX_FILTER: usize = 64;
const MAX_URL: usize = 2_048;
/// A file that holds less would be put aside all the time.
const ROTATIONS: RangeInclusive<Size> = Size(1 << 20)..=Size(1 << 40);
const KEEPS: RangeInclusive<u64> = 1..=1_000;
const BATCHES: RangeInclusive<u64> = 1..=1_000;
const TIMEOUTS: RangeInclusive<Time> = Time(Duration::from_millis(100))..=Time(Duration::from_secs(300));
const KEEP: u64 = 5;
const BATCH: u64 = 100;
const TIMEOUT: Duration = Duration::from_secs(15);

/// Where entries are streamed to.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Sink", extend("required" = ["name", "kind"]))]
pub(crate) struct RawSink {
    /// Its name. The file with its cursor is called by it, so another name is another sink, which begins anew.
    name: Field<String>,
    /// Where to: `file`, `stdout` (the server's standard output) or `webhook`.
    kind: Field<RawKind>,
    /// In which form: `json` (the entries themselves) or `cloudevents` (CloudEvents 1.0 with the entries as data).
    #[schemars(extend("default" = "json"))]
    format: Field<RawFormat>,
    /// Of which tenants; `_system` is the server itself. Of all if absent.
    tenants: Field<Vec<Field<String>>>,
    /// Which kinds of entries, such as `denial`. All if absent.
    kinds: Field<Vec<Field<String>>>,
    /// About which agents. About everything if absent.
    agents: Field<Vec<Field<String>>>,
    /// Where it begins when it is new: `now` (behind what is there already) or `beginning`.
    #[schemars(extend("default" = "now"))]
    from: Field<RawStart>,
    /// The file, relative to this one. For `file` only.
    path: Field<String>,
    /// A file that would become longer is put aside as `PATH.1`, and so on. It is not if absent. For `file` only.
    rotate_size: Field<Size>,
    /// How many files are kept aside. The oldest is deleted. For `file` only.
    #[schemars(extend("default" = KEEP, "minimum" = KEEPS.start(), "maximum" = KEEPS.end()))]
    rotate_keep: Field<u64>,
    /// Where entries are sent: `https://`, or `http://` to a loopback address. For `webhook` only.
    url: Field<String>,
    /// Where the secret is that requests are signed with (Standard Webhooks): `whsec_` and 24 to 64 bytes as base64. They are
    /// not signed if absent. For `webhook` only.
    secret: Field<KeyReference>,
    /// The most entries of a request. For `webhook` only.
    #[schemars(extend("default" = BATCH, "minimum" = BATCHES.start(), "maximum" = BATCHES.end()))]
    batch: Field<u64>,
    /// How long a request may take, connecting included. For `webhook` only.
    #[schemars(extend("default" = "15s"))]
    timeout: Field<Time>,
    /// The file of the authorities that the server's certificate must come from, instead of the public ones; PEM, relative to
    /// this file. For `webhook` only.
    ca: Field<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum RawKind {
    /// The end of a file.
    File,
    /// The server's standard output.
    Stdout,
    /// A server that takes them over HTTP.
    Webhook,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum RawFormat {
    /// The entries themselves.
    Json,
    /// CloudEvents 1.0.
    Cloudevents,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum RawStart {
    /// Behind what is there already.
    Now,
    /// With the first entry of each log.
    Beginning,
}

/// A sink, its secret and certificates as references.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    name: SinkName,
    to: To,
    format: SinkFormat,
    tenants: Vec<TenantName>,
    kinds: Vec<String>,
    agents: Vec<AgentName>,
    start: SinkStart,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum To {
    File {
        path: PathBuf,
        rotation: Option<Rotation>,
    },
    Stdout,
    Webhook {
        url: places::Address,
        secret: Option<Placed<KeyReference>>,
        ca: Option<ClientFiles>,
        batch: usize,
        timeout: Duration,
    },
}

impl Sink {
    /// Whether it is the server's standard output.
    pub fn is_stdout(&self) -> bool {
        self.to == To::Stdout
    }

    /// With what secrets and files hold. What is missing is noted.
    pub(super) fn resolve(&self, env: &dyn Fn(&str) -> Option<String>, missing: &mut Missing<'_>) -> SinkSpec {
        let target = match &self.to {
            To::File { path, rotation } => SinkTarget::File {
                path: path.clone(),
                rotation: *rotation,
            },
            To::Stdout => SinkTarget::Stdout,
            To::Webhook {
                url,
                secret,
                ca,
                batch,
                timeout,
            } => SinkTarget::Webhook(Webhook {
                url: url.0.clone(),
                secret: secret.as_ref().and_then(|secret| signing_secret(secret, env, missing)),
                ca: ca
                    .as_ref()
                    .and_then(|files| missing.files(files.load()))
                    .and_then(|(ca, _)| ca),
                batch: *batch,
                timeout: *timeout,
            }),
        };
        SinkSpec {
            name: self.name.clone(),
            target,
            format: self.format,
            tenants: self.tenants.clone(),
            kinds: self.kinds.clone(),
            agents: self.agents.clone(),
            start: self.start,
        }
    }
}

/// A secret of the form that Standard Webhooks has, as base64.
fn signing_secret(
    reference: &Placed<KeyReference>,
    env: &dyn Fn(&str) -> Option<String>,
    missing: &mut Missing<'_>,
) -> Option<Secret> {
    let resolved = reference.value.resolve(env);
    let secret = resolved.map_err(|error| missing.secret(reference.mark, error)).ok()?;
    let encoded = secret.expose_secret().strip_prefix("whsec_").unwrap_or_default();
    let decoded = BASE64.decode(encoded.as_bytes()).map(Zeroizing::new);
    if decoded.is_ok_and(|bytes| (24..=64).contains(&bytes.len())) {
        return Some(Secret::from(encoded));
    }
    let text =
        "the secret of the webhook is not one of Standard Webhooks\nit is whsec_ and 24 to 64 random bytes as base64, \
                such as what `echo whsec_$(openssl rand -base64 32)` prints"
            .to_owned();
    missing.secret(reference.mark, NoSecret { text, absent: false });
    None
}

/// All sinks, none of which may be in the way of another.
pub(super) fn sinks(
    field: Field<Vec<Field<RawSink>>>,
    dir: &Path,
    data: &Path,
    findings: &mut Findings,
    warnings: &mut Findings,
) -> Vec<Sink> {
    let Some(Placed { mark, value: tables }) = field.given() else {
        return Vec::new();
    };
    if tables.len() > MAX_SINKS {
        let message = format!("there are {} sinks, more than {MAX_SINKS}", tables.len());
        findings.add_with_help(mark, message, "let one sink feed something that passes entries on");
    }
    let mut names: BTreeMap<SinkName, Mark> = BTreeMap::new();
    let mut places: BTreeMap<Option<PathBuf>, Mark> = BTreeMap::new();
    let mut sinks = Vec::new();
    for Placed { mark, value: raw } in tables.into_iter().filter_map(Field::given) {
        let Some(sink) = sink(mark, raw, dir, data, findings, warnings) else {
            continue;
        };
        if let Some(first) = names.insert(sink.name.clone(), mark) {
            let message = format!("there is a sink `{}` already", sink.name);
            findings.add_with_help(mark, message, format!("the first is in line {}", first.line));
        }
        let place = match &sink.to {
            To::File { path, .. } => Some(Some(places::plain(path))),
            To::Stdout => Some(None),
            To::Webhook { .. } => None,
        };
        if let Some(first) = place.and_then(|place| places.insert(place, mark)) {
            let message = format!("the sink `{}` would write where another writes", sink.name);
            let help = format!("lines of both would be mixed; the first is in line {}", first.line);
            findings.add_with_help(mark, message, help);
        }
        sinks.push(sink);
    }
    places::check(&sinks, &places, findings);
    sinks
}

fn sink(
    mark: Mark,
    mut raw: RawSink,
    dir: &Path,
    data: &Path,
    findings: &mut Findings,
    warnings: &mut Findings,
) -> Option<Sink> {
    let help = "it names the sink in `bailiwick sink list`, in metrics and in the file of its cursor";
    let name = std::mem::take(&mut raw.name).required(Some(mark), "the sink has no `name`", help, findings);
    let name = name.and_then(|name| parsed(&name, findings));
    let help = "write one of \"file\", \"stdout\" and \"webhook\"";
    let kind = std::mem::take(&mut raw.kind).required(Some(mark), "the sink has no `kind`", help, findings);
    let format = match std::mem::take(&mut raw.format).value() {
        None | Some(RawFormat::Json) => SinkFormat::Json,
        Some(RawFormat::Cloudevents) => SinkFormat::CloudEvents,
    };
    let start = match std::mem::take(&mut raw.from).value() {
        None | Some(RawStart::Now) => SinkStart::Now,
        Some(RawStart::Beginning) => SinkStart::Beginning,
    };
    let tenants = list(std::mem::take(&mut raw.tenants), "tenants", findings);
    let tenants = tenants.iter().filter_map(|tenant| parsed(tenant, findings)).collect();
    let agents = list(std::mem::take(&mut raw.agents), "agents", findings);
    let agents = agents.iter().filter_map(|agent| parsed(agent, findings)).collect();
    let kinds = list(std::mem::take(&mut raw.kinds), "kinds", findings);
    let kinds = kinds
        .into_iter()
        .filter_map(|kind| known_kind(kind, findings))
        .collect();
    let kind = kind?;
    foreign_keys(kind.value, &raw, findings);
    let to = match kind.value {
        RawKind::Stdout => Some(To::Stdout),
        RawKind::File => file(mark, raw, dir, data, findings),
        RawKind::Webhook => webhook(mark, raw, dir, findings, warnings),
    };
    Some(Sink {
        name: name?,
        to: to?,
        format,
        tenants,
        kinds,
        agents,
        start,
    })
}

/// Keys that another kind of sink has.
fn foreign_keys(kind: RawKind, raw: &RawSink, findings: &mut Findings) {
    use RawKind::{File, Webhook};
    let keys = [
        ("path", raw.path.mark(), File, "file"),
        ("rotate_size", raw.rotate_size.mark(), File, "file"),
        ("rotate_keep", raw.rotate_keep.mark(), File, "file"),
        ("url", raw.url.mark(), Webhook, "webhook"),
        ("secret", raw.secret.mark(), Webhook, "webhook"),
        ("batch", raw.batch.mark(), Webhook, "webhook"),
        ("timeout", raw.timeout.mark(), Webhook, "webhook"),
        ("ca", raw.ca.mark(), Webhook, "webhook"),
    ];
    for (key, mark, of, word) in keys {
        if let Some(mark) = mark
            && of != kind
        {
            let message = format!("`{key}` has no effect on this kind of sink");
            findings.add_with_help(mark, message, format!("it is for kind = \"{word}\""));
        }
    }
}

fn file(mark: Mark, raw: RawSink, dir: &Path, data: &Path, findings: &mut Findings) -> Option<To> {
    let help = "say where, such as path = \"/var/log/bailiwick/entries.jsonl\"";
    let path = raw.path.required(Some(mark), "the sink has no `path`", help, findings);
    let path_mark = path.as_ref().map_or(mark, |path| path.mark);
    let path = path.and_then(|path| below(dir, path, findings));
    let keep_mark = raw.rotate_keep.mark();
    let size = within(raw.rotate_size, ROTATIONS, findings);
    let keep = within(raw.rotate_keep, KEEPS, findings).unwrap_or(KEEP);
    if let (Some(mark), None) = (keep_mark, size) {
        let help = "say from which size on a file is put aside, such as rotate_size = \"100MiB\"";
        findings.add_with_help(mark, "`rotate_keep` has no effect without `rotate_size`", help);
    }
    let path = path?;
    if places::plain(&path).starts_with(places::plain(data)) {
        let help = "what is in there belongs to the server: name a file somewhere else";
        findings.add_with_help(path_mark, "the file of the sink is in the data directory", help);
        return None;
    }
    let rotation = size.map(|size| Rotation {
        size: size.0,
        keep: u32::try_from(keep).unwrap_or(u32::MAX),
    });
    Some(To::File { path, rotation })
}

fn webhook(mark: Mark, raw: RawSink, dir: &Path, findings: &mut Findings, warnings: &mut Findings) -> Option<To> {
    let help = "say where, such as url = \"https://siem.acme.example/bailiwick\"";
    let url = raw.url.required(Some(mark), "the sink has no `url`", help, findings);
    let url = url.and_then(|url| address(url, findings));
    let ca = raw.ca.given().map(|ca| {
        let mark = ca.mark;
        if url.as_ref().is_some_and(|url| url.starts_with("http:")) {
            let help = "write `url` with https://, or remove `ca`";
            findings.add_with_help(mark, "there is an authority for a webhook without TLS", help);
        }
        client_files(RawClientTls::with_ca(ca), mark, dir, findings)
    });
    let secret = raw.secret.given();
    if secret.is_none() {
        warnings.add_with_help(
            mark,
            "the requests of the webhook are not signed",
            "whoever finds its address could send entries of their own: give it a `secret`, by reference",
        );
    }
    let batch = within(raw.batch, BATCHES, findings).unwrap_or(BATCH);
    let timeout = within(raw.timeout, TIMEOUTS, findings).map_or(TIMEOUT, |time| time.0);
    Some(To::Webhook {
        url: places::Address(url?),
        secret: secret.map(|secret| Placed {
            value: secret.value.below(dir),
            ..secret
        }),
        ca,
        batch: usize::try_from(batch).unwrap_or(usize::MAX),
        timeout,
    })
}

/// Checks the address of a webhook. Messages never repeat it: it may hold a credential.
fn address(url: Placed<String>, findings: &mut Findings) -> Option<String> {
    let example = "it is https:// and where entries are taken, such as \"https://siem.acme.example/bailiwick\"";
    let parsed = url.value.parse::<Uri>().ok();
    let host = parsed.as_ref().and_then(Uri::host).unwrap_or_default();
    let authority = parsed.as_ref().and_then(Uri::authority);
    let authority = authority.map(http::uri::Authority::as_str).unwrap_or_default();
    let port = authority.strip_prefix(host).unwrap_or_default();
    let port_is_odd = !port.is_empty() && parsed.as_ref().and_then(Uri::port_u16).is_none();
    let (message, help) = match parsed.as_ref().and_then(Uri::scheme_str) {
        _ if authority.contains('@') => (
            "the address of the webhook holds credentials (user:password@...)",
            "requests are signed with `secret`; leave the credentials out",
        ),
        Some("https" | "http")
            if host.is_empty() || port_is_odd || url.value.len() > MAX_URL || url.value.contains('#') =>
        {
            ("this is not the address of a webhook", example)
        }
        Some("https") => return Some(url.value),
        Some("http") if is_loopback(host) => return Some(url.value),
        Some("http") => (
            "the webhook is not encrypted",
            "entries would cross the network in the clear: write `https://`; `http://` is for a loopback address",
        ),
        _ => ("this is not the address of a webhook", example),
    };
    findings.add_with_help(url.mark, message, help);
    None
}

fn known_kind(kind: Placed<String>, findings: &mut Findings) -> Option<String> {
    let known = Event::kinds();
    if known.contains(&kind.value.as_str()) {
        return Some(kind.value);
    }
    let help = match suggest::nearest(&kind.value, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "docs/entries.md lists them, such as `intent`, `outcome` and `denial`".to_owned(),
    };
    findings.add_with_help(
        kind.mark,
        format!("there is no kind of entry `{}`", shown(&kind.value)),
        help,
    );
    None
}

/// The names of a filter. None at all would be a sink that gets nothing, or everything: nobody knows what is meant.
fn list(field: Field<Vec<Field<String>>>, key: &str, findings: &mut Findings) -> Vec<Placed<String>> {
    let Some(Placed { mark, value: names }) = field.given() else {
        return Vec::new();
    };
    if names.is_empty() {
        findings.add_with_help(
            mark,
            format!("`{key}` is empty"),
            "leave it out to let everything through",
        );
    }
    if names.len() > MAX_FILTER {
        findings.add(
            mark,
            format!("`{key}` has {} names, more than {MAX_FILTER}", names.len()),
        );
    }
    names.into_iter().filter_map(Field::given).collect()
}

fn parsed<T: std::str::FromStr<Err = model::IdError>>(name: &Placed<String>, findings: &mut Findings) -> Option<T> {
    match name.value.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            findings.add(name.mark, format!("this is not a name: {error}"));
            None
        }
    }
}
