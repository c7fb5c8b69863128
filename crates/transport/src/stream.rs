//! A connection's bytes, encrypted or not.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, TlsStream};

/// A TCP connection, with TLS or without.
#[derive(Debug)]
pub struct Stream {
    /// What was read already and is to be read again.
    read: Bytes,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// A connection without TLS.
    pub fn plain(stream: TcpStream) -> Self {
        Self {
            read: Bytes::new(),
            kind: Kind::Plain(stream),
        }
    }

    /// Connects to a host, with TLS if there is a configuration for it. Nothing bounds the time it takes.
    ///
    /// # Errors
    /// When it has no address, nobody listens there, or the handshake fails.
    pub async fn connect(host: &str, port: u16, tls: Option<Arc<ClientConfig>>) -> io::Result<Self> {
        let host = host.trim_matches(['[', ']']);
        let tcp = TcpStream::connect((host, port)).await?;
        tcp.set_nodelay(true)?;
        let Some(config) = tls else {
            return Ok(Self::plain(tcp));
        };
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = TlsConnector::from(config).connect(name, tcp).await?;
        Ok(Self::tls(stream.into()))
    }

    /// A connection with TLS.
    pub fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self {
            read: Bytes::new(),
            kind: Kind::Tls(Box::new(stream)),
        }
    }

    /// Puts bytes back that were read from it.
    #[must_use]
    pub(crate) fn after(mut self, read: Bytes) -> Self {
        self.read = read;
        self
    }

    /// The protocol that both sides agreed on in the TLS handshake (RFC 7301).
    pub fn alpn(&self) -> Option<&[u8]> {
        match &self.kind {
            Kind::Plain(_) => None,
            Kind::Tls(stream) => stream.get_ref().1.alpn_protocol(),
        }
    }

    /// The certificate that the peer has shown, in DER. It was checked in the handshake.
    pub(crate) fn peer_certificate(&self) -> Option<&[u8]> {
        match &self.kind {
            Kind::Plain(_) => None,
            Kind::Tls(stream) => {
                let shown = stream.get_ref().1.peer_certificates()?;
                shown.first().map(AsRef::as_ref)
            }
        }
    }

    /// Whether it has TLS.
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.kind, Kind::Tls(_))
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let again = !this.read.is_empty();
        if again {
            let part = this.read.split_to(this.read.len().min(buffer.remaining()));
            buffer.put_slice(&part);
            if buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        // What has come behind it goes along: a reader that got the two apart would make room for both.
        let read = match &mut this.kind {
            Kind::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Kind::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        if again && read.is_pending() {
            return Poll::Ready(Ok(()));
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.kind {
            Kind::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Kind::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.kind {
            Kind::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Kind::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.kind {
            Kind::Plain(stream) => stream.is_write_vectored(),
            Kind::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.kind {
            Kind::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Kind::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.kind {
            Kind::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Kind::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
