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
    raw::{Raw, Script},
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
    /// The connection breaks, or the body does.
    Nothing,
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
        let answer = self.harness.try_send(wire.request(&self.harness, stream)).await;
        match answer {
            Err(error) => assert!(matches!(case.told, Told::Nothing), "{name}: {error:?}"),
            Ok(response) => {
                assert_eq!(header(&response, "bailiwick-decision"), "allow", "{name}");
                assert_eq!(header(&response, "bailiwick-request-id").len(), 32, "{name}");
                assert!(!format!("{:?}", response.headers()).contains(UPSTREAM_KEY), "{name}");
                let (head, mut body) = response.into_parts();
                let mut text = Vec::new();
                let mut whole = true;
                while let Some(frame) = body.frame().await {
                    match frame {
                        Ok(frame) => text.extend_from_slice(&frame.into_data().unwrap_or_default()),
                        Err(_) => whole = false,
                    }
                    self.raw.go_on();
                }
                assert!(!String::from_utf8_lossy(&text).contains(UPSTREAM_KEY), "{name}");
                let status = head.status.as_u16();
                let reason = head.headers.get("bailiwick-reason").map(|reason| reason.to_str().unwrap());
                check_told(&name, case.told, wire, status, reason, &text, whole, &sent);
            }
        }
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

#[expect(clippy::too_many_arguments, reason = "all that can be seen of an answer")]
fn check_told(
    name: &str,
    told: Told,
    wire: Wire,
    status: u16,
    reason: Option<&str>,
    text: &[u8],
    whole: bool,
    sent: &[u8],
) {
    let shown = String::from_utf8_lossy(&text[..text.len().min(2_000)]).into_owned();
    match told {
        Told::Refused(expected) => {
            assert_eq!((status, reason), (expected.status(), Some(expected.code())), "{name}: {shown}");
            let body = serde_json::from_slice(text).unwrap_or_default();
            assert!(wire.error(&body, expected).is_some(), "{name}: {shown}");
            assert!(whole, "{name}");
        }
        Told::Passed(expected) => {
            assert_eq!((status, reason), (expected, None), "{name}: {shown}");
            assert!(text == sent && whole, "{name}: {shown}");
        }
        Told::Replaced(expected) => {
            assert_eq!((status, reason), (expected, None), "{name}: {shown}");
            let body = serde_json::from_slice(text).unwrap_or_default();
            assert!(wire.error(&body, Reason::UpstreamBroken).is_some(), "{name}: {shown}");
            assert!(whole, "{name}");
        }
        Told::Ended(expected) => {
            assert_eq!((status, reason), (200, None), "{name}: {shown}");
            assert!(whole, "{name}");
            let rest = text.strip_prefix(sent).unwrap_or_else(|| panic!("{name}: {shown}"));
            let rest = String::from_utf8_lossy(rest).into_owned();
            // An event of which the caller has half is ended first.
            let rest = rest.strip_prefix("\n\n").unwrap_or(&rest);
            let rest = match wire {
                Wire::Messages => rest.strip_prefix("event: error\n"),
                _ => rest.strip_suffix("data: [DONE]\n\n"),
            };
            let event = rest.and_then(|rest| rest.strip_prefix("data: ")?.strip_suffix("\n\n"));
            let body = serde_json::from_str(event.unwrap_or_default()).unwrap_or_default();
            assert!(wire.error(&body, expected).is_some(), "{name}: {shown}");
        }
        Told::Nothing => assert!(!whole, "{name}: {status} {shown}"),
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
