//! The client against real servers on loopback.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use control::{ClientIdentity, Http2 as Mode, Proxy, Secret, TransportSpec};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, service::service_fn};
use llm::Dialect;
use model::UpstreamName;
use testkit::pki::{Age, Authority, Leaf};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Barrier, Notify},
};
use transport::{
    Bound, Listener, ServerTls, Settings,
    tls::{ClientAuth, Server},
};

use super::*;

const LOOPBACK: &str = "127.0.0.1:0";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn patience() -> Patience {
    Patience {
        connect: Duration::from_secs(5),
        first_byte: Duration::from_secs(60),
        deadline: Instant::now() + Duration::from_secs(60),
    }
}

fn spec(base_url: &str, transport: TransportSpec) -> UpstreamSpec {
    UpstreamSpec {
        transport: Transport::new(transport),
        ..UpstreamSpec::new(UpstreamName::new("up").unwrap(), Dialect::OpenAi, base_url)
    }
}

fn to(upstream: &UpstreamSpec) -> Request<Full<Bytes>> {
    let uri = format!("{}/v1/models?x=1", upstream.base_url);
    Request::post(uri).body(Full::from("a question")).unwrap()
}

async fn text(reply: Response<UpstreamBody>) -> String {
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// The reply's text, or the error's with its kind.
async fn outcome(upstreams: &Upstreams, upstream: &UpstreamSpec) -> Result<String, String> {
    match upstreams.send(upstream, to(upstream), patience()).await {
        Ok(reply) => Ok(text(reply).await),
        Err(SendError::Connect(text)) => Err(format!("connect: {text}")),
        Err(SendError::Broken(text)) => Err(format!("broken: {text}")),
        Err(SendError::Late) => Err("late".to_owned()),
    }
}

/// Says what it was asked, and over what.
async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let host = request
        .headers()
        .get("host")
        .and_then(|host| host.to_str().ok())
        .unwrap_or("-");
    let head = format!("{:?} {} host={host}", request.version(), request.uri());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let text = format!("{head} {}", String::from_utf8_lossy(&body));
    Ok(Response::new(Full::from(text)))
}

fn settings() -> Settings {
    Settings {
        head_timeout: Duration::from_secs(20),
        head_bytes: 16 * 1024,
        connections: 100,
        streams: 100,
        patience: Duration::from_secs(20),
    }
}

async fn server(addr: &str, tls: Option<ServerTls>) -> Listener {
    let bound = Bound::bind(addr.parse().unwrap()).await.unwrap();
    bound.serve(settings(), tls, service_fn(echo))
}

fn server_tls(leaf: &Leaf, clients: Option<&Authority>) -> ServerTls {
    let ca = clients.map(Authority::pem);
    let made = tls::server(&Server {
        certificate: leaf.certificate.as_bytes(),
        key: leaf.key.as_bytes(),
        client_auth: if ca.is_some() {
            ClientAuth::Required
        } else {
            ClientAuth::None
        },
        client_ca: ca.as_deref().map(str::as_bytes),
    });
    ServerTls::new(made.unwrap())
}

fn trusting(authority: &Authority, http2: Mode, shown: Option<&Leaf>) -> TransportSpec {
    TransportSpec {
        http2,
        ca: Some(authority.pem()),
        identity: shown.map(|leaf| ClientIdentity {
            certificate: leaf.certificate.clone(),
            key: Secret::from(leaf.key.as_str()),
        }),
        proxy: None,
    }
}

#[tokio::test]
async fn the_protocol_is_the_declared_one() {
    let authority = Authority::new().unwrap();
    let leaf = authority.leaf("localhost", Age::Good).unwrap();
    let plain = server(LOOPBACK, None).await;
    let encrypted = server(LOOPBACK, Some(server_tls(&leaf, None))).await;
    let upstreams = Upstreams::new();
    let plain_url = format!("http://127.0.0.1:{}", plain.addr().port());
    let tls_url = format!("https://localhost:{}", encrypted.addr().port());
    for (url, mode, version) in [
        (&plain_url, Mode::Auto, "HTTP/1.1"),
        (&plain_url, Mode::Never, "HTTP/1.1"),
        (&plain_url, Mode::Always, "HTTP/2.0"),
        (&tls_url, Mode::Auto, "HTTP/2.0"),
        (&tls_url, Mode::Never, "HTTP/1.1"),
        (&tls_url, Mode::Always, "HTTP/2.0"),
    ] {
        let upstream = spec(url, trusting(&authority, mode, None));
        let authority = url.split("//").nth(1).unwrap();
        let expected = match version {
            "HTTP/1.1" => format!("HTTP/1.1 /v1/models?x=1 host={authority} a question"),
            _ => format!("HTTP/2.0 {url}/v1/models?x=1 host=- a question"),
        };
        // The second goes over a connection that was kept.
        for _ in 0..2 {
            assert_eq!(
                outcome(&upstreams, &upstream).await,
                Ok(expected.clone()),
                "{url} {mode:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_upstream_without_http2_can_be_told_from_one_with_it() {
    let authority = Authority::new().unwrap();
    let leaf = authority.leaf("localhost", Age::Good).unwrap();
    let mut config = tls::server(&Server {
        certificate: leaf.certificate.as_bytes(),
        key: leaf.key.as_bytes(),
        client_auth: ClientAuth::None,
        client_ca: None,
    })
    .unwrap();
    Arc::get_mut(&mut config).unwrap().alpn_protocols = Vec::new();
    let server = server(LOOPBACK, Some(ServerTls::new(config))).await;
    let url = format!("https://localhost:{}", server.addr().port());
    let upstreams = Upstreams::new();
    let auto = spec(&url, trusting(&authority, Mode::Auto, None));
    assert!(outcome(&upstreams, &auto).await.unwrap().starts_with("HTTP/1.1"));
    let always = spec(&url, trusting(&authority, Mode::Always, None));
    let error = outcome(&upstreams, &always).await.unwrap_err();
    assert!(
        error.starts_with("connect: ") && error.contains("does not offer HTTP/2"),
        "{error}"
    );
}

#[tokio::test]
async fn certificates_that_do_not_fit_are_told_apart() {
    let authority = Authority::new().unwrap();
    let other = Authority::new().unwrap();
    for (name, age, trusted, expected) in [
        ("localhost", Age::Good, &authority, ""),
        ("localhost", Age::Good, &other, "name the authority it is from in `ca`"),
        ("localhost", Age::Expired, &authority, "the upstream has to renew it"),
        (
            "example.com",
            Age::Good,
            &authority,
            "the host in base_url must be one that the certificate names",
        ),
    ] {
        let leaf = authority.leaf(name, age).unwrap();
        let server = server(LOOPBACK, Some(server_tls(&leaf, None))).await;
        let url = format!("https://localhost:{}", server.addr().port());
        let upstreams = Upstreams::new();
        match outcome(&upstreams, &spec(&url, trusting(trusted, Mode::Auto, None))).await {
            Ok(_) => assert_eq!(expected, ""),
            Err(error) => {
                assert!(
                    !expected.is_empty() && error.starts_with("connect: no TLS with localhost"),
                    "{error}"
                );
                assert!(error.contains(expected), "{error}");
            }
        }
    }
    let plain = server(LOOPBACK, None).await;
    let url = format!("https://127.0.0.1:{}", plain.addr().port());
    let upstreams = Upstreams::new();
    let error = outcome(&upstreams, &spec(&url, trusting(&authority, Mode::Auto, None)))
        .await
        .unwrap_err();
    assert!(error.contains("does it speak TLS?"), "{error}");
}

#[tokio::test]
async fn an_upstream_that_asks_is_shown_a_certificate() {
    let authority = Authority::new().unwrap();
    let other = Authority::new().unwrap();
    let leaf = authority.leaf("localhost", Age::Good).unwrap();
    let server = server(LOOPBACK, Some(server_tls(&leaf, Some(&authority)))).await;
    let url = format!("https://localhost:{}", server.addr().port());
    let upstreams = Upstreams::new();
    let (good, stranger) = (
        authority.leaf("us", Age::Good).unwrap(),
        other.leaf("us", Age::Good).unwrap(),
    );
    let expired = authority.leaf("us", Age::Expired).unwrap();
    for mode in [Mode::Auto, Mode::Never] {
        let upstream = spec(&url, trusting(&authority, mode, Some(&good)));
        assert!(outcome(&upstreams, &upstream).await.is_ok());
        for shown in [None, Some(&stranger), Some(&expired)] {
            let upstream = spec(&url, trusting(&authority, mode, shown));
            let error = outcome(&upstreams, &upstream).await.unwrap_err();
            assert!(error.starts_with("connect: "), "{mode:?}: {error}");
        }
    }
}

#[tokio::test]
async fn an_address_of_six_is_reached() {
    let bound = match Bound::bind("[::1]:0".parse().unwrap()).await {
        Ok(bound) => bound,
        Err(error) => {
            eprintln!("skipped: this machine has no IPv6 loopback ({error})");
            return;
        }
    };
    let server = bound.serve(settings(), None, service_fn(echo));
    let url = format!("http://[::1]:{}", server.addr().port());
    let upstreams = Upstreams::new();
    let reply = outcome(&upstreams, &spec(&url, TransportSpec::default()))
        .await
        .unwrap();
    assert!(
        reply.contains(&format!("host=[::1]:{} ", server.addr().port())),
        "{reply}"
    );
}

/// What `/etc/hosts` says leads inside the network, other than `localhost`.
fn inside_name() -> Option<String> {
    let hosts = std::fs::read_to_string("/etc/hosts").ok()?;
    let lines = hosts
        .lines()
        .filter(|line| line.starts_with("127.") || line.starts_with("10.") || line.starts_with("192.168."));
    let mut names = lines.flat_map(|line| {
        line.split_whitespace()
            .skip(1)
            .take_while(|name| !name.starts_with('#'))
    });
    names.find(|name| *name != "localhost").map(str::to_owned)
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_followed_unless_it_is_said_to() {
    let Some(name) = inside_name() else {
        eprintln!("skipped: no name in /etc/hosts leads inside the network");
        return;
    };
    let server = server("0.0.0.0:0", None).await;
    let url = format!("http://{name}:{}", server.addr().port());
    let upstreams = Upstreams::new();
    let mut upstream = spec(&url, TransportSpec::default());
    let error = outcome(&upstreams, &upstream).await.unwrap_err();
    assert!(
        error.starts_with("connect: ") && error.contains("private_network = true"),
        "{error}"
    );
    upstream.private_network = true;
    assert!(outcome(&upstreams, &upstream).await.is_ok());
    // What is said of one upstream opens no way for another to the same address.
    upstream.private_network = false;
    assert!(outcome(&upstreams, &upstream).await.is_err());
    let named = spec(
        &format!("http://localhost:{}", server.addr().port()),
        TransportSpec::default(),
    );
    assert!(outcome(&upstreams, &named).await.is_ok());
}

/// A server of bytes: each connection is handled by a function that is told its number.
struct Raw {
    addr: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Raw {
    async fn start<F: Future<Output = ()> + Send + 'static>(
        handle: impl Fn(usize, TcpStream) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(handle(count.fetch_add(1, Ordering::SeqCst), stream));
            }
        });
        Self { addr, connections }
    }

    fn upstream(&self) -> UpstreamSpec {
        spec(&format!("http://{}", self.addr), TransportSpec::default())
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Reads one request with a body of ten bytes. `None` at the end.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut read = Vec::new();
    let end = |read: &[u8]| read.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 14);
    while end(&read).is_none_or(|end| read.len() < end) {
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
    Some(String::from_utf8(read).unwrap())
}

#[tokio::test]
async fn a_connection_is_used_again_once_its_reply_was_read() {
    let server = Raw::start(|_, mut stream| async move {
        while read_request(&mut stream).await.is_some() {
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    })
    .await;
    let upstreams = Upstreams::new();
    for _ in 0..5 {
        assert_eq!(outcome(&upstreams, &server.upstream()).await, Ok("ok".to_owned()));
    }
    assert_eq!(server.connections(), 1);
    // A reply that is not read to its end takes its connection with it.
    drop(
        upstreams
            .send(&server.upstream(), to(&server.upstream()), patience())
            .await
            .unwrap(),
    );
    assert_eq!(outcome(&upstreams, &server.upstream()).await, Ok("ok".to_owned()));
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_meanwhile_is_not_used() {
    let closed = Arc::new(Notify::new());
    let close = closed.clone();
    let server = Raw::start(move |_, mut stream| {
        let close = close.clone();
        async move {
            read_request(&mut stream).await.unwrap();
            stream.write_all(OK.as_bytes()).await.unwrap();
            // Waits until the reply was read, so that its connection is kept before it closes.
            close.notified().await;
            drop(stream);
            close.notify_waiters();
        }
    })
    .await;
    let upstreams = Upstreams::new();
    for connections in 1..=3 {
        assert_eq!(outcome(&upstreams, &server.upstream()).await, Ok("ok".to_owned()));
        assert_eq!(server.connections(), connections);
        let gone = closed.notified();
        tokio::pin!(gone);
        gone.as_mut().enable();
        closed.notify_one();
        gone.await;
        // The runtime hears of it when it next looks at its sockets.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_request_that_may_have_arrived_is_not_sent_again() {
    let requests = Arc::new(AtomicUsize::new(0));
    let count = requests.clone();
    // Answers the first request of a connection, and closes when it has read the second.
    let server = Raw::start(move |_, mut stream| {
        let count = count.clone();
        async move {
            read_request(&mut stream).await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            stream.write_all(OK.as_bytes()).await.unwrap();
            if read_request(&mut stream).await.is_some() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await;
    let upstreams = Upstreams::new();
    assert_eq!(outcome(&upstreams, &server.upstream()).await, Ok("ok".to_owned()));
    let error = outcome(&upstreams, &server.upstream()).await.unwrap_err();
    assert!(error.starts_with("broken: "), "{error}");
    assert_eq!((requests.load(Ordering::SeqCst), server.connections()), (2, 1));
}

#[tokio::test]
async fn connecting_has_one_time_for_everything() {
    // Takes connections and says nothing: no handshake ever ends.
    let silent = Raw::start(|_, stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let upstreams = Upstreams::new();
    // However soon the first byte is wanted: nothing was sent.
    let patience = Patience {
        connect: Duration::from_millis(100),
        first_byte: Duration::from_millis(1),
        ..patience()
    };
    let proxy = Some(Proxy {
        host: silent.addr.ip().to_string(),
        port: silent.addr.port(),
        credential: None,
    });
    let behind = TransportSpec {
        proxy,
        ..TransportSpec::default()
    };
    for upstream in [
        spec(&format!("https://{}", silent.addr), TransportSpec::default()),
        spec("https://example.invalid", behind),
    ] {
        let error = upstreams.send(&upstream, to(&upstream), patience).await.err();
        let text = if let Some(SendError::Connect(text)) = error {
            text
        } else {
            String::new()
        };
        assert_eq!(text, "no connection within 100ms");
    }
}

/// A proxy that tunnels, and that forwards what comes in absolute form to nobody but says what it saw.
async fn proxy(seen: tokio::sync::mpsc::UnboundedSender<String>) -> Raw {
    Raw::start(move |_, mut stream| {
        let seen = seen.clone();
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let target = head.split(' ').nth(1).unwrap().to_owned();
            let allowed = head
                .to_ascii_lowercase()
                .contains("proxy-authorization: basic bwu6c2vjcmv0\r\n");
            seen.send(head.lines().next().unwrap().to_owned()).unwrap();
            if !allowed {
                stream
                    .write_all(b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n")
                    .await
                    .unwrap();
            } else if head.starts_with("CONNECT ") {
                let mut upstream = TcpStream::connect(&target).await.unwrap();
                stream.write_all(b"HTTP/1.1 200 Go on\r\n\r\n").await.unwrap();
                drop(tokio::io::copy_bidirectional(&mut stream, &mut upstream).await);
            } else {
                stream.write_all(OK.as_bytes()).await.unwrap();
            }
        }
    })
    .await
}

#[tokio::test]
async fn proxies_tunnel_what_is_encrypted_and_are_given_the_rest() {
    let authority = Authority::new().unwrap();
    let leaf = authority.leaf("localhost", Age::Good).unwrap();
    let encrypted = server(LOOPBACK, Some(server_tls(&leaf, None))).await;
    let plain = server(LOOPBACK, None).await;
    let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let proxy = proxy(sender).await;
    let through = |url: &str, mode, credential: &str| {
        let transport = TransportSpec {
            proxy: Some(Proxy {
                host: "127.0.0.1".to_owned(),
                port: proxy.addr.port(),
                credential: Some(Secret::from(credential)),
            }),
            ..trusting(&authority, mode, None)
        };
        spec(url, transport)
    };
    let upstreams = Upstreams::new();
    let tls_url = format!("https://localhost:{}", encrypted.addr().port());
    let reply = outcome(&upstreams, &through(&tls_url, Mode::Auto, "me:secret"))
        .await
        .unwrap();
    assert!(reply.starts_with("HTTP/2.0 "), "{reply}");
    assert_eq!(
        seen.recv().await.unwrap(),
        format!("CONNECT localhost:{} HTTP/1.1", encrypted.addr().port())
    );

    let plain_url = format!("http://127.0.0.1:{}", plain.addr().port());
    let reply = outcome(&upstreams, &through(&plain_url, Mode::Always, "me:secret"))
        .await
        .unwrap();
    assert!(reply.starts_with("HTTP/2.0 "), "{reply}");
    assert_eq!(
        seen.recv().await.unwrap(),
        format!("CONNECT 127.0.0.1:{} HTTP/1.1", plain.addr().port())
    );

    // A name that only the proxy can look up.
    let upstream = through("http://models.invalid", Mode::Auto, "me:secret");
    assert_eq!(outcome(&upstreams, &upstream).await, Ok("ok".to_owned()));
    assert_eq!(
        seen.recv().await.unwrap(),
        "POST http://models.invalid/v1/models?x=1 HTTP/1.1"
    );

    let error = outcome(&upstreams, &through(&tls_url, Mode::Auto, "me:wrong"))
        .await
        .unwrap_err();
    assert!(
        error.starts_with("connect: the proxy 127.0.0.1:") && error.contains("proxy_auth"),
        "{error}"
    );
    assert!(!error.contains("wrong"), "{error}");
}

#[tokio::test]
async fn requests_share_a_connection_of_http2_up_to_what_the_server_takes() {
    const REQUESTS: usize = 7;
    let together = Arc::new(Barrier::new(REQUESTS));
    let bound = Bound::bind(LOOPBACK.parse().unwrap()).await.unwrap();
    let few = Settings {
        streams: 3,
        ..settings()
    };
    let answer = service_fn(move |_: Request<Incoming>| {
        let together = together.clone();
        async move {
            // None is answered before all have arrived: what waits for a place on a full connection never would.
            together.wait().await;
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("ok")))
        }
    });
    let server = bound.serve(few, None, answer);
    let transport = TransportSpec {
        http2: Mode::Always,
        ..TransportSpec::default()
    };
    let upstream = Arc::new(spec(&format!("http://{}", server.addr()), transport));
    let upstreams = Upstreams::new();
    let calls: Vec<_> = (0..REQUESTS)
        .map(|_| {
            let (upstreams, upstream) = (upstreams.clone(), upstream.clone());
            tokio::spawn(async move { outcome(&upstreams, &upstream).await })
        })
        .collect();
    for call in calls {
        let answered = tokio::time::timeout(Duration::from_secs(20), call).await;
        assert_eq!(
            answered.expect("no request waits for another's end").unwrap(),
            Ok("ok".to_owned())
        );
    }
}

#[tokio::test]
async fn a_connection_of_http2_that_closes_is_replaced() {
    let first = server(LOOPBACK, None).await;
    let addr = first.addr().to_string();
    let transport = TransportSpec {
        http2: Mode::Always,
        ..TransportSpec::default()
    };
    let upstream = spec(&format!("http://{addr}"), transport);
    let upstreams = Upstreams::new();
    assert!(outcome(&upstreams, &upstream).await.is_ok());
    assert!(first.drain(Duration::from_secs(10)).await, "nothing is in flight");
    let _second = server(&addr, None).await;
    assert!(outcome(&upstreams, &upstream).await.is_ok());
}

/// What arrives in one packet is there without a turn of any other task.
#[tokio::test]
async fn all_that_came_is_given_at_once() {
    const EVENTS: usize = 50;
    let server = Raw::start(|_, mut stream| async move {
        read_request(&mut stream).await.unwrap();
        let mut reply = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for _ in 0..EVENTS {
            reply.extend_from_slice(b"7\r\ndata: x\r\n");
        }
        stream.write_all(&reply).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let upstreams = Upstreams::new();
    let reply = upstreams
        .send(&server.upstream(), to(&server.upstream()), patience())
        .await
        .unwrap();
    let mut body = reply.into_body();
    let mut given = 0;
    let polled = std::future::poll_fn(|cx| {
        loop {
            match std::pin::Pin::new(&mut body).poll_frame(cx) {
                std::task::Poll::Ready(Some(Ok(frame))) => given += frame.into_data().unwrap().len(),
                std::task::Poll::Ready(_) => panic!("the reply does not end"),
                std::task::Poll::Pending if given > 0 => return std::task::Poll::Ready(given),
                std::task::Poll::Pending => return std::task::Poll::Pending,
            }
        }
    });
    assert_eq!(polled.await, EVENTS * "data: x".len());
}

#[tokio::test]
async fn connections_of_http1_are_opened_beside_each_other() {
    const CALLS: usize = 20;
    let authority = Authority::new().unwrap();
    let leaf = authority.leaf("localhost", Age::Good).unwrap();
    let mut config = tls::server(&Server {
        certificate: leaf.certificate.as_bytes(),
        key: leaf.key.as_bytes(),
        client_auth: ClientAuth::None,
        client_ca: None,
    })
    .unwrap();
    Arc::get_mut(&mut config).unwrap().alpn_protocols = Vec::new();
    let together = Arc::new(Barrier::new(CALLS - 1));
    let server = Raw::start(move |number, stream| {
        let (together, acceptor) = (together.clone(), tokio_rustls::TlsAcceptor::from(config.clone()));
        async move {
            // The first finds out what is spoken. No other handshake goes on before all have begun.
            if number > 0 {
                together.wait().await;
            }
            let mut stream = acceptor.accept(stream).await.unwrap();
            read_request(&mut stream).await.unwrap();
            // Its connection is not used again, so that each call has its own.
            let close = OK.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
            stream.write_all(close.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    })
    .await;
    let url = format!("https://localhost:{}", server.addr.port());
    let upstream = Arc::new(spec(&url, trusting(&authority, Mode::Auto, None)));
    let upstreams = Upstreams::new();
    let calls: Vec<_> = (0..CALLS)
        .map(|_| {
            let (upstreams, upstream) = (upstreams.clone(), upstream.clone());
            tokio::spawn(async move { outcome(&upstreams, &upstream).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), Ok("ok".to_owned()));
    }
    assert_eq!(server.connections(), CALLS);
}
