//! Whole replies: what is read of them, and that it is never less than they say.

use llm::{Endpoint, LONGEST_TOKEN_BYTES, Reading, ReplyError, read_reply};
use serde_json::Value;

use crate::assert_plain;
use crate::json::is_json;

/// A reply, read by every endpoint.
pub fn reply(data: &[u8]) {
    for endpoint in Endpoint::ALL {
        for content_type in [
            "application/json",
            "application/problem+json; charset=utf-8",
            "text/plain",
            "audio/mpeg",
        ] {
            match read_reply(endpoint, content_type, data) {
                Ok(reading) => {
                    possible(endpoint, &reading);
                    let said_nothing = reading == Reading::default();
                    assert!(said_nothing || is_json(data), "{endpoint:?} read what is no JSON");
                }
                Err(ReplyError::Json(llm::JsonError::TooDeep { .. })) => {}
                Err(error) => {
                    assert_plain(&error.to_string());
                    let object = data.trim_ascii_start().starts_with(b"{");
                    assert!(!is_json(data) || !object, "{endpoint:?} refused an object: {error}");
                }
            }
        }
    }
    if let Ok(value) = serde_json::from_slice::<Value>(data) {
        never_less_than_said(data, &value);
    }
}

/// What holds of every reading.
pub(crate) fn possible(endpoint: Endpoint, reading: &Reading) {
    for text in [&reading.id, &reading.model, &reading.region].into_iter().flatten() {
        assert!(
            (1..=256).contains(&text.len()) && !text.chars().any(char::is_control),
            "{text:?}"
        );
    }
    let Some(usage) = &reading.usage else { return };
    if endpoint.is_free() {
        return;
    }
    assert!(
        usage.input_total() > 0 || usage.images > 0 || usage.audio_ms > 0,
        "usage of nothing"
    );
    let text = reading.output_text_bytes.div_ceil(LONGEST_TOKEN_BYTES);
    let echo = if endpoint == Endpoint::Completions {
        usage.input_total()
    } else {
        0
    };
    assert!(
        usage.audio_ms > 0 || usage.output.saturating_add(echo) >= text,
        "{usage:?} beside {} bytes of text",
        reading.output_text_bytes
    );
}

/// What the figures of a conversation add up to is no less than the provider's own words, taken plainly. Where a key
/// stands twice `serde_json` knows the last and the codec the larger, which keeps this true.
fn never_less_than_said(data: &[u8], value: &Value) {
    let figure = |names: &[&str]| {
        let figures = names.iter().filter_map(|name| value.get("usage")?.get(name)?.as_u64());
        figures.max().unwrap_or(0)
    };
    for endpoint in [Endpoint::ChatCompletions, Endpoint::Messages] {
        let usage = read_reply(endpoint, "application/json", data)
            .ok()
            .and_then(|reading| reading.usage);
        let Some(usage) = usage else { continue };
        let output = usage.output + usage.audio_output + usage.image_output;
        match endpoint {
            Endpoint::Messages => {
                assert!(output >= figure(&["output_tokens"]));
                let writes = usage.cache_write + usage.cache_write_1h;
                assert!(usage.input >= figure(&["input_tokens"]));
                assert!(usage.cache_read >= figure(&["cache_read_input_tokens"]));
                assert!(writes >= figure(&["cache_creation_input_tokens"]));
            }
            _ => {
                assert!(output >= figure(&["completion_tokens", "output_tokens"]));
                assert!(usage.input_total() >= figure(&["prompt_tokens", "input_tokens"]));
                assert!(usage.input_total() + output >= figure(&["total_tokens"]));
            }
        }
    }
}
