//! Pages of searches without a memory: where a page ended stands in the token of the next, sealed under a key of the
//! tenant's. Where it ended may be somebody's name, and tokens travel through other people's logs.

use authzen::{PageRequest, Search};
use aws_lc_rs::aead::{Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use data_encoding::BASE64URL_NOPAD;
use model::TenantName;

use super::PepError;
use crate::privacy::Privacy;

/// The form of the tokens.
const VERSION: u8 = 2;
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
        let key = privacy.pages(tenant).ok_or(PepError::Unavailable)?;
        let place = read(token, search, &key).ok_or_else(|| PepError::Invalid(BAD.to_owned()))?;
        // The text has the limit be the same, and its example leaves it out: absent, it is the one from before.
        match limit {
            Some(limit) if place.limit != Some(*limit) => Err(PepError::Invalid(BAD.to_owned())),
            _ => Ok(place),
        }
    }

    /// The token of a page that begins here.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(super) fn token(&self, search: &Search, tenant: &TenantName, privacy: &Privacy) -> Result<String, PepError> {
        let mut payload = vec![u8::from(self.limit.is_some())];
        payload.extend(self.limit.unwrap_or_default().to_be_bytes());
        payload.extend(self.before.to_be_bytes());
        payload.extend(self.after.as_deref().unwrap_or_default().as_bytes());
        let key = privacy.pages(tenant).ok_or(PepError::Unavailable)?;
        let nonce = key.seal_in_place_append_tag(Aad::from(search.canonical().as_bytes()), &mut payload);
        let nonce = nonce.map_err(|_| PepError::Unavailable)?;
        Ok(BASE64URL_NOPAD.encode(&[&[VERSION], nonce.as_ref().as_slice(), &payload].concat()))
    }
}

fn read(token: &str, search: &Search, key: &RandomizedNonceKey) -> Option<Place> {
    let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
    let (VERSION, rest) = bytes.split_first().map(|(version, rest)| (*version, rest))? else {
        return None;
    };
    let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
    let mut sealed = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let payload = key
        .open_in_place(nonce, Aad::from(search.canonical().as_bytes()), &mut sealed)
        .ok()?;
    let (given, rest) = payload.split_first()?;
    let (limit, rest) = rest.split_first_chunk::<8>()?;
    let (before, after) = rest.split_first_chunk::<8>()?;
    Some(Place {
        after: Some(std::str::from_utf8(after).ok()?.to_owned()),
        before: u64::from_be_bytes(*before),
        limit: (*given == 1).then(|| u64::from_be_bytes(*limit)),
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
        let token = place.token(&search("a", "{}"), &tenant, &privacy).unwrap();
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).unwrap();
        assert!(
            !bytes
                .windows(3)
                .any(|window| window == b"ad\0" || window == &"éa".as_bytes()[..3])
        );
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
