//! Which running server a command talks to, and as whom.

use std::{
    fs::File,
    io::{self, Read as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use config::{Problems, Settings};
use http::Uri;
use rustls::ClientConfig;
use secrecy::SecretString;
use transport::tls::{self, Trust};
use zeroize::Zeroizing;

use super::{Common, Failure, client::Client};
use crate::server::{ADMIN_ADDRESS_FILE, AGENTS_ADDRESS_FILE};

/// The variable that holds an administrator's credential.
const CREDENTIAL_VARIABLE: &str = "BAILIWICK_ADMIN_KEY";
/// The first owner's credential in the data directory.
const OWNER_FILE: &str = "owner.credential";
/// Neither an address nor a credential is longer.
const SMALL_FILE: u64 = 4 * 1024;
/// No certificates and no key are longer.
const PEM_FILE: u64 = 1024 * 1024;

/// Which server.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Target {
    /// The running server's administration address, such as http://127.0.0.1:7401 [default: as configured]
    #[arg(long, value_name = "URL", value_parser = url, help_heading = "Common options")]
    admin: Option<Uri>,
    /// The authorities that the server's certificate must come from, as PEM [default: exactly the configured certificate
    /// for the configured server, the public authorities for another]
    #[arg(long, value_name = "FILE", help_heading = "Common options")]
    ca: Option<PathBuf>,
    /// The certificate to show to a server that asks for one, as PEM
    #[arg(long, value_name = "FILE", requires = "client_key", help_heading = "Common options")]
    client_certificate: Option<PathBuf>,
    /// The private key of that certificate, as PEM
    #[arg(
        long,
        value_name = "FILE",
        requires = "client_certificate",
        help_heading = "Common options"
    )]
    client_key: Option<PathBuf>,
}

impl Target {
    /// Whether a server is named, rather than the configured one meant.
    pub(crate) fn is_named(&self) -> bool {
        self.admin.is_some()
    }

    /// A client of the server.
    pub(crate) fn client(&self, common: &Common) -> Result<Client, Failure> {
        // Not needed where everything is said otherwise.
        let settings = || config::load(&common.config_file());
        let base = match &self.admin {
            Some(url) => url.clone(),
            None => configured(&settings()?)?,
        };
        let tls = match base.scheme_str() {
            Some("https") => Some(self.tls(&settings)?),
            _ => None,
        };
        if let Some(credential) = from_environment()? {
            return Ok(Client::new(base, credential, format!("${CREDENTIAL_VARIABLE}"), tls));
        }
        if !is_local(&base) {
            return Err(Failure::failed(format!(
                "{base} is another machine, which never gets the owner's credential of this one: set \
                 {CREDENTIAL_VARIABLE} to an administrator's credential for it"
            )));
        }
        let file = settings()?.data_dir.join(OWNER_FILE);
        let credential = from_file(&file)?;
        Ok(Client::new(base, credential, file.display().to_string(), tls))
    }

    /// How TLS is done with the server.
    fn tls(&self, settings: &dyn Fn() -> Result<Settings, Problems>) -> Result<Arc<ClientConfig>, Failure> {
        let pem = match (&self.ca, &self.admin) {
            (Some(file), _) => Some(pem_file(file)?),
            (None, Some(_)) => None,
            (None, None) => {
                let files = settings()?.admin_tls;
                files.map(|files| pem_file(&files.certificate)).transpose()?
            }
        };
        let trust = match &pem {
            Some(pem) if self.ca.is_some() => Trust::Authorities(pem),
            Some(pem) => Trust::Exactly(pem),
            None => Trust::Public,
        };
        let certificate = self.client_certificate.as_deref().map(pem_file).transpose()?;
        let key = self.client_key.as_deref().map(pem_file).transpose()?;
        let identity = certificate.as_ref().zip(key.as_ref());
        let made = tls::client(&tls::Client {
            trust,
            identity: identity.map(|(certificate, key)| (certificate.as_slice(), key.as_slice())),
            alpn: &[tls::HTTP_1],
        });
        made.map_err(|error| Failure::failed(format!("no TLS: {error}")))
    }

    /// Where agents reach the server, if this machine knows.
    pub(crate) fn agents_url(&self, common: &Common) -> Option<String> {
        // Another server than the configured one may listen anywhere.
        if self.admin.is_some() {
            return None;
        }
        let settings = config::load(&common.config_file()).ok()?;
        let mut address = settings.listen_agents;
        if address.port() == 0 {
            let text = small_file(&settings.data_dir.join(AGENTS_ADDRESS_FILE)).ok()?;
            address = text.trim().parse().ok()?;
        }
        let scheme = if settings.agents_tls.is_some() { "https" } else { "http" };
        Some(format!("{scheme}://{}", reachable(address)))
    }
}

fn url(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|error| format!("this is no URL: {error}"))?;
    let plain = matches!(
        uri.path_and_query().map(http::uri::PathAndQuery::as_str),
        None | Some("/")
    );
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(authority)) if plain && !authority.as_str().contains('@') => Ok(uri),
        _ => Err("write it as http://HOST:PORT or https://HOST:PORT".to_owned()),
    }
}

/// The address in the configuration; with port 0, the one that the running server wrote down.
fn configured(settings: &Settings) -> Result<Uri, Failure> {
    let mut address = settings.listen_admin;
    if address.port() == 0 {
        let file = settings.data_dir.join(ADMIN_ADDRESS_FILE);
        let text = small_file(&file).map_err(|_| {
            Failure::failed(format!(
                "no server runs on {}: there is no {}. Start it with `bailiwick serve -c {}`",
                settings.data_dir.display(),
                file.display(),
                settings.file
            ))
        })?;
        address = text
            .trim()
            .parse()
            .map_err(|_| Failure::failed(format!("{} holds no address", file.display())))?;
    }
    let scheme = if settings.admin_tls.is_some() { "https" } else { "http" };
    let uri = format!("{scheme}://{}", reachable(address)).parse();
    uri.map_err(|error| Failure::failed(format!("{address} is no address: {error}")))
}

/// A server that listens on all addresses is reached on the loopback one.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Whether an address is this machine's.
fn is_local(base: &Uri) -> bool {
    let host = base.host().unwrap_or_default();
    let ip: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    ip.map_or(host == "localhost", |ip| ip.to_canonical().is_loopback())
}

fn from_environment() -> Result<Option<SecretString>, Failure> {
    match std::env::var(CREDENTIAL_VARIABLE).map(Zeroizing::new) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => Ok(Some(SecretString::from(text.trim()))),
        Err(std::env::VarError::NotPresent) => Ok(None),
        // What it holds is not shown.
        Err(std::env::VarError::NotUnicode(_)) => Err(Failure::failed(format!(
            "{CREDENTIAL_VARIABLE} holds something that is not a credential"
        ))),
    }
}

fn from_file(file: &Path) -> Result<SecretString, Failure> {
    let text = small_file(file).map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "it is not there; a server writes it when it first starts".to_owned(),
            io::ErrorKind::PermissionDenied => "only the user that the server runs as can read it".to_owned(),
            _ => error.to_string(),
        };
        Failure::failed(format!(
            "cannot read the owner's credential {}: {why}. Or set {CREDENTIAL_VARIABLE} to an administrator's credential",
            file.display()
        ))
    })?;
    Ok(SecretString::from(text.trim()))
}

fn pem_file(file: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = File::open(file).and_then(|file| file.take(PEM_FILE).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(bytes),
        Err(error) => Err(Failure::failed(format!("cannot read {}: {error}", file.display()))),
    }
}

fn small_file(file: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    File::open(file)?.take(SMALL_FILE).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_urls_of_hosts() {
        for good in [
            "http://127.0.0.1:7401",
            "http://127.0.0.1:7401/",
            "http://[::1]:7401",
            "http://bailiwick:7401",
            "https://bailiwick",
        ] {
            assert!(url(good).is_ok(), "{good}");
        }
        for bad in [
            "127.0.0.1:7401",
            "http://a:1/api",
            "http://a:b@c:1",
            "http://",
            "",
            "ftp://a",
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_loopback_is_this_machine() {
        let check = |text: &str| is_local(&text.parse().unwrap());
        assert!(check("http://127.0.0.1:1") && check("http://[::1]:1") && check("http://localhost:1"));
        assert!(!check("http://10.0.0.1:1") && !check("http://localhost.example:1"));
    }
}
