//! Bytes cut into pieces, at places that they say themselves.

/// The pieces of `bytes`. `way` 0 cuts behind every byte; every other way cuts at places of its own, which depend on the
/// bytes, so that a mutated input is also cut elsewhere.
pub(crate) fn pieces(bytes: &[u8], way: u64) -> Vec<&[u8]> {
    // FNV-1a seeds xorshift.
    let hash = |seed: u64, byte: &u8| (seed ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let mut state = bytes.iter().fold(0xcbf2_9ce4_8422_2325 ^ way, hash) | 1;
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let length = if way == 0 {
            1
        } else {
            usize::try_from(state % (4 << (3 * (way % 4)))).map_or(1, |length| length + 1)
        };
        let (piece, behind) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}
