//! Tables of certificates, and the files they name.
//!
//! The files are read apart from the configuration: they change when certificates are renewed, and a check of the
//! configuration often runs where they are not.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use control::{ClientIdentity, Secret};
use rustls::{
    CertificateError, RootCertStore, ServerConfig,
    client::verify_server_cert_signed_by_trust_anchor,
    pki_types::{CertificateDer, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
};
use schemars::JsonSchema;
use serde::Deserialize;
use transport::tls::{self, ClientAuth, TlsError, Trust};
use zeroize::Zeroizing;

use super::{below, key::is_absence};
use crate::{
    node::{Field, Placed},
    problem::{self, Findings, Mark, Problem, Problems},
    read,
};

/// Longer files hold something else.
const MAX_PEM_BYTES: u64 = 1024 * 1024;

/// TLS of a listener.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "the files, such as { certificate = \"tls/server.pem\", key = \"tls/server.key\" }"
)]
#[schemars(rename = "ListenerTls", extend("required" = ["certificate", "key"]))]
pub(crate) struct RawServerTls {
    /// The file of the certificate and those it follows from, the listener's own first; PEM, relative to this file.
    certificate: Field<String>,
    /// The file of the certificate's private key; PEM, unencrypted.
    key: Field<String>,
    /// The file of the authorities that callers' certificates must come from; PEM.
    client_ca: Field<String>,
    /// Whether callers show a certificate: `none`, `optional` (one that is shown must be good) or `required`. `required` if
    /// `client_ca` is given.
    client_auth: Field<Auth>,
}

/// Whether callers show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Auth {
    /// They are not asked.
    None,
    /// One that is shown must be good.
    Optional,
    /// Each must show a good one.
    Required,
}

/// TLS to an upstream, beyond what needs no saying.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "the files, such as { ca = \"tls/internal-ca.pem\" }"
)]
#[schemars(rename = "UpstreamTls")]
pub(crate) struct RawClientTls {
    /// The file of the authorities that the upstream's certificate must come from, instead of the public ones; PEM, relative
    /// to this file.
    ca: Field<String>,
    /// The file of the certificate that is shown to the upstream, and those it follows from; PEM.
    certificate: Field<String>,
    /// The file of that certificate's private key; PEM, unencrypted.
    key: Field<String>,
}

impl RawClientTls {
    /// Only the authorities.
    pub(super) fn with_ca(ca: Placed<String>) -> Self {
        Self {
            ca: Field::Given(ca),
            ..Self::default()
        }
    }
}

/// The files of a listener's TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFiles {
    /// The file of its certificate and those it follows from.
    pub certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
    client_auth: ClientAuth,
}

/// The files of TLS to an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClientFiles {
    ca: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
}

fn path(field: Field<String>, dir: &Path, findings: &mut Findings) -> Option<PathBuf> {
    field.given().and_then(|path| below(dir, path, findings))
}

/// The files of a listener's table, which has this name; `None` if there is no table.
pub(crate) fn server_files(
    name: &str,
    field: Field<RawServerTls>,
    dir: &Path,
    findings: &mut Findings,
) -> Option<ServerFiles> {
    let Placed { mark, value: raw } = field.given()?;
    let missing = |key: &str| format!("[{name}] has no `{key}`");
    let help = "a listener's TLS needs both: certificate = \"tls/server.pem\" and key = \"tls/server.key\"";
    let certificate = raw
        .certificate
        .required(Some(mark), missing("certificate"), help, findings);
    let certificate = certificate.and_then(|path| below(dir, path, findings));
    let key = raw.key.required(Some(mark), missing("key"), help, findings);
    let key = key.and_then(|path| below(dir, path, findings));
    let ca_mark = raw.client_ca.mark();
    let client_ca = path(raw.client_ca, dir, findings);
    let auth = raw.client_auth.given();
    match (&auth, ca_mark) {
        (Some(auth), None) if auth.value != Auth::None => findings.add_with_help(
            auth.mark,
            "callers would show certificates, but it is not said whose are good",
            "name the file of their authorities: client_ca = \"tls/clients.pem\"",
        ),
        (Some(Placed { value: Auth::None, .. }), Some(mark)) => findings.add_with_help(
            mark,
            "`client_ca` has no effect: callers are not asked for certificates",
            "set `client_auth` to \"optional\" or \"required\", or remove `client_ca`",
        ),
        _ => {}
    }
    let client_auth = match auth.map(|auth| auth.value) {
        None if ca_mark.is_some() => ClientAuth::Required,
        None | Some(Auth::None) => ClientAuth::None,
        Some(Auth::Optional) => ClientAuth::Optional,
        Some(Auth::Required) => ClientAuth::Required,
    };
    Some(ServerFiles {
        certificate: certificate?,
        key: key?,
        client_ca,
        client_auth,
    })
}

/// The files of an upstream's table.
pub(super) fn client_files(raw: RawClientTls, mark: Mark, dir: &Path, findings: &mut Findings) -> ClientFiles {
    let (certificate_mark, key_mark) = (raw.certificate.mark(), raw.key.mark());
    let certificate = path(raw.certificate, dir, findings);
    let key = path(raw.key, dir, findings);
    let help = "what is shown to an upstream needs both: certificate = \"tls/client.pem\" and key = \"tls/client.key\"";
    match (certificate_mark, key_mark) {
        (Some(mark), None) => findings.add_with_help(mark, "there is a certificate without its `key`", help),
        (None, Some(mark)) => findings.add_with_help(mark, "there is a key without its `certificate`", help),
        (None, None) if !raw.ca.is_present() => findings.add_with_help(
            mark,
            "the table says nothing",
            "give `ca`, or `certificate` and `key`; for a public certificate remove the table",
        ),
        _ => {}
    }
    ClientFiles {
        ca: path(raw.ca, dir, findings),
        identity: certificate.zip(key),
    }
}

/// What the files of a listener hold.
#[derive(PartialEq, Eq)]
pub struct ServerPem {
    certificate: Zeroizing<Vec<u8>>,
    key: Zeroizing<Vec<u8>>,
    client_ca: Option<Zeroizing<Vec<u8>>>,
}

impl ServerFiles {
    /// Reads the files.
    ///
    /// # Errors
    /// The files that cannot be read.
    pub fn read(&self) -> Result<ServerPem, Problems> {
        self.read_all()
            .map_err(|missing| missing.into_iter().map(|missing| missing.problem).collect())
    }

    fn read_all(&self) -> Result<ServerPem, Vec<NoPem>> {
        let mut missing = Vec::new();
        let mut read = |path: &Path| pem(path).map_err(|error| missing.push(error)).ok();
        let certificate = read(&self.certificate);
        let key = read(&self.key);
        let client_ca = self.client_ca.as_deref().map(&mut read);
        match (certificate, key, client_ca) {
            (Some(certificate), Some(key), client_ca) if missing.is_empty() => Ok(ServerPem {
                certificate,
                key,
                client_ca: client_ca.flatten(),
            }),
            _ => Err(missing),
        }
    }

    /// Makes a configuration of what the files hold.
    ///
    /// # Errors
    /// The file whose content cannot be used, and why.
    pub fn config(&self, pem: &ServerPem) -> Result<Arc<ServerConfig>, Problems> {
        let made = tls::server(&tls::Server {
            certificate: &pem.certificate,
            key: &pem.key,
            client_auth: self.client_auth,
            client_ca: pem.client_ca.as_ref().map(|pem| pem.as_slice()),
        });
        made.map_err(|error| {
            let authority = self.client_ca.as_deref().unwrap_or(&self.certificate);
            unusable(&error, &self.certificate, &self.key, authority).into()
        })
    }

    /// That the certificate is outside its dates, as a problem of its file.
    pub fn outside_dates(&self, why: OutsideDates) -> Problem {
        let (message, help) = match why {
            OutsideDates::Expired => (
                "the certificate has expired",
                "have it renewed; look at this machine's clock",
            ),
            OutsideDates::Early => (
                "the certificate is not valid yet",
                "wait, or look at this machine's clock",
            ),
        };
        problem::of_file_with_help(self.certificate.display().to_string(), message, help)
    }

    /// The problem that the certificate is outside its dates at this time, as far as it can be read.
    pub(crate) fn check_dates(&self, now: SystemTime) -> Option<Problem> {
        let why = self.read_all().ok()?.check_dates(now).err()?;
        Some(self.outside_dates(why))
    }

    /// Both.
    ///
    /// # Errors
    /// As of both.
    pub(crate) fn load(&self) -> Result<Arc<ServerConfig>, Vec<NoPem>> {
        let pem = self.read_all()?;
        self.config(&pem).map_err(|problems| {
            let wrong = problems.iter().cloned().map(NoPem::wrong);
            wrong.collect()
        })
    }
}

impl ServerPem {
    /// Whether callers would refuse the certificate at this time because of its dates.
    ///
    /// # Errors
    /// That it has expired, or is not valid yet.
    pub fn check_dates(&self, now: SystemTime) -> Result<(), OutsideDates> {
        let certificate = CertificateDer::from_pem_slice(&self.certificate);
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // Whatever else is wrong with it is said elsewhere. Its dates are looked at before its issuer is looked for, so
        // nobody needs to be trusted.
        let verified = certificate.ok().and_then(|certificate| {
            let certificate = ParsedCertificate::try_from(&certificate).ok()?;
            let nobody = RootCertStore::empty();
            let now = UnixTime::since_unix_epoch(now);
            verify_server_cert_signed_by_trust_anchor(&certificate, &nobody, &[], now, &[]).err()
        });
        match verified {
            Some(rustls::Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            )) => Err(OutsideDates::Expired),
            Some(rustls::Error::InvalidCertificate(
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
            )) => Err(OutsideDates::Early),
            _ => Ok(()),
        }
    }
}

/// Why a certificate may not be used at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutsideDates {
    /// It is too late.
    Expired,
    /// It is too early.
    Early,
}

impl ClientFiles {
    /// Reads the files and sees whether they can be used: the authorities and what is shown to the upstream, as text.
    ///
    /// # Errors
    /// The files that cannot be read or used.
    pub(crate) fn load(&self) -> Result<(Option<String>, Option<ClientIdentity>), Vec<NoPem>> {
        let mut missing = Vec::new();
        let mut read = |path: &Path| pem(path).map_err(|error| missing.push(error)).ok();
        let ca = self.ca.as_deref().and_then(&mut read);
        let identity = self.identity.as_ref();
        let identity = identity.map(|(certificate, key)| (read(certificate), read(key)));
        let identity = identity.and_then(|(certificate, key)| certificate.zip(key));
        if !missing.is_empty() {
            return Err(missing);
        }
        let checked = tls::client(&tls::Client {
            trust: ca.as_ref().map_or(Trust::Public, |pem| Trust::Authorities(pem)),
            identity: identity
                .as_ref()
                .map(|(certificate, key)| (certificate.as_slice(), key.as_slice())),
            alpn: &[],
        });
        let nowhere = Path::new("");
        let (certificate, key) = self.identity.as_ref().map_or((nowhere, nowhere), |(a, b)| (a, b));
        let ca_path = self.ca.as_deref().unwrap_or(nowhere);
        checked.map_err(|error| vec![NoPem::wrong(unusable(&error, certificate, key, ca_path))])?;
        let text = |pem: &[u8]| String::from_utf8_lossy(pem).into_owned();
        let identity = identity.map(|(certificate, key)| ClientIdentity {
            certificate: text(&certificate),
            key: Secret::from(text(&key)),
        });
        Ok((ca.map(|pem| text(&pem)), identity))
    }
}

/// Why a file's content is not to be had.
#[derive(Debug)]
pub(crate) struct NoPem {
    /// What is wrong.
    pub(crate) problem: Problem,
    /// Whether the file is not there, which is right where a configuration is only checked.
    pub(crate) absent: bool,
}

impl NoPem {
    fn wrong(problem: Problem) -> Self {
        Self { problem, absent: false }
    }
}

fn pem(path: &Path) -> Result<Zeroizing<Vec<u8>>, NoPem> {
    let shown = || path.display().to_string();
    match read::read(path, MAX_PEM_BYTES) {
        Ok(Some(bytes)) => Ok(Zeroizing::new(bytes)),
        Ok(None) => Err(NoPem::wrong(problem::of_file(
            shown(),
            "the file is longer than 1024 KiB",
        ))),
        Err(error) => Err(NoPem {
            absent: is_absence(&error),
            problem: problem::of_file_with_help(
                shown(),
                format!("cannot be read: {error}"),
                "the user that the server runs as must be able to read the certificates and keys that bailiwick.toml names",
            ),
        }),
    }
}

/// The error, as a problem of the file it is about.
fn unusable(error: &TlsError, certificate: &Path, key: &Path, authority: &Path) -> Problem {
    let file = match error {
        TlsError::Certificate(_) => certificate,
        TlsError::Key(_) => key,
        TlsError::Authority(_) => authority,
    };
    problem::of_file(file.display().to_string(), error.to_string())
}
