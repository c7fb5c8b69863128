//! Text completions: documents and streams say the same.

use serde_json::{Value, json};

use crate::support::{Bench, with};

const COMPLETIONS: &str = "/v1/completions";

fn once(stream: bool) -> Value {
    json!({
        "model": "some-model", "prompt": ["Once upon", "a time"], "n": 2, "max_tokens": 9, "stream": stream,
        "stream_options": {"include_usage": true},
    })
}

#[tokio::test]
async fn a_stream_says_what_the_document_says() {
    let bench = Bench::start().await;
    for script in ["", "cached=2; usage-output=90", "bytes=11"] {
        let document = bench.ask(COMPLETIONS, script, &once(false)).await.json();
        assert_eq!(document["object"], "text_completion");
        let choices = document["choices"].as_array().unwrap();
        assert_eq!(choices.len(), 4);
        let mut chunks = bench.ask(COMPLETIONS, script, &once(true)).await.chunks();
        let last = chunks.pop().unwrap();
        assert_eq!((&last["usage"], &last["choices"]), (&document["usage"], &json!([])));
        let mut texts = vec![String::new(); 4];
        for chunk in &chunks {
            let choice = &chunk["choices"][0];
            texts[usize::try_from(choice["index"].as_u64().unwrap()).unwrap()] += choice["text"].as_str().unwrap();
        }
        for (choice, text) in choices.iter().zip(texts) {
            assert_eq!(
                (&choice["text"], &choice["finish_reason"]),
                (&json!(text), &json!("length"))
            );
        }
        let seen = bench.calls.snapshot();
        let (streamed, plain) = (&seen[seen.len() - 1], &seen[seen.len() - 2]);
        assert_eq!(streamed.billed, plain.billed);
        assert_eq!(document["usage"]["completion_tokens"], plain.billed.output);
    }
    let short = with(once(false), &json!({"max_tokens": null, "prompt": "Hi", "n": null}));
    let body = bench.ask(COMPLETIONS, "", &short).await.json();
    assert_eq!(body["usage"]["completion_tokens"], 16);
}
