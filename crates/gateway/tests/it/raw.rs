//! A connection on which anything can be written, HTTP or not: what clients refuse to send.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::harness::Harness;

/// Long enough for a busy machine; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to the gateway.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
    /// How many interim replies (1xx) have come.
    pub(crate) interim: usize,
    /// Whether the gateway took all that was sent.
    pub(crate) taken: bool,
}

/// A reply, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Status line and headers.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Whether the body came to the end that its head announced.
    pub(crate) whole: bool,
}

impl Reply {
    /// A header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut found = fields.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        found.next().map_or("", |(_, value)| value.trim())
    }

    pub(crate) fn closes(&self) -> bool {
        self.header("connection").eq_ignore_ascii_case("close") || self.head.starts_with("HTTP/1.0")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Raw {
    pub(crate) async fn connect(harness: &Harness) -> Self {
        Self::to(harness.url.trim_start_matches("http://")).await
    }

    pub(crate) async fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            unread: Vec::new(),
            interim: 0,
            taken: true,
        }
    }

    /// Writes what the gateway takes.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let written = timeout(PATIENCE, self.stream.write_all(bytes)).await;
        self.taken = written.expect("the gateway takes bytes or closes").is_ok();
    }

    /// The next reply, or `None` at the end of the connection.
    pub(crate) async fn reply(&mut self) -> Option<Reply> {
        timeout(PATIENCE, self.read_reply())
            .await
            .expect("a reply comes or the connection ends")
    }

    /// Whether the gateway closes the connection without another byte.
    pub(crate) async fn closed(&mut self) -> bool {
        let mut byte = [0];
        let read = timeout(PATIENCE, self.stream.read(&mut byte)).await;
        self.unread.is_empty() && !matches!(read.expect("the connection ends"), Ok(1..))
    }

    async fn read_reply(&mut self) -> Option<Reply> {
        let head = loop {
            let head = self.take_head().await?;
            if !head.starts_with("HTTP/1.1 1") {
                break head;
            }
            self.interim += 1;
        };
        let mut reply = Reply {
            status: head.split(' ').nth(1)?.parse().ok()?,
            head,
            body: Vec::new(),
            whole: true,
        };
        if let Ok(length) = reply.header("content-length").parse() {
            while self.unread.len() < length {
                if !self.more().await {
                    reply.whole = false;
                    break;
                }
            }
            let length = length.min(self.unread.len());
            reply.body = self.unread.drain(..length).collect();
        } else if reply.header("transfer-encoding") == "chunked" {
            reply.whole = self.read_chunks(&mut reply.body).await.is_some();
        } else {
            while self.more().await {}
            reply.body = std::mem::take(&mut self.unread);
        }
        Some(reply)
    }

    /// Status line and headers of the next reply, read off.
    pub(crate) async fn take_head(&mut self) -> Option<String> {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more().await {
                return None;
            }
        };
        let head: Vec<u8> = self.unread.drain(..end).collect();
        Some(String::from_utf8(head).unwrap())
    }

    async fn read_chunks(&mut self, body: &mut Vec<u8>) -> Option<()> {
        loop {
            let chunk = self.chunk().await?;
            if chunk.is_empty() {
                return Some(());
            }
            body.extend(chunk);
        }
    }

    /// The next chunk of a reply; empty at its end, `None` where the connection ends before.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = loop {
            if let Some(at) = self.unread.windows(2).position(|two| two == b"\r\n") {
                break at;
            }
            if !self.more().await {
                return None;
            }
        };
        let size = String::from_utf8(self.unread.drain(..line + 2).take(line).collect()).unwrap();
        let size = usize::from_str_radix(&size, 16).unwrap();
        while self.unread.len() < size + 2 {
            if !self.more().await {
                return None;
            }
        }
        Some(self.unread.drain(..size + 2).take(size).collect())
    }

    /// Reads on; `false` at the end.
    async fn more(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes).await {
            Ok(length @ 1..) => {
                self.unread.extend_from_slice(&bytes[..length]);
                true
            }
            _ => false,
        }
    }
}
