//! What the provider saw: the record of its calls, which tests compare with what a gateway says happened.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::watch;

use self::log::Log;
pub(crate) use self::log::{Arrival, Outcome};

mod log;

/// What one call is billed: tokens unless said otherwise, in classes that do not overlap (except `reasoning`, a part of
/// `output`), whatever way the dialect nests them. In JSON, classes that are zero are left out, but for `input` and
/// `output`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Billed {
    /// Input tokens at the plain price.
    pub input: u64,
    /// Input tokens served from the prompt cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_read: u64,
    /// Input tokens written to the cache for its usual lifetime.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write: u64,
    /// Input tokens written to the cache for an hour. Always zero in the OpenAI dialect, which has no such class.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_1h: u64,
    /// Output tokens of all choices, reasoning included.
    pub output: u64,
    /// Of `output`, the tokens spent on reasoning.
    #[serde(skip_serializing_if = "is_zero")]
    pub reasoning: u64,
    /// Input tokens of audio.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_input: u64,
    /// Input tokens of pictures.
    #[serde(skip_serializing_if = "is_zero")]
    pub image_input: u64,
    /// Output tokens of audio.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_output: u64,
    /// Output tokens of pictures.
    #[serde(skip_serializing_if = "is_zero")]
    pub image_output: u64,
    /// Pictures made.
    #[serde(skip_serializing_if = "is_zero")]
    pub images: u64,
    /// Audio transcribed, in milliseconds, where it is billed by its length.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_ms: u64,
    /// Characters spoken.
    #[serde(skip_serializing_if = "is_zero")]
    pub characters: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Billed {
    /// All input tokens, cached or not, of any kind.
    pub fn input_total(&self) -> u64 {
        self.input + self.cache_read + self.cache_write + self.cache_write_1h + self.audio_input + self.image_input
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finished {
    /// Not yet.
    Open,
    /// The whole answer was handed to the connection.
    Completed,
    /// The client closed the connection before it had the whole answer.
    ClientGone,
    /// The provider closed the connection before the end of the answer: by script, or because it was shut down.
    Cut,
    /// The provider answered with an error status, or ended the stream with an error event.
    Error,
}

/// How many calls there have been, since the start or the last reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Calls whose request was read whole.
    pub received: u64,
    /// Of these, calls that have ended, in whatever way.
    pub finished: u64,
}

/// One call as the provider saw it. Everything sent to it is a call, also what it refused, except `/_fake/`.
///
/// `Debug` leaves out credentials and the values of headers; the fields have them.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct SeenCall {
    /// 1 for the first call since the start or the last reset.
    pub number: u64,
    /// When the request had been read, in microseconds since 1970 (the system's clock).
    pub at_micros: u64,
    /// The request method.
    pub method: String,
    /// The path, with the query if there was one.
    pub path: String,
    /// The model asked for; empty if the request named none or was not understood.
    pub model: String,
    /// Whether the request asked for a stream.
    pub stream: bool,
    /// The request headers, in order.
    pub headers: Vec<(String, String)>,
    /// The API key presented, as `x-api-key`, as `api-key` or as a bearer credential.
    pub credential: Option<String>,
    /// The request body; see `trimmed`.
    #[serde(skip)]
    pub body: Bytes,
    /// The length of the request body in bytes.
    pub body_bytes: u64,
    /// Whether headers and body have been dropped to save memory, or the body is not kept because of its size.
    pub trimmed: bool,
    /// The status answered; `None` before that.
    pub status: Option<u16>,
    /// How the call ended.
    pub finished: Finished,
    /// How many events of a stream the client's connection took, the first and the last included. 0 while the call is
    /// open, and where the answer is no stream.
    pub delivered_events: u64,
    /// What the provider charges: for an answer in full what it reports, for one that ended early what had been
    /// produced, for a call without an answer nothing. 0 while the call is open.
    pub billed: Billed,
}

impl fmt::Debug for SeenCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeenCall")
            .field("number", &self.number)
            .field("at_micros", &self.at_micros)
            .field("method", &self.method)
            .field("path", &self.path)
            .field("model", &self.model)
            .field("stream", &self.stream)
            .field("credential", &self.credential.as_ref().map(|_| "(hidden)"))
            .field("body_bytes", &self.body_bytes)
            .field("status", &self.status)
            .field("finished", &self.finished)
            .field("delivered_events", &self.delivered_events)
            .field("billed", &self.billed)
            .finish_non_exhaustive()
    }
}

/// A handle on the record of a provider's calls. Clones share it; it outlives the provider.
#[derive(Clone)]
pub struct Calls(Arc<Shared>);

struct Shared {
    log: Mutex<Log>,
    count: watch::Sender<Count>,
    closing: AtomicBool,
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Calls").field(&self.count()).finish()
    }
}

impl Calls {
    pub(crate) fn new(keep_calls: usize, keep_bytes: usize) -> Self {
        Self(Arc::new(Shared {
            log: Mutex::new(Log::new(keep_calls, keep_bytes)),
            count: watch::Sender::new(Count::default()),
            closing: AtomicBool::new(false),
        }))
    }

    /// The calls remembered, oldest first.
    pub fn snapshot(&self) -> Vec<SeenCall> {
        self.after(0)
    }

    /// The calls remembered whose number is above `number`, oldest first.
    pub fn after(&self, number: u64) -> Vec<SeenCall> {
        self.log().after(number)
    }

    /// Call `number`, if it is remembered.
    pub fn call(&self, number: u64) -> Option<SeenCall> {
        self.log().call(number)
    }

    /// How many calls there have been.
    pub fn count(&self) -> Count {
        *self.0.count.borrow()
    }

    /// Waits until the `n`th call since the start or the last reset has been received.
    pub async fn wait_for(&self, n: u64) {
        self.wait_until(|count| count.received >= n).await;
    }

    /// Waits until `n` calls since the start or the last reset have ended, in whatever way.
    pub async fn wait_finished(&self, n: u64) {
        self.wait_until(|count| count.finished >= n).await;
    }

    async fn wait_until(&self, condition: impl FnMut(&Count) -> bool) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.0.count.subscribe().wait_for(condition).await;
    }

    /// Forgets all calls and counts from 1 again. Calls still open are not counted when they end.
    pub fn reset(&self) {
        let mut log = self.log();
        log.reset();
        self.0.count.send_replace(Count::default());
    }

    /// From now on, calls that are dropped were dropped by the provider.
    pub(crate) fn close(&self) {
        self.0.closing.store(true, Ordering::Release);
    }

    /// Records a call. It ends with the ticket.
    pub(crate) fn begin(&self, arrival: Arrival<'_>) -> Ticket {
        let mut log = self.log();
        let (generation, number) = log.begin(arrival);
        self.0.count.send_modify(|count| count.received = number);
        Ticket {
            calls: self.clone(),
            generation,
            number,
            outcome: Outcome::default(),
            open: true,
        }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call being answered. Dropped before [`Ticket::finish`], it ends as one whose client has gone.
pub(crate) struct Ticket {
    calls: Calls,
    generation: u64,
    number: u64,
    /// What will be recorded when the call ends.
    pub(crate) outcome: Outcome,
    open: bool,
}

impl Ticket {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Makes the status visible before the call ends.
    pub(crate) fn answering(&mut self, status: u16) {
        self.outcome.status = Some(status);
        self.calls.log().answering(self.generation, self.number, status);
    }

    /// Records the outcome. Only the first end counts.
    pub(crate) fn finish(&mut self, finished: Finished) {
        if !self.open {
            return;
        }
        self.open = false;
        let mut log = self.calls.log();
        if log.finish(self.generation, self.number, self.outcome, finished) {
            self.calls.0.count.send_modify(|count| count.finished += 1);
        }
    }

    /// How a call ends that is dropped now; `None` if it has ended.
    pub(crate) fn dropped(&self) -> Option<Finished> {
        let closing = self.calls.0.closing.load(Ordering::Acquire);
        self.open
            .then_some(if closing { Finished::Cut } else { Finished::ClientGone })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(finished) = self.dropped() {
            self.finish(finished);
        }
    }
}
