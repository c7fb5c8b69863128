use super::*;

fn parse(text: &str) -> Script {
    text.parse().unwrap()
}

#[test]
fn each_word_is_understood() {
    assert_eq!(parse(""), Script::default());
    assert_eq!(parse(" ; ;"), Script::default());
    let script = parse("latency=50ms; chunk-delay=250us;status=503; retry-after = 2; content-type=text/html; hang");
    assert_eq!(script.latency, Some(Duration::from_millis(50)));
    assert_eq!(script.chunk_delay, Some(Duration::from_micros(250)));
    assert_eq!(script.status, Some(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(script.retry_after, Some(HeaderValue::from_static("2")));
    assert_eq!(script.content_type, Some(HeaderValue::from_static("text/html")));
    assert!(script.hang);
    let script = parse("cached=1;cache-write=2;cache-write-1h=3;reasoning=4;usage-input=5;usage-output=6;output=7");
    let counts = [
        script.cached,
        script.cache_write,
        script.cache_write_1h,
        script.reasoning,
    ];
    assert_eq!(counts, [Some(1), Some(2), Some(3), Some(4)]);
    assert_eq!(
        [script.usage_input, script.usage_output, script.output],
        [Some(5), Some(6), Some(7)]
    );
    let script = parse("omit-usage; bill-abandoned; model=gpt-x; bytes=1000; events=3; location=/elsewhere");
    assert!(script.omit_usage && script.bill_abandoned);
    assert_eq!(script.model.as_deref(), Some("gpt-x"));
    assert_eq!((script.bytes, script.events), (Some(1000), Some(3)));
    assert_eq!(script.location, Some(HeaderValue::from_static("/elsewhere")));
    for (text, how) in [
        ("cut-after=3", How::Cut),
        ("hang-after=3", How::Hang),
        ("error-after=3", How::Error),
    ] {
        assert_eq!(parse(text).stop, Some(Stop { after: 3, how }));
    }
}

#[test]
fn a_bad_word_is_named() {
    let table = [
        ("latency=50ms; explode", "`explode` is not a word"),
        (
            "status",
            "`status` needs a status from 300 to 599, or 200, not `nothing`",
        ),
        ("status=99", "not `99`"),
        ("status=204", "not `204`"),
        ("status=304", "not `304`"),
        ("latency=50", "`latency` needs a duration such as 50ms, not `50`"),
        ("latency=ms", "`latency`"),
        ("chunk-delay=-1ms", "`chunk-delay`"),
        ("latency=99999999999999999999s", "`latency`"),
        ("output=many", "`output` needs a whole number in range, not `many`"),
        ("output=999999999999", "`output`"),
        ("events=0", "`events`"),
        ("hang=yes", "`hang` needs no value"),
        ("model=", "`model` needs a value"),
        ("hang; hang", "`hang` is given twice"),
        ("cut-after=1; hang-after=2", "`hang-after` and another word"),
        ("output=200000000", "ask for too much"),
        ("output=1; events=2", "give two at most"),
        ("output=9; events=2; bytes=3", "give two at most"),
        ("events=1000000; bytes=1000000", "ask for too much"),
    ];
    for (text, part) in table {
        let error = text.parse::<Script>().unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn several_headers_are_one_script() {
    let mut headers = HeaderMap::new();
    assert_eq!(Script::of(&headers), Ok(Script::default()));
    headers.append(SCRIPT_HEADER, HeaderValue::from_static("hang"));
    headers.append(SCRIPT_HEADER, HeaderValue::from_static("output=5"));
    let script = Script::of(&headers).unwrap();
    assert!(script.hang);
    assert_eq!(script.output, Some(5));
    headers.append(SCRIPT_HEADER, HeaderValue::from_bytes(b"\xff").unwrap());
    assert_eq!(Script::of(&headers), Err(ScriptError::Text));
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_the_parser(text in ".{0,80}") {
        let _ = text.parse::<Script>();
    }
}
