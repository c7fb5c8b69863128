//! What a caller is told whose request cannot be read as HTTP.
//!
//! hyper answers by itself with a status and no body, before any request reaches the service. An agent's SDK makes an
//! error without a word of that, so the reply is exchanged for one that says what is wrong, as it leaves.

use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is said instead of hyper's own reply with a status: a whole HTTP/1.1 reply that closes the connection.
#[derive(Clone)]
pub(crate) struct Instead(pub(crate) Arc<dyn Fn(StatusCode) -> Bytes + Send + Sync>);

impl fmt::Debug for Instead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Instead")
    }
}

/// A stream that knows hyper's own replies.
pub(crate) struct Unreadable<S> {
    inner: S,
    /// `None` leaves them as they are.
    instead: Option<Instead>,
    /// What is left to write of a reply of ours.
    ours: Bytes,
}

impl<S> Unreadable<S> {
    pub(crate) fn new(inner: S, instead: Option<Instead>) -> Self {
        Self {
            inner,
            instead,
            ours: Bytes::new(),
        }
    }

    /// Takes over a reply of hyper's own; whether this is one.
    fn exchanges(&mut self, bytes: &[u8]) -> bool {
        let (Some(Instead(instead)), Some(status)) = (&self.instead, own_status(bytes)) else {
            return false;
        };
        self.ours = instead(status);
        true
    }
}

impl<S: AsyncWrite + Unpin> Unreadable<S> {
    fn poll_ours(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.ours.has_remaining() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.ours))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.ours.advance(written.min(self.ours.len()));
        }
        Poll::Ready(Ok(()))
    }
}

/// The status of a reply that hyper made by itself: a head that says that the connection closes, that there is no body,
/// and what time it is. Every reply of ours says more.
fn own_status(bytes: &[u8]) -> Option<StatusCode> {
    let rest = bytes.strip_prefix(b"HTTP/1.1 4")?;
    let text = std::str::from_utf8(rest).ok()?;
    let (line, fields) = text.strip_suffix("\r\n\r\n")?.split_once("\r\n")?;
    let of_hyper =
        |field: &str| matches!(field, "connection: close" | "content-length: 0") || field.starts_with("date: ");
    if fields.split("\r\n").count() > 3 || !fields.split("\r\n").all(of_hyper) {
        return None;
    }
    StatusCode::from_bytes(format!("4{}", line.get(..2)?).as_bytes()).ok()
}

impl<S: AsyncRead + Unpin> AsyncRead for Unreadable<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Unreadable<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_ours(cx))?;
        if self.exchanges(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_ours(cx))?;
        if let [only] = parts
            && self.exchanges(only)
        {
            return Poll::Ready(Ok(only.len()));
        }
        Pin::new(&mut self.inner).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_ours(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_ours(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_hyper_says_by_itself_is_exchanged() {
        let date = "date: Sun, 22 Nov 2026 20:30:00 GMT";
        for (text, status) in [
            (
                format!("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n{date}\r\n\r\n"),
                Some(400),
            ),
            (
                format!(
                    "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n{date}\r\n\r\n"
                ),
                Some(431),
            ),
            (
                format!("HTTP/1.1 400 Bad Request\r\nx-a: b\r\ncontent-length: 0\r\n{date}\r\n\r\n"),
                None,
            ),
            (
                format!("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 2\r\n{date}\r\n\r\nno"),
                None,
            ),
            (
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n{date}\r\n\r\n"),
                None,
            ),
            ("HTTP/1.1 4".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(
                own_status(text.as_bytes()).map(|status| status.as_u16()),
                status,
                "{text}"
            );
        }
    }
}
