//! A reader of `multipart/form-data` (RFC 7578) over a whole body: part by part, without copying.
//!
//! It is strict, because what one parser skips another reads: a form that we read as one model and the provider as
//! another would be a way around us. So there is nothing before the first boundary or behind the last, the boundary
//! stands nowhere but between parts, lines end with CRLF, headers are few and known, and names are plain.

use memchr::memmem;

/// More parts than any request that is governed has.
const MOST_PARTS: usize = 256;
/// The longest head of a part, in bytes.
const MOST_HEAD: usize = 4096;
/// The longest name of a field, in bytes.
const MOST_FIELD: usize = 128;
/// The longest boundary, by RFC 2046.
const MOST_BOUNDARY: usize = 70;

/// Why bytes are not an acceptable form. The text itself is never quoted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not valid multipart/form-data: expected {expected} at byte {at}")]
pub struct FormError {
    /// Where the form goes wrong.
    pub at: usize,
    /// What should stand there.
    pub expected: &'static str,
}

/// One part of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    /// The field's name: 1 to 128 letters, digits and `_ - . [ ]`.
    pub(crate) name: &'a str,
    /// It has a file name, so servers take it for a file.
    pub(crate) is_file: bool,
    /// Its type is absent, or plain text in UTF-8 or ASCII.
    pub(crate) is_text: bool,
    /// Its head says how long the content is.
    pub(crate) is_measured: bool,
    pub(crate) content: &'a [u8],
    /// Where the content begins in the body.
    pub(crate) at: usize,
}

/// The boundary that a `multipart/form-data` content type names; `None` if it is another type or names none that is good.
pub(crate) fn boundary(content_type: &str) -> Option<&str> {
    let (essence, parameters) = content_type.split_once(';')?;
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    // A second parameter might be another boundary; browsers and HTTP libraries send only the one.
    let (name, value) = parameters.trim().split_once('=')?;
    if !name.eq_ignore_ascii_case("boundary") {
        return None;
    }
    let value = value
        .strip_prefix('"')
        .map_or(Some(value), |quoted| quoted.strip_suffix('"'))?;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&byte);
    ((1..=MOST_BOUNDARY).contains(&value.len()) && value.bytes().all(good)).then_some(value)
}

/// Reads the parts of `body` in order.
pub(crate) fn each_part<'a, E: From<FormError>>(
    boundary: &str,
    body: &'a [u8],
    mut read: impl FnMut(Part<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let wrong = |at, expected| Err(E::from(FormError { at, expected }));
    let delimiter = [b"--", boundary.as_bytes()].concat();
    let finder = memmem::Finder::new(&delimiter);
    if !body.starts_with(&delimiter) {
        return wrong(0, "the boundary");
    }
    let mut at = delimiter.len();
    for _ in 0..=MOST_PARTS {
        // Behind a delimiter: the end, or a line end and a part.
        let rest = body.get(at..).unwrap_or_default();
        if matches!(rest, b"--" | b"--\r\n") {
            return Ok(());
        }
        if !rest.starts_with(b"\r\n") {
            return wrong(at, "a line end behind the boundary, or the end");
        }
        at += 2;
        let rest = body.get(at..).unwrap_or_default();
        let Some(length) = finder.find(rest) else {
            return wrong(body.len(), "the boundary");
        };
        let part = rest.get(..length).unwrap_or_default();
        let Some(part) = part.strip_suffix(b"\r\n") else {
            return wrong(at + length, "a line end before the boundary");
        };
        let part = split(part, at).map_err(|expected| FormError { at, expected })?;
        read(part)?;
        at += length + delimiter.len();
    }
    wrong(at, "fewer parts")
}

/// The head and content of the part that begins at `at`.
fn split(part: &[u8], at: usize) -> Result<Part<'_>, &'static str> {
    let window = part.get(..MOST_HEAD.min(part.len())).unwrap_or_default();
    let end = memmem::find(window, b"\r\n\r\n").ok_or("a blank line behind the part's headers")?;
    let (head, content) = part.split_at_checked(end).unwrap_or_default();
    let head = std::str::from_utf8(head).map_err(|_| "headers in UTF-8")?;
    let (mut disposition, mut kind, mut is_measured) = (None, None, false);
    for line in head.split("\r\n") {
        let (name, value) = line.split_once(':').ok_or("a header")?;
        if value.chars().any(char::is_control) {
            return Err("headers without control characters");
        }
        let seen = match name {
            name if name.eq_ignore_ascii_case("content-disposition") => disposition.replace(value.trim()).is_some(),
            name if name.eq_ignore_ascii_case("content-type") => kind.replace(value.trim()).is_some(),
            // Some libraries send it; the boundary says how long the part is.
            name if name.eq_ignore_ascii_case("content-length") => {
                is_measured = true;
                false
            }
            _ => return Err("no headers but Content-Disposition, Content-Type and Content-Length"),
        };
        if seen {
            return Err("each header once");
        }
    }
    let (name, is_file) = disposition
        .and_then(field)
        .ok_or("Content-Disposition: form-data with a plain name")?;
    Ok(Part {
        name,
        is_file,
        is_text: kind.is_none_or(is_plain_text),
        is_measured,
        content: content.get(4..).unwrap_or_default(),
        at: at + end + 4,
    })
}

/// The name in `form-data; name="..."; filename="..."`, and whether there is a file name.
fn field(disposition: &str) -> Option<(&str, bool)> {
    let (kind, mut rest) = disposition.split_once(';')?;
    if !kind.trim_end().eq_ignore_ascii_case("form-data") {
        return None;
    }
    let (mut field, mut file) = (None, false);
    loop {
        let (name, behind) = rest.trim_start().split_once('=')?;
        let (value, behind) = match behind.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => behind.split_at_checked(behind.find(';').unwrap_or(behind.len()))?,
        };
        // Whether a backslash escapes the quote behind it is where parsers differ.
        if value.ends_with('\\') || value.contains('"') {
            return None;
        }
        match name {
            name if name.eq_ignore_ascii_case("name") => {
                if field.replace(value.trim_end()).is_some() {
                    return None;
                }
            }
            name if name.eq_ignore_ascii_case("filename") || name.eq_ignore_ascii_case("filename*") => file = true,
            _ => return None,
        }
        let behind = behind.trim_start();
        if behind.is_empty() {
            break;
        }
        rest = behind.strip_prefix(';')?;
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.[]".contains(&byte);
    let field = field?;
    ((1..=MOST_FIELD).contains(&field.len()) && field.bytes().all(plain)).then_some((field, file))
}

fn is_plain_text(kind: &str) -> bool {
    let (essence, parameters) = kind.split_once(';').unwrap_or((kind, ""));
    let charset = parameters.trim().to_ascii_lowercase();
    essence.trim_end().eq_ignore_ascii_case("text/plain")
        && matches!(
            charset.as_str(),
            "" | "charset=utf-8" | "charset=\"utf-8\"" | "charset=us-ascii" | "charset=ascii"
        )
}

#[cfg(test)]
mod tests;
