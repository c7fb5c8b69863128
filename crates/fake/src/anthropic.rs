//! Answers in Anthropic's dialect: one JSON document, or a stream of named events.
//!
//! <https://docs.anthropic.com/en/api/messages>, <https://docs.anthropic.com/en/api/messages-streaming>

use crate::{
    completion::{Completion, Content, Finish},
    out::Out,
    prose,
};

/// The events of a stream before its deltas: `message_start`, `content_block_start`, `ping`.
const BEFORE: u64 = 3;
/// The events after its deltas: `content_block_stop`, `message_delta`, `message_stop`.
const AFTER: u64 = 3;

/// Writes the answer as one document.
pub(crate) fn document(answer: &Completion, out: &mut Out) {
    head(answer, out);
    match &answer.content {
        Content::Text(text) => {
            out.text(r#"{"type":"text","text":""#);
            prose::write(0, text.bytes, out);
            out.text("\"}");
        }
        Content::Tool(fragments) => tool_use(answer, &fragments.call.arguments, out),
    }
    out.text(r#"],"stop_reason":""#)
        .text(reason(answer.finish))
        .text(r#"","stop_sequence":null"#);
    if answer.report_usage {
        out.text(r#","usage":"#);
        usage(answer, answer.billed.output, out);
    }
    out.text("}");
}

/// How many events the stream of an answer has.
pub(crate) fn count(answer: &Completion) -> u64 {
    BEFORE + answer.content.deltas() + AFTER
}

/// How many deltas the first `events` events of an answer's stream hold.
pub(crate) fn deltas_in(answer: &Completion, events: u64) -> u64 {
    events.saturating_sub(BEFORE).min(answer.content.deltas())
}

/// Writes event `index` of the stream.
pub(crate) fn write(answer: &Completion, index: u64, out: &mut Out) {
    let deltas = answer.content.deltas();
    match index {
        0 => message_start(answer, out),
        1 => {
            out.text(
                "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":",
            );
            match &answer.content {
                Content::Text(_) => {
                    out.text(r#"{"type":"text","text":""}"#);
                }
                Content::Tool(_) => tool_use(answer, "{}", out),
            }
            out.text("}\n\n");
        }
        2 => {
            out.text("event: ping\ndata: {\"type\": \"ping\"}\n\n");
        }
        _ if index - BEFORE < deltas => delta(answer, index - BEFORE, out),
        _ => match index - BEFORE - deltas {
            0 => {
                out.text("event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n");
            }
            1 => message_delta(answer, out),
            _ => {
                out.text("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
            }
        },
    }
}

fn message_start(answer: &Completion, out: &mut Out) {
    out.text("event: message_start\ndata: {\"type\":\"message_start\",\"message\":");
    head(answer, out);
    out.text(r#"],"stop_reason":null,"stop_sequence":null"#);
    if answer.report_usage {
        out.text(r#","usage":"#);
        // What was produced when the message began; the figures of `message_delta` replace it.
        usage(answer, answer.billed.output.min(1), out);
    }
    out.text("}}\n\n");
}

fn delta(answer: &Completion, index: u64, out: &mut Out) {
    out.text("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":");
    match &answer.content {
        Content::Text(text) => {
            let (start, end) = text.delta(index);
            out.text(r#"{"type":"text_delta","text":""#);
            prose::write(start, end, out);
            out.text("\"}}\n\n");
        }
        Content::Tool(fragments) => {
            out.text(r#"{"type":"input_json_delta","partial_json":"#)
                .string(fragments.delta(index))
                .text("}}\n\n");
        }
    }
}

/// The end of the message, with the usage of all of it.
fn message_delta(answer: &Completion, out: &mut Out) {
    out.text("event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"");
    out.text(reason(answer.finish)).text(r#"","stop_sequence":null}"#);
    if answer.report_usage {
        let billed = &answer.billed;
        out.text(r#","usage":{"input_tokens":"#).number(billed.input);
        out.text(r#","cache_creation_input_tokens":"#)
            .number(billed.cache_write + billed.cache_write_1h);
        out.text(r#","cache_read_input_tokens":"#).number(billed.cache_read);
        out.text(r#","output_tokens":"#).number(billed.output);
        thinking(answer, out);
        out.text("}");
    }
    out.text("}\n\n");
}

/// A message up to its content.
fn head(answer: &Completion, out: &mut Out) {
    out.text(r#"{"model":"#)
        .string(&answer.model)
        .text(r#","id":""#)
        .text(&answer.id);
    out.text(r#"","type":"message","role":"assistant","content":["#);
}

fn tool_use(answer: &Completion, input: &str, out: &mut Out) {
    let Content::Tool(fragments) = &answer.content else {
        return;
    };
    out.text(r#"{"type":"tool_use","id":""#)
        .text(&answer.ids.id("toolu_01", 22, 1));
    out.text(r#"","name":"#)
        .string(&fragments.call.name)
        .text(r#","input":"#)
        .text(input)
        .text("}");
}

fn usage(answer: &Completion, output: u64, out: &mut Out) {
    let billed = &answer.billed;
    out.text(r#"{"input_tokens":"#).number(billed.input);
    out.text(r#","cache_creation_input_tokens":"#)
        .number(billed.cache_write + billed.cache_write_1h);
    out.text(r#","cache_read_input_tokens":"#).number(billed.cache_read);
    out.text(r#","cache_creation":{"ephemeral_5m_input_tokens":"#)
        .number(billed.cache_write);
    out.text(r#","ephemeral_1h_input_tokens":"#)
        .number(billed.cache_write_1h);
    out.text(r#"},"output_tokens":"#).number(output);
    if output == billed.output {
        thinking(answer, out);
    }
    out.text(r#","service_tier":"standard"}"#);
}

/// How much of the output was reasoning; only answers that have some say so.
fn thinking(answer: &Completion, out: &mut Out) {
    if answer.billed.reasoning > 0 {
        out.text(r#","output_tokens_details":{"thinking_tokens":"#)
            .number(answer.billed.reasoning)
            .text("}");
    }
}

fn reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::Tool => "tool_use",
    }
}
