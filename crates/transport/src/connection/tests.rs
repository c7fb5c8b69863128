use std::{convert::Infallible, net::SocketAddr};

use http_body_util::Full;
use tokio::io::AsyncWriteExt as _;

use super::*;
use crate::{Bound, Listener};

const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const ACK: u8 = 1;
/// What a test may take before it has failed.
const TOO_LONG: Duration = Duration::from_secs(20);

async fn listener(patience: Duration) -> Listener {
    let bound = Bound::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let bound = bound.unreadable(|status| format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\nin words").into());
    let settings = Settings {
        head_timeout: Duration::from_millis(100),
        head_bytes: 16 * 1024,
        connections: 10,
        streams: 10,
        patience,
    };
    let answer = service_fn(|_| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("a refusal"))) });
    bound.serve(settings, None, answer)
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, stream];
    frame.extend_from_slice(payload);
    frame
}

/// A caller of HTTP/2 that grants each stream `window` bytes and no more, has asked, and has been answered.
struct Caller(TcpStream);

impl Caller {
    async fn asks(addr: SocketAddr, window: u8) -> Self {
        let mut caller = Self(TcpStream::connect(addr).await.unwrap());
        let mut bytes = PREFACE.to_vec();
        bytes.extend(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, window]));
        // GET http://x/ as the static table of HPACK has it, whole.
        bytes.extend(frame(1, 5, 1, &[0x82, 0x86, 0x84, 0x41, 1, b'x']));
        caller.0.write_all(&bytes).await.unwrap();
        while caller.next().await.unwrap().0 != 1 {}
        caller
    }

    /// The type of the next frame, and its stream. `None` at the end. Answers what has to be answered.
    async fn next(&mut self) -> Option<(u8, u8)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, _, _, _, stream] = head;
        let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap()];
        self.0.read_exact(&mut payload).await.ok()?;
        if matches!(kind, SETTINGS | PING) && flags & ACK == 0 {
            let answer = if kind == PING { payload } else { Vec::new() };
            self.0.write_all(&frame(kind, ACK, 0, &answer)).await.ok()?;
        }
        Some((kind, stream))
    }

    /// What comes until the connection ends.
    async fn rest(mut self) -> Vec<(u8, u8)> {
        let mut rest = Vec::new();
        let reading = async {
            while let Some(frame) = self.next().await {
                rest.push(frame);
            }
        };
        tokio::time::timeout(TOO_LONG, reading)
            .await
            .expect("the connection ends");
        rest
    }
}

#[tokio::test]
async fn a_caller_that_grants_no_window_does_not_keep_its_connection() {
    let listener = listener(Duration::from_millis(200)).await;
    let rest = Caller::asks(listener.addr(), 0).await.rest().await;
    assert!(rest.contains(&(RST_STREAM, 1)), "{rest:?}");
    // Here hyper is done with the reply, and the rest of it waits below.
    Caller::asks(listener.addr(), 1).await.rest().await;
}

#[tokio::test]
async fn a_caller_that_grants_no_window_holds_up_no_drain() {
    for window in [0, 1] {
        let listener = listener(Duration::from_millis(200)).await;
        let caller = tokio::spawn(Caller::asks(listener.addr(), window).await.rest());
        assert!(listener.drain(TOO_LONG).await);
        caller.await.unwrap();
    }
}

#[tokio::test]
async fn a_request_of_http1_names_one_host() {
    let listener = listener(TOO_LONG).await;
    for (line, hosts, accepted) in [
        ("GET / HTTP/1.1", "", false),
        ("GET / HTTP/1.1", "host: a\r\n", true),
        ("GET / HTTP/1.1", "host:\r\n", true),
        ("GET / HTTP/1.1", "host: a\r\nhost: a\r\n", false),
        ("GET http://a/ HTTP/1.1", "", false),
        ("POST / HTTP/1.1", "content-length: 900000\r\n", false),
        ("GET / HTTP/1.0", "", true),
    ] {
        let mut stream = TcpStream::connect(listener.addr()).await.unwrap();
        let request = format!("{line}\r\n{hosts}connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        let (status, end) = if accepted {
            (" 200 ", "a refusal")
        } else {
            (" 400 ", "in words")
        };
        assert!(
            reply.contains(status) && reply.ends_with(end),
            "{line} {hosts}: {reply}"
        );
    }
}
