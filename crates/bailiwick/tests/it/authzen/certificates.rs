//! Enforcement points that are known by their certificates, over TLS.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use data_encoding::HEXUPPER;
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use model::Digest;
use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use serde_json::{Value, json};
use testkit::pki::{Age, Authority, Leaf};
use transport::{
    Stream,
    tls::{Client, H2, HTTP_1, Trust, client},
};

use super::Pdp;

const TLS: &str = "[listen.agents_tls]\ncertificate = \"tls/agents.pem\"\nkey = \"tls/agents.key\"\n\
                   client_ca = \"tls/clients.pem\"\nclient_auth = \"optional\"\n";

fn fingerprint(leaf: &Leaf) -> Digest {
    let der = CertificateDer::from_pem_slice(leaf.certificate.as_bytes()).unwrap();
    Digest(digest(&SHA256, &der).as_ref().try_into().unwrap())
}

/// As `openssl x509 -fingerprint -sha256` prints it.
fn printed(fingerprint: Digest) -> String {
    let hex = HEXUPPER.encode(&fingerprint.0);
    let pairs: Vec<_> = hex
        .as_bytes()
        .chunks(2)
        .map(|pair| str::from_utf8(pair).unwrap())
        .collect();
    pairs.join(":")
}

fn manifest(fingerprint: Digest) -> String {
    format!(
        "kind: Pep\nname: guard\nowner: tests@acme.example\npurpose: Guards\nmay: [evaluate]\ncertificates: [\"{}\"]\n",
        printed(fingerprint)
    )
}

/// A server whose enforcement point `guard` has a certificate, and the authority of all of them.
struct Guarded {
    pdp: Pdp,
    authority: Authority,
    guard: Leaf,
}

/// What a connection says of who asks, and how it speaks.
struct Caller<'a> {
    shown: Option<&'a Leaf>,
    credential: Option<&'a str>,
    alpn: &'static [u8],
}

impl Guarded {
    async fn start() -> Self {
        let authority = Authority::new().unwrap();
        let server = authority.leaf("127.0.0.1", Age::Good).unwrap();
        let guard = authority.leaf("guard.example", Age::Good).unwrap();
        let files = [
            ("tls/agents.pem", server.certificate.as_str()),
            ("tls/agents.key", &server.key),
            ("tls/clients.pem", &authority.pem()),
            ("governance/rules/guard.yaml", &manifest(fingerprint(&guard))),
        ];
        Self {
            pdp: Pdp::with_files(TLS, "", &files).await,
            authority,
            guard,
        }
    }

    fn tls(&self, caller: &Caller<'_>) -> Arc<ClientConfig> {
        let made = client(&Client {
            trust: Trust::Authorities(self.authority.pem().as_bytes()),
            identity: caller
                .shown
                .map(|leaf| (leaf.certificate.as_bytes(), leaf.key.as_bytes())),
            alpn: &[caller.alpn],
        });
        made.unwrap()
    }

    /// The status and the body of an answer, or why there is no connection.
    async fn ask(&self, caller: &Caller<'_>) -> Result<(u16, Value), String> {
        let address = self.pdp.world.agents_url().strip_prefix("http://").unwrap();
        let (host, port) = address.split_once(':').unwrap();
        let stream = Stream::connect(host, port.parse().unwrap(), Some(self.tls(caller))).await;
        let io = TokioIo::new(stream.map_err(|error| error.to_string())?);
        let body = json!({ "subject": { "type": "user", "id": "alice" }, "action": { "name": "read" },
            "resource": { "type": "record", "id": "record-1" } });
        let mut request = Request::post(format!("https://{address}/access/v1/evaluation"))
            .header(header::HOST, address)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(credential) = caller.credential {
            request = request.header(header::AUTHORIZATION, format!("Bearer {credential}"));
        }
        let request = request.body(Full::<Bytes>::from(body.to_string())).unwrap();
        let error = |error: hyper::Error| error.to_string();
        let response = if caller.alpn == H2 {
            let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.map_err(error)?;
            tokio::spawn(connection);
            sender.send_request(request).await.map_err(error)?
        } else {
            let (mut sender, connection) = http1::handshake(io).await.map_err(error)?;
            tokio::spawn(connection);
            sender.send_request(request).await.map_err(error)?
        };
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(error)?.to_bytes();
        Ok((status, serde_json::from_slice(&body).unwrap()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_who_asks() {
    let guarded = Guarded::start().await;
    let Guarded { pdp, authority, guard } = &guarded;
    let caller = |shown, credential| Caller {
        shown,
        credential,
        alpn: HTTP_1,
    };
    let permit = (200, json!({ "decision": true }));
    for alpn in [HTTP_1, H2] {
        let by_certificate = Caller {
            alpn,
            ..caller(Some(guard), None)
        };
        assert_eq!(guarded.ask(&by_certificate).await.unwrap(), permit);
    }
    // One of the same authority that no manifest names, and none at all: these callers connect, and are nobody.
    let other = authority.leaf("guard.example", Age::Good).unwrap();
    for shown in [Some(&other), None] {
        let (status, body) = guarded.ask(&caller(shown, None)).await.unwrap();
        assert_eq!((status, &body["error"]), (401, &json!("unauthenticated")));
    }
    // Those of nobody's authority, or of another time, do not.
    let strange = Authority::new().unwrap().leaf("guard.example", Age::Good).unwrap();
    let expired = authority.leaf("guard.example", Age::Expired).unwrap();
    for shown in [&strange, &expired] {
        guarded.ask(&caller(Some(shown), None)).await.unwrap_err();
    }
    // A credential says it where there is one, with whatever certificate; a wrong one is not made good by a certificate.
    let key = pdp.key("default");
    for shown in [Some(guard), Some(&other), None] {
        assert_eq!(guarded.ask(&caller(shown, Some(key))).await.unwrap(), permit);
    }
    assert_eq!(guarded.ask(&caller(Some(guard), Some("bwp_x"))).await.unwrap().0, 401);

    let decided = pdp.decided();
    let asked: Vec<_> = decided
        .iter()
        .map(|decided| {
            let pep = decided.pep.as_ref().unwrap().as_str();
            (pep, decided.seq, decided.key.is_some(), decided.certificate)
        })
        .collect();
    let own = Some(fingerprint(guard));
    assert_eq!(
        asked,
        [
            ("guard", 1, false, own),
            ("guard", 2, false, own),
            ("suite", 1, true, None),
            ("suite", 2, true, None),
            ("suite", 3, true, None),
        ]
    );

    // The manifest says which certificate it is now.
    pdp.world
        .write("governance/rules/guard.yaml", &manifest(fingerprint(&other)));
    pdp.world.run(&["apply"]).exits(0);
    assert_eq!(guarded.ask(&caller(Some(guard), None)).await.unwrap().0, 401);
    assert_eq!(guarded.ask(&caller(Some(&other), None)).await.unwrap(), permit);
    assert_eq!(pdp.decided().last().unwrap().certificate, Some(fingerprint(&other)));
}
