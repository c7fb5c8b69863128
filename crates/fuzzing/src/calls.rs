//! Requests: what is accepted, and what is written into it.

use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;
use llm::{Call, Edit, Endpoint, MAX_NAME_BYTES, StreamObserver, Target};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::json::is_json;
use crate::{assert_plain, must};

/// The limit that edits write.
const LIMIT: u64 = 77;

/// A body in JSON, read by every endpoint.
pub fn call_json(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    for endpoint in Endpoint::ALL {
        let target = Target { endpoint, id: None };
        let parsed = Call::parse(endpoint, &body);
        if endpoint.has_body() {
            for content_type in [None, Some("application/json"), Some("Application/JSON; charset=utf-8")] {
                let read = Call::read(target, content_type, &body);
                assert!(
                    read == parsed || parsed.is_err() && read.is_err(),
                    "{endpoint:?} as {content_type:?}"
                );
            }
        }
        let call = match parsed {
            Ok(call) => call,
            Err(error) => {
                assert_plain(&error.to_string());
                continue;
            }
        };
        sane(&call, data);
        assert!(is_json(data), "serde_json refuses what {endpoint:?} accepted");
        let members = members(data);
        if let Some(members) = &members {
            says_what_serde_json_says(&call, members);
        }
        limited(&call, &body, members.as_ref());
        asked_for_usage(&call, &body);
        streamed_elsewhere(&call, &body);
        let _ = StreamObserver::for_call(&call);
    }
}

/// A form: the content type in the first line, the body behind it.
pub fn call_form(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (head, body) = data.split_at(at);
    let body = Bytes::copy_from_slice(body.get(1..).unwrap_or_default());
    let Ok(content_type) = std::str::from_utf8(head) else {
        return;
    };
    for endpoint in Endpoint::ALL {
        let parsed = Call::parse_multipart(endpoint, content_type, &body);
        let call = match parsed {
            Ok(call) => call,
            Err(error) => {
                assert_plain(&error.to_string());
                continue;
            }
        };
        let target = Target { endpoint, id: None };
        assert_eq!(Call::read(target, Some(content_type), &body).as_ref(), Ok(&call));
        sane(&call, &body);
        let files = usize::try_from(call.file_bytes).unwrap_or(usize::MAX);
        assert!(files < body.len(), "{files} bytes of files in a body of {}", body.len());
        parts_are_what_a_simple_reader_sees(&call, content_type, &body);
        let edit = Edit {
            output_limit: Some(LIMIT),
            legacy_output_limit: false,
            include_usage: true,
            ..Edit::default()
        };
        assert_eq!(call.rewrite(&body, edit), body, "a form was edited");
        let _ = StreamObserver::for_call(&call);
    }
}

/// What holds of every call.
fn sane(call: &Call, body: &[u8]) {
    let (model, endpoint) = (&call.model, call.endpoint);
    assert!(
        model.len() <= MAX_NAME_BYTES && !model.chars().any(char::is_control),
        "{model:?}"
    );
    assert!(
        !model.is_empty() || endpoint == Endpoint::Moderations,
        "{endpoint:?} without a model"
    );
    assert!(call.choices >= 1);
    assert!(call.messages <= body.len());
    for tool in &call.tools {
        assert!(
            tool.len() <= MAX_NAME_BYTES && !tool.chars().any(char::is_control),
            "{tool:?}"
        );
    }
    let features: BTreeSet<_> = call.features.iter().map(|used| used.feature.code()).collect();
    assert_eq!(features.len(), call.features.len(), "a feature twice");
    for used in &call.features {
        assert!(used.count > 0);
        assert_plain(&used.found);
    }
    assert!(!call.stream || endpoint.may_stream(), "{endpoint:?} streams");
    if let Some(spoken) = call.spoken() {
        assert!(spoken.characters <= u64::try_from(body.len()).unwrap_or(u64::MAX));
    }
}

/// The fields that decide what a call costs, read a second time.
fn says_what_serde_json_says(call: &Call, members: &Members) {
    let names: BTreeSet<&str> = members.0.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), members.0.len(), "a key stands twice");
    let raw = |name: &str| {
        members
            .0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.get())
    };
    if let Some(Ok(model)) = raw("model").map(serde_json::from_str::<String>) {
        assert_eq!(call.model, model);
    }
    if call.endpoint != Endpoint::Speech && call.endpoint.may_stream() {
        assert_eq!(call.stream, raw("stream") == Some("true"));
    }
    let limits: &[&str] = match call.endpoint {
        Endpoint::ChatCompletions => &["max_tokens", "max_completion_tokens"],
        Endpoint::Responses => &["max_output_tokens"],
        Endpoint::Completions | Endpoint::Messages | Endpoint::CountTokens => &["max_tokens"],
        _ => &[],
    };
    let limit = limits.iter().filter_map(|name| raw(name)?.parse::<u64>().ok()).max();
    assert_eq!(call.output_limit, limit);
}

/// A limit that is written is read again, and nothing else changes.
fn limited(call: &Call, body: &Bytes, members: Option<&Members>) {
    assert_eq!(call.rewrite(body, Edit::default()), body);
    for (limit, legacy_output_limit) in [(LIMIT, false), (LIMIT, true), (u64::MAX, false), (0, false)] {
        let edit = Edit {
            output_limit: Some(limit),
            legacy_output_limit,
            include_usage: false,
            ..Edit::default()
        };
        let edited = call.rewrite(body, edit);
        one_splice(body, &edited);
        let again = must(Call::parse(call.endpoint, &edited), "a rewritten body is accepted");
        let expected = match call.output_limit {
            None if call.endpoint.has_output_limit() => Some(limit),
            said => said,
        };
        assert_eq!(again.output_limit, expected);
        assert_eq!(again.usage_asked, call.usage_asked);
        same_but_for_edits(call, &again);
        assert_eq!(again.rewrite(&edited, edit), edited, "what is there is written again");
        if let Some(before) = members {
            let after = self::members(&edited).unwrap_or_default();
            assert_eq!(before.without_limits(), after.without_limits());
        }
    }
}

/// A call that may be made as a stream is asked for as one, with another model's name if there is one, and is otherwise
/// the same call.
fn streamed_elsewhere(call: &Call, body: &Bytes) {
    let edit = Edit {
        model: Some("org/other-1"),
        stream: true,
        ..Edit::default()
    };
    let edited = call.rewrite(body, edit);
    let again = must(Call::parse(call.endpoint, &edited), "a rewritten body is accepted");
    assert_eq!(again.stream, call.stream || call.can_be_streamed());
    if call.can_name("org/other-1") && !call.model.is_empty() {
        assert_eq!(again.model, "org/other-1");
    }
    assert_eq!(
        (again.choices, again.messages, &again.tools),
        (call.choices, call.messages, &call.tools)
    );
}

/// Usage is asked for where it has to be, alone or together with a limit.
fn asked_for_usage(call: &Call, body: &Bytes) {
    for output_limit in [None, Some(LIMIT)] {
        let edit = Edit {
            output_limit,
            legacy_output_limit: false,
            include_usage: true,
            ..Edit::default()
        };
        let edited = call.rewrite(body, edit);
        if output_limit.is_none() {
            one_splice(body, &edited);
        }
        let again = must(Call::parse(call.endpoint, &edited), "a rewritten body is accepted");
        let asked = call.usage_asked || (call.stream && call.endpoint.has_usage_option());
        assert_eq!(again.usage_asked, asked);
        same_but_for_edits(call, &again);
        assert_eq!(again.rewrite(&edited, edit), edited, "what is there is written again");
    }
}

fn same_but_for_edits(call: &Call, again: &Call) {
    assert_eq!(call.endpoint, again.endpoint);
    assert_eq!(call.model, again.model);
    assert_eq!(call.work, again.work);
    assert_eq!(call.stream, again.stream);
    assert_eq!(call.choices, again.choices);
    assert_eq!(call.tools, again.tools);
    assert_eq!(call.features, again.features);
    assert_eq!(call.tier, again.tier);
    assert_eq!(call.hour_cache, again.hour_cache);
    assert_eq!(call.messages, again.messages);
    assert_eq!(call.file_bytes, again.file_bytes);
}

/// One place changed: at most `false` went, and no more than a member came.
fn one_splice(before: &[u8], after: &[u8]) {
    let same = |(a, b): &(&u8, &u8)| a == b;
    let head = before.iter().zip(after).take_while(same).count();
    let (before, after) = (before.split_at(head).1, after.split_at(head).1);
    let tail = before.iter().rev().zip(after.iter().rev()).take_while(same).count();
    let (removed, added) = (before.len() - tail, after.len() - tail);
    assert!(removed <= "false".len(), "{removed} bytes are gone");
    assert!(added <= 48, "{added} bytes came");
}

/// A form cut at its boundary, without any rule but that.
fn parts_are_what_a_simple_reader_sees(call: &Call, content_type: &str, body: &[u8]) {
    let boundary = content_type
        .rsplit('=')
        .next()
        .unwrap_or_default()
        .trim()
        .trim_matches('"');
    let delimiter = format!("--{boundary}");
    let mut ends: Vec<usize> = memchr::memmem::find_iter(body, delimiter.as_bytes()).collect();
    assert_eq!(ends.first(), Some(&0), "something stands before the first boundary");
    ends.remove(0);
    let mut contents = Vec::new();
    let mut at = delimiter.len();
    for end in ends {
        let part = body.get(at..end).unwrap_or_default();
        let inner = part.strip_prefix(b"\r\n").and_then(|part| part.strip_suffix(b"\r\n"));
        let inner = must(inner.ok_or(part), "a part has line ends around it");
        let blank = must(
            memchr::memmem::find(inner, b"\r\n\r\n").ok_or(inner),
            "a part has a head",
        );
        contents.push(inner.get(blank + 4..).unwrap_or_default());
        at = end + delimiter.len();
    }
    let behind = body.get(at..).unwrap_or_default();
    assert!(
        matches!(behind, b"--" | b"--\r\n"),
        "something stands behind the last boundary"
    );
    assert!(
        contents.contains(&call.model.as_bytes()),
        "no part holds the model {:?}",
        call.model
    );
    let all: usize = contents.iter().map(|content| content.len()).sum();
    assert!(call.file_bytes <= u64::try_from(all).unwrap_or(u64::MAX));
}

/// The members of an object, in order, values as they are written. `None` if a key has half a surrogate pair, which
/// `serde_json` does not decode.
fn members(body: &[u8]) -> Option<Members> {
    serde_json::from_slice(body).ok()
}

/// See [`members`].
#[derive(Default)]
pub(crate) struct Members(pub(crate) Vec<(String, Box<RawValue>)>);

impl Members {
    /// What no limit is, with each value's text.
    fn without_limits(&self) -> Vec<(&str, &str)> {
        let limit = |name: &str| matches!(name, "max_tokens" | "max_completion_tokens" | "max_output_tokens");
        let members = self.0.iter().filter(|(name, _)| !limit(name));
        members.map(|(name, value)| (name.as_str(), value.get())).collect()
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = entries.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}
