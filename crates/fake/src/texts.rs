//! Text completions, the older form of OpenAI's API: one JSON document, or a stream of chunks.
//!
//! <https://platform.openai.com/docs/api-reference/completions>

use crate::{
    completion::{Completion, Content},
    openai::{reason, usage},
    out::Out,
    prose,
};

/// Writes the answer as one document.
pub(crate) fn document(answer: &Completion, out: &mut Out) {
    head(answer, out);
    for choice in 0..answer.choices {
        if choice > 0 {
            out.text(",");
        }
        out.text(r#"{"text":""#);
        if let Content::Text(text) = &answer.content {
            prose::write(0, text.bytes, out);
        }
        end_choice(choice, Some(reason(answer.finish)), out);
    }
    out.text("]");
    if answer.report_usage {
        out.text(r#","usage":"#);
        usage(answer, out);
    }
    out.text("}\n");
}

/// How many events the stream of an answer has: of each choice its deltas and its end, then usage if it was asked for,
/// then `[DONE]`.
pub(crate) fn count(answer: &Completion) -> u64 {
    deltas(answer) + answer.choices + u64::from(answer.include_usage && answer.report_usage) + 1
}

/// How many deltas the first `events` events of an answer's stream hold.
pub(crate) fn deltas_in(answer: &Completion, events: u64) -> u64 {
    events.min(deltas(answer))
}

/// Writes event `index` of the stream. The choices take turns.
pub(crate) fn write(answer: &Completion, index: u64, out: &mut Out) {
    let deltas = deltas(answer);
    let ends = deltas + answer.choices;
    if index >= ends {
        if index == ends && answer.include_usage && answer.report_usage {
            out.text("data: ");
            head(answer, out);
            out.text(r#"],"usage":"#);
            usage(answer, out);
            out.text("}\n\n");
        } else {
            out.text("data: [DONE]\n\n");
        }
        return;
    }
    out.text("data: ");
    head(answer, out);
    out.text(r#"{"text":""#);
    let choices = answer.choices.max(1);
    if index < deltas {
        if let Content::Text(text) = &answer.content {
            let (start, end) = text.delta(index / choices);
            prose::write(start, end, out);
        }
        end_choice(index % choices, None, out);
    } else {
        end_choice(index - deltas, Some(reason(answer.finish)), out);
    }
    out.text(if answer.include_usage {
        "],\"usage\":null}\n\n"
    } else {
        "]}\n\n"
    });
}

fn deltas(answer: &Completion) -> u64 {
    answer.content.deltas().saturating_mul(answer.choices)
}

/// An answer or a chunk up to its choices.
fn head(answer: &Completion, out: &mut Out) {
    out.text(r#"{"id":""#)
        .text(&answer.id)
        .text(r#"","object":"text_completion","created":"#)
        .number(answer.created);
    out.text(r#","model":"#).string(&answer.model).text(r#","choices":["#);
}

fn end_choice(choice: u64, reason: Option<&str>, out: &mut Out) {
    out.text(r#"","index":"#)
        .number(choice)
        .text(r#","logprobs":null,"finish_reason":"#);
    match reason {
        Some(reason) => out.text("\"").text(reason).text("\"}"),
        None => out.text("null}"),
    };
}
