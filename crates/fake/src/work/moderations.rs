//! `POST /v1/moderations`: everything is harmless, and nothing is billed.
//! <https://platform.openai.com/docs/api-reference/moderations>

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Done;
use crate::{calls::Billed, completion::Moment, request::Inputs};

const CATEGORIES: [&str; 13] = [
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];

/// The model that judges where the request names none.
const USUAL_MODEL: &str = "omni-moderation-latest";

/// Texts to judge.
#[derive(Deserialize)]
pub(crate) struct Job {
    pub(super) model: Option<String>,
    input: Inputs,
}

impl Job {
    pub(super) fn done(&self, moment: &Moment) -> Done {
        let each = |value: Value| -> Map<_, _> {
            CATEGORIES
                .iter()
                .map(|name| ((*name).to_owned(), value.clone()))
                .collect()
        };
        let result = json!({
            "flagged": false, "categories": each(false.into()), "category_scores": each(json!(0.000_001)),
            "category_applied_input_types": each(json!(["text"])),
        });
        let results: Vec<_> = (0..self.input.count).map(|_| result.clone()).collect();
        let body = json!({
            "id": moment.ids.id("modr-", 28, 0), "model": self.model.as_deref().unwrap_or(USUAL_MODEL),
            "results": results,
        });
        Done::json(&body, Billed::default())
    }
}
