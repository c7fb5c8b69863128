//! Choices that a seed repeats.

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): small, and good enough for
/// choices.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `most`, which is more than 0.
    pub(super) fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(most).unwrap()).unwrap()
    }

    /// From the first number up to and with the last.
    pub(super) fn from(&mut self, first: i64, last: i64) -> i64 {
        let count = u64::try_from(last - first).unwrap() + 1;
        first + i64::try_from(self.next() % count).unwrap()
    }

    /// Whether something happens that happens so often.
    pub(super) fn chance(&mut self, times: usize, of: usize) -> bool {
        self.below(of) < times
    }

    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// One of few far more often than one of the others.
    pub(super) fn skewed(&mut self, most: usize) -> usize {
        let few = (most / 50).clamp(1, 40);
        if self.chance(4, 5) {
            self.below(few)
        } else {
            self.below(most)
        }
    }

    /// A number of any size up to so many bits, each size as often as another.
    pub(super) fn sized(&mut self, bits: u32) -> i64 {
        let bits = u32::try_from(self.below(usize::try_from(bits).unwrap() + 1)).unwrap();
        i64::try_from(self.next() & ((1 << bits) - 1)).unwrap()
    }
}
