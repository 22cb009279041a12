//! All randomness of a run, from one seed: one independent stream per purpose.
//!
//! Whoever draws takes its own stream, named by purpose and number. Taking one fault away then
//! leaves every other stream as it was, which is what makes a failing seed shrink.
//!
//! Integers only: the same numbers on every machine and at every level of optimisation.

use core::ops::Range;
use core::time::Duration;

/// Parts in a million: how probabilities are written.
pub const MILLION: u32 = 1_000_000;

/// A stream of random numbers (SplitMix64, Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The stream of `seed` itself.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The stream of `seed` for one purpose, for instance `("disk", 2)`.
    #[must_use]
    pub fn stream(seed: u64, purpose: &str, number: u64) -> Self {
        let mut state = Self(seed ^ 0x51_7c_c1_b7_27_22_0a_95);
        for byte in purpose.bytes() {
            state.0 = state.0.rotate_left(8) ^ u64::from(byte);
            state.next_u64();
        }
        state.0 ^= number.wrapping_mul(0x2545_F491_4F6C_DD1D);
        Self(state.next_u64())
    }

    /// The next number.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number drawn evenly from `range`; its start where the range is empty.
    pub fn range<N: Integer>(&mut self, range: Range<N>) -> N {
        let width = range.start.below(range.end);
        if width == 0 {
            return range.start;
        }
        let drawn = (u128::from(self.next_u64()) * u128::from(width)) >> 64;
        range.start.plus(u64::try_from(drawn).expect("drawn below a 64-bit width"))
    }

    /// A position in something of this length.
    ///
    /// # Panics
    ///
    /// When the length is zero.
    pub fn index(&mut self, length: usize) -> usize {
        assert!(length > 0, "nothing to choose from");
        usize::try_from(self.range(0..length as u64)).expect("below a usize")
    }

    /// True in this many of a million cases.
    pub fn chance(&mut self, parts_per_million: u32) -> bool {
        self.range(0..u64::from(MILLION)) < u64::from(parts_per_million)
    }

    /// True in half of all cases.
    pub const fn coin(&mut self) -> bool {
        self.next_u64() & 1 == 1
    }

    /// A span drawn evenly from `min..max`.
    pub fn span(&mut self, min: Duration, max: Duration) -> Duration {
        Duration::from_nanos(self.range(nanos(min)..nanos(max)))
    }

    /// A span around `mean` with a heavy tail: each doubling is half as likely, up to a thousand
    /// times the mean.
    pub fn heavy_tailed(&mut self, mean: Duration) -> Duration {
        let doublings = self.next_u64().trailing_zeros().min(10);
        let base = self.range(nanos(mean) / 4..nanos(mean) / 2 + 1);
        Duration::from_nanos(base << doublings)
    }
}

/// Numbers that can be drawn.
pub trait Integer: Copy {
    /// How far this is below `end`; zero where it is not.
    #[doc(hidden)]
    fn below(self, end: Self) -> u64;

    /// The number that far above this one.
    #[doc(hidden)]
    fn plus(self, distance: u64) -> Self;
}

macro_rules! integers {
    ($($number:ty)*) => { $(
        impl Integer for $number {
            fn below(self, end: Self) -> u64 {
                let distance = if self < end { end.abs_diff(self) } else { 0 };
                u64::try_from(distance).expect("numbers have at most 64 bits")
            }

            #[allow(
                clippy::cast_possible_truncation,
                reason = "modulo the width of the type, the sum is what it should be"
            )]
            fn plus(self, distance: u64) -> Self {
                self.wrapping_add(distance as Self)
            }
        }
    )* };
}

integers!(u8 u16 u32 u64 usize i8 i16 i32 i64 isize);

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_one_seed_differ_and_repeat() {
        let first = |purpose, number| Rng::stream(7, purpose, number).next_u64();
        assert_eq!(first("disk", 1), first("disk", 1));
        assert_ne!(first("disk", 1), first("disk", 2));
        assert_ne!(first("disk", 1), first("clock", 1));
        assert_ne!(Rng::stream(8, "disk", 1).next_u64(), first("disk", 1));
    }

    #[test]
    fn a_chance_comes_about_as_often_as_it_says() {
        let mut rng = Rng::new(1);
        let hits = (0..100_000).filter(|_| rng.chance(250_000)).count();
        assert!((24_000..26_000).contains(&hits), "{hits}");
        assert!(!(0..1000).any(|_| rng.chance(0)));
        assert!((0..1000).all(|_| rng.chance(MILLION)));
    }

    #[test]
    fn a_range_holds_its_ends() {
        let mut rng = Rng::new(2);
        let drawn: Vec<u64> = (0..1000).map(|_| rng.range(3..6)).collect();
        assert!(drawn.iter().all(|n| (3..6).contains(n)));
        assert!((3..6).all(|n| drawn.contains(&n)));
        assert_eq!(rng.range(5..5), 5);
        let below: Vec<i8> = (0..1000).map(|_| rng.range(-100_i8..100)).collect();
        assert!(below.iter().all(|n| (-100..100).contains(n)));
        assert!(below.iter().min() < Some(&-90) && below.iter().max() > Some(&90));
    }
}
