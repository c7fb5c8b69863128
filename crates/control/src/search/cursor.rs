//! Cursors: where a search goes on, with all that was searched for, as one word.
//!
//! A cursor has the instants and pseudonyms that the first page was asked for, so that later pages are of the same search,
//! whatever time it is by then. It stands behind a code that only this server can make: what it says was checked once.

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use store::{Position, SearchQuestion};

use crate::{AdminError, Control};

/// The bytes of the code.
const CODE: usize = 16;

#[derive(Serialize, Deserialize)]
struct Cursor {
    search: SearchQuestion,
}

impl Control {
    /// The cursor of what comes from `next` on.
    pub(super) fn cursor(&self, question: &SearchQuestion, next: &Position) -> Result<String, AdminError> {
        let search = SearchQuestion {
            from: Some(next.clone()),
            limit: 0,
            ..question.clone()
        };
        let body = serde_json::to_vec(&Cursor { search });
        let body = body.map_err(|error| AdminError::Unavailable(format!("no cursor: {error}")))?;
        let mut bytes = self.privacy().cursor_code(&body).to_vec();
        bytes.extend_from_slice(&body);
        Ok(BASE64URL_NOPAD.encode(&bytes))
    }

    /// What a cursor says.
    pub(super) fn read_cursor(&self, cursor: &str) -> Result<SearchQuestion, AdminError> {
        let read = || {
            let bytes = BASE64URL_NOPAD.decode(cursor.trim().as_bytes()).ok()?;
            let (code, body) = bytes.split_first_chunk::<CODE>()?;
            let genuine = self.privacy().cursor_code(body) == *code;
            let cursor: Cursor = genuine.then(|| serde_json::from_slice(body).ok())??;
            Some(cursor.search)
        };
        read().ok_or_else(|| {
            AdminError::Invalid(
                "this is no cursor of this server: copy it whole from the answer before, or search anew".to_owned(),
            )
        })
    }
}
