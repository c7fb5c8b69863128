//! Servers that take entries, or do not.

use testkit::pki::{Age, Authority};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use transport::tls::{self, ClientAuth};

use super::*;

/// What a server does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// Answers with a status and these headers.
    Say(u16, &'static str),
    /// Answers with 200, which never arrives: the connection is closed instead.
    TakeAndHang,
    /// Closes the connection before anything is read.
    Close,
    /// Says nothing for ever.
    Hang,
}

/// A request as it came.
#[derive(Clone, Debug)]
struct Got {
    head: String,
    body: String,
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

#[derive(Clone, Default)]
struct Receiver {
    acts: Arc<Mutex<VecDeque<Act>>>,
    taken: Arc<Mutex<Vec<Got>>>,
    seen: Arc<Mutex<Vec<Got>>>,
}

impl Receiver {
    /// A server that does this, and then takes everything.
    async fn start(acts: &[Act]) -> (Self, String) {
        let receiver = Self::default();
        receiver.acts.lock().unwrap().extend(acts);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?key=canary", listener.local_addr().unwrap());
        let server = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(server.clone().serve(stream));
            }
        });
        (receiver, url)
    }

    /// The same with TLS, under a name that this authority vouches for.
    async fn start_with_tls(authority: &Authority) -> (Self, String) {
        let receiver = Self::default();
        let leaf = authority.leaf("localhost", Age::Good).unwrap();
        let config = tls::server(&tls::Server {
            certificate: leaf.certificate.as_bytes(),
            key: leaf.key.as_bytes(),
            client_auth: ClientAuth::None,
            client_ca: None,
        });
        let acceptor = TlsAcceptor::from(config.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "https://localhost:{}/hook?key=canary",
            listener.local_addr().unwrap().port()
        );
        let server = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(stream) = acceptor.accept(stream).await {
                    tokio::spawn(server.clone().serve(stream));
                }
            }
        });
        (receiver, url)
    }

    async fn serve(self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        loop {
            let close = self.acts.lock().unwrap().front() == Some(&Act::Close);
            if close {
                self.acts.lock().unwrap().pop_front();
                return;
            }
            let Some(got) = receive(&mut stream).await else { return };
            let act = self.acts.lock().unwrap().pop_front().unwrap_or(Act::Say(200, ""));
            self.seen.lock().unwrap().push(got.clone());
            let take = || self.taken.lock().unwrap().push(got.clone());
            match act {
                Act::Say(status, headers) => {
                    if (200..300).contains(&status) {
                        take();
                    }
                    let answer = format!("HTTP/1.1 {status} x\r\n{headers}content-length: 0\r\n\r\n");
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
                Act::TakeAndHang => {
                    take();
                    return;
                }
                Act::Hang => std::future::pending().await,
                Act::Close => return,
            }
        }
    }

    fn ids(&self) -> Vec<String> {
        let taken = self.taken.lock().unwrap();
        taken.iter().flat_map(|got| ids(&got.body)).collect()
    }
}

async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Option<Got> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let got = Got {
        head,
        body: String::new(),
    };
    let length = got.header("content-length")?.parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let body = String::from_utf8(body).unwrap();
    Some(Got { body, ..got })
}

fn webhook(url: String) -> SinkSpec {
    spec(SinkTarget::Webhook(Webhook {
        url,
        secret: Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()),
        ca: None,
        batch: 3,
        timeout: Duration::from_millis(200),
    }))
}

#[tokio::test]
async fn a_server_that_fails_in_every_way_gets_everything_in_the_end() {
    let world = World::new().await;
    world.work(0..10).await;
    let acts = [
        Act::Say(500, ""),
        Act::Close,
        Act::Say(200, ""),
        Act::Hang,
        Act::TakeAndHang,
        Act::Say(410, ""),
        Act::Say(302, "location: /elsewhere\r\n"),
        Act::Say(503, "retry-after: 0\r\n"),
        Act::Say(413, ""),
    ];
    let (receiver, url) = Receiver::start(&acts).await;
    let running = world.run(&webhook(url));
    world.caught_up().await;
    running.stop().await;
    let twice = check_all(&receiver.ids(), &world.all().await);
    assert_eq!(twice, 3, "what a server took without saying so is there twice");
    let seen = receiver.seen.lock().unwrap();
    let largest = |got: &[Got]| got.iter().map(|got| ids(&got.body).len()).max().unwrap();
    assert_eq!(
        (largest(&seen[..8]), largest(&seen[8..])),
        (3, 1),
        "after 413 there are fewer"
    );
    let report = world.report();
    // A connection that is closed between two requests may be noticed in time, which is no failure.
    assert!((6..=7).contains(&report.failures), "{report:?}");
    assert!(!report.target.contains("canary"), "{report:?}");
    for got in seen.iter() {
        assert!(
            got.head.starts_with("POST /hook?key=canary HTTP/1.1\r\n"),
            "{}",
            got.head
        );
        assert_eq!(got.header("content-type"), Some("application/x-ndjson"));
        assert!(got.header("webhook-signature").unwrap().starts_with("v1,"));
        assert!(got.header("webhook-timestamp").unwrap().parse::<u64>().is_ok());
    }
    // The same parcel has the same id each time.
    assert_eq!(seen[0].header("webhook-id"), seen[1].header("webhook-id"));
}

#[tokio::test]
async fn a_crash_between_delivery_and_cursor_sends_again_only_what_is_at_the_seam() {
    let world = World::new().await;
    world.work(0..10).await;
    let (receiver, url) = Receiver::start(&[]).await;
    let running = world.run(&webhook(url.clone()));
    running.faults.0.lock().unwrap().push_back(Moment::BeforeSave);
    running.faults.0.lock().unwrap().push_back(Moment::AfterDelivery);
    world.caught_up().await;
    running.crash().await;
    let running = world.run(&webhook(url));
    world.work(10..12).await;
    world.caught_up().await;
    running.stop().await;
    assert!(check_all(&receiver.ids(), &world.all().await) <= 6);
}

#[tokio::test]
async fn a_stop_waits_for_what_is_under_way_and_not_for_ever() {
    let world = World::new().await;
    let (receiver, url) = Receiver::start(&[Act::Hang]).await;
    let mut spec = webhook(url);
    if let SinkTarget::Webhook(webhook) = &mut spec.target {
        webhook.timeout = PATIENCE;
    }
    let running = world.run(&spec);
    let asked = async {
        while receiver.seen.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap();
    running.stop().await;
    assert!(receiver.ids().is_empty());
    let running = world.run(&spec);
    world.caught_up().await;
    running.stop().await;
    assert_eq!(check_all(&receiver.ids(), &world.all().await), 0);
}

#[tokio::test]
async fn a_server_is_believed_by_the_authority_that_is_named() {
    let world = World::new().await;
    let ours = Authority::new().unwrap();
    let other = Authority::new().unwrap();
    let (receiver, url) = Receiver::start_with_tls(&ours).await;
    let spec = |ca: &Authority| {
        let mut spec = webhook(url.clone());
        if let SinkTarget::Webhook(webhook) = &mut spec.target {
            webhook.ca = Some(ca.pem());
        }
        spec
    };
    let running = world.run(&spec(&other));
    let failing = async {
        while world.report().state != "failing" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, failing).await.unwrap();
    assert!(world.report().error.unwrap().contains("no TLS"), "{:?}", world.report());
    running.stop().await;
    assert!(receiver.ids().is_empty());
    let running = world.run(&spec(&ours));
    world.caught_up().await;
    running.stop().await;
    check_all(&receiver.ids(), &world.all().await);
}

/// A server that does not answer holds up neither the log nor a stop.
#[tokio::test]
async fn a_server_that_hangs_holds_up_nobody() {
    let world = World::new().await;
    let hang = [Act::Hang; 64];
    let (receiver, url) = Receiver::start(&hang).await;
    let running = world.run(&webhook(url.clone()));
    world.work(0..200).await;
    let report = world.report();
    assert!(report.behind >= 200 && report.delivered == 0, "{report:?}");
    let running = {
        running.crash().await;
        receiver.acts.lock().unwrap().clear();
        world.run(&webhook(url))
    };
    world.caught_up().await;
    running.stop().await;
    check_all(&receiver.ids(), &world.all().await);
}

#[tokio::test]
async fn cloud_events_come_as_a_batch() {
    let world = World::new().await;
    world.work(0..2).await;
    let (receiver, url) = Receiver::start(&[]).await;
    let spec = SinkSpec {
        format: SinkFormat::CloudEvents,
        ..webhook(url)
    };
    let running = world.run(&spec);
    world.caught_up().await;
    running.stop().await;
    let taken = receiver.taken.lock().unwrap().clone();
    let mut found = BTreeSet::new();
    for got in taken.iter() {
        assert_eq!(got.header("content-type"), Some("application/cloudevents-batch+json"));
        let events: Vec<serde_json::Value> = serde_json::from_str(&got.body).unwrap();
        assert!((1..=3).contains(&events.len()));
        for event in events {
            let (tenant, index) = (event["tenant"].as_str().unwrap(), event["leafindex"].as_str().unwrap());
            assert_eq!(event["id"], format!("{tenant}/{index}"));
            assert_eq!(event["source"], format!("test.example/{tenant}"));
            found.insert(event["id"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(found, world.all().await);
}
