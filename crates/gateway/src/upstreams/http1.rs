//! One HTTP/1.1 connection, driven by the task of whoever uses it: nothing is handed from task to task.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, Version, header};
use http_body::{Body as _, Frame};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http1::{Builder, Connection, SendRequest},
};
use hyper_util::rt::TokioIo;
use transport::Stream;

use super::turn::Turn;

/// The longest head of a reply, and the most that is read ahead, in bytes. hyper takes at most a hundred headers.
const HEAD: usize = 256 * 1024;

/// What has to be polled for anything to happen on a connection.
type Driven = Pin<Box<Connection<TokioIo<Stream>, Full<Bytes>>>>;

/// A connection on which no request is under way, or whose reply is being read.
pub(super) struct Http1 {
    sender: SendRequest<Full<Bytes>>,
    /// `None` once it ended.
    connection: Option<Driven>,
    turn: Turn,
}

/// What sending a request came to.
pub(super) enum Sent {
    /// The head of the reply is there.
    Reply(Response<Incoming>, Http1),
    /// Nothing of the request left: here it is again.
    Unsent(Request<Full<Bytes>>, hyper::Error),
    /// The connection broke.
    Broken(hyper::Error),
}

impl Http1 {
    pub(super) async fn begin(stream: Stream) -> hyper::Result<Self> {
        let (sender, connection) = Builder::new()
            .max_buf_size(HEAD)
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Self {
            sender,
            connection: Some(Box::pin(connection)),
            turn: Turn::new(),
        })
    }

    /// Whether it can take a request, as far as is known here.
    pub(super) fn is_open(&mut self, cx: &Context<'_>) -> bool {
        let Self {
            sender,
            connection,
            turn,
        } = self;
        let polled = turn.poll(cx, |cx| drive(connection, cx));
        polled.is_pending() && connection.is_some() && sender.is_ready()
    }

    pub(super) async fn send(mut self, request: Request<Full<Bytes>>) -> Sent {
        let mut sending = std::pin::pin!(self.sender.try_send_request(request));
        let Self { connection, turn, .. } = &mut self;
        let sent = poll_fn(|cx| {
            turn.poll(cx, |cx| {
                if let Poll::Ready(sent) = sending.as_mut().poll(cx) {
                    return Poll::Ready(sent);
                }
                // What ends the connection is told to the request as well.
                let _ = drive(connection, cx);
                sending.as_mut().poll(cx)
            })
        });
        match sent.await {
            Ok(response) => Sent::Reply(response, self),
            Err(mut error) => match error.take_message() {
                Some(request) => Sent::Unsent(request, error.into_error()),
                None => Sent::Broken(error.into_error()),
            },
        }
    }

    /// The next part of a reply. Reads what came meanwhile.
    pub(super) fn poll_frame(
        &mut self,
        body: &mut Incoming,
        cx: &Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let Self { connection, turn, .. } = self;
        turn.poll(cx, |cx| {
            let frame = Pin::new(&mut *body).poll_frame(cx);
            if frame.is_ready() {
                return frame;
            }
            let _ = drive(connection, cx);
            Pin::new(&mut *body).poll_frame(cx)
        })
    }
}

/// Ready when the connection ended, for whatever reason.
fn drive(connection: &mut Option<Driven>, cx: &mut Context<'_>) -> Poll<()> {
    let Some(open) = connection else {
        return Poll::Ready(());
    };
    match open.as_mut().poll(cx) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(ended) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection to an upstream ended");
            }
            *connection = None;
            Poll::Ready(())
        }
    }
}

/// Writes a request's head as a server wants it (RFC 9112, section 3.2): the path alone, or to a proxy the whole URI.
pub(super) fn address(request: &mut Request<Full<Bytes>>, uri: &Uri, to_proxy: Option<&HeaderValue>, whole: bool) {
    *request.version_mut() = Version::HTTP_11;
    if let Some(host) = uri.authority().and_then(|authority| host(uri, authority)) {
        request.headers_mut().entry(header::HOST).or_insert(host);
    }
    if let Some(credential) = to_proxy {
        request
            .headers_mut()
            .insert(header::PROXY_AUTHORIZATION, credential.clone());
    }
    *request.uri_mut() = match uri.path_and_query() {
        _ if whole => uri.clone(),
        Some(path) => Uri::from(path.clone()),
        None => Uri::from_static("/"),
    };
}

/// The port is left out where it follows from the scheme.
fn host(uri: &Uri, authority: &http::uri::Authority) -> Option<HeaderValue> {
    let usual = matches!(
        (uri.scheme_str(), authority.port_u16()),
        (Some("https"), Some(443)) | (Some("http"), Some(80))
    );
    let text = if usual { authority.host() } else { authority.as_str() };
    HeaderValue::from_str(text).ok()
}
