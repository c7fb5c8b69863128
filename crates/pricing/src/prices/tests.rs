//! Known prices to the nano-dollar, and the bond between worst case and cost over the whole catalogue.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::PriceBook;

static BOOK: LazyLock<PriceBook> = LazyLock::new(PriceBook::builtin);

/// Every model that has a price.
static PRICED: LazyLock<Vec<ModelPrices>> =
    LazyLock::new(|| BOOK.models().filter(|prices| prices.refusal().is_none()).collect());

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
        request_bytes,
        output_limit,
        choices,
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
    // No allowance for images at this provider; a price above that of text on that model.
    for (provider, model) in [("mistral", "mistral-large-latest"), ("gemini", "gemini-embedding-2")] {
        let images = [uses(Feature::Image, 1)];
        let allowances = Allowances {
            image: Allowances::OPENAI.image,
            ..Allowances::for_provider(provider)
        };
        let prices = BOOK.require(provider, model).unwrap();
        let refused = prices.worst_case(&demand(1, 1, 1, &images), &Allowances::for_provider(provider));
        assert!(matches!(refused, Err(PriceError::Feature { .. })), "{model}");
        let allowed = prices.worst_case(&demand(1, 1, 1, &images), &allowances);
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
        Err(PriceError::Usage {
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

/// Any priced model; half the time one with more to it than an input and an output price.
fn model() -> impl Strategy<Value = &'static ModelPrices> {
    static RICH: LazyLock<Vec<&ModelPrices>> =
        LazyLock::new(|| PRICED.iter().filter(|prices| is_rich(prices)).collect());
    let index = any::<prop::sample::Index>;
    prop_oneof![
        index().prop_map(|index| index.get(PRICED.as_slice())),
        index().prop_map(|index| *index.get(RICH.as_slice())),
    ]
}

fn is_rich(prices: &ModelPrices) -> bool {
    let sheets = prices.sheets.as_ref().unwrap();
    let base = sheets.standard.at(0);
    sheets.standard.reachable(u64::MAX).count() > 1
        || sheets.priority.is_some()
        || base.reasoning.is_some_and(|reasoning| reasoning != base.output)
        || base.cache_write_1h > base.input
        || prices.uplifts != Uplifts::NONE
}

fn tier() -> impl Strategy<Value = ServiceTier> {
    prop_oneof![
        Just(ServiceTier::Standard),
        Just(ServiceTier::Flex),
        Just(ServiceTier::Priority)
    ]
}

fn region() -> impl Strategy<Value = Region> {
    prop_oneof![
        Just(Region::Undeclared),
        Just(Region::Global),
        Just(Region::Us),
        Just(Region::Eu)
    ]
}

/// Counts on every scale, near the thresholds too.
fn count() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..100_u64,
        0..20_000_u64,
        199_000..201_000_u64,
        270_000..274_000_u64,
        0..2_000_000_u64
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn usage_within_the_demand_never_costs_more_than_its_worst_case(
        prices in model(),
        tier in tier(),
        region in region(),
        bytes in count(),
        limit in count(),
        choices in 0..4_u64,
        tools in 0..3_u64,
        // How the input falls into classes, how much of the output is used, how much of that is reasoning: in thousandths.
        cuts in prop::array::uniform3(0..=1_000_u64),
        used in prop_oneof![Just(1_000_u64), 0..=1_000_u64],
        served_standard in any::<bool>(),
    ) {
        let prices = prices.clone().in_region(region);
        let features = [uses(Feature::Tools, tools)];
        let demand = Demand { request_bytes: bytes, output_limit: limit, choices, features: &features, tier };
        let allowances = Allowances::for_provider(prices.provider());
        let Ok(worst) = prices.worst_case(&demand, &allowances) else {
            prop_assert_eq!(tier, ServiceTier::Priority);
            return Ok(());
        };

        let input = (bytes + allowances.request + tools * allowances.tools.unwrap()) * used / 1_000;
        let mut cuts = cuts.map(|cut| input * cut / 1_000);
        cuts.sort_unstable();
        let output = limit * choices.max(1) * used / 1_000;
        let usage = usage([
            cuts[0],
            cuts[1] - cuts[0],
            cuts[2] - cuts[1],
            input - cuts[2],
            output,
            output * (cuts[0] % 1_001) / 1_000,
        ]);
        let served = if served_standard { ServiceTier::Standard } else { tier };
        let cost = prices.cost(&usage, served).unwrap();
        prop_assert!(cost <= worst, "{} {usage:?}: {cost} above {worst}", prices.model());
    }

    #[test]
    fn more_tokens_never_cost_less(
        prices in model(),
        tier in tier(),
        counts in prop::array::uniform5(count()),
        class in 0..5_usize,
        more in count(),
    ) {
        let [input, read, write, write_1h, output] = counts;
        let fewer = usage([input, read, write, write_1h, output, 0]);
        let mut counts = [input, read, write, write_1h, output, 0];
        counts[class] += more;
        if let Ok(cost) = prices.cost(&fewer, tier) {
            prop_assert!(prices.cost(&usage(counts), tier).unwrap() >= cost, "{}", prices.model());
        }
    }

    #[test]
    fn a_dearer_demand_has_no_lower_worst_case(
        prices in model(),
        tier in tier(),
        bytes in count(),
        limit in count(),
        more in prop::array::uniform2(count()),
    ) {
        let worst = |bytes, limit| {
            let demand = Demand { tier, ..demand(bytes, limit, 1, &[]) };
            prices.worst_case(&demand, &Allowances::OTHER)
        };
        if let Ok(least) = worst(bytes, limit) {
            prop_assert!(worst(bytes + more[0], limit + more[1]).unwrap() >= least, "{}", prices.model());
        }
    }
}
