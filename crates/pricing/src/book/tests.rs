//! The shipped catalogue as a whole, and the user's prices in front of it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::*;
use crate::{
    Field, Price,
    catalogue::{Line, SHIPPED},
};

fn own(provider: &str, model: &str, input: &str, output: &str) -> Override {
    Override {
        provider: provider.to_owned(),
        model: model.to_owned(),
        input: input.parse().unwrap(),
        output: output.parse().unwrap(),
        cache_read: None,
        cache_write: None,
        cache_write_1h: None,
        audio_input: None,
        audio_output: None,
        image_input: None,
        image_output: None,
        per_image: None,
        per_second: None,
        per_character: None,
        per_request: None,
        max_output_tokens: None,
    }
}

/// The catalogue lists models that only complete texts under a name of their own.
#[test]
fn models_that_complete_texts_are_sold_by_the_same_provider() {
    let book = PriceBook::builtin();
    let instruct = book.require("openai", "gpt-3.5-turbo-instruct").unwrap();
    let same = book
        .require("text-completion-openai", "gpt-3.5-turbo-instruct")
        .unwrap();
    assert_eq!(instruct.max_output_tokens(), same.max_output_tokens());
    for (provider, model) in [
        ("azure", "gpt-3.5-turbo-instruct"),
        ("", "gpt-3.5-turbo-instruct"),
        ("text-completion-", "gpt-3.5-turbo-instruct"),
        ("text-completion-openai", "gpt-4o"),
    ] {
        assert!(book.find(provider, model).is_none(), "{provider}");
    }
}

#[test]
fn every_model_is_read_and_falls_into_a_class() {
    let table = PriceBook::builtin().classes().to_string();
    let table: Vec<&str> = table.lines().collect();
    // A new catalogue changes this table: read the difference before you accept it.
    let expected = [
        "   136  priced: embeddings",
        "     3  priced: free work",
        "   358  priced: pictures",
        "    27  priced: pictures and text",
        "    39  priced: speech",
        "  2984  priced: text",
        "    10  priced: text, where a maximum of searches is declared",
        "    91  priced: transcription",
        "     1  refused: also billed by citation_cost_per_token",
        "    28  refused: also billed by cost_per_second",
        "     2  refused: also billed by output_cost_per_character",
        "    10  refused: also billed by output_cost_per_image",
        "     5  refused: also billed by output_cost_per_video_token",
        "     3  refused: also billed by search_context_cost_per_query",
        "   235  refused: no complete price",
        "    31  refused: the kind evaluation",
        "     2  refused: the kind extraction",
        "     1  refused: the kind guardrail",
        "    44  refused: the kind image_edit",
        "    20  refused: the kind ocr",
        "    55  refused: the kind realtime",
        "    37  refused: the kind rerank",
        "    24  refused: the kind search",
        "     8  refused: the kind unknown",
        "     1  refused: the kind vector_store",
        "    85  refused: the kind video_generation",
    ];
    assert_eq!(table, expected, "{table:#?}");
}

#[test]
fn every_price_field_is_classified() {
    for line in SHIPPED.lines() {
        let line: Line<'_> = serde_json::from_str(line).unwrap();
        for (name, value) in &line.prices {
            assert!(Field::classify(name).is_some(), "{}: {name}", line.model);
            let value: Value = serde_json::from_str(value.get()).unwrap();
            assert_exact(&value, &line.model);
        }
    }
}

/// No number in a price is left to a float: all are text, and those that are prices are exact.
fn assert_exact(value: &Value, model: &str) {
    match value {
        Value::String(text) if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') => {
            let price: Price = text.parse().unwrap_or_else(|error| panic!("{model}: {error}"));
            assert_eq!(price.to_string(), *text, "{model}");
        }
        Value::String(_) => {}
        Value::Array(items) => items.iter().for_each(|item| assert_exact(item, model)),
        Value::Object(fields) => fields.values().for_each(|field| assert_exact(field, model)),
        other => panic!("{model}: {other}"),
    }
}

/// Off-peak prices are left out of every computation because they are the cheaper ones.
#[test]
fn off_peak_prices_are_below_list_prices() {
    let mut seen = 0;
    for line in SHIPPED.lines().filter(|line| line.contains("off_peak_pricing")) {
        let line: Line<'_> = serde_json::from_str(line).unwrap();
        let price = |value: &Value| value.as_str().unwrap().parse::<Price>().unwrap();
        let off_peak: BTreeMap<String, Value> = serde_json::from_str(line.prices["off_peak_pricing"].get()).unwrap();
        for (name, cheaper) in off_peak.iter().filter(|(name, _)| name.contains("cost")) {
            let list: Value = serde_json::from_str(line.prices[name.as_str()].get()).unwrap();
            assert!(price(cheaper) <= price(&list), "{}: {name}", line.model);
            seen += 1;
        }
    }
    assert!(seen > 0);
}

#[test]
fn names_are_matched_exactly() {
    let book = PriceBook::builtin();
    for (provider, model, mode) in [
        ("openai", "gpt-4o-mini", Some("chat")),
        ("openai", "gpt-4o-mini-2024-07-18", Some("chat")),
        ("anthropic", "claude-sonnet-4-5", Some("chat")),
        ("anthropic", "claude-sonnet-4-5-20250929", Some("chat")),
        ("gemini", "gemini-2.5-pro", Some("chat")),
        ("vertex_ai", "claude-sonnet-4-5", Some("chat")),
        ("azure", "gpt-4o", Some("chat")),
        ("openai", "text-embedding-3-small", Some("embedding")),
        // Not this provider's, an undated beginning, a date that is not listed, an entry's qualified name, nothing.
        ("anthropic", "gpt-4o-mini", None),
        ("openai", "gpt-4o-min", None),
        ("openai", "gpt-4o-mini-2031-01-01", None),
        ("gemini", "gemini/gemini-2.5-pro", None),
        ("openai", "GPT-4o-mini", None),
        ("openai", "", None),
        ("", "gpt-4o-mini", None),
    ] {
        let found = book.find(provider, model);
        assert_eq!(
            found.as_ref().and_then(|prices| prices.mode()),
            mode,
            "{provider} {model}"
        );
        if let Some(prices) = found {
            assert_eq!((prices.provider(), prices.model()), (provider, model));
        }
    }
    let mini = book.find("openai", "gpt-4o-mini").unwrap();
    assert_eq!(
        (mini.max_input_tokens(), mini.max_output_tokens()),
        (Some(128_000), Some(16_384))
    );
    let sonnet = book.find("anthropic", "claude-sonnet-4-5").unwrap();
    assert_eq!(sonnet.deprecation_date(), Some("2026-11-30"));
}

/// Perplexity sells `sonar` twice: under its own name, and as `perplexity/sonar` of its agent interface.
#[test]
fn the_qualified_entry_goes_first() {
    let book = PriceBook::builtin();
    assert_eq!(book.find("perplexity", "sonar").unwrap().mode(), Some("chat"));
    assert_eq!(
        book.find("perplexity", "perplexity/sonar").unwrap().mode(),
        Some("responses")
    );
}

#[test]
fn require_says_what_is_missing_and_how_to_add_it() {
    let book = PriceBook::builtin();
    for (provider, model, says) in [
        (
            "openai",
            "gpt-99",
            "no price is known for the model \"gpt-99\" of the provider \"openai\". Add a [[prices]] table to \
             bailiwick.toml with provider = \"openai\", model = \"gpt-99\", and input and output in dollars per million \
             tokens (\"0\" if it is free)",
        ),
        (
            "azure",
            "model-router",
            "the price catalogue has no complete price for the model \"model-router\" of the provider \"azure\". \
             Add a [[prices]] table to bailiwick.toml with provider = \"azure\", model = \"model-router\", and input and \
             output in dollars per million tokens (\"0\" if it is free)",
        ),
        (
            "cohere",
            "rerank-v3.5",
            "models of the kind \"rerank\", such as \"rerank-v3.5\" of the provider \"cohere\", are not priced",
        ),
        (
            "perplexity",
            "sonar-deep-research",
            "the model \"sonar-deep-research\" of the provider \"perplexity\" is also billed by \
             \"citation_cost_per_token\", which is not priced. Add a [[prices]] table to bailiwick.toml \
             with provider = \"perplexity\", model = \"sonar-deep-research\", and input and output in dollars per million \
             tokens (\"0\" if it is free) to price it without that",
        ),
    ] {
        assert_eq!(book.require(provider, model).unwrap_err().to_string(), says);
    }
    assert!(book.require("openai", "gpt-4o-mini").is_ok());
}

#[test]
fn overrides_win_and_are_checked() {
    let book = PriceBook::builtin();
    let with = |overrides: Vec<Override>| book.clone().with_overrides(overrides);
    let (provider, model) = ("openai".to_owned(), "x".to_owned());

    let twice = with(vec![
        own("openai", "x", "1", "1"),
        own("a", "b", "1", "1"),
        own("openai", "x", "2", "2"),
    ]);
    assert_eq!(
        twice.unwrap_err(),
        OverrideError::Twice {
            provider: provider.clone(),
            model: model.clone()
        }
    );
    let nameless = with(vec![own("openai", " ", "1", "1")]);
    assert_eq!(
        nameless.unwrap_err(),
        OverrideError::Nameless {
            provider: provider.clone(),
            model: " ".to_owned()
        }
    );
    let none = with(vec![Override {
        max_output_tokens: Some(0),
        ..own("openai", "x", "1", "1")
    }]);
    assert_eq!(none.unwrap_err(), OverrideError::NoOutput { provider, model });

    let book = with(vec![
        own("openai", "gpt-4o-mini", "1", "2"),
        own("local", "qwen3", "0", "0"),
    ])
    .unwrap();
    assert_eq!(book.require("local", "qwen3").unwrap().max_output_tokens(), None);
    let mini = book.require("openai", "gpt-4o-mini").unwrap();
    assert_eq!((mini.mode(), mini.max_output_tokens()), (Some("chat"), Some(16_384)));
    assert_eq!(book.models().count(), PriceBook::builtin().models().count() + 2);
}

#[test]
fn the_digest_names_the_prices_in_force() {
    let book = PriceBook::builtin();
    let shipped = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, SHIPPED.as_bytes());
    assert_eq!(book.digest().0, shipped.as_ref());

    let [a, b] = [own("local", "a", "0.50", "1"), own("local", "b", "1", "1")];
    let digest = |overrides: &[&Override]| {
        let overrides = overrides.iter().map(|own| (*own).clone()).collect();
        PriceBook::builtin().with_overrides(overrides).unwrap().digest()
    };
    assert_eq!(digest(&[&a, &b]), digest(&[&b, &a]));
    // The same price written otherwise is the same price.
    assert_eq!(digest(&[&a]), digest(&[&own("local", "a", "0.5", "1.0")]));
    assert_ne!(digest(&[&a]), digest(&[&own("local", "a", "0.51", "1")]));
    assert_ne!(digest(&[&a]), digest(&[&a, &b]));
    assert_ne!(digest(&[&a]), book.digest());
}
