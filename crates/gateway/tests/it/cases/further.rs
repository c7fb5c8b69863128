//! What else went wrong elsewhere: replies that are given again and counted again (BerriAI/litellm#39057), free models that an
//! exhausted budget blocks (#14004, #29912), estimates without the dearer tiers (PR #40002), and providers that tell no
//! usage and so are not charged (agentgateway/website PR #962).

use model::UsageSource;

use super::*;

/// A budget in each unit, and money of each user.
fn budgets() -> Vec<BudgetSpec> {
    vec![
        counting("calls", Measure::Calls),
        counting("input", Measure::InputTokens),
        counting("money", Measure::Money),
        counting("output", Measure::OutputTokens),
        counting("tokens", Measure::Tokens),
        BudgetSpec {
            each: vec![Label::User],
            ..counting("user", Measure::Money)
        },
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn further_a_reply_that_is_given_again_books_nothing_again() {
    let mut harness = permitting().await;
    declare(&harness, budgets()).await;
    let (_, alice) = harness
        .issue(|order| order.user = Some("alice@acme.example".to_owned()))
        .await;
    harness.key = alice;
    for (calls, text) in (1..).zip(TEXTS) {
        let keyed = || {
            let mut request = text_call(&harness, text, calls % 2 == 0);
            request.headers_mut().insert("idempotency-key", text.0.parse().unwrap());
            request
        };
        assert_eq!(harness.call(keyed()).await.0, 200);
        harness.outcomes(calls).await;
        let once = spent(&harness).await;
        assert!(once.len() == 7 && once.values().all(|spent| spent != "0"), "{once:?}");
        for _ in 0..3 {
            let response = harness.send(keyed()).await;
            assert_eq!(
                crate::harness::header(&response, "idempotent-replayed"),
                "true",
                "{}",
                text.0
            );
        }
        assert_eq!(spent(&harness).await, once, "{}", text.0);
        assert_eq!(intents(&harness).await.len(), calls);
    }
    harness.finish().await;
}

/// A budget without a nano-dollar left stops what costs something, and only that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn further_what_costs_nothing_is_not_stopped_by_a_budget_of_money() {
    let free = "provider = 'openai'\nmodel = 'house-model'\ninput = 0\noutput = 0\nmax_output_tokens = 100";
    let harness = Harness::with(Setup {
        policy: ALL,
        prices: vec![toml::from_str(free).unwrap()],
        ..Setup::default()
    })
    .await;
    let none = |name: &str, unit| BudgetSpec {
        limit: Amount::ZERO,
        ..counting(name, unit)
    };
    let users = BudgetSpec {
        each: vec![Label::Agent],
        ..none("agents", Measure::Money)
    };
    declare(&harness, vec![none("money", Measure::Money), users]).await;
    let house = r#"{"model":"house-model","messages":[{"role":"user","content":"Hi"}],"max_tokens":50}"#;
    let count = r#"{"model":"claude-sonnet-4-5","messages":[{"role":"user","content":"Hi"}]}"#;
    let free = || {
        [
            harness.request("/openai/v1/chat/completions", house),
            harness.request(
                "/openai/v1/moderations",
                r#"{"model":"omni-moderation-latest","input":"Hi"}"#,
            ),
            harness.request("/anthropic/v1/messages/count_tokens", count),
        ]
    };
    let calls = free().len();
    for request in free() {
        let (status, _, text) = harness.call(request).await;
        assert_eq!(status, 200, "{text}");
    }
    assert!(
        harness
            .outcomes(calls)
            .await
            .iter()
            .all(|outcome| outcome.cost == NanoUsd::ZERO)
    );
    let (status, reason, _) = harness.call(harness.chat("")).await;
    assert_eq!((status, reason.as_str()), (402, "budget_exhausted"));
    // A budget of calls counts them, whatever they cost.
    declare(&harness, vec![none("calls", Measure::Calls)]).await;
    for request in free() {
        let (status, reason, text) = harness.call(request).await;
        assert_eq!((status, reason.as_str()), (402, "budget_exhausted"), "{text}");
    }
    harness.finish().await;
}

/// What a call of the priority tier, and one with a long prompt, is held at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn further_estimates_have_the_dearer_tiers() {
    let harness = permitting().await;
    let send = async |model: &str, more: &str, content: &str, script: &str| {
        let body = format!(
            r#"{{"model":"{model}",{more}"max_tokens":50,"messages":[{{"role":"user","content":"{content}"}}]}}"#
        );
        let calls = harness.outcomes(0).await.len();
        let request = Harness::scripted(harness.request("/openai/v1/chat/completions", body), script);
        let (status, _, text) = harness.call(request).await;
        assert_eq!(status, 200, "{text}");
        let outcome = harness.outcomes(calls + 1).await.pop().unwrap();
        (intents(&harness).await.pop().unwrap().hold, outcome)
    };
    // Of one length, because bytes are counted. Priority costs 5 where the standard costs 3, for what comes and what goes.
    let (standard, _) = send("gpt-4o-mini", r#""service_tier": "default","#, "Hi", "").await;
    let (priority, _) = send("gpt-4o-mini", r#""service_tier":"priority","#, "Hi", "").await;
    assert_eq!(priority.0 * 3, standard.0 * 5);
    // Above 272,000 tokens this model costs twice for what comes and half as much again for what goes.
    let book = PriceBook::builtin();
    let cost = |input, output| {
        let usage = Usage {
            input,
            output,
            ..Usage::default()
        };
        let prices = book.require("openai", "gpt-5.6").unwrap();
        prices
            .in_region(Region::of_host("127.0.0.1"))
            .cost(&usage, ServiceTier::Standard)
            .unwrap()
    };
    let long = "word ".repeat(56_000);
    let (hold, outcome) = send("gpt-5.6", "", &long, "usage-input=279000; usage-output=50").await;
    assert_eq!(
        (outcome.source, outcome.overrun),
        (UsageSource::Provider, NanoUsd::ZERO)
    );
    assert_eq!(outcome.cost, cost(279_000, 50));
    assert!(
        outcome.cost.0 > 279_000 * (cost(1_000, 0).0 / 1_000),
        "the dearer price was billed"
    );
    assert!(hold >= outcome.cost, "{hold} held, {} booked", outcome.cost);
    harness.finish().await;
}

/// Whoever tells no usage is booked at what was held, in every unit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn further_usage_that_is_omitted_is_booked_in_every_unit() {
    let harness = permitting().await;
    declare(&harness, budgets()).await;
    let (mut input, mut output, mut money) = (0, 0, NanoUsd::ZERO);
    for (calls, text) in (1..).zip(TEXTS) {
        let request = Harness::scripted(text_call(&harness, text, calls % 2 == 0), "omit-usage");
        assert_eq!(harness.call(request).await.0, 200);
        assert_eq!(harness.outcomes(calls).await.pop().unwrap().usage, None);
        let intent = intents(&harness).await.pop().unwrap();
        let tokens = intent.tokens.unwrap();
        (input, output) = (input + tokens.input, output + tokens.output);
        money = money.saturating_add(intent.hold);
        let found = spent(&harness).await;
        for (budget, expected) in [
            ("calls", calls.to_string()),
            ("input", input.to_string()),
            ("money", money.to_string()),
            ("output", output.to_string()),
            ("tester", money.to_string()),
            ("tokens", (input + output).to_string()),
        ] {
            assert_eq!(found[budget], expected, "{budget} after {}", text.0);
        }
    }
    harness.finish().await;
}
