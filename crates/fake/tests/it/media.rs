//! Pictures that are edited, sound that is translated, and what of both comes as a stream.

use fake::{Billed, Finished};
use serde_json::{Value, json};

use crate::support::{Bench, Reply};

const SOUND: &str = "0123456789abcdef";

/// The last call was answered whole, and bills this.
async fn billed(bench: &Bench, reply: &Reply, billed: Billed) {
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    let seen = bench.last().await;
    assert_eq!((seen.billed, seen.finished), (billed, Finished::Completed));
}

/// The kinds of events, each as often as it came, and the usage of the last one.
fn kinds(reply: &Reply) -> (Vec<(String, usize)>, Value) {
    let mut kinds: Vec<(String, usize)> = Vec::new();
    let mut usage = Value::Null;
    for (name, data) in reply.events() {
        let data: Value = serde_json::from_str(&data).unwrap();
        assert_eq!(data["type"], name);
        usage = data["usage"].clone();
        match kinds.last_mut() {
            Some((last, count)) if *last == name => *count += 1,
            _ => kinds.push((name, 1)),
        }
    }
    (kinds, usage)
}

fn of(kinds: &[(&str, usize)]) -> Vec<(String, usize)> {
    kinds.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[tokio::test]
async fn pictures_are_edited() {
    let bench = Bench::start().await;
    let fields = [("model", "gpt-image-1"), ("prompt", "a bailiwick!"), ("quality", "low")];
    let reply = bench.form("/v1/images/edits", "", &fields, ("image[]", "png")).await;
    let expected = Billed {
        input: 3,
        image_input: 194,
        image_output: 272,
        images: 1,
        ..Billed::default()
    };
    billed(&bench, &reply, expected).await;
    assert_eq!(
        reply.json()["usage"],
        json!({
            "input_tokens": 197, "input_tokens_details": {"image_tokens": 194, "text_tokens": 3, "cached_tokens": 0},
            "output_tokens": 272, "output_tokens_details": {"image_tokens": 272, "text_tokens": 0}, "total_tokens": 469,
        })
    );
    for (fields, file) in [(&fields[..2], "mask"), (&fields[..1], "image"), (&fields[1..], "image")] {
        let reply = bench.form("/v1/images/edits", "", fields, (file, "png")).await;
        assert_eq!(reply.status, 400, "{fields:?} {file}");
    }
}

#[tokio::test]
async fn pictures_are_varied_by_the_piece() {
    let bench = Bench::start().await;
    let path = "/v1/images/variations";
    let reply = bench
        .form(path, "", &[("model", "dall-e-2"), ("n", "3")], ("image", "png"))
        .await;
    let expected = Billed {
        images: 3,
        ..Billed::default()
    };
    billed(&bench, &reply, expected).await;
    assert!(reply.json().get("usage").is_none());
    assert_eq!(reply.json()["data"].as_array().unwrap().len(), 3);
    for fields in [
        &[("model", "gpt-image-1")][..],
        &[("model", "dall-e-2"), ("n", "many")],
        &[],
    ] {
        assert_eq!(
            bench.form(path, "", fields, ("image", "png")).await.status,
            400,
            "{fields:?}"
        );
    }
}

#[tokio::test]
async fn pictures_come_as_a_stream() {
    let bench = Bench::start().await;
    let path = "/v1/images/generations";
    let body = json!({"model": "gpt-image-1", "prompt": "a bailiwick!", "quality": "low", "stream": true, "partial_images": 2});
    let expected = Billed {
        input: 3,
        image_output: 472,
        images: 1,
        ..Billed::default()
    };
    let reply = bench.ask(path, "", &body).await;
    billed(&bench, &reply, expected).await;
    assert!(bench.last().await.stream);
    let (found, usage) = kinds(&reply);
    let all = of(&[("image_generation.partial_image", 2), ("image_generation.completed", 1)]);
    assert_eq!((found, &usage["output_tokens"]), (all, &json!(472)));

    let fields = [("model", "gpt-image-1"), ("prompt", "a bailiwick!"), ("stream", "true")];
    let reply = bench
        .form("/v1/images/edits", "omit-usage", &fields, ("image", "png"))
        .await;
    let (found, usage) = kinds(&reply);
    assert_eq!((found, usage), (of(&[("image_edit.completed", 1)]), Value::Null));

    // What had been made of a stream that is cut is billed.
    for (script, output, finished) in [
        ("cut-after=0", 0, Finished::Cut),
        ("cut-after=1", 100, Finished::Cut),
        ("error-after=2", 200, Finished::Error),
        ("cut-after=1; usage-output=9", 9, Finished::Cut),
    ] {
        bench.ask(path, script, &body).await;
        let seen = bench.last().await;
        assert_eq!(
            (seen.billed.image_output, seen.finished),
            (output, finished),
            "{script}"
        );
        assert_eq!((seen.billed.input, seen.billed.images), (3, 0), "{script}");
    }
    for (field, value) in [
        ("n", json!(2)),
        ("partial_images", json!(4)),
        ("model", json!("dall-e-3")),
    ] {
        let mut body = body.clone();
        body[field] = value;
        assert_eq!(bench.ask(path, "", &body).await.status, 400, "{field}");
    }
}

#[tokio::test]
async fn speech_comes_as_a_stream() {
    let bench = Bench::start().await;
    let path = "/v1/audio/speech";
    let body = json!({"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "12345678", "stream_format": "sse"});
    let expected = Billed {
        input: 2,
        audio_output: 8,
        ..Billed::default()
    };
    let reply = bench.ask(path, "", &body).await;
    billed(&bench, &reply, expected).await;
    let (found, usage) = kinds(&reply);
    assert_eq!(found, of(&[("speech.audio.delta", 4), ("speech.audio.done", 1)]));
    assert_eq!(
        usage,
        json!({"input_tokens": 2, "output_tokens": 8, "total_tokens": 10})
    );

    bench.ask(path, "cut-after=2", &body).await;
    assert_eq!(bench.last().await.billed.audio_output, 4, "half of it");
    // Sound tells no figures, but is billed.
    let body = json!({"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "12345678"});
    let reply = bench.ask(path, "", &body).await;
    billed(&bench, &reply, expected).await;
    let body = json!({"model": "tts-1", "voice": "alloy", "input": "12345678", "stream_format": "sse"});
    assert_eq!(bench.ask(path, "", &body).await.status, 400);
}

#[tokio::test]
async fn transcripts_come_as_a_stream() {
    let bench = Bench::start().await;
    let path = "/v1/audio/transcriptions";
    let sound = SOUND.repeat(3_000);
    let fields = [("model", "gpt-4o-transcribe"), ("stream", "true")];
    let reply = bench.form(path, "", &fields, ("file", &sound)).await;
    let expected = Billed {
        audio_input: 30,
        output: 9,
        ..Billed::default()
    };
    billed(&bench, &reply, expected).await;
    let (found, usage) = kinds(&reply);
    assert_eq!(found, of(&[("transcript.text.delta", 9), ("transcript.text.done", 1)]));
    assert_eq!((&usage["type"], &usage["total_tokens"]), (&json!("tokens"), &json!(39)));
    let chunks = reply.chunks();
    let text: String = chunks.iter().filter_map(|chunk| chunk["delta"].as_str()).collect();
    assert_eq!(text, chunks.last().unwrap()["text"].as_str().unwrap());

    bench.form(path, "cut-after=4", &fields, ("file", &sound)).await;
    assert_eq!(bench.last().await.billed.output, 4);
    // Whisper ignores that a stream is wanted.
    let fields = [("model", "whisper-1"), ("stream", "true")];
    let reply = bench.form(path, "", &fields, ("file", &sound)).await;
    assert_eq!(reply.json()["usage"], json!({"type": "duration", "seconds": 3}));
    assert!(!bench.last().await.stream);
}

#[tokio::test]
async fn translations_tell_no_usage() {
    let bench = Bench::start().await;
    let sound = SOUND.repeat(3_000);
    for format in ["json", "verbose_json"] {
        let fields = [("model", "whisper-1"), ("response_format", format)];
        let reply = bench
            .form("/v1/audio/translations", "", &fields, ("file", &sound))
            .await;
        let expected = Billed {
            audio_ms: 3_000,
            ..Billed::default()
        };
        billed(&bench, &reply, expected).await;
        let body = reply.json();
        assert!(body.get("usage").is_none() && body["text"].is_string());
        assert!(format == "json" || body["task"] == "translate");
    }
}
