//! A server that takes entries over HTTP, signed as Standard Webhooks has it.
//!
//! A status of 200 to 299 acknowledges a parcel; everything else is a failure, and the parcel is sent again: the cursor waits,
//! so that nothing is lost while somebody mends what is wrong. Redirects are not followed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::{digest, hmac};
use bytes::Bytes;
use control::{SinkFormat, Webhook};
use data_encoding::{BASE64, HEXLOWER};
use http::{HeaderValue, Request, StatusCode, Uri, header};
use secrecy::ExposeSecret as _;
use transport::{
    Bounds, Client,
    tls::{self, Trust},
};
use zeroize::Zeroizing;

use crate::output::Refused;

/// How long connecting may take, if the whole may take longer.
const CONNECT: Duration = Duration::from_secs(10);
/// Nobody reads what a server answers but its status.
const ANSWER: usize = 64 * 1024;

pub(crate) struct WebhookOutput {
    client: Client,
    path: http::uri::PathAndQuery,
    /// As messages name the server: a path may hold a credential.
    host: String,
    kind: &'static str,
    key: Option<hmac::Key>,
    /// Fewer than declared once the server found a parcel too large.
    batch: usize,
}

impl std::fmt::Debug for WebhookOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookOutput")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

impl WebhookOutput {
    pub(crate) fn new(webhook: &Webhook, format: SinkFormat) -> Result<Self, String> {
        // What is wrong with it is said without it.
        let url: Uri = webhook.url.parse().map_err(|_| "its `url` is not a URL".to_owned())?;
        let host = url.authority().map(ToString::to_string).unwrap_or_default();
        let tls = match url.scheme_str() {
            Some("https") => {
                let trust = webhook
                    .ca
                    .as_ref()
                    .map_or(Trust::Public, |ca| Trust::Authorities(ca.as_bytes()));
                let made = tls::client(&tls::Client {
                    trust,
                    identity: None,
                    alpn: &[tls::HTTP_1],
                });
                Some(made.map_err(|error| error.to_string())?)
            }
            _ => None,
        };
        let key = webhook
            .secret
            .as_ref()
            .map(|secret| signing_key(secret.expose_secret()));
        let bounds = Bounds {
            connect: CONNECT.min(webhook.timeout),
            exchange: webhook.timeout,
            answer: ANSWER,
        };
        Ok(Self {
            path: url
                .path_and_query()
                .cloned()
                .unwrap_or_else(|| http::uri::PathAndQuery::from_static("/")),
            client: Client::new(url, tls, bounds),
            host,
            kind: match format {
                SinkFormat::Json => "application/x-ndjson",
                SinkFormat::CloudEvents => "application/cloudevents-batch+json",
            },
            key: key.transpose()?,
            batch: webhook.batch,
        })
    }

    pub(crate) fn batch(&self) -> usize {
        self.batch
    }

    pub(crate) async fn deliver(&mut self, parcel: Vec<u8>) -> Result<(), Refused> {
        let host = &self.host;
        let failed = |why: String| Refused::new(format!("{host}: {why}"));
        let request = self.request(parcel).map_err(|error| failed(error.to_string()))?;
        let answer = self
            .client
            .send(request)
            .await
            .map_err(|error| failed(error.to_string()))?;
        if answer.status.is_success() {
            return Ok(());
        }
        let too_large = answer.status == StatusCode::PAYLOAD_TOO_LARGE && self.batch > 1;
        let mut refused = failed(format!("it answered {}{}", answer.status, help(answer.status)));
        refused.wait = answer.headers.get(header::RETRY_AFTER).and_then(seconds);
        refused.too_large = too_large;
        if too_large {
            self.batch /= 2;
        }
        Err(refused)
    }

    fn request(&self, parcel: Vec<u8>) -> Result<Request<Bytes>, http::Error> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let id = message_id(&parcel);
        let mut request = Request::post(Uri::from(self.path.clone()))
            .header(header::CONTENT_TYPE, self.kind)
            .header(header::USER_AGENT, concat!("bailiwick/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", &id)
            .header("webhook-timestamp", now);
        if let Some(key) = &self.key {
            request = request.header("webhook-signature", signature(key, &id, now, &parcel));
        }
        request.body(Bytes::from(parcel))
    }
}

/// The same for the same parcel, however often it is sent.
fn message_id(parcel: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, parcel);
    let half = hash.as_ref().get(..16).unwrap_or_default();
    format!("msg_{}", HEXLOWER.encode(half))
}

/// Standard Webhooks, "Signature scheme": HMAC-SHA256 of id, time and body, with full stops between them.
fn signature(key: &hmac::Key, id: &str, now: u64, parcel: &[u8]) -> String {
    let mut signed = hmac::Context::with_key(key);
    signed.update(format!("{id}.{now}.").as_bytes());
    signed.update(parcel);
    format!("v1,{}", BASE64.encode(signed.sign().as_ref()))
}

/// The key of a secret: what is behind `whsec_`, as base64.
fn signing_key(secret: &str) -> Result<hmac::Key, String> {
    let encoded = secret.strip_prefix("whsec_").unwrap_or(secret);
    let bytes = BASE64.decode(encoded.as_bytes()).map(Zeroizing::new);
    let bytes = bytes.map_err(|_| "its `secret` is not whsec_ and base64".to_owned())?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

fn seconds(value: &HeaderValue) -> Option<Duration> {
    let seconds = value.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// What an operator can do about a status.
fn help(status: StatusCode) -> &'static str {
    match status.as_u16() {
        300..=399 => "; redirects are not followed: write the address that it names into `url`",
        401 | 403 => "; does it know the `secret`?",
        404 | 410 => "; is the path of `url` right? Take the sink out of the configuration if nobody wants its entries",
        413 => "; it takes no single entry of this length",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification's reference libraries.
    #[test]
    fn signatures_are_those_of_the_specification() {
        let key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signed = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(signing_key("whsec_!").is_err());
    }

    #[test]
    fn the_same_parcel_has_the_same_id_and_no_full_stop_in_it() {
        assert_eq!(message_id(b"a"), message_id(b"a"));
        assert_ne!(message_id(b"a"), message_id(b"b"));
        assert!(!message_id(b"a").contains('.') && message_id(b"a").len() == 36);
    }

    #[test]
    fn nothing_shows_the_path_or_the_secret() {
        let webhook = Webhook {
            url: "https://siem.example/hooks/canary".to_owned(),
            secret: Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()),
            ca: None,
            batch: 10,
            timeout: Duration::from_secs(1),
        };
        let output = WebhookOutput::new(&webhook, SinkFormat::Json).unwrap();
        let shown = format!("{output:?} {webhook:?}");
        assert!(shown.contains("siem.example"), "{shown}");
        assert!(!shown.contains("MfKQ") && !shown.contains("canary"), "{shown}");
    }
}
