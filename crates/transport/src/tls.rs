//! TLS configurations, made of PEM text (RFC 7468). Whoever has the text says where it is from and when it changes.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

/// HTTP/2 in a TLS handshake (RFC 9113, section 3.2).
pub const H2: &[u8] = b"h2";
/// HTTP/1.1 in a TLS handshake (RFC 7301, section 6).
pub const HTTP_1: &[u8] = b"http/1.1";

/// Why no TLS configuration can be made. The texts name what to do, and never what a key file holds.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Of the certificates.
    #[error("the certificate {0}")]
    Certificate(String),
    /// Of the private key.
    #[error("the key {0}")]
    Key(String),
    /// Of the certificate authorities.
    #[error("the certificate authority {0}")]
    Authority(String),
}

/// Whether callers show certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    None,
    /// They are asked; one that is shown must be good.
    Optional,
    /// Without a good one there is no connection.
    Required,
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match parsed {
        Ok(certificates) if certificates.is_empty() => {
            Err("is not there: write PEM text that begins with -----BEGIN CERTIFICATE-----")
        }
        Ok(certificates) => Ok(certificates),
        Err(_) => Err("is not PEM text"),
    }
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn identity(certificate: &[u8], key: &[u8]) -> Result<Identity, TlsError> {
    let chain = certificates(certificate).map_err(|why| TlsError::Certificate(why.to_owned()))?;
    // What is wrong in a key file is not repeated.
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
        TlsError::Key(
            "is not there: write PEM text with one unencrypted private key (PKCS#8, PKCS#1 or SEC1)".to_owned(),
        )
    })?;
    Ok((chain, key))
}

fn unusable(error: rustls::Error) -> TlsError {
    match error {
        rustls::Error::InconsistentKeys(_) => TlsError::Key("does not belong to the certificate".to_owned()),
        rustls::Error::InvalidCertificate(error) => TlsError::Certificate(format!("cannot be used: {error}")),
        error => TlsError::Key(format!("cannot be used: {error}")),
    }
}

fn roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem).map_err(|why| TlsError::Authority(why.to_owned()))? {
        let added = roots.add(certificate);
        added.map_err(|error| TlsError::Authority(format!("cannot be used: {error}")))?;
    }
    Ok(roots)
}

/// Which servers a client trusts.
#[derive(Clone, Copy, Debug, Default)]
pub enum Trust<'a> {
    /// Those with a certificate of a public authority (Mozilla's list) for their name.
    #[default]
    Public,
    /// Those with a certificate of one of these authorities for their name.
    Authorities(&'a [u8]),
    /// The one that has the first of these certificates, under whatever name it is reached.
    Exactly(&'a [u8]),
}

/// How a client does TLS.
#[derive(Debug, Default)]
pub struct Client<'a> {
    /// Which servers it trusts.
    pub trust: Trust<'a>,
    /// The certificate and the key that are shown to servers that ask.
    pub identity: Option<(&'a [u8], &'a [u8])>,
    /// The protocols to offer, the best first.
    pub alpn: &'a [&'a [u8]],
}

/// A client's configuration.
///
/// # Errors
/// When certificates or keys cannot be read or do not fit.
pub fn client(client: &Client<'_>) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match client.trust {
        Trust::Public => builder.with_root_certificates(RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        }),
        Trust::Authorities(pem) => builder.with_root_certificates(roots(pem)?),
        Trust::Exactly(pem) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Exactly::of(pem)?)),
    };
    let mut config = match client.identity {
        Some((certificate, key)) => {
            let (chain, key) = identity(certificate, key)?;
            builder.with_client_auth_cert(chain, key).map_err(unusable)?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = client.alpn.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

/// Trusts one certificate and no other. Whoever shows it must have its key: the handshake's signature is verified.
#[derive(Debug)]
struct Exactly {
    certificate: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Exactly {
    fn of(pem: &[u8]) -> Result<Self, TlsError> {
        let certificates = certificates(pem).map_err(|why| TlsError::Certificate(why.to_owned()))?;
        let first = certificates.into_iter().next();
        Ok(Self {
            certificate: first.ok_or_else(|| TlsError::Certificate("is not there".to_owned()))?,
            algorithms: provider().signature_verification_algorithms,
        })
    }
}

impl ServerCertVerifier for Exactly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match *end_entity == self.certificate {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(rustls::Error::General(
                "it shows another certificate than the one that is trusted".to_owned(),
            )),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// How a server does TLS.
#[derive(Debug)]
pub struct Server<'a> {
    /// Its certificate, and those it follows from.
    pub certificate: &'a [u8],
    /// The private key of the certificate.
    pub key: &'a [u8],
    /// Whether callers show certificates.
    pub client_auth: ClientAuth,
    /// The authorities that callers' certificates must come from.
    pub client_ca: Option<&'a [u8]>,
}

/// A server's configuration. It offers HTTP/2 and HTTP/1.1.
///
/// # Errors
/// When certificates or keys cannot be read or do not fit.
pub fn server(server: &Server<'_>) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match verifier(server)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let (chain, key) = identity(server.certificate, server.key)?;
    let mut config = builder.with_single_cert(chain, key).map_err(unusable)?;
    config.alpn_protocols = vec![H2.to_vec(), HTTP_1.to_vec()];
    Ok(Arc::new(config))
}

fn verifier(server: &Server<'_>) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    if server.client_auth == ClientAuth::None {
        return Ok(None);
    }
    let pem = server
        .client_ca
        .ok_or_else(|| TlsError::Authority("of callers is not given".to_owned()))?;
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(pem)?), provider());
    let builder = match server.client_auth {
        ClientAuth::Optional => builder.allow_unauthenticated(),
        ClientAuth::None | ClientAuth::Required => builder,
    };
    let verifier = builder.build();
    verifier
        .map(Some)
        .map_err(|error| TlsError::Authority(format!("of callers cannot be used: {error}")))
}

/// A listener's TLS, which can be exchanged while it listens: handshakes that begin later use the new one.
#[derive(Clone, Debug)]
pub struct ServerTls(Arc<ArcSwap<ServerConfig>>);

impl ServerTls {
    /// Begins with a configuration.
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self(Arc::new(ArcSwap::new(config)))
    }

    /// Goes on with another.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        self.0.store(config);
    }

    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        self.0.load_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn what_is_wrong_is_said_without_the_key() {
        let (certificate, key) = made();
        let (_, other) = made();
        let of = |certificate: &str, key: &str, ca: Option<&str>| {
            server(&Server {
                certificate: certificate.as_bytes(),
                key: key.as_bytes(),
                client_auth: if ca.is_some() {
                    ClientAuth::Required
                } else {
                    ClientAuth::None
                },
                client_ca: ca.map(str::as_bytes),
            })
            .map(drop)
            .map_err(|error| error.to_string())
        };
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(of(&certificate, &key, Some(&certificate)), Ok(()));
        for (found, expected) in [
            (
                of(&certificate, &other, None),
                "the key does not belong to the certificate",
            ),
            (of("", &key, None), "the certificate is not there"),
            (of(&key, &key, None), "the certificate is not there"),
            (of(broken, &key, None), "the certificate cannot be used"),
            (
                of("-----BEGIN CERTIFICATE-----\n", &key, None),
                "the certificate is not",
            ),
            (of(&certificate, "", None), "the key is not there"),
            (of(&certificate, &certificate, None), "the key is not there"),
            (
                of(&certificate, &key, Some("")),
                "the certificate authority is not there",
            ),
            (
                of(&certificate, &key, Some(broken)),
                "the certificate authority cannot be used",
            ),
        ] {
            let found = found.unwrap_err();
            assert!(found.starts_with(expected), "{found}");
        }
    }
}
