//! `POST /v1/images/generations`: a tiny picture, billed like one of the size and quality asked for.
//! <https://platform.openai.com/docs/api-reference/images/create>

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Done, base64, input, invalid, tokens};
use crate::{calls::Billed, completion::Moment, refusal::Refusal, script::Script};

/// A transparent pixel.
const PNG: [u8; 68] = [
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00,
    0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x04, 0x00, 0x00, 0x00, 0xb5, 0x1c, 0x0c, 0x02, 0x00, 0x00, 0x00, 0x0b, 0x49,
    0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0x60, 0x60, 0x00, 0x00, 0x00, 0x03, 0x00, 0x01, 0x2b, 0x09, 0x4d, 0x84, 0x00,
    0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];

/// The most pictures of one call.
const PICTURES_MAX: u64 = 10;

/// Pictures to make.
#[derive(Deserialize)]
pub(crate) struct Job {
    pub(super) model: String,
    prompt: String,
    n: Option<u64>,
    size: Option<String>,
    quality: Option<String>,
}

impl Job {
    pub(super) fn done(&self, script: &Script, moment: &Moment) -> Result<Done, Refusal> {
        let count = self.n.unwrap_or(1);
        if !(1..=PICTURES_MAX).contains(&count) {
            return Err(invalid(format!(
                "Invalid 'n': expected a value from 1 to {PICTURES_MAX}."
            )));
        }
        let picture = base64::encode(&PNG);
        // Models before `gpt-image` are billed by the picture and report no usage.
        let by_tokens = !self.model.starts_with("dall-e");
        let item = if by_tokens {
            json!({"b64_json": picture})
        } else {
            json!({"b64_json": picture, "revised_prompt": self.prompt})
        };
        let data: Vec<_> = (0..count).map(|_| item.clone()).collect();
        let mut body = json!({"created": moment.created, "data": data});
        let billed = if by_tokens {
            Billed {
                image_output: script.usage_output.unwrap_or(count * self.tokens_each()),
                images: count,
                ..input(tokens(&self.prompt), script)
            }
        } else {
            Billed {
                images: count,
                ..Billed::default()
            }
        };
        if by_tokens && let Value::Object(body) = &mut body {
            let named = |value: &Option<String>, usual: &str| value.as_deref().unwrap_or(usual).to_owned();
            body.insert("background".to_owned(), "opaque".into());
            body.insert("output_format".to_owned(), "png".into());
            body.insert("quality".to_owned(), named(&self.quality, "medium").into());
            body.insert("size".to_owned(), named(&self.size, "1024x1024").into());
            if !script.omit_usage {
                body.insert("usage".to_owned(), usage(&billed));
            }
        }
        Ok(Done::json(&body, billed))
    }

    /// The tokens of one picture, by the table of OpenAI's guide for `gpt-image-1`.
    /// <https://platform.openai.com/docs/guides/image-generation#calculating-costs>
    fn tokens_each(&self) -> u64 {
        let square = matches!(self.size.as_deref(), None | Some("auto" | "1024x1024"));
        match (self.quality.as_deref(), square) {
            (Some("low"), true) => 272,
            (Some("low"), false) => 408,
            (Some("high"), true) => 4_160,
            (Some("high"), false) => 6_240,
            (_, true) => 1_056,
            (_, false) => 1_584,
        }
    }
}

fn usage(billed: &Billed) -> Value {
    let input = billed.input_total();
    json!({
        "input_tokens": input,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": input, "cached_tokens": billed.cache_read},
        "output_tokens": billed.image_output,
        "output_tokens_details": {"image_tokens": billed.image_output, "text_tokens": 0},
        "total_tokens": input.saturating_add(billed.image_output),
    })
}
