//! The overspends that were shown of other gateways, with a budget that affords two calls and fifty at once: cases A to J of
//! our list, those that one server can show. (D is a switch that turns reservation off, which does not exist here; E and I
//! are several servers.) What is booked is never less than what the provider bills, and never more than the limit.

use futures_util::future::join_all;
use http_body_util::BodyExt as _;

use super::*;

/// How many call at once.
const BURST: usize = 50;
/// How many of them the budget affords.
const AFFORDED: usize = 2;

/// One case.
struct Case {
    name: &'static str,
    /// The budgets, given how much the limit is; none for the agent's own.
    budgets: fn(i64) -> Vec<BudgetSpec>,
    path: &'static str,
    fields: &'static str,
    /// What the provider does.
    script: &'static str,
    /// The caller goes after the first bytes.
    hangs_up: bool,
}

const HONEST: &str = r#""model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}],"max_tokens":50"#;
const CHAT: &str = "/openai/v1/chat/completions";
/// So long that nothing ends before all of a burst have asked.
const SLOW: &str = "latency=1500ms; ";

const fn case(name: &'static str, budgets: fn(i64) -> Vec<BudgetSpec>) -> Case {
    Case {
        name,
        budgets,
        path: CHAT,
        fields: HONEST,
        script: "output=50",
        hangs_up: false,
    }
}

fn own(_: i64) -> Vec<BudgetSpec> {
    Vec::new()
}

fn of(name: &str, label: Label, value: &str, limit: i64) -> BudgetSpec {
    BudgetSpec {
        select: Some(Selector::of(label, value)),
        limit: Amount(limit),
        ..counting(name, Measure::Money)
    }
}

fn cases() -> Vec<Case> {
    let no_limit = r#""model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}]"#;
    let streamed = r#""model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}],"max_tokens":50,"stream":true"#;
    let five = r#""model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}],"max_tokens":5"#;
    vec![
        case("A: an honest output limit", own),
        Case {
            fields: streamed,
            ..case("A: an honest output limit, as streams", own)
        },
        Case {
            fields: no_limit,
            ..case("B: no output limit", own)
        },
        Case {
            path: "/loose/v1/chat/completions",
            fields: five,
            script: "usage-output=16384",
            ..case("C and J: more comes than was asked for", own)
        },
        case("G: the budget of an upstream", |limit| {
            vec![of("upstream", Label::Upstream, "openai", limit)]
        }),
        Case {
            fields: streamed,
            script: "chunk-delay=50ms; output=50; bill-abandoned",
            hangs_up: true,
            ..case("H: callers hang up after the first byte", own)
        },
        case("two budgets at once, the first smaller", |limit| {
            vec![
                of("a", Label::Team, "data", limit),
                of("b", Label::Upstream, "openai", limit * 3),
            ]
        }),
        case("two budgets at once, the second smaller", |limit| {
            vec![
                of("a", Label::Team, "data", limit * 3),
                of("b", Label::Upstream, "openai", limit),
            ]
        }),
        case("a budget of a model, and one of whoever calls", |limit| {
            vec![
                of("a", Label::Model, "gpt-4o*", limit * 2),
                BudgetSpec {
                    each: vec![Label::Agent],
                    ..of("b", Label::Team, "data", limit)
                },
            ]
        }),
    ]
}

impl Case {
    async fn send(&self, harness: &Harness, when: &str) -> bool {
        let request = harness.request(self.path, format!("{{{}}}", self.fields));
        let script = format!("{when}{}", self.script);
        let response = harness.send(Harness::scripted(request, &script)).await;
        let admitted = response.status() == 200;
        let mut body = response.into_body();
        if self.hangs_up && admitted {
            body.frame().await.unwrap().unwrap();
        } else {
            drop(body.collect().await);
        }
        admitted
    }

    /// Fifty at once; how many were admitted.
    async fn burst(&self, harness: &Harness, when: &str) -> usize {
        let answers = join_all((0..BURST).map(|_| self.send(harness, when))).await;
        answers.into_iter().filter(|admitted| *admitted).count()
    }

    /// What is held for one such call.
    async fn hold(&self) -> NanoUsd {
        let harness = Harness::with(setup("5 USD".to_owned())).await;
        assert!(self.send(&harness, "").await, "{}", self.name);
        let hold = intents(&harness).await[0].hold;
        harness.outcomes(1).await;
        harness.finish().await;
        hold
    }
}

/// With the agent's own budget so large. Where a call names no output limit, 60 tokens are written into it.
fn setup(limit: String) -> Setup {
    Setup {
        policy: ALL,
        limit: Box::leak(limit.into_boxed_str()),
        declare: |governance| {
            loose(governance);
            for agent in governance.tenants.values_mut().flat_map(|tenant| &mut tenant.agents) {
                agent.output_limit = Some(60);
            }
        },
        ..Setup::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_what_fits_is_admitted_and_the_limit_holds() {
    for case in cases() {
        let name = case.name;
        let hold = case.hold().await;
        // Two fit, and a third would but for a nano-dollar.
        let limit = NanoUsd(hold.0 * 3 - 1);
        let budgets = (case.budgets)(limit.0);
        let agents_own = if budgets.is_empty() {
            limit
        } else {
            NanoUsd(5_000_000_000)
        };
        let harness = Harness::with(setup(format!("{agents_own} USD"))).await;
        declare(&harness, budgets).await;
        assert_eq!(case.burst(&harness, SLOW).await, AFFORDED, "{name}");
        let mut admitted = harness.outcomes(AFFORDED).await.len();
        // What the holds gave back is not lost to the next ones: it goes on until less than one hold is left.
        loop {
            let more = case.burst(&harness, "").await;
            admitted += more;
            harness.outcomes(admitted).await;
            if more == 0 {
                break;
            }
        }
        let seen = harness.provider.calls();
        seen.wait_finished(u64::try_from(admitted).unwrap()).await;
        let billed = billed_all(&harness);
        let outcomes = harness.outcomes(admitted).await;
        let booked = outcomes
            .iter()
            .map(|outcome| outcome.cost)
            .fold(NanoUsd::ZERO, NanoUsd::saturating_add);
        assert_eq!(outcomes.len(), admitted, "{name}");
        assert!(
            booked >= billed && billed > NanoUsd::ZERO,
            "{name}: {billed} billed, {booked} booked"
        );
        assert!(booked <= limit, "{name}: {booked} of {limit}");
        assert!(
            booked.0 > limit.0 - hold.0,
            "{name}: {booked} of {limit}, a call holds {hold}"
        );
        for pot in pots(&harness).await {
            let money = |text: &str| format!("{text} USD").parse::<NanoUsd>().unwrap();
            assert!(money(&pot.booked) <= money(&pot.limit), "{name}: {pot:?}");
            assert_eq!(
                (money(&pot.booked), pot.held.as_str()),
                (booked, "0"),
                "{name}: {pot:?}"
            );
        }
        let state = harness.finish().await;
        assert_eq!((state.spent, state.overrun), (booked, NanoUsd::ZERO), "{name}");
    }
}

/// C where nobody declared that the provider does not honour limits: what it bills past the holds of the first burst cannot
/// be prevented. It is booked to the last nano-dollar, and from then on nothing is admitted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_c_a_provider_that_lies_is_booked_in_full_and_stops_everything() {
    let case = Case {
        fields: r#""model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}],"max_tokens":5"#,
        script: "usage-output=5000",
        ..case("C", own)
    };
    let hold = case.hold().await;
    let limit = NanoUsd(hold.0 * 3 - 1);
    let harness = Harness::with(setup(format!("{limit} USD"))).await;
    assert_eq!(case.burst(&harness, SLOW).await, AFFORDED);
    let outcomes = harness.outcomes(AFFORDED).await;
    let booked = outcomes
        .iter()
        .map(|outcome| outcome.cost)
        .fold(NanoUsd::ZERO, NanoUsd::saturating_add);
    assert_eq!(booked, billed_all(&harness));
    assert!(booked > limit);
    for _ in 0..2 {
        assert_eq!(case.burst(&harness, "").await, 0);
    }
    assert_eq!(harness.provider.calls().count().received, 2);
    let state = harness.finish().await;
    assert_eq!(state.overrun, NanoUsd(booked.0 - 2 * hold.0));
}

/// F: a model without a price never stopped elsewhere, because it never cost anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_f_a_model_without_a_price_is_never_admitted() {
    let harness = Harness::with(setup("5 USD".to_owned())).await;
    declare(&harness, vec![of("team", Label::Team, "data", 1)]).await;
    let case = Case {
        fields: r#""model":"gpt-99","messages":[{"role":"user","content":"Hi"}],"max_tokens":5"#,
        ..case("F", own)
    };
    for _ in 0..2 {
        assert_eq!(case.burst(&harness, "").await, 0);
    }
    let denials = harness.denials().await;
    assert_eq!(denials.len(), 2 * BURST);
    assert!(
        denials
            .iter()
            .all(|denial| denial.reason == model::Reason::UnpricedModel)
    );
    assert_eq!(harness.provider.calls().count().received, 0);
    harness.finish().await;
}
