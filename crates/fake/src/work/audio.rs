//! `POST /v1/audio/speech`, `/transcriptions` and `/translations`: silence for a text, and a text for any sound.
//! <https://platform.openai.com/docs/api-reference/audio>

use bytes::{BufMut as _, Bytes, BytesMut};
use http::HeaderValue;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Done, Event, Made, Stream, base64, form::Form, input, invalid, tokens};
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

/// Pieces of sound in a stream, unless the script says how many.
const PIECES: u64 = 4;

/// A text to speak.
#[derive(Deserialize)]
pub(crate) struct Speech {
    pub(super) model: String,
    input: String,
    instructions: Option<String>,
    response_format: Option<String>,
    stream_format: Option<String>,
    #[serde(rename = "voice")]
    _voice: serde::de::IgnoredAny,
}

impl Speech {
    pub(super) fn stream(&self) -> bool {
        self.stream_format.as_deref() == Some("sse")
    }

    pub(super) fn made(&self, script: &Script) -> Result<Made, Refusal> {
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
        let characters = u64::try_from(characters).unwrap_or(u64::MAX);
        match (self.stream(), self.by_character()) {
            (true, true) => Err(invalid("Invalid 'stream_format': tts-1 has no 'sse'.")),
            (true, false) => Ok(Made::Stream(self.streamed(&body, characters, script))),
            (false, by_character) => Ok(Made::Whole(Done {
                kind: HeaderValue::from_static(kind),
                body,
                billed: if by_character {
                    Billed {
                        characters,
                        ..Billed::default()
                    }
                } else {
                    self.billed(characters, script)
                },
            })),
        }
    }

    /// `tts-1` and `tts-1-hd` are billed by the character, their successors by tokens.
    fn by_character(&self) -> bool {
        self.model.starts_with("tts-1")
    }

    /// A character takes about as long as a token of sound, 50 ms.
    fn billed(&self, characters: u64, script: &Script) -> Billed {
        let read = tokens(&self.input) + self.instructions.as_deref().map_or(0, tokens);
        Billed {
            audio_output: script.usage_output.unwrap_or(characters),
            ..input(read, script)
        }
    }

    fn streamed(&self, sound: &Bytes, characters: u64, script: &Script) -> Stream {
        let pieces = script.events.unwrap_or(PIECES).clamp(1, characters);
        let length = sound
            .len()
            .div_ceil(usize::try_from(pieces).unwrap_or(usize::MAX))
            .max(1);
        let mut events: Vec<_> = (1..)
            .zip(sound.chunks(length))
            .map(|(piece, sound)| {
                let billed = self.billed(characters * piece / pieces, script);
                Event::new("speech.audio.delta", json!({"audio": base64::encode(sound)}), billed)
            })
            .collect();
        let billed = self.billed(characters, script);
        let (read, spoken) = (billed.input_total(), billed.audio_output);
        let done = if script.omit_usage {
            json!({})
        } else {
            json!({"usage": {"input_tokens": read, "output_tokens": spoken, "total_tokens": read + spoken}})
        };
        events.push(Event::new("speech.audio.done", done, billed));
        Stream {
            begun: self.billed(0, script),
            events,
        }
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

/// What is wanted of sound.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// Its words.
    Transcribe,
    /// Its words in English.
    Translate,
}

/// Sound to write down.
pub(crate) struct Transcription {
    pub(super) model: String,
    task: Task,
    format: String,
    stream: bool,
    /// Whole seconds, at least one.
    seconds: u64,
}

impl Transcription {
    pub(super) fn parse(content_type: &str, body: &[u8], task: Task) -> Result<Self, Refusal> {
        let form = Form::parse(content_type, body).ok_or_else(|| invalid("Could not parse multipart form"))?;
        let bytes = form.bytes("file").ok_or_else(|| invalid("you must provide a file"))?;
        let model = form
            .text("model")
            .ok_or_else(|| invalid("you must provide a model parameter"))?;
        // Whisper does not stream; it ignores that it was asked to. Nobody streams translations.
        let may_stream = task == Task::Transcribe && !model.starts_with("whisper");
        Ok(Self {
            model: model.to_owned(),
            task,
            format: form.text("response_format").unwrap_or("json").to_owned(),
            stream: may_stream && form.text("stream").is_some_and(|stream| stream == "true"),
            seconds: u64::try_from(bytes.len())
                .unwrap_or(u64::MAX)
                .div_ceil(BYTES_A_SECOND)
                .max(1),
        })
    }

    pub(super) fn stream(&self) -> bool {
        self.stream
    }

    pub(super) fn made(&self, script: &Script, moment: &Moment) -> Made {
        // Nobody says more than three words a second.
        let words = script.output.unwrap_or(moment.output_tokens.min(self.seconds * 3));
        if self.stream {
            Made::Stream(self.streamed(words, script))
        } else {
            Made::Whole(self.done(words, script))
        }
    }

    /// Whisper is billed by the length of the sound, its successors by tokens.
    fn billed(&self, words: u64, script: &Script) -> Billed {
        if self.model.starts_with("whisper") {
            return Billed {
                audio_ms: self.seconds * 1_000,
                ..Billed::default()
            };
        }
        let heard = input(self.seconds * TOKENS_A_SECOND, script);
        Billed {
            audio_input: heard.input_total(),
            output: script.usage_output.unwrap_or(words),
            ..Billed::default()
        }
    }

    fn done(&self, words: u64, script: &Script) -> Done {
        let text = spoken(0, words);
        let billed = self.billed(words, script);
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
                let task = match self.task {
                    Task::Transcribe => "transcribe",
                    Task::Translate => "translate",
                };
                body.insert("task".to_owned(), task.into());
                body.insert("language".to_owned(), "english".into());
                body.insert("duration".to_owned(), self.seconds.into());
                body.insert("segments".to_owned(), json!([]));
            }
            _ => {}
        }
        // By the reference, translations tell no usage.
        if !script.omit_usage
            && self.task == Task::Transcribe
            && let Value::Object(body) = &mut body
        {
            body.insert("usage".to_owned(), self.usage(&billed));
        }
        Done::json(&body, billed)
    }

    /// A delta for each word, and the whole text.
    fn streamed(&self, words: u64, script: &Script) -> Stream {
        let mut events: Vec<_> = (0..words)
            .map(|word| {
                let delta = json!({"delta": spoken(word, word + 1)});
                Event::new("transcript.text.delta", delta, self.billed(word + 1, script))
            })
            .collect();
        let billed = self.billed(words, script);
        let mut done = json!({"text": spoken(0, words)});
        if !script.omit_usage
            && let Value::Object(done) = &mut done
        {
            done.insert("usage".to_owned(), self.usage(&billed));
        }
        events.push(Event::new("transcript.text.done", done, billed));
        Stream {
            begun: self.billed(0, script),
            events,
        }
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

/// The words from one to another, of a speech that is always the same.
fn spoken(from: u64, to: u64) -> String {
    let mut out = Out::default();
    prose::write(prose::length(from), prose::length(to), &mut out);
    String::from_utf8_lossy(&out.take()).into_owned()
}
