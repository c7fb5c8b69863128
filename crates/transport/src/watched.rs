//! Replies on an HTTP/2 connection whose callers stop taking them.
//!
//! A caller that grants no window keeps a reply from being asked for its next part, so the reply cannot see its own
//! deadline; other replies go on, so the connection is not at fault. What was not asked for too long is dropped, with the
//! upstream's connection and all else that belongs to it. hyper, which waits for the window, would hold what is left of
//! the stream for ever: so its task is ended as well, which resets the stream.

use std::{
    error::Error,
    pin::Pin,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

tokio::task_local! {
    /// Ends the task that answers a request.
    static TASK: CancellationToken;
}

/// Runs what answers each request of a connection in a task that [`Streams`] can end.
#[derive(Clone, Debug)]
pub(crate) struct Tasks;

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, future: F) {
        let task = CancellationToken::new();
        let ended = task.clone();
        tokio::spawn(TASK.scope(task, async move { ended.run_until_cancelled_owned(future).await }));
    }
}

/// What belongs to one connection: how many requests are open, and replies to look after.
#[derive(Debug)]
pub(crate) struct Streams {
    open: AtomicUsize,
    bodies: Mutex<Vec<Weak<dyn Stalled>>>,
}

/// A request that is open until this is dropped.
#[derive(Debug)]
pub(crate) struct Open(Arc<Streams>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

trait Stalled: Send + Sync + std::fmt::Debug {
    fn drop_if_stalled(&self, since: Instant);
}

impl Streams {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            open: AtomicUsize::new(0),
            bodies: Mutex::new(Vec::new()),
        })
    }

    /// Counts a request.
    pub(crate) fn open(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Relaxed);
        Open(self.clone())
    }

    /// Whether no request is open.
    pub(crate) fn is_quiet(&self) -> bool {
        self.open.load(Relaxed) == 0
    }

    /// Drops replies that nobody asked for longer than `patience`.
    pub(crate) fn drop_stalled(&self, patience: Duration) {
        let Some(since) = Instant::now().checked_sub(patience) else {
            return;
        };
        let bodies: Vec<Arc<dyn Stalled>> = match self.bodies.lock() {
            Ok(mut bodies) => {
                bodies.retain(|body| body.strong_count() > 0);
                bodies.iter().filter_map(Weak::upgrade).collect()
            }
            Err(_) => return,
        };
        bodies.iter().for_each(|body| body.drop_if_stalled(since));
    }

    /// Looks after a reply. To be called in the task that answers the request.
    pub(crate) fn watch<B: Body + Send + 'static>(&self, body: B, open: Open) -> Watched<B> {
        let slot = Arc::new(Mutex::new(Slot {
            body: Some(Box::pin(body)),
            delivered: Some(Instant::now()),
            task: TASK.try_with(Clone::clone).ok(),
        }));
        if let Ok(mut bodies) = self.bodies.lock() {
            let watched: Weak<Mutex<Slot<B>>> = Arc::downgrade(&slot);
            // So that a long connection does not collect what is gone.
            if bodies.len() == bodies.capacity() {
                bodies.retain(|body| body.strong_count() > 0);
            }
            bodies.push(watched);
        }
        Watched { slot, _open: open }
    }
}

struct Slot<B> {
    /// `None` once it was dropped.
    body: Option<Pin<Box<B>>>,
    /// Since when it waits to be asked; `None` while it is the reply that has nothing to give.
    delivered: Option<Instant>,
    /// What writes it.
    task: Option<CancellationToken>,
}

impl<B> std::fmt::Debug for Slot<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot")
            .field("delivered", &self.delivered)
            .finish_non_exhaustive()
    }
}

impl<B: Send> Stalled for Mutex<Slot<B>> {
    fn drop_if_stalled(&self, since: Instant) {
        let (body, task) = match self.lock() {
            Ok(mut slot) if slot.delivered.is_some_and(|delivered| delivered < since) => {
                (slot.body.take(), slot.task.take())
            }
            _ => return,
        };
        if let Some(task) = task {
            task.cancel();
        }
        if body.is_some() {
            tracing::debug!("a caller stopped taking its reply");
        }
    }
}

/// A reply that is looked after.
#[derive(Debug)]
pub(crate) struct Watched<B> {
    slot: Arc<Mutex<Slot<B>>>,
    _open: Open,
}

impl<B> Body for Watched<B>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = B::Data;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let gone = || Some(Err("the reply was not taken in time".into()));
        let Ok(mut slot) = self.slot.lock() else {
            return Poll::Ready(gone());
        };
        let Some(body) = &mut slot.body else {
            return Poll::Ready(gone());
        };
        let polled = body.as_mut().poll_frame(cx);
        slot.delivered = polled.is_ready().then(Instant::now);
        polled.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        let slot = self.slot.lock();
        slot.is_ok_and(|slot| slot.body.as_ref().is_some_and(|body| body.is_end_stream()))
    }

    fn size_hint(&self) -> SizeHint {
        match self.slot.lock() {
            Ok(slot) => slot.body.as_ref().map(|body| body.size_hint()).unwrap_or_default(),
            Err(_) => SizeHint::default(),
        }
    }
}
