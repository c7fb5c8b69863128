//! Which tool an answer calls, and with which arguments.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use crate::refusal::{Dialect, Refusal};

/// How deep the arguments follow a schema.
const DEPTH_MAX: usize = 8;

/// A call of one of the request's tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToolCall {
    pub(crate) name: String,
    /// A JSON object.
    pub(crate) arguments: String,
}

/// A tool in any form: chat completions nest it in `function`, the Responses API does not. Tools that the provider itself
/// runs have neither a `function` nor an `input_schema`, and are no `function`.
#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    input_schema: Option<Value>,
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    parameters: Option<Value>,
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    parameters: Option<Value>,
}

/// `tool_choice`: OpenAI's is a word or names a function, Anthropic's is always an object.
#[derive(Deserialize)]
#[serde(untagged)]
enum Choice<'a> {
    Word(#[serde(borrow)] Cow<'a, str>),
    Object {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
        #[serde(borrow)]
        name: Option<Cow<'a, str>>,
        #[serde(borrow)]
        function: Option<Named<'a>>,
    },
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// The call that answers a request with these tools: of the tool that `choice` names, else of the first. `None` if
/// there is no tool or the choice is not to call any.
pub(crate) fn answer(
    dialect: Dialect,
    tools: Option<&RawValue>,
    choice: Option<&RawValue>,
) -> Result<Option<ToolCall>, Refusal> {
    let Some(tools) = tools else {
        return Ok(None);
    };
    let tools: Vec<Tool<'_>> = read(dialect, "tools", tools)?;
    let choice: Option<Choice<'_>> = choice.map(|choice| read(dialect, "tool_choice", choice)).transpose()?;
    let wanted = match &choice {
        None => None,
        Some(Choice::Word(word)) if word == "none" => return Ok(None),
        Some(Choice::Object { kind, .. }) if kind == "none" => return Ok(None),
        Some(Choice::Word(_)) => None,
        Some(Choice::Object { name, function, .. }) => {
            name.as_deref().or(function.as_ref().map(|function| &*function.name))
        }
    };
    let mut calls = tools.iter().filter_map(Tool::callable);
    let call = match wanted {
        None => calls.next(),
        Some(wanted) => {
            let missing = || Refusal::invalid(dialect, format!("tool_choice: '{wanted}' is not one of the tools."));
            Some(calls.find(|(name, _)| *name == wanted).ok_or_else(missing)?)
        }
    };
    Ok(call.map(|(name, schema)| ToolCall {
        name: name.to_owned(),
        arguments: arguments(schema).to_string(),
    }))
}

fn read<'a, T: Deserialize<'a>>(dialect: Dialect, field: &str, raw: &'a RawValue) -> Result<T, Refusal> {
    serde_json::from_str(raw.get()).map_err(|error| Refusal::invalid(dialect, format!("{field}: {error}")))
}

impl Tool<'_> {
    /// The name and the schema of a tool that the client runs.
    fn callable(&self) -> Option<(&str, &Value)> {
        match (&self.function, &self.name, &self.input_schema) {
            (Some(function), _, _) => Some((&function.name, function.parameters.as_ref().unwrap_or(&Value::Null))),
            (None, Some(name), Some(schema)) => Some((name, schema)),
            (None, Some(name), None) if self.kind.as_deref() == Some("function") => {
                Some((name, self.parameters.as_ref().unwrap_or(&Value::Null)))
            }
            _ => None,
        }
    }
}

/// An object that has the properties a schema requires.
fn arguments(schema: &Value) -> Value {
    object(schema, 0)
}

fn object(schema: &Value, depth: usize) -> Value {
    let required = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let properties = schema.get("properties");
    let member = |name: &str| {
        let property = properties
            .and_then(|properties| properties.get(name))
            .unwrap_or(&Value::Null);
        (name.to_owned(), value(property, depth + 1))
    };
    Value::Object(required.map(member).collect::<Map<_, _>>())
}

/// A plausible value of a schema. One without a type is taken for text.
fn value(schema: &Value, depth: usize) -> Value {
    let first_allowed = schema
        .get("const")
        .or_else(|| schema.get("enum").and_then(|allowed| allowed.get(0)));
    if let Some(allowed) = first_allowed {
        return allowed.clone();
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first(),
        kind => kind,
    };
    match kind.and_then(Value::as_str) {
        Some("integer" | "number") => Value::from(1),
        Some("boolean") => Value::Bool(true),
        Some("array") => Value::Array(Vec::new()),
        Some("null") => Value::Null,
        Some("object") if depth < DEPTH_MAX => object(schema, depth),
        _ => Value::from("example"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(dialect: Dialect, tools: &str, choice: &str, expected: Result<Option<(&str, &str)>, &str>) {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let (tools, choice) = (raw(tools), raw(choice));
        let choice = Some(&*choice).filter(|choice| choice.get() != "null");
        let answer = answer(dialect, Some(&tools), choice);
        let answer = answer.map_err(|refusal| refusal.message);
        match expected {
            Ok(call) => {
                let expected = call.map(|(name, arguments)| (name.to_owned(), arguments.to_owned()));
                assert_eq!(answer.unwrap().map(|call| (call.name, call.arguments)), expected);
            }
            Err(part) => assert!(answer.unwrap_err().contains(part)),
        }
    }

    #[test]
    fn the_first_or_the_chosen_tool_is_called() {
        let tools = r#"[{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"b",
            "parameters":{"type":"object","properties":{"city":{"type":"string"},"days":{"type":["integer","null"]}},
            "required":["city","days"]}}}]"#;
        let openai = Dialect::OpenAi;
        check(openai, tools, "null", Ok(Some(("a", "{}"))));
        check(openai, tools, r#""auto""#, Ok(Some(("a", "{}"))));
        check(openai, tools, r#""none""#, Ok(None));
        let chosen = r#"{"type":"function","function":{"name":"b"}}"#;
        check(openai, tools, chosen, Ok(Some(("b", r#"{"city":"example","days":1}"#))));
        check(
            openai,
            tools,
            r#"{"type":"function","function":{"name":"c"}}"#,
            Err("'c' is not one of the tools"),
        );
        check(openai, "[]", "null", Ok(None));
        check(openai, "7", "null", Err("tools: "));
    }

    #[test]
    fn tools_the_provider_runs_are_not_called() {
        let tools = r#"[{"type":"web_search_20250305","name":"web_search"},
            {"name":"read","input_schema":{"type":"object","required":["unit","where"],"properties":{
            "unit":{"type":"string","enum":["C","F"]},
            "where":{"type":"object","required":["on"],"properties":{"on":{"type":"boolean"}}}}}}]"#;
        let anthropic = Dialect::Anthropic;
        check(
            anthropic,
            tools,
            r#"{"type":"any"}"#,
            Ok(Some(("read", r#"{"unit":"C","where":{"on":true}}"#))),
        );
        check(anthropic, tools, r#"{"type":"none"}"#, Ok(None));
        check(
            anthropic,
            tools,
            r#"{"type":"tool","name":"web_search"}"#,
            Err("not one of the tools"),
        );
    }
}
