//! The body of an upstream's reply.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::{http1::Http1, http2::Place, origin::Origin};

/// The body of an upstream's reply. Dropped before its end, its connection closes, or its stream is reset.
pub(crate) struct UpstreamBody {
    body: Incoming,
    from: From,
}

enum From {
    /// A connection of its own, which is kept for others when the body ended as it should.
    Http1(Box<(Http1, Arc<Origin>)>),
    /// A place on one that others use.
    Http2 { _place: Place },
    /// It ended.
    Nowhere,
}

impl std::fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamBody").finish_non_exhaustive()
    }
}

impl UpstreamBody {
    pub(super) fn http1(body: Incoming, connection: Http1, origin: Arc<Origin>) -> Self {
        let from = From::Http1(Box::new((connection, origin)));
        Self { body, from }
    }

    pub(super) fn http2(body: Incoming, place: Place) -> Self {
        let from = From::Http2 { _place: place };
        Self { body, from }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = hyper::Error;

    /// Gives all that has come already, one part after the other, before it is pending.
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let frame = match &mut this.from {
            From::Http1(used) => used.0.poll_frame(&mut this.body, cx),
            From::Http2 { .. } | From::Nowhere => Pin::new(&mut this.body).poll_frame(cx),
        };
        match &frame {
            Poll::Ready(None) => {
                if let From::Http1(used) = std::mem::replace(&mut this.from, From::Nowhere) {
                    let (mut connection, origin) = *used;
                    // Not if the request is still being sent, or either side said that it closes.
                    if connection.is_open(cx) {
                        origin.keep(connection);
                    }
                }
            }
            Poll::Ready(Some(Err(_))) => this.from = From::Nowhere,
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        // The end itself has to be asked for: only then is the connection kept.
        matches!(self.from, From::Nowhere) && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
