//! Random numbers from a seed: the same on every run.

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(super) struct Random(u64);

impl Random {
    /// The generator of one part of the evaluation: what one part draws does not depend on the others.
    pub(super) fn new(seed: u64, part: &str) -> Self {
        let start = part.bytes().fold(seed, |all, byte| {
            all.wrapping_mul(0x0100_0000_01b3).wrapping_add(u64::from(byte))
        });
        Self(start)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between 0 and 1, 1 not included.
    pub(super) fn unit(&mut self) -> f64 {
        let bits = u32::try_from(self.next() >> 32).unwrap_or(0);
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }

    /// Whether something of this probability happens.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A whole number from `least` to `most`.
    pub(super) fn between(&mut self, least: usize, most: usize) -> usize {
        let span = u64::try_from(most - least + 1).unwrap_or(1);
        least + usize::try_from(self.next() % span).unwrap_or(0)
    }

    /// One of several.
    pub(super) fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        match all.len() {
            0 => None,
            len => all.get(self.between(0, len - 1)),
        }
    }

    /// Log-normal, by its median and the deviation of its logarithm.
    pub(super) fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        median * (sigma * self.normal()).exp()
    }

    fn normal(&mut self) -> f64 {
        let (a, b) = (1.0 - self.unit(), self.unit());
        (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    }

    /// How often something happens that happens `mean` times in the mean, independently.
    pub(super) fn poisson(&mut self, mean: f64) -> usize {
        if mean > 30.0 {
            let drawn = (mean + mean.sqrt() * self.normal()).round().max(0.0);
            return (0_u32..).take_while(|count| f64::from(*count) < drawn).count();
        }
        let (limit, mut product, mut count) = ((-mean).exp(), self.unit(), 0);
        while product > limit {
            product *= self.unit();
            count += 1;
        }
        count
    }
}
