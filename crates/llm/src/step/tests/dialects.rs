//! Pairs of requests, dialect by dialect: the same step, or another.

use super::*;

/// Requests in groups: within a group all steps are the same, between groups all differ.
fn check(endpoint: Endpoint, groups: &[&[Value]]) {
    let steps = groups.iter().enumerate().flat_map(|(group, bodies)| {
        bodies
            .iter()
            .map(move |body| (group, body.to_string(), read(endpoint, &body.to_string())))
    });
    let steps: Vec<_> = steps.collect();
    for (group, body, step) in &steps {
        for (other_group, other_body, other_step) in &steps {
            assert_eq!(
                group == other_group,
                step == other_step,
                "{body}\n{other_body}\n{step}\n{other_step}"
            );
        }
    }
}

/// A chat whose model has made these calls, given as ids, names and arguments, with what they returned.
fn chat_of_calls(asked: &str, calls: &[(&str, &str, &str)], result: &str) -> Value {
    let made = |(id, name, arguments): &(&str, &str, &str)| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let mut messages = vec![
        json!({"role": "user", "content": asked}),
        json!({"role": "assistant", "content": null, "tool_calls": calls.iter().map(made).collect::<Value>()}),
    ];
    messages.extend(
        calls
            .iter()
            .map(|(id, ..)| json!({"role": "tool", "tool_call_id": id, "content": result})),
    );
    json!({"model": "m", "messages": messages})
}

fn with(mut body: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

#[test]
fn chats_that_end_in_results_are_their_calls() {
    let once = chat_of_calls("go", &[("call_1", "get", r#"{"city":"Tokyo","n":1}"#)], "18");
    let mut longer = once.clone();
    let earlier = json!([{"role": "user", "content": "before"}, {"role": "assistant", "content": "yes?"}]);
    longer["messages"] = [
        earlier.as_array().unwrap().as_slice(),
        once["messages"].as_array().unwrap(),
    ]
    .concat()
    .into();
    let legacy = json!({"messages": [
        {"role": "assistant", "content": "calling", "function_call": {"name": "get", "arguments": "{\"n\":1,\"city\":\"Tokyo\"}"}},
        {"role": "function", "name": "get", "content": "18"}]});
    check(
        CHAT,
        &[
            &[
                once.clone(),
                chat_of_calls(
                    "go",
                    &[("call_1", "get", r#"{ "n": 1.0, "city": "\u0054okyo" }"#)],
                    "18",
                ),
                chat_of_calls("go", &[("call_9", "get", r#"{"city":"Tokyo","n":1}"#)], "19"),
                chat_of_calls(
                    "something else",
                    &[("call_1", "get", r#"{"city":"Tokyo","n":1}"#)],
                    "18",
                ),
                with(
                    once.clone(),
                    &json!({"temperature": 0, "model": "other", "tools": [], "metadata": {"n": "1"}, "stream": true}),
                ),
                longer,
                legacy,
            ],
            &[chat_of_calls(
                "go",
                &[("call_1", "get", r#"{"city":"Kyoto","n":1}"#)],
                "18",
            )],
            &[chat_of_calls(
                "go",
                &[("call_1", "get", r#"{"city":"Tokyo","n":2}"#)],
                "18",
            )],
            &[chat_of_calls(
                "go",
                &[("call_1", "get", r#"{"city":"Tokyo","n":"1"}"#)],
                "18",
            )],
            &[chat_of_calls(
                "go",
                &[("call_1", "put", r#"{"city":"Tokyo","n":1}"#)],
                "18",
            )],
            // Beyond 2^53 too.
            &[chat_of_calls("go", &[("1", "get", r#"{"n":9007199254740992}"#)], "18")],
            &[chat_of_calls("go", &[("1", "get", r#"{"n":9007199254740993}"#)], "18")],
            // Arguments that are no JSON, and a JSON string that says the same.
            &[
                chat_of_calls("go", &[("1", "get", "Tokyo")], "18"),
                chat_of_calls("go", &[("2", "get", "Tokyo")], "9"),
            ],
            &[chat_of_calls("go", &[("1", "get", "\"Tokyo\"")], "18")],
            &[chat_of_calls("go", &[("1", "get", "")], "18")],
            &[
                chat_of_calls("go", &[("1", "get", "{}")], "18"),
                chat_of_calls("go", &[("1", "get", " { } ")], "18"),
            ],
            // The same calls in another order, and one of them twice.
            &[chat_of_calls("go", &[("1", "get", "{}"), ("2", "put", "{}")], "18")],
            &[chat_of_calls("go", &[("1", "put", "{}"), ("2", "get", "{}")], "18")],
            &[chat_of_calls("go", &[("1", "get", "{}"), ("2", "get", "{}")], "18")],
        ],
    );
}

#[test]
fn chats_that_end_in_words_are_the_last_turn() {
    let chat = |messages: Value| json!({"model": "m", "messages": messages});
    let say = |role: &str, text: &str| json!({"role": role, "content": text});
    check(
        CHAT,
        &[
            &[
                chat(json!([
                    say("user", "a"),
                    say("assistant", "Shall I?"),
                    say("user", "yes")
                ])),
                chat(json!([
                    say("user", "b"),
                    say("assistant", "Shall I?"),
                    say("user", "yes")
                ])),
                chat(
                    json!([say("system", "s"), say("assistant", "Shall I?"), {"content": [{"text": "yes", "type": "text"}], "role": "user"}]),
                ),
                chat(
                    json!([{"role": "assistant", "content": [{"type": "text", "text": "Shall I?"}], "reasoning_content": "Hm.", "id": "x"}, say("user", "yes")]),
                ),
            ],
            &[chat(json!([
                say("user", "a"),
                say("assistant", "Really?"),
                say("user", "yes")
            ]))],
            &[chat(json!([
                say("user", "a"),
                say("assistant", "Shall I?"),
                say("user", "no")
            ]))],
            &[chat(json!([
                say("user", "a"),
                say("assistant", "Shall I?"),
                say("user", "y"),
                say("user", "es")
            ]))],
            &[chat(json!([
                say("assistant", "Shall"),
                say("assistant", " I?"),
                say("user", "yes")
            ]))],
            // Words from somebody else are other words.
            &[chat(json!([
                say("user", "a"),
                say("assistant", "Shall I?"),
                say("developer", "yes")
            ]))],
            // Without the model, it is the whole prompt.
            &[
                chat(json!([say("user", "a")])),
                with(chat(json!([say("user", "a")])), &json!({"seed": 7, "n": 2})),
            ],
            &[chat(json!([say("user", "b")]))],
            &[chat(json!([say("system", "s"), say("user", "a")]))],
            &[chat(json!([say("user", "s"), say("user", "a")]))],
            &[chat(
                json!([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": ""}]}]),
            )],
            &[chat(
                json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:a"}}]}]),
            )],
            &[chat(
                json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:b"}}]}]),
            )],
            // A refusal is something said, and a spoken reply is told by its id alone.
            &[chat(
                json!([{"role": "assistant", "content": null, "refusal": "No."}, say("user", "yes")]),
            )],
            &[chat(
                json!([{"role": "assistant", "audio": {"id": "audio_1"}}, say("user", "yes")]),
            )],
            &[chat(
                json!([{"role": "assistant", "audio": {"id": "audio_2"}}, say("user", "yes")]),
            )],
        ],
    );
}

#[test]
fn a_prefill_does_not_hide_the_question() {
    let ask = |before: &[Value], question: &str| {
        let mut messages = before.to_vec();
        messages.push(json!({"role": "user", "content": question}));
        messages.push(json!({"role": "assistant", "content": "{"}));
        json!({"model": "m", "max_tokens": 9, "messages": messages})
    };
    let answered = [
        json!({"role": "user", "content": "0"}),
        json!({"role": "assistant", "content": "{}"}),
    ];
    let elsewhere = [
        json!({"role": "user", "content": "-1"}),
        json!({"role": "assistant", "content": "{}"}),
    ];
    for endpoint in [CHAT, MESSAGES] {
        check(
            endpoint,
            &[
                &[ask(&[], "1"), with(ask(&[], "1"), &json!({"top_p": 0.5}))],
                &[ask(&[], "2")],
                &[ask(&answered, "1"), ask(&elsewhere, "1")],
                &[ask(&answered, "2")],
            ],
        );
    }
}

#[test]
fn messages_of_anthropic() {
    let tool_use =
        |id: &str, name: &str, input: Value| json!({"type": "tool_use", "id": id, "name": name, "input": input});
    let result = |id: &str, content: Value| json!({"type": "tool_result", "tool_use_id": id, "content": content});
    let body = |assistant: Value, user: Value| {
        json!({"model": "m", "max_tokens": 9, "system": "s", "messages": [
            {"role": "user", "content": "go"}, {"role": "assistant", "content": assistant}, {"role": "user", "content": user}]})
    };
    let read_a = || tool_use("toolu_1", "read", json!({"path": "a", "lines": [1, 2]}));
    let text = |text: &str| json!({"type": "text", "text": text});
    let thought = |signature: &str| json!({"type": "thinking", "thinking": "Hm.", "signature": signature});
    let cached = |text: &str| json!({"type": "text", "text": text, "cache_control": {"type": "ephemeral"}});
    let prompt = |system: Value, content: Value| json!({"max_tokens": 9, "system": system, "messages": [{"role": "user", "content": content}]});
    check(
        MESSAGES,
        &[
            &[
                body(json!([read_a()]), json!([result("toolu_1", json!("x"))])),
                body(
                    json!([thought("1"), text("Reading."), read_a()]),
                    json!([result("toolu_1", json!([text("y")]))]),
                ),
                body(
                    json!([tool_use("toolu_7", "read", json!({"lines": [1, 2], "path": "a"}))]),
                    json!([result("toolu_7", json!("x")), cached("a reminder")]),
                ),
            ],
            &[body(
                json!([tool_use("toolu_1", "read", json!({"path": "a", "lines": [2, 1]}))]),
                json!([result("toolu_1", json!("x"))]),
            )],
            &[body(
                json!([tool_use("toolu_1", "stat", json!({"path": "a", "lines": [1, 2]}))]),
                json!([result("toolu_1", json!("x"))]),
            )],
            &[body(
                json!([read_a(), tool_use("t2", "ls", json!({}))]),
                json!([result("toolu_1", json!("x")), result("t2", json!("x"))]),
            )],
            &[body(
                json!([tool_use("t2", "ls", json!({})), read_a()]),
                json!([result("toolu_1", json!("x")), result("t2", json!("x"))]),
            )],
            // Words.
            &[
                body(json!("Shall I?"), json!("yes")),
                body(json!([thought("2"), text("Shall I?")]), json!([cached("yes")])),
                body(json!([text("Shall I?")]), json!([text("yes")])),
            ],
            &[body(json!("Really?"), json!("yes"))],
            &[body(json!([text("Shall"), text(" I?")]), json!("yes"))],
            // The whole prompt, with the system's.
            &[
                prompt(json!("s"), json!("go")),
                prompt(json!([cached("s")]), json!([text("go")])),
            ],
            &[prompt(json!("S"), json!("go"))],
            &[prompt(json!(null), json!("go"))],
            &[prompt(
                json!("s"),
                json!([text("go"), {"type": "image", "source": {"type": "base64", "data": "AA=="}}]),
            )],
            &[prompt(
                json!("s"),
                json!([text("go"), {"type": "image", "source": {"type": "base64", "data": "AB=="}}]),
            )],
        ],
    );
}

#[test]
fn responses_of_openai() {
    let call = |id: &str, arguments: &str| json!({"type": "function_call", "id": format!("fc_{id}"), "call_id": id, "status": "completed", "name": "get", "arguments": arguments});
    let output = |id: &str, text: &str| json!({"type": "function_call_output", "call_id": id, "output": text});
    let thought = |id: &str| json!({"type": "reasoning", "id": id, "summary": [], "encrypted_content": id});
    let reference = |id: &str| json!({"type": "item_reference", "id": id});
    let said = |id: &str, text: &str| json!({"type": "message", "role": "assistant", "id": id, "content": [{"type": "output_text", "text": text, "annotations": [{"id": id}]}]});
    let user = |text: &str| json!({"role": "user", "content": text});
    let body = |items: Value| json!({"model": "m", "instructions": "i", "input": items});
    check(
        RESPONSES,
        &[
            &[
                body(json!([user("go"), call("1", r#"{"a":1,"b":[]}"#), output("1", "x")])),
                body(json!([
                    user("other"),
                    thought("r1"),
                    call("2", r#"{"b":[],"a":1e0}"#),
                    output("2", "y")
                ])),
                body(json!([
                    user("go"),
                    call("0", "{}"),
                    output("0", ""),
                    said("m", "Again."),
                    call("1", r#"{"a":1,"b":[]}"#),
                    output("1", "x")
                ])),
                with(
                    body(json!([call("1", r#"{"a":1,"b":[]}"#), output("1", "x")])),
                    &json!({"previous_response_id": "resp_1", "store": true}),
                ),
            ],
            &[body(json!([
                user("go"),
                call("1", r#"{"a":2,"b":[]}"#),
                output("1", "x")
            ]))],
            &[body(json!([
                user("go"),
                call("1", "{}"),
                call("2", "[]"),
                output("1", "x"),
                output("2", "x")
            ]))],
            &[body(json!([
                user("go"),
                call("2", "[]"),
                call("1", "{}"),
                output("1", "x"),
                output("2", "x")
            ]))],
            // Other calls: by what they are, without ids. What the provider does itself needs no answer and is no call.
            &[
                body(
                    json!([{"type": "local_shell_call", "id": "l1", "call_id": "c1", "status": "completed", "action": {"type": "exec", "command": ["ls"]}},
                    {"type": "local_shell_call_output", "call_id": "c1", "output": "a"}]),
                ),
                body(json!([{"type": "web_search_call", "id": "w", "status": "completed"},
                    {"type": "local_shell_call", "id": "l2", "call_id": "c2", "action": {"command": ["ls"], "type": "exec"}},
                    {"type": "local_shell_call_output", "call_id": "c2", "output": "b"}])),
            ],
            &[body(
                json!([{"type": "local_shell_call", "call_id": "c1", "action": {"type": "exec", "command": ["ls", "-l"]}},
                {"type": "local_shell_call_output", "call_id": "c1", "output": "a"}]),
            )],
            &[body(
                json!([{"type": "custom_tool_call", "call_id": "c1", "name": "get", "input": "free text"},
                {"type": "custom_tool_call_output", "call_id": "c1", "output": "a"}]),
            )],
            // The calls are at the provider: what they returned is all there is.
            &[
                with(
                    body(json!([output("1", "x")])),
                    &json!({"previous_response_id": "resp_1"}),
                ),
                with(
                    body(json!([output("2", "x")])),
                    &json!({"previous_response_id": "resp_2"}),
                ),
                body(json!([user("go"), reference("fc_1"), output("1", "x")])),
                body(
                    json!([user("stop"), {"id": "fc_2"}, {"type": "function_call_output", "call_id": "2", "output": [{"type": "input_text", "text": "x"}]}]),
                ),
            ],
            &[body(json!([output("1", "y")]))],
            &[body(json!([output("1", "x"), output("2", "x")]))],
            // Words.
            &[
                body(json!([user("a"), said("m1", "Shall I?"), user("yes")])),
                body(
                    json!([user("b"), thought("r"), said("m2", "Shall I?"), {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "yes"}]}]),
                ),
            ],
            &[body(json!([user("a"), said("m1", "Really?"), user("yes")]))],
            &[
                body(json!([user("a"), reference("m1"), user("yes")])),
                body(json!([user("b"), reference("m1"), user("yes")])),
            ],
            &[body(json!([user("a"), reference("m2"), user("yes")]))],
            // Everything: what is at the provider is told by its id.
            &[
                body(json!("yes")),
                with(
                    body(json!("yes")),
                    &json!({"temperature": 1, "previous_response_id": null}),
                ),
            ],
            &[with(body(json!("yes")), &json!({"previous_response_id": "resp_1"}))],
            &[with(body(json!("yes")), &json!({"previous_response_id": "resp_2"}))],
            &[with(body(json!("yes")), &json!({"conversation": "conv_1"}))],
            &[with(body(json!("yes")), &json!({"conversation": {"id": "conv_1"}}))],
            &[with(body(json!("yes")), &json!({"instructions": "I"}))],
            &[with(body(json!(null)), &json!({"prompt": {"id": "pmpt_1"}}))],
            &[with(body(json!(null)), &json!({"prompt": {"id": "pmpt_2"}}))],
        ],
    );
}

#[test]
fn an_approval_answers_what_was_asked_for() {
    let body = |id: &str, name: &str, approve: bool| {
        json!({"model": "m", "input": [
            {"type": "mcp_approval_request", "id": id, "name": name, "arguments": "{}", "server_label": "s"},
            {"type": "mcp_approval_response", "approval_request_id": id, "approve": approve}]})
    };
    check(
        RESPONSES,
        &[
            &[body("1", "drop", true), body("2", "drop", true)],
            &[body("1", "drop", false)],
            &[body("1", "list", true)],
        ],
    );
}

#[test]
fn text_completions() {
    let body = |prompt: Value| json!({"model": "m", "prompt": prompt, "max_tokens": 5});
    check(
        COMPLETIONS,
        &[
            &[
                body(json!("a")),
                body(json!(["a"])),
                with(
                    body(json!("a")),
                    &json!({"temperature": 2, "suffix": null, "echo": true}),
                ),
            ],
            &[body(json!("b"))],
            &[body(json!("ab"))],
            &[body(json!(["a", "b"]))],
            &[body(json!(["b", "a"]))],
            &[body(json!([1, 2, 3]))],
            &[body(json!([[1, 2, 3]]))],
            &[body(json!([[1, 2], [3]]))],
            &[body(json!([[1], [2, 3]]))],
            &[body(json!([12, 3]))],
            &[body(json!(null)), json!({"model": "m"})],
            &[with(body(json!("a")), &json!({"suffix": "z"}))],
            &[with(body(json!(null)), &json!({"prompt_embeds": "AA=="}))],
        ],
    );
}

#[test]
fn results_are_part_of_a_step_for_who_wants_them() {
    let step = |result: &str, id: &str, sameness| {
        let body = chat_of_calls("go", &[(id, "get", "{}")], result).to_string();
        step(CHAT, None, body.as_bytes(), sameness).unwrap()
    };
    for (sameness, other_result_is_same) in [(Sameness::Calls, true), (Sameness::Results, false)] {
        let one = step("18", "call_1", sameness);
        assert_eq!(
            one == step("19", "call_1", sameness),
            other_result_is_same,
            "{sameness:?}"
        );
        assert_eq!(one, step("18", "call_2", sameness), "{sameness:?}");
    }
    assert_ne!(
        step("18", "call_1", Sameness::Calls),
        step("18", "call_1", Sameness::Results)
    );
    // Where there are no results to tell apart, the two are one.
    let prompt = br#"{"messages":[{"role":"user","content":"hello"}]}"#;
    assert_eq!(
        super::step(CHAT, None, prompt, Sameness::Calls),
        super::step(CHAT, None, prompt, Sameness::Results)
    );
}
