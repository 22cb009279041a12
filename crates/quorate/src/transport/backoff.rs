//! How long to wait before dialling again: ever longer, and never all at once.

use std::time::Duration;

/// Shortest wait.
const FIRST: Duration = Duration::from_millis(20);
/// Longest wait while a peer cannot be reached.
const LONGEST: Duration = Duration::from_secs(1);
/// Shortest wait after a refusal, which seldom heals by itself.
const AFTER_REFUSAL: Duration = Duration::from_secs(1);
/// Longest wait while a peer refuses.
const LONGEST_REFUSED: Duration = Duration::from_secs(10);

/// Exponential waits with jitter from a seeded generator.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    next: Duration,
    rng: u64,
}

impl Backoff {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { next: FIRST, rng: seed }
    }

    /// Begins anew after a success, or after a sign that the peer is back.
    pub(crate) const fn reset(&mut self) {
        self.next = FIRST;
    }

    /// The wait after a failure: drawn from the upper half of a span that doubles each time.
    pub(crate) fn wait(&mut self, refused: bool) -> Duration {
        let (least, most) =
            if refused { (AFTER_REFUSAL, LONGEST_REFUSED) } else { (FIRST, LONGEST) };
        let span = self.next.clamp(least, most);
        self.next = (span * 2).min(most);
        let half = span / 2;
        half + half.mul_f64(self.fraction())
    }

    /// A number from 0 up to, not including, 1 (SplitMix64).
    fn fraction(&mut self) -> f64 {
        self.rng = self.rng.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.rng;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let high = u32::try_from((z ^ (z >> 31)) >> 32).expect("32 bits are left");
        f64::from(high) / 4_294_967_296.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_second_and_begin_anew_after_a_reset() {
        let mut backoff = Backoff::new(7);
        let mut most = FIRST;
        for _ in 0..10 {
            let wait = backoff.wait(false);
            assert!(wait >= most / 2 && wait <= most, "{wait:?} of {most:?}");
            most = (most * 2).min(LONGEST);
        }
        backoff.reset();
        assert!(backoff.wait(false) <= FIRST);
    }

    #[test]
    fn a_refusal_waits_longer() {
        let mut backoff = Backoff::new(7);
        assert!(backoff.wait(true) >= AFTER_REFUSAL / 2);
        for _ in 0..10 {
            backoff.wait(true);
        }
        let wait = backoff.wait(true);
        assert!(wait >= LONGEST_REFUSED / 2 && wait <= LONGEST_REFUSED);
    }

    #[test]
    fn two_seeds_do_not_dial_in_step() {
        let waits = |seed| {
            let mut backoff = Backoff::new(seed);
            (0..5).map(|_| backoff.wait(false)).collect::<Vec<_>>()
        };
        assert_ne!(waits(1), waits(2));
        assert_eq!(waits(1), waits(1));
    }
}
