//! `[upstreams.NAME]`: a model provider.

use std::path::Path;

use http::Uri;
use llm::Dialect;
use model::UpstreamName;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    KeyReference,
    tls::RawClientTls,
    transport::{RawHttp2, RawTransport, Reach},
};
use crate::config::{
    node::{Field, Placed},
    problem::{Findings, Mark},
    suggest::shown,
};

/// First path segments of the agents' listener that are Bailiwick's own.
const RESERVED: [&str; 7] = ["oauth2", "access", ".well-known", "mcp", "healthz", "readyz", "runs"];

/// All upstreams stand in one audit entry of at most 16 KiB, with their names and base URLs.
pub(crate) const MAX_UPSTREAMS: usize = 32;
const MAX_URL: usize = 255;
const MAX_PROVIDER: usize = 64;

/// A model provider. The table's name is the first path segment of requests to it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Upstream", extend("required" = ["kind", "base_url"]))]
pub(crate) struct RawUpstream {
    /// The dialect it speaks.
    kind: Field<Kind>,
    /// What the path of a request is appended to: http or https, without credentials, query and fragment.
    base_url: Field<String>,
    /// Where the credential is that is put on requests. None is put on if absent.
    api_key: Field<KeyReference>,
    /// The provider of the price catalogue whose prices apply. As `kind` if absent.
    prices: Field<String>,
    /// Whether the output limit is written as `max_tokens` and not as `max_completion_tokens`, for older servers of the
    /// kind `openai`.
    #[schemars(extend("default" = false))]
    legacy_output_limit: Field<bool>,
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

    /// The provider whose prices apply unless another is named.
    fn provider(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        }
    }
}

/// A model provider whose credential is still a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upstream {
    /// The first path segment of requests to it.
    pub(crate) name: UpstreamName,
    /// The dialect it speaks.
    pub(crate) kind: Dialect,
    /// What the rest of the path is appended to, without a trailing slash.
    pub(crate) base_url: String,
    /// Where its credential is.
    pub(crate) key: Option<Placed<KeyReference>>,
    /// The provider of the price catalogue.
    pub(crate) prices: String,
    /// Whether the output limit is written as `max_tokens`.
    pub(crate) legacy_output_limit: bool,
    /// How it is reached.
    pub(super) reach: Reach,
    /// Where its base URL is written.
    pub(super) url_mark: Mark,
    /// Where its price provider is written, if it is.
    pub(super) prices_mark: Option<Mark>,
}

impl TryFrom<(Placed<String>, RawUpstream, &Path)> for Upstream {
    type Error = Findings;

    /// Paths are relative to the directory.
    fn try_from((name, raw, dir): (Placed<String>, RawUpstream, &Path)) -> Result<Self, Findings> {
        let mut findings = Findings::default();
        let at = Some(name.mark);
        let missing = |key: &str| format!("the upstream `{}` has no `{key}`", shown(&name.value));
        let kind = raw.kind.required(
            at,
            missing("kind"),
            "`kind` is \"openai\" or \"anthropic\"",
            &mut findings,
        );
        let help = "where requests go, such as base_url = \"https://api.openai.com\"";
        let url = raw.base_url.required(at, missing("base_url"), help, &mut findings);
        let url_mark = url.as_ref().map(|url| url.mark);
        let base_url = url.and_then(|url| base_url(&url, &mut findings));
        let prices_mark = raw.prices.mark();
        let prices = raw.prices.given().map(|prices| provider(prices, &mut findings));
        let legacy = raw.legacy_output_limit.given();
        if let (Some(Kind::Anthropic), Some(Placed { mark, value: true })) = (kind.as_ref().map(|k| k.value), &legacy) {
            let message = "`legacy_output_limit` is only for upstreams of the kind \"openai\"";
            findings.add_with_help(
                *mark,
                message,
                "remove it: Anthropic's API has only ever known `max_tokens`",
            );
        }
        let reach = RawTransport {
            proxy: raw.proxy,
            proxy_auth: raw.proxy_auth,
            http2: raw.http2,
            tls: raw.tls,
        };
        let reach = reach.check(base_url.as_deref(), dir, &mut findings);
        let name = upstream_name(&name, &mut findings);
        let upstream = || {
            let kind = kind?.value;
            Some(Self {
                name: name?,
                kind: kind.dialect(),
                base_url: base_url?,
                key: raw.api_key.given(),
                prices: prices.unwrap_or_else(|| kind.provider().to_owned()),
                legacy_output_limit: legacy.is_some_and(|legacy| legacy.value),
                reach,
                url_mark: url_mark?,
                prices_mark,
            })
        };
        findings.conclude(upstream())
    }
}

impl Upstream {
    /// Adds what is legal but looks like a mistake.
    pub(super) fn warn(&self, findings: &mut Findings) {
        if self.base_url.ends_with("/v1") {
            findings.add_with_help(
                self.url_mark,
                format!(
                    "the base URL of `{}` ends in /v1, and so do the paths of requests",
                    self.name
                ),
                "requests would go to /v1/v1/...; leave /v1 out",
            );
        }
        let uri: Option<Uri> = self.base_url.parse().ok();
        let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
        if self.key.is_some() && self.base_url.starts_with("http:") && !is_loopback(host) {
            findings.add_with_help(
                self.url_mark,
                format!("the key of `{}` is sent to {host} unencrypted", self.name),
                "use https",
            );
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

/// Checks a base URL. Messages never repeat it: it may hold a credential.
fn base_url(url: &Placed<String>, findings: &mut Findings) -> Option<String> {
    let checked = check_url(&url.value);
    let checked = checked.map_err(|(message, help)| findings.add_with_help(url.mark, message, help));
    checked.ok().map(|()| url.value.trim_end_matches('/').to_owned())
}

fn check_url(text: &str) -> Result<(), (&'static str, &'static str)> {
    let example = "write a base URL such as \"https://api.openai.com\"";
    let wrong = |message| Err((message, example));
    let Ok(uri) = text.parse::<Uri>() else {
        return wrong("the base URL is not a URL");
    };
    let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    if authority.contains('@') {
        return Err((
            "the base URL holds credentials (user:password@...)",
            "put the key into `api_key`, by reference",
        ));
    }
    let host = uri.host().unwrap_or_default();
    let port = authority.strip_prefix(host).unwrap_or_default();
    match uri.scheme_str() {
        _ if text.len() > MAX_URL => wrong("the base URL is longer than 255 characters"),
        Some("http" | "https") if host.is_empty() => wrong("the base URL has no host"),
        Some("http" | "https") if !port.is_empty() && uri.port_u16().is_none() => {
            wrong("the base URL has a port that is not a number up to 65535")
        }
        Some("http" | "https") if uri.query().is_some() => wrong("the base URL has a query (?...)"),
        // `Uri` leaves a fragment out.
        Some("http" | "https") if text.contains('#') => wrong("the base URL has a fragment (#...)"),
        Some("http" | "https") => Ok(()),
        _ => wrong("the base URL does not start with https:// or http://"),
    }
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

fn is_loopback(host: &str) -> bool {
    let address: Result<std::net::IpAddr, _> = host.trim_matches(['[', ']']).parse();
    host == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
}
