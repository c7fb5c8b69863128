//! Known prices of text to the nano-dollar, and what is refused.

use std::sync::LazyLock;

use model::{Feature, NanoUsd, Usage};

use super::*;
use crate::{Allowances, PriceBook};

mod bond;
mod golden;

static BOOK: LazyLock<PriceBook> = LazyLock::new(PriceBook::builtin);

fn usage([input, cache_read, cache_write, cache_write_1h, output, reasoning]: [u64; 6]) -> Usage {
    Usage {
        input,
        cache_read,
        cache_write,
        cache_write_1h,
        output,
        reasoning,
        ..Usage::default()
    }
}

#[test]
fn known_models_cost_what_their_price_lists_say() {
    use Region::{Eu, Global, Undeclared, Us};
    use ServiceTier::{Flex, Priority, Standard};
    // Usage: input, cache read, cache write, 1 h cache write, output, of which reasoning.
    for (provider, model, region, tier, counts, dollars) in [
        (
            "openai",
            "gpt-4o-mini",
            Global,
            Standard,
            [1_000_000, 0, 0, 0, 0, 0],
            "0.15",
        ),
        (
            "openai",
            "gpt-4o-mini",
            Global,
            Standard,
            [0, 1_000_000, 0, 0, 0, 0],
            "0.075",
        ),
        (
            "openai",
            "gpt-4o-mini",
            Global,
            Standard,
            [0, 0, 0, 0, 1_000_000, 0],
            "0.6",
        ),
        (
            "openai",
            "gpt-4o-mini",
            Global,
            Standard,
            [1_234, 5_678, 0, 0, 910, 0],
            "0.00115695",
        ),
        (
            "openai",
            "gpt-4o-mini",
            Global,
            Priority,
            [1_000_000, 0, 0, 0, 1_000_000, 0],
            "1.25",
        ),
        // No flex prices: the standard ones.
        (
            "openai",
            "gpt-4o-mini",
            Global,
            Flex,
            [1_000_000, 0, 0, 0, 0, 0],
            "0.15",
        ),
        (
            "openai",
            "gpt-5",
            Global,
            Standard,
            [1_000, 2_000, 0, 0, 500, 300],
            "0.0065",
        ),
        (
            "openai",
            "gpt-5",
            Global,
            Flex,
            [1_000, 2_000, 0, 0, 500, 300],
            "0.00325",
        ),
        (
            "openai",
            "gpt-5",
            Global,
            Priority,
            [1_000, 2_000, 0, 0, 500, 300],
            "0.013",
        ),
        (
            "anthropic",
            "claude-sonnet-4-5",
            Global,
            Standard,
            [100, 1_000, 2_000, 3_000, 400, 0],
            "0.0321",
        ),
        // 200,000 tokens and one more, cached or not.
        (
            "gemini",
            "gemini-2.5-pro",
            Global,
            Standard,
            [200_000, 0, 0, 0, 1_000, 0],
            "0.26",
        ),
        (
            "gemini",
            "gemini-2.5-pro",
            Global,
            Standard,
            [200_001, 0, 0, 0, 1_000, 0],
            "0.5150025",
        ),
        (
            "gemini",
            "gemini-2.5-pro",
            Global,
            Standard,
            [150_000, 100_000, 0, 0, 0, 0],
            "0.4",
        ),
        // 272,000 and one more; the long step is dearer than priority, but not its output.
        (
            "openai",
            "gpt-5.4",
            Global,
            Standard,
            [272_000, 0, 0, 0, 1_000, 0],
            "0.695",
        ),
        (
            "openai",
            "gpt-5.4",
            Global,
            Standard,
            [272_001, 0, 0, 0, 1_000, 0],
            "1.382505",
        ),
        (
            "openai",
            "gpt-5.4",
            Global,
            Flex,
            [272_001, 0, 0, 0, 1_000, 0],
            "0.6912525",
        ),
        (
            "openai",
            "gpt-5.4",
            Global,
            Priority,
            [272_001, 0, 0, 0, 1_000, 0],
            "1.390005",
        ),
        (
            "openai",
            "gpt-5.4",
            Eu,
            Standard,
            [272_001, 0, 0, 0, 1_000, 0],
            "1.5207555",
        ),
        (
            "openai",
            "gpt-5.4",
            Undeclared,
            Standard,
            [272_001, 0, 0, 0, 1_000, 0],
            "1.5207555",
        ),
        (
            "openai",
            "gpt-4o-mini",
            Undeclared,
            Standard,
            [1_000_000, 0, 0, 0, 0, 0],
            "0.15",
        ),
        (
            "anthropic",
            "claude-opus-4-6",
            Global,
            Standard,
            [1_000, 0, 0, 0, 0, 0],
            "0.005",
        ),
        (
            "anthropic",
            "claude-opus-4-6",
            Us,
            Standard,
            [1_000, 0, 0, 0, 0, 0],
            "0.0055",
        ),
        (
            "anthropic",
            "claude-opus-4-6",
            Eu,
            Standard,
            [1_000, 0, 0, 0, 0, 0],
            "0.005",
        ),
        (
            "anthropic",
            "claude-opus-4-6",
            Undeclared,
            Standard,
            [1_000, 0, 0, 0, 0, 0],
            "0.0055",
        ),
        // Reasoning apart from the rest of the output.
        (
            "dashscope",
            "qwen-turbo",
            Global,
            Standard,
            [1_000, 0, 0, 0, 1_000, 400],
            "0.00037",
        ),
        // Ranges: 32,000 tokens and one more, and beyond the last.
        (
            "dashscope",
            "qwen3-coder-plus",
            Global,
            Standard,
            [32_000, 0, 0, 0, 100, 0],
            "0.0325",
        ),
        (
            "dashscope",
            "qwen3-coder-plus",
            Global,
            Standard,
            [32_001, 0, 0, 0, 100, 0],
            "0.0585018",
        ),
        (
            "dashscope",
            "qwen3-coder-plus",
            Global,
            Standard,
            [2_000_000, 0, 0, 0, 0, 0],
            "12",
        ),
        // The list price at any hour.
        (
            "deepseek",
            "deepseek-flash",
            Global,
            Standard,
            [1_000_000, 0, 0, 0, 0, 0],
            "0.3",
        ),
        (
            "openai",
            "text-embedding-3-small",
            Global,
            Standard,
            [1_000_000, 0, 0, 0, 0, 0],
            "0.02",
        ),
    ] {
        let prices = BOOK.require(provider, model).unwrap().in_region(region);
        let cost = prices.cost(&usage(counts), tier).unwrap();
        assert_eq!(
            cost.to_string(),
            dollars,
            "{provider} {model} {region:?} {tier:?} {counts:?}"
        );
    }
}

fn demand(request_bytes: u64, output_limit: u64, choices: u64, features: &[FeatureUse]) -> Demand<'_> {
    Demand {
        work: &Work::Generate,
        request_bytes,
        output_limit,
        choices,
        searches: 0,
        features,
        tier: ServiceTier::Standard,
    }
}

fn uses(feature: Feature, count: u64) -> FeatureUse {
    FeatureUse {
        feature,
        count,
        found: "tools[0]".to_owned(),
    }
}

#[test]
fn the_worst_case_counts_bytes_allowances_and_choices_at_the_dearest_price() {
    let tools = [uses(Feature::Tools, 1), uses(Feature::Image, 2)];
    for (provider, model, demand, dollars) in [
        // (1000 + 256) × 0.15 + 500 × 0.6, per million.
        ("openai", "gpt-4o-mini", demand(1_000, 500, 1, &[]), "0.0004884"),
        ("openai", "gpt-4o-mini", demand(1_000, 500, 0, &[]), "0.0004884"),
        ("openai", "gpt-4o-mini", demand(1_000, 500, 3, &[]), "0.0010884"),
        ("openai", "gpt-4o-mini", demand(1_000, 0, 1, &tools), "0.0147159"),
        // All input might be written to the cache for an hour.
        ("anthropic", "claude-sonnet-4-5", demand(1_000, 500, 1, &[]), "0.015036"),
        // The allowance reaches over the threshold.
        ("gemini", "gemini-2.5-pro", demand(199_744, 0, 1, &[]), "0.25"),
        ("gemini", "gemini-2.5-pro", demand(199_745, 0, 1, &[]), "0.5000025"),
        // Reasoning is dearer than other output.
        ("dashscope", "qwen-turbo", demand(0, 1_000, 1, &[]), "0.0005128"),
        // Served in the standard tier after all.
        (
            "openai",
            "gpt-5",
            Demand {
                tier: ServiceTier::Flex,
                ..demand(1_000, 500, 1, &[])
            },
            "0.00657",
        ),
        (
            "openai",
            "gpt-5",
            Demand {
                tier: ServiceTier::Priority,
                ..demand(1_000, 500, 1, &[])
            },
            "0.01314",
        ),
    ] {
        let prices = BOOK.require(provider, model).unwrap();
        let worst = prices.worst_case(&demand, &Allowances::for_provider(provider)).unwrap();
        assert_eq!(worst.to_string(), dollars, "{provider} {model} {demand:?}");
    }
}

#[test]
fn what_has_no_bound_is_refused() {
    let check = |provider: &str, model: &str, demand: Demand<'_>, says: &str| {
        let prices = BOOK.find(provider, model).unwrap();
        let error = prices
            .worst_case(&demand, &Allowances::for_provider(provider))
            .unwrap_err();
        assert_eq!(error.to_string(), says);
    };
    for feature in [
        Feature::File,
        Feature::AudioInput,
        Feature::AudioOutput,
        Feature::StoredConversation,
        Feature::HostedTool,
        Feature::UnpricedOption,
    ] {
        let says = format!(
            "the request uses {feature} (tools[0]), whose cost on the model \"gpt-4o-mini\" of the provider \"openai\" has \
             no known bound; send the request without it"
        );
        check("openai", "gpt-4o-mini", demand(1, 1, 1, &[uses(feature, 1)]), &says);
    }
    // No allowance for images at this provider; images billed by the piece on that model.
    for (provider, model) in [
        ("mistral", "mistral-large-latest"),
        ("bedrock", "amazon.titan-embed-image-v1"),
    ] {
        let images = [uses(Feature::Image, 1)];
        let allowances = Allowances {
            image: Allowances::OPENAI.image,
            ..Allowances::for_provider(provider)
        };
        let prices = BOOK.require(provider, model).unwrap();
        let work = if provider == "mistral" {
            Work::Generate
        } else {
            Work::Embed
        };
        let demand = Demand {
            work: &work,
            ..demand(1, 1, 1, &images)
        };
        let refused = prices.worst_case(&demand, &Allowances::for_provider(provider));
        assert!(matches!(refused, Err(PriceError::Feature { .. })), "{model}");
        let allowed = prices.worst_case(&demand, &allowances);
        assert_eq!(allowed.is_ok(), provider == "mistral", "{model}");
    }
    check(
        "anthropic",
        "claude-sonnet-4-5",
        Demand {
            tier: ServiceTier::Priority,
            ..demand(1, 1, 1, &[])
        },
        "the model \"claude-sonnet-4-5\" of the provider \"anthropic\" has no known priority prices; ask for the standard \
         service tier",
    );
    let too_large = "the amount is too large to compute; lower the output limit or shorten the request";
    check("openai", "gpt-4o-mini", demand(u64::MAX, 1, 1, &[]), too_large);
    check("openai", "gpt-4o-mini", demand(1, u64::MAX, 2, &[]), too_large);
    check("openai", "gpt-4o-mini", demand(1, u64::MAX, 1, &[]), too_large);
    check(
        "openai",
        "gpt-4o-mini",
        demand(1, 1, 1, &[uses(Feature::Image, u64::MAX)]),
        too_large,
    );
}

#[test]
fn what_is_refused_has_no_cost_either() {
    let refused = BOOK.find("azure", "model-router").unwrap();
    assert!(matches!(
        refused.cost(&usage([1, 0, 0, 0, 1, 0]), ServiceTier::Standard),
        Err(PriceError::Unpriced { .. })
    ));
    let mini = BOOK.find("openai", "gpt-4o-mini").unwrap();
    assert_eq!(
        mini.cost(&usage([1, 0, 0, 0, 5, 6]), ServiceTier::Standard),
        Err(PriceError::Contradiction {
            reasoning: 6,
            output: 5
        })
    );
}

#[test]
fn an_override_stands_in_place_of_the_catalogue() {
    let own = |text: &str| toml::from_str::<Override>(text).unwrap();
    let book = BOOK
        .clone()
        .with_overrides(vec![
            own("provider = 'openai'\nmodel = 'gpt-5.4'\ninput = '1'\noutput = '2'\ncache_read = '0.5'"),
            own("provider = 'anthropic'\nmodel = 'house'\ninput = '4'\noutput = '2'"),
            own("provider = 'local'\nmodel = 'qwen3'\ninput = '0'\noutput = '0'"),
        ])
        .unwrap();
    let million = [1_000_000; 6];
    for (provider, model, dollars) in [
        // Without the catalogue's context steps and regions.
        ("openai", "gpt-5.4", "5.5"),
        // Input and cached reads at 4, cache writes at 5 and 8.
        ("anthropic", "house", "23"),
        ("local", "qwen3", "0"),
    ] {
        let prices = book.require(provider, model).unwrap();
        assert_eq!(
            prices.cost(&usage(million), ServiceTier::Standard).unwrap().to_string(),
            dollars,
            "{model}"
        );
        assert!(prices.cost(&usage(million), ServiceTier::Priority).is_err());
        assert_eq!(
            prices.cost(&usage(million), ServiceTier::Flex).unwrap().to_string(),
            dollars,
            "{model}"
        );
    }
    let free = book.require("local", "qwen3").unwrap();
    assert_eq!(
        free.worst_case(&demand(1_000, 1_000, 1, &[]), &Allowances::OTHER),
        Ok(NanoUsd::ZERO)
    );
}
