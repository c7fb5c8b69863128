//! Replies that are kept for calls sent again under the same idempotency key (the header `Idempotency-Key`, as in the
//! IETF's draft-ietf-httpapi-idempotency-key-header).
//!
//! Kept in memory, within bounds: what makes sure that nothing is paid for twice is in the log (`control/src/repeat.rs`).

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use control::{Audience, RepeatKey, Seat};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Either, Full};
use model::ActionId;
use tokio::{sync::watch, time::Instant};

use crate::{reply, reply::ReplyBody, stream::BrokenOff};

/// How long a reply is kept: as long as the log remembers the key.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3_600);
/// What a reply costs beside its headers and its body, roughly: its key, its print and its place.
const OVERHEAD: usize = 1_024;
/// What a header costs beside its text, roughly: its place in the map.
const HEADER_OVERHEAD: usize = 128;

/// Replies by key.
#[derive(Debug)]
pub(crate) struct Replays {
    slots: Mutex<Slots>,
}

#[derive(Debug)]
struct Slots {
    by_key: HashMap<RepeatKey, Slot>,
    /// Kept replies, oldest first. Some may be gone.
    order: VecDeque<(Instant, RepeatKey)>,
    /// What kept replies take.
    kept: usize,
    /// What replies take that are written down while they are delivered.
    recording: usize,
    /// The most that both may take.
    most: usize,
}

#[derive(Debug)]
enum Slot {
    Running {
        print: String,
        done: watch::Receiver<()>,
        audience: Audience,
    },
    Kept {
        print: String,
        reply: Arc<KeptReply>,
    },
}

/// A reply as it was delivered.
#[derive(Debug)]
pub(crate) struct KeptReply {
    /// The action it is of.
    pub(crate) of: ActionId,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// What a call with a key meets.
pub(crate) enum Entered {
    /// It is the first of its key: whoever has the turn makes the call. Who holds the seat wants its reply.
    First(Turn, Seat),
    /// The first is under way; this ends with it. Who holds the seat wants its reply too.
    Running(watch::Receiver<()>, Seat),
    /// The first was answered so.
    Kept(Arc<KeptReply>),
    /// The key was used for another request.
    OtherRequest,
}

impl Replays {
    /// Keeps up to `most` bytes.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        let slots = Slots {
            by_key: HashMap::new(),
            order: VecDeque::new(),
            kept: 0,
            recording: 0,
            most,
        };
        Arc::new(Self {
            slots: Mutex::new(slots),
        })
    }

    /// Looks a key up. `print` tells the request from others.
    pub(crate) fn enter(self: &Arc<Self>, key: &RepeatKey, print: &str) -> Entered {
        let mut slots = self.slots();
        slots.forget(Instant::now());
        match slots.by_key.get(key) {
            Some(Slot::Running { print: other, .. } | Slot::Kept { print: other, .. }) if other != print => {
                Entered::OtherRequest
            }
            Some(Slot::Running { done, audience, .. }) => Entered::Running(done.clone(), audience.sit()),
            Some(Slot::Kept { reply, .. }) => Entered::Kept(reply.clone()),
            None => {
                let (ended, done) = watch::channel(());
                let print = print.to_owned();
                let audience = Audience::new();
                let seat = audience.sit();
                let running = Slot::Running {
                    print,
                    done,
                    audience: audience.clone(),
                };
                slots.by_key.insert(key.clone(), running);
                let turn = Turn {
                    replays: self.clone(),
                    key: key.clone(),
                    audience,
                    _ended: ended,
                };
                Entered::First(turn, seat)
            }
        }
    }

    /// A poisoned lock only means that somebody died between two of these few lines.
    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slots {
    fn forget(&mut self, now: Instant) {
        while self
            .order
            .front()
            .is_some_and(|(since, _)| self.kept + self.recording > self.most || now.duration_since(*since) >= KEPT_FOR)
        {
            let Some((_, key)) = self.order.pop_front() else { return };
            if let Some(Slot::Kept { reply, .. }) = self.by_key.remove(&key) {
                self.kept -= reply.size();
            }
        }
    }
}

/// What is written down of a body, and what that takes of the bytes there are for all replies. Dropped, it gives them
/// back.
struct Notes {
    replays: Arc<Replays>,
    seen: Vec<u8>,
    charged: usize,
}

impl Notes {
    /// Notes of a reply that takes `beside` bytes beside its body, if there is room.
    fn begin(replays: Arc<Replays>, beside: usize) -> Option<Self> {
        let mut notes = Self {
            replays,
            seen: Vec::new(),
            charged: 0,
        };
        notes.charge(beside).then_some(notes)
    }

    /// Older replies make room for newer ones, but what is being written down makes none for what else is.
    fn charge(&mut self, more: usize) -> bool {
        let mut slots = self.replays.slots();
        if more > slots.most.saturating_sub(slots.recording) {
            return false;
        }
        slots.recording += more;
        self.charged += more;
        slots.forget(Instant::now());
        true
    }

    /// Writes down the next part; false if there is no room for it.
    fn note(&mut self, data: &[u8]) -> bool {
        let needed = self.seen.len() + data.len();
        let capacity = self.seen.capacity();
        if needed > capacity {
            // With some slack, or each small part would move all that came before it.
            let room = needed + needed / 4;
            if !self.charge(room - capacity) {
                return false;
            }
            self.seen.reserve_exact(room - self.seen.len());
        }
        self.seen.extend_from_slice(data);
        true
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        self.replays.slots().recording -= self.charged;
    }
}

/// The right to make the call of a key. Dropped, the next one with the key has it.
pub(crate) struct Turn {
    replays: Arc<Replays>,
    key: RepeatKey,
    /// Who wants the reply.
    pub(crate) audience: Audience,
    /// Dropped with the turn, which wakes who waits.
    _ended: watch::Sender<()>,
}

impl Turn {
    fn keep(self, reply: KeptReply) {
        let mut slots = self.replays.slots();
        let size = reply.size();
        if size > slots.most.saturating_sub(slots.recording) {
            return;
        }
        if let Some(Slot::Running { print, .. }) = slots.by_key.remove(&self.key) {
            let reply = Arc::new(reply);
            slots.by_key.insert(self.key.clone(), Slot::Kept { print, reply });
            slots.kept += size;
            slots.order.push_back((Instant::now(), self.key.clone()));
            slots.forget(Instant::now());
        }
    }

    /// Keeps a reply while it is delivered. Errors are not kept: another call with the key may go better, or is told by
    /// the log that this one was paid for.
    pub(crate) async fn record(self, of: ActionId, response: Response<ReplyBody>) -> Response<Recorded> {
        let (head, body) = response.into_parts();
        if !head.status.is_success() {
            return Response::from_parts(head, Recorded::plain(body));
        }
        let kept = KeptReply {
            of,
            status: head.status,
            headers: own(&head.headers),
            body: Bytes::new(),
        };
        let body = match body {
            Either::Left(whole) => {
                // A whole body is there at once.
                let Ok(whole) = whole.collect().await;
                let body = whole.to_bytes();
                // A copy of its own: what was read may stand in a larger buffer.
                self.keep(KeptReply {
                    body: Bytes::copy_from_slice(&body),
                    ..kept
                });
                Recorded::plain(Either::Left(Full::new(body)))
            }
            Either::Right(passing) => Recorded {
                body: Either::Right(passing),
                recorder: Notes::begin(self.replays.clone(), kept.size()).map(|notes| Recorder {
                    turn: self,
                    kept,
                    notes,
                }),
            },
        };
        Response::from_parts(head, body)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut slots = self.replays.slots();
        if matches!(slots.by_key.get(&self.key), Some(Slot::Running { .. })) {
            slots.by_key.remove(&self.key);
        }
    }
}

impl KeptReply {
    /// About how many bytes of memory it takes.
    fn size(&self) -> usize {
        let header = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + HEADER_OVERHEAD;
        OVERHEAD + self.headers.iter().map(header).sum::<usize>() + self.body.len()
    }

    /// The reply once more. It cost what it cost the first time, so it names no cost.
    pub(crate) fn again(&self) -> Response<Recorded> {
        let mut response = Response::new(Recorded::plain(Either::Left(Full::new(self.body.clone()))));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.clone_from(&self.headers);
        reply::replayed(headers);
        response
    }
}

/// A reply's body, written down on its way if it may be asked for again.
pub(crate) struct Recorded {
    body: ReplyBody,
    recorder: Option<Recorder>,
}

struct Recorder {
    turn: Turn,
    kept: KeptReply,
    notes: Notes,
}

/// Headers that share no buffer: those that were received keep all of the head that they stood in.
fn own(headers: &HeaderMap) -> HeaderMap {
    let own = |value: &HeaderValue| {
        let mut copy = HeaderValue::from_bytes(value.as_bytes()).ok()?;
        copy.set_sensitive(value.is_sensitive());
        Some(copy)
    };
    let copies = headers
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), own(value)?)));
    copies.collect()
}

impl Recorded {
    /// A body that is not written down.
    pub(crate) fn plain(body: ReplyBody) -> Self {
        Self { body, recorder: None }
    }

    fn note(&mut self, data: &Bytes) {
        if self
            .recorder
            .as_mut()
            .is_some_and(|recorder| !recorder.notes.note(data))
        {
            self.recorder = None;
        }
    }

    fn end(&mut self) {
        let whole = match &self.body {
            Either::Left(_) => true,
            Either::Right(passing) => passing.is_whole(),
        };
        if let Some(Recorder { turn, kept, mut notes }) = self.recorder.take().filter(|_| whole) {
            // Without the slack.
            let body = Bytes::from(std::mem::take(&mut notes.seen).into_boxed_slice());
            // What it took is free again for itself.
            drop(notes);
            turn.keep(KeptReply { body, ..kept });
        }
    }
}

impl Body for Recorded {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        let frame = match &mut this.body {
            Either::Left(whole) => Pin::new(whole).poll_frame(cx).map_err(|never| match never {}),
            Either::Right(passing) => Pin::new(passing).poll_frame(cx),
        };
        if this.recorder.is_none() {
            return frame;
        }
        let frame = ready!(frame);
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    this.note(data);
                }
            }
            Some(Err(_)) => this.recorder = None,
            None => {}
        }
        // A caller of a body that is at its end need not ask once more.
        if frame.is_none() || this.body.is_end_stream() {
            this.end();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The longest key, as the draft's examples and most services have it.
const KEY_BYTES: usize = 255;

/// The idempotency key of a request, or what is wrong with it.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<&str>, &'static str> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let plain = |text: &&str| (1..=KEY_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    match (value.to_str().ok().filter(plain), values.next()) {
        (Some(key), None) => Ok(Some(key)),
        _ => Err("The header Idempotency-Key takes one key of 1 to 255 visible ASCII characters."),
    }
}

/// The header that says that a reply was delivered before.
pub(crate) const REPLAYED: (&str, HeaderValue) = ("idempotent-replayed", HeaderValue::from_static("true"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_short_and_visible() {
        let map = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("idempotency-key", value.parse().unwrap());
            }
            headers
        };
        let long = "k".repeat(256);
        for (values, expected) in [
            (&[][..], Ok(None)),
            (
                &["8e03978e-40d5-43dd-bc93-6894a57f9324"],
                Ok(Some("8e03978e-40d5-43dd-bc93-6894a57f9324")),
            ),
            (&["\"quoted\""], Ok(Some("\"quoted\""))),
            (&[""], Err(())),
            (&["two words"], Err(())),
            (&["a", "a"], Err(())),
            (&[long.as_str()], Err(())),
        ] {
            assert_eq!(key(&map(values)).map_err(drop), expected, "{values:?}");
        }
    }

    /// However many replies are written down at once, all of them together take no more than there is.
    #[test]
    fn what_is_written_down_at_once_is_bounded() {
        const MOST: usize = 100_000;
        let replays = Replays::new(MOST);
        let recording = || replays.slots().recording;
        let mut all: Vec<_> = (0..100).map_while(|_| Notes::begin(replays.clone(), 2_000)).collect();
        assert_eq!((all.len(), recording()), (50, MOST), "heads count");
        all.truncate(20);
        assert_eq!(recording(), 40_000);
        for part in 0..100 {
            all.retain_mut(|notes| notes.note(&[7; 500]));
            let held: usize = all.iter().map(|notes| 2_000 + notes.seen.capacity()).sum();
            assert!(held <= recording() && recording() <= MOST, "{held} at part {part}");
            assert!(!all.is_empty(), "those that gave up made room");
        }
        assert!(all.iter().all(|notes| notes.seen.len() == 50_000) && all.len() == 1);
        drop(all);
        assert_eq!(recording(), 0);
        assert!(Notes::begin(replays, MOST + 1).is_none());
    }

    #[test]
    fn kept_headers_count_and_share_nothing() {
        let head = Bytes::from(vec![b'v'; 10_000]);
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_maybe_shared(head.slice(..4_000)).unwrap());
        headers.append("x-a", HeaderValue::from_static("b"));
        let copy = own(&headers);
        assert_eq!(copy, headers);
        drop(headers);
        assert!(head.is_unique());
        let reply = KeptReply {
            of: ActionId::from_bytes([7; 16]),
            status: StatusCode::OK,
            headers: copy,
            body: Bytes::from_static(b"body"),
        };
        assert_eq!(reply.size(), OVERHEAD + 2 * (3 + HEADER_OVERHEAD) + 4_001 + 4);
    }
}
