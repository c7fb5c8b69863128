//! Bodies that are no request: not JSON, not one document, not in time, too long, or with values nobody can mean.

use std::time::Duration;

use model::Reason;

use super::{After, CHAT, Case, GOOD, Want, case, chat, check_all, post, request, with_key};
use crate::{
    harness::{Harness, Setup},
    raw::Raw,
};

const INVALID: Want = Want::Denied(Reason::InvalidRequest);

fn refused(name: &str, body: impl AsRef<[u8]>) -> Case {
    case(name, chat("", body), INVALID, After::Open)
}

/// A chat completion with `field` in place of the output limit.
fn field(field: &str) -> String {
    format!(r#"{{"model":"gpt-4o-mini","messages":[{{"role":"user","content":"Hi"}}],{field}}}"#)
}

fn documents() -> Vec<Case> {
    let cut = |length: usize| GOOD.as_bytes()[..length].to_vec();
    let keys: String = (0..100_000).map(|at| format!("\"k{at}\":0,")).collect();
    vec![
        refused("nothing", ""),
        refused("white space", " \r\n\t "),
        refused("null", "null"),
        refused("a number", "1"),
        refused("a string", "\"model\""),
        refused("an array", format!("[{GOOD}]")),
        refused("an empty array", "[]"),
        refused("an empty object", "{}"),
        refused("half an object", cut(20)),
        refused("all but the last brace", cut(GOOD.len() - 1)),
        refused("a brace too many", format!("{GOOD}}}")),
        refused("two documents", format!("{GOOD}{GOOD}")),
        refused("two lines", format!("{GOOD}\n{GOOD}\n")),
        refused("a byte order mark", format!("\u{feff}{GOOD}")),
        refused(
            "UTF-16",
            GOOD.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>(),
        ),
        refused(
            "Latin-1",
            [&b"{\"model\":\"gpt-4o-mini\",\"messages\":[],\"user\":\"\xe9\"}"[..]].concat(),
        ),
        refused(
            "an overlong encoding",
            [&b"{\"model\":\"gpt-4o-mini\xc0\xaf\",\"messages\":[]}"[..]].concat(),
        ),
        refused(
            "a surrogate in UTF-8",
            [&b"{\"model\":\"gpt-4o-mini\xed\xa0\x80\",\"messages\":[]}"[..]].concat(),
        ),
        refused(
            "gzip without a word",
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00".as_slice(),
        ),
        refused("single quotes", GOOD.replace('"', "'")),
        refused("a comment", format!("/* */{GOOD}")),
        refused("a comma at the end", GOOD.replace('}', ",}")),
        refused("a bare word", field(r#""max_tokens":NaN"#)),
        refused("a NUL in a string", field("\"user\":\"a\0b\"")),
        refused("a line break in a string", field("\"user\":\"a\nb\"")),
        refused("half an escape", field(r#""user":"\u12""#)),
        refused(
            "10,000 levels of arrays",
            field(&format!("\"metadata\":{}{}", "[".repeat(10_000), "]".repeat(10_000))),
        ),
        refused(
            "10,000 levels of objects",
            field(&format!(
                "\"metadata\":{}1{}",
                "{\"a\":".repeat(10_000),
                "}".repeat(10_000)
            )),
        ),
        refused("a million open brackets", "[".repeat(1_000_000)),
        refused("129 levels in the model", format!("{{\"model\":{}", "[".repeat(129))),
        refused(
            "a key of 1 MB that comes twice",
            field(&format!("\"{0}\":1,\"{0}\":2", "k".repeat(1 << 20))),
        ),
        refused("100,000 keys, one of them twice", field(&format!("{keys}\"k77777\":1"))),
        case(
            "100,000 keys",
            chat("", field(&format!("{keys}\"max_tokens\":5"))),
            Want::Denied(Reason::BudgetExhausted),
            After::Open,
        ),
    ]
}

fn values() -> Vec<Case> {
    let model = |value: &str| {
        refused(
            &format!("model = {value:.60}"),
            format!(r#"{{"model":{value},"messages":[]}}"#),
        )
    };
    let limit = |value: &str| {
        refused(
            &format!("max_tokens = {value}"),
            field(&format!("\"max_tokens\":{value}")),
        )
    };
    let other = |text: &str| refused(text, field(text));
    let mut cases = vec![
        refused("no model", r#"{"messages":[]}"#),
        refused("no messages", r#"{"model":"gpt-4o-mini"}"#),
        refused(
            "the model twice",
            r#"{"model":"gpt-4o-mini","model":"gpt-4","messages":[]}"#,
        ),
        refused(
            "the model twice, once escaped",
            r#"{"model":"gpt-4o-mini","mode\u006c":"gpt-4","messages":[]}"#,
        ),
        refused("the model in capitals", r#"{"Model":"gpt-4o-mini","messages":[]}"#),
        refused(
            "the model in two cases",
            r#"{"model":"gpt-4o-mini","MODEL":"gpt-4","messages":[]}"#,
        ),
        refused("a limit in two cases", field(r#""max_tokens":5,"Max_Tokens":500000"#)),
        refused("an unknown field twice", field(r#""x":1,"x":2"#)),
        refused(
            "a message's content twice",
            r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"a","content":"b"}]}"#,
        ),
    ];
    cases.extend(
        [
            "null",
            "1",
            "true",
            "[]",
            "{}",
            "\"\"",
            r#"["gpt-4o-mini"]"#,
            r#""gpt-4o-mini\u0000""#,
            r#""gpt\n4o""#,
            r#""\u0085""#,
        ]
        .map(model),
    );
    cases.push(model(&format!("\"{}\"", "m".repeat(10_000))));
    cases.extend(
        [
            "-0", "-1", "1e3", "1.0", "1e999", "1E400", "\"5\"", "true", "[]", "{}", "01", "+5", ".5", "0x10", "1_000",
        ]
        .map(limit),
    );
    cases.push(limit(&format!("1{}", "0".repeat(30))));
    cases.push(limit(&"9".repeat(100_000)).named("max_tokens of 100,000 digits"));
    cases.extend(
        [
            r#""n":0"#,
            r#""n":-1"#,
            r#""n":1.5"#,
            r#""n":1000000000000000000000000000000"#,
            r#""n":"2""#,
            r#""max_completion_tokens":1e999"#,
            r#""stream":"true""#,
            r#""stream":1"#,
            r#""stream_options":[]"#,
            r#""tools":{}"#,
            r#""tools":[1]"#,
            r#""messages":[]"#,
            r#""modalities":"text""#,
        ]
        .map(other),
    );
    cases.extend(
        [
            r#"{}"#,
            r#""hello""#,
            "[1]",
            "[null]",
            r#"[{"role":"user","content":5}]"#,
        ]
        .map(|messages| {
            let body = format!(r#"{{"model":"gpt-4o-mini","messages":{messages}}}"#);
            refused(&format!("messages = {messages}"), body)
        }),
    );
    cases
}

/// Well-formed, but nothing that anybody priced, permitted or can pay.
fn unknown() -> Vec<Case> {
    let model = |name: &str, model: &str, reason| {
        let body = format!(r#"{{"model":"{model}","messages":[],"max_tokens":5}}"#);
        case(name, chat("", body), Want::Denied(reason), After::Open)
    };
    let unpriced = Reason::UnpricedModel;
    // More than there is money in the world: no number that a budget could be compared with.
    let costly = |text: &str| case(text, chat("", field(text)), INVALID, After::Open);
    vec![
        model("a model nobody knows", "gpt-4o-nonesuch", unpriced),
        model("a model that is not permitted", "gpt-4", Reason::PolicyDenied),
        model("a Cyrillic o", "gpt-4\u{43e}-mini", unpriced),
        model("a full-width digit", "gpt-\u{ff14}o-mini", unpriced),
        model("another hyphen", "gpt\u{2010}4o-mini", unpriced),
        model("an invisible character", "gpt-4o-mini\u{200b}", unpriced),
        model("text that runs backwards", "\u{202e}inim-o4-tpg", unpriced),
        model("in capitals", "GPT-4o-mini", unpriced),
        model("with space behind", "gpt-4o-mini ", unpriced),
        model("a path", "../gpt-4o-mini", unpriced),
        model("half a surrogate pair", r"gpt-4o-mini\ud800", unpriced),
        model("a pattern", "gpt-4o*", unpriced),
        model("another provider's", "claude-sonnet-4-5", unpriced),
        model("a name that is a policy's text", r#"\" || true || \""#, unpriced),
        model("the longest name there can be", &"m".repeat(256), unpriced),
        costly(r#""max_tokens":18446744073709551615"#),
        costly(r#""max_tokens":5,"n":18446744073709551615"#),
        costly(r#""max_tokens":18446744073709551615,"n":18446744073709551615"#),
    ]
}

impl Case {
    fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_no_request() {
    let harness = Harness::with(Setup {
        limit: "0.000001 USD",
        ..Setup::default()
    })
    .await;
    check_all(&harness, documents()).await;
    check_all(&harness, values()).await;
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_and_amounts_that_nobody_knows() {
    let harness = Harness::start().await;
    check_all(&harness, unknown()).await;
    harness.finish().await;
}

/// Odd, but right: it passes unchanged, but for an output limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_bodies_that_are_requests_pass_unchanged() {
    let harness = Harness::with(Setup {
        limit: "50 USD",
        ..Setup::default()
    })
    .await;
    let bodies = [
        field(r#""max_tokens":5,"user":"\ud83d\ude00 \ud800 \u0000""#),
        field(&format!("\"max_tokens\":5,\"{}\":1e999", "k".repeat(1 << 20))),
        field(r#""max_tokens":5,"temperature":-0,"seed":1000000000000000000000000000000,"x":1E-400"#),
        format!("\r\n\t {GOOD} \n"),
        field(&format!(
            "\"max_tokens\":5,\"metadata\":{}{}",
            "[".repeat(127),
            "]".repeat(127)
        )),
    ];
    let cases = bodies
        .iter()
        .zip(1..)
        .map(|(body, number)| case(format!("body {number}"), chat("", body), Want::Allowed, After::Open));
    check_all(&harness, cases.collect()).await;
    for (body, call) in bodies.iter().zip(harness.provider.calls().snapshot()) {
        assert!(
            call.body == body.as_bytes(),
            "{:.100}",
            String::from_utf8_lossy(&call.body)
        );
    }
    harness.finish().await;
}

/// Both ways to say how long a body is, a little and far too long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_bounded() {
    let limits = control::Limits {
        request_bytes: 100_000,
        ..control::Limits::default()
    };
    let harness = Harness::with(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    let padded = |length: usize| format!("{GOOD}{}", " ".repeat(length - GOOD.len()));
    let in_chunks = |length: usize| {
        let headers = "content-type: application/json\r\ntransfer-encoding: chunked\r\n";
        let body = format!("{length:x}\r\n{}\r\n0\r\n\r\n", padded(length));
        request(&format!("POST {CHAT} HTTP/1.1"), headers, body)
    };
    let too_large = Want::Denied(Reason::RequestTooLarge);
    check_all(
        &harness,
        vec![
            case(
                "as long as may be",
                chat("", padded(100_000)),
                Want::Allowed,
                After::Open,
            ),
            case(
                "as long as may be, in chunks",
                in_chunks(100_000),
                Want::Allowed,
                After::Closed,
            ),
            case("one byte too long", chat("", padded(100_001)), too_large, After::Open),
            case(
                "one byte too long, in chunks",
                in_chunks(100_001),
                too_large,
                After::Closed,
            ),
            // The caller sends all of it before it reads: it must find the answer and not a reset connection.
            case("100 MB", chat("", padded(100_000_000)), too_large, After::Closed),
            case("100 MB in chunks", in_chunks(100_000_000), too_large, After::Closed),
            case(
                "100 MB to Anthropic",
                post("/anthropic/v1/messages", "", padded(100_000_000)),
                too_large,
                After::Closed,
            ),
            case(
                "100 MB for nobody",
                String::from_utf8(post(CHAT, "", padded(100_000_000)))
                    .unwrap()
                    .replacen("{key}", "sk", 1),
                Want::Anonymous(Reason::InvalidCredential),
                After::Closed,
            ),
        ],
    )
    .await;
    harness.finish().await;
}

/// A body that comes by the byte, stops in the middle, or never comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_sender_is_not_waited_for() {
    let limits = control::Limits {
        request_timeout: Duration::from_millis(200),
        ..control::Limits::default()
    };
    let harness = Harness::with(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    let late = Want::Denied(Reason::RequestTimeout);
    let cut = |bytes: Vec<u8>, from_end: usize| bytes[..bytes.len() - from_end].to_vec();
    let in_chunks = request(
        &format!("POST {CHAT} HTTP/1.1"),
        "transfer-encoding: chunked\r\n",
        "34\r\n{\"mod",
    );
    check_all(
        &harness,
        vec![
            case(
                "nothing of the body",
                cut(chat("", GOOD), GOOD.len()),
                late,
                After::Closed,
            ),
            case("half of the body", cut(chat("", GOOD), 20), late, After::Closed),
            case("all but a byte", cut(chat("", GOOD), 1), late, After::Closed),
            case("half a chunk", in_chunks, late, After::Closed),
            case(
                "no last chunk",
                request(
                    &format!("POST {CHAT} HTTP/1.1"),
                    "transfer-encoding: chunked\r\n",
                    "2\r\n{}\r\n",
                ),
                late,
                After::Closed,
            ),
            case(
                "nothing, to Anthropic",
                cut(post("/anthropic/v1/messages", "", GOOD), GOOD.len()),
                late,
                After::Closed,
            ),
        ],
    )
    .await;
    // A byte now and then is no progress that counts: the time is for the whole body.
    let mut raw = Raw::connect(&harness).await;
    raw.send(&with_key(&cut(chat("", GOOD), GOOD.len()), &harness.key))
        .await;
    let (mut reading, mut writing) = raw.stream.into_split();
    let drip = tokio::spawn(async move {
        for byte in GOOD.as_bytes().iter().cycle() {
            if tokio::io::AsyncWriteExt::write_all(&mut writing, &[*byte])
                .await
                .is_err()
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    });
    let mut answer = [0; 12];
    tokio::io::AsyncReadExt::read_exact(&mut reading, &mut answer)
        .await
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    drip.abort();
    harness.finish().await;
}
