//! Replies put together from event streams.

use bytes::Bytes;
use llm::{AssembleError, Assembler, Endpoint};

use crate::cut::pieces;
use crate::must;

/// Bounds of replies: one that inputs reach, and one that they do not.
const BOUNDS: [usize; 2] = [2_000, 1 << 20];

/// However a stream is cut, the same reply is made of it, or none for the same reason; it is JSON, not much larger than
/// its bound lets it be, and a wider bound does not change it.
pub fn assemble(data: &[u8]) {
    for endpoint in Endpoint::ALL {
        let found = BOUNDS.map(|most| assemble_within(endpoint, most, data));
        match found {
            [Some(narrow), Some(wide)] => {
                assert!(
                    narrow == wide || narrow == Err(AssembleError::TooLarge),
                    "{endpoint:?}: {narrow:?} is {wide:?} where there is room"
                );
            }
            found => assert_eq!(found, [None, None], "{endpoint:?}"),
        }
    }
}

/// What is made of a stream, where anything is.
fn assemble_within(endpoint: Endpoint, most: usize, data: &[u8]) -> Option<Result<Bytes, AssembleError>> {
    let whole = assemble_pieces(Assembler::new(endpoint, most)?, &[data]);
    for way in [0, 1, 2] {
        let parts = assemble_pieces(Assembler::new(endpoint, most)?, &pieces(data, way));
        assert_eq!(parts, whole, "{endpoint:?}, cut the way {way}");
    }
    if let Ok(reply) = &whole {
        must(
            serde_json::from_slice::<serde::de::IgnoredAny>(reply),
            "a reply is JSON",
        );
        assert!(reply.len() <= 2 * most, "{endpoint:?}: {} bytes", reply.len());
    }
    Some(whole)
}

/// After an error nothing more is taken in, and the error stays.
fn assemble_pieces(mut assembler: Assembler, pieces: &[&[u8]]) -> Result<Bytes, AssembleError> {
    let mut failed = None;
    for piece in pieces {
        let taken = assembler.push(piece);
        assert!(
            failed.is_none() || failed == taken.clone().err(),
            "{failed:?}, then {taken:?}"
        );
        failed = taken.err();
    }
    let reply = assembler.finish();
    assert!(
        failed.is_none() || failed == reply.clone().err(),
        "{failed:?}, then {reply:?}"
    );
    reply
}
