//! What a request asks for: read in one pass over the body, without building a tree of it.

use model::{Feature, FeatureUse, ServiceTier, Work};

use crate::form::FormError;
use crate::json::{JsonError, Kind, Reader};
use crate::{Endpoint, Target};

mod content;
mod fields;
mod findings;
mod items;
mod multipart;
mod options;
mod rewrite;
mod tools;

use fields::Field;
use findings::{Fields, Findings, Place, flag, label, short_word, whole, word};
use rewrite::Splices;
use tools::Style;

pub use findings::MAX_NAME_BYTES;
pub use rewrite::Edit;

/// What a request asks for, as far as governance has to know. Everything else in it is neither kept nor judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The endpoint whose rules the body was read by.
    pub endpoint: Endpoint,
    /// The model asked for: 1 to [`MAX_NAME_BYTES`] bytes, no control characters. Empty where the request names none:
    /// for lists of models, and for a moderation that leaves it to the provider.
    pub model: String,
    /// What kind of work it is, with what bounds its price where tokens do not. Of pictures, the ones sent before they
    /// are whole (`partial_images`) count too.
    pub work: Work,
    /// Whether the reply is to be an event stream.
    pub stream: bool,
    /// The most output tokens the client allows for each choice; the larger where OpenAI's two fields name two.
    pub output_limit: Option<u64>,
    /// How many replies are generated, each within the output limit; at least 1. For a text completion, the larger of `n`
    /// and `best_of`, for each prompt. Pictures are counted in `work`.
    pub choices: u64,
    /// The names of the tools the client runs itself, in the order of the request, duplicates included.
    pub tools: Vec<String>,
    /// What the request's bytes do not bound, at most one item a feature.
    pub features: Vec<FeatureUse>,
    /// The processing tier. One that we do not know is a [`Feature::UnpricedOption`] and shows here as standard.
    pub tier: ServiceTier,
    /// Whether the client asked for the extra usage chunk of an OpenAI stream.
    pub usage_asked: bool,
    /// Whether a cache breakpoint asks for the one-hour lifetime, which is dearer to write than the default.
    pub hour_cache: bool,
    /// How many messages the conversation has; or items, prompts, texts to embed.
    pub messages: usize,
    /// Bytes of the body that are audio or pictures sent in a form: not text, so no measure of input tokens.
    pub file_bytes: u64,
    /// Pictures asked for, without partial ones.
    pub(crate) pictures: u64,
    /// The reply repeats the prompt.
    pub(crate) echo: bool,
    /// More replies are generated than are sent.
    chooses: bool,
    splices: Splices,
}

/// Why a body is not a request that can be governed. The texts are fit for the caller: they name fields and byte
/// offsets and never quote the body's values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The body is not acceptable JSON.
    #[error("the request body is {0}")]
    Json(#[from] JsonError),
    /// The body is not an acceptable form.
    #[error("the request body is {0}")]
    Form(#[from] FormError),
    /// The content type is not one that this endpoint is governed with.
    #[error("the content type must be {0}")]
    ContentType(&'static str),
    /// The endpoint takes no body.
    #[error("this endpoint takes no request body")]
    Body,
    /// A field has the wrong type or an impossible value.
    #[error("{field} must be {wanted}")]
    Field {
        /// The field, such as `messages[3].content`.
        field: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// A field without which the request cannot be judged is not there.
    #[error("{0} is missing")]
    Missing(String),
    /// A field stands twice in one object: which of the two the provider believes cannot be known.
    #[error("{0} is given twice")]
    Duplicate(String),
    /// A field differs from a known one only in upper and lower case. Some servers take it for the known one.
    #[error("{found} is not a known field; did you mean {known}?")]
    Case {
        /// The field as written.
        found: String,
        /// The field it looks like.
        known: &'static str,
    },
}

impl Call {
    /// Reads a request: a call by its path alone, or with a JSON body, or with a form, as its endpoint has it.
    ///
    /// `content_type` is the request's header. A body in JSON may come without one; a form's boundary stands in it.
    /// Refused is what [`parse`](Self::parse) and [`parse_multipart`](Self::parse_multipart) refuse, another content
    /// type, and a body where none belongs.
    ///
    /// A model that the path names is the model, whatever the body says, and the body need not say any: so it is at
    /// Azure, where the deployment in the path answers. [`rewrite`](Self::rewrite) makes the body say the same.
    pub fn read(target: Target<'_>, content_type: Option<&str>, body: &[u8]) -> Result<Self, ParseError> {
        let endpoint = target.endpoint;
        let content_type = content_type.unwrap_or_default();
        if !endpoint.has_body() {
            if !body.is_empty() {
                return Err(ParseError::Body);
            }
            return Draft::new(target, Splices::new(0)).finish(|_| true);
        }
        let is_form = essence(content_type).eq_ignore_ascii_case("multipart/form-data");
        match (endpoint.takes_json(), endpoint.takes_form()) {
            (_, true) if is_form => multipart::parse(target, content_type, body),
            (true, _) if may_be_json(content_type) => Self::parse_json(target, body),
            (true, true) => Err(ParseError::ContentType("application/json or multipart/form-data")),
            (true, false) => Err(ParseError::ContentType("application/json")),
            (false, _) => Err(ParseError::ContentType("multipart/form-data")),
        }
    }

    /// Reads a request body in JSON.
    ///
    /// Refused are: what is not UTF-8, not JSON, not an object or nested deeper than [`MAX_DEPTH`](crate::MAX_DEPTH);
    /// a top-level key given twice; a known field of the wrong type; a request without a field that the endpoint cannot
    /// be judged without (`model`, `messages`, for Anthropic `max_tokens`). Unknown fields never fail.
    pub fn parse(endpoint: Endpoint, body: &[u8]) -> Result<Self, ParseError> {
        Self::parse_json(Target { endpoint, id: None }, body)
    }

    fn parse_json(target: Target<'_>, body: &[u8]) -> Result<Self, ParseError> {
        let endpoint = target.endpoint;
        if !endpoint.takes_json() {
            return Err(match endpoint.has_body() {
                true => ParseError::ContentType("multipart/form-data"),
                false => ParseError::Body,
            });
        }
        let mut reader = Reader::new(body)?;
        if reader.peek()? != Kind::Object {
            return Err(Place::Body.must_be("a JSON object"));
        }
        reader.begin_object()?;
        let mut draft = Draft::new(target, Splices::new(reader.at()));
        let mut fields = Fields::new(fields::top_level(endpoint)).refusing_every_duplicate();
        let mut empty = true;
        while let Some(key) = reader.key()? {
            empty = false;
            match fields.admit(key, &Place::Body)? {
                Some((name, field)) => draft.read(&mut reader, name, field)?,
                None => reader.skip()?,
            }
        }
        reader.end()?;
        if empty {
            // What has to be said is put before what is said.
            draft.named = None;
        }
        draft.finish(|name| fields.has(name))
    }

    /// Reads a request body that is a form. `content_type` is the request's header, with the boundary.
    ///
    /// Only the heads of parts and a few short fields are read; files are measured. Refused are: what is not strictly
    /// `multipart/form-data` as browsers and HTTP libraries write it; a known field twice, as a file, not in UTF-8 or of
    /// the wrong kind; a request without `model` or its file. Unknown fields with plain names never fail.
    pub fn parse_multipart(endpoint: Endpoint, content_type: &str, body: &[u8]) -> Result<Self, ParseError> {
        multipart::parse(Target { endpoint, id: None }, content_type, body)
    }

    /// Whether the call asks for JSON and may as well be made as a stream, whose events tell all of that JSON: generated
    /// text without sound (which streams in another format), and without candidates that are thrown away (`best_of`,
    /// which OpenAI does not stream).
    pub fn can_be_streamed(&self) -> bool {
        let has_sound = self.features.iter().any(|found| found.feature == Feature::AudioOutput);
        !self.stream && self.endpoint.has_output_limit() && !has_sound && !self.chooses
    }

    /// Whether the reply's text proves output: all of it was generated, or spoken by somebody. Not so where it repeats the
    /// prompt (`echo`).
    pub fn text_proves_output(&self) -> bool {
        !self.echo
    }

    /// What the call used if its reply is nothing but audio, which tells no figures: the characters that were to be
    /// spoken. `None` for any other work.
    pub fn spoken(&self) -> Option<model::Usage> {
        match self.work {
            Work::Speech { characters } => Some(model::Usage {
                characters,
                ..model::Usage::default()
            }),
            _ => None,
        }
    }
}

/// Whether a body with this content type is read as JSON. It may come without one.
pub(crate) fn may_be_json(content_type: &str) -> bool {
    let essence = essence(content_type);
    essence.is_empty() || essence.eq_ignore_ascii_case("application/json")
}

/// A content type without its parameters.
fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// A call of which not all fields have been read yet.
struct Draft<'a> {
    call: Call,
    /// The model that the path names.
    named: Option<&'a str>,
    findings: Findings,
    prompts: u64,
    best_of: u64,
    partial_pictures: u64,
    size: Option<String>,
    quality: Option<String>,
    characters: u64,
}

impl<'a> Draft<'a> {
    fn new(target: Target<'a>, splices: Splices) -> Self {
        Self {
            named: target.id,
            call: Call {
                endpoint: target.endpoint,
                model: String::new(),
                work: Work::Generate,
                stream: false,
                output_limit: None,
                choices: 1,
                tools: Vec::new(),
                features: Vec::new(),
                tier: ServiceTier::Standard,
                usage_asked: false,
                hour_cache: false,
                messages: 0,
                file_bytes: 0,
                pictures: 1,
                echo: false,
                chooses: false,
                splices,
            },
            findings: Findings::default(),
            prompts: 1,
            best_of: 1,
            partial_pictures: 0,
            size: None,
            quality: None,
            characters: 0,
        }
    }

    fn read(&mut self, reader: &mut Reader<'_>, name: &'static str, field: Field) -> Result<(), ParseError> {
        let place = Place::Body.member(name);
        match field {
            Field::Model => {
                reader.peek()?;
                let start = reader.at();
                self.call.model = label(reader, &place)?;
                self.call.splices.model_at(start..reader.at());
            }
            Field::Stream => {
                reader.peek()?;
                let start = reader.at();
                self.call.stream = flag(reader, &place)?.unwrap_or(false);
                if self.call.stream && !self.call.endpoint.may_stream() {
                    return Err(place.must_be("false: this endpoint does not stream"));
                }
                if !self.call.stream {
                    self.call.splices.no_stream(start..reader.at());
                }
            }
            Field::StreamFormat => self.call.stream = word(reader, &place)?.is_some_and(|format| format == "sse"),
            Field::StreamOptions => self.call.splices.read_stream_options(reader, &place)?,
            Field::Limit(spelling) => {
                reader.peek()?;
                let start = reader.at();
                match whole(reader, &place)? {
                    Some(limit) => self.call.output_limit = self.call.output_limit.max(Some(limit)),
                    None => self.call.splices.null_limit(spelling, start..reader.at()),
                }
            }
            Field::Choices => self.call.choices = at_least_one(reader, &place)?,
            Field::BestOf => self.best_of = at_least_one(reader, &place)?,
            Field::Echo => self.call.echo = flag(reader, &place)?.unwrap_or(false),
            Field::PartialPictures => self.partial_pictures = whole(reader, &place)?.unwrap_or(0),
            Field::Size => self.size = short_word(reader, &place)?,
            Field::Quality => self.quality = short_word(reader, &place)?,
            Field::Tools => self.tools(reader, &place)?,
            Field::Functions => {
                let names = tools::functions(reader, &place)?;
                self.found_tools(&place, names);
            }
            Field::Tier => self.call.tier = options::tier(reader, &place, self.call.endpoint, &mut self.findings)?,
            _ => return self.read_input(reader, &place, field),
        }
        Ok(())
    }

    /// The fields that are input, or add some.
    fn read_input(&mut self, reader: &mut Reader<'_>, place: &Place<'_>, field: Field) -> Result<(), ParseError> {
        let findings = &mut self.findings;
        match field {
            Field::Messages => self.call.messages = content::messages(reader, place, findings)?,
            Field::Items => {
                let mut names = Vec::new();
                self.call.messages = items::items(reader, place, findings, &mut names)?;
                self.found_tools(place, names);
            }
            Field::Prompts => {
                self.call.messages = items::prompts(reader, place)?;
                self.prompts = u64::try_from(self.call.messages).unwrap_or(u64::MAX);
            }
            Field::Inputs => self.call.messages = items::inputs(reader, place, findings)?,
            Field::Spoken => {
                if reader.peek()? != Kind::String {
                    return Err(place.must_be("a string"));
                }
                self.characters = reader.string()?.characters();
            }
            Field::Pictures => {
                let count = findings::each_item(reader, place, |reader, _| reader.skip().map_err(Into::into))?;
                let count = u64::try_from(count).unwrap_or(u64::MAX);
                findings.note_many(Feature::Image, count, || place.to_string());
            }
            Field::Picture => {
                if reader.peek()? != Kind::Null {
                    findings.note(Feature::Image, || place.to_string());
                }
                reader.skip()?;
            }
            Field::PictureFormat => options::picture_format(reader, place, findings)?,
            Field::System => content::content(reader, place, findings)?,
            Field::Modalities => options::modalities(reader, place, findings)?,
            Field::ContextManagement => options::context_management(reader, place, findings)?,
            Field::Cache => content::cache_lifetime(reader, place, findings)?,
            Field::Dear { feature, free } => options::dear_option(reader, place, feature, free, findings)?,
            // The caller has read the others.
            _ => reader.skip()?,
        }
        Ok(())
    }

    fn tools(&mut self, reader: &mut Reader<'_>, place: &Place<'_>) -> Result<(), ParseError> {
        let style = Style::of(self.call.endpoint);
        let names = tools::tools(reader, place, style, &mut self.findings)?;
        self.found_tools(place, names);
        Ok(())
    }

    fn found_tools(&mut self, place: &Place<'_>, names: Vec<String>) {
        let count = u64::try_from(names.len()).unwrap_or(u64::MAX);
        self.findings.note_many(Feature::Tools, count, || place.to_string());
        self.call.tools.extend(names);
    }

    /// `has` says whether a field was there.
    fn finish(mut self, has: impl Fn(&str) -> bool) -> Result<Call, ParseError> {
        let endpoint = self.call.endpoint;
        let named = self.named;
        let missing = |name: &&&str| match **name {
            "model" => named.is_none() && !has("model"),
            "max_tokens" => self.call.output_limit.is_none() || !has("max_tokens"),
            name => !has(name),
        };
        if let Some(name) = fields::required(endpoint).iter().find(missing) {
            return Err(ParseError::Missing((*name).to_owned()));
        }
        if let Some(named) = named
            && self.call.model != named
        {
            named.clone_into(&mut self.call.model);
            if !self.call.splices.overrule_model() {
                return Err(Place::Body.member("model").must_be("in a part without Content-Length"));
            }
        }
        self.call.work = self.work();
        self.call.chooses = self.best_of > self.call.choices;
        self.call.choices = match endpoint {
            Endpoint::Completions => self.call.choices.max(self.best_of).saturating_mul(self.prompts),
            _ if matches!(self.call.work, Work::Images { .. }) => 1,
            _ => self.call.choices,
        };
        self.call.usage_asked = self.call.splices.usage_asked();
        self.call.features = self.findings.features;
        self.call.hour_cache = self.findings.hour_cache;
        Ok(self.call)
    }

    fn work(&mut self) -> Work {
        match self.call.endpoint {
            endpoint if endpoint.is_free() => Work::Free,
            Endpoint::Embeddings => Work::Embed,
            Endpoint::ImageGenerations | Endpoint::ImageEdits | Endpoint::ImageVariations => {
                self.call.pictures = self.call.choices;
                Work::Images {
                    count: self
                        .call
                        .choices
                        .saturating_mul(self.partial_pictures.saturating_add(1)),
                    size: self.size.take(),
                    quality: self.quality.take(),
                }
            }
            Endpoint::Speech => Work::Speech {
                characters: self.characters,
            },
            Endpoint::Transcriptions | Endpoint::Translations => Work::Transcribe {
                file_bytes: self.call.file_bytes,
            },
            _ => Work::Generate,
        }
    }
}

/// A number that means 1 where it is null.
fn at_least_one(reader: &mut Reader<'_>, place: &Place<'_>) -> Result<u64, ParseError> {
    match whole(reader, place)? {
        Some(0) => Err(place.must_be("at least 1")),
        number => Ok(number.unwrap_or(1)),
    }
}

#[cfg(test)]
mod tests;
