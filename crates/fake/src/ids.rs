//! Identifiers that look like a provider's: a prefix and random letters and digits. They are unique, not secret.

/// Where the identifiers of one call come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ids(u64);

impl Ids {
    /// The identifiers of call `number` of the provider that was started with `seed`.
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        Self(mix(seed ^ mix(number)))
    }

    /// An identifier with `prefix` and `length` letters and digits. `which` tells apart several of one call.
    pub(crate) fn id(self, prefix: &str, length: usize, which: u64) -> String {
        const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut id = String::with_capacity(prefix.len() + length);
        id.push_str(prefix);
        let mut state = mix(self.0 ^ mix(which.wrapping_add(1)));
        let mut left = 0_u64;
        for _ in 0..length {
            if left < 62 {
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                left = mix(state);
            }
            let at = usize::try_from(left % 62).unwrap_or(0);
            id.push(char::from(ALPHABET.get(at).copied().unwrap_or(b'0')));
            left /= 62;
        }
        id
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): spreads the bits of a counter.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_differ_by_call_and_within_a_call() {
        let mut seen = HashSet::new();
        for number in 1..2000 {
            for which in 0..3 {
                let id = Ids::new(7, number).id("msg_", 24, which);
                assert!(id.starts_with("msg_") && id.len() == 28);
                assert!(seen.insert(id));
            }
        }
    }
}
