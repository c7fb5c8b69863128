use model::Usage;
use proptest::prelude::*;

use super::*;

fn openai(text: &str) -> Option<Usage> {
    OpenAiUsage::read(&mut Reader::new(text.as_bytes()).unwrap())
        .unwrap()
        .and_then(|usage| usage.classes(Shape::Text))
}

fn anthropic(text: &str) -> Option<Usage> {
    AnthropicUsage::read(&mut Reader::new(text.as_bytes()).unwrap())
        .unwrap()
        .and_then(|usage| usage.classes())
}

/// input, cache read, cache write, cache write 1h, output, reasoning
fn classes([input, cache_read, cache_write, cache_write_1h, output, reasoning]: [u64; 6]) -> Option<Usage> {
    Some(Usage {
        input,
        cache_read,
        cache_write,
        cache_write_1h,
        output,
        reasoning,
        ..Usage::default()
    })
}

/// Cached tokens billed twice, not at all, or at the full price: BerriAI/litellm#9812, #11789, #40006;
/// maximhq/bifrost#904, #3451; Portkey-AI/gateway#1210.
#[test]
fn case_09_cache_tokens_are_counted_once_in_their_class() {
    // OpenAI: cached tokens are part of the prompt.
    let check = |text: &str, expected| assert_eq!(openai(text), classes(expected), "{text}");
    check(
        r#"{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,"prompt_tokens_details":{"cached_tokens":1920,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}"#,
        [86, 1920, 0, 0, 300, 0],
    );
    check(
        r#"{"prompt_tokens":3000,"completion_tokens":10,"total_tokens":3010,"prompt_tokens_details":{"cached_tokens":1000,"cache_write_tokens":1500}}"#,
        [500, 1000, 1500, 0, 10, 0],
    );
    check(
        r#"{"prompt_tokens":9,"completion_tokens":12,"prompt_tokens_details":null}"#,
        [9, 0, 0, 0, 12, 0],
    );
    // A compatible server that counts them beside the prompt, as the part or the total shows.
    check(
        r#"{"prompt_tokens":86,"completion_tokens":300,"prompt_tokens_details":{"cached_tokens":1920}}"#,
        [86, 1920, 0, 0, 300, 0],
    );
    check(
        r#"{"prompt_tokens":1000,"completion_tokens":300,"total_tokens":1400,"prompt_tokens_details":{"cached_tokens":100}}"#,
        [1000, 100, 0, 0, 300, 0],
    );
    // Parts that overlap or do not add up are all counted.
    check(
        r#"{"prompt_tokens":100,"completion_tokens":1,"total_tokens":101,"prompt_tokens_details":{"cached_tokens":80,"cache_write_tokens":60}}"#,
        [0, 80, 60, 0, 1, 0],
    );

    // Anthropic: cached tokens are beside the input.
    let check = |text: &str, expected| assert_eq!(anthropic(text), classes(expected), "{text}");
    check(
        r#"{"input_tokens":21,"cache_creation_input_tokens":188086,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":188086,"ephemeral_1h_input_tokens":0},"output_tokens":393,"service_tier":"standard"}"#,
        [21, 0, 188_086, 0, 393, 0],
    );
    check(
        r#"{"input_tokens":21,"cache_creation_input_tokens":556,"cache_read_input_tokens":1800,"cache_creation":{"ephemeral_5m_input_tokens":456,"ephemeral_1h_input_tokens":100},"output_tokens":503}"#,
        [21, 1800, 456, 100, 503, 0],
    );
    check(
        r#"{"input_tokens":3,"cache_creation_input_tokens":50,"cache_read_input_tokens":null,"output_tokens":5}"#,
        [3, 0, 50, 0, 5, 0],
    );
    // A split that does not cover the whole, and one that is more than the whole.
    check(
        r#"{"input_tokens":3,"cache_creation_input_tokens":50,"cache_creation":{"ephemeral_5m_input_tokens":20},"output_tokens":5}"#,
        [3, 0, 50, 0, 5, 0],
    );
    check(
        r#"{"input_tokens":3,"cache_creation_input_tokens":50,"cache_creation":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":10},"output_tokens":5}"#,
        [3, 0, 20, 30, 5, 0],
    );
    check(
        r#"{"input_tokens":3,"cache_creation":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":10},"output_tokens":5}"#,
        [3, 0, 20, 10, 5, 0],
    );
}

/// Reasoning counted twice, alone or not at all: BerriAI/litellm#18599, #10567; agentgateway/agentgateway#3228.
#[test]
fn case_10_reasoning_is_part_of_output_and_never_lost() {
    let check = |text: &str, expected| assert_eq!(openai(text), classes(expected), "{text}");
    // OpenAI: part of the completion.
    check(
        r#"{"prompt_tokens":75,"completion_tokens":1186,"total_tokens":1261,"completion_tokens_details":{"reasoning_tokens":1024}}"#,
        [75, 0, 0, 0, 1186, 1024],
    );
    // xAI: beside the completion, inside of the total.
    check(
        r#"{"prompt_tokens":10120,"completion_tokens":1499,"total_tokens":14428,"prompt_tokens_details":{"cached_tokens":128},"completion_tokens_details":{"reasoning_tokens":2809}}"#,
        [9992, 128, 0, 0, 4308, 2809],
    );
    check(
        r#"{"prompt_tokens":32,"completion_tokens":100,"total_tokens":226,"completion_tokens_details":{"reasoning_tokens":94}}"#,
        [32, 0, 0, 0, 194, 94],
    );
    // Beside the completion, and no total to say so.
    check(
        r#"{"prompt_tokens":12,"completion_tokens":1,"completion_tokens_details":{"reasoning_tokens":386}}"#,
        [12, 0, 0, 0, 387, 386],
    );
    // Reasoning and cache both beside.
    check(
        r#"{"prompt_tokens":10,"completion_tokens":20,"total_tokens":45,"prompt_tokens_details":{"cached_tokens":8},"completion_tokens_details":{"reasoning_tokens":7}}"#,
        [10, 8, 0, 0, 27, 7],
    );
    // Only the total knows (Gemini's thoughts through its compatible endpoint).
    check(
        r#"{"prompt_tokens":10,"completion_tokens":20,"total_tokens":530}"#,
        [10, 0, 0, 0, 520, 0],
    );
    // A total that is too small is no reason to count less.
    check(
        r#"{"prompt_tokens":10,"completion_tokens":20,"total_tokens":5}"#,
        [10, 0, 0, 0, 20, 0],
    );

    let check = |text: &str, expected| assert_eq!(anthropic(text), classes(expected), "{text}");
    check(
        r#"{"input_tokens":12,"output_tokens":900,"output_tokens_details":{"thinking_tokens":700}}"#,
        [12, 0, 0, 0, 900, 700],
    );
    check(
        r#"{"input_tokens":12,"output_tokens":9,"output_tokens_details":{"thinking_tokens":700}}"#,
        [12, 0, 0, 0, 709, 700],
    );
}

#[test]
fn figures_that_cannot_be_counts_make_the_usage_absent() {
    for bad in [
        "-1",
        "1.5",
        "1e3",
        "\"12\"",
        "[1]",
        "{}",
        "true",
        "4294967296",
        "18446744073709551616",
        "1e400",
    ] {
        for name in ["prompt_tokens", "completion_tokens", "total_tokens"] {
            let text = format!("{{\"prompt_tokens\":1,\"completion_tokens\":2,\"{name}\":{bad}}}");
            assert_eq!(openai(&text), None, "{text}");
        }
        for name in ["cached_tokens", "cache_write_tokens", "reasoning_tokens"] {
            let text = format!(
                "{{\"prompt_tokens\":1,\"completion_tokens\":2,\"prompt_tokens_details\":{{\"{name}\":{bad}}}}}"
            );
            assert_eq!(openai(&text), None, "{text}");
        }
        for name in [
            "input_tokens",
            "output_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
        ] {
            let text = format!("{{\"input_tokens\":1,\"output_tokens\":2,\"{name}\":{bad}}}");
            assert_eq!(anthropic(&text), None, "{text}");
        }
        for name in ["ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"] {
            let text = format!("{{\"input_tokens\":1,\"output_tokens\":2,\"cache_creation\":{{\"{name}\":{bad}}}}}");
            assert_eq!(anthropic(&text), None, "{text}");
        }
    }
    for text in [
        "null",
        "{}",
        "[]",
        "7",
        "\"x\"",
        r#"{"prompt_tokens":1}"#,
        r#"{"completion_tokens":1}"#,
        r#"{"total_tokens":9}"#,
    ] {
        assert_eq!(openai(text), None, "{text}");
        assert_eq!(anthropic(text), None, "{text}");
    }
}

proptest! {
    /// Whatever the nesting: all that a provider names is in some class, output never less than it says.
    #[test]
    fn nothing_is_counted_less_than_the_provider_says(
        prompt in 0..5000_u64, completion in 0..5000_u64, total in 0..20_000_u64,
        cached in 0..5000_u64, written in 0..5000_u64, reasoning in 0..5000_u64,
    ) {
        let text = format!(
            "{{\"prompt_tokens\":{prompt},\"completion_tokens\":{completion},\"total_tokens\":{total},\
             \"prompt_tokens_details\":{{\"cached_tokens\":{cached},\"cache_write_tokens\":{written}}},\
             \"completion_tokens_details\":{{\"reasoning_tokens\":{reasoning}}}}}"
        );
        let usage = openai(&text).unwrap();
        prop_assert!(usage.input_total() >= prompt);
        prop_assert!(usage.output >= completion && usage.output >= usage.reasoning);
        prop_assert!(usage.input_total() + usage.output >= total);
        prop_assert_eq!((usage.cache_read, usage.cache_write), (cached, written));
    }

    #[test]
    fn figures_near_the_bound_never_wrap(counts in proptest::array::uniform6(0xffff_fff0_u64..=0xffff_ffff)) {
        let [a, b, c, d, e, f] = counts;
        let usage = openai(&format!(
            "{{\"prompt_tokens\":{a},\"completion_tokens\":{b},\"total_tokens\":{c},\
             \"prompt_tokens_details\":{{\"cached_tokens\":{d},\"cache_write_tokens\":{e},\"reasoning_tokens\":{f}}}}}"
        ));
        prop_assert!(usage.unwrap().output >= b);
        let usage = anthropic(&format!(
            "{{\"input_tokens\":{a},\"output_tokens\":{b},\"cache_creation_input_tokens\":{c},\
             \"cache_creation\":{{\"ephemeral_5m_input_tokens\":{d},\"ephemeral_1h_input_tokens\":{e},\"thinking_tokens\":{f}}}}}"
        ));
        prop_assert!(usage.unwrap().input_total() >= a + d + e);
    }

    #[test]
    fn later_reports_never_lower_a_figure(reports in proptest::collection::vec(proptest::array::uniform3(prop::option::of(0..100_u64)), 1..6)) {
        let mut merged = AnthropicUsage::default();
        for [input, write, output] in &reports {
            let fields = [("input_tokens", input), ("cache_creation_input_tokens", write), ("output_tokens", output)];
            let report: serde_json::Map<_, _> = fields.iter().map(|(name, count)| ((*name).to_owned(), count.as_ref().copied().into())).collect();
            let report = serde_json::Value::from(report).to_string();
            merged.raise(&AnthropicUsage::read(&mut Reader::new(report.as_bytes()).unwrap()).unwrap().unwrap());
        }
        let most = |of: usize| reports.iter().filter_map(|report| report[of]).max();
        let expected = most(0).zip(most(2)).map(|(input, output)| Usage {
            input,
            cache_write: most(1).unwrap_or(0),
            output,
            ..Usage::default()
        });
        prop_assert_eq!(merged.classes(), expected);
    }
}
