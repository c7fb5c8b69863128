//! What a request in `multipart/form-data` asks for.

use model::Feature;

use super::findings::{Place, as_label, shown};
use super::options::is_plain_picture;
use super::rewrite::Splices;
use super::{Call, Draft, ParseError};
use crate::form::{Part, boundary, each_part};
use crate::{Endpoint, Target};

/// How to read a form's field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Model,
    Stream,
    Choices,
    PartialPictures,
    Size,
    Quality,
    PictureFormat,
    /// The file the work is about.
    File,
    /// More audio beside the file.
    MoreAudio,
    /// A picture: there may be several.
    Picture,
    /// An option that costs what nobody has priced.
    Dear,
    /// HTML's way to say that the fields are in another encoding.
    Charset,
}

impl Field {
    /// Whether servers take the field for a list, with or without brackets behind its name.
    fn is_list(self) -> bool {
        matches!(self, Self::Picture | Self::MoreAudio)
    }
}

const IMAGES: &[(&str, Field)] = &[
    ("model", Field::Model),
    ("image", Field::Picture),
    ("mask", Field::Picture),
    ("markup", Field::Picture),
    ("n", Field::Choices),
    ("size", Field::Size),
    ("quality", Field::Quality),
    ("stream", Field::Stream),
    ("partial_images", Field::PartialPictures),
    ("output_format", Field::PictureFormat),
    ("svg", Field::Dear),
    ("frame_count", Field::Dear),
    ("_charset_", Field::Charset),
];

const AUDIO: &[(&str, Field)] = &[
    ("model", Field::Model),
    ("file", Field::File),
    ("known_speaker_references", Field::MoreAudio),
    ("stream", Field::Stream),
    ("_charset_", Field::Charset),
];

fn table(endpoint: Endpoint) -> &'static [(&'static str, Field)] {
    match endpoint {
        Endpoint::ImageEdits | Endpoint::ImageVariations => IMAGES,
        _ => AUDIO,
    }
}

pub(super) fn parse(target: Target<'_>, content_type: &str, body: &[u8]) -> Result<Call, ParseError> {
    let endpoint = target.endpoint;
    if !endpoint.takes_form() {
        return Err(match endpoint.has_body() {
            true => ParseError::ContentType("application/json"),
            false => ParseError::Body,
        });
    }
    let boundary = boundary(content_type).ok_or(ParseError::ContentType(
        "multipart/form-data with a boundary and no other parameter",
    ))?;
    let mut form = Form {
        draft: Draft::new(target, Splices::of_form(boundary)),
        seen: Vec::new(),
    };
    each_part(boundary, body, |part| form.read(part))?;
    let Form { draft, seen } = form;
    draft.finish(|name| seen.contains(&name))
}

struct Form<'a> {
    draft: Draft<'a>,
    /// The known fields so far, each once.
    seen: Vec<&'static str>,
}

impl Form<'_> {
    fn read(&mut self, part: Part<'_>) -> Result<(), ParseError> {
        let Some((name, field)) = self.admit(part)? else {
            // A file where nobody expects one may be read as text after all, so it is no measured file.
            return Ok(());
        };
        let place = Place::Body.member(name);
        match field {
            Field::File | Field::MoreAudio => {
                if field == Field::File && !part.is_file {
                    return Err(place.must_be("a file"));
                }
                self.measure(part);
            }
            Field::Picture => {
                if part.is_file {
                    self.measure(part);
                }
                self.draft.findings.note(Feature::Image, || place.to_string());
            }
            Field::Dear => self.draft.findings.note(Feature::UnpricedOption, || place.to_string()),
            Field::Charset => return Err(place.must_be("left out: fields are in UTF-8")),
            Field::Model => {
                self.draft.call.model = as_label(text(part, &place)?, &place)?;
                let at = part.at..part.at + part.content.len();
                match part.is_measured {
                    true => self.draft.call.splices.model_fixed(),
                    false => self.draft.call.splices.model_at(at),
                }
            }
            Field::Stream => {
                let stream = flag(text(part, &place)?, &place)?;
                if stream && !self.draft.call.endpoint.may_stream() {
                    return Err(place.must_be("false: this endpoint does not stream"));
                }
                self.draft.call.stream = stream;
            }
            Field::Choices => match whole(text(part, &place)?, &place)? {
                0 => return Err(place.must_be("at least 1")),
                choices => self.draft.call.choices = choices,
            },
            Field::PartialPictures => self.draft.partial_pictures = whole(text(part, &place)?, &place)?,
            Field::Size => self.draft.size = Some(as_label(text(part, &place)?, &place)?),
            Field::Quality => self.draft.quality = Some(as_label(text(part, &place)?, &place)?),
            Field::PictureFormat => {
                let format = text(part, &place)?;
                if !is_plain_picture(format) {
                    let found = || format!("{place} = \"{}\"", shown(format));
                    self.draft.findings.note(Feature::UnpricedOption, found);
                }
            }
        }
        Ok(())
    }

    /// The row of a part, or `None` if it does not matter. Servers read `image` and `image[]` as the same, some also
    /// `model[]` or `Model` as `model`: of a field that is no list, any such spelling is refused.
    fn admit(&mut self, part: Part<'_>) -> Result<Option<(&'static str, Field)>, ParseError> {
        let base = part.name.split(['[', '.']).next().unwrap_or_default();
        let rows = table(self.draft.call.endpoint);
        let Some((name, field)) = rows.iter().find(|(name, _)| name.eq_ignore_ascii_case(base)) else {
            return Ok(None);
        };
        let exact = part.name == *name;
        let member = part.name.strip_prefix(name).is_some_and(|index| index.starts_with('['));
        let known = exact || (member && field.is_list()) || (*field == Field::Dear && base == *name);
        if !known {
            return Err(ParseError::Case {
                found: shown(part.name),
                known: name,
            });
        }
        if self.seen.contains(name) {
            if field.is_list() || *field == Field::Dear {
                return Ok(Some((name, *field)));
            }
            return Err(ParseError::Duplicate((*name).to_owned()));
        }
        self.seen.push(name);
        Ok(Some((name, *field)))
    }

    fn measure(&mut self, part: Part<'_>) {
        let bytes = u64::try_from(part.content.len()).unwrap_or(u64::MAX);
        self.draft.call.file_bytes = self.draft.call.file_bytes.saturating_add(bytes);
    }
}

/// The text of a field, which must not come as a file or in another encoding.
fn text<'a>(part: Part<'a>, place: &Place<'_>) -> Result<&'a str, ParseError> {
    if part.is_file || !part.is_text {
        return Err(place.must_be("plain text and no file"));
    }
    std::str::from_utf8(part.content).map_err(|_| place.must_be("in UTF-8"))
}

fn flag(text: &str, place: &Place<'_>) -> Result<bool, ParseError> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Ok(true),
        _ if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(place.must_be("true or false")),
    }
}

fn whole(text: &str, place: &Place<'_>) -> Result<u64, ParseError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or_else(|| place.must_be("a whole number of at least 0"))
}
