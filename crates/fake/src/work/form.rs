//! A form (`multipart/form-data`, RFC 7578) as HTTP libraries write it.

use super::invalid;
use crate::refusal::Refusal;

/// The parts of a form.
pub(super) struct Form<'a>(Vec<(&'a str, &'a [u8])>);

impl<'a> Form<'a> {
    /// Reads a body; `None` if it is no form.
    pub(super) fn parse(content_type: &str, body: &'a [u8]) -> Option<Self> {
        let parameters = content_type.strip_prefix("multipart/form-data")?;
        let boundary = parameters.split("boundary=").nth(1)?.trim_matches('"');
        let (first, between) = (format!("--{boundary}"), format!("\r\n--{boundary}"));
        let mut rest = body.strip_prefix(first.as_bytes())?;
        let mut parts = Vec::new();
        while !rest.starts_with(b"--") {
            let (part, behind) = split(rest.strip_prefix(b"\r\n")?, between.as_bytes())?;
            let (head, content) = split(part, b"\r\n\r\n")?;
            let head = str::from_utf8(head).ok()?;
            let name = head.split("; name=\"").nth(1)?.split('"').next()?;
            parts.push((name, content));
            rest = behind;
        }
        Some(Self(parts))
    }

    /// The content of a part.
    pub(super) fn bytes(&self, name: &str) -> Option<&'a [u8]> {
        let part = self.0.iter().find(|(found, _)| *found == name);
        part.map(|(_, content)| *content)
    }

    /// How many parts have this name, or the same with brackets behind it, as lists have.
    pub(super) fn count(&self, name: &str) -> u64 {
        let named = |found: &str| found.strip_suffix("[]").unwrap_or(found) == name;
        u64::try_from(self.0.iter().filter(|(found, _)| named(found)).count()).unwrap_or(u64::MAX)
    }

    /// A number, if there is one of this name.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let text = self.text(name).map(str::parse);
        text.transpose()
            .map_err(|_| invalid(format!("Invalid '{name}': expected a whole number.")))
    }

    /// The content of a part that is text.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        str::from_utf8(self.bytes(name)?).ok()
    }
}

/// What stands before and behind the first `mark`.
fn split<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(mark.len()).position(|window| window == mark)?;
    let (before, behind) = bytes.split_at_checked(at)?;
    Some((before, behind.get(mark.len()..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_by_their_names() {
        let body = b"--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--x\r\n\
            Content-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\nContent-Type: audio/mpeg\r\n\r\n\
            \xff\r\n\0\r\n--x--\r\n";
        let form = Form::parse("multipart/form-data; boundary=x", body).unwrap();
        assert_eq!(form.text("model"), Some("whisper-1"));
        assert_eq!(form.bytes("file"), Some(&b"\xff\r\n\0"[..]));
        assert_eq!(form.bytes("other"), None);
        assert!(Form::parse("application/json", body).is_none());
        assert!(Form::parse("multipart/form-data; boundary=y", body).is_none());
    }
}
