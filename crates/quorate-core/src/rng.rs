//! A small seeded generator for election timeouts: the seed comes from the shell.

use core::time::Duration;

use crate::time::nanos;

/// SplitMix64 (Steele, Lea, Flood 2014): enough to spread timeouts, not for secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    #[cfg(test)]
    pub(crate) const fn below(&mut self, limit: u64) -> u64 {
        self.next_u64() % limit
    }

    /// A span drawn evenly from `min..max`, in nanoseconds; `min` where the range is empty.
    pub(crate) fn span(&mut self, min: Duration, max: Duration) -> u64 {
        self.between(nanos(min), nanos(max))
    }

    /// As [`Self::span`], of nanoseconds.
    #[inline]
    pub(crate) fn between(&mut self, min: u64, max: u64) -> u64 {
        if max <= min {
            return min;
        }
        let drawn = (u128::from(self.next_u64()) * u128::from(max - min)) >> 64;
        min + u64::try_from(drawn).expect("what is drawn is below the width")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_lie_in_their_range_and_spread_over_it() {
        let (min, max) = (Duration::from_millis(300), Duration::from_millis(600));
        let mut rng = Rng::new(7);
        let spans: Vec<u64> = (0..1000).map(|_| rng.span(min, max)).collect();
        assert!(spans.iter().all(|span| (300_000_000..600_000_000).contains(span)));
        let early = spans.iter().filter(|span| **span < 450_000_000).count();
        assert!((400..600).contains(&early), "{early} of 1000 in the first half");
        assert_eq!(rng.span(min, min), 300_000_000);
    }
}
