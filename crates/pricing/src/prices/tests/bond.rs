//! The bond between worst case and cost, over the whole catalogue and every kind of work.

use proptest::prelude::*;

use super::*;

/// Every model that has a price.
static PRICED: LazyLock<Vec<ModelPrices>> =
    LazyLock::new(|| BOOK.models().filter(|prices| prices.refusal().is_none()).collect());

/// Models by what is special about them, so that each kind is drawn as often as plain text.
static SPECIAL: LazyLock<Vec<Vec<&ModelPrices>>> = LazyLock::new(|| {
    let with = |is: &dyn Fn(&ModelPrices) -> bool| PRICED.iter().filter(|prices| is(prices)).collect::<Vec<_>>();
    let has = |class| {
        move |prices: &ModelPrices| {
            let text = prices.kinds().contains(&Kind::Generate);
            text && prices.tariff().unwrap().sheets.standard.at(0).get(class).is_some()
        }
    };
    let kind = |kind| move |prices: &ModelPrices| prices.kinds().contains(&kind);
    let all = vec![
        with(&|_| true),
        with(&is_rich),
        with(&kind(Kind::Embed)),
        with(&kind(Kind::Images)),
        with(&|prices| kind(Kind::Images)(prices) && !prices.tariff().unwrap().fees.pictures.variants.is_empty()),
        with(&kind(Kind::Speech)),
        with(&kind(Kind::Transcribe)),
        with(&has(Class::AudioInput)),
        with(&has(Class::AudioOutput)),
        with(&has(Class::ImageOutput)),
        with(&|prices| prices.searches_unasked()),
        with(&|prices| prices.tariff().unwrap().fees.search.is_some()),
        with(&|prices| prices.tariff().unwrap().fees.call.is_some()),
    ];
    assert!(all.iter().all(|models| !models.is_empty()));
    all
});

fn is_rich(prices: &ModelPrices) -> bool {
    let tariff = prices.tariff().unwrap();
    let base = tariff.sheets.standard.at(0);
    tariff.sheets.standard.reachable(u64::MAX).count() > 1
        || tariff.sheets.priority.is_some()
        || base.get(Class::Reasoning) != base.get(Class::Output)
        || base.get(Class::CacheWrite1h) > base.get(Class::Input)
        || tariff.uplifts != Uplifts::NONE
}

fn model() -> impl Strategy<Value = &'static ModelPrices> {
    let index = any::<prop::sample::Index>;
    (index(), index()).prop_map(|(group, model)| *model.get(group.get(SPECIAL.as_slice()).as_slice()))
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

fn text(of: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    prop::sample::select(of).prop_map(|text| (!text.is_empty()).then(|| text.to_owned()))
}

/// The figures of a kind of work; the model decides which kinds there are.
fn works() -> impl Strategy<Value = [Work; 5]> {
    let size = text(&[
        "",
        "",
        "auto",
        "1024x1024",
        "1024x1536",
        "1024x1792",
        "512x512",
        "2K",
        "4000x9",
    ]);
    let quality = text(&["", "", "auto", "low", "medium", "high", "hd", "standard"]);
    (1..5_u64, size, quality, count(), count()).prop_map(|(count, size, quality, characters, file_bytes)| {
        [
            Work::Generate,
            Work::Embed,
            Work::Images { count, size, quality },
            Work::Speech { characters },
            Work::Transcribe { file_bytes },
        ]
    })
}

#[derive(Clone, Debug)]
struct Asked {
    bytes: u64,
    limit: u64,
    choices: u64,
    searches: u64,
    tools: u64,
    images: u64,
    hears: bool,
    speaks: bool,
    tier: ServiceTier,
}

fn asked() -> impl Strategy<Value = Asked> {
    let few = || prop_oneof![3 => Just(0_u64), 1 => 0..3_u64];
    let seldom = || prop::bool::weighted(0.3);
    (
        count(),
        count(),
        0..4_u64,
        few(),
        0..3_u64,
        few(),
        seldom(),
        seldom(),
        tier(),
    )
        .prop_map(
            |(bytes, limit, choices, searches, tools, images, hears, speaks, tier)| Asked {
                bytes,
                limit,
                choices,
                searches,
                tools,
                images,
                hears,
                speaks,
                tier,
            },
        )
}

impl Asked {
    fn features(&self, work: &Work) -> Vec<FeatureUse> {
        let generates = *work == Work::Generate;
        let wanted = [
            (Feature::Tools, if generates { self.tools } else { 0 }),
            (Feature::Image, self.images),
            (Feature::AudioInput, u64::from(self.hears && generates)),
            (Feature::AudioOutput, u64::from(self.speaks && generates)),
        ];
        let used = wanted.into_iter().filter(|(_, count)| *count > 0);
        used.map(|(feature, count)| uses(feature, count)).collect()
    }
}

/// How the most there can be falls into classes, in thousandths.
type Cuts = [u64; 8];

/// `most` in three parts, by two cuts.
fn three(most: u64, a: u64, b: u64) -> [u64; 3] {
    let (a, b) = (most * a.min(b) / 1_000, most * a.max(b) / 1_000);
    [a, b - a, most - b]
}

/// A usage within the demand: its bounds are worked out here a second time, from what the fields of [`Demand`] and
/// [`Allowances`] promise.
fn within(demand: &Demand<'_>, allowances: &Allowances, prices: &ModelPrices, cuts: Cuts, part: u64) -> Usage {
    let count = |wanted: Feature| -> u64 {
        let found = demand.features.iter().filter(|used| used.feature == wanted);
        found.map(|used| used.count).sum()
    };
    let part = |most: u64| most * part / 1_000;
    let [a, b, c, d, e, f, ..] = cuts;
    let file = match demand.work {
        Work::Transcribe { file_bytes } => *file_bytes,
        Work::Generate if count(Feature::AudioInput) > 0 => demand.request_bytes,
        _ => 0,
    };
    let around = match demand.work {
        Work::Transcribe { file_bytes } => demand.request_bytes.saturating_sub(*file_bytes),
        _ => demand.request_bytes,
    };
    let searches = if prices.searches_unasked() {
        demand.searches.max(allowances.searches.unwrap_or(0))
    } else {
        demand.searches
    };
    let text = around
        + allowances.request
        + count(Feature::Tools) * allowances.tools.unwrap()
        + searches * allowances.search_input.unwrap_or(0);
    let [input, cache_read, writes] = three(part(text), a, b);
    let [cache_write, cache_write_1h, more] = three(writes, c, c);
    // 6 kbit/s: a byte plays for 4/3 milliseconds.
    let mut usage = Usage {
        input: input + more,
        cache_read,
        cache_write,
        cache_write_1h,
        image_input: part(count(Feature::Image) * allowances.image.unwrap_or(0)),
        audio_input: part(file * 4 / 3 * 32 / 1_000),
        searches: part(searches),
        ..Usage::default()
    };
    match demand.work {
        Work::Generate => {
            let [text, spoken, drawn] = three(part(demand.output_limit * demand.choices.max(1)), d, e);
            (usage.output, usage.image_output) = (text, drawn);
            if count(Feature::AudioOutput) > 0 {
                usage.audio_output = spoken;
            }
        }
        Work::Images { count, quality, .. } => {
            let each = match (allowances.picture, prices.max_output_tokens()) {
                (Some(tokens), _) => tokens.of(quality.as_deref()),
                (None, most) => most.unwrap_or(0),
            };
            let [text, drawn, _] = three(part(each * count), d, e);
            (usage.output, usage.image_output, usage.images) = (text, drawn, part(*count));
        }
        Work::Speech { characters } => {
            let seconds = (*characters).max(10);
            let [text, spoken, _] = three(part(seconds * 32), d, e);
            (usage.output, usage.audio_output) = (text, spoken);
            (usage.audio_ms, usage.characters) = (part(seconds * 1_000), part(*characters));
        }
        Work::Transcribe { .. } => {
            let spoken = (file * 4 / 3 * 32 / 1_000).max(prices.max_output_tokens().unwrap_or(0));
            (usage.output, usage.audio_ms) = (part(spoken), part(file * 4 / 3));
        }
        Work::Embed | Work::Free => {}
    }
    usage.reasoning = usage.output * f / 1_000;
    usage
}

/// The cost, without the classes that the model has no price for (which is an error, and books the hold).
fn cost(prices: &ModelPrices, usage: &Usage, tier: ServiceTier) -> (NanoUsd, Usage) {
    let mut usage = *usage;
    loop {
        match prices.cost(&usage, tier) {
            Ok(cost) => return (cost, usage),
            Err(PriceError::Usage { class, count, .. }) => {
                assert!(count > 0, "{class}");
                match class {
                    "input" => usage.input = 0,
                    "cache_read" => usage.cache_read = 0,
                    "cache_write" => usage.cache_write = 0,
                    "cache_write_1h" => usage.cache_write_1h = 0,
                    "output" | "reasoning" => (usage.output, usage.reasoning) = (0, 0),
                    "audio_input" => usage.audio_input = 0,
                    "audio_output" => usage.audio_output = 0,
                    "image_input" => usage.image_input = 0,
                    "image_output" => usage.image_output = 0,
                    "images" => usage.images = 0,
                    "audio_ms" => usage.audio_ms = 0,
                    "characters" => usage.characters = 0,
                    "searches" => usage.searches = 0,
                    other => panic!("{other} is no class"),
                }
            }
            Err(PriceError::Picture { .. }) => usage.images = 0,
            Err(error) => panic!("{}: {error}", prices.model()),
        }
    }
}

/// With everything declared that can be.
fn declared(prices: &ModelPrices) -> Allowances {
    let known = Allowances::for_provider(prices.provider());
    Allowances {
        image: known.image.or(Some(10_000)),
        searches: Some(3),
        search_input: Some(5_000),
        ..known
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn usage_within_the_demand_never_costs_more_than_its_worst_case(
        prices in model(),
        which in any::<prop::sample::Index>(),
        works in works(),
        asked in asked(),
        region in region(),
        cuts in prop::array::uniform8(0..=1_000_u64),
        part in prop_oneof![Just(1_000_u64), 0..=1_000_u64],
        served_standard in any::<bool>(),
        scoped in prop::bool::weighted(0.8),
        without_tokens in prop::bool::weighted(0.3),
    ) {
        let kind = *which.get(prices.kinds());
        let work = works.into_iter().find(|work| Kind::of(work) == kind).unwrap_or(Work::Free);
        let features = asked.features(&work);
        let demand = Demand {
            work: &work,
            request_bytes: asked.bytes,
            output_limit: asked.limit,
            choices: asked.choices,
            searches: if work == Work::Generate { asked.searches } else { 0 },
            features: &features,
            tier: asked.tier,
        };
        let allowances = declared(prices);
        let prices = prices.clone().in_region(region);
        let prices = if scoped { prices.for_call(&demand) } else { prices };
        let worst = match prices.worst_case(&demand, &allowances) {
            Ok(worst) => worst,
            Err(PriceError::Tier { .. } | PriceError::Feature { .. } | PriceError::Picture { .. }) => return Ok(()),
            Err(other) => return Err(TestCaseError::fail(format!("{}: {other}", prices.model()))),
        };
        let mut usage = if work == Work::Free {
            Usage::default()
        } else {
            within(&demand, &allowances, &prices, cuts, part)
        };
        let served = if served_standard || work == Work::Free { ServiceTier::Standard } else { asked.tier };
        if without_tokens {
            // Audio and pictures are then counted otherwise, if at all.
            (usage.audio_input, usage.audio_output, usage.image_output) = (0, 0, 0);
        }
        let (cost, usage) = cost(&prices, &usage, served);
        prop_assert!(cost <= worst, "{} {demand:?} {usage:?}: {cost} above {worst}", prices.model());
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
        if let (Ok(fewer), Ok(more)) = (prices.cost(&fewer, tier), prices.cost(&usage(counts), tier)) {
            prop_assert!(more >= fewer, "{}", prices.model());
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
            prices.worst_case(&demand, &declared(prices))
        };
        if let Ok(least) = worst(bytes, limit) {
            prop_assert!(worst(bytes + more[0], limit + more[1]).unwrap() >= least, "{}", prices.model());
        }
    }
}

/// Every class of usage at every priced model either costs something or is an error: nothing that was used is free.
#[test]
fn no_class_of_usage_is_ever_free() {
    let one = Usage::default();
    let million = 1_000_000;
    let classes = [
        Usage { input: million, ..one },
        Usage {
            cache_read: million,
            ..one
        },
        Usage {
            cache_write: million,
            ..one
        },
        Usage {
            cache_write_1h: million,
            ..one
        },
        Usage { output: million, ..one },
        Usage {
            output: million,
            reasoning: million,
            ..one
        },
        Usage {
            audio_input: million,
            ..one
        },
        Usage {
            audio_output: million,
            ..one
        },
        Usage {
            image_input: million,
            ..one
        },
        Usage {
            image_output: million,
            ..one
        },
        Usage { images: million, ..one },
        Usage {
            audio_ms: million,
            ..one
        },
        Usage {
            characters: million,
            ..one
        },
        Usage {
            searches: million,
            ..one
        },
    ];
    for prices in PRICED.iter().filter(|prices| prices.kinds() != [Kind::Free]) {
        let every_call = prices.tariff().unwrap().fees.searching == Searching::EveryCall;
        let nothing = prices.cost(&one, ServiceTier::Standard).unwrap();
        for usage in classes.iter().filter(|usage| usage.searches == 0 || !every_call) {
            match prices.cost(usage, ServiceTier::Standard) {
                Ok(cost) => assert!(cost > nothing, "{} {usage:?}", prices.model()),
                Err(PriceError::Usage { .. } | PriceError::Picture { .. }) => {}
                Err(other) => panic!("{}: {other}", prices.model()),
            }
        }
    }
}
