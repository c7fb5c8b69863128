//! What well-known models of each kind cost and can cost, worked out by hand from their price lists, and the failures that
//! other gateways have had with what is not text.

use super::*;
use crate::{Region::Global, diff};

fn images(count: u64, size: &str, quality: &str) -> Work {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Work::Images {
        count,
        size: some(size),
        quality: some(quality),
    }
}

/// The prices for a call of that work with an empty body.
fn prices(provider: &str, model: &str, work: &Work, features: &[FeatureUse]) -> ModelPrices {
    let demand = Demand {
        work,
        ..demand(0, 0, 1, features)
    };
    let prices = BOOK.require(provider, model).unwrap();
    prices.in_region(Global).for_call(&demand)
}

#[test]
fn what_is_not_text_costs_what_the_price_list_says() {
    use ServiceTier::{Priority, Standard};
    let none = Usage::default();
    let hears = &[uses(Feature::AudioInput, 1)][..];
    for (provider, model, work, features, tier, usage, dollars) in [
        // 0.02 a million.
        (
            "openai",
            "text-embedding-3-small",
            Work::Embed,
            &[][..],
            Standard,
            Usage { input: 1_000, ..none },
            "0.00002",
        ),
        // 100 × 2.5 + 200 × 40 + 50 × 10 + 300 × 80, per million.
        (
            "openai",
            "gpt-4o-audio-preview-2024-12-17",
            Work::Generate,
            hears,
            Standard,
            Usage {
                input: 100,
                audio_input: 200,
                output: 50,
                audio_output: 300,
                ..none
            },
            "0.03275",
        ),
        // 50 × 5 + 272 × 40; with a picture sent, 1000 × 10 more; cached tokens may have been of that picture, at 2.5.
        (
            "openai",
            "gpt-image-1",
            images(1, "1024x1024", "low"),
            &[],
            Standard,
            Usage {
                input: 50,
                image_output: 272,
                images: 1,
                ..none
            },
            "0.01113",
        ),
        (
            "openai",
            "gpt-image-1",
            images(1, "1024x1024", "low"),
            &[uses(Feature::Image, 1)],
            Standard,
            Usage {
                input: 50,
                cache_read: 100,
                image_input: 1_000,
                image_output: 272,
                images: 1,
                ..none
            },
            "0.02138",
        ),
        (
            "openai",
            "gpt-image-1",
            images(1, "1024x1024", "low"),
            &[],
            Standard,
            Usage {
                input: 50,
                cache_read: 100,
                image_output: 272,
                images: 1,
                ..none
            },
            "0.011255",
        ),
        // By the pixel: 1,835,008 × 0.0000000719343.
        (
            "azure",
            "dall-e-3",
            images(1, "1024x1792", "hd"),
            &[],
            Standard,
            Usage { images: 1, ..none },
            "0.132000016",
        ),
        (
            "azure",
            "dall-e-3",
            images(1, "1024x1024", "standard"),
            &[],
            Standard,
            Usage { images: 1, ..none },
            "0.044000032",
        ),
        // 0.08 up to 1K, 0.12 up to 2K.
        (
            "fal_ai",
            "fal-ai/nano-banana-2",
            images(3, "2K", ""),
            &[],
            Standard,
            Usage { images: 3, ..none },
            "0.36",
        ),
        // The model's own price, and the one of a size.
        (
            "xai",
            "grok-imagine-image-2.0",
            images(1, "", ""),
            &[],
            Standard,
            Usage { images: 1, ..none },
            "0.06",
        ),
        (
            "xai",
            "grok-imagine-image-2.0",
            images(1, "1024x1024", "low"),
            &[],
            Standard,
            Usage { images: 1, ..none },
            "0.04",
        ),
        // 15 a million characters.
        (
            "openai",
            "tts-1",
            Work::Speech { characters: 1_000 },
            &[],
            Standard,
            Usage {
                characters: 1_000,
                ..none
            },
            "0.015",
        ),
        // 100 × 0.6 + 1000 × 12, per million; or 0.00025 a second. One charge, not two.
        (
            "openai",
            "gpt-4o-mini-tts",
            Work::Speech { characters: 400 },
            &[],
            Standard,
            Usage {
                input: 100,
                audio_output: 1_000,
                audio_ms: 50_000,
                characters: 400,
                ..none
            },
            "0.01206",
        ),
        (
            "openai",
            "gpt-4o-mini-tts",
            Work::Speech { characters: 400 },
            &[],
            Standard,
            Usage {
                audio_ms: 10_000,
                characters: 400,
                ..none
            },
            "0.0025",
        ),
        // 0.006 a minute, listed as seconds in and out.
        (
            "openai",
            "whisper-1",
            Work::Transcribe { file_bytes: 480_000 },
            &[],
            Standard,
            Usage {
                audio_ms: 60_000,
                ..none
            },
            "0.006",
        ),
        // 600 × 2.5 + 100 × 10, per million; or 0.0001 a second.
        (
            "openai",
            "gpt-4o-transcribe",
            Work::Transcribe { file_bytes: 480_000 },
            &[],
            Standard,
            Usage {
                audio_input: 600,
                output: 100,
                audio_ms: 60_000,
                ..none
            },
            "0.0025",
        ),
        (
            "openai",
            "gpt-4o-transcribe",
            Work::Transcribe { file_bytes: 480_000 },
            &[],
            Standard,
            Usage {
                audio_ms: 60_000,
                ..none
            },
            "0.006",
        ),
        // Three searches at 0.01 on top of 1000 × 3 + 500 × 15, per million.
        (
            "anthropic",
            "claude-sonnet-4-5",
            Work::Generate,
            &[],
            Standard,
            Usage {
                input: 1_000,
                output: 500,
                searches: 3,
                ..none
            },
            "0.0405",
        ),
        // One fee a call, whatever is searched, at the dearest context: 0.012.
        (
            "perplexity",
            "sonar",
            Work::Generate,
            &[],
            Standard,
            Usage {
                input: 100,
                output: 200,
                searches: 2,
                ..none
            },
            "0.0123",
        ),
        // Four times the list price beyond 272,000 tokens: 272,001 × 16 + 1000 × 60, per million.
        (
            "openai",
            "gpt-5.6",
            Work::Generate,
            &[],
            Priority,
            Usage {
                input: 272_001,
                output: 1_000,
                ..none
            },
            "4.412016",
        ),
        (
            "openai",
            "gpt-5.6",
            Work::Generate,
            &[],
            Priority,
            Usage {
                input: 272_000,
                output: 1_000,
                ..none
            },
            "2.216",
        ),
        // A fee for each query.
        (
            "bedrock",
            "twelvelabs.marengo-embed-3-0-v1:0",
            Work::Embed,
            &[],
            Standard,
            none,
            "0.00007",
        ),
        (
            "openai",
            "omni-moderation-latest",
            Work::Free,
            &[],
            Standard,
            Usage { input: 500, ..none },
            "0",
        ),
    ] {
        let prices = prices(provider, model, &work, features);
        let cost = prices
            .cost(&usage, tier)
            .unwrap_or_else(|error| panic!("{model}: {error}"));
        assert_eq!(cost.to_string(), dollars, "{provider} {model} {usage:?}");
    }
}

#[test]
fn what_a_search_reads_decides_its_fee() {
    use crate::SearchContext::{High, Low, Medium};
    let sonar = prices("perplexity", "sonar", &Work::Generate, &[]);
    for (context, dollars) in [(Low, "0.005"), (Medium, "0.008"), (High, "0.012")] {
        let prices = sonar.clone().in_search_context(context);
        let cost = prices.cost(&Usage::default(), ServiceTier::Standard).unwrap();
        assert_eq!(cost.to_string(), dollars, "{context:?}");
    }
}

#[test]
fn the_worst_case_of_what_is_not_text_follows_from_its_figures() {
    let openai = Allowances::OPENAI;
    let hears = &[uses(Feature::AudioInput, 1)][..];
    let speaks = &[uses(Feature::AudioOutput, 1)][..];
    for (provider, model, work, features, allowances, bytes, dollars) in [
        // (1000 + 256) × 0.02.
        (
            "openai",
            "text-embedding-3-small",
            Work::Embed,
            &[][..],
            openai,
            1_000,
            "0.00002512",
        ),
        // 100 characters: 100 + 256 bytes of text do not count, 15 a million characters do.
        (
            "openai",
            "tts-1",
            Work::Speech { characters: 100 },
            &[],
            openai,
            100,
            "0.0015",
        ),
        // 356 × 0.6; 100 seconds × 0.00025, and 32 tokens of text a second beside them × 10, which is more than 12 for audio.
        (
            "openai",
            "gpt-4o-mini-tts",
            Work::Speech { characters: 100 },
            &[],
            openai,
            100,
            "0.0572136",
        ),
        // 6,000 bytes play for 8 seconds at most.
        (
            "openai",
            "whisper-1",
            Work::Transcribe { file_bytes: 6_000 },
            &[],
            openai,
            6_400,
            "0.0008",
        ),
        // Two pictures by the piece.
        (
            "azure",
            "dall-e-3",
            images(2, "1024x1792", "hd"),
            &[],
            openai,
            100,
            "0.264000032",
        ),
        // 356 × 5, and 959 tokens of a small picture, or 24,019 of any, × 40.
        (
            "openai",
            "gpt-image-1",
            images(1, "1024x1024", "low"),
            &[],
            openai,
            100,
            "0.04014",
        ),
        ("openai", "gpt-image-1", images(1, "", ""), &[], openai, 100, "0.96254"),
        // (6000 + 256) × 2.5 for text, 8 seconds of 32 tokens × 40, 1000 tokens out × 10.
        (
            "openai",
            "gpt-4o-audio-preview-2024-12-17",
            Work::Generate,
            hears,
            openai,
            6_000,
            "0.03588",
        ),
        // Spoken, 1000 tokens out × 80.
        (
            "openai",
            "gpt-4o-audio-preview-2024-12-17",
            Work::Generate,
            speaks,
            openai,
            0,
            "0.08064",
        ),
        // 256 × 1 and 1000 × 1, and the fee.
        (
            "perplexity",
            "sonar",
            Work::Generate,
            &[],
            Allowances::OTHER,
            0,
            "0.013256",
        ),
        (
            "anthropic",
            "claude-sonnet-4-5",
            Work::Free,
            &[],
            Allowances::ANTHROPIC,
            1_000,
            "0",
        ),
    ] {
        let demand = Demand {
            work: &work,
            ..demand(bytes, 1_000, 1, features)
        };
        let prices = BOOK
            .require(provider, model)
            .unwrap()
            .in_region(Global)
            .for_call(&demand);
        let worst = prices.worst_case(&demand, &allowances);
        let worst = worst.unwrap_or_else(|error| panic!("{model}: {error}"));
        assert_eq!(worst.to_string(), dollars, "{provider} {model} {work:?}");
    }
}

#[test]
fn searches_count_only_with_a_declared_maximum() {
    let asked = |searches| Demand {
        searches,
        ..demand(0, 0, 1, &[])
    };
    let sonnet = prices("anthropic", "claude-sonnet-4-5", &Work::Generate, &[]);
    // What a search brings in has no published bound.
    let refused = sonnet.worst_case(&asked(3), &Allowances::ANTHROPIC).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the request uses hosted_tool (3 searches of the web), whose cost on the model \"claude-sonnet-4-5\" of the \
         provider \"anthropic\" has no known bound; send the request without it"
    );
    let declared = Allowances {
        search_input: Some(10_000),
        ..Allowances::ANTHROPIC
    };
    // 30,256 × 6 (all of it might be cached for an hour), and three fees of 0.01.
    let worst = sonnet.worst_case(&asked(3), &declared).unwrap();
    assert_eq!(worst.to_string(), "0.211536");

    let unasked = prices("openai", "gpt-5-search-api", &Work::Generate, &[]);
    assert!(matches!(
        unasked.worst_case(&asked(0), &declared),
        Err(PriceError::Searches { .. })
    ));
    let declared = Allowances {
        searches: Some(5),
        ..declared
    };
    assert!(unasked.worst_case(&asked(0), &declared).unwrap() > NanoUsd::ZERO);
}

#[test]
fn pictures_and_work_without_a_price_are_refused() {
    let worst = |provider: &str, model: &str, work: &Work| {
        let demand = Demand {
            work,
            ..demand(100, 100, 1, &[])
        };
        let prices = BOOK.require(provider, model).unwrap().for_call(&demand);
        prices.worst_case(&demand, &Allowances::OPENAI).unwrap_err().to_string()
    };
    for (provider, model, work, says) in [
        (
            "openai",
            "gpt-4o-mini",
            Work::Embed,
            "the model \"gpt-4o-mini\" of the provider \"openai\" has no price for embeddings",
        ),
        (
            "openai",
            "whisper-1",
            Work::Generate,
            "the model \"whisper-1\" of the provider \"openai\" has no price for text",
        ),
        (
            "azure",
            "dall-e-3",
            images(1, "4096x4096", "hd"),
            "no price is known for pictures of the size \"4096x4096\" and the quality \"hd\" by the model \"dall-e-3\" of \
             the provider \"azure\"; ask for a size and a quality that the price catalogue lists for it",
        ),
        (
            "azure_ai",
            "FLUX.2-flex",
            images(1, "", ""),
            "no price is known for pictures of the size left open and the quality left open by the model \"FLUX.2-flex\" of \
             the provider \"azure_ai\"; it is billed by the pixel, so the request must say the size",
        ),
    ] {
        assert_eq!(worst(provider, model, &work), says);
    }
}

#[test]
fn an_override_prices_what_is_not_text() {
    let own = |text: &str| toml::from_str::<Override>(text).unwrap();
    let book = BOOK
        .clone()
        .with_overrides(vec![
            own("provider = 'local'\nmodel = 'draw'\ninput = 0\noutput = 0\nper_image = '0.04'\nper_request = '0.001'"),
            own("provider = 'local'\nmodel = 'hear'\ninput = 0\noutput = 0\nper_second = '0.0001'\nper_character = 15"),
            own("provider = 'local'\nmodel = 'omni'\ninput = 1\noutput = 2\naudio_input = 10\nimage_output = 40"),
        ])
        .unwrap();
    let none = Usage::default();
    for (model, usage, dollars) in [
        (
            "draw",
            Usage {
                images: 2,
                input: 5,
                ..none
            },
            "0.081",
        ),
        (
            "hear",
            Usage {
                audio_ms: 1_500,
                ..none
            },
            "0.00015",
        ),
        (
            "hear",
            Usage {
                characters: 2_000,
                ..none
            },
            "0.03",
        ),
        (
            "omni",
            Usage {
                input: 10,
                image_input: 10,
                audio_input: 100,
                image_output: 100,
                ..none
            },
            "0.00502",
        ),
    ] {
        let prices = book.require("local", model).unwrap();
        assert_eq!(
            prices.cost(&usage, ServiceTier::Standard).unwrap().to_string(),
            dollars,
            "{model}"
        );
    }
    let omni = book.require("local", "omni").unwrap();
    assert_eq!(
        omni.cost(
            &Usage {
                audio_output: 7,
                ..none
            },
            ServiceTier::Standard
        ),
        Err(PriceError::Usage {
            provider: "local".to_owned(),
            model: "omni".to_owned(),
            class: "audio_output",
            count: 7
        })
    );
}

/// Models without a price, and prices that are wrong by orders of magnitude, went unnoticed for weeks elsewhere.
#[test]
fn case_12_a_model_without_a_price_is_refused_and_a_wrong_price_raises_an_alarm() {
    for (provider, model) in [
        ("openai", "gpt-99"),
        ("azure", "model-router"),
        ("cohere", "rerank-v3.5"),
    ] {
        assert!(BOOK.require(provider, model).is_err(), "{model}");
    }
    let dalle = BOOK.find("azure", "dall-e-2").unwrap();
    assert!(matches!(dalle.refusal(), Some(PriceError::Unpriced { .. })));

    let catalogue = |price: &str| {
        let entry = format!(r#"{{"m": {{"litellm_provider": "p", "mode": "chat", "input_cost_per_token": {price}}}}}"#);
        PriceBook::from_catalogue(&entry).unwrap()
    };
    for (old, new, alarm) in [
        ("1.5e-06", "1e-08", true),
        ("1e-08", "1e-06", true),
        ("1e-06", "2.1e-06", true),
        ("1e-06", "2e-06", false),
        ("1e-06", "5e-07", false),
        ("1e-06", "4.9e-07", true),
    ] {
        let changes = diff(&catalogue(old), &catalogue(new));
        assert!(changes.iter().any(|change| change.is_jump()) == alarm, "{old} {new}");
    }
}

/// Elsewhere 43 of 55 models that bill by the second were billed at nothing. What is not text costs something here, or is
/// refused; batch prices are never taken for the price of a call.
#[test]
fn case_13_what_is_not_text_is_never_billed_at_nothing() {
    let mut seconds = 0;
    for prices in BOOK
        .models()
        .filter(|prices| prices.mode() == Some("audio_transcription"))
    {
        let minute = Usage {
            audio_ms: 60_000,
            ..Usage::default()
        };
        match prices.cost(&minute, ServiceTier::Standard) {
            Ok(cost) => {
                assert!(cost > NanoUsd::ZERO, "{}", prices.model());
                seconds += 1;
            }
            Err(error) => assert!(
                matches!(error, PriceError::Usage { .. } | PriceError::Unpriced { .. }),
                "{}: {error}",
                prices.model()
            ),
        }
    }
    assert!(seconds > 80, "{seconds}");
    for mode in ["realtime", "video_generation", "rerank", "ocr", "search"] {
        let mut models = BOOK.models().filter(|prices| prices.mode() == Some(mode)).peekable();
        assert!(models.peek().is_some(), "{mode}");
        assert!(
            models.all(|prices| matches!(prices.refusal(), Some(PriceError::Mode { .. }))),
            "{mode}"
        );
    }
    // The same model with and without batch prices costs the same.
    let catalogue = |batch: &str| {
        let entry = format!(
            r#"{{"m": {{"litellm_provider": "p", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06{batch}}}}}"#
        );
        let book = PriceBook::from_catalogue(&entry).unwrap();
        let prices = book.require("p", "m").unwrap();
        prices.cost(&usage([10, 0, 0, 0, 10, 0]), ServiceTier::Flex).unwrap()
    };
    assert_eq!(catalogue(""), catalogue(r#", "input_cost_per_token_batches": 5e-07"#));
}

/// Pieces are not all that a model is billed for whose prompt costs, too: the hold is to be booked, not less.
#[test]
fn pictures_billed_by_tokens_are_not_billed_by_the_piece_alone() {
    let prices = prices("openai", "gpt-image-1", &images(2, "1024x1024", "low"), &[]);
    let pieces = Usage {
        images: 2,
        ..Usage::default()
    };
    let error = prices.cost(&pieces, ServiceTier::Standard).unwrap_err();
    assert!(
        matches!(
            error,
            PriceError::Usage {
                class: "images",
                count: 2,
                ..
            }
        ),
        "{error}"
    );
    // Where the prompt is counted and the pictures are not, they have a price by the piece.
    let counted = Usage { input: 50, ..pieces };
    let cost = prices.cost(&counted, ServiceTier::Standard).unwrap();
    assert_eq!(cost.to_string(), "0.02225");
}
