//! How agents reach the gateway: protocols, certificates, addresses, and the end of connections.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use ::transport::{
    ServerTls, Stream,
    tls::{self, Client, ClientAuth, Server, Trust},
};
use bytes::Bytes;
use entry::Status;
use http::{Request, Response, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use testkit::pki::{Age, Authority, Leaf};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Harness, Setup};

const LOOPBACK: &str = "127.0.0.1:0";

fn server_tls(leaf: &Leaf, client_auth: ClientAuth, clients: Option<&Authority>) -> Arc<rustls::ServerConfig> {
    let ca = clients.map(Authority::pem);
    let made = tls::server(&Server {
        certificate: leaf.certificate.as_bytes(),
        key: leaf.key.as_bytes(),
        client_auth,
        client_ca: ca.as_deref().map(str::as_bytes),
    });
    made.unwrap()
}

fn client_tls(trust: Trust<'_>, shown: Option<&Leaf>, alpn: &[u8]) -> Arc<ClientConfig> {
    let made = tls::client(&Client {
        trust,
        identity: shown.map(|leaf| (leaf.certificate.as_bytes(), leaf.key.as_bytes())),
        alpn: &[alpn],
    });
    made.unwrap()
}

async fn listening(addr: &'static str, tls: Option<ServerTls>) -> Harness {
    Harness::with(Setup {
        listen: (addr, tls),
        ..Setup::default()
    })
    .await
}

/// One connection of an agent.
enum Agent {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Agent {
    /// Connects; with TLS to a host of this name.
    async fn connect(addr: SocketAddr, tls: Option<Arc<ClientConfig>>, version: Version) -> std::io::Result<Self> {
        let stream = Stream::connect(&addr.ip().to_string(), addr.port(), tls).await?;
        let io = TokioIo::new(stream);
        let other = |error: hyper::Error| std::io::Error::other(error);
        if version == Version::HTTP_2 {
            // A small window: what is not read is noticed soon.
            let begun = http2::Builder::new(TokioExecutor::new())
                .initial_stream_window_size(16 * 1024)
                .handshake(io);
            let (sender, connection) = begun.await.map_err(other)?;
            tokio::spawn(connection);
            return Ok(Self::Two(sender));
        }
        let (sender, connection) = http1::handshake(io).await.map_err(other)?;
        tokio::spawn(connection);
        Ok(Self::One(sender))
    }

    async fn send(&mut self, mut request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::One(sender) => {
                let host = http::HeaderValue::from_static("gateway");
                request.headers_mut().insert(http::header::HOST, host);
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Two(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    async fn call(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<(u16, String)> {
        let response = self.send(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_speak_either_protocol_with_and_without_tls() {
    let authority = Authority::new().unwrap();
    let leaf = authority.leaf("127.0.0.1", Age::Good).unwrap();
    let pem = authority.pem();
    for encrypted in [false, true] {
        let tls = encrypted.then(|| ServerTls::new(server_tls(&leaf, ClientAuth::None, None)));
        let harness = listening(LOOPBACK, tls).await;
        for (version, alpn) in [(Version::HTTP_11, tls::HTTP_1), (Version::HTTP_2, tls::H2)] {
            let trust = Trust::Authorities(pem.as_bytes());
            let config = encrypted.then(|| client_tls(trust, None, alpn));
            let mut agent = Agent::connect(harness.addr, config, version).await.unwrap();
            let (status, text) = agent.call(harness.chat("")).await.unwrap();
            assert_eq!(status, 200, "{text}");
            let (status, text) = agent.call(harness.chat(r#","stream":true"#)).await.unwrap();
            assert!(status == 200 && text.ends_with("data: [DONE]\n\n"), "{text}");
            // What is refused keeps the connection.
            let (status, _) = agent.call(harness.request("/openai/v1/nothing", "{}")).await.unwrap();
            assert_eq!(status, 404);
            assert_eq!(agent.call(harness.chat("")).await.unwrap().0, 200);
        }
        assert_eq!(harness.outcomes(6).await.len(), 6);
        harness.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_share_one_connection() {
    let harness = listening(LOOPBACK, None).await;
    let Ok(Agent::Two(sender)) = Agent::connect(harness.addr, None, Version::HTTP_2).await else {
        panic!("no HTTP/2")
    };
    let calls: Vec<_> = (0..40)
        .map(|_| {
            let (mut agent, request) = (Agent::Two(sender.clone()), harness.chat(r#","stream":true"#));
            tokio::spawn(async move { agent.call(request).await.unwrap() })
        })
        .collect();
    for call in calls {
        let (status, text) = call.await.unwrap();
        assert!(status == 200 && text.ends_with("data: [DONE]\n\n"), "{text}");
    }
    harness.outcomes(40).await;
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_wants_certificates_gets_good_ones() {
    let authority = Authority::new().unwrap();
    let stranger = Authority::new().unwrap();
    let leaf = authority.leaf("127.0.0.1", Age::Good).unwrap();
    let good = authority.leaf("agent", Age::Good).unwrap();
    let expired = authority.leaf("agent", Age::Expired).unwrap();
    let other = stranger.leaf("agent", Age::Good).unwrap();
    let pem = authority.pem();
    for (auth, without) in [(ClientAuth::Required, false), (ClientAuth::Optional, true)] {
        let tls = ServerTls::new(server_tls(&leaf, auth, Some(&authority)));
        let harness = listening(LOOPBACK, Some(tls)).await;
        for (shown, accepted) in [
            (Some(&good), true),
            (None, without),
            (Some(&other), false),
            (Some(&expired), false),
        ] {
            for (version, alpn) in [(Version::HTTP_11, tls::HTTP_1), (Version::HTTP_2, tls::H2)] {
                let config = client_tls(Trust::Authorities(pem.as_bytes()), shown, alpn);
                // With TLS 1.3 a refusal is only seen when something is read.
                let answered = match Agent::connect(harness.addr, Some(config), version).await {
                    Ok(mut agent) => agent
                        .call(harness.chat(""))
                        .await
                        .is_ok_and(|(status, _)| status == 200),
                    Err(_) => false,
                };
                assert_eq!(answered, accepted, "{auth:?} {version:?} {}", shown.is_some());
            }
        }
        // The certificate does not stand in for the credential.
        let config = client_tls(Trust::Authorities(pem.as_bytes()), Some(&good), tls::HTTP_1);
        let mut agent = Agent::connect(harness.addr, Some(config), Version::HTTP_11)
            .await
            .unwrap();
        let mut request = harness.chat("");
        request.headers_mut().remove("authorization");
        assert_eq!(agent.call(request).await.unwrap().0, 401);
        harness.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_used_while_connections_live() {
    let authority = Authority::new().unwrap();
    let old = authority.leaf("127.0.0.1", Age::Good).unwrap();
    let new = authority.leaf("127.0.0.1", Age::Good).unwrap();
    let tls = ServerTls::new(server_tls(&old, ClientAuth::None, None));
    let harness = listening(LOOPBACK, Some(tls.clone())).await;
    let exactly = |leaf: &Leaf| client_tls(Trust::Exactly(leaf.certificate.as_bytes()), None, tls::HTTP_1);
    let mut before = Agent::connect(harness.addr, Some(exactly(&old)), Version::HTTP_11)
        .await
        .unwrap();
    assert_eq!(before.call(harness.chat("")).await.unwrap().0, 200);
    assert!(
        Agent::connect(harness.addr, Some(exactly(&new)), Version::HTTP_11)
            .await
            .is_err()
    );
    tls.replace(server_tls(&new, ClientAuth::None, None));
    assert_eq!(
        before.call(harness.chat("")).await.unwrap().0,
        200,
        "the connection goes on"
    );
    let mut after = Agent::connect(harness.addr, Some(exactly(&new)), Version::HTTP_11)
        .await
        .unwrap();
    assert_eq!(after.call(harness.chat("")).await.unwrap().0, 200);
    assert!(
        Agent::connect(harness.addr, Some(exactly(&old)), Version::HTTP_11)
            .await
            .is_err()
    );
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_reach_an_address_of_six() {
    if let Err(error) = std::net::TcpListener::bind("[::1]:0") {
        eprintln!("skipped: this machine has no IPv6 loopback ({error})");
        return;
    }
    let harness = listening("[::1]:0", None).await;
    assert_eq!(harness.call(harness.chat("")).await.0, 200);
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_finishes_streams_of_http2_and_takes_no_more() {
    let mut harness = listening(LOOPBACK, None).await;
    let mut agent = Agent::connect(harness.addr, None, Version::HTTP_2).await.unwrap();
    let request = Harness::scripted(harness.chat(r#","stream":true"#), "chunk-delay=20ms");
    let response = agent.send(request).await.unwrap();
    let gateway = harness.take_gateway();
    let drained = tokio::spawn(gateway.drain(Duration::from_secs(10)));
    let text = response.into_body().collect().await.unwrap().to_bytes();
    assert!(text.ends_with(b"data: [DONE]\n\n"));
    assert!(drained.await.unwrap());
    assert!(agent.call(harness.chat("")).await.is_err(), "the connection was closed");
    assert!(Agent::connect(harness.addr, None, Version::HTTP_2).await.is_err());
    assert_eq!(harness.outcomes(1).await[0].status, Status::Ok);
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_tells_connections_that_are_kept() {
    let mut harness = listening(LOOPBACK, None).await;
    let mut busy = Agent::connect(harness.addr, None, Version::HTTP_11).await.unwrap();
    let request = Harness::scripted(harness.chat(""), "latency=100ms");
    let answering = busy.send(request);
    let mut idle = Agent::connect(harness.addr, None, Version::HTTP_11).await.unwrap();
    assert_eq!(idle.call(harness.chat("")).await.unwrap().0, 200);
    let provider = harness.provider.calls();
    let gateway = harness.take_gateway();
    let drain = async {
        provider.wait_for(2).await;
        gateway.drain(Duration::from_secs(10)).await
    };
    let (response, drained) = tokio::join!(answering, drain);
    assert_eq!(response.unwrap().headers()["connection"], "close");
    assert!(drained);
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_has_an_end() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mut harness = listening(LOOPBACK, None).await;
        let mut agent = Agent::connect(harness.addr, None, version).await.unwrap();
        let request = Harness::scripted(harness.chat(r#","stream":true"#), "hang-after=2");
        let response = agent.send(request).await.unwrap();
        let gateway = harness.take_gateway();
        assert!(
            !gateway.drain(Duration::from_millis(50)).await,
            "{version:?}: it never ends by itself"
        );
        assert!(
            response.into_body().collect().await.is_err(),
            "{version:?}: it was cut off"
        );
        assert_eq!(harness.outcomes(1).await.len(), 1, "{version:?}: and booked");
        harness.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_says_nothing_holds_up_no_drain() {
    let authority = Authority::new().unwrap();
    let leaf = authority.leaf("127.0.0.1", Age::Good).unwrap();
    for tls in [None, Some(ServerTls::new(server_tls(&leaf, ClientAuth::None, None)))] {
        let mut harness = listening(LOOPBACK, tls).await;
        let mut silent = tokio::net::TcpStream::connect(harness.addr).await.unwrap();
        // As far into the preface of HTTP/2 as it goes without being one.
        silent.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
        let gateway = harness.take_gateway();
        assert!(gateway.drain(Duration::from_secs(10)).await);
        let mut rest = Vec::new();
        drop(silent.read_to_end(&mut rest).await);
        assert!(rest.len() < 64, "nothing but an alert");
        harness.finish().await;
    }
}

/// A reply whose caller grants no window ends, although other streams of its connection go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_not_taken_is_dropped_alone() {
    let limits = control::Limits {
        idle_timeout: Duration::from_millis(300),
        ..control::Limits::default()
    };
    let harness = Harness::with(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    let mut agent = Agent::connect(harness.addr, None, Version::HTTP_2).await.unwrap();
    // More than windows and buffers hold, and a hold that lets it pass.
    let body =
        r#"{"model":"claude-sonnet-4-5","messages":[{"role":"user","content":"Hi"}],"max_tokens":64000,"stream":true}"#;
    let long = harness.request("/anthropic/v1/messages", body);
    let stalled = agent
        .send(Harness::scripted(long, "events=200; bytes=1000"))
        .await
        .unwrap();
    // Nobody reads `stalled`; the same connection serves others until long after its time.
    assert_eq!(harness.outcomes(1).await[0].status, Status::ClientGone);
    assert_eq!(agent.call(harness.chat("")).await.unwrap().0, 200);
    drop(stalled);
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_have_a_longest() {
    let harness = listening(LOOPBACK, None).await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mut agent = Agent::connect(harness.addr, None, version).await.unwrap();
        let mut request = harness.chat("");
        request
            .headers_mut()
            .insert("x-long", "a".repeat(256 * 1024).parse().unwrap());
        let refused = agent.call(request).await;
        assert!(
            refused.as_ref().map_or(true, |(status, _)| *status == 431),
            "{version:?}: {refused:?}"
        );
    }
    assert_eq!(harness.provider.calls().count().received, 0);
    harness.finish().await;
}
