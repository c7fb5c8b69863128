//! Making a connection: address, TCP, proxy, TLS. All of it within one time.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use control::{Http2, Proxy};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use transport::{Stream, tls};

use super::{
    guard::{self, Host, Refused},
    origin::Target,
    proxy,
};

/// The wait before the next address is tried beside one that does not answer (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// The most addresses that are tried.
const ADDRESSES: usize = 16;

/// A connection is made, or there is a text that says why not.
pub(super) async fn connect(target: &Target, tls: Option<&Arc<ClientConfig>>) -> Result<Stream, String> {
    let tcp = match &target.proxy {
        None => direct(target).await?,
        Some(proxy) => through(proxy, target).await?,
    };
    let Some(config) = tls else {
        return Ok(Stream::plain(tcp));
    };
    let name = ServerName::try_from(target.host.clone())
        .map_err(|_| format!("{} is not a name that a certificate can have", target.host))?;
    let stream = TlsConnector::from(config.clone()).connect(name, tcp).await;
    let stream = stream.map_err(|error| tls_text(&target.host, &error))?;
    let stream = Stream::tls(stream.into());
    if target.http2 == Http2::Always && stream.alpn() != Some(tls::H2) {
        return Err(format!(
            "{} does not offer HTTP/2; set `http2` of the upstream to \"auto\"",
            target.host
        ));
    }
    Ok(stream)
}

async fn direct(target: &Target) -> Result<TcpStream, String> {
    let host = Host::of(&target.host);
    let found = resolve(&target.host, host, target.port).await?;
    let addresses = permitted(target, host, found)?;
    race(&target.host, addresses).await
}

/// The proxy is declared by the operator and may be anywhere; what the upstream's name leads to is looked up by it.
async fn through(proxy: &Proxy, target: &Target) -> Result<TcpStream, String> {
    let found = resolve(&proxy.host, Host::of(&proxy.host), proxy.port).await;
    let found = found.map_err(|error| format!("the proxy: {error}"))?;
    let tcp = race(&proxy.host, found)
        .await
        .map_err(|error| format!("the proxy: {error}"))?;
    if target.is_absolute_form() {
        return Ok(tcp);
    }
    let authority = target.authority();
    let tunnel = proxy::tunnel(tcp, &authority, proxy).await;
    tunnel.map_err(|error| format!("the proxy {}:{}: {error}", proxy.host, proxy.port))
}

async fn resolve(name: &str, host: Host, port: u16) -> Result<Vec<SocketAddr>, String> {
    if let Host::Literal(address) = host {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found = lookup_host((name, port)).await;
    let found = found.map_err(|error| format!("{name} has no address: {error}"))?;
    let (six, four): (Vec<_>, Vec<_>) = found.partition(SocketAddr::is_ipv6);
    // The families take turns, so that one that leads nowhere holds up the other only once (RFC 8305, section 4).
    let mut mixed = Vec::with_capacity(six.len() + four.len());
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    loop {
        match (six.next(), four.next()) {
            (None, None) => break,
            (a, b) => mixed.extend([a, b].into_iter().flatten()),
        }
    }
    mixed.truncate(ADDRESSES);
    Ok(mixed)
}

/// The addresses that may be connected to. What is checked here is what is connected to: the name is not looked up again.
fn permitted(target: &Target, host: Host, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, String> {
    let mut refused = None;
    let mut addresses = Vec::with_capacity(found.len());
    for address in found {
        match guard::check(host, address.ip(), target.private) {
            Ok(()) => addresses.push(address),
            Err(why) => refused = Some((address.ip(), why)),
        }
    }
    match refused {
        Some((address, why)) if addresses.is_empty() => Err(refusal(&target.host, address, why)),
        _ => Ok(addresses),
    }
}

fn refusal(name: &str, address: IpAddr, why: Refused) -> String {
    match why {
        Refused::Inside(kind) => format!(
            "{name} leads to {address}, a {kind} address inside the network; if it is meant to, set \
             `private_network = true` for this upstream, or write the address itself into its base_url"
        ),
        Refused::Metadata => {
            format!("{name} leads to {address}, where clouds hand out credentials; a name never leads there from here")
        }
    }
}

/// The first connection that is made to any of the addresses. Each gets a head start over the next.
async fn race(name: &str, addresses: Vec<SocketAddr>) -> Result<TcpStream, String> {
    let mut rest = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "it has no address");
    loop {
        if let Some(address) = rest.next() {
            attempts.push(async move { (address, TcpStream::connect(address).await) });
        }
        let ended = tokio::select! {
            ended = attempts.next() => ended,
            () = tokio::time::sleep(ATTEMPT_DELAY), if rest.len() > 0 => continue,
        };
        match ended {
            Some((_, Ok(stream))) => {
                // Without this, a request of several small packets waits for acknowledgements.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY cannot be set");
                }
                return Ok(stream);
            }
            Some((address, Err(error))) => {
                last = io::Error::new(error.kind(), format!("{address}: {error}"));
            }
            None => return Err(format!("cannot connect to {name}: {last}")),
        }
    }
}

/// What went wrong in a handshake, and what an operator can do about it.
fn tls_text(host: &str, error: &io::Error) -> String {
    use rustls::{CertificateError as C, Error};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let help = match inner {
        Some(Error::InvalidCertificate(C::UnknownIssuer | C::BadSignature)) => {
            "; name the authority it is from in `ca` of the upstream's [tls] table"
        }
        Some(Error::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. })) => {
            "; the host in base_url must be one that the certificate names"
        }
        Some(Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. })) => {
            "; the upstream has to renew it, if the clock of this machine is right"
        }
        Some(Error::AlertReceived(_)) => {
            "; the upstream refused the handshake: it may want another `certificate` in the upstream's [tls] table"
        }
        Some(Error::InvalidMessage(_)) => "; does it speak TLS? If not, base_url begins with http://",
        _ => "",
    };
    format!("no TLS with {host}: {error}{help}")
}

/// Whether an error says that the other side refused the certificate it was shown. With TLS 1.3 that is only known when
/// the first bytes are read, and nothing that was sent has been looked at (RFC 8446, section 4.4.2.4).
pub(super) fn refused_certificate(error: &hyper::Error) -> Option<String> {
    use rustls::AlertDescription as A;
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    for cause in causes {
        let of_h2 = cause.downcast_ref::<h2::Error>().and_then(h2::Error::get_io);
        let inner = of_h2
            .or_else(|| cause.downcast_ref::<io::Error>())
            .and_then(io::Error::get_ref);
        if let Some(rustls::Error::AlertReceived(alert)) = inner.and_then(|inner| inner.downcast_ref())
            && matches!(
                alert,
                A::CertificateRequired
                    | A::BadCertificate
                    | A::UnsupportedCertificate
                    | A::CertificateRevoked
                    | A::CertificateExpired
                    | A::CertificateUnknown
                    | A::UnknownCA
                    | A::AccessDenied
                    | A::HandshakeFailure
            )
        {
            return Some(format!(
                "the upstream refused the certificate it was shown ({alert:?}); check `certificate` and `key` in the \
                 upstream's [tls] table"
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_addresses_are_tried() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let refused: SocketAddr = "127.0.0.1:1".parse().unwrap();
        // Nobody answers at an address for documentation (RFC 5737): it is raced, or refused at once without a network.
        let silent: SocketAddr = "192.0.2.1:9".parse().unwrap();
        let stream = race("test", vec![refused, silent, good]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        let error = race("test", vec![refused]).await.unwrap_err();
        assert!(error.starts_with("cannot connect to test: 127.0.0.1:1: "), "{error}");
        assert!(race("test", Vec::new()).await.is_err());
    }
}
