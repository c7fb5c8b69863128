//! The bodies that go out: whole documents, and streams that take their time, stop short, and record how they ended.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::{
    calls::{Finished, Ticket},
    conn::Conn,
    events::Source,
    out::Out,
    script::{How, Stop},
};

/// Events are rendered into allocations of this size, so that a stream does not allocate for each.
const RENDER_BYTES: usize = 4096;

/// The body of a response.
pub(crate) enum Body {
    Document(Box<Document>),
    Stream(Box<Stream>),
}

/// Why hyper closes the connection in the middle of a body.
#[derive(Debug, thiserror::Error)]
#[error("the script of the call cuts the answer")]
pub(crate) struct CutShort;

/// A body that is known whole.
pub(crate) struct Document {
    rest: Bytes,
    /// How many bytes of `rest` never go out, and what happens instead.
    kept_back: usize,
    how: How,
    flush: Option<u64>,
    conn: Arc<Conn>,
    /// What is still to be recorded; `None` for an answer that was recorded when it was made.
    ticket: Option<Ticket>,
}

/// A body of events.
pub(crate) struct Stream {
    source: Source,
    count: u64,
    handed: u64,
    stop: Option<Stop>,
    delay: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    flush: Option<u64>,
    buffer: Out,
    request_id: String,
    conn: Arc<Conn>,
    ticket: Ticket,
    bill_abandoned: bool,
}

impl Body {
    /// A document that needs no further record.
    pub(crate) fn plain(document: Bytes, conn: Arc<Conn>) -> Self {
        Self::Document(Box::new(Document {
            rest: document,
            kept_back: 0,
            how: How::Cut,
            flush: None,
            conn,
            ticket: None,
        }))
    }

    /// A document whose call ends when it has been handed over, or half of it if the script stops it.
    pub(crate) fn document(document: Bytes, stop: Option<Stop>, conn: Arc<Conn>, ticket: Ticket) -> Self {
        let (kept_back, how) = match stop {
            Some(Stop {
                after: 0,
                how: how @ (How::Cut | How::Hang),
            }) => (document.len(), how),
            Some(Stop {
                how: how @ (How::Cut | How::Hang),
                ..
            }) => (document.len().div_ceil(2), how),
            Some(Stop { how: How::Error, .. }) | None => (0, How::Cut),
        };
        Self::Document(Box::new(Document {
            rest: document,
            kept_back,
            how,
            flush: None,
            conn,
            ticket: Some(ticket),
        }))
    }
}

impl Document {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, CutShort>>> {
        let now = self.rest.len().saturating_sub(self.kept_back);
        if now > 0 {
            let data = self.rest.split_to(now);
            if self.rest.is_empty() {
                self.finish(Finished::Completed);
            }
            return Poll::Ready(Some(Ok(data)));
        }
        match self.how {
            _ if self.rest.is_empty() => Poll::Ready(None),
            How::Cut | How::Error => {
                ready!(self.conn.poll_flushed(cx, &mut self.flush));
                self.finish(Finished::Cut);
                Poll::Ready(Some(Err(CutShort)))
            }
            // The connection's task is woken when its client leaves.
            How::Hang => Poll::Pending,
        }
    }

    fn finish(&mut self, finished: Finished) {
        if let Some(ticket) = &mut self.ticket {
            ticket.finish(finished);
        }
    }
}

/// What a stream needs besides its answer.
pub(crate) struct Pace {
    pub(crate) delay: Duration,
    pub(crate) stop: Option<Stop>,
    /// A call that its client leaves is billed in full.
    pub(crate) bill_abandoned: bool,
    pub(crate) request_id: String,
}

impl Stream {
    pub(crate) fn new(source: Source, pace: Pace, conn: Arc<Conn>, ticket: Ticket) -> Self {
        let count = source.count();
        conn.hand(0);
        Self {
            source,
            count,
            handed: 0,
            stop: pace.stop.filter(|stop| stop.after <= count),
            delay: pace.delay,
            timer: None,
            flush: None,
            buffer: Out::with_capacity(RENDER_BYTES),
            request_id: pace.request_id,
            conn,
            ticket,
            bill_abandoned: pace.bill_abandoned,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, CutShort>>> {
        if let Some(Stop { after, how }) = self.stop
            && self.handed >= after
        {
            match how {
                How::Cut => {
                    ready!(self.conn.poll_flushed(cx, &mut self.flush));
                    self.finish(Finished::Cut);
                    return Poll::Ready(Some(Err(CutShort)));
                }
                // The connection's task is woken when its client leaves.
                How::Hang => return Poll::Pending,
                How::Error if self.handed == after => {
                    ready!(self.poll_timer(cx));
                    let event = self.error_event();
                    self.hand();
                    self.finish(Finished::Error);
                    return Poll::Ready(Some(Ok(event)));
                }
                How::Error => return Poll::Ready(None),
            }
        }
        if self.handed >= self.count {
            return Poll::Ready(None);
        }
        ready!(self.poll_timer(cx));
        self.source.write(self.handed, &mut self.buffer);
        self.hand();
        if self.handed == self.count && self.stop.is_none() {
            self.finish(Finished::Completed);
        }
        Poll::Ready(Some(Ok(self.buffer.take())))
    }

    /// Waits between two events.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.delay.is_zero() || self.handed == 0 {
            return Poll::Ready(());
        }
        let delay = self.delay;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(delay)));
        ready!(timer.as_mut().poll(cx));
        timer.as_mut().reset(Instant::now() + delay);
        Poll::Ready(())
    }

    fn hand(&mut self) {
        self.handed += 1;
        self.conn.hand(self.handed);
    }

    /// An error after the status has gone out.
    fn error_event(&mut self) -> Bytes {
        self.source.write_error(self.handed, &self.request_id, &mut self.buffer);
        self.buffer.take()
    }

    /// Records the end. What was handed over is billed; what the socket took counts as delivered.
    fn finish(&mut self, finished: Finished) {
        // The event that tells of an error stands where a delta would have been.
        let produced = self.handed.saturating_sub(u64::from(finished == Finished::Error));
        let whole = finished == Finished::Completed || (self.bill_abandoned && finished == Finished::ClientGone);
        let outcome = &mut self.ticket.outcome;
        outcome.billed = if whole {
            self.source.billed()
        } else {
            self.source.billed_after(produced)
        };
        // The last event of a stream is recorded before it is written, so that whoever has read it finds the record.
        let all_handed = matches!(finished, Finished::Completed | Finished::Error);
        outcome.delivered_events = if all_handed { self.handed } else { self.conn.written() };
        self.ticket.finish(finished);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(finished) = self.ticket.dropped() {
            self.finish(finished);
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = CutShort;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutShort>>> {
        let data = match self.get_mut() {
            Self::Document(document) => document.poll(cx),
            Self::Stream(stream) => stream.poll(cx),
        };
        data.map(|data| data.map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Document(document) => document.rest.is_empty(),
            Self::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Document(document) => SizeHint::with_exact(u64::try_from(document.rest.len()).unwrap_or(u64::MAX)),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}
