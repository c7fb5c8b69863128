//! `POST /v1/embeddings`: a vector of length 1 for each input.
//! <https://platform.openai.com/docs/api-reference/embeddings>

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Done, base64, input};
use crate::{request::Inputs, script::Script};

/// The dimensions of a vector where the request leaves them open.
const USUAL_DIMENSIONS: u16 = 1_536;

/// Texts to embed.
#[derive(Deserialize)]
pub(crate) struct Job {
    pub(super) model: String,
    input: Inputs,
    dimensions: Option<u16>,
    encoding_format: Option<String>,
}

impl Job {
    pub(super) fn done(&self, script: &Script) -> Done {
        let billed = input(self.input.tokens, script);
        let dimensions = self.dimensions.unwrap_or(USUAL_DIMENSIONS).max(1);
        let each = 1.0 / f32::from(dimensions).sqrt();
        let packed = self.encoding_format.as_deref() == Some("base64");
        let vector = |index: u64| {
            // Vectors differ by their signs.
            let numbers = (0..dimensions).map(|at| {
                if (u64::from(at) ^ index).is_multiple_of(3) {
                    -each
                } else {
                    each
                }
            });
            if packed {
                let bytes: Vec<u8> = numbers.flat_map(f32::to_le_bytes).collect();
                Value::from(base64::encode(&bytes))
            } else {
                numbers.collect()
            }
        };
        let data: Vec<_> = (0..self.input.count)
            .map(|index| json!({"object": "embedding", "index": index, "embedding": vector(index)}))
            .collect();
        let mut body = json!({
            "object": "list", "data": data, "model": script.model.as_deref().unwrap_or(&self.model),
        });
        if !script.omit_usage
            && let Value::Object(body) = &mut body
        {
            let total = billed.input_total();
            body.insert(
                "usage".to_owned(),
                json!({"prompt_tokens": total, "total_tokens": total}),
            );
        }
        Done::json(&body, billed)
    }
}
