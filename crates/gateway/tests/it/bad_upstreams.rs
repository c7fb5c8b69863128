//! Upstreams that misbehave. Whatever one does, the caller gets a proper error or a proper end of the stream in its
//! dialect, the hold ends once, and the outcome says what happened and books what may have been used.

use std::time::Duration;

use control::Limits;
use entry::Status;
use http_body_util::BodyExt as _;
use model::{NanoUsd, Reason, UsageSource};

use crate::{
    endpoints::{ALL as ALLOW_ALL, intents},
    harness::{Harness, Setup, UPSTREAM_KEY, header},
    raw_upstream::{Raw, Script},
};
use wire::Wire;

mod endless;
mod errors;
mod heads;
mod random;
mod streams;
mod waits;
mod whole;
mod wire;

/// What the caller gets.
#[derive(Clone, Copy, Debug)]
enum Told {
    /// Bailiwick's own error.
    Refused(Reason),
    /// The upstream's status, and its body byte for byte.
    Passed(u16),
    /// The upstream's status, with an error of Bailiwick's own in place of the body.
    Replaced(u16),
    /// All that the upstream sent, byte for byte, then an error as the last event of the stream.
    Ended(Reason),
}

/// What is booked.
#[derive(Clone, Copy, Debug)]
enum Booked {
    Nothing,
    /// The hold in full: nobody knows what was used.
    Hold,
    /// The provider's usual figures.
    Figures,
    /// The provider's figures, which cost so much.
    Cost(i64),
}

/// One line of a table.
struct Case {
    name: &'static str,
    wires: &'static [Wire],
    stream: &'static [bool],
    script: fn(Wire) -> Script,
    told: Told,
    status: Status,
    http: Option<u16>,
    booked: Booked,
}

const BOTH: &[bool] = &[false, true];
const STREAM: &[bool] = &[true];
const PLAIN: &[bool] = &[false];

/// The gateway before an upstream of raw bytes.
struct World {
    harness: Harness,
    raw: Raw,
    calls: usize,
}

impl World {
    async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    async fn with(limits: Limits) -> Self {
        let raw = Raw::start().await;
        let harness = Harness::with(Setup {
            policy: ALLOW_ALL,
            limits,
            limit: "100000 USD",
            base_url: Some(raw.url()),
            ..Setup::default()
        })
        .await;
        Self { harness, raw, calls: 0 }
    }

    /// Runs every line for each of its wires.
    async fn check(&mut self, cases: &[Case]) {
        for case in cases {
            for wire in case.wires {
                for stream in case.stream {
                    self.check_one(case, *wire, *stream).await;
                }
            }
        }
    }

    async fn check_one(&mut self, case: &Case, wire: Wire, stream: bool) {
        let name = format!("{} ({wire:?}, stream: {stream})", case.name);
        let script = (case.script)(wire);
        let sent = script.body.clone();
        let before = self.raw.requests();
        self.raw.play(script);
        let response = self.harness.send(wire.request(&self.harness, stream)).await;
        assert_eq!(header(&response, "bailiwick-decision"), "allow", "{name}");
        assert_eq!(header(&response, "bailiwick-request-id").len(), 32, "{name}");
        assert!(!format!("{:?}", response.headers()).contains(UPSTREAM_KEY), "{name}");
        let (head, mut body) = response.into_parts();
        let mut text = Vec::new();
        while let Some(frame) = body.frame().await {
            assert!(frame.is_ok(), "{name}: {:?}", frame.err());
            text.extend_from_slice(&frame.unwrap().into_data().unwrap_or_default());
            self.raw.go_on();
        }
        assert!(!String::from_utf8_lossy(&text).contains(UPSTREAM_KEY), "{name}");
        let told = Answer {
            status: head.status.as_u16(),
            reason: head
                .headers
                .get("bailiwick-reason")
                .map(|reason| reason.to_str().unwrap()),
            body: &text,
        };
        told.check(&name, case.told, wire, &sent);
        assert!(self.raw.requests() <= before + 1, "{name}: it is sent once");
        self.calls += 1;
        self.check_booked(&name, case, wire).await;
    }

    async fn check_booked(&self, name: &str, case: &Case, wire: Wire) {
        let outcomes = self.harness.outcomes(self.calls).await;
        assert_eq!(outcomes.len(), self.calls, "{name}: one outcome each");
        let hold = intents(&self.harness).await.last().unwrap().hold;
        let outcome = outcomes.last().unwrap();
        let (source, cost) = match case.booked {
            Booked::Nothing => (UsageSource::Nothing, NanoUsd::ZERO),
            Booked::Hold => (UsageSource::Hold, hold),
            Booked::Figures => (UsageSource::Provider, wire.cost()),
            Booked::Cost(cost) => (UsageSource::Provider, NanoUsd(cost)),
        };
        let found = (outcome.status, outcome.http, outcome.source, outcome.cost);
        assert_eq!(found, (case.status, case.http, source, cost), "{name}");
        let overrun = NanoUsd(cost.0.saturating_sub(hold.0).max(0));
        assert_eq!(outcome.overrun, overrun, "{name}");
    }

    /// Stops, and checks the log: it folds, so that every hold ended once, and none is open.
    async fn finish(self) {
        self.harness.finish().await;
    }
}

/// What the caller got.
struct Answer<'a> {
    status: u16,
    reason: Option<&'a str>,
    body: &'a [u8],
}

impl Answer<'_> {
    fn check(&self, name: &str, told: Told, wire: Wire, sent: &[u8]) {
        let shown = String::from_utf8_lossy(self.body.get(..2_000).unwrap_or(self.body)).into_owned();
        let (status, reason) = match told {
            Told::Refused(reason) => (reason.status(), Some(reason.code())),
            Told::Passed(status) | Told::Replaced(status) => (status, None),
            Told::Ended(_) => (200, None),
        };
        assert_eq!((self.status, self.reason), (status, reason), "{name}: {shown}");
        let error = match told {
            Told::Passed(_) => return assert!(self.body == sent, "{name}: {shown}"),
            Told::Refused(reason) => wire.error(self.body, reason),
            Told::Replaced(_) => wire.error(self.body, Reason::UpstreamBroken),
            Told::Ended(reason) => {
                assert!(self.body.starts_with(sent), "{name}: {shown}");
                let rest = String::from_utf8_lossy(self.body.strip_prefix(sent).unwrap_or_default());
                // An event of which the caller has half is ended first.
                let rest = rest.strip_prefix("\n\n").unwrap_or(&rest);
                wire.error(wire.last_event(rest).unwrap_or_default().as_bytes(), reason)
            }
        };
        assert!(error.is_some(), "{name}: {shown}");
    }
}

/// Bounds that hung upstreams soon pass.
fn impatient() -> Limits {
    Limits {
        first_byte_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_millis(300),
        ..Limits::default()
    }
}
