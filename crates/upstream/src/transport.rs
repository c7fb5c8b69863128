//! How an upstream is reached: protocol, proxy and certificates. Nothing here is HTTP or TLS; edges make those of it.

use std::{fmt, sync::Arc};

use aws_lc_rs::digest;
use model::Digest;
use secrecy::ExposeSecret as _;

use super::Secret;

/// How connections to an upstream are made. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Transport {
    declared: Arc<TransportSpec>,
    fingerprint: Fingerprint,
}

/// What is declared of how an upstream is reached.
#[derive(Debug, Default)]
pub struct TransportSpec {
    /// Whether HTTP/2 is spoken.
    pub http2: Http2,
    /// The proxy that connections go through; `None` for direct ones.
    pub proxy: Option<Proxy>,
    /// The certificate authorities that its certificate must come from, as PEM text: these instead of the public ones.
    /// `None` for the public ones.
    pub ca: Option<String>,
    /// What is shown to an upstream that asks who calls.
    pub identity: Option<ClientIdentity>,
}

/// Whether HTTP/2 is spoken with an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Http2 {
    /// Where the upstream chooses it in the TLS handshake (RFC 7301). Without TLS it is not.
    #[default]
    Auto,
    /// It is, or there is no connection. Without TLS it is spoken with prior knowledge (RFC 9113, section 3.3).
    Always,
    /// It is not.
    Never,
}

/// A proxy that connections go through.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Its host: a name or an address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `user:password`, for proxies that want one (RFC 7617).
    pub credential: Option<Secret>,
}

impl Http2 {
    /// The word for what is chosen here; `None` where it is left to the upstream.
    pub(super) fn chosen(self) -> Option<&'static str> {
        match self {
            Self::Auto => None,
            Self::Always => Some("always"),
            Self::Never => Some("never"),
        }
    }
}

impl Proxy {
    /// `host:port`, an IPv6 address in brackets.
    pub(super) fn address(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// A certificate of ours and its key, both as PEM text.
#[derive(Debug)]
pub struct ClientIdentity {
    /// The certificate, and those it follows from.
    pub certificate: String,
    /// The private key.
    pub key: Secret,
}

/// Tells declarations apart. Connections are shared only between calls whose declarations agree in all they say.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl fmt::Debug for Fingerprint {
    /// Secrets are among what it is made of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(..)")
    }
}

impl Transport {
    /// As declared.
    pub fn new(declared: TransportSpec) -> Self {
        Self {
            fingerprint: fingerprint(&declared),
            declared: Arc::new(declared),
        }
    }

    /// What is declared.
    pub fn declared(&self) -> &TransportSpec {
        &self.declared
    }

    /// The same for declarations that agree, secrets and certificates included.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// SHA-256 of a text.
pub(super) fn sha256(text: &str) -> Digest {
    let mut whole = [0; 32];
    whole.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    Digest(whole)
}

fn fingerprint(declared: &TransportSpec) -> Fingerprint {
    let mut hash = digest::Context::new(&digest::SHA256);
    // Each part with its length, so that no two declarations come to the same bytes.
    let mut part = |bytes: &[u8]| {
        hash.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(bytes);
    };
    part(match declared.http2 {
        Http2::Auto => b"auto",
        Http2::Always => b"always",
        Http2::Never => b"never",
    });
    let proxy = declared.proxy.as_ref();
    part(
        proxy
            .map(|proxy| format!("{} {}", proxy.host, proxy.port))
            .unwrap_or_default()
            .as_bytes(),
    );
    let credential = proxy.and_then(|proxy| proxy.credential.as_ref());
    part(
        credential
            .map(|credential| credential.expose_secret())
            .unwrap_or_default()
            .as_bytes(),
    );
    part(declared.ca.as_deref().unwrap_or_default().as_bytes());
    let identity = declared.identity.as_ref();
    part(
        identity
            .map(|identity| identity.certificate.as_str())
            .unwrap_or_default()
            .as_bytes(),
    );
    part(
        identity
            .map(|identity| identity.key.expose_secret())
            .unwrap_or_default()
            .as_bytes(),
    );
    let mut whole = [0; 32];
    whole.copy_from_slice(hash.finish().as_ref());
    Fingerprint(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_has_another_fingerprint() {
        let identity = |certificate: &str, key: &str| {
            Some(ClientIdentity {
                certificate: certificate.to_owned(),
                key: Secret::from(key),
            })
        };
        let proxy = |credential: Option<&str>| {
            Some(Proxy {
                host: "proxy".to_owned(),
                port: 3128,
                credential: credential.map(Secret::from),
            })
        };
        let declared = [
            TransportSpec::default(),
            TransportSpec {
                http2: Http2::Never,
                ..TransportSpec::default()
            },
            TransportSpec {
                http2: Http2::Always,
                ..TransportSpec::default()
            },
            TransportSpec {
                proxy: proxy(None),
                ..TransportSpec::default()
            },
            TransportSpec {
                proxy: proxy(Some("a:b")),
                ..TransportSpec::default()
            },
            TransportSpec {
                proxy: proxy(Some("a:c")),
                ..TransportSpec::default()
            },
            TransportSpec {
                ca: Some("a".to_owned()),
                ..TransportSpec::default()
            },
            TransportSpec {
                identity: identity("a", "b"),
                ..TransportSpec::default()
            },
            TransportSpec {
                identity: identity("ab", ""),
                ..TransportSpec::default()
            },
        ];
        let all = declared.map(Transport::new);
        for (nth, one) in all.iter().enumerate() {
            for other in &all[..nth] {
                assert!(one.fingerprint() != other.fingerprint(), "{one:?} {other:?}");
            }
        }
        assert!(!format!("{all:?}").contains("a:c"), "no secret is shown");
    }
}
