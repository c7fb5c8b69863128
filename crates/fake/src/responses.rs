//! Answers of OpenAI's Responses API: one JSON document, or a stream of typed events.
//!
//! <https://platform.openai.com/docs/api-reference/responses/object>,
//! <https://platform.openai.com/docs/api-reference/responses-streaming>

use serde_json::{Value, json};

use crate::{
    completion::{Completion, Content, Finish, Text},
    out::Out,
    prose,
};

/// How far an answer has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing has been written.
    Begun,
    /// All of it has.
    Over,
}

/// Writes the answer as one document.
pub(crate) fn document(answer: &Completion, out: &mut Out) {
    out.text(&response(answer, Stage::Over).to_string());
}

/// How many events the stream of an answer has.
pub(crate) fn count(answer: &Completion) -> u64 {
    before(answer) + answer.content.deltas() + after(answer)
}

/// How many deltas the first `events` events of an answer's stream hold.
pub(crate) fn deltas_in(answer: &Completion, events: u64) -> u64 {
    events.saturating_sub(before(answer)).min(answer.content.deltas())
}

/// Writes event `index` of the stream.
pub(crate) fn write(answer: &Completion, index: u64, out: &mut Out) {
    let deltas = answer.content.deltas();
    let (kind, fields) = match index.checked_sub(before(answer)) {
        None => opening(answer, index),
        Some(delta) if delta < deltas => piece(answer, delta),
        Some(behind) => closing(answer, behind - deltas),
    };
    event(kind, index, fields, out);
}

/// Writes the event that ends a stream with an error; `index` is its place.
pub(crate) fn error(message: &str, index: u64, out: &mut Out) {
    event(
        "error",
        index,
        json!({"code": "server_error", "message": message, "param": null}),
        out,
    );
}

fn event(kind: &str, index: u64, mut fields: Value, out: &mut Out) {
    if let Value::Object(fields) = &mut fields {
        fields.insert("type".to_owned(), kind.into());
        fields.insert("sequence_number".to_owned(), index.into());
    }
    out.text("event: ").text(kind).text("\ndata: ");
    out.text(&fields.to_string()).text("\n\n");
}

/// Events before the deltas: the response twice and its item, and the part of a message that has text.
fn before(answer: &Completion) -> u64 {
    match answer.content {
        Content::Text(_) => 4,
        Content::Tool(_) => 3,
    }
}

/// Events behind the deltas: the text or the arguments, the part, the item, the response.
fn after(answer: &Completion) -> u64 {
    before(answer)
}

fn opening(answer: &Completion, index: u64) -> (&'static str, Value) {
    match index {
        0 => ("response.created", json!({"response": response(answer, Stage::Begun)})),
        1 => (
            "response.in_progress",
            json!({"response": response(answer, Stage::Begun)}),
        ),
        2 => (
            "response.output_item.added",
            json!({"output_index": 0, "item": item(answer, Stage::Begun)}),
        ),
        _ => (
            "response.content_part.added",
            json!({"item_id": item_id(answer), "output_index": 0, "content_index": 0, "part": part("")}),
        ),
    }
}

fn piece(answer: &Completion, delta: u64) -> (&'static str, Value) {
    let id = item_id(answer);
    match &answer.content {
        Content::Text(text) => {
            let (start, end) = text.delta(delta);
            let fields = json!({
                "item_id": id, "output_index": 0, "content_index": 0, "delta": words(start, end), "logprobs": [],
            });
            ("response.output_text.delta", fields)
        }
        Content::Tool(fragments) => (
            "response.function_call_arguments.delta",
            json!({"item_id": id, "output_index": 0, "delta": fragments.delta(delta)}),
        ),
    }
}

fn closing(answer: &Completion, index: u64) -> (&'static str, Value) {
    let id = item_id(answer);
    match (after(answer) - index, &answer.content) {
        (4, Content::Text(text)) => {
            let fields = json!({
                "item_id": id, "output_index": 0, "content_index": 0, "text": whole(*text), "logprobs": [],
            });
            ("response.output_text.done", fields)
        }
        (3, Content::Text(text)) => (
            "response.content_part.done",
            json!({"item_id": id, "output_index": 0, "content_index": 0, "part": part(&whole(*text))}),
        ),
        (3, Content::Tool(fragments)) => (
            "response.function_call_arguments.done",
            json!({
                "item_id": id, "output_index": 0, "name": fragments.call.name, "arguments": fragments.call.arguments,
            }),
        ),
        (2, _) => (
            "response.output_item.done",
            json!({"output_index": 0, "item": item(answer, Stage::Over)}),
        ),
        _ => {
            let kind = match answer.finish {
                Finish::Length => "response.incomplete",
                Finish::Stop | Finish::Tool => "response.completed",
            };
            (kind, json!({"response": response(answer, Stage::Over)}))
        }
    }
}

fn response(answer: &Completion, stage: Stage) -> Value {
    let over = stage == Stage::Over;
    let cut = answer.finish == Finish::Length;
    let status = match (over, cut) {
        (false, _) => "in_progress",
        (true, true) => "incomplete",
        (true, false) => "completed",
    };
    let details = (over && cut).then(|| json!({"reason": "max_output_tokens"}));
    let output: Vec<_> = over.then(|| item(answer, stage)).into_iter().collect();
    json!({
        "id": answer.id, "object": "response", "created_at": answer.created, "status": status, "background": false,
        "error": null, "incomplete_details": details, "instructions": null, "max_output_tokens": answer.limit,
        "max_tool_calls": null, "model": answer.model, "output": output, "parallel_tool_calls": true,
        "previous_response_id": null, "prompt_cache_key": null, "reasoning": {"effort": null, "summary": null},
        "safety_identifier": null, "service_tier": if over { "default" } else { "auto" }, "store": true,
        "temperature": 1.0, "text": {"format": {"type": "text"}, "verbosity": "medium"}, "tool_choice": "auto",
        "tools": [], "top_logprobs": 0, "top_p": 1.0, "truncation": "disabled",
        "usage": (over && answer.report_usage).then(|| usage(answer)), "user": null, "metadata": {},
    })
}

fn item(answer: &Completion, stage: Stage) -> Value {
    let over = stage == Stage::Over;
    let status = match (over, answer.finish) {
        (false, _) => "in_progress",
        (true, Finish::Length) => "incomplete",
        (true, _) => "completed",
    };
    let id = item_id(answer);
    match &answer.content {
        Content::Text(text) => {
            let content: Vec<_> = over.then(|| part(&whole(*text))).into_iter().collect();
            json!({"id": id, "type": "message", "status": status, "content": content, "role": "assistant"})
        }
        Content::Tool(fragments) => {
            let arguments = if over { fragments.call.arguments.as_str() } else { "" };
            json!({
                "id": id, "type": "function_call", "status": status, "arguments": arguments,
                "call_id": answer.ids.id("call_", 24, 1), "name": fragments.call.name,
            })
        }
    }
}

fn item_id(answer: &Completion) -> String {
    let prefix = match answer.content {
        Content::Text(_) => "msg_",
        Content::Tool(_) => "fc_",
    };
    answer.ids.id(prefix, 48, 2)
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text})
}

fn whole(text: Text) -> String {
    words(0, text.bytes)
}

fn words(from: usize, to: usize) -> String {
    let mut out = Out::default();
    prose::write(from, to, &mut out);
    // Prose is plain ASCII.
    String::from_utf8_lossy(&out.take()).into_owned()
}

fn usage(answer: &Completion) -> Value {
    let billed = &answer.billed;
    let input = billed.input_total();
    let mut details = json!({"cached_tokens": billed.cache_read});
    // Only models that charge for cache writes report them.
    if billed.cache_write > 0
        && let Value::Object(details) = &mut details
    {
        details.insert("cache_write_tokens".to_owned(), billed.cache_write.into());
    }
    json!({
        "input_tokens": input, "input_tokens_details": details, "output_tokens": billed.output,
        "output_tokens_details": {"reasoning_tokens": billed.reasoning},
        "total_tokens": input.saturating_add(billed.output),
    })
}
