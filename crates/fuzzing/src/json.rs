//! The reader of JSON, against `serde_json`.

use llm::{Call, Endpoint, JsonError, MAX_DEPTH, ParseError, read_reply};
use model::Work;
use serde::de::IgnoredAny;

/// A value of JSON, in every place where the codecs read one: accepted is what `serde_json` accepts, and strings say
/// the same. A moderation reads nothing but its model, so it shows what the reader itself thinks of a value.
pub fn json(data: &[u8]) {
    let body = |before: &str, after: &str| [before.as_bytes(), data, after.as_bytes()].concat();
    let wrapped = body("{\"x\":", "}");
    let theirs = is_json(&wrapped);
    match Call::parse(Endpoint::Moderations, &wrapped) {
        Ok(_) => assert!(theirs, "serde_json refuses what was accepted"),
        Err(ParseError::Json(JsonError::TooDeep { .. })) => {
            let brackets = wrapped.iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
            assert!(
                brackets > usize::try_from(MAX_DEPTH).unwrap_or(0),
                "too deep with {brackets} brackets"
            );
        }
        Err(ParseError::Json(error)) => assert!(!theirs, "serde_json accepts what was refused: {error}"),
        // The data closed the value and went on with members of the body.
        Err(_) => {}
    }

    let Ok(text) = serde_json::from_slice::<String>(data) else {
        return;
    };
    let named = Call::parse(Endpoint::Moderations, &body("{\"model\":", "}"));
    let fit = (1..=llm::MAX_NAME_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
    assert_eq!(named.ok().map(|call| call.model), fit.then(|| text.clone()));

    let spoken = Call::parse(Endpoint::Speech, &body("{\"model\":\"m\",\"input\":", "}"));
    let characters = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
    assert_eq!(spoken.map(|call| call.work), Ok(Work::Speech { characters }));

    let said = body("{\"choices\":[{\"message\":{\"content\":", "}}]}");
    let reading = read_reply(Endpoint::ChatCompletions, "application/json", &said);
    let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
    assert_eq!(reading.map(|reading| reading.output_text_bytes), Ok(bytes));
}

/// Whether bytes are UTF-8 and JSON, however deep.
pub(crate) fn is_json(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}
