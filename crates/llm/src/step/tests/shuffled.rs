//! Random requests, written in another way.

use super::*;
use proptest::collection::vec;

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec!["", "yes", "a\"b\\c\n", "é中😀\u{1}", "{}", "[1]"]).prop_map(str::to_owned),
        "[a-c]{1,3}",
        any::<String>(),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map(word(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Any element of any dialect, many of them in a dialect that does not have them.
fn element() -> impl Strategy<Value = Value> {
    let role = prop::sample::select(vec!["system", "user", "assistant", "tool", "function"]);
    let part = prop_oneof![
        word().prop_map(|text| json!({"type": "text", "text": text})),
        (word(), any_json()).prop_map(|(id, input)| json!({"type": "tool_use", "id": id, "name": "t", "input": input})),
        (word(), word()).prop_map(|(id, text)| json!({"type": "tool_result", "tool_use_id": id, "content": text})),
        any_json(),
    ];
    let content = prop_oneof![
        word().prop_map(Value::from),
        vec(part, 0..3).prop_map(Value::from),
        any_json()
    ];
    let call = (word(), any_json()).prop_map(|(id, arguments)| {
        json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments.to_string()}})
    });
    prop_oneof![
        (role, content, vec(call, 0..3))
            .prop_map(|(role, content, calls)| { json!({"role": role, "content": content, "tool_calls": calls}) }),
        (word(), any_json()).prop_map(|(id, arguments)| {
            json!({"type": "function_call", "call_id": id, "name": "f", "arguments": arguments.to_string()})
        }),
        (word(), word()).prop_map(|(id, text)| json!({"type": "function_call_output", "call_id": id, "output": text})),
        word().prop_map(|id| json!({"type": "item_reference", "id": id})),
        any_json(),
    ]
}

fn request() -> impl Strategy<Value = Value> {
    (vec(element(), 0..6), any_json(), word()).prop_map(|(elements, system, id)| {
        json!({"model": "m", "messages": elements, "input": elements, "prompt": elements, "system": system,
            "instructions": system, "previous_response_id": id})
    })
}

/// Writes a value with its members from the last to the first, other white space and other escapes.
fn rewritten(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            out.push_str("{\n");
            for (index, (key, value)) in members.iter().rev().enumerate() {
                out.push_str(if index == 0 { "" } else { " ,\t" });
                rewritten(&Value::from(key.as_str()), out);
                out.push_str(" : ");
                rewritten(value, out);
            }
            out.push_str(" }");
        }
        Value::Array(values) => {
            out.push_str("[ ");
            for (index, value) in values.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { " , " });
                rewritten(value, out);
            }
            out.push(']');
        }
        Value::String(text) => {
            let units = text.encode_utf16().map(|unit| format!("\\u{unit:04X}"));
            out.push_str(&format!("\"{}\"", units.collect::<String>()));
        }
        Value::Number(number) => out.push_str(&format!("{number}{}", if number.is_f64() { "" } else { ".0e+0" })),
        other => out.push_str(&other.to_string()),
    }
}

proptest! {
    #[test]
    fn a_request_written_in_another_way_is_the_same_step(body in request()) {
        let mut other = String::new();
        rewritten(&body, &mut other);
        for endpoint in [CHAT, COMPLETIONS, MESSAGES, RESPONSES] {
            let step = read(endpoint, &body.to_string());
            prop_assert_eq!(&step, &read(endpoint, &other), "{}\n{}", body, &other);
            prop_assert!(step.len() <= 4 * body.to_string().len() + 64, "{} of {}", step.len(), body);
        }
    }

    #[test]
    fn another_argument_is_another_step(before in vec(element(), 0..4), one in any_json(), other in any_json(), text in word()) {
        let same = one == other;
        let arguments = |value: &Value| json!({"x": value}).to_string();
        let bodies = |value: &Value| {
            let with = |more: &[Value]| [before.as_slice(), more].concat();
            let user = json!({"role": "user", "content": "go"});
            [
                (CHAT, json!({"messages": with(&[user.clone(),
                    json!({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": arguments(value)}}]}),
                    json!({"role": "tool", "content": text})])})),
                (MESSAGES, json!({"messages": with(&[user.clone(),
                    json!({"role": "assistant", "content": [{"type": "tool_use", "name": "f", "input": {"x": value}}]}),
                    json!({"role": "user", "content": [{"type": "tool_result", "content": text}]})])})),
                (RESPONSES, json!({"input": with(&[user,
                    json!({"type": "function_call", "call_id": "1", "name": "f", "arguments": arguments(value)}),
                    json!({"type": "function_call_output", "call_id": "1", "output": text})])})),
            ]
        };
        for ((endpoint, one), (_, other)) in bodies(&one).into_iter().zip(bodies(&other)) {
            let (one, other) = (read(endpoint, &one.to_string()), read(endpoint, &other.to_string()));
            prop_assert!(one.starts_with('C'), "{}", one);
            prop_assert_eq!(one == other, same);
        }
    }

    #[test]
    fn damage_never_panics(body in request(), edits in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), cut in any::<prop::sample::Index>()) {
        let mut text = body.to_string().into_bytes();
        for (index, byte) in edits {
            let at = index.index(text.len());
            text[at] = byte;
        }
        let short = &text[..cut.index(text.len())];
        for endpoint in Endpoint::ALL {
            let _ = step(endpoint, None, &text, Sameness::Calls);
            prop_assert_eq!(step(endpoint, None, short, Sameness::Calls), None);
        }
    }
}
