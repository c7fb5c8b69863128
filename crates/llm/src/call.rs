//! What a request asks for: read in one pass over the body, without building a tree of it.

use model::{Feature, FeatureUse, ServiceTier};

use crate::json::{JsonError, Kind, Reader};
use crate::{Dialect, Endpoint};

mod content;
mod findings;
mod options;
mod rewrite;
mod tools;

use findings::{Fields, Findings, Place, flag, label, whole};
use options::Field;
use rewrite::Splices;

pub use findings::MAX_NAME_BYTES;
pub use rewrite::Edit;

/// What a request asks for, as far as governance has to know. Everything else in it is neither kept nor judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The endpoint whose rules the body was read by.
    pub endpoint: Endpoint,
    /// The model asked for: 1 to [`MAX_NAME_BYTES`] bytes, no control characters.
    pub model: String,
    /// Whether the reply is to be an event stream.
    pub stream: bool,
    /// The most output tokens the client allows for each choice; the larger where OpenAI's two fields name two.
    pub output_limit: Option<u64>,
    /// How many replies to the same input (`n`); at least 1.
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
    /// How many messages the conversation has.
    pub messages: usize,
    splices: Splices,
}

/// Why a body is not a request that can be governed. The texts are fit for the caller: they name fields and byte
/// offsets and never quote the body's values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The body is not acceptable JSON.
    #[error("the request body is {0}")]
    Json(#[from] JsonError),
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
    /// Reads a request body.
    ///
    /// Refused are: what is not UTF-8, not JSON, not an object or nested deeper than [`MAX_DEPTH`](crate::MAX_DEPTH);
    /// a top-level key given twice; a known field of the wrong type; a request without `model`, `messages` or, for
    /// Anthropic, `max_tokens`. Unknown fields never fail.
    pub fn parse(endpoint: Endpoint, body: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(body)?;
        if reader.peek()? != Kind::Object {
            return Err(Place::Body.must_be("a JSON object"));
        }
        reader.begin_object()?;
        let mut draft = Draft::new(endpoint, reader.at());
        let mut fields = Fields::new(options::top_level(endpoint)).refusing_every_duplicate();
        while let Some(key) = reader.key()? {
            match fields.admit(key, &Place::Body)? {
                Some((name, field)) => draft.read(&mut reader, name, field)?,
                None => reader.skip()?,
            }
        }
        reader.end()?;
        draft.finish()
    }
}

/// A call of which not all fields have been read yet.
struct Draft {
    call: Call,
    findings: Findings,
    model_read: bool,
    messages_read: bool,
}

impl Draft {
    fn new(endpoint: Endpoint, behind_brace: usize) -> Self {
        Self {
            call: Call {
                endpoint,
                model: String::new(),
                stream: false,
                output_limit: None,
                choices: 1,
                tools: Vec::new(),
                features: Vec::new(),
                tier: ServiceTier::Standard,
                usage_asked: false,
                hour_cache: false,
                messages: 0,
                splices: Splices::new(behind_brace),
            },
            findings: Findings::default(),
            model_read: false,
            messages_read: false,
        }
    }

    fn read(&mut self, reader: &mut Reader<'_>, name: &'static str, field: Field) -> Result<(), ParseError> {
        let place = Place::Body.member(name);
        match field {
            Field::Model => {
                self.call.model = label(reader, &place)?;
                self.model_read = true;
            }
            Field::Messages => {
                self.call.messages = content::messages(reader, &place, &mut self.findings)?;
                self.messages_read = true;
            }
            Field::System => content::content(reader, &place, &mut self.findings)?,
            Field::Stream => self.call.stream = flag(reader, &place)?.unwrap_or(false),
            Field::Limit(spelling) => {
                reader.peek()?;
                let start = reader.at();
                match whole(reader, &place)? {
                    Some(limit) => self.call.output_limit = self.call.output_limit.max(Some(limit)),
                    None => self.call.splices.null_limit(spelling, start..reader.at()),
                }
            }
            Field::Choices => match whole(reader, &place)? {
                Some(0) => return Err(place.must_be("at least 1")),
                choices => self.call.choices = choices.unwrap_or(1),
            },
            Field::StreamOptions => self.call.splices.read_stream_options(reader, &place)?,
            Field::Tools => self.tools(reader, &place)?,
            Field::Functions => {
                let names = tools::functions(reader, &place)?;
                self.found_tools(&place, names);
            }
            Field::Tier => self.call.tier = options::tier(reader, &place, self.call.endpoint, &mut self.findings)?,
            Field::Modalities => options::modalities(reader, &place, &mut self.findings)?,
            Field::ContextManagement => options::context_management(reader, &place, &mut self.findings)?,
            Field::Cache => content::cache_lifetime(reader, &place, &mut self.findings)?,
            Field::Dear { feature, free } => options::dear_option(reader, &place, feature, free, &mut self.findings)?,
        }
        Ok(())
    }

    fn tools(&mut self, reader: &mut Reader<'_>, place: &Place<'_>) -> Result<(), ParseError> {
        let dialect = self.call.endpoint.dialect();
        let names = tools::tools(reader, place, dialect, &mut self.findings)?;
        self.found_tools(place, names);
        Ok(())
    }

    fn found_tools(&mut self, place: &Place<'_>, names: Vec<String>) {
        let count = u64::try_from(names.len()).unwrap_or(u64::MAX);
        self.findings.note_many(Feature::Tools, count, || place.to_string());
        self.call.tools.extend(names);
    }

    fn finish(mut self) -> Result<Call, ParseError> {
        let limit_due = self.call.endpoint.dialect() == Dialect::Anthropic && self.call.output_limit.is_none();
        let missing = [
            ("model", !self.model_read),
            ("messages", !self.messages_read),
            ("max_tokens", limit_due),
        ];
        if let Some((name, _)) = missing.into_iter().find(|(_, missing)| *missing) {
            return Err(ParseError::Missing(name.to_owned()));
        }
        self.call.usage_asked = self.call.splices.usage_asked();
        self.call.features = self.findings.features;
        self.call.hour_cache = self.findings.hour_cache;
        Ok(self.call)
    }
}

#[cfg(test)]
mod tests;
