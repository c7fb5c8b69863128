//! What a witness answers.

use http::StatusCode;
use tlog::note::{NoteError, Signature};

use crate::request::size;

/// The content type of the answer that says which size a witness has cosigned.
pub const SIZE_TYPE: &str = "text/x.tlog.size";
/// The content type of all others.
const TEXT_TYPE: &str = "text/plain; charset=utf-8";
/// What is passed on of a refusal's text at the most, in characters.
const REASON_MAX: usize = 200;

/// Why a witness does not cosign. Each has one status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 400: it is no request.
    #[error("{0}")]
    Malformed(String),
    /// 400: the old tree would be larger than the new one.
    #[error("the old size {old} is larger than the checkpoint's, {new}")]
    Backwards {
        /// What the request takes for the witness's size.
        old: u64,
        /// The size of the checkpoint.
        new: u64,
    },
    /// 404: the log is not one that the witness knows.
    #[error("unknown log: this witness has no keys of {0}")]
    UnknownLog(String),
    /// 403: no key that the witness knows of the log has signed the checkpoint, or a signature does not hold or is none.
    #[error("invalid signature: {0}")]
    Unsigned(NoteError),
    /// 409: the witness has cosigned another size than the request goes on from.
    #[error("the last cosigned checkpoint has size {0}")]
    OtherSize(u64),
    /// 422: at this size the witness has cosigned another root. Both are signed by the log: it has two histories.
    #[error("the consistency proof fails: at size {0} this witness has cosigned another root")]
    Forked(u64),
    /// 422: the proof does not lead from what the witness has cosigned to the checkpoint.
    #[error("the consistency proof from size {old} to size {new} fails: {why}")]
    Unproved {
        /// The size of what the witness has cosigned.
        old: u64,
        /// The size of the checkpoint.
        new: u64,
        /// What is wrong with the proof.
        why: String,
    },
    /// 500: what would be cosigned cannot be stored.
    #[error("the witness cannot store anything: its operator knows why")]
    Storage,
}

/// What a witness answers to `add-checkpoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200: its cosignatures.
    Cosigned(Vec<Signature>),
    /// Another status.
    Refused(Refusal),
}

impl Refusal {
    /// Its status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::Backwards { .. } => StatusCode::BAD_REQUEST,
            Self::UnknownLog(_) => StatusCode::NOT_FOUND,
            Self::Unsigned(_) => StatusCode::FORBIDDEN,
            Self::OtherSize(_) => StatusCode::CONFLICT,
            Self::Forked(_) | Self::Unproved { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Storage => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl Answer {
    /// Its status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Cosigned(_) => StatusCode::OK,
            Self::Refused(refusal) => refusal.status(),
        }
    }

    /// Its content type and its body.
    pub fn body(&self) -> (&'static str, String) {
        match self {
            Self::Cosigned(signatures) => {
                let lines = signatures.iter().map(|signature| format!("{signature}\n"));
                (TEXT_TYPE, lines.collect())
            }
            Self::Refused(Refusal::OtherSize(size)) => (SIZE_TYPE, format!("{size}\n")),
            Self::Refused(refusal) => (TEXT_TYPE, format!("{refusal}\n")),
        }
    }

    /// Reads what a witness has answered to a request that goes on from `old`. Nothing of it is believed.
    ///
    /// # Errors
    /// What is wrong with it, when it is not an answer of the protocol.
    pub fn read(status: StatusCode, content_type: Option<&str>, body: &[u8], old: u64) -> Result<Self, String> {
        let text = std::str::from_utf8(body).map_err(|_| "its answer is not UTF-8 text".to_owned())?;
        let kind = content_type.and_then(|kind| kind.split(';').next()).map(str::trim);
        let reason = || shown(text);
        let refusal = match status {
            StatusCode::OK => {
                let lines = Signature::parse_lines(text).map_err(|error| format!("its answer: {error}"))?;
                return Ok(Self::Cosigned(lines));
            }
            StatusCode::CONFLICT => match text.strip_suffix('\n').and_then(size) {
                // To say that it is elsewhere than where it was said to be, and to name that place, is to say that what
                // was cosigned there was something else.
                Some(size) if size == old => Refusal::Forked(size),
                Some(size) => Refusal::OtherSize(size),
                // Some versions of the specification have 409 for another root at the same size, with any text.
                None if kind != Some(SIZE_TYPE) => Refusal::Forked(old),
                None => return Err("its answer says a size that is no number".to_owned()),
            },
            StatusCode::UNPROCESSABLE_ENTITY => Refusal::Unproved {
                old,
                new: old,
                why: reason(),
            },
            StatusCode::NOT_FOUND => Refusal::UnknownLog(reason()),
            StatusCode::FORBIDDEN => Refusal::Unsigned(NoteError::UnknownSigners),
            StatusCode::BAD_REQUEST => Refusal::Malformed(reason()),
            status => return Err(format!("it answered {status}: {}", reason())),
        };
        Ok(Self::Refused(refusal))
    }
}

/// What may be shown to people of a stranger's text.
fn shown(text: &str) -> String {
    let plain = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(REASON_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_they_are_written() {
        let line = "— w.example AAAAAAA=\n";
        let cosigned = Answer::Cosigned(Signature::parse_lines(line).unwrap());
        let refused = |refusal| Answer::Refused(refusal);
        for (answer, status, kind, text) in [
            (cosigned, 200, TEXT_TYPE, line),
            (refused(Refusal::OtherSize(7)), 409, SIZE_TYPE, "7\n"),
        ] {
            assert_eq!(answer.status().as_u16(), status);
            assert_eq!(answer.body(), (kind, text.to_owned()));
            let read = Answer::read(answer.status(), Some(kind), text.as_bytes(), 3);
            assert_eq!(read, Ok(answer));
        }
        for (refusal, status) in [
            (Refusal::Malformed("x".to_owned()), 400),
            (Refusal::Backwards { old: 2, new: 1 }, 400),
            (Refusal::UnknownLog("x".to_owned()), 404),
            (Refusal::Unsigned(NoteError::UnknownSigners), 403),
            (Refusal::Forked(3), 422),
            (
                Refusal::Unproved {
                    old: 1,
                    new: 3,
                    why: "x".to_owned(),
                },
                422,
            ),
            (Refusal::Storage, 500),
        ] {
            assert_eq!(refusal.status().as_u16(), status, "{refusal}");
        }
    }

    #[test]
    fn strangers_answers() {
        let read = |status: u16, kind: Option<&str>, body: &str| {
            Answer::read(StatusCode::from_u16(status).unwrap(), kind, body.as_bytes(), 5)
        };
        let refused = |refusal| Ok(Answer::Refused(refusal));
        assert_eq!(read(409, Some(SIZE_TYPE), "9\n"), refused(Refusal::OtherSize(9)));
        assert_eq!(
            read(409, None, "9\n"),
            refused(Refusal::OtherSize(9)),
            "a type is not needed"
        );
        assert_eq!(read(409, Some(SIZE_TYPE), "5\n"), refused(Refusal::Forked(5)));
        assert_eq!(read(409, Some("text/plain"), "no"), refused(Refusal::Forked(5)));
        assert!(read(409, Some(SIZE_TYPE), "9").is_err());
        assert!(read(409, Some(SIZE_TYPE), "09\n").is_err());
        assert!(read(200, None, "").is_err());
        assert!(read(200, None, "nonsense\n").is_err());
        assert!(read(200, None, "— w.example AAAAAAA=").is_err(), "no newline");
        assert!(read(301, None, "elsewhere").is_err());
        let error = read(503, None, "\u{1b}[31mred").unwrap_err();
        assert_eq!(error, "it answered 503 Service Unavailable:  [31mred");
        assert!(Answer::read(StatusCode::OK, None, &[0xff], 0).is_err());
        match read(422, None, &"x".repeat(5000)) {
            Ok(Answer::Refused(Refusal::Unproved { why, .. })) => assert_eq!(why.len(), REASON_MAX),
            other => panic!("{other:?}"),
        }
    }
}
