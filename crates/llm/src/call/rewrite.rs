//! The few bytes the gateway must add to a request, put in by position: every other byte leaves as it came.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::fields::LimitField;
use super::findings::{Fields, Place, enter_object, flag};
use super::{Call, ParseError};
use crate::Endpoint;
use crate::json::{Kind, Reader};

/// What to add to a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edit<'a> {
    /// The name to send in place of the model's, where the provider has another for it: 1 to
    /// [`MAX_NAME_BYTES`](crate::MAX_NAME_BYTES) bytes without control characters. If `None`, the call's model, which is
    /// written only where the body says another or none because the path had named it.
    pub model: Option<&'a str>,
    /// The output limit to write if the client sent none and the endpoint has one; one that the client sent is never
    /// touched.
    pub output_limit: Option<u64>,
    /// Whether an OpenAI-compatible upstream knows only the older `max_tokens` of chat completions.
    pub legacy_output_limit: bool,
    /// Ask for the usage chunk of an OpenAI stream if the client has not.
    pub include_usage: bool,
    /// Ask for a stream although the client has not. Only of calls that [`Call::can_be_streamed`] says so of.
    pub stream: bool,
}

/// Where in the body an edit would go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Splices {
    /// Behind the opening brace. Something always follows: a body that says nothing is refused.
    start: usize,
    /// Output limits that are null, with where.
    null_limits: Vec<(LimitField, Range<usize>)>,
    usage: UsageSplice,
    /// Where it says that no stream is wanted: false or null.
    no_stream: Option<Range<usize>>,
    model: ModelSplice,
    /// The boundary, if the body is a form.
    boundary: Option<String>,
}

/// Where the model stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ModelSplice {
    /// Nowhere.
    Absent,
    /// Here: in JSON with its quotes, in a form the bare text.
    At(Range<usize>),
    /// Here, and the path named another.
    Overruled(Range<usize>),
    /// In a form's part whose head says how long it is: no other name fits.
    Fixed,
}

/// How to make `stream_options.include_usage` true.
#[derive(Clone, Debug, PartialEq, Eq)]
enum UsageSplice {
    /// There are no stream options.
    Absent,
    /// The stream options are null, here.
    NullOptions(Range<usize>),
    /// The stream options do not say; they begin here and have other members or none.
    Unsaid { start: usize, empty: bool },
    /// It says false or null, here.
    No(Range<usize>),
    /// It is true already.
    Yes,
}

impl Splices {
    pub(super) fn new(start: usize) -> Self {
        Self {
            start,
            null_limits: Vec::new(),
            usage: UsageSplice::Absent,
            no_stream: None,
            model: ModelSplice::Absent,
            boundary: None,
        }
    }

    pub(super) fn of_form(boundary: &str) -> Self {
        Self {
            boundary: Some(boundary.to_owned()),
            ..Self::new(0)
        }
    }

    pub(super) fn no_stream(&mut self, at: Range<usize>) {
        self.no_stream = Some(at);
    }

    pub(super) fn model_at(&mut self, at: Range<usize>) {
        self.model = ModelSplice::At(at);
    }

    pub(super) fn model_fixed(&mut self) {
        self.model = ModelSplice::Fixed;
    }

    /// The path named another model than the body. False if the body cannot be made to say it.
    pub(super) fn overrule_model(&mut self) -> bool {
        if let ModelSplice::At(at) = &self.model {
            self.model = ModelSplice::Overruled(at.clone());
        }
        self.model != ModelSplice::Fixed
    }

    pub(super) fn null_limit(&mut self, field: LimitField, at: Range<usize>) {
        self.null_limits.push((field, at));
    }

    pub(super) fn usage_asked(&self) -> bool {
        self.usage == UsageSplice::Yes
    }

    pub(super) fn read_stream_options(&mut self, reader: &mut Reader<'_>, place: &Place<'_>) -> Result<(), ParseError> {
        if reader.peek()? == Kind::Null {
            let start = reader.at();
            reader.skip()?;
            self.usage = UsageSplice::NullOptions(start..reader.at());
            return Ok(());
        }
        enter_object(reader, place)?;
        let start = reader.at();
        let mut empty = true;
        let mut said = None;
        let mut fields = Fields::new(&[("include_usage", ())]);
        while let Some(key) = reader.key()? {
            empty = false;
            let Some((name, ())) = fields.admit(key, place)? else {
                reader.skip()?;
                continue;
            };
            reader.peek()?;
            let start = reader.at();
            said = Some(match flag(reader, &place.member(name))? {
                Some(true) => UsageSplice::Yes,
                Some(false) | None => UsageSplice::No(start..reader.at()),
            });
        }
        self.usage = said.unwrap_or(UsageSplice::Unsaid { start, empty });
        Ok(())
    }
}

impl Call {
    /// The body to send: `body`, which must be the one this call was parsed from, with `edit` put in.
    ///
    /// What the edit asks for and the client already said is left alone, usage is asked for only of an OpenAI stream, and
    /// a stream only where [`can_be_streamed`](Self::can_be_streamed) says so, so that the same edit fits every call. If nothing is to be done this is `body` itself, not a copy.
    /// Given another body the result is not well-formed, and the provider refuses it.
    pub fn rewrite(&self, body: &Bytes, edit: Edit<'_>) -> Bytes {
        let mut changes: Vec<(Range<usize>, String)> = Vec::new();
        self.change_model(edit, &mut changes);
        let streamed = edit.stream && self.can_be_streamed();
        if streamed {
            changes.push(match &self.splices.no_stream {
                Some(at) => (at.clone(), "true".to_owned()),
                None => (self.splices.start..self.splices.start, "\"stream\":true,".to_owned()),
            });
        }
        if edit.include_usage && (self.stream || streamed) {
            self.change_usage(&mut changes);
        }
        self.change_limit(edit, &mut changes);
        spliced(body, changes)
    }

    /// The same request for another model: `body`, which must be the one this call was parsed from, with the model's name
    /// replaced. It is to be parsed anew. `None` if it names no model, or not where it could be replaced.
    pub fn with_model(&self, body: &Bytes, model: &str) -> Option<Bytes> {
        let named = !self.model.is_empty() && self.endpoint.has_body() && self.can_name(model);
        let edit = Edit {
            model: Some(model),
            ..Edit::default()
        };
        named.then(|| self.rewrite(body, edit))
    }

    /// Whether [`rewrite`](Self::rewrite) can make the body name this model: not where a form says how long the name is.
    pub fn can_name(&self, model: &str) -> bool {
        self.splices.model != ModelSplice::Fixed || model == self.model
    }

    fn change_model(&self, edit: Edit<'_>, changes: &mut Vec<(Range<usize>, String)>) {
        let name = edit.model.unwrap_or(&self.model);
        // A list names none, and a moderation may leave it to the provider.
        if name.is_empty() || !self.endpoint.has_body() {
            return;
        }
        let splices = &self.splices;
        changes.push(match (&splices.model, &splices.boundary) {
            (ModelSplice::Fixed, _) => return,
            (ModelSplice::At(_), _) if name == self.model => return,
            (ModelSplice::At(at) | ModelSplice::Overruled(at), None) => (at.clone(), quoted(name)),
            (ModelSplice::At(at) | ModelSplice::Overruled(at), Some(_)) => (at.clone(), name.to_owned()),
            (ModelSplice::Absent, None) => (splices.start..splices.start, format!("\"model\":{},", quoted(name))),
            (ModelSplice::Absent, Some(boundary)) => {
                let part = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{name}\r\n");
                (0..0, part)
            }
        });
    }

    fn change_limit(&self, edit: Edit<'_>, changes: &mut Vec<(Range<usize>, String)>) {
        let (None, Some(limit)) = (self.output_limit, edit.output_limit) else {
            return;
        };
        let field = match self.endpoint {
            Endpoint::ChatCompletions if edit.legacy_output_limit => LimitField::Plain,
            Endpoint::ChatCompletions => LimitField::Completion,
            Endpoint::Responses => LimitField::Output,
            Endpoint::Completions | Endpoint::Messages => LimitField::Plain,
            _ => return,
        };
        let null = self.splices.null_limits.iter().find(|(null, _)| *null == field);
        let start = self.splices.start;
        changes.push(match null {
            Some((_, at)) => (at.clone(), limit.to_string()),
            None => (start..start, format!("\"{}\":{limit},", field.name())),
        });
    }

    fn change_usage(&self, changes: &mut Vec<(Range<usize>, String)>) {
        const OPTIONS: &str = "{\"include_usage\":true}";
        if !self.endpoint.has_usage_option() {
            return;
        }
        let start = self.splices.start;
        changes.push(match &self.splices.usage {
            UsageSplice::Yes => return,
            UsageSplice::Absent => (start..start, format!("\"stream_options\":{OPTIONS},")),
            UsageSplice::NullOptions(at) => (at.clone(), OPTIONS.to_owned()),
            UsageSplice::Unsaid { start, empty: true } => (*start..*start, "\"include_usage\":true".to_owned()),
            UsageSplice::Unsaid { start, empty: false } => (*start..*start, "\"include_usage\":true,".to_owned()),
            UsageSplice::No(at) => (at.clone(), "true".to_owned()),
        });
    }
}

/// `body` with each range replaced by its text.
fn spliced(body: &Bytes, mut changes: Vec<(Range<usize>, String)>) -> Bytes {
    if changes.is_empty() {
        return body.clone();
    }
    changes.sort_by_key(|(at, _)| at.start);
    let added = changes.iter().map(|(_, text)| text.len()).sum::<usize>();
    let mut rewritten = BytesMut::with_capacity(body.len() + added);
    let mut done = 0;
    for (at, text) in changes {
        rewritten.put_slice(body.get(done..at.start).unwrap_or_default());
        rewritten.put_slice(text.as_bytes());
        done = at.end;
    }
    rewritten.put_slice(body.get(done..).unwrap_or_default());
    rewritten.freeze()
}

/// A name as a JSON string. It has no control characters.
fn quoted(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 2);
    text.push('"');
    for c in name.chars() {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;

    /// Asks for another model, and expects the body with nothing but the name changed.
    fn check(endpoint: Endpoint, content_type: &str, body: &str, model: &str, expected: Option<&str>) {
        let target = Target { endpoint, id: None };
        let body = Bytes::copy_from_slice(body.as_bytes());
        let call = Call::read(target, Some(content_type), &body).unwrap();
        let renamed = call.with_model(&body, model);
        assert_eq!(renamed.as_deref(), expected.map(str::as_bytes), "{body:?}");
        let Some(renamed) = renamed else { return };
        let again = Call::read(target, Some(content_type), &renamed).unwrap();
        assert_eq!((again.model.as_str(), again.messages), (model, call.messages));
    }

    #[test]
    fn another_model_changes_nothing_else() {
        let json = "application/json";
        let chat = |body, model, expected| check(Endpoint::ChatCompletions, json, body, model, Some(expected));
        chat(
            r#"{"model":"gpt-4o","messages":[],"x":"gpt-4o"}"#,
            "m",
            r#"{"model":"m","messages":[],"x":"gpt-4o"}"#,
        );
        chat(
            r#"{ "messages" : [] , "model" : "a\"\u0062" }"#,
            "org/b-2",
            r#"{ "messages" : [] , "model" : "org/b-2" }"#,
        );
        chat(
            r#"{"model":"a","messages":[]}"#,
            "quote\"d",
            r#"{"model":"quote\"d","messages":[]}"#,
        );
        check(Endpoint::Moderations, json, r#"{"input":"x"}"#, "m", None);
    }

    #[test]
    fn another_model_in_a_form() {
        let kind = "multipart/form-data; boundary=B";
        let form = |model: &str, head: &str| {
            format!(
                "--B\r\nContent-Disposition: form-data; name=\"model\"\r\n{head}\r\n{model}\r\n--B\r\nContent-Disposition: \
                 form-data; name=\"file\"; filename=\"a.mp3\"\r\n\r\nwhisper-1\r\n--B--\r\n"
            )
        };
        let endpoint = Endpoint::Transcriptions;
        let renamed = form("gpt-4o-transcribe", "");
        check(
            endpoint,
            kind,
            &form("whisper-1", ""),
            "gpt-4o-transcribe",
            Some(&renamed),
        );
        // The part says how long it is: it would lie.
        check(endpoint, kind, &form("whisper-1", "Content-Length: 9\r\n"), "m", None);
    }
}
