//! Headers: too many, too long, twice, contradicting each other, or meant for somebody else.

use model::Reason;

use super::{After, CHAT, Case, GOOD, Want, case, chat, check_all, request, with_key};
use crate::{harness::Harness, raw::Raw};

const INVALID: Want = Want::Denied(Reason::InvalidRequest);
const CREDENTIAL: Want = Want::Anonymous(Reason::InvalidCredential);

fn sizes() -> Vec<Case> {
    let many = |count: usize| (0..count).map(|at| format!("x-{at}: 1\r\n")).collect::<String>();
    vec![
        case(
            "a header of 1 MB",
            chat(&format!("x-a: {}\r\n", "a".repeat(1 << 20)), GOOD),
            Want::NotHttp(431),
            After::Closed,
        ),
        case(
            "a credential of 1 MB",
            request(
                &format!("POST {CHAT} HTTP/1.1"),
                &format!("x-api-key: {}\r\n", "a".repeat(1 << 20)),
                "",
            ),
            Want::NotHttp(431),
            After::Closed,
        ),
        case(
            "a header's name of 100 KB",
            chat(&format!("{}: 1\r\n", "a".repeat(100_000)), GOOD),
            Want::NotHttp(431),
            After::Closed,
        ),
        case(
            "1,000 headers",
            chat(&many(1_000), GOOD),
            Want::NotHttp(431),
            After::Closed,
        ),
        case("50 headers", chat(&many(50), GOOD), Want::Allowed, After::Open),
        case(
            "a header of 16 KB",
            chat(&format!("x-a: {}\r\n", "a".repeat(16_000)), GOOD),
            Want::Allowed,
            After::Open,
        ),
    ]
}

fn credentials() -> Vec<Case> {
    let length = GOOD.len();
    let with = |headers: &str| {
        format!("POST {CHAT} HTTP/1.1\r\nhost: gateway\r\ncontent-length: {length}\r\n{headers}\r\n{GOOD}").into_bytes()
    };
    let refused = |name: &str, headers: &str, want| case(name, with(headers), want, After::Open);
    let missing = Want::Anonymous(Reason::MissingCredential);
    vec![
        refused("none", "", missing),
        refused("an empty bearer", "authorization: Bearer \r\n", missing),
        refused("another scheme", "authorization: Basic YTpi\r\n", missing),
        refused("a bearer that is no text", "authorization: Bearer \u{e9}\r\n", missing),
        refused("somebody else's", "authorization: Bearer sk-proj-abc\r\n", CREDENTIAL),
        refused(
            "two bearers that differ",
            "authorization: Bearer {key}\r\nauthorization: Bearer bwk_other\r\n",
            CREDENTIAL,
        ),
        refused(
            "two keys that differ",
            "x-api-key: bwk_other\r\nx-api-key: {key}\r\n",
            CREDENTIAL,
        ),
        refused(
            "a bearer and a key that differ",
            "authorization: Bearer {key}\r\nx-api-key: sk-ant-other\r\n",
            CREDENTIAL,
        ),
        refused(
            "a key and a bearer that differ",
            "x-api-key: {key}\r\nauthorization: Bearer bwk_other\r\n",
            CREDENTIAL,
        ),
        refused(
            "with a list behind it",
            "authorization: Bearer {key}, Bearer bwk_other\r\n",
            CREDENTIAL,
        ),
        refused(
            "the same twice",
            "authorization: Bearer {key}\r\nx-api-key: {key}\r\n",
            Want::Allowed,
        ),
        refused(
            "beside another scheme",
            "authorization: Basic YTpi\r\nx-api-key: {key}\r\n",
            Want::Allowed,
        ),
        refused("in a cookie", "cookie: bwk={key}\r\n", missing),
    ]
}

fn labels() -> Vec<Case> {
    let with = |name: &str, headers: &str, want| case(name, chat(headers, GOOD), want, After::Open);
    let long = "r".repeat(129);
    vec![
        with("a long run", &format!("bailiwick-run: {long}\r\n"), INVALID),
        with("a long task", &format!("bailiwick-task: {long}\r\n"), INVALID),
        with("an empty run", "bailiwick-run:\r\n", INVALID),
        with("a run with a tab", "bailiwick-run: a\tb\r\n", INVALID),
        with("a run beyond ASCII", "bailiwick-run: r\u{e9}\r\n", INVALID),
        with("two runs", "bailiwick-run: a\r\nbailiwick-run: b\r\n", INVALID),
        with("two tasks", "bailiwick-task: a\r\nbailiwick-task: a\r\n", INVALID),
        case(
            "an escape in a run",
            chat("bailiwick-run: a\u{1b}[2Jb\r\n", GOOD),
            Want::NotHttp(400),
            After::Closed,
        ),
        with(
            "a run of the longest length",
            &format!("bailiwick-run: {}\r\n", "r".repeat(128)),
            Want::Allowed,
        ),
    ]
}

fn content() -> Vec<Case> {
    let length = GOOD.len();
    let with = |name: &str, headers: &str, want| {
        let headers = format!("content-length: {length}\r\n{headers}");
        case(
            name,
            request(&format!("POST {CHAT} HTTP/1.1"), &headers, GOOD),
            want,
            After::Open,
        )
    };
    vec![
        with("a compressed body", "content-encoding: gzip\r\n", INVALID),
        with(
            "a body compressed twice",
            "content-encoding: identity\r\ncontent-encoding: gzip\r\n",
            INVALID,
        ),
        with("a list of encodings", "content-encoding: identity, br\r\n", INVALID),
        with("no encoding", "content-encoding: identity\r\n", Want::Allowed),
        with("text", "content-type: text/plain\r\n", INVALID),
        with(
            "a form without a boundary",
            "content-type: multipart/form-data\r\n",
            INVALID,
        ),
        with(
            "a form of a page",
            "content-type: application/x-www-form-urlencoded\r\n",
            INVALID,
        ),
        // Which of the two an upstream believes cannot be known, and a form's boundary stands in it.
        with(
            "two content types",
            "content-type: application/json\r\ncontent-type: multipart/form-data; boundary=b\r\n",
            INVALID,
        ),
        with("no content type", "", Want::Allowed),
        with(
            "JSON with a parameter",
            "content-type: Application/JSON; charset=utf-8\r\n",
            Want::Allowed,
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_are_bounded_and_say_one_thing() {
    let harness = Harness::start().await;
    for cases in [sizes(), credentials(), labels(), content()] {
        check_all(&harness, cases).await;
    }
    harness.finish().await;
}

/// What is of this connection only, names another protocol or another method, or would send the call elsewhere at the
/// provider stays here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_for_the_provider_stays_here() {
    let harness = Harness::start().await;
    let kept_back = [
        "connection: keep-alive, x-hop, Upgrade, HTTP2-Settings\r\nx-hop: 1\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n",
        "connection: x-first\r\nconnection: x-second\r\nx-first: 1\r\nx-second: 1\r\n",
        "connection: content-type\r\n",
        "te: trailers\r\ntrailer: x-late\r\nkeep-alive: 5\r\nproxy-connection: close\r\nproxy-authorization: Basic YTpi\r\n",
        "upgrade: websocket\r\nconnection: upgrade\r\n",
        "expect: 100-continue\r\n",
        "x-http-method-override: DELETE\r\nx-http-method: DELETE\r\nx-method-override: DELETE\r\n",
        "x-original-url: /v1/files\r\nx-rewrite-url: /v1/files\r\n",
        "x-forwarded-host: internal.example\r\nforwarded: host=internal.example\r\nx-forwarded-prefix: /v1/files\r\n",
        "x-api-key: {key}\r\napi-key: {key}\r\ncookie: a=b\r\nbailiwick-user: eve\r\n",
    ];
    let stays = [
        "connection",
        "x-hop",
        "upgrade",
        "http2-settings",
        "x-first",
        "x-second",
        "te",
        "trailer",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "expect",
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
        "x-forwarded-host",
        "forwarded",
        "x-forwarded-prefix",
        "x-api-key",
        "api-key",
        "cookie",
        "bailiwick-user",
        "transfer-encoding",
    ];
    for headers in kept_back {
        let mut raw = Raw::connect(&harness).await;
        raw.send(&with_key(&chat(headers, GOOD), &harness.key)).await;
        let reply = raw.reply().await.unwrap();
        assert_eq!(reply.status, 200, "{headers}: {}", reply.text());
    }
    let calls = harness.provider.calls().snapshot();
    assert_eq!(calls.len(), kept_back.len());
    for call in calls {
        let left: Vec<_> = call
            .headers
            .iter()
            .filter(|(name, _)| stays.contains(&name.as_str()))
            .collect();
        assert!(left.is_empty(), "{left:?}");
        assert!(call.headers.iter().all(|(_, value)| !value.contains("bwk_")));
        let count = |wanted: &str| call.headers.iter().filter(|(name, _)| name == wanted).count();
        assert_eq!((count("content-length"), count("host")), (1, 1), "{:?}", call.headers);
    }
    harness.outcomes(kept_back.len()).await;
    harness.finish().await;
}
