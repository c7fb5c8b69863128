//! The list of models. Any other model is answered as well, except [`UNKNOWN_MODEL`].

use bytes::Bytes;
use serde_json::{Value, json};

use crate::refusal::{Dialect, Refusal};

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
        Dialect::OpenAi => json!({"object": "list", "data": OPENAI.map(openai)}),
        Dialect::Anthropic => {
            let ids = ANTHROPIC.map(|(id, ..)| id);
            json!({"data": ANTHROPIC.map(anthropic), "has_more": false, "first_id": ids.first(), "last_id": ids.last()})
        }
    };
    Bytes::from(list.to_string())
}

/// The answer to `GET /v1/models/{id}`: any model exists, except [`UNKNOWN_MODEL`].
pub(crate) fn one(dialect: Dialect, id: &str) -> Result<Bytes, Refusal> {
    if id == UNKNOWN_MODEL {
        return Err(Refusal::no_model(dialect, id));
    }
    let model = match dialect {
        Dialect::OpenAi => {
            let known = OPENAI.into_iter().find(|(known, _)| *known == id);
            openai((id, known.map_or(1_700_000_000, |(_, created)| created)))
        }
        Dialect::Anthropic => {
            let known = ANTHROPIC.into_iter().find(|(known, ..)| *known == id);
            let (_, name, created) = known.unwrap_or((id, id, "2025-01-01T00:00:00Z"));
            anthropic((id, name, created))
        }
    };
    Ok(Bytes::from(model.to_string()))
}

fn openai((id, created): (&str, u64)) -> Value {
    json!({"id": id, "object": "model", "created": created, "owned_by": "system"})
}

fn anthropic((id, name, created): (&str, &str, &str)) -> Value {
    json!({"type": "model", "id": id, "display_name": name, "created_at": created})
}
