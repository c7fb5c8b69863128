//! Pictures, speech and transcripts: edited, translated, and as streams. Booked is what the provider itself counted.

use entry::Status;
use fake::{Billed, SeenCall};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use model::{NanoUsd, UsageSource};
use pricing::Override;

use super::{ALL, FORM, intents, usage};
use crate::harness::{Harness, Setup, header};

/// A price for pictures of a model that the catalogue no longer has.
fn by_the_piece() -> Override {
    toml::from_str("provider = 'openai'\nmodel = 'dall-e-2'\ninput = 0\noutput = 0\nper_image = '0.02'").unwrap()
}

async fn harness() -> Harness {
    Harness::with(Setup {
        policy: ALL,
        prices: vec![by_the_piece()],
        ..Setup::default()
    })
    .await
}

/// A form with these fields and one file.
fn form(harness: &Harness, path: &str, fields: &[(&str, &str)], file: (&str, usize)) -> Request<Full<bytes::Bytes>> {
    let head = "--b0\r\nContent-Disposition: form-data; name=";
    let part = |(name, text): &(&str, &str)| format!("{head}\"{name}\"\r\n\r\n{text}\r\n");
    let fields: String = fields.iter().map(part).collect();
    let (name, length) = file;
    let content = "\0".repeat(length);
    let body = format!(
        "{fields}{head}\"{name}\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n{content}\r\n--b0--\r\n"
    );
    let mut request = harness.request(path, body);
    request.headers_mut().insert("content-type", FORM.parse().unwrap());
    request
}

fn edit(harness: &Harness, more: &[(&str, &str)]) -> Request<Full<bytes::Bytes>> {
    let fields = [("model", "gpt-image-1"), ("prompt", "A bailiwick"), ("quality", "low")];
    form(
        harness,
        "/openai/v1/images/edits",
        &[&fields, more].concat(),
        ("image", 400),
    )
}

fn picture(harness: &Harness) -> Request<Full<bytes::Bytes>> {
    let body = r#"{"model":"gpt-image-1","prompt":"A bailiwick","quality":"low","stream":true,"partial_images":2}"#;
    harness.request("/openai/v1/images/generations", body)
}

fn speech(harness: &Harness) -> Request<Full<bytes::Bytes>> {
    let body = r#"{"model":"gpt-4o-mini-tts","input":"Hello there, all of you","voice":"alloy","stream_format":"sse"}"#;
    harness.request("/openai/v1/audio/speech", body)
}

fn transcript(harness: &Harness) -> Request<Full<bytes::Bytes>> {
    let fields = [("model", "gpt-4o-transcribe"), ("stream", "true")];
    form(harness, "/openai/v1/audio/transcriptions", &fields, ("file", 40_000))
}

/// Sends it and gives the body, what the provider saw, and how it was booked.
async fn settle(harness: &Harness, request: Request<Full<bytes::Bytes>>) -> (String, SeenCall, entry::Outcome) {
    let before = harness.outcomes(0).await.len();
    let (status, _, text) = harness.call(request).await;
    assert_eq!(status, 200, "{text}");
    let received = harness.provider.calls().count().received;
    harness.provider.calls().wait_finished(received).await;
    let seen = harness.provider.calls().call(received).unwrap();
    (text, seen, harness.outcomes(before + 1).await.pop().unwrap())
}

/// The prices as OpenAI states them, by hand: of a million tokens, or of a picture.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_provider_counted_is_booked() {
    let harness = harness().await;
    let varied = form(
        &harness,
        "/openai/v1/images/variations",
        &[("model", "dall-e-2"), ("n", "2")],
        ("image", 400),
    );
    for (name, request, last, nano) in [
        // 3 tokens of text at $5, 194 of a picture at $10 and 272 made at $40.
        (
            "edited",
            edit(&harness, &[]),
            "\"usage\"",
            15_000 + 1_940_000 + 10_880_000,
        ),
        // And two partial pictures of 100 tokens each.
        (
            "edited in steps",
            edit(&harness, &[("stream", "true"), ("partial_images", "2")]),
            "image_edit.completed",
            15_000 + 1_940_000 + 18_880_000,
        ),
        ("varied", varied, "\"b64_json\"", 40_000_000),
        (
            "made in steps",
            picture(&harness),
            "image_generation.completed",
            15_000 + 18_880_000,
        ),
        // 6 tokens at $0.60, and 23 spoken at $12.
        (
            "spoken in steps",
            speech(&harness),
            "speech.audio.done",
            3_600 + 276_000,
        ),
        // 30 tokens heard at $2.50 and 9 written at $10.
        (
            "written in steps",
            transcript(&harness),
            "transcript.text.done",
            75_000 + 90_000,
        ),
    ] {
        let (text, seen, outcome) = settle(&harness, request).await;
        assert!(text.contains(last), "{name}: {text}");
        assert_eq!(
            (outcome.status, outcome.source),
            (Status::Ok, UsageSource::Provider),
            "{name}"
        );
        assert_eq!(outcome.usage, Some(usage(seen.billed)), "{name}");
        assert_eq!(
            (outcome.cost, outcome.overrun),
            (NanoUsd(nano), NanoUsd::ZERO),
            "{name}"
        );
    }
    harness.finish().await;
}

/// A whole picture costs the same in a stream without partial ones, and so do the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_costs_what_the_same_call_does_without() {
    let harness = harness().await;
    let picture = |stream: &str| {
        let body = format!(r#"{{"model":"gpt-image-1","prompt":"A bailiwick"{stream}}}"#);
        harness.request("/openai/v1/images/generations", body)
    };
    let transcript = |stream| {
        let fields = [("model", "gpt-4o-transcribe"), ("stream", stream)];
        form(&harness, "/openai/v1/audio/transcriptions", &fields, ("file", 40_000))
    };
    for (plain, streamed) in [
        (picture(""), picture(r#","stream":true"#)),
        (edit(&harness, &[]), edit(&harness, &[("stream", "true")])),
        (transcript("false"), transcript("true")),
    ] {
        let (_, _, plain) = settle(&harness, plain).await;
        let (_, _, streamed) = settle(&harness, streamed).await;
        assert_eq!((plain.usage, plain.cost), (streamed.usage, streamed.cost));
        assert!(plain.cost > NanoUsd::ZERO);
    }
    harness.finish().await;
}

/// By the reference a translation tells no usage, so its hold is booked; so is that of a stream without figures.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_figures_the_hold_is_booked() {
    let harness = harness().await;
    let translation = form(
        &harness,
        "/openai/v1/audio/translations",
        &[("model", "whisper-1")],
        ("file", 40_000),
    );
    let silent = |request| Harness::scripted(request, "omit-usage");
    for request in [
        translation,
        silent(speech(&harness)),
        silent(transcript(&harness)),
        silent(edit(&harness, &[])),
        silent(edit(&harness, &[("stream", "true")])),
    ] {
        let path = request.uri().path().to_owned();
        let (_, seen, outcome) = settle(&harness, request).await;
        let hold = intents(&harness).await.last().unwrap().hold;
        assert_eq!(
            (outcome.status, outcome.source),
            (Status::Ok, UsageSource::Hold),
            "{path}"
        );
        assert!(
            outcome.cost == hold && hold >= price(&seen.model, seen.billed),
            "{path}"
        );
    }
    harness.finish().await;
}

/// What a stream that breaks off had made is billed: the hold covers it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_break_off_book_the_hold() {
    let harness = harness().await;
    for (script, status, told) in [
        ("cut-after=1", Status::Broken, "upstream_broken"),
        ("cut-after=0", Status::Broken, "upstream_broken"),
        ("error-after=1", Status::UpstreamError, "server_error"),
    ] {
        for request in [
            picture(&harness),
            edit(&harness, &[("stream", "true"), ("partial_images", "1")]),
            speech(&harness),
            transcript(&harness),
        ] {
            let path = request.uri().path().to_owned();
            let (text, seen, outcome) = settle(&harness, Harness::scripted(request, script)).await;
            assert!(text.contains(told), "{path} {script}: {text}");
            let hold = intents(&harness).await.last().unwrap().hold;
            assert_eq!(
                (outcome.status, outcome.source),
                (status, UsageSource::Hold),
                "{path} {script}"
            );
            assert!(
                outcome.cost == hold && hold >= price(&seen.model, seen.billed),
                "{path} {script}"
            );
        }
    }
    harness.finish().await;
}

/// A caller that leaves after the first piece.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_leave_book_the_hold() {
    let harness = harness().await;
    for (count, request) in [picture(&harness), speech(&harness), transcript(&harness)]
        .into_iter()
        .enumerate()
    {
        let response = harness.send(Harness::scripted(request, "hang-after=2")).await;
        assert!(header(&response, "content-type").starts_with("text/event-stream"));
        let mut body = response.into_body();
        body.frame().await.unwrap().unwrap();
        drop(body);
        let outcome = harness.outcomes(count + 1).await.pop().unwrap();
        assert_eq!(
            (outcome.status, outcome.source),
            (Status::ClientGone, UsageSource::Hold)
        );
    }
    harness.finish().await;
}

fn price(model: &str, billed: Billed) -> NanoUsd {
    let model = pricing::PriceBook::builtin().require("openai", model).unwrap();
    let model = model.in_region(pricing::Region::of_host("127.0.0.1"));
    model.cost(&usage(billed), model::ServiceTier::Standard).unwrap()
}
