//! Kinds of faults that strike at times of their own: when, whom, how long and how hard.
//!
//! The strikes of a kind are a list that the seed alone decides, whatever happens in the world. Each
//! draws what it needs from a stream of its own, by its number: any of them can be left out, and the
//! others stay as they are.

use core::time::Duration;

use super::{Fault, Plan, Rate, stream, way};
use crate::rng::Rng;

/// One strike of a kind.
#[derive(Clone, Debug)]
pub struct Strike {
    /// Its kind.
    pub kind: Fault,
    /// Which one of its kind, from 0.
    pub number: u32,
    /// When.
    pub at: Duration,
    /// How long it lasts, where that means something.
    pub lasts: Duration,
    /// How hard it strikes, in the unit of its kind.
    pub size: u64,
    whom: u64,
    apart: u64,
    /// For whatever else it draws.
    pub(crate) rng: Rng,
}

impl Strike {
    /// Whom it strikes, and whom it strikes together with that one, among so many nodes.
    ///
    /// # Panics
    ///
    /// When there is no node.
    #[must_use]
    pub fn pair(&self, nodes: usize) -> (usize, usize) {
        let node = below(self.whom, nodes);
        let apart = 1 + below(self.apart, nodes.max(2) - 1);
        (node, (node + apart) % nodes)
    }
}

/// A place in something of this length, from an even draw of 64 bits.
fn below(drawn: u64, length: usize) -> usize {
    let place = (u128::from(drawn) * length as u128) >> 64;
    usize::try_from(place).expect("below a usize")
}

/// All strikes of a kind that are left, in the order of time; there is no end to them.
#[derive(Clone, Debug)]
pub struct Strikes {
    kind: Fault,
    seed: u64,
    rate: Rate,
    times: Rng,
    at: Duration,
    number: u32,
}

impl Strikes {
    /// The strikes of a kind, unless it is off or strikes at no times of its own.
    #[must_use]
    pub fn of(seed: u64, kind: Fault, plan: &Plan) -> Option<Self> {
        let rate = *plan.rate(kind);
        let mut times = Rng::stream(seed, kind.name(), stream::TIMES);
        let at = times.span(Duration::ZERO, rate.every);
        (!rate.every.is_zero()).then_some(Self { kind, seed, rate, times, at, number: 0 })
    }

    /// The next strike, be it left or not.
    pub(crate) fn next_strike(&mut self) -> Strike {
        let Self { kind, number, at, rate, .. } = *self;
        let mut rng = Rng::stream(self.seed, kind.name(), stream::STRIKE + u64::from(number));
        // Short ones more often than long ones, mild ones more often than hard ones.
        let mut part = || rng.range(0..1_001_u64).pow(2);
        let (long, hard) = (part(), part());
        let mild = kind.scale().size.0;
        let way = way(rate.size.abs_diff(mild), hard);
        let most = u64::try_from(rate.lasts.as_micros()).expect("rates are short");
        let strike = Strike {
            kind,
            number,
            at,
            lasts: Duration::from_micros(most * long / 1_000_000).max(Duration::from_millis(1)),
            size: if rate.size >= mild { mild + way } else { mild - way },
            whom: rng.next_u64(),
            apart: rng.next_u64(),
            rng,
        };
        self.number += 1;
        self.at += self.times.span(rate.every / 2, rate.every * 3 / 2);
        strike
    }

    /// Strikes that this list has given out so far.
    pub(crate) const fn so_far(&self) -> u32 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Faults;

    #[test]
    fn strikes_are_drawn_ahead_and_within_their_rate() {
        let mut seen = 0;
        for seed in 0..40 {
            let plan = Plan::draw(seed, &Faults::all());
            for kind in plan.on.iter() {
                let Some(mut strikes) = Strikes::of(seed, kind, &plan) else { continue };
                let rate = plan.rate(kind);
                let (low, high) =
                    (rate.size.min(kind.scale().size.0), rate.size.max(kind.scale().size.0));
                let mut before = Duration::ZERO;
                for number in 0..20 {
                    let strike = strikes.next_strike();
                    assert_eq!((strike.kind, strike.number), (kind, number));
                    assert!(strike.at <= before + rate.every * 3 / 2, "{kind}");
                    assert!(number == 0 || strike.at >= before + rate.every / 2, "{kind}");
                    assert!(strike.lasts <= rate.lasts.max(Duration::from_millis(1)), "{kind}");
                    assert!((low..=high).contains(&strike.size), "{kind}");
                    for nodes in 2..6 {
                        let (one, other) = strike.pair(nodes);
                        assert!(one < nodes && other < nodes && one != other, "{kind}");
                    }
                    before = strike.at;
                    seen += 1;
                }
            }
        }
        assert!(seen > 1_000, "{seen}");
    }
}
