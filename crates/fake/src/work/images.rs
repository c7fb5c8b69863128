//! `POST /v1/images/generations`, `/edits` and `/variations`: a tiny picture, billed like one of the size and quality
//! asked for. <https://platform.openai.com/docs/api-reference/images>,
//! <https://platform.openai.com/docs/api-reference/images-streaming>

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Done, Event, Made, Stream, base64, form::Form, input, invalid, tokens};
use crate::{calls::Billed, completion::Moment, refusal::Refusal, script::Script};

/// A transparent pixel.
const PNG: [u8; 68] = [
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00,
    0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x04, 0x00, 0x00, 0x00, 0xb5, 0x1c, 0x0c, 0x02, 0x00, 0x00, 0x00, 0x0b, 0x49,
    0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0x60, 0x60, 0x00, 0x00, 0x00, 0x03, 0x00, 0x01, 0x2b, 0x09, 0x4d, 0x84, 0x00,
    0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];

/// The most pictures of one call.
const PICTURES_MAX: u64 = 10;

/// What a partial picture costs besides the whole one that follows.
/// <https://platform.openai.com/docs/guides/image-generation#streaming>
const PARTIAL_TOKENS: u64 = 100;
/// The most partial pictures of a stream.
const PARTIALS_MAX: u64 = 3;
/// The input tokens of a picture that is edited: those of a square one, 65 and one tile of 129.
/// <https://platform.openai.com/docs/guides/images-vision#gpt-image-1>
const EDITED_TOKENS: u64 = 194;

/// Pictures to make.
#[derive(Default, Deserialize)]
pub(crate) struct Job {
    pub(super) model: String,
    prompt: String,
    n: Option<u64>,
    size: Option<String>,
    quality: Option<String>,
    stream: Option<bool>,
    partial_images: Option<u64>,
    /// How many pictures are edited; zero for one that is made of nothing but words.
    #[serde(skip)]
    edited: u64,
}

impl Job {
    /// A form that asks to edit pictures.
    pub(super) fn edit(content_type: &str, body: &[u8]) -> Result<Self, Refusal> {
        let form = Form::parse(content_type, body).ok_or_else(|| invalid("Could not parse multipart form"))?;
        let job = Self::of_form(&form)?;
        if job.prompt.is_empty() {
            return Err(invalid("Missing required parameter: 'prompt'."));
        }
        Ok(job)
    }

    /// A form that asks for pictures like another one, which only models can do that are billed by the picture.
    pub(super) fn variation(content_type: &str, body: &[u8]) -> Result<Self, Refusal> {
        let form = Form::parse(content_type, body).ok_or_else(|| invalid("Could not parse multipart form"))?;
        let job = Self::of_form(&form)?;
        if job.by_tokens() || job.edited > 1 || job.stream() {
            return Err(invalid(
                "Variations are made by dall-e-2, of one picture, and not as a stream.",
            ));
        }
        Ok(job)
    }

    fn of_form(form: &Form<'_>) -> Result<Self, Refusal> {
        let text = |name: &str| form.text(name).map(str::to_owned);
        let edited = form.count("image");
        if edited == 0 {
            return Err(invalid("Missing required parameter: 'image'."));
        }
        Ok(Self {
            model: text("model").ok_or_else(|| invalid("you must provide a model parameter"))?,
            prompt: text("prompt").unwrap_or_default(),
            n: form.number("n")?,
            size: text("size"),
            quality: text("quality"),
            stream: form.text("stream").map(|stream| stream == "true"),
            partial_images: form.number("partial_images")?,
            edited,
        })
    }

    pub(super) fn stream(&self) -> bool {
        self.stream == Some(true)
    }

    /// Models before `gpt-image` are billed by the picture and report no usage.
    fn by_tokens(&self) -> bool {
        !self.model.starts_with("dall-e")
    }

    pub(super) fn made(&self, script: &Script, moment: &Moment) -> Result<Made, Refusal> {
        let count = self.n.unwrap_or(1);
        if !(1..=PICTURES_MAX).contains(&count) {
            return Err(invalid(format!(
                "Invalid 'n': expected a value from 1 to {PICTURES_MAX}."
            )));
        }
        if self.stream() {
            return self.streamed(script, moment).map(Made::Stream);
        }
        Ok(Made::Whole(self.done(count, script, moment)))
    }

    fn done(&self, count: u64, script: &Script, moment: &Moment) -> Done {
        let picture = base64::encode(&PNG);
        let item = if self.by_tokens() {
            json!({"b64_json": picture})
        } else {
            json!({"b64_json": picture, "revised_prompt": self.prompt})
        };
        let data: Vec<_> = (0..count).map(|_| item.clone()).collect();
        let mut body = json!({"created": moment.created, "data": data});
        let billed = Billed {
            images: count,
            ..if self.by_tokens() {
                self.billed(script, count * self.tokens_each())
            } else {
                Billed::default()
            }
        };
        if self.by_tokens()
            && let Value::Object(body) = &mut body
        {
            self.describe(body);
            if !script.omit_usage {
                body.insert("usage".to_owned(), usage(&billed));
            }
        }
        Done::json(&body, billed)
    }

    /// Partial pictures, and the whole one.
    fn streamed(&self, script: &Script, moment: &Moment) -> Result<Stream, Refusal> {
        let partial = self.partial_images.unwrap_or(0);
        if partial > PARTIALS_MAX || self.n.unwrap_or(1) > 1 || !self.by_tokens() {
            return Err(invalid(format!(
                "Streams have one picture of a GPT image model, and at most {PARTIALS_MAX} partial ones."
            )));
        }
        let kind = if self.edited > 0 {
            "image_edit"
        } else {
            "image_generation"
        };
        let picture = || {
            let mut fields = Map::new();
            fields.insert("b64_json".to_owned(), base64::encode(&PNG).into());
            fields.insert("created_at".to_owned(), moment.created.into());
            self.describe(&mut fields);
            fields
        };
        let mut events = Vec::new();
        for index in 0..partial {
            let mut fields = picture();
            fields.insert("partial_image_index".to_owned(), index.into());
            let billed = self.billed(script, PARTIAL_TOKENS * (index + 1));
            events.push(Event::new(&format!("{kind}.partial_image"), fields.into(), billed));
        }
        let billed = Billed {
            images: 1,
            ..self.billed(script, PARTIAL_TOKENS * partial + self.tokens_each())
        };
        let mut fields = picture();
        if !script.omit_usage {
            fields.insert("usage".to_owned(), usage(&billed));
        }
        events.push(Event::new(&format!("{kind}.completed"), fields.into(), billed));
        Ok(Stream {
            begun: self.billed(script, 0),
            events,
        })
    }

    fn billed(&self, script: &Script, output: u64) -> Billed {
        Billed {
            image_output: script.usage_output.unwrap_or(output),
            image_input: self.edited * EDITED_TOKENS,
            ..input(tokens(&self.prompt), script)
        }
    }

    /// What the answer repeats of the request.
    fn describe(&self, fields: &mut Map<String, Value>) {
        let named = |value: &Option<String>, usual: &str| value.as_deref().unwrap_or(usual).to_owned();
        fields.insert("background".to_owned(), "opaque".into());
        fields.insert("output_format".to_owned(), "png".into());
        fields.insert("quality".to_owned(), named(&self.quality, "medium").into());
        fields.insert("size".to_owned(), named(&self.size, "1024x1024").into());
    }

    /// The tokens of one picture, by the table of OpenAI's guide for `gpt-image-1`.
    /// <https://platform.openai.com/docs/guides/image-generation#calculating-costs>
    fn tokens_each(&self) -> u64 {
        let square = matches!(self.size.as_deref(), None | Some("auto" | "1024x1024"));
        match (self.quality.as_deref(), square) {
            (Some("low"), true) => 272,
            (Some("low"), false) => 408,
            (Some("high"), true) => 4_160,
            (Some("high"), false) => 6_240,
            (_, true) => 1_056,
            (_, false) => 1_584,
        }
    }
}

fn usage(billed: &Billed) -> Value {
    let input = billed.input_total();
    json!({
        "input_tokens": input,
        "input_tokens_details": {
            "image_tokens": billed.image_input, "text_tokens": input - billed.image_input,
            "cached_tokens": billed.cache_read,
        },
        "output_tokens": billed.image_output,
        "output_tokens_details": {"image_tokens": billed.image_output, "text_tokens": 0},
        "total_tokens": input.saturating_add(billed.image_output),
    })
}
