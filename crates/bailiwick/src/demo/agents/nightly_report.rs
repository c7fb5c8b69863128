//! The well-behaved one: for each section it asks for a tool call (JSON), runs the tool, and has the section written as
//! a stream.

use serde_json::{Value, json};

use super::{GPT, expect};
use crate::demo::{
    caller::{Ask, Caller, Manner},
    event::{State, Tone},
    reply::{Dialect, ToolCall},
};

const SECTIONS: [(&str, u64); 8] = [
    ("Revenue", 64),
    ("Orders", 52),
    ("Returns", 58),
    ("Regions", 70),
    ("New customers", 49),
    ("Top products", 61),
    ("Stock", 55),
    ("Outlook", 73),
];

const SYSTEM: &str = "You write one section of the nightly sales report. Query the figures first, then write two short \
                      paragraphs for readers who have one minute. Name every number's source.";

pub(super) async fn work(caller: &Caller) -> anyhow::Result<()> {
    for (nth, (section, words)) in SECTIONS.into_iter().enumerate() {
        let place = format!("part {}/{}", nth + 1, SECTIONS.len());
        caller.doing(State::Working, format!("{place}, tool call"));
        let mut messages = vec![
            json!({"role": "system", "content": SYSTEM}),
            json!({"role": "user", "content": format!("Section: {section}. Compare today with the same day last week.")}),
        ];
        let call = query(caller, &messages).await?;
        caller.pause(90).await;
        let figures = json!({"metric": section, "today": 48_211, "a_week_ago": 45_930, "rows": 24}).to_string();
        messages.push(json!({"role": "assistant", "content": null, "tool_calls": [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        ]}));
        messages.push(json!({"role": "tool", "tool_call_id": call.id, "content": figures}));
        let written = write(caller, messages, words, &place).await?;
        let text = format!("{section}: {} called, {written} words streamed", call.name);
        caller.note(Tone::Good, text);
        caller.pause(60).await;
    }
    caller.doing(State::Done, format!("wrote all {} parts", SECTIONS.len()));
    Ok(())
}

/// Has the model say which figures it wants.
async fn query(caller: &Caller, messages: &[Value]) -> anyhow::Result<ToolCall> {
    let parameters = json!({
        "type": "object",
        "properties": {"metric": {"type": "string"}, "from": {"type": "string"}, "to": {"type": "string"}},
        "required": ["metric", "from", "to"]
    });
    let tool = json!({"type": "function", "function": {
        "name": "query_sales", "description": "Reads figures from the sales database", "parameters": parameters
    }});
    let ask = Ask {
        dialect: Dialect::OpenAi,
        body: json!({"model": GPT, "max_completion_tokens": 200, "messages": messages, "tools": [tool]}),
        task: "sales-report",
        manner: Manner {
            latency: 220,
            chunk_delay: 0,
            output: 0,
        },
    };
    let reply = expect(caller.call(&ask, |_| {}).await?)?;
    reply.tool.ok_or_else(|| anyhow::anyhow!("the model called no tool"))
}

/// Has the section written; how many words it got.
async fn write(caller: &Caller, messages: Vec<Value>, output: u64, place: &str) -> anyhow::Result<u64> {
    let ask = Ask {
        dialect: Dialect::OpenAi,
        body: json!({
            "model": GPT, "max_completion_tokens": 400, "messages": messages,
            "stream": true, "stream_options": {"include_usage": true}
        }),
        task: "sales-report",
        manner: Manner {
            latency: 140,
            chunk_delay: 6,
            output,
        },
    };
    let told = |words: u64| caller.doing(State::Working, format!("{place}, {words} words"));
    let reply = expect(caller.call(&ask, |reply| told(reply.words())).await?)?;
    Ok(reply.words())
}
