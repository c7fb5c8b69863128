//! How an upstream is reached: `proxy`, `http2` and its certificates.

use std::path::Path;

use control::{Http2, Proxy, Transport, TransportSpec};
use http::Uri;
use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::{
    KeyReference,
    key::NoSecret,
    secrets::Missing,
    tls::{ClientFiles, RawClientTls, client_files},
};
use crate::{
    node::{Field, Placed},
    problem::{Findings, Mark},
};

/// Whether HTTP/2 is spoken with an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum RawHttp2 {
    /// Where the upstream chooses it in the TLS handshake.
    Auto,
    /// Always, without TLS too.
    Always,
    /// Never.
    Never,
}

/// The keys of an upstream that say how it is reached.
#[derive(Debug)]
pub(crate) struct RawTransport {
    pub(super) proxy: Field<String>,
    pub(super) proxy_auth: Field<KeyReference>,
    pub(super) http2: Field<RawHttp2>,
    pub(super) tls: Field<RawClientTls>,
}

/// How an upstream is reached, secrets and certificates as references.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    http2: Http2,
    /// Host and port.
    proxy: Option<(String, u16)>,
    proxy_auth: Option<Placed<KeyReference>>,
    tls: Option<ClientFiles>,
}

impl RawTransport {
    /// Checks the keys of an upstream with this base URL.
    pub(super) fn check(self, base_url: Option<&str>, dir: &Path, findings: &mut Findings) -> Reach {
        let http2 = match self.http2.value() {
            None | Some(RawHttp2::Auto) => Http2::Auto,
            Some(RawHttp2::Always) => Http2::Always,
            Some(RawHttp2::Never) => Http2::Never,
        };
        let auth = self.proxy_auth.given();
        if let (false, Some(auth)) = (self.proxy.is_present(), &auth) {
            let help = "name it: proxy = \"http://proxy.example:3128\"";
            findings.add_with_help(auth.mark, "there is a credential for a proxy, but no `proxy`", help);
        }
        let proxy = self.proxy.given().and_then(|proxy| proxy_address(&proxy, findings));
        let tls = self.tls.given().map(|Placed { mark, value }| {
            if base_url.is_some_and(|url| url.starts_with("http:")) {
                let help = "write the base_url with https://, or remove the table";
                findings.add_with_help(mark, "there are certificates for an upstream without TLS", help);
            }
            client_files(value, mark, dir, findings)
        });
        Reach {
            http2,
            proxy,
            proxy_auth: auth.map(|auth| Placed {
                value: auth.value.below(dir),
                ..auth
            }),
            tls,
        }
    }
}

impl Reach {
    /// How many bytes it adds to an audit entry, at the most: files are recorded as hashes.
    pub(super) fn recorded_bytes(&self) -> usize {
        const HASHES: usize = r#","ca":"","client_certificate":"""#.len() + 2 * 64;
        let proxy = self.proxy.as_ref();
        let proxy = proxy.map_or(0, |(host, _)| r#","proxy":"[]:65535""#.len() + host.len());
        let http2 = match self.http2 {
            Http2::Auto => 0,
            Http2::Always | Http2::Never => r#","http2":"always""#.len(),
        };
        proxy + http2 + self.tls.as_ref().map_or(0, |_| HASHES)
    }

    /// With what secrets and files hold.
    pub(super) fn resolve(&self, env: &dyn Fn(&str) -> Option<String>, missing: &mut Missing<'_>) -> Transport {
        let credential = self.proxy_auth.as_ref().and_then(|auth| {
            let resolved = auth.value.resolve(env);
            let resolved = resolved.map_err(|error| missing.secret(auth.mark, error)).ok()?;
            if !resolved.expose_secret().contains(':') {
                let text = "the proxy's credential has no password\nit is user:password, as one word".to_owned();
                missing.secret(auth.mark, NoSecret { text, absent: false });
                return None;
            }
            Some(resolved)
        });
        let (ca, identity) = match &self.tls {
            Some(files) => missing.files(files.load()).unwrap_or_default(),
            None => (None, None),
        };
        if *self == Self::default() {
            return Transport::default();
        }
        Transport::new(TransportSpec {
            http2: self.http2,
            proxy: self.proxy.clone().map(|(host, port)| Proxy { host, port, credential }),
            ca,
            identity,
        })
    }
}

/// Checks a proxy's URL. Messages never repeat it: it may hold a credential.
fn proxy_address(url: &Placed<String>, findings: &mut Findings) -> Option<(String, u16)> {
    let wrong = |findings: &mut Findings, mark: Mark, message: &str, help: &str| {
        findings.add_with_help(mark, message, help);
        None
    };
    let example = "write it as \"http://proxy.example:3128\"";
    let Ok(uri) = url.value.parse::<Uri>() else {
        return wrong(findings, url.mark, "the proxy is not a URL", example);
    };
    let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    let path = uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
    match (uri.scheme_str(), uri.host().unwrap_or_default()) {
        _ if authority.contains('@') => {
            let help = "put `user:password` into `proxy_auth`, by reference: { env = \"PROXY_AUTH\" }";
            wrong(
                findings,
                url.mark,
                "the URL of the proxy holds credentials (user:password@...)",
                help,
            )
        }
        (Some("https" | "socks5" | "socks5h"), _) => {
            let help = "connections to the proxy are plain HTTP; what goes through to an https upstream is encrypted";
            wrong(findings, url.mark, "the proxy's own protocol is not spoken here", help)
        }
        (Some("http"), host) if !host.is_empty() && matches!(path, "" | "/") => {
            let host = host.trim_matches(['[', ']']).to_owned();
            Some((host, uri.port_u16().unwrap_or(80)))
        }
        _ => wrong(
            findings,
            url.mark,
            "the proxy is not a URL of a host and a port",
            example,
        ),
    }
}
