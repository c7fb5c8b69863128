//! Asking a proxy for a tunnel (RFC 9110, section 9.3.6).

use bytes::BytesMut;
use control::Proxy;
use data_encoding::BASE64;
use http::HeaderValue;
use secrecy::ExposeSecret as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The longest answer of a proxy.
const ANSWER_MAX: usize = 8 * 1024;

/// What a proxy's `Proxy-Authorization` header holds (RFC 7617).
pub(super) fn credential(proxy: &Proxy) -> Option<HeaderValue> {
    let credential = proxy.credential.as_ref()?;
    let text = format!("Basic {}", BASE64.encode(credential.expose_secret().as_bytes()));
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Turns a connection to a proxy into one to `authority`.
pub(super) async fn tunnel(mut tcp: TcpStream, authority: &str, proxy: &Proxy) -> Result<TcpStream, String> {
    let mut request = BytesMut::from(format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n").as_bytes());
    if let Some(credential) = credential(proxy) {
        request.extend_from_slice(b"proxy-authorization: ");
        request.extend_from_slice(credential.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    tcp.write_all(&request).await.map_err(|error| error.to_string())?;
    let mut answer = BytesMut::with_capacity(ANSWER_MAX);
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= ANSWER_MAX {
            return Err("its answer is too long".to_owned());
        }
        // One byte more than the answer's end would belong to what is behind the proxy.
        let byte = tcp.read_u8().await.map_err(|error| format!("no answer: {error}"))?;
        answer.extend_from_slice(&[byte]);
    }
    judge(&answer)?;
    Ok(tcp)
}

fn judge(answer: &[u8]) -> Result<(), String> {
    let line = answer.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let is_http = words.next().is_some_and(|version| version.starts_with("HTTP/1."));
    match words.next() {
        Some(status) if is_http && status.len() == 3 && status.starts_with('2') => Ok(()),
        Some("407") if is_http => Err("it wants another credential; set `proxy_auth` of the upstream".to_owned()),
        Some(status) if is_http && status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(format!("it refused the tunnel with status {status}"))
        }
        _ => Err("it does not answer as an HTTP proxy".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged_by_their_status() {
        for (answer, expected) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", ""),
            ("HTTP/1.0 200\r\n\r\n", ""),
            (
                "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
                "wants another credential",
            ),
            ("HTTP/1.1 403 Forbidden\r\n\r\n", "status 403"),
            ("HTTP/1.1 2000 OK\r\n\r\n", "does not answer"),
            ("SSH-2.0-x\r\n\r\n", "does not answer"),
            ("\r\n\r\n", "does not answer"),
        ] {
            match judge(answer.as_bytes()) {
                Ok(()) => assert_eq!(expected, "", "{answer}"),
                Err(error) => assert!(!expected.is_empty() && error.contains(expected), "{answer}: {error}"),
            }
        }
    }
}
