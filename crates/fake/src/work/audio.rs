//! `POST /v1/audio/speech` and `POST /v1/audio/transcriptions`: silence for a text, and a text for any sound.
//! <https://platform.openai.com/docs/api-reference/audio>

use bytes::{BufMut as _, Bytes, BytesMut};
use http::HeaderValue;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Done, form::Form, input, invalid};
use crate::{calls::Billed, completion::Moment, out::Out, prose, refusal::Refusal, script::Script};

/// The head of a silent frame of MPEG-1 layer III at 128 kbit/s and 44.1 kHz, and the length of the frame.
const MP3_FRAME: ([u8; 4], usize) = ([0xff, 0xfb, 0x90, 0x00], 417);
/// Such frames for each character: about 52 ms.
const FRAMES_A_CHARACTER: usize = 2;
/// Samples for each character at 24 kHz, 50 ms.
const SAMPLES_A_CHARACTER: usize = 1_200;
/// A longer text is refused.
const CHARACTERS_MAX: usize = 4_096;
/// Bytes of a second of sound, whatever its format: the rate of MP3 at 128 kbit/s.
const BYTES_A_SECOND: u64 = 16_000;
/// Tokens of a second of sound.
const TOKENS_A_SECOND: u64 = 10;

/// A text to speak.
#[derive(Deserialize)]
pub(crate) struct Speech {
    pub(super) model: String,
    input: String,
    response_format: Option<String>,
    #[serde(rename = "voice")]
    _voice: serde::de::IgnoredAny,
}

impl Speech {
    pub(super) fn done(&self) -> Result<Done, Refusal> {
        let characters = self.input.chars().count();
        if !(1..=CHARACTERS_MAX).contains(&characters) {
            return Err(invalid(format!(
                "Invalid 'input': expected 1 to {CHARACTERS_MAX} characters."
            )));
        }
        let silence = vec![0; characters * SAMPLES_A_CHARACTER * 2];
        let (kind, body) = match self.response_format.as_deref() {
            None | Some("mp3") => ("audio/mpeg", mp3(characters * FRAMES_A_CHARACTER)),
            Some("wav") => ("audio/wav", wav(&silence)),
            Some("pcm") => ("audio/pcm", Bytes::from(silence)),
            Some(_) => {
                return Err(invalid(
                    "Invalid 'response_format': this provider has mp3, wav and pcm.",
                ));
            }
        };
        Ok(Done {
            kind: HeaderValue::from_static(kind),
            body,
            billed: Billed {
                characters: u64::try_from(characters).unwrap_or(u64::MAX),
                ..Billed::default()
            },
        })
    }
}

fn mp3(frames: usize) -> Bytes {
    let (head, length) = MP3_FRAME;
    let mut out = BytesMut::with_capacity(frames * length);
    for _ in 0..frames {
        out.put_slice(&head);
        out.put_bytes(0, length - head.len());
    }
    out.freeze()
}

/// One channel of 16 bits at 24 kHz.
fn wav(samples: &[u8]) -> Bytes {
    let length = u32::try_from(samples.len()).unwrap_or(u32::MAX);
    let mut out = BytesMut::with_capacity(44 + samples.len());
    out.put_slice(b"RIFF");
    out.put_u32_le(length.saturating_add(36));
    out.put_slice(b"WAVEfmt ");
    out.put_u32_le(16);
    // PCM, one channel, samples and bytes a second, bytes and bits of a sample.
    out.put_u16_le(1);
    out.put_u16_le(1);
    out.put_u32_le(24_000);
    out.put_u32_le(48_000);
    out.put_u16_le(2);
    out.put_u16_le(16);
    out.put_slice(b"data");
    out.put_u32_le(length);
    out.put_slice(samples);
    out.freeze()
}

/// Sound to write down.
pub(crate) struct Transcription {
    pub(super) model: String,
    format: String,
    /// Whole seconds, at least one.
    seconds: u64,
}

impl Transcription {
    pub(super) fn parse(content_type: &str, body: &[u8]) -> Result<Self, Refusal> {
        let form = Form::parse(content_type, body).ok_or_else(|| invalid("Could not parse multipart form"))?;
        let bytes = form.bytes("file").ok_or_else(|| invalid("you must provide a file"))?;
        let model = form
            .text("model")
            .ok_or_else(|| invalid("you must provide a model parameter"))?;
        if form.text("stream").is_some_and(|stream| stream == "true") {
            return Err(invalid("This provider does not stream transcriptions."));
        }
        Ok(Self {
            model: model.to_owned(),
            format: form.text("response_format").unwrap_or("json").to_owned(),
            seconds: u64::try_from(bytes.len())
                .unwrap_or(u64::MAX)
                .div_ceil(BYTES_A_SECOND)
                .max(1),
        })
    }

    pub(super) fn done(&self, script: &Script, moment: &Moment) -> Done {
        // Nobody says more than three words a second.
        let words = script.output.unwrap_or(moment.output_tokens.min(self.seconds * 3));
        let mut out = Out::default();
        prose::write(0, prose::length(words), &mut out);
        let text = String::from_utf8_lossy(&out.take()).into_owned();
        // Whisper is billed by the length of the sound, its successors by tokens.
        let by_length = self.model.starts_with("whisper");
        let billed = if by_length {
            Billed {
                audio_ms: self.seconds * 1_000,
                ..Billed::default()
            }
        } else {
            let heard = input(self.seconds * TOKENS_A_SECOND, script);
            Billed {
                audio_input: heard.input_total(),
                output: script.usage_output.unwrap_or(words),
                ..Billed::default()
            }
        };
        let mut body = json!({"text": text});
        match (self.format.as_str(), &mut body) {
            ("text" | "srt" | "vtt", _) => {
                return Done {
                    kind: HeaderValue::from_static("text/plain; charset=utf-8"),
                    body: Bytes::from(text + "\n"),
                    billed,
                };
            }
            ("verbose_json", Value::Object(body)) => {
                body.insert("task".to_owned(), "transcribe".into());
                body.insert("language".to_owned(), "english".into());
                body.insert("duration".to_owned(), self.seconds.into());
                body.insert("segments".to_owned(), json!([]));
            }
            _ => {}
        }
        if !script.omit_usage
            && let Value::Object(body) = &mut body
        {
            body.insert("usage".to_owned(), self.usage(&billed));
        }
        Done::json(&body, billed)
    }

    fn usage(&self, billed: &Billed) -> Value {
        if billed.audio_ms > 0 {
            return json!({"type": "duration", "seconds": self.seconds});
        }
        let input = billed.input_total();
        json!({
            "type": "tokens", "input_tokens": input,
            "input_token_details": {"text_tokens": 0, "audio_tokens": billed.audio_input},
            "output_tokens": billed.output, "total_tokens": input.saturating_add(billed.output),
        })
    }
}
