//! What is drawn: keys, names, salts.

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

/// The operating system's randomness does not fail once it was seeded; if it ever did, going on would be worse.
#[expect(
    clippy::expect_used,
    reason = "without randomness no credential may be made, and nothing else can be done"
)]
fn fill(random: &SystemRandom, bytes: &mut [u8]) {
    random.fill(bytes).expect("the operating system gives randomness");
}

pub(super) fn secret(random: &SystemRandom) -> Zeroizing<[u8; 32]> {
    let mut bytes = Zeroizing::new([0; 32]);
    fill(random, bytes.as_mut_slice());
    bytes
}

/// What a log's first key is made of.
pub(super) fn new_seed() -> Zeroizing<[u8; 32]> {
    secret(&SystemRandom::new())
}

pub(super) fn name_of(random: &SystemRandom) -> String {
    let mut bytes = [0; 5];
    fill(random, &mut bytes);
    data_encoding::BASE32_DNSSEC.encode(&bytes)
}

pub(super) fn random_bytes() -> [u8; 10] {
    let mut bytes = [0; 10];
    fill(&SystemRandom::new(), &mut bytes);
    bytes
}
