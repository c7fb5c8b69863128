//! Who asks.

use axum::extract::FromRequestParts;
use control::Actor;
use http::{HeaderMap, header, request::Parts};

use crate::{listener::Shared, problem::Problem};

/// An authenticated administrator. What they may do is checked where it is done.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) Actor);

impl FromRequestParts<Shared> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        let actor = shared.control.authenticate_admin(bearer(&parts.headers))?;
        Ok(Self(actor))
    }
}

/// The credential of `Authorization: Bearer`. Two such headers are none: it would not be clear who asks.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else {
        return None;
    };
    let (scheme, credential) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| credential.trim())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn one_bearer_credential_is_taken() {
        let check = |values: &[&str], expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(bearer(&headers), expected, "{values:?}");
        };
        check(&[], None);
        check(&["Bearer bwa_x"], Some("bwa_x"));
        check(&["bearer  bwa_x "], Some("bwa_x"));
        check(&["Basic bwa_x"], None);
        check(&["bwa_x"], None);
        check(&["Bearer bwa_x", "Bearer bwa_y"], None);
    }
}
