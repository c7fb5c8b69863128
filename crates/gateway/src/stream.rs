//! The body of a reply that passes as it comes.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use control::{BodyEnd, Meter, UpstreamSpec};
use http_body::{Body, Frame};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::{leaks, upstreams::UpstreamBody};

/// What has come is written at once, but not in larger pieces than this: more only adds latency.
const WRITE_MAX: usize = 64 * 1024;

/// Why hyper closes the caller's connection inside of a reply: a body that is no event stream has no other way to say that
/// it is not whole.
#[derive(Debug)]
pub(crate) struct BrokenOff;

impl std::fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the reply broke off before its end")
    }
}

impl std::error::Error for BrokenOff {}

/// A reply on its way. It holds nothing back that could be delivered, and asks for more only when the caller takes it.
///
/// Dropped before its end, the caller is gone: the upstream's connection closes with it, and the meter books.
pub(crate) struct Passing {
    upstream: UpstreamBody,
    meter: Meter,
    /// Parts to deliver, oldest first.
    parts: Vec<Bytes>,
    bytes: usize,
    ended: bool,
    /// The upstream sent all of it, and it was not cut.
    whole: bool,
    /// Ended before it was whole, without an event that says so.
    broken: bool,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    timer: Pin<Box<Sleep>>,
    bounds: Bounds,
    /// When something last came.
    active: Instant,
    /// Whose reply it is: none may quote its credential.
    spec: Arc<UpstreamSpec>,
    watch: leaks::Watch,
}

/// How long the body of a reply may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Between two parts of it.
    pub(crate) idle: Duration,
    /// The call, in all.
    pub(crate) total: Duration,
    /// When the call must be over by that.
    pub(crate) deadline: Instant,
}

impl Passing {
    pub(crate) fn new(
        upstream: UpstreamBody,
        meter: Meter,
        cancel: CancellationToken,
        bounds: Bounds,
        spec: Arc<UpstreamSpec>,
    ) -> Self {
        let now = Instant::now();
        Self {
            upstream,
            meter,
            parts: Vec::new(),
            bytes: 0,
            ended: false,
            whole: false,
            broken: false,
            cancelled: Box::pin(cancel.cancelled_owned()),
            timer: Box::pin(tokio::time::sleep_until(bounds.deadline.min(now + bounds.idle))),
            bounds,
            active: now,
            spec,
            watch: leaks::Watch::default(),
        }
    }

    /// Puts bytes in front that were read before it was known that the reply is too long to be read whole.
    pub(crate) fn after(mut self, read: Bytes) -> Self {
        match self.watch.quotes(&self.spec, &read) {
            true => self.end(BodyEnd::Broken),
            false => self.take(read),
        }
        self
    }

    /// Whether the upstream sent all of it.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    fn take(&mut self, chunk: Bytes) {
        let first = self.parts.len();
        if let Some(last) = self.meter.push(chunk, &mut self.parts) {
            self.parts.push(last);
            self.ended = true;
        }
        self.bytes += self.parts.iter().skip(first).map(Bytes::len).sum::<usize>();
    }

    fn end(&mut self, how: BodyEnd) {
        if !self.ended {
            self.meter.finish(how, &mut self.parts);
            self.ended = true;
            self.whole = how == BodyEnd::Complete;
            self.broken = how != BodyEnd::Complete && !self.meter.is_stream();
        }
    }

    /// Everything that waits, as one frame: one chunk, one write.
    fn deliver(&mut self) -> Option<Frame<Bytes>> {
        let parts = std::mem::take(&mut self.parts);
        self.bytes = 0;
        let mut parts = parts.into_iter().filter(|part| !part.is_empty());
        let first = parts.next()?;
        let Some(second) = parts.next() else {
            return Some(Frame::data(first));
        };
        let mut joined = BytesMut::from(first);
        joined.extend_from_slice(&second);
        parts.for_each(|part| joined.extend_from_slice(&part));
        Some(Frame::data(joined.freeze()))
    }

    /// Which bound it has passed, if any. The timer is set anew only when it fires, not with each chunk.
    fn overdue(&mut self, cx: &mut Context<'_>) -> Option<BodyEnd> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if self.bounds.deadline <= now {
                return Some(BodyEnd::Overdue(self.bounds.total));
            }
            let due = self.bounds.deadline.min(self.active + self.bounds.idle);
            if due <= now {
                return Some(BodyEnd::Timeout(self.bounds.idle));
            }
            self.timer.as_mut().reset(due);
        }
        None
    }

    /// Reads all that has come already. Ready when something is to be delivered or the reply is over.
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.ended && self.bytes < WRITE_MAX {
            match Pin::new(&mut self.upstream).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.active = Instant::now();
                    // An upstream that always has something ready would never let the timer be asked.
                    if self.bounds.deadline <= self.active {
                        self.end(BodyEnd::Overdue(self.bounds.total));
                        break;
                    }
                    match frame.into_data() {
                        Ok(data) if self.watch.quotes(&self.spec, &data) => self.end(BodyEnd::Broken),
                        Ok(data) => self.take(data),
                        // Trailers belong to the upstream's connection.
                        Err(_) => {}
                    }
                }
                Poll::Ready(Some(Err(_))) => self.end(BodyEnd::Broken),
                Poll::Ready(None) => self.end(BodyEnd::Complete),
                Poll::Pending if self.bytes == 0 => return Poll::Pending,
                Poll::Pending => return Poll::Ready(()),
            }
        }
        Poll::Ready(())
    }
}

impl Body for Passing {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if !this.ended && this.cancelled.as_mut().poll(cx).is_ready() {
            this.end(BodyEnd::Revoked);
        }
        loop {
            if this.ended {
                let rest = this.deliver().map(Ok);
                return Poll::Ready(rest.or_else(|| std::mem::take(&mut this.broken).then_some(Err(BrokenOff))));
            }
            match this.poll_upstream(cx) {
                Poll::Ready(()) if this.bytes == 0 && !this.ended => {}
                Poll::Ready(()) => {
                    if let Some(frame) = this.deliver() {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                }
                Poll::Pending => match this.overdue(cx) {
                    Some(end) => this.end(end),
                    None => return Poll::Pending,
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.parts.is_empty() && !self.broken
    }
}
