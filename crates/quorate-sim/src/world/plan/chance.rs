//! Kinds of faults that befall one thing in so many: whether the next one is hit.
//!
//! Each kind has a stream of its own and numbers its strikes, so that one of them can be left out
//! and all others stay as long as the run does.

use super::{Fault, Plan, stream};
use crate::rng::Rng;

/// The chances of all kinds.
#[derive(Debug)]
pub(crate) struct Chances {
    seed: u64,
    dice: [Die; Fault::ALL.len()],
    /// Nothing strikes any more.
    calm: bool,
}

#[derive(Debug)]
struct Die {
    rng: Rng,
    /// Strikes so far, with those that were left out.
    strikes: u32,
}

impl Chances {
    pub(crate) fn new(seed: u64) -> Self {
        let die =
            |kind: Fault| Die { rng: Rng::stream(seed, kind.name(), stream::CHANCE), strikes: 0 };
        Self { seed, dice: Fault::ALL.map(die), calm: false }
    }

    pub(crate) const fn calm_down(&mut self) {
        self.calm = true;
    }

    /// Whether a kind strikes here. If so, gives the stream from which this strike draws the rest.
    pub(crate) fn strikes(&mut self, plan: &Plan, kind: Fault) -> Option<Rng> {
        self.strikes_times(plan, kind, 1)
    }

    /// The same for things that it befalls so many times as often.
    pub(crate) fn strikes_times(&mut self, plan: &Plan, kind: Fault, times: u32) -> Option<Rng> {
        let share = plan.rate(kind).share;
        if share == 0 || self.calm {
            return None;
        }
        let die = &mut self.dice[kind as usize];
        if !die.rng.chance(share.saturating_mul(times)) {
            return None;
        }
        let number = die.strikes;
        die.strikes += 1;
        let leaves = plan.on.leaves(kind, number);
        leaves.then(|| Rng::stream(self.seed, kind.name(), stream::STRIKE + u64::from(number)))
    }

    /// Strikes of a kind so far, with those that were left out.
    pub(crate) const fn so_far(&self, kind: Fault) -> u32 {
        self.dice[kind as usize].strikes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Faults;

    #[test]
    fn a_strike_left_out_leaves_the_others_as_they_were() {
        let strikes = |faults: &str| -> Vec<(u32, u64)> {
            let mut plan = Plan::calm();
            plan.switch_on(Fault::Drop, |rate| rate.share = 50_000);
            plan.on = faults.parse().unwrap();
            let mut chances = Chances::new(3);
            let struck = (0..1_000).filter_map(|at| {
                chances.strikes(&plan, Fault::Drop).map(|mut rng| (at, rng.next_u64()))
            });
            struck.collect()
        };
        let all = strikes("drop");
        assert!(all.len() > 20, "{}", all.len());
        let fewer = strikes("drop:0-3+5-1000");
        assert_eq!(fewer, [&all[..4], &all[5..]].concat());
        let halved: Vec<(u32, u64)> = all.iter().copied().step_by(2).collect();
        assert_eq!(strikes("drop/2"), halved);
        assert_eq!(strikes("drop:2"), all[2..3]);
    }

    #[test]
    fn nothing_strikes_in_calm_worlds() {
        let mut plan = Plan::draw(1, &Faults::none());
        plan.switch_on(Fault::Drop, |rate| rate.share = 1_000_000);
        let mut chances = Chances::new(3);
        assert!(chances.strikes(&plan, Fault::Drop).is_some());
        assert!(chances.strikes(&plan, Fault::Duplicate).is_none(), "it is off");
        chances.calm_down();
        assert!(chances.strikes(&plan, Fault::Drop).is_none());
    }
}
