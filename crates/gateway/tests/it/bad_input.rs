//! Input that is wrong, hostile or not HTTP at all. Each is answered in the caller's dialect, nothing of it is forwarded,
//! an entry says so where an agent was identified, and the connection goes on or ends as the answer announced.

use llm::Dialect;
use model::Reason;
use serde_json::Value;

use crate::{
    harness::Harness,
    raw::{Raw, Reply},
};

mod bodies;
mod endpoints;
mod framing;
mod headers;
mod keys;

/// The path of chat completions at the gateway.
const CHAT: &str = "/openai/v1/chat/completions";
/// A body that would be forwarded.
const GOOD: &str = r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}],"max_tokens":5}"#;

/// What one shape of input comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    /// An agent was identified and refused: with an entry.
    Denied(Reason),
    /// Nobody was identified: no entry.
    Anonymous(Reason),
    /// No request could be read: the status alone is ours to choose.
    NotHttp(u16),
    /// It is right, however odd: forwarded once.
    Allowed,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// It takes another request.
    Open,
    /// It ends, and the reply said so.
    Closed,
}

/// One shape of input. `{key}` in its bytes stands for the agent's credential.
struct Case {
    name: String,
    bytes: Vec<u8>,
    want: Want,
    after: After,
}

fn case(name: impl Into<String>, bytes: impl Into<Vec<u8>>, want: Want, after: After) -> Case {
    Case {
        name: name.into(),
        bytes: bytes.into(),
        want,
        after,
    }
}

/// A request with the agent's credential. Lines of `headers` end in CR LF.
fn request(line: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut bytes = format!("{line}\r\nhost: gateway\r\nauthorization: Bearer {{key}}\r\n{headers}\r\n").into_bytes();
    bytes.extend_from_slice(body.as_ref());
    bytes
}

/// A chat completion whose headers besides the usual are `headers`, with the length of its body.
fn chat(headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    post(CHAT, headers, body)
}

fn post(path: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let length = body.as_ref().len();
    let headers = format!("content-type: application/json\r\ncontent-length: {length}\r\n{headers}");
    request(&format!("POST {path} HTTP/1.1"), &headers, body)
}

/// Sends each case on a connection of its own. All that fail are told at once.
async fn check_all(harness: &Harness, cases: Vec<Case>) {
    assert!(!cases.is_empty());
    let mut failed = Vec::new();
    for case in cases {
        if let Err(what) = check(harness, &case).await {
            failed.push(format!("{}: {what}", case.name));
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

async fn check(harness: &Harness, case: &Case) -> Result<(), String> {
    let forwarded = harness.provider.calls().count().received;
    let denied = harness.denials().await.len();
    let settled = harness.outcomes(0).await.len();
    let mut raw = Raw::connect(harness).await;
    raw.send(&with_key(&case.bytes, &harness.key)).await;
    let reply = raw.reply().await.ok_or("the connection ended without a reply")?;
    // A caller that writes all before it reads must come to read.
    if !raw.taken {
        return Err("the connection was reset before the request was taken".to_owned());
    }
    check_reply(case, &reply)?;
    let allowed = u64::from(case.want == Want::Allowed);
    if allowed == 1 {
        harness.outcomes(settled + 1).await;
    }
    let now = harness.provider.calls().count().received;
    if now != forwarded + allowed {
        return Err(format!("{} calls reached the provider", now - forwarded));
    }
    let reasons: Vec<Reason> = harness.denials().await[denied..]
        .iter()
        .map(|denial| denial.reason)
        .collect();
    let expected = if let Want::Denied(reason) = case.want {
        vec![reason]
    } else {
        Vec::new()
    };
    if reasons != expected {
        return Err(format!("the entries say {reasons:?}"));
    }
    if !harness.control.render_metrics().contains("\nbailiwick_open_holds 0\n") {
        return Err("a hold is open".to_owned());
    }
    check_connection(case, &reply, raw).await
}

fn check_reply(case: &Case, reply: &Reply) -> Result<(), String> {
    let (status, reason) = match case.want {
        Want::Denied(reason) | Want::Anonymous(reason) => (reason.status(), reason.code()),
        Want::NotHttp(status) => (status, Reason::InvalidRequest.code()),
        Want::Allowed => (200, ""),
    };
    if (reply.status, reply.header("bailiwick-reason")) != (status, reason) {
        return Err(format!("{}{}", reply.head, reply.text()));
    }
    if case.want == Want::Allowed {
        return Ok(());
    }
    let line = case.bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_anthropic = line.windows(11).any(|part| part == b" /anthropic");
    let dialect = if is_anthropic {
        Dialect::Anthropic
    } else {
        Dialect::OpenAi
    };
    if has_shape(dialect, &reply.body, reason, reply.header("bailiwick-request-id")) {
        Ok(())
    } else {
        Err(format!("the body is not one of {dialect:?}: {}", reply.text()))
    }
}

/// Whether a refusal has the shape that SDKs of the dialect make their errors of, and tells its id.
fn has_shape(dialect: Dialect, body: &[u8], reason: &str, id: &str) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return false;
    };
    let (error, message) = (&body["error"], body["error"]["message"].as_str().unwrap_or_default());
    let fits = match dialect {
        Dialect::OpenAi => error["code"] == reason && error["param"].is_null() && message.len() > 10,
        Dialect::Anthropic => body["type"] == "error" && message.starts_with(&format!("{reason}: ")),
    };
    fits && error["type"].is_string() && id.len() == 32 && body["request_id"] == id
}

async fn check_connection(case: &Case, reply: &Reply, mut raw: Raw) -> Result<(), String> {
    match (case.after, reply.closes()) {
        (After::Open, true) => Err("the connection closes".to_owned()),
        (After::Closed, false) => Err("the reply does not say that the connection closes".to_owned()),
        (After::Closed, true) if raw.closed().await => Ok(()),
        (After::Closed, true) => Err("something follows on a closed connection".to_owned()),
        (After::Open, false) => {
            raw.send(b"GET /healthz HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
            match raw.reply().await {
                Some(reply) if reply.text() == "ok\n" => Ok(()),
                other => Err(format!("the connection is not usable: {other:?}")),
            }
        }
    }
}

fn with_key(bytes: &[u8], key: &str) -> Vec<u8> {
    let mark = b"{key}";
    let mut replaced = Vec::with_capacity(bytes.len() + key.len());
    let mut rest = bytes;
    // Only heads name credentials, and they come first.
    while let Some(at) = rest[..rest.len().min(20_000)]
        .windows(mark.len())
        .position(|part| part == mark)
    {
        replaced.extend_from_slice(&rest[..at]);
        replaced.extend_from_slice(key.as_bytes());
        rest = &rest[at + mark.len()..];
    }
    replaced.extend_from_slice(rest);
    replaced
}
