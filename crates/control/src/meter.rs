//! What an action used, while and after it runs. A meter owns the hold and ends it exactly once.

use std::time::Duration;

use bytes::Bytes;
use entry::Status;
use llm::{Assembler, Endpoint, LONGEST_TOKEN_BYTES, Reading, StreamObserver, read_reply};
use model::{ActionId, NanoUsd, Reason, Usage, UsageSource};
use route::Place;
use store::{Ending, Hold, Warning};
use tokio::time::Instant;

use crate::{Refusal, expiry::Expiry, metrics::Call as Counted, privacy::Commitment};

mod assembling;
mod cleared;

pub use assembling::Unassembled;
pub use cleared::Cleared;
pub(crate) use cleared::Tariff;

/// The statuses by which a proxy says that the server behind it did not answer in time: 504 (RFC 9110, section 15.6.5)
/// and 524 of a large content network.
const GATEWAY_TIMEOUTS: [u16; 2] = [504, 524];

/// How a reply's body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    /// The upstream sent all of it.
    Complete,
    /// The connection broke.
    Broken,
    /// Nothing came for so long (`[timeouts] idle` or `first_byte`).
    Timeout(Duration),
    /// The call took so long in all (`[timeouts] total`).
    Overdue(Duration),
    /// The credential was revoked, or expired.
    Revoked,
}

/// What the caller of a call that was cut is told.
const CUT: &str = "The provider produced more than this request's output limit allows, so the call was cut at the amount \
                   reserved for it.";

/// Meters one attempt and ends its hold. Dropped without an end, it takes the caller for gone and books the hold in full;
/// if nothing had begun, the hold ends in nothing.
#[derive(Debug)]
pub struct Meter {
    endpoint: Endpoint,
    /// Boxed: a meter is moved often, and most of it would be this.
    observer: Option<Box<StreamObserver>>,
    /// Makes JSON of the stream, where the caller asked for that.
    assembler: Option<Box<Assembler>>,
    tariff: Tariff,
    /// What is used if the reply comes whole, where the request alone says so.
    known: Option<Usage>,
    /// Whether the text of a reply proves output tokens.
    text_proves: bool,
    /// `None` once it ended.
    hold: Option<Hold>,
    /// The permit was used up: the request counts as sent.
    begun: bool,
    started: Instant,
    http: Option<u16>,
    bytes: u64,
    commitment: Option<Commitment>,
    /// The proven output tokens that were last priced.
    proven: u64,
    counted: Counted,
    /// The place it runs in: given back with the meter.
    place: Option<Place>,
    _expiry: Option<Expiry>,
}

/// What a JSON reply cost, for the response headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// What is booked.
    pub cost: NanoUsd,
    /// What was left in the tightest budget of money when the hold was placed, with the hold taken off.
    pub remaining: Option<NanoUsd>,
    /// Whether the reply is what the endpoint answers with. One that is not must not be delivered.
    pub readable: bool,
}

impl Meter {
    /// The action.
    pub fn id(&self) -> Option<ActionId> {
        self.hold.as_ref().map(|hold| hold.attempt().action)
    }

    /// What was left in the tightest budget of money after the hold; `None` if there is none.
    pub fn remaining(&self) -> Option<NanoUsd> {
        self.hold.as_ref().and_then(Hold::remaining)
    }

    /// The budgets of the call that were past a threshold when its hold was placed.
    pub fn warnings(&self) -> &[Warning] {
        self.hold.as_ref().map_or(&[], Hold::warnings)
    }

    /// What circuit breakers warn of because of the call.
    pub fn cautions(&self) -> &[ledger::Warning] {
        self.hold.as_ref().map_or(&[], Hold::cautions)
    }

    /// Whether what the caller gets is an event stream, whose last event can say that it broke off.
    pub fn is_stream(&self) -> bool {
        self.observer.is_some() && self.assembler.is_none()
    }

    /// How long the attempt has been running.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The upstream could not be reached: nothing was used.
    pub fn unreachable(mut self) {
        self.end(Ending::unused(Status::Unreachable));
    }

    /// The request was sent, or may have been, and no usable reply came: the hold is booked in full.
    pub fn lost(mut self, end: BodyEnd) {
        self.end_in_full(status_of(end));
    }

    /// The upstream answered with an error status, which providers do not bill.
    pub fn upstream_error(mut self, http: u16, body: &[u8]) {
        self.http = Some(http);
        self.delivered(body);
        if GATEWAY_TIMEOUTS.contains(&http) {
            // Something between here and the provider gave up waiting: the provider may have worked on, and bill it.
            self.end_in_full(Status::Timeout);
        } else {
            self.end(Ending::unused(Status::UpstreamError));
        }
    }

    /// A whole reply that is no stream.
    pub fn reply(mut self, http: u16, content_type: &str, body: &[u8]) -> Settled {
        self.http = Some(http);
        let remaining = self.remaining();
        let reading = read_reply(self.endpoint, content_type, body);
        let readable = reading.is_ok();
        let cost = match reading {
            Ok(reading) => {
                self.delivered(body);
                if self.text_proves {
                    self.proven = reading.output_text_bytes.div_ceil(LONGEST_TOKEN_BYTES);
                }
                self.end_with(Status::Ok, reading)
            }
            Err(_) => self.end_in_full(Status::Broken),
        };
        Settled {
            cost,
            remaining,
            readable,
        }
    }

    /// The head of a reply has come.
    pub fn answered(&mut self, http: u16) {
        self.http = Some(http);
    }

    /// The upstream was asked for a stream, and its reply is something else.
    pub fn not_streamed(&mut self) {
        if self.assembler.take().is_some() {
            self.observer = None;
        }
    }

    /// Takes a part of the reply and gives what to deliver of it. `Some` means: deliver that, then this last event, and
    /// stop, for what was provably used has passed the hold.
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Option<Bytes> {
        let Some(observer) = &mut self.observer else {
            self.delivered(&chunk);
            out.push(chunk);
            return None;
        };
        let first = out.len();
        observer.push(chunk, out);
        let proven = observer.proven_output_tokens();
        if !self.passes_hold(proven) {
            self.deliver_from(first, out);
            return None;
        }
        // The rest of an event that will not be finished must not stand before the last one.
        if let Some(observer) = &mut self.observer {
            let mut fresh = out.split_off(first);
            observer.drop_unfinished(&mut fresh);
            out.append(&mut fresh);
        }
        self.deliver_from(first, out);
        let last = self.last_event(Reason::HoldExceeded, CUT);
        self.delivered(&last);
        self.end_cut();
        Some(last)
    }

    /// The reply's body is over. Gives what is left to deliver, the final event of a stream that broke off included.
    pub fn finish(&mut self, end: BodyEnd, out: &mut Vec<Bytes>) {
        let Some(observer) = &mut self.observer else {
            match (end, self.known) {
                (BodyEnd::Complete, Some(usage)) => {
                    let reading = Reading {
                        usage: Some(usage),
                        ..Reading::default()
                    };
                    self.end_with(Status::Ok, reading);
                }
                // A JSON reply too long to be read whole: its usage is not known.
                (BodyEnd::Complete, None) => drop(self.end_in_full(Status::Ok)),
                _ => drop(self.end_in_full(status_of(end))),
            }
            return;
        };
        let first = out.len();
        observer.finish(out);
        let (ended, failed) = (observer.ended(), observer.provider_error().is_some());
        let reading = observer.reading().clone();
        self.deliver_from(first, out);
        if ended || (end == BodyEnd::Complete && reading.usage.is_some()) {
            let status = if failed { Status::UpstreamError } else { Status::Ok };
            self.end_with(status, reading);
            return;
        }
        if failed && end == BodyEnd::Complete {
            // The provider has said itself that it failed, and the caller has heard it.
            self.end_in_full(Status::UpstreamError);
            return;
        }
        let (status, reason, message) = broken_off(end);
        let last = self.last_event(reason, &message);
        self.delivered(&last);
        out.push(last);
        self.end_in_full(status);
    }

    /// The last event of a stream that is cut short, in the caller's dialect.
    fn last_event(&self, reason: Reason, message: &str) -> Bytes {
        let id = self.id().map(|id| id.to_string()).unwrap_or_default();
        let event = llm::stream_error(self.endpoint.dialect(), reason, message, &id);
        if self.observer.as_ref().is_some_and(|observer| observer.mid_event()) {
            [b"\n\n", event.as_ref()].concat().into()
        } else {
            event
        }
    }

    fn deliver_from(&mut self, first: usize, out: &[Bytes]) {
        for part in out.iter().skip(first) {
            self.bytes = self.bytes.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
            if let Some(commitment) = &mut self.commitment {
                commitment.update(part);
            }
        }
    }

    fn delivered(&mut self, part: &[u8]) {
        self.bytes = self.bytes.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
        if let Some(commitment) = &mut self.commitment {
            commitment.update(part);
        }
    }

    /// Whether what was provably used costs more than the hold. Priced only when the proof grew.
    fn passes_hold(&mut self, proven: u64) -> bool {
        if proven <= self.proven {
            return false;
        }
        self.proven = proven;
        let held = self.hold.as_ref().map(Hold::amount);
        self.proven_cost().zip(held).is_some_and(|(cost, held)| cost > held)
    }

    /// A lower bound of what was used.
    fn proven_usage(&self) -> Usage {
        let seen = self
            .observer
            .as_ref()
            .and_then(|observer| observer.reading().usage)
            .unwrap_or_default();
        Usage {
            output: seen.output.max(self.proven),
            ..seen
        }
    }

    fn proven_cost(&self) -> Option<NanoUsd> {
        self.tariff.cost(&self.proven_usage(), None, None).ok()
    }

    /// Ends with the provider's figures; without them, or without a price for them, in full.
    fn end_with(&mut self, status: Status, reading: Reading) -> NanoUsd {
        let Some(usage) = reading.usage else {
            return self.end_in_full(status);
        };
        match self.tariff.cost(&usage, reading.tier, reading.region.as_deref()) {
            Ok(cost) => {
                let source = UsageSource::Provider;
                let (usage, provider_id) = (Some(usage), reading.id);
                self.end(Ending {
                    usage,
                    source,
                    cost,
                    provider_id,
                    ..Ending::unused(status)
                });
                cost
            }
            Err(error) => {
                tracing::warn!(action = ?self.id(), %error, "the usage cannot be priced; the hold is booked in full");
                self.end_in_full(status)
            }
        }
    }

    /// Ends what was cut: at the hold, or at what was proven if that is more.
    fn end_cut(&mut self) {
        let usage = Some(self.proven_usage());
        let ending = self.in_full(Status::Cut);
        self.end(Ending { usage, ..ending });
    }

    /// Ends what is not known, or not told, or cannot be priced: at the hold, or at what was proven if that is more.
    fn end_in_full(&mut self, status: Status) -> NanoUsd {
        let ending = self.in_full(status);
        let cost = ending.cost;
        self.end(ending);
        cost
    }

    fn in_full(&self, status: Status) -> Ending {
        let held = self.hold.as_ref().map_or(NanoUsd::ZERO, Hold::amount);
        match self.proven_cost().filter(|cost| *cost > held) {
            Some(cost) => Ending {
                usage: Some(self.proven_usage()),
                cost,
                ..Ending::unknown(status, held)
            },
            None => Ending::unknown(status, held),
        }
    }

    fn end(&mut self, ending: Ending) {
        let Some(hold) = self.hold.take() else { return };
        let elapsed = self.started.elapsed();
        let reply = self
            .commitment
            .take()
            .filter(|_| self.bytes > 0)
            .map(Commitment::finish);
        let ending = Ending {
            http: self.http,
            duration_us: u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
            bytes: self.bytes,
            reply: reply.unwrap_or_default(),
            ..ending
        };
        self.counted.ended(&ending, hold.amount(), elapsed);
        self.place = None;
        hold.settle(ending);
    }
}

/// Nobody ended it: nothing was forwarded, or the caller went away and dropped everything.
impl Drop for Meter {
    fn drop(&mut self) {
        if self.hold.is_none() {
            return;
        }
        if !self.begun {
            self.end(Ending::unused(Status::NotForwarded));
        } else {
            let seen = self.observer.as_ref().filter(|observer| observer.ended());
            match seen.map(|observer| observer.reading().clone()) {
                // All of the reply had come: what it used is known.
                Some(reading) => drop(self.end_with(Status::ClientGone, reading)),
                None => drop(self.end_in_full(Status::ClientGone)),
            }
        }
    }
}

fn status_of(end: BodyEnd) -> Status {
    match end {
        BodyEnd::Complete | BodyEnd::Broken => Status::Broken,
        BodyEnd::Timeout(_) | BodyEnd::Overdue(_) => Status::Timeout,
        BodyEnd::Revoked => Status::Revoked,
    }
}

fn broken_off(end: BodyEnd) -> (Status, Reason, String) {
    let (reason, message) = match end {
        BodyEnd::Complete | BodyEnd::Broken => (
            Reason::UpstreamBroken,
            "The provider's stream broke off before its end.".to_owned(),
        ),
        BodyEnd::Timeout(bound) => (
            Reason::UpstreamTimeout,
            format!("The provider's stream stalled: nothing came for {bound:?} ([timeouts] idle)."),
        ),
        BodyEnd::Overdue(bound) => (
            Reason::UpstreamTimeout,
            format!("The provider's stream was not over after {bound:?} ([timeouts] total)."),
        ),
        BodyEnd::Revoked => (
            Reason::Revoked,
            "This credential was revoked or has expired while the call was running.".to_owned(),
        ),
    };
    (status_of(end), reason, message)
}

impl Refusal {
    /// The upstream could not be reached, or its answer was not usable.
    pub fn upstream(id: ActionId, reason: Reason, message: String) -> Self {
        Self::new(id, reason, message)
    }
}
