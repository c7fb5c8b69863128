//! Pages of searches without a memory: where a page ended stands in the token of the next, under a key of the tenant's.

use authzen::{PageRequest, Search};
use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;
use model::TenantName;

use super::PepError;
use crate::privacy::Privacy;

const TAG: usize = 32;
/// The form of the tokens.
const VERSION: u8 = 1;
const BAD: &str = "`page.token` is not one that an answer to this search had as `next_token`, or something else of the \
                   request has changed since: between pages only the token changes";

/// Which part of the results is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Those behind this one.
    pub(super) after: Option<String>,
    /// How many were on the pages before.
    pub(super) before: u64,
    /// The limit that the request gave, or the one before it.
    pub(super) limit: Option<u64>,
}

impl Place {
    /// # Errors
    /// A token that is not one of ours, or not of this search.
    pub(super) fn of(search: &Search, tenant: &TenantName, privacy: &Privacy) -> Result<Self, PepError> {
        let Some(PageRequest { token, limit, .. }) = &search.page else {
            return Ok(Self::default());
        };
        let Some(token) = token else {
            return Ok(Self {
                limit: *limit,
                ..Self::default()
            });
        };
        let place = read(token, search, tenant, privacy).ok_or_else(|| PepError::Invalid(BAD.to_owned()))?;
        // The text has the limit be the same, and its example leaves it out: absent, it is the one from before.
        match limit {
            Some(limit) if place.limit != Some(*limit) => Err(PepError::Invalid(BAD.to_owned())),
            _ => Ok(place),
        }
    }

    /// The token of a page that begins here.
    pub(super) fn token(&self, search: &Search, tenant: &TenantName, privacy: &Privacy) -> String {
        let mut payload = vec![VERSION, u8::from(self.limit.is_some())];
        payload.extend(self.limit.unwrap_or_default().to_be_bytes());
        payload.extend(self.before.to_be_bytes());
        payload.extend(self.after.as_deref().unwrap_or_default().as_bytes());
        let tag = sign(&payload, search, tenant, privacy);
        BASE64URL_NOPAD.encode(&[tag.as_ref(), &payload].concat())
    }
}

fn sign(payload: &[u8], search: &Search, tenant: &TenantName, privacy: &Privacy) -> hmac::Tag {
    let mut context = hmac::Context::with_key(&privacy.pages(tenant));
    let canonical = search.canonical();
    let length = u64::try_from(canonical.len()).unwrap_or(u64::MAX);
    context.update(&length.to_be_bytes());
    context.update(canonical.as_bytes());
    context.update(payload);
    context.sign()
}

fn read(token: &str, search: &Search, tenant: &TenantName, privacy: &Privacy) -> Option<Place> {
    let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
    let (tag, payload) = bytes.split_at_checked(TAG)?;
    let expected = sign(payload, search, tenant, privacy);
    aws_lc_rs::constant_time::verify_slices_are_equal(expected.as_ref(), tag).ok()?;
    let (head, rest) = payload.split_first_chunk::<2>()?;
    let (limit, rest) = rest.split_first_chunk::<8>()?;
    let (before, after) = rest.split_first_chunk::<8>()?;
    let [VERSION, given] = *head else { return None };
    Some(Place {
        after: Some(std::str::from_utf8(after).ok()?.to_owned()),
        before: u64::from_be_bytes(*before),
        limit: (given == 1).then(|| u64::from_be_bytes(*limit)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    fn search(id: &str, page: &str) -> Search {
        let text = format!(
            r#"{{"subject":{{"type":"user","id":"{id}"}},"resource":{{"type":"record","id":"1"}},"page":{page}}}"#
        );
        Search::actions(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_token_is_of_one_search_of_one_tenant() {
        let privacy = Privacy::new(&Zeroizing::new(vec![1; 32]));
        let tenant = TenantName::default_tenant();
        let place = Place {
            after: Some("réad".to_owned()),
            before: 7,
            limit: Some(2),
        };
        let token = place.token(&search("a", "{}"), &tenant, &privacy);
        let of = |id: &str, page: &str| Place::of(&search(id, page), &tenant, &privacy);
        let with = |rest: &str| format!("{{\"token\":\"{token}\"{rest}}}");
        assert_eq!(of("a", &with("")), Ok(place.clone()));
        assert_eq!(of("a", &with(",\"limit\":2")), Ok(place));
        for (id, page) in [
            ("a", with(",\"limit\":3")),
            ("a", with(",\"properties\":{}")),
            ("b", with("")),
            ("a", "{\"token\":\"x\"}".to_owned()),
            ("a", "{\"token\":\"é\"}".to_owned()),
        ] {
            assert_eq!(of(id, &page), Err(PepError::Invalid(BAD.to_owned())), "{id} {page}");
        }
        let other = TenantName::new("acme").unwrap();
        assert!(Place::of(&search("a", &with("")), &other, &privacy).is_err());
        let mut forged = token.into_bytes();
        for at in 0..forged.len() {
            let was = forged[at];
            forged[at] = if was == b'A' { b'B' } else { b'A' };
            let page = format!("{{\"token\":\"{}\"}}", String::from_utf8_lossy(&forged));
            assert!(of("a", &page).is_err(), "byte {at}");
            forged[at] = was;
        }
    }

    #[test]
    fn a_first_page_needs_no_token() {
        let privacy = Privacy::new(&Zeroizing::new(vec![1; 32]));
        let of = |page: &str| Place::of(&search("a", page), &TenantName::default_tenant(), &privacy);
        assert_eq!(of("null"), Ok(Place::default()));
        let limited = Place {
            limit: Some(0),
            ..Place::default()
        };
        assert_eq!(of("{\"limit\":0}"), Ok(limited));
    }
}
