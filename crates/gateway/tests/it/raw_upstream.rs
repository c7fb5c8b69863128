//! An upstream whose bytes a test writes, for what an HTTP library would not send.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};

/// What the upstream does when it has read a request.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) acts: Vec<Act>,
    pub(crate) then: Then,
    /// The body that the caller is to have if all goes well.
    pub(crate) body: Bytes,
}

#[derive(Clone, Debug)]
pub(crate) enum Act {
    Send(Bytes),
    /// Waits for [`Raw::go_on`].
    Wait,
    /// The same bytes again and again, until nobody takes them.
    Endless(Bytes),
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It waits for the next request.
    Keep,
    Close,
    Reset,
    /// Nothing more comes until the other side closes it.
    Hang,
}

impl Script {
    /// Exactly these bytes.
    pub(crate) fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self {
            acts: vec![Act::Send(bytes.into())],
            then: Then::Keep,
            body: Bytes::new(),
        }
    }

    /// A head (what follows `HTTP/1.1 `, without its last line end), and a body of the length that its head says.
    pub(crate) fn whole(head: &str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let length = body.len();
        Self::framed(&format!("{head}\r\ncontent-length: {length}"), body)
    }

    /// A head that says all about the body that follows it.
    pub(crate) fn framed(head: &str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let bytes = [format!("HTTP/1.1 {head}\r\n\r\n").as_bytes(), &body].concat();
        Self {
            body,
            ..Self::bytes(bytes)
        }
    }

    /// A chunked body in one chunk, and the last chunk unless it is cut.
    pub(crate) fn chunked(head: &str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let (open, more) = (Self::open(head, body.clone()), Self::bytes("0\r\n\r\n"));
        Self {
            acts: [open.acts, more.acts].concat(),
            then: Then::Keep,
            body,
        }
    }

    /// A chunked body of which more is to come; the connection closes instead.
    pub(crate) fn open(head: &str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let size = match body.len() {
            0 => String::new(),
            length => format!("{length:x}\r\n"),
        };
        let end: &[u8] = if body.is_empty() { b"" } else { b"\r\n" };
        let head = format!("HTTP/1.1 {head}\r\ntransfer-encoding: chunked\r\n\r\n{size}");
        let bytes = [head.as_bytes(), &body, end].concat();
        Self {
            body,
            then: Then::Close,
            ..Self::bytes(bytes)
        }
    }

    pub(crate) fn then(self, then: Then) -> Self {
        Self { then, ..self }
    }

    /// With one more act at the end.
    pub(crate) fn and(mut self, act: Act) -> Self {
        self.acts.push(act);
        self
    }
}

/// The upstream. It plays one script at a time, to whoever sends a request.
pub(crate) struct Raw {
    addr: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    script: Mutex<Script>,
    go_on: Notify,
    requests: AtomicU64,
    written: AtomicU64,
}

impl Raw {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Mutex::new(Script::bytes("")),
            go_on: Notify::new(),
            requests: AtomicU64::new(0),
            written: AtomicU64::new(0),
        });
        let task = tokio::spawn({
            let shared = shared.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, shared.clone()));
                }
            }
        });
        Self { addr, shared, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub(crate) fn play(&self, script: Script) {
        *self.shared.script.lock().unwrap() = script;
    }

    /// Ends one [`Act::Wait`].
    pub(crate) fn go_on(&self) {
        self.shared.go_on.notify_one();
    }

    /// How many requests were read.
    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Acquire)
    }

    /// How many bytes were taken, by the other side or by the buffers between.
    pub(crate) fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Acquire)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection. Any failure is the other side's end of it.
async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    stream.set_nodelay(true).unwrap();
    let script = || shared.script.lock().unwrap().clone();
    while read_request(&mut stream).await {
        shared.requests.fetch_add(1, Ordering::AcqRel);
        let script = script();
        for act in &script.acts {
            let sent = match act {
                Act::Send(bytes) => send(&mut stream, bytes, &shared).await,
                Act::Wait => {
                    shared.go_on.notified().await;
                    true
                }
                Act::Endless(bytes) => {
                    while send(&mut stream, bytes, &shared).await {}
                    false
                }
            };
            if !sent {
                return;
            }
        }
        match script.then {
            Then::Keep => {}
            Then::Close => return,
            Then::Reset => {
                stream.set_zero_linger().unwrap();
                return;
            }
            Then::Hang => {
                let mut rest = [0; 256];
                while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
                return;
            }
        }
    }
}

async fn send(stream: &mut TcpStream, bytes: &[u8], shared: &Shared) -> bool {
    let sent = stream.write_all(bytes).await.is_ok();
    shared
        .written
        .fetch_add(u64::try_from(bytes.len()).unwrap(), Ordering::AcqRel);
    sent
}

/// Reads a request whose head says how long its body is.
async fn read_request(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return false,
        }
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head
        .split("content-length: ")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next())
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.is_ok()
}
