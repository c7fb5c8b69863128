//! The list of models. Any other model is answered as well, except [`UNKNOWN_MODEL`].

use bytes::Bytes;
use serde_json::json;

use crate::refusal::Dialect;

/// The name of a model that does not exist: asking for it is answered with status 404.
pub const UNKNOWN_MODEL: &str = "no-such-model";

const OPENAI: [(&str, u64); 4] = [
    ("gpt-4o-mini", 1_721_172_741),
    ("gpt-4o", 1_715_367_049),
    ("gpt-4.1-mini", 1_744_318_173),
    ("o4-mini", 1_744_225_351),
];

const ANTHROPIC: [(&str, &str, &str); 2] = [
    ("claude-sonnet-4-5", "Claude Sonnet 4.5", "2025-09-29T00:00:00Z"),
    ("claude-haiku-4-5", "Claude Haiku 4.5", "2025-10-15T00:00:00Z"),
];

/// The answer to `GET /v1/models`.
pub(crate) fn list(dialect: Dialect) -> Bytes {
    let list = match dialect {
        Dialect::OpenAi => {
            let model = |(id, created)| json!({"id": id, "object": "model", "created": created, "owned_by": "system"});
            json!({"object": "list", "data": OPENAI.map(model)})
        }
        Dialect::Anthropic => {
            let model =
                |(id, name, created)| json!({"type": "model", "id": id, "display_name": name, "created_at": created});
            let ids = ANTHROPIC.map(|(id, ..)| id);
            json!({"data": ANTHROPIC.map(model), "has_more": false, "first_id": ids.first(), "last_id": ids.last()})
        }
    };
    Bytes::from(list.to_string())
}
