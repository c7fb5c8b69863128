//! Chat completions: one JSON document, or a stream of chunks.
//!
//! <https://platform.openai.com/docs/api-reference/chat/object>,
//! <https://platform.openai.com/docs/api-reference/chat-streaming>

use crate::{
    completion::{Completion, Content, Finish, Fragments},
    out::Out,
    prose,
};

/// What follows the model's name in every answer.
const BACKEND: &str = r#","service_tier":"default","system_fingerprint":"fp_44709d6fcb""#;

/// Writes the answer as one document.
pub(crate) fn document(answer: &Completion, out: &mut Out) {
    out.text(r#"{"id":""#)
        .text(&answer.id)
        .text(r#"","object":"chat.completion","created":"#)
        .number(answer.created);
    out.text(r#","model":"#).string(&answer.model).text(r#","choices":["#);
    for choice in 0..answer.choices {
        out.text(if choice == 0 { r#"{"index":"# } else { r#",{"index":"# })
            .number(choice);
        out.text(r#","message":{"role":"assistant","content":"#);
        match &answer.content {
            Content::Text(text) => {
                out.text("\"");
                prose::write(0, text.bytes, out);
                out.text("\"");
            }
            Content::Tool(fragments) => {
                out.text(r#"null,"tool_calls":["#);
                tool_call(answer, fragments, choice, &fragments.call.arguments, out);
                out.text("]");
            }
        }
        out.text(r#","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":""#);
        out.text(reason(answer.finish)).text("\"}");
    }
    out.text("]");
    if answer.report_usage {
        out.text(r#","usage":"#);
        usage(answer, out);
    }
    out.text(BACKEND).text("}\n");
}

/// The chunks of an answer, each written when it is asked for by its index. The choices take turns.
pub(crate) struct Chunks {
    /// How every chunk begins, up to its choices.
    prefix: String,
    /// How every chunk but that of usage ends, from the end of its choices.
    suffix: &'static str,
    choices: u64,
    deltas: u64,
    usage: bool,
}

impl Chunks {
    pub(crate) fn new(answer: &Completion) -> Self {
        let model = serde_json::Value::from(answer.model.as_str());
        Self {
            prefix: format!(
                "data: {{\"id\":\"{}\",\"object\":\"chat.completion.chunk\",\"created\":{},\"model\":{model}{BACKEND},\
                 \"choices\":[",
                answer.id, answer.created,
            ),
            suffix: if answer.include_usage {
                "],\"usage\":null}\n\n"
            } else {
                "]}\n\n"
            },
            choices: answer.choices,
            deltas: answer.content.deltas().saturating_mul(answer.choices),
            usage: answer.include_usage && answer.report_usage,
        }
    }

    /// How many events the stream has: of each choice its role, its deltas and its end, then usage if it was asked
    /// for, then `[DONE]`.
    pub(crate) fn count(&self) -> u64 {
        2 * self.choices + self.deltas + u64::from(self.usage) + 1
    }

    /// How many deltas the first `events` events hold.
    pub(crate) fn deltas_in(&self, events: u64) -> u64 {
        events.saturating_sub(self.choices).min(self.deltas)
    }

    /// Writes event `index`.
    pub(crate) fn write(&self, answer: &Completion, index: u64, out: &mut Out) {
        if index < self.choices {
            return self.chunk(out, index, None, |out| opening(answer, index, out));
        }
        let index = index - self.choices;
        if index < self.deltas {
            let (delta, choice) = (index / self.choices, index % self.choices);
            return self.chunk(out, choice, None, |out| content(answer, delta, out));
        }
        let index = index - self.deltas;
        if index < self.choices {
            return self.chunk(out, index, Some(answer.finish), |_| {});
        }
        if self.usage && index == self.choices {
            out.text(&self.prefix).text(r#"],"usage":"#);
            usage(answer, out);
            out.text("}\n\n");
        } else {
            out.text("data: [DONE]\n\n");
        }
    }

    fn chunk(&self, out: &mut Out, choice: u64, finish: Option<Finish>, delta: impl FnOnce(&mut Out)) {
        out.text(&self.prefix)
            .text(r#"{"index":"#)
            .number(choice)
            .text(r#","delta":{"#);
        delta(out);
        out.text(r#"},"logprobs":null,"finish_reason":"#);
        match finish {
            Some(finish) => out.text("\"").text(reason(finish)).text("\"}"),
            None => out.text("null}"),
        };
        out.text(self.suffix);
    }
}

/// The delta that opens a choice: its role, and what is known of a tool call at once.
fn opening(answer: &Completion, choice: u64, out: &mut Out) {
    match &answer.content {
        Content::Text(_) => {
            out.text(r#""role":"assistant","content":"","refusal":null"#);
        }
        Content::Tool(fragments) => {
            out.text(r#""role":"assistant","content":null,"tool_calls":[{"index":0,"#);
            identity(answer, fragments, choice, out);
            out.text(r#""arguments":""}}],"refusal":null"#);
        }
    }
}

/// A delta with a piece of the text or of the arguments.
fn content(answer: &Completion, delta: u64, out: &mut Out) {
    match &answer.content {
        Content::Text(text) => {
            let (start, end) = text.delta(delta);
            out.text(r#""content":""#);
            prose::write(start, end, out);
            out.text("\"");
        }
        Content::Tool(fragments) => {
            out.text(r#""tool_calls":[{"index":0,"function":{"arguments":"#);
            out.string(fragments.delta(delta)).text("}}]");
        }
    }
}

fn tool_call(answer: &Completion, fragments: &Fragments, choice: u64, arguments: &str, out: &mut Out) {
    out.text("{");
    identity(answer, fragments, choice, out);
    out.text(r#""arguments":"#).string(arguments).text("}}");
}

/// A tool call up to its arguments. Each choice has a call of its own.
fn identity(answer: &Completion, fragments: &Fragments, choice: u64, out: &mut Out) {
    out.text(r#""id":""#).text(&answer.ids.id("call_", 24, 1 + choice));
    out.text(r#"","type":"function","function":{"name":"#)
        .string(&fragments.call.name)
        .text(",");
}

/// The usage object of chat completions and text completions.
pub(crate) fn usage(answer: &Completion, out: &mut Out) {
    let billed = &answer.billed;
    let input = billed.input_total();
    out.text(r#"{"prompt_tokens":"#)
        .number(input)
        .text(r#","completion_tokens":"#)
        .number(billed.output);
    out.text(r#","total_tokens":"#)
        .number(input.saturating_add(billed.output));
    out.text(r#","prompt_tokens_details":{"cached_tokens":"#)
        .number(billed.cache_read);
    // Only models that charge for cache writes report them.
    if billed.cache_write > 0 {
        out.text(r#","cache_write_tokens":"#).number(billed.cache_write);
    }
    out.text(r#","audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":"#)
        .number(billed.reasoning);
    out.text(r#","audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}"#);
}

pub(crate) fn reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::Tool => "tool_calls",
    }
}
