//! What others answer on the agents' listener: the first segments of paths that are neither the gateway's own nor an
//! upstream's. Whoever puts the server together says who that is; edges do not know each other.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode, header, request::Parts};
use http_body_util::{Either, Full};
use hyper::body::Incoming;

pub use crate::bodies::Unread;
use crate::{
    bodies::Bodies,
    replays::Recorded,
    service::{close, read_over},
};

/// The answer of a mount, on its way.
pub type Mounted<'a> = Pin<Box<dyn Future<Output = Response<Bytes>> + Send + 'a>>;

/// Somebody else who answers on this listener.
pub trait Mount: Send + Sync + fmt::Debug {
    /// Answers a request. Its body comes when it is asked for.
    fn answer<'a>(&'a self, head: &'a Parts, body: &'a mut RequestBody) -> Mounted<'a>;
}

/// The body of a request, until it is read. It counts among the bodies of all calls in flight.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Option<Incoming>,
    bodies: Arc<Bodies>,
    within: Duration,
}

impl RequestBody {
    /// Reads it to its end, with at most so many bytes. There is nothing left behind a success.
    ///
    /// # Errors
    /// Why it was not read.
    pub async fn read(&mut self, most: usize) -> Result<Bytes, Unread> {
        let Some(incoming) = &mut self.incoming else {
            return Ok(Bytes::new());
        };
        let read = self.bodies.read(incoming, most, self.within).await?;
        self.incoming = None;
        Ok(read)
    }
}

/// Has a mount answer a request, and leaves the connection so that it can be used again, or says that it cannot.
pub(crate) async fn answer(
    mount: &dyn Mount,
    head: &Parts,
    body: Incoming,
    bodies: Arc<Bodies>,
    within: Duration,
) -> Response<Recorded> {
    let mut body = RequestBody {
        incoming: Some(body),
        bodies,
        within,
    };
    let response = mount.answer(head, &mut body).await;
    let late = response.status() == StatusCode::REQUEST_TIMEOUT;
    let mut response = response.map(|body| Recorded::plain(Either::Left(Full::new(body))));
    if !read_over(&head.headers, late, body.incoming).await {
        close(&mut response);
        response.extensions_mut().insert(transport::Unread);
    }
    if head.headers.contains_key(header::TRANSFER_ENCODING) {
        // As for every other request: see `Service::answer`.
        close(&mut response);
    }
    response
}
