//! What a request says of who asks, and what it is.

use control::Presented;
use data_encoding::BASE64;
use http::{HeaderMap, header, request::Parts};
use model::Digest;
use transport::PeerCertificate;
use zeroize::Zeroizing;

use super::error::{Error, Kind};

/// The longest `Authorization` that is looked at.
const MAX_AUTHORIZATION: usize = 1_024;

/// By what the caller says who it is.
pub(super) struct Shown {
    credential: Option<Zeroizing<String>>,
    certificate: Option<Digest>,
}

impl Shown {
    pub(super) fn borrow(&self) -> Presented<'_> {
        Presented {
            credential: self.credential.as_ref().map(|text| text.as_str()),
            certificate: self.certificate,
        }
    }
}

/// # Errors
/// More than one `Authorization`, or one that nothing here is made of: then nobody knows who asks, though somebody tried to
/// say it.
pub(super) fn presented(head: &Parts) -> Result<Shown, Error> {
    let certificate = head.extensions.get::<PeerCertificate>().map(|shown| Digest(shown.0));
    let mut values = head.headers.get_all(header::AUTHORIZATION).iter();
    let credential = match (values.next(), values.next()) {
        (None, _) => None,
        (Some(value), None) => {
            let text = value.to_str().ok().filter(|text| text.len() <= MAX_AUTHORIZATION);
            Some(text.and_then(credential).ok_or_else(unknown)?)
        }
        _ => return Err(unknown()),
    };
    Ok(Shown {
        credential,
        certificate,
    })
}

fn unknown() -> Error {
    let message = "The header Authorization is not one that is known here: send one `Bearer bwp_...`, or `Basic` with the \
                   credential as the password.";
    Error::new(Kind::Unauthenticated, message)
}

/// A bearer credential (RFC 6750, section 2.1), or the password of a user of any name (RFC 7617, section 2).
fn credential(text: &str) -> Option<Zeroizing<String>> {
    let (scheme, rest) = text.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Zeroizing::new(rest.to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = Zeroizing::new(BASE64.decode(rest.as_bytes()).ok()?);
    let (_, password) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
    Some(Zeroizing::new(password.to_owned()))
}

/// # Errors
/// Another content type than `application/json`, and a compressed body.
pub(super) fn check_type(headers: &HeaderMap) -> Result<(), Error> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let value = values.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = value.split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let is_utf8 = |part: &str| match part.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    };
    if !is_json || !parts.all(is_utf8) || values.next().is_some() {
        let message = "send the body as `Content-Type: application/json`, in UTF-8";
        return Err(Error::new(Kind::Invalid, message));
    }
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    if encodings.any(|encoding| encoding != "identity") {
        let message = "a compressed body is not read here; send it without Content-Encoding";
        return Err(Error::new(Kind::Invalid, message));
    }
    Ok(())
}
