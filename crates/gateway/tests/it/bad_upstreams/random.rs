//! Random scripts of the simulated provider and random callers: whatever comes of it, each hold ends once, and what is
//! booked is no less than what the provider bills.

use entry::{Event, Intent};
use fake::{Billed, Finished, SeenCall};
use model::{ServiceTier, Usage};
use pricing::{PriceBook, Region};
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};

use super::*;

/// Calls of one run. There are as many calls in all as `PROPTEST_CASES` says.
const CALLS: usize = 16;

/// One call, and how its caller behaves.
#[derive(Clone, Debug)]
struct Call {
    wire: Wire,
    stream: bool,
    script: String,
    /// It leaves after so many parts of the reply; `None` reads all.
    leaves: Option<usize>,
}

fn any_call() -> impl Strategy<Value = Call> {
    let maybe = |words: &'static str, range: std::ops::Range<u64>| {
        proptest::option::of(range).prop_map(move |number| number.map(|number| format!("{words}={number}")))
    };
    let status = prop::sample::select(vec![
        0_u16, 0, 0, 0, 0, 0, 302, 400, 401, 403, 404, 407, 429, 500, 503, 504, 529,
    ]);
    let status = status.prop_map(|status| (status > 0).then(|| format!("status={status}")));
    let stop = prop_oneof![
        3 => Just(None),
        1 => (0..20_u64).prop_map(|after| Some(format!("cut-after={after}"))),
        1 => (0..20_u64).prop_map(|after| Some(format!("error-after={after}"))),
        1 => (0..20_u64).prop_map(|after| Some(format!("hang-after={after}"))),
    ];
    // A provider that ignores the output limit, in one way or another, or spends more than it shows.
    let size = prop_oneof![
        4 => (1..50_u64).prop_map(|output| Some(format!("output={output}"))),
        1 => (50..3_000_u64).prop_map(|output| Some(format!("output={output}"))),
        1 => (1..12_u64, 1..40_000_u64).prop_map(|(events, bytes)| Some(format!("events={events};bytes={bytes}"))),
        2 => Just(None),
    ];
    let flag =
        |word: &'static str, weight| proptest::bool::weighted(weight).prop_map(move |on| on.then(|| word.to_owned()));
    let script = (
        status,
        stop,
        size,
        flag("omit-usage", 0.2),
        flag("bill-abandoned", 0.3),
        maybe("usage-output", 0..60),
        maybe("cached", 0..10),
        maybe("reasoning", 0..30),
    );
    let script = script.prop_map(|(status, stop, size, omit, abandoned, output, cached, reasoning)| {
        let words = [status, stop, size, omit, abandoned, output, cached, reasoning];
        words.into_iter().flatten().collect::<Vec<_>>().join(";")
    });
    let leaves = proptest::option::weighted(0.3, 0..6_usize);
    (prop::sample::select(wire::ALL.to_vec()), any::<bool>(), script, leaves).prop_map(
        |(wire, stream, script, leaves)| Call {
            wire,
            stream,
            script,
            leaves,
        },
    )
}

impl Call {
    async fn make(&self, harness: &Harness) {
        let request = Harness::scripted(self.wire.request(harness, self.stream), &self.script);
        let response = harness.send(request).await;
        let mut body = response.into_body();
        let mut parts = 0;
        while self.leaves.is_none_or(|leaves| parts < leaves) {
            match body.frame().await {
                Some(Ok(_)) => parts += 1,
                Some(Err(_)) | None => break,
            }
        }
    }

    /// The least that may be booked, and why.
    fn check(&self, seen: &SeenCall, intent: &Intent, outcome: &entry::Outcome) {
        let name = format!("{self:?}\n{seen:?}\n{outcome:?}");
        let unused = outcome.source == UsageSource::Nothing;
        if unused {
            assert_eq!(outcome.cost, NanoUsd::ZERO, "{name}");
            assert_eq!(seen.billed, Billed::default(), "{name}");
            assert_eq!(outcome.status, Status::UpstreamError, "{name}");
        }
        let billed = cost(self.wire, &seen.billed);
        // Where it hides its figures and ignores the limit, nobody can know: the hold, or what is proven, is booked.
        let knowable = billed <= intent.hold || outcome.source == UsageSource::Provider;
        assert!(!knowable || outcome.cost >= billed, "{billed:?} was billed: {name}");
        if outcome.source == UsageSource::Hold {
            assert!(outcome.cost >= intent.hold, "{name}");
        }
        if seen.finished == Finished::Completed && outcome.source == UsageSource::Provider {
            assert_eq!(outcome.cost, billed, "{name}");
        }
        assert_eq!(outcome.overrun.0, (outcome.cost.0 - intent.hold.0).max(0), "{name}");
    }
}

fn cost(wire: Wire, billed: &Billed) -> NanoUsd {
    let (provider, model) = match wire {
        Wire::Messages => ("anthropic", "claude-sonnet-4-5"),
        _ => ("openai", "gpt-4o-mini"),
    };
    let usage = Usage {
        input: billed.input,
        cache_read: billed.cache_read,
        cache_write: billed.cache_write,
        cache_write_1h: billed.cache_write_1h,
        output: billed.output,
        reasoning: billed.reasoning,
        ..Usage::default()
    };
    if usage == Usage::default() {
        return NanoUsd::ZERO;
    }
    let prices = PriceBook::builtin()
        .require(provider, model)
        .unwrap()
        .in_region(Region::of_host("127.0.0.1"));
    prices.cost(&usage, ServiceTier::Standard).unwrap()
}

/// One run: the calls in turn, then the log against the provider's own record.
async fn run(calls: &[Call]) {
    let harness = Harness::with(Setup {
        policy: ALLOW_ALL,
        // So short that a hung provider costs the test little.
        limits: Limits {
            idle_timeout: Duration::from_millis(150),
            ..Limits::default()
        },
        ..Setup::default()
    })
    .await;
    for call in calls {
        call.make(&harness).await;
    }
    let count = u64::try_from(calls.len()).unwrap();
    harness.provider.calls().wait_finished(count).await;
    harness.outcomes(calls.len()).await;
    let entries = harness.entries().await;
    let seen = harness.provider.calls().snapshot();
    assert_eq!(seen.len(), calls.len(), "each call is made once");
    let intents: Vec<_> = entries.iter().filter_map(|entry| intent(&entry.event)).collect();
    assert_eq!(intents.len(), calls.len());
    let mut sum = NanoUsd::ZERO;
    for (call, (seen, intent)) in calls.iter().zip(seen.iter().zip(&intents)) {
        let id = intent.action.id;
        let mut ends = entries
            .iter()
            .filter_map(|entry| outcome(&entry.event))
            .filter(|end| end.action == id);
        let (end, more) = (ends.next().unwrap(), ends.count());
        assert_eq!(more, 0, "the hold of {call:?} ends once");
        call.check(seen, intent, end);
        sum = sum.saturating_add(end.cost);
    }
    // The log folds from its first byte, no hold is open in it, and its sum is what its outcomes say.
    assert_eq!(harness.finish().await.spent, sum);
}

fn intent(event: &Event) -> Option<&Intent> {
    match event {
        Event::Intent(intent) => Some(intent),
        _ => None,
    }
}

fn outcome(event: &Event) -> Option<&entry::Outcome> {
    match event {
        Event::Outcome(outcome) => Some(outcome),
        _ => None,
    }
}

#[test]
fn whatever_happens_the_hold_ends_once_and_covers_the_bill() {
    // Each run starts a gateway and a store, so the cases are drawn here and not shrunk.
    let mut runner = TestRunner::new(Config::default());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    for _ in 0..Config::default().cases.div_ceil(16) {
        let calls = proptest::collection::vec(any_call(), CALLS);
        let calls = calls.new_tree(&mut runner).unwrap().current();
        runtime.block_on(run(&calls));
    }
}
