//! `[upstreams.NAME]`: a model provider.

mod host;
mod templates;
mod url;

pub(super) use host::is_loopback;

use std::{borrow::Cow, path::Path};

use control::{Preset, Secret, UpstreamSpec};
use http::Uri;
use llm::Dialect;
use model::UpstreamName;
use pricing::{Override, PriceBook};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use super::{
    KeyReference,
    tls::RawClientTls,
    transport::{RawHttp2, RawTransport, Reach},
};
use crate::{
    node::{Field, Keyed, Placed, parse_text},
    problem::{Findings, Mark},
    suggest::{self, shown},
};

/// First path segments of the agents' listener that are Bailiwick's own.
const RESERVED: [&str; 7] = ["oauth2", "access", ".well-known", "mcp", "healthz", "readyz", "runs"];

/// All upstreams stand in one audit entry of at most 16 KiB, with their names and base URLs.
pub(crate) const MAX_UPSTREAMS: usize = 32;
const MAX_PROVIDER: usize = 64;

/// A model provider. The table's name is the first path segment of requests to it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Upstream", extend("anyOf" = [{ "required": ["kind", "base_url"] }, { "required": ["preset"] }]))]
pub(crate) struct RawUpstream {
    /// A kind of server that Bailiwick knows: it gives defaults to the other keys. `kind` is then `openai`.
    preset: Field<Known>,
    /// The dialect it speaks.
    kind: Field<Kind>,
    /// What the path of a request is appended to: http or https, without credentials, query and fragment. Servers of which
    /// there is only one (`mistral`, `groq`, `deepseek`) need none.
    base_url: Field<String>,
    /// Where a request goes below `base_url`, such as `/openai/deployments/{model}/{operation}`. `{path}` is the path as
    /// asked for (`v1/chat/completions`), `{operation}` the same below `/v1`, `{model}` the provider's name for the model.
    #[schemars(extend("default" = "/{path}"))]
    path: Field<String>,
    /// The same for single endpoints, by their path below `/v1/`, such as `responses`.
    paths: Field<Keyed<String>>,
    /// What is added to the query, such as `api-version=2024-10-21`.
    query: Field<String>,
    /// Headers put on requests by name. `{api_key}` stands for the credential, which is then put on there only.
    headers: Field<Keyed<String>>,
    /// The provider's names of models (its deployments), by the names that agents, policies and prices use.
    models: Field<Keyed<String>>,
    /// Where the credential is that is put on requests. None is put on if absent.
    api_key: Field<KeyReference>,
    /// The provider of the price catalogue whose prices apply. As `kind` if absent.
    prices: Field<String>,
    /// Whether the output limit is written as `max_tokens` and not as `max_completion_tokens`, for older servers of the
    /// kind `openai`.
    #[schemars(extend("default" = false))]
    legacy_output_limit: Field<bool>,
    /// Whether it keeps to the output limit of a request. If not, each call reserves for all the output that its model can
    /// produce, and a model of which that is not known is refused.
    #[schemars(extend("default" = true))]
    honours_output_limit: Field<bool>,
    /// Whether it takes `stream_options.include_usage`, for servers of the kind `openai`: without it, the usage of a stream
    /// is known only if the server tells it unasked.
    #[schemars(extend("default" = true))]
    stream_usage_option: Field<bool>,
    /// Whether the name of its host may lead to an address inside the network.
    #[schemars(extend("default" = false))]
    private_network: Field<bool>,
    /// The proxy that connections go through, such as `http://proxy.example:3128`. Direct if absent; the environment is not
    /// asked.
    proxy: Field<String>,
    /// Where the credential for the proxy is: `user:password`.
    proxy_auth: Field<KeyReference>,
    /// Whether HTTP/2 is spoken: `auto` (where the upstream chooses it in the TLS handshake), `always` (without TLS too) or
    /// `never`.
    #[schemars(extend("default" = "auto"))]
    http2: Field<RawHttp2>,
    /// Certificates, where the public authorities are not enough or the upstream wants to see one.
    tls: Field<RawClientTls>,
}

/// The name of a preset.
#[derive(Clone, Copy, Debug)]
struct Known(Preset);

impl<'de> Deserialize<'de> for Known {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_text(deserializer, "the name of a preset", |text| {
            let found = Preset::ALL.into_iter().find(|preset| preset.name() == text);
            let names = Preset::ALL.map(Preset::name);
            let unknown = || {
                format!(
                    "unknown preset `{}`\n{}",
                    shown(text),
                    suggest::help(text, "presets", &names)
                )
            };
            found.map(Self).ok_or_else(unknown)
        })
    }
}

impl JsonSchema for Known {
    fn schema_name() -> Cow<'static, str> {
        "Preset".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": Preset::ALL.map(Preset::name) })
    }
}

/// The dialect a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Kind {
    /// OpenAI's API, and the many servers that imitate it.
    OpenAi,
    /// Anthropic's API.
    Anthropic,
}

impl Kind {
    fn dialect(self) -> Dialect {
        match self {
            Self::OpenAi => Dialect::OpenAi,
            Self::Anthropic => Dialect::Anthropic,
        }
    }
}

/// A model provider whose credential is still a reference.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    /// All of it but the credential.
    spec: UpstreamSpec,
    /// Where its credential is.
    pub(crate) key: Option<Placed<KeyReference>>,
    /// Where `honours_output_limit` is written, if it is.
    honours_mark: Option<Mark>,
    /// Where its base URL is written; its name, if that follows from the preset.
    url_mark: Mark,
    /// How it is reached.
    pub(super) reach: Reach,
    /// Where its price provider is written, if it is.
    pub(super) prices_mark: Option<Mark>,
}

impl TryFrom<(Placed<String>, RawUpstream, &Path)> for Upstream {
    type Error = Findings;

    /// Paths are relative to the directory.
    fn try_from((name, mut raw, dir): (Placed<String>, RawUpstream, &Path)) -> Result<Self, Findings> {
        let mut findings = Findings::default();
        let at = name.mark;
        let preset = std::mem::take(&mut raw.preset);
        let kind = kind(&name, &preset, std::mem::take(&mut raw.kind), &mut findings);
        let private = raw.private_network.clone().value();
        let base = base_url(
            &name,
            &preset,
            std::mem::take(&mut raw.base_url),
            private,
            &mut findings,
        );
        let checked = upstream_name(&name, &mut findings);
        let started = match (preset.value(), checked, kind, &base) {
            (Some(Known(preset)), Some(name), Some(_), Some(base)) => {
                let spec = preset.spec(name, &base.value);
                spec.map_err(|error| findings.add(at, error.to_string())).ok()
            }
            (None, Some(name), Some(kind), Some(base)) => Some(UpstreamSpec::new(name, kind, &base.value)),
            _ => None,
        };
        let (prices_mark, honours_mark) = (raw.prices.mark(), raw.honours_output_limit.mark());
        // What else is wrong is told as well.
        let mut spec = started
            .or_else(|| {
                Some(UpstreamSpec::new(
                    UpstreamName::new("_").ok()?,
                    kind.unwrap_or(Dialect::OpenAi),
                    "",
                ))
            })
            .ok_or_else(Findings::default)?;
        options(&mut spec, &mut raw, &mut findings);
        templates::apply(&mut spec, &mut raw, at, &mut findings);
        let transport = RawTransport {
            proxy: raw.proxy,
            proxy_auth: raw.proxy_auth,
            http2: raw.http2,
            tls: raw.tls,
        };
        let reach = transport.check(base.as_ref().map(|base| base.value.as_str()), dir, &mut findings);
        let url_mark = base.map_or(at, |base| base.mark);
        findings.conclude(Some(Self {
            spec,
            reach,
            key: raw.api_key.given(),
            honours_mark,
            url_mark,
            prices_mark,
        }))
    }
}

/// The dialect; a preset has one.
fn kind(name: &Placed<String>, preset: &Field<Known>, kind: Field<Kind>, findings: &mut Findings) -> Option<Dialect> {
    if !preset.is_present() {
        let missing = format!("the upstream `{}` has no `kind`", shown(&name.value));
        let help = "`kind` is \"openai\" or \"anthropic\"; or name a `preset`";
        let kind = kind.required(Some(name.mark), missing, help, findings);
        return kind.map(|kind| kind.value.dialect());
    }
    if let Field::Given(Placed { mark, value }) = kind
        && value.dialect() != Dialect::OpenAi
    {
        let help = "every preset is of the kind \"openai\": remove one of the two";
        findings.add_with_help(mark, "`kind` contradicts `preset`", help);
        return None;
    }
    Some(Dialect::OpenAi)
}

/// The base URL, checked: the one given, or the preset's.
fn base_url(
    name: &Placed<String>,
    preset: &Field<Known>,
    url: Field<String>,
    private: Option<bool>,
    findings: &mut Findings,
) -> Option<Placed<String>> {
    let known = match preset {
        Field::Given(Placed {
            value: Known(preset), ..
        }) => Some(*preset),
        Field::Absent | Field::Bad(_) => None,
    };
    if let (false, Some(base)) = (url.is_present(), known.and_then(Preset::base_url)) {
        return Some(Placed {
            mark: name.mark,
            value: base.to_owned(),
        });
    }
    let example = match known {
        Some(Preset::Azure | Preset::AzureV1) => "https://my-resource.openai.azure.com",
        Some(Preset::Ollama) => "http://localhost:11434",
        Some(Preset::Vllm) => "http://localhost:8000",
        _ => "https://api.openai.com",
    };
    if matches!(preset, Field::Bad(_)) && !url.is_present() {
        return None;
    }
    let missing = format!("the upstream `{}` has no `base_url`", shown(&name.value));
    let help = format!("where requests go, such as base_url = \"{example}\"");
    let url = url.required(Some(name.mark), missing, &help, findings)?;
    url::check(&url, private == Some(true), findings).map(|value| Placed { value, ..url })
}

/// The keys that are a switch or a word.
fn options(spec: &mut UpstreamSpec, raw: &mut RawUpstream, findings: &mut Findings) {
    if let Some(prices) = std::mem::take(&mut raw.prices).given() {
        spec.prices = provider(prices, findings);
    }
    let switches = [
        (
            "legacy_output_limit",
            &mut raw.legacy_output_limit,
            true,
            &mut spec.legacy_output_limit,
        ),
        (
            "stream_usage_option",
            &mut raw.stream_usage_option,
            false,
            &mut spec.stream_usage_option,
        ),
    ];
    for (key, field, odd, to) in switches {
        let Some(Placed { mark, value }) = std::mem::take(field).given() else {
            continue;
        };
        if spec.kind == Dialect::Anthropic && value == odd {
            let message = format!("`{key}` is only for upstreams of the kind \"openai\"");
            let help = "remove it: Anthropic's API has only ever known `max_tokens`, and tells usage unasked";
            findings.add_with_help(mark, message, help);
        }
        *to = value;
    }
    if let Some(honours) = std::mem::take(&mut raw.honours_output_limit).value() {
        spec.honours_output_limit = honours;
    }
    if let Some(private) = std::mem::take(&mut raw.private_network).value() {
        spec.private_network = private;
    }
}

impl Upstream {
    /// The upstream with its credential.
    pub(crate) fn spec(&self, credential: Option<Secret>) -> UpstreamSpec {
        UpstreamSpec {
            credential,
            ..self.spec.clone()
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &UpstreamName {
        &self.spec.name
    }

    /// The dialect it speaks.
    pub(crate) fn kind(&self) -> Dialect {
        self.spec.kind
    }

    /// The provider of the price catalogue.
    pub(crate) fn prices(&self) -> &str {
        &self.spec.prices
    }

    /// How many bytes it takes in the audit log, with a comma.
    pub(super) fn recorded_bytes(&self) -> usize {
        let json = serde_json::to_vec(&self.spec.record());
        json.map_or(usize::MAX, |json| json.len() + 1 + self.reach.recorded_bytes())
    }

    /// Adds what is legal but looks like a mistake.
    pub(super) fn warn(&self, findings: &mut Findings) {
        let spec = &self.spec;
        let endpoint = match spec.kind {
            Dialect::OpenAi => llm::Endpoint::ChatCompletions,
            Dialect::Anthropic => llm::Endpoint::Messages,
        };
        let address = spec.address(endpoint, "m").unwrap_or_default();
        for part in ["/v1", "/openai"] {
            if spec.base_url.ends_with(part) && address.starts_with(&format!("{}{part}/", spec.base_url)) {
                let message = format!(
                    "the base URL of `{}` ends in {part}, with which the paths of requests begin",
                    spec.name
                );
                let help = format!("requests would go to {part}{part}/...; leave {part} out");
                findings.add_with_help(self.url_mark, message, help);
            }
        }
        let uri: Option<Uri> = spec.base_url.parse().ok();
        let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
        if self.key.is_some() && spec.base_url.starts_with("http:") && !host::is_loopback(host) {
            findings.add_with_help(
                self.url_mark,
                format!("the key of `{}` is sent to {host} unencrypted", spec.name),
                "use https",
            );
        }
        if !spec.private_network && host::is_inside(host) {
            findings.add_with_help(
                self.url_mark,
                format!(
                    "the name of the host of `{}` looks like one inside the network",
                    spec.name
                ),
                "connections to addresses inside are refused unless private_network = true says that this is meant",
            );
        }
    }

    /// Models of an upstream that does not keep to output limits have to have a known maximum.
    pub(super) fn warn_of_unknown_maxima(&self, prices: &[Override], warnings: &mut Findings) {
        let mut doubtful = prices
            .iter()
            .filter(|price| !self.spec.honours_output_limit && price.provider == self.spec.prices)
            .filter(|price| price.max_output_tokens.is_none())
            .peekable();
        if doubtful.peek().is_none() {
            return;
        }
        let book = PriceBook::builtin();
        let listed = |price: &&Override| {
            let listed = book.find(&price.provider, &price.model);
            listed.is_some_and(|prices| prices.max_output_tokens().is_some())
        };
        for price in doubtful.filter(|price| !listed(price)) {
            let message = format!(
                "`{}` does not honour output limits, and it is not known how much `{}` produces at most",
                self.spec.name,
                shown(&price.model)
            );
            let help = "add `max_output_tokens` to its [[prices]], or its calls are refused where they have a limit";
            warnings.add_with_help(self.honours_mark, message, help);
        }
    }
}

fn upstream_name(name: &Placed<String>, findings: &mut Findings) -> Option<UpstreamName> {
    if RESERVED.contains(&name.value.as_str()) {
        let message = format!("`{}` cannot be the name of an upstream", shown(&name.value));
        let help = format!("these path segments are Bailiwick's own: {}", RESERVED.join(", "));
        findings.add_with_help(name.mark, message, help);
        return None;
    }
    let checked = UpstreamName::new(&name.value);
    let message = |error| format!("`{}` cannot be the name of an upstream: {error}", shown(&name.value));
    checked.map_err(|error| findings.add(name.mark, message(error))).ok()
}

fn provider(prices: Placed<String>, findings: &mut Findings) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let fits = (1..=MAX_PROVIDER).contains(&prices.value.len()) && prices.value.chars().all(plain);
    if !fits {
        findings.add_with_help(
            prices.mark,
            "`prices` is not the name of a provider",
            "write the provider as the price catalogue or your [[prices]] name it, such as \"openai\" or \"azure\"",
        );
    }
    prices.value
}
