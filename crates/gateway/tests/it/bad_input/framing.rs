//! Where a request ends, and whom it is for: shapes that two servers could read differently.

use model::Reason;

use super::{After, CHAT, Case, GOOD, Want, case, chat, check_all, request};
use crate::{harness::Harness, raw::Raw};

const INVALID: Want = Want::Denied(Reason::InvalidRequest);

fn chunked(headers: &str, body: &str) -> Vec<u8> {
    let headers = format!("content-type: application/json\r\ntransfer-encoding: chunked\r\n{headers}");
    request(&format!("POST {CHAT} HTTP/1.1"), &headers, body)
}

/// The good body as one chunk.
fn one_chunk(extension: &str) -> String {
    format!("{:x}{extension}\r\n{GOOD}\r\n0\r\n\r\n", GOOD.len())
}

fn lengths() -> Vec<Case> {
    let length = GOOD.len();
    let with = |headers: &str| request(&format!("POST {CHAT} HTTP/1.1"), headers, GOOD);
    let plain = |value: &str| {
        with(&format!(
            "content-type: application/json\r\ncontent-length: {value}\r\n"
        ))
    };
    let coded = |value: &str| {
        with(&format!(
            "content-type: application/json\r\ntransfer-encoding: {value}\r\n"
        ))
    };
    let not_http = [
        (
            "two lengths that differ",
            with(&format!("content-length: {length}\r\ncontent-length: 7\r\n")),
        ),
        ("a list of lengths that differ", plain(&format!("{length}, 7"))),
        ("a negative length", plain("-5")),
        ("a length with a sign", plain(&format!("+{length}"))),
        ("a length in hexadecimal", plain("0x34")),
        ("a length beyond 64 bits", plain("18446744073709551617")),
        ("an empty length", plain("")),
        ("coding identity", coded("identity")),
        ("coding xchunked", coded("xchunked")),
        ("coding chunked, then identity", coded("chunked, identity")),
        ("coding chunked in quotes", coded("\"chunked\"")),
        ("coding with a vertical tab", coded("\u{b}chunked")),
        ("coding on a folded line", coded("\r\n chunked")),
        ("a folded length", plain(&format!("\r\n {length}"))),
        (
            "space before the colon",
            with(&format!("content-length : {length}\r\n")),
        ),
        ("space before a coding's colon", with("transfer-encoding : chunked\r\n")),
        (
            "a header that begins with space",
            with(&format!(" content-length: {length}\r\n")),
        ),
        ("a header without a name", with(": 5\r\n")),
        ("a header without a colon", with("content-length\r\n")),
        ("NUL in a value", with("x-a: b\0c\r\n")),
        ("a bare CR in a value", with("x-a: b\rc\r\n")),
        ("NUL in a name", with("x\0a: b\r\n")),
        (
            "HTTP/1.0 with a coding",
            request(
                &format!("POST {CHAT} HTTP/1.0"),
                "transfer-encoding: chunked\r\n",
                one_chunk(""),
            ),
        ),
    ];
    not_http
        .map(|(name, bytes)| case(name, bytes, Want::NotHttp(400), After::Closed))
        .into()
}

fn chunks() -> Vec<Case> {
    let broken = |name: &str, body: &str| case(name, chunked("", body), INVALID, After::Closed);
    let allowed = |name: &str, body: &str| case(name, chunked("", body), Want::Allowed, After::Closed);
    vec![
        broken("a chunk beyond 64 bits", "fffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
        broken("a chunk with a sign", "+34\r\n{}\r\n0\r\n\r\n"),
        broken("a negative chunk", "-1\r\n{}\r\n0\r\n\r\n"),
        broken("a chunk in C's hexadecimal", "0x34\r\n{}\r\n0\r\n\r\n"),
        broken("a chunk without a size", "\r\n{}\r\n0\r\n\r\n"),
        broken("a chunk that is longer than it says", "1\r\n{}\r\n0\r\n\r\n"),
        broken("an extension with a bare LF", "34;a=\nb\r\n{}\r\n0\r\n\r\n"),
        broken("an extension without end", &format!("34;{}", "x".repeat(40_000))),
        broken(
            "trailers without end",
            &format!("{}x-a: {}", one_chunk("").trim_end_matches("\r\n"), "x".repeat(40_000)),
        ),
        allowed("a chunk with an extension", &one_chunk(";name=value")),
        allowed("a chunk with leading zeros", &format!("00{}", one_chunk(""))),
        // A server that reads both has to believe the coding and end the connection (RFC 9112, section 6.3).
        case(
            "a length and a coding",
            chunked("content-length: 4\r\n", &one_chunk("")),
            Want::Allowed,
            After::Closed,
        ),
    ]
}

fn request_lines() -> Vec<Case> {
    let to = |line: &str| request(line, "content-type: application/json\r\ncontent-length: 0\r\n", "");
    let not_http = |name: &str, bytes: Vec<u8>| case(name, bytes, Want::NotHttp(400), After::Closed);
    let denied = |name: &str, line: &str, reason| case(name, to(line), Want::Denied(reason), After::Open);
    let length = GOOD.len();
    let body = format!("content-type: application/json\r\ncontent-length: {length}\r\n");
    vec![
        not_http(
            "no HTTP at all",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
        ),
        not_http("HTTP/0.9", b"GET /healthz\r\n\r\n".to_vec()),
        not_http("HTTP/1.2", to("POST /openai/v1/chat/completions HTTP/1.2")),
        not_http("HTTP/3.0", to("POST /openai/v1/chat/completions HTTP/3.0")),
        not_http("lower-case http", to("POST /openai/v1/chat/completions http/1.1")),
        not_http(
            "a space in the target",
            to("POST /openai/v1 /chat/completions HTTP/1.1"),
        ),
        not_http("two spaces", to("POST  /openai/v1/chat/completions HTTP/1.1")),
        not_http("a NUL in the target", to("POST /openai\0/v1/chat/completions HTTP/1.1")),
        not_http(
            "a method that is none",
            to("PO(ST /openai/v1/chat/completions HTTP/1.1"),
        ),
        case(
            "a target of 200 KB",
            to(&format!("GET /openai/{} HTTP/1.1", "a".repeat(200_000))),
            Want::NotHttp(431),
            After::Closed,
        ),
        denied(
            "CONNECT",
            "CONNECT internal.example:443 HTTP/1.1",
            Reason::UnknownUpstream,
        ),
        denied(
            "CONNECT to a governed path",
            &format!("CONNECT {CHAT} HTTP/1.1"),
            Reason::MethodNotAllowed,
        ),
        denied("TRACE", &format!("TRACE {CHAT} HTTP/1.1"), Reason::MethodNotAllowed),
        denied("OPTIONS of everything", "OPTIONS * HTTP/1.1", Reason::UnknownUpstream),
        denied(
            "a method in lower case",
            &format!("post {CHAT} HTTP/1.1"),
            Reason::MethodNotAllowed,
        ),
        denied(
            "a method nobody knows",
            &format!("BREW {CHAT} HTTP/1.1"),
            Reason::MethodNotAllowed,
        ),
        denied(
            "a target that is another host",
            "POST http://internal.example/latest/meta-data HTTP/1.1",
            Reason::UnknownUpstream,
        ),
        // The target's host says no more than the header Host: where calls go is declared.
        case(
            "a governed path at another host",
            request(&format!("POST http://internal.example{CHAT} HTTP/1.1"), &body, GOOD),
            Want::Allowed,
            After::Open,
        ),
        case(
            "two hosts",
            request(
                &format!("POST {CHAT} HTTP/1.1"),
                &format!("{body}host: internal.example\r\n"),
                GOOD,
            ),
            Want::NotHttp(400),
            After::Closed,
        ),
        not_http("no host", b"GET /healthz HTTP/1.1\r\n\r\n".to_vec()),
        case(
            "HTTP/1.0",
            request(&format!("POST {CHAT} HTTP/1.0"), &body, GOOD),
            Want::Allowed,
            After::Closed,
        ),
        case(
            "bare line feeds",
            String::from_utf8(chat("", GOOD)).unwrap().replace("\r\n", "\n"),
            Want::Allowed,
            After::Open,
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_has_two_ends() {
    let harness = Harness::start().await;
    check_all(&harness, [lengths(), chunks()].concat_all()).await;
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_request_lines_lead_nowhere_else() {
    let harness = Harness::start().await;
    check_all(&harness, request_lines()).await;
    // Whatever host the caller named, the provider was called by its own name and with its own credential.
    let own = harness.provider.url().replace("http://", "");
    for call in harness.provider.calls().snapshot() {
        let hosts: Vec<_> = call.headers.iter().filter(|(name, _)| name == "host").collect();
        assert!(hosts.len() == 1 && hosts[0].1 == own, "{hosts:?}");
        assert_eq!(call.path, "/v1/chat/completions");
    }
    harness.finish().await;
}

/// A second request behind one that is refused: it is run as itself if the first was read to its end, and never as a
/// part of the first one's body.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_a_refused_body_is_not_mistaken_for_it() {
    let harness = Harness::start().await;
    let second = "GET /healthz HTTP/1.1\r\nhost: gateway\r\n\r\n";
    let pipelined = |first: Vec<u8>| [super::with_key(&first, &harness.key), second.into()].concat();

    // Short: read over, and the second is answered.
    let mut raw = Raw::connect(&harness).await;
    raw.send(&pipelined(super::post("/openai/v1/files", "", second))).await;
    assert_eq!(raw.reply().await.unwrap().status, 404);
    assert_eq!(raw.reply().await.unwrap().text(), "ok\n");
    raw.send(&pipelined(super::post("/openai/v1/files", "", ""))).await;
    assert_eq!(raw.reply().await.unwrap().status, 404);
    assert_eq!(raw.reply().await.unwrap().text(), "ok\n");

    // In chunks, or long: nothing behind it is looked at.
    let in_chunks = request(
        "POST /openai/v1/files HTTP/1.1",
        "transfer-encoding: chunked\r\n",
        one_chunk(""),
    );
    let long = super::post("/openai/v1/files", "", second.repeat(10_000));
    for first in [in_chunks, long] {
        let mut raw = Raw::connect(&harness).await;
        raw.send(&pipelined(first)).await;
        let reply = raw.reply().await.unwrap();
        assert!(reply.status == 404 && reply.closes(), "{}", reply.head);
        assert!(raw.closed().await);
    }
    assert_eq!(harness.provider.calls().count().received, 0);
    assert_eq!(harness.denials().await.len(), 4);
    harness.finish().await;
}

/// Who waits for a word before the body gets one: to go on, or a refusal at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_asks_before_its_body_is_told() {
    let harness = Harness::start().await;
    let head = |path: &str, length: usize| {
        let headers = format!("content-type: application/json\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n");
        super::with_key(&request(&format!("POST {path} HTTP/1.1"), &headers, ""), &harness.key)
    };
    let mut raw = Raw::connect(&harness).await;
    raw.send(&head(CHAT, GOOD.len())).await;
    assert!(raw.take_head().await.unwrap().starts_with("HTTP/1.1 100 "));
    raw.send(GOOD.as_bytes()).await;
    assert_eq!(raw.reply().await.unwrap().status, 200);
    for (path, length, status) in [("/openai/v1/files", 100, 404), (CHAT, 100_000_000, 413)] {
        let mut raw = Raw::connect(&harness).await;
        raw.send(&head(path, length)).await;
        let reply = raw.reply().await.unwrap();
        assert_eq!((reply.status, raw.interim), (status, 0), "{path}");
        assert!(reply.closes() && raw.closed().await, "{path}");
    }
    harness.outcomes(1).await;
    harness.finish().await;
}

trait ConcatAll {
    fn concat_all(self) -> Vec<Case>;
}

impl ConcatAll for [Vec<Case>; 2] {
    fn concat_all(self) -> Vec<Case> {
        self.into_iter().flatten().collect()
    }
}
