//! Closing a connection so that the peer finds the answer on it.
//!
//! A socket that is closed with bytes unread is reset, and a reset can take the answer with it: a caller that was refused
//! in the middle of its body would see a broken connection and not why. So after our side is shut, what still comes is
//! read and dropped, for a while (RFC 9112, section 9.6).

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// How long a peer may go on sending.
const LONGEST: Duration = Duration::from_secs(10);
/// How long nothing may come.
const SILENCE: Duration = Duration::from_secs(1);
/// What is read at once.
const PIECE: usize = 16 * 1024;

/// An extension of a reply: a part of the request is left unread, so the connection closes behind it.
#[derive(Clone, Copy, Debug)]
pub struct Unread;

/// A stream that is shut gently.
pub(crate) struct Lingering<S> {
    inner: S,
    /// Whether more is to come that nobody will read.
    unread: Arc<AtomicBool>,
    /// Set once our side is shut: when to give up, and the timer for it.
    shut: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<S> Lingering<S> {
    /// Whoever leaves a body unread sets `unread`. What has come by the time of the shutdown is dropped in any case.
    pub(crate) fn new(inner: S, unread: Arc<AtomicBool>) -> Self {
        Self {
            inner,
            unread,
            shut: None,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.shut.is_none() {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
        }
        let now = Instant::now();
        let (until, timer) = this
            .shut
            .get_or_insert_with(|| (now + LONGEST, Box::pin(tokio::time::sleep_until(now + SILENCE))));
        let mut piece = [0; PIECE];
        loop {
            let mut buffer = ReadBuf::new(&mut piece);
            match Pin::new(&mut this.inner).poll_read(cx, &mut buffer) {
                // The peer has closed, or the connection is broken: nobody is there to find anything.
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Err(_)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {
                    this.unread.store(true, Relaxed);
                    timer.as_mut().reset((*until).min(Instant::now() + SILENCE));
                }
                Poll::Pending if !this.unread.load(Relaxed) => return Poll::Ready(Ok(())),
                Poll::Pending => return timer.as_mut().poll(cx).map(Ok),
            }
            if Instant::now() >= *until {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn pair(unread: bool) -> (Lingering<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(64);
        (Lingering::new(ours, Arc::new(AtomicBool::new(unread))), theirs)
    }

    #[tokio::test]
    async fn what_still_comes_is_taken_until_the_peer_closes() {
        let (mut ours, mut theirs) = pair(true);
        let sending = tokio::spawn(async move {
            // More than fits, so it has to be taken for this to end.
            theirs.write_all(&[7; 10_000]).await.unwrap();
            let mut answer = Vec::new();
            theirs.read_to_end(&mut answer).await.unwrap();
            answer
        });
        ours.write_all(b"no").await.unwrap();
        ours.shutdown().await.unwrap();
        assert_eq!(sending.await.unwrap(), b"no");
    }

    #[tokio::test]
    async fn nobody_is_waited_for_who_sent_nothing() {
        let (mut ours, theirs) = pair(false);
        ours.shutdown().await.unwrap();
        drop(theirs);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_closes_is_left() {
        let (mut ours, mut theirs) = pair(true);
        let started = Instant::now();
        ours.shutdown().await.unwrap();
        assert_eq!(started.elapsed(), SILENCE);

        let (mut ours, mut more) = pair(true);
        let sending = tokio::spawn(async move {
            while more.write_all(&[7; 100]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
        let started = Instant::now();
        ours.shutdown().await.unwrap();
        assert!(
            (LONGEST..LONGEST + SILENCE).contains(&started.elapsed()),
            "{:?}",
            started.elapsed()
        );
        drop(ours);
        sending.await.unwrap();
        assert!(theirs.write_all(&[7]).await.is_ok());
    }
}
