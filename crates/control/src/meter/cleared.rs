//! What may be forwarded, and how it is priced when it is over.

use std::sync::Arc;

use bytes::Bytes;
use llm::{Assembler, Call, StreamObserver};
use model::{NanoUsd, ServiceTier, Usage};
use policy::Permit;
use pricing::{ModelPrices, PriceError, Region};
use route::Place;
use store::Hold;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Meter;
use crate::{Bounds, Control, Session, UpstreamSpec, expiry::Expiry, pipeline::Attempt, quote::Quote};

/// A decided, durable, reserved action: what forwarding needs, and the only thing that can be forwarded.
#[derive(Debug)]
pub struct Cleared {
    permit: Permit,
    upstream: Arc<UpstreamSpec>,
    address: String,
    body: Bytes,
    bounds: Bounds,
    deadline: Instant,
    number: u16,
    cancel: CancellationToken,
    meter: Meter,
}

/// How an action is priced when it is over.
#[derive(Debug)]
pub(crate) struct Tariff {
    /// `None` for what providers do for nothing.
    pub(crate) prices: Option<ModelPrices>,
    /// The tier that was asked for, if the reply names none.
    pub(crate) tier: ServiceTier,
}

impl Tariff {
    /// What a usage costs, in the tier and the region that the reply names.
    pub(super) fn cost(
        &self,
        usage: &Usage,
        tier: Option<ServiceTier>,
        region: Option<&str>,
    ) -> Result<NanoUsd, PriceError> {
        let Some(prices) = &self.prices else {
            return Ok(NanoUsd::ZERO);
        };
        let tier = tier.unwrap_or(self.tier);
        match region {
            Some(region) => prices
                .clone()
                .in_region(Region::of_inference_geo(region))
                .cost(usage, tier),
            None => prices.cost(usage, tier),
        }
    }
}

impl Cleared {
    pub(crate) fn new(
        control: &Control,
        (permit, hold, quote): (Permit, Hold, Quote),
        attempt: &Attempt<'_>,
        session: &Session,
        place: Option<Place>,
    ) -> Self {
        let call: &Call = &attempt.call;
        let Quote {
            body,
            prices,
            upstream,
            address,
            ..
        } = quote;
        let tariff = Tariff {
            prices,
            tier: call.tier,
        };
        let cancel = session.key.cancel.child_token();
        let longest = attempt.deadline.saturating_duration_since(Instant::now());
        let expiry = Expiry::of(&cancel, hold.placed(), session.key.record.expires, longest);
        // Only a stream can be cut, so an upstream that does not keep to output limits is called with streams.
        let assembler = match upstream.honours_output_limit {
            true => None,
            false => Assembler::for_call(call, attempt.route.bounds.reply_bytes).map(Box::new),
        };
        let observer = (call.stream || assembler.is_some()).then(|| Box::new(StreamObserver::for_call(call)));
        let counted = control.metrics().call(session.principal(), &upstream.name);
        let meter = Meter {
            endpoint: call.endpoint,
            observer,
            assembler,
            tariff,
            known: call.spoken(),
            text_proves: call.text_proves_output(),
            hold: Some(hold),
            begun: false,
            started: Instant::now(),
            http: None,
            bytes: 0,
            commitment: Some(control.privacy().commitment()),
            proven: 0,
            counted,
            place,
            _expiry: expiry,
        };
        Self {
            permit,
            upstream,
            address,
            body,
            bounds: attempt.route.bounds,
            deadline: attempt.deadline,
            number: attempt.number,
            cancel,
            meter,
        }
    }

    /// Where to.
    pub fn upstream(&self) -> &Arc<UpstreamSpec> {
        &self.upstream
    }

    /// The URL of this attempt, without the query: made from the upstream's templates and this attempt's model.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The model the permit is for.
    pub fn model(&self) -> &str {
        self.permit.model()
    }

    /// What to send.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Whether the caller asked for a stream.
    pub fn is_stream(&self) -> bool {
        self.meter.is_stream()
    }

    /// Whether the caller asked for JSON and the upstream is asked for a stream, which is assembled.
    pub fn is_assembled(&self) -> bool {
        self.meter.assembler.is_some()
    }

    /// Whether the reply tells nothing that has to be read before it is delivered: audio, whose price is known from the
    /// request.
    pub fn is_unread(&self) -> bool {
        self.meter.known.is_some()
    }

    /// The HTTP method to send it with.
    pub fn method(&self) -> &'static str {
        self.meter.endpoint.method()
    }

    /// The bounds of the attempt.
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// When the whole action must be over.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Which attempt of the action it is, from 0.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Cancelled when the credential is revoked or expires.
    pub fn cancelled(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Uses the permit up. From here on the request counts as sent: not knowing its outcome books the hold in full.
    pub fn begin(mut self) -> Meter {
        self.meter.started = Instant::now();
        self.meter.begun = true;
        if let Some(hold) = &mut self.meter.hold {
            hold.begin();
        }
        self.meter
    }
}
