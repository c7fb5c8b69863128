//! How a call is addressed at its provider: the path, the query and the headers that an operator writes as templates.
//!
//! Templates are checked when they are read, so that nothing can go wrong later. What a caller chose (the model) enters a
//! path only as one percent-encoded segment that is no dot segment: it can add no segment, no query, no host. Scheme, host
//! and port are never part of a template. The credential enters headers only, and only where a template says so.

use std::fmt;

use llm::Endpoint;
use secrecy::{ExposeSecret as _, SecretString};

use super::Secret;

/// The longest template of a path, a query or a header's value, in bytes.
pub const MAX_TEMPLATE: usize = 512;

/// What stands in a path for the call's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variable {
    /// The path below the server's root, such as `v1/chat/completions`.
    Path,
    /// The path below `/v1`, such as `chat/completions`.
    Operation,
    /// The model, by the provider's name for it.
    Model,
}

const VARIABLES: [(&str, Variable); 3] = [
    ("{path}", Variable::Path),
    ("{operation}", Variable::Operation),
    ("{model}", Variable::Model),
];
const CREDENTIAL: &str = "{api_key}";

/// Why a template is refused. The texts never repeat it: it may hold a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Longer than [`MAX_TEMPLATE`].
    #[error("is longer than {MAX_TEMPLATE} characters")]
    TooLong,
    /// A path without its first slash.
    #[error("does not start with a slash")]
    NoSlash,
    /// Two slashes in a row, or one at the end.
    #[error("has an empty segment (two slashes in a row, or one at the end)")]
    EmptySegment,
    /// A segment `.` or `..`.
    #[error("has a dot segment (`.` or `..`)")]
    DotSegment,
    /// In a path: something that is no variable in braces, or a variable that is only a part of its segment.
    #[error("has a segment with braces that is none of {{path}}, {{operation}} and {{model}}")]
    NoVariable,
    /// A path that is the same whatever is asked for.
    #[error("has neither {{operation}} nor {{path}}, so that every endpoint would go to one path")]
    NoOperation,
    /// A character that means something else in a path, or would have to be encoded.
    #[error("has a character that cannot stand in a path as it is")]
    PathCharacter,
    /// Not `name=value` pairs joined by `&`.
    #[error("is not a query of name=value pairs joined by `&`, percent-encoded and without variables")]
    NoQuery,
    /// A header name that is none.
    #[error("is not the name of a header")]
    NoHeaderName,
    /// A header that the gateway writes or judges by itself.
    #[error("is a header that Bailiwick writes itself")]
    OwnHeader,
    /// A header value with a control character, a character that is not ASCII, or white space around it.
    #[error("has a character that cannot stand in a header, or white space around it")]
    HeaderCharacter,
    /// In a header: braces around something else than `api_key`, or the credential twice.
    #[error("has braces around something that is not one {{api_key}}")]
    NoCredentialVariable,
    /// A value written out where, by its name, a credential belongs.
    #[error("looks like a credential that is written out")]
    WrittenOut,
}

/// A path below an upstream's base URL. The default is `/{path}`: where the caller asked for it.
#[derive(Clone, PartialEq, Eq)]
pub struct PathTemplate {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Variable(Variable),
}

impl PathTemplate {
    /// Reads a template that stands for all endpoints of an upstream: it must say where the endpoint goes.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let template = Self::parse_for_one(text)?;
        let distinct = [Variable::Path, Variable::Operation].map(|variable| template.has(variable));
        if distinct == [false, false] {
            return Err(TemplateError::NoOperation);
        }
        Ok(template)
    }

    /// Reads a template that stands for one endpoint.
    pub fn parse_for_one(text: &str) -> Result<Self, TemplateError> {
        if text.len() > MAX_TEMPLATE {
            return Err(TemplateError::TooLong);
        }
        let segments = text.strip_prefix('/').ok_or(TemplateError::NoSlash)?.split('/');
        Ok(Self {
            text: text.to_owned(),
            segments: segments.map(segment).collect::<Result<_, _>>()?,
        })
    }

    /// Whether the model stands in it.
    pub fn names_model(&self) -> bool {
        self.has(Variable::Model)
    }

    fn has(&self, variable: Variable) -> bool {
        self.segments.contains(&Segment::Variable(variable))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Appends the path of a call. An endpoint with an id in its path has the model's there.
    pub(super) fn expand(&self, endpoint: Endpoint, model: Option<PathSegment<'_>>, to: &mut String) {
        for segment in &self.segments {
            to.push('/');
            match segment {
                Segment::Literal(text) => to.push_str(text),
                Segment::Variable(Variable::Model) => push(model, to),
                Segment::Variable(Variable::Path) => {
                    to.push_str("v1/");
                    push_operation(endpoint, model, to);
                }
                Segment::Variable(Variable::Operation) => push_operation(endpoint, model, to),
            }
        }
    }
}

impl Default for PathTemplate {
    fn default() -> Self {
        Self {
            text: "/{path}".to_owned(),
            segments: vec![Segment::Variable(Variable::Path)],
        }
    }
}

impl fmt::Debug for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PathTemplate({})", self.text)
    }
}

fn segment(text: &str) -> Result<Segment, TemplateError> {
    if let Some((_, variable)) = VARIABLES.iter().find(|(name, _)| *name == text) {
        return Ok(Segment::Variable(*variable));
    }
    // RFC 3986, section 3.3, without `%` and `;`: servers differ in what they make of these.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&byte);
    match text {
        "" => Err(TemplateError::EmptySegment),
        "." | ".." => Err(TemplateError::DotSegment),
        _ if text.contains(['{', '}']) => Err(TemplateError::NoVariable),
        _ if !text.bytes().all(plain) => Err(TemplateError::PathCharacter),
        _ => Ok(Segment::Literal(text.to_owned())),
    }
}

fn push_operation(endpoint: Endpoint, model: Option<PathSegment<'_>>, to: &mut String) {
    match endpoint.operation().split_once("{id}") {
        None => to.push_str(endpoint.operation()),
        Some((before, behind)) => {
            to.push_str(before);
            push(model, to);
            to.push_str(behind);
        }
    }
}

fn push(model: Option<PathSegment<'_>>, to: &mut String) {
    if let Some(PathSegment(text)) = model {
        encode(text, to);
    }
}

/// Percent-encodes everything but what never has a meaning (RFC 3986, section 2.3).
fn encode(text: &str, to: &mut String) {
    const HEX: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            to.push(char::from(byte));
        } else {
            to.push('%');
            to.extend(
                [byte >> 4, byte & 15]
                    .iter()
                    .filter_map(|half| HEX.get(usize::from(*half))),
            );
        }
    }
}

/// A text that can be one segment of a path, however a server resolves it: not empty, and no dot segment, which no
/// encoding keeps from being one (`%2e%2e` is `..` to many).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PathSegment<'a>(&'a str);

impl<'a> PathSegment<'a> {
    pub(super) fn new(text: &'a str) -> Option<Self> {
        (!matches!(text, "" | "." | "..")).then_some(Self(text))
    }
}

/// Parameters that an operator adds to the query of every call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryTemplate {
    text: String,
    /// Decoded and in lower case.
    names: Vec<String>,
}

impl QueryTemplate {
    /// Reads a query without its question mark.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > MAX_TEMPLATE {
            return Err(TemplateError::TooLong);
        }
        let mut names = Vec::new();
        for pair in text.split('&') {
            let (name, value) = pair.split_once('=').ok_or(TemplateError::NoQuery)?;
            if name.is_empty() || !is_encoded(name) || !is_encoded(value) {
                return Err(TemplateError::NoQuery);
            }
            let name = decoded(name);
            if is_credential(&name) {
                return Err(TemplateError::WrittenOut);
            }
            names.push(name);
        }
        let text = text.to_owned();
        Ok(Self { text, names })
    }

    /// As it was written; empty if nothing is added.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The query to send, given the caller's: what the caller says under a name of the operator's, or under a name in
    /// `own`, is left out, and so is what some servers might read as such.
    pub(super) fn merge(&self, asked: Option<&str>, own: &[&str]) -> Option<String> {
        if self.names.is_empty() && own.is_empty() {
            return asked.map(str::to_owned);
        }
        let theirs = |pair: &&str| {
            let name = decoded(pair.split('=').next().unwrap_or_default());
            // `;` joins pairs like `&` for some servers.
            !pair.is_empty() && !pair.contains(';') && !self.names.contains(&name) && !own.contains(&name.as_str())
        };
        let mut pairs: Vec<&str> = asked.unwrap_or_default().split('&').filter(theirs).collect();
        if !self.text.is_empty() {
            pairs.push(&self.text);
        }
        (!pairs.is_empty()).then(|| pairs.join("&"))
    }
}

fn is_encoded(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let fits = match byte {
            b'%' => {
                let hex = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
                hex(bytes.next()) && hex(bytes.next())
            }
            _ => byte.is_ascii_alphanumeric() || b"-._~!$'()*,:@/".contains(&byte),
        };
        if !fits {
            return false;
        }
    }
    true
}

/// A parameter's name as servers might read it: decoded, in lower case, without white space around it.
fn decoded(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let half = |at: usize| behind.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let (byte, behind) = match (first, half(0), half(1)) {
            (b'%', Some(high), Some(low)) => (
                u8::try_from(high * 16 + low).unwrap_or(b'?'),
                behind.get(2..).unwrap_or_default(),
            ),
            (b'+', ..) => (b' ', behind),
            _ => (*first, behind),
        };
        bytes.push(byte);
        rest = behind;
    }
    String::from_utf8_lossy(&bytes).trim().to_ascii_lowercase()
}

/// A header that an operator puts on every call, in place of any that the caller sent under that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderTemplate {
    name: String,
    text: String,
}

/// What belongs to a connection or to the body, or is the gateway's own.
const OWN_HEADERS: [&str; 21] = [
    "accept-encoding",
    "bailiwick-run",
    "bailiwick-task",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "idempotency-key",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

impl HeaderTemplate {
    /// Reads a header's name and the template of its value. `{api_key}` stands for the upstream's credential.
    pub fn parse(name: &str, text: &str) -> Result<Self, TemplateError> {
        let name = name.to_ascii_lowercase();
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if !(1..=64).contains(&name.len()) || !name.bytes().all(token) {
            return Err(TemplateError::NoHeaderName);
        }
        if OWN_HEADERS.contains(&name.as_str()) || name.starts_with("bailiwick-") {
            return Err(TemplateError::OwnHeader);
        }
        if text.len() > MAX_TEMPLATE {
            return Err(TemplateError::TooLong);
        }
        let visible = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        if text.is_empty() || text.trim() != text || !text.bytes().all(visible) {
            return Err(TemplateError::HeaderCharacter);
        }
        let rest = text.replacen(CREDENTIAL, "", 1);
        if rest.contains(['{', '}']) {
            return Err(TemplateError::NoCredentialVariable);
        }
        if rest.len() == text.len() && is_credential(&name) {
            return Err(TemplateError::WrittenOut);
        }
        let text = text.to_owned();
        Ok(Self { name, text })
    }

    /// The header's name, in lower case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the credential stands in it.
    pub fn has_credential(&self) -> bool {
        self.text.contains(CREDENTIAL)
    }

    /// The value to send. `None` if it takes a credential and there is none.
    pub fn value(&self, credential: Option<&Secret>) -> Option<Secret> {
        let Some((before, behind)) = self.text.split_once(CREDENTIAL) else {
            return Some(SecretString::from(self.text.as_str()));
        };
        let credential = credential?.expose_secret();
        let mut value = String::with_capacity(before.len() + credential.len() + behind.len());
        for part in [before, credential, behind] {
            value.push_str(part);
        }
        Some(SecretString::from(value))
    }
}

/// Whether a header or parameter of this name carries a credential: one of the words in it says so.
fn is_credential(name: &str) -> bool {
    const WORDS: [&str; 16] = [
        "apikey",
        "auth",
        "authentication",
        "authorization",
        "bearer",
        "code",
        "cookie",
        "credential",
        "credentials",
        "jwt",
        "key",
        "password",
        "secret",
        "sig",
        "signature",
        "token",
    ];
    name.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| WORDS.contains(&word.to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests;
