//! What hostile streams may take: memory within the bound, and time that grows with their length and no faster. With loops
//! inside of loops the streams here would take hours.

use super::*;

/// The bound of replies here.
const LARGE: usize = 4 << 20;

/// An event of nearly `size` bytes: `open`, numbered parts, `close`.
fn large(size: usize, open: &str, part: fn(usize) -> String, close: &str) -> String {
    let mut event = format!("data: {open}");
    let mut number = 0;
    while event.len() < size - 100 {
        if number > 0 {
            event.push(',');
        }
        event.push_str(&part(number));
        number += 1;
    }
    event + close + "\n\n"
}

/// The events that were quadratic, or that took many times their own size.
fn hostile(size: usize) -> Vec<(Endpoint, String)> {
    let large = |open: &str, part: fn(usize) -> String, close: &str| large(size, open, part, close);
    let tools = r#"{"choices":[{"delta":{"tool_calls":["#;
    let message = r#"{"type":"message_start","message":{"#;
    vec![
        (CHAT, large("{", |n| format!("\"{n}\":0"), "}")),
        (CHAT, large(r#"{"choices":[{"#, |n| format!("\"{n}\":0"), "}]}")),
        (
            CHAT,
            large(r#"{"choices":[{"delta":{"#, |n| format!("\"{n}\":0"), "}}]}"),
        ),
        (CHAT, large(r#"{"choices":["#, |n| format!(r#"{{"index":{n}}}"#), "]}")),
        (CHAT, large(tools, |n| format!(r#"{{"index":{n}}}"#), "]}}]}")),
        (
            CHAT,
            large(tools, |_| r#"{"function":{"name":"f"}}"#.to_owned(), "]}}]}"),
        ),
        (CHAT, large(r#"{"x":["#, |_| "0".to_owned(), "]}")),
        (CHAT, large(r#"{"x":["#, |_| "{}".to_owned(), "]}")),
        (CHAT, large(r#"{"x":["#, |_| "[[[]]]".to_owned(), "]}")),
        (
            Endpoint::Completions,
            large(r#"{"choices":[{"logprobs":["#, |_| "0".to_owned(), "]}]}"),
        ),
        (Endpoint::Messages, large(message, |n| format!("\"{n}\":0"), "}}")),
        (
            Endpoint::Messages,
            large(&format!("{message}\"content\":["), |_| "0".to_owned(), "]}}"),
        ),
    ]
}

#[test]
fn hostile_events_are_refused() {
    for (endpoint, stream) in hostile(LARGE) {
        let mut assembler = Assembler::new(endpoint, LARGE).unwrap();
        let found = assembler.push(stream.as_bytes());
        let start = stream.get(..80).unwrap();
        assert_eq!(found, Err(AssembleError::TooLarge), "{start}");
        assert!(assembler.budget.held() <= LARGE, "{start}");
    }
}

/// With a bound that lets them pass they are read, and what is held is what was charged for.
#[test]
fn hostile_events_are_read_in_time() {
    for (endpoint, stream) in hostile(LARGE / 4) {
        let mut assembler = Assembler::new(endpoint, 1 << 30).unwrap();
        assert_eq!(assembler.push(stream.as_bytes()), Ok(()));
        assert_eq!(assembler.budget.held(), assembler.parts.cost());
    }
}

/// Nothing is counted anew with each event, or looked for among all that is held.
#[test]
fn small_events_behind_a_large_one_are_cheap() {
    let wide: String = (0..40_000).map(|n| format!(",\"x{n}\":0")).collect();
    let events = [
        (CHAT, format!("{{\"id\":0{wide}}}"), r#"{"created":0}"#),
        (
            Endpoint::Messages,
            format!(r#"{{"type":"message_start","message":{{"id":0{wide}}}}}"#),
            r#"{"type":"message_delta","delta":{},"usage":{"x":1}}"#,
        ),
    ];
    for (endpoint, first, then) in events {
        let mut assembler = Assembler::new(endpoint, 4 * LARGE).unwrap();
        let stream = format!("data: {first}\n\n") + &format!("data: {then}\n\n").repeat(20_000);
        assert_eq!(assembler.push(stream.as_bytes()), Ok(()));
        assert_eq!(assembler.budget.held(), assembler.parts.cost());
    }
}

/// What nothing can continue costs little more than its text: a reply with probabilities is an honest one.
#[test]
fn probabilities_are_kept_as_text() {
    let top = r#"{"token":"the","logprob":-0.25,"bytes":[116,104,101],"top_logprobs":[]}"#;
    let list = vec![top; 20].join(",");
    let token = top.replace("[]}", &format!("[{list}]}}"));
    let event = format!(r#"{{"choices":[{{"delta":{{"content":"the"}},"logprobs":{{"content":[{token}]}}}}]}}"#);
    let mut assembler = Assembler::new(CHAT, LARGE).unwrap();
    let stream = format!("data: {event}\n\n").repeat(1_000);
    assert_eq!(assembler.push(stream.as_bytes()), Ok(()));
    assert!(assembler.budget.held() < stream.len() * 11 / 10);
}

proptest! {
    /// However pieces come together, what is charged for is what is held.
    #[test]
    fn charges_are_kept_well(pieces in prop::collection::vec(prop::sample::select([&SHREDS[..], &MORE].concat()), 0..20), endpoint in 0_usize..4) {
        let endpoint = [CHAT, Endpoint::Completions, Endpoint::Messages, Endpoint::Responses][endpoint];
        let mut assembler = Assembler::new(endpoint, MOST).unwrap();
        for piece in pieces {
            if assembler.push(format!("data: {piece}\n\n").as_bytes()).is_err() {
                break;
            }
            prop_assert_eq!(assembler.budget.held(), assembler.parts.cost(), "{}", piece);
        }
    }
}

/// More pieces that make sense behind one another.
const MORE: [&str; 16] = [
    r#"{"id":"a","created":7,"usage":null,"x":{"a":1,"a":"b"}}"#,
    r#"{"id":"","created":0,"usage":{"a":{"b":1}},"x":{"a":[1],"c":{}}}"#,
    r#"{"x":{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"j":0,"k":1,"l":2,"m":3,"n":4,"o":5,"p":6,"q":7,"r":8}}"#,
    r#"{"choices":[{"index":0,"delta":{"role":"a","name":"n","y":null,"z":[]}},{"index":1,"text":"b"}]}"#,
    r#"{"choices":[{"index":0,"delta":{"role":"a","name":"n","y":7,"z":["s",{"a":1},{"id":"x"}]}}]}"#,
    r#"{"choices":[{"index":0,"delta":{"y":{"y":1},"z":{}}}]}"#,
    r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{"}}]}}]}"#,
    r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"}"}},{"index":1,"id":"d"}]}}]}"#,
    r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"index":2,"function":{}},{"function":{"arguments":"x"}}]}}]}"#,
    r#"{"choices":[{"finish_reason":"stop","logprobs":{"content":[{"token":"a","bytes":[1]}]},"message":{"a":1}}]}"#,
    r#"{"type":"message_start","message":{"id":"m","content":[{"type":"text"}],"usage":{"a":1}},"usage":{}}"#,
    r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":"","citations":[]}}"#,
    r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"x","citation":{"b":[2]}}}"#,
    r#"{"type":"content_block_delta","index":1,"delta":{"type":"signature_delta","signature":"s","partial_json":"{"}}"#,
    r#"{"type":"content_block_delta","index":1,"delta":{"type":"other","signature":"t","citation":{"id":"c"}},"message":{}}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"end","usage":{"a":2}},"usage":{"a":2,"b":{"c":1}}}"#,
];
