//! What a body can know of the connection it goes out on: whether what it handed over is on the socket yet.
//!
//! hyper takes frames from a body ahead of writing them, and drops what it has not written when a body ends in an
//! error. A stream that is to break off after exactly three events, and one that must say how many events its client
//! was sent, need to see the flushes. hyper calls `poll_flush` on the stream when its own buffer is empty.

use std::{
    io,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The state that a connection shares with the body of its current response. HTTP/1.1 has one at a time.
#[derive(Default)]
pub(crate) struct Conn {
    handed: AtomicU64,
    written: AtomicU64,
    flushes: AtomicU64,
    waker: AtomicWaker,
}

impl Conn {
    /// Notes that the current response has handed `events` events to the connection; zero begins a response.
    pub(crate) fn hand(&self, events: u64) {
        if events == 0 {
            self.written.store(0, Ordering::Release);
        }
        self.handed.store(events, Ordering::Release);
    }

    /// How many events of the current response the socket has taken.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Ready once everything handed over before the first call has been written. `mark` remembers that first call.
    pub(crate) fn poll_flushed(&self, cx: &Context<'_>, mark: &mut Option<u64>) -> Poll<()> {
        self.waker.register(cx.waker());
        let flushes = self.flushes.load(Ordering::Acquire);
        if flushes == *mark.get_or_insert(flushes) {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    fn flushed(&self) {
        self.written
            .store(self.handed.load(Ordering::Acquire), Ordering::Release);
        self.flushes.fetch_add(1, Ordering::AcqRel);
        self.waker.wake();
    }
}

/// A socket that tells its [`Conn`] when it has been flushed.
pub(crate) struct Socket {
    inner: TokioIo<TcpStream>,
    conn: std::sync::Arc<Conn>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, conn: std::sync::Arc<Conn>) -> Self {
        Self {
            inner: TokioIo::new(stream),
            conn,
        }
    }
}

impl Read for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl Write for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.conn.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
