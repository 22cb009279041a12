//! What goes wrong in a run, how often and how badly: drawn from the seed, each kind by a coin and
//! then by rates of its own.
//!
//! Every number of every kind comes from a stream of its own, so that switching one kind off, or
//! leaving out one of its strikes, leaves the others as they were.

mod chance;
mod faults;
mod kinds;
mod strikes;

use core::time::Duration;

pub use self::faults::{Faults, FaultsError};
pub use self::kinds::Fault;
pub use self::strikes::{Strike, Strikes};

pub(crate) use self::chance::Chances;
use crate::rng::Rng;

/// How often a kind of fault strikes, and how hard. What a kind does not have is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Rate {
    /// Parts in a million of what it befalls.
    pub share: u32,
    /// Time between two strikes.
    pub every: Duration,
    /// How long what it does takes at most.
    pub lasts: Duration,
    /// How hard it strikes at most, in a unit of its own.
    pub size: u64,
}

/// Streams of a kind, by what is drawn from them.
mod stream {
    pub(super) const COIN: u64 = 0;
    pub(super) const SHARE: u64 = 1;
    pub(super) const EVERY: u64 = 2;
    pub(super) const LASTS: u64 = 3;
    pub(super) const SIZE: u64 = 4;
    /// Whether it strikes.
    pub(super) const CHANCE: u64 = 5;
    /// When it strikes.
    pub(super) const TIMES: u64 = 6;
    /// From here on, one for each strike.
    pub(super) const STRIKE: u64 = 1 << 32;
}

impl Rate {
    /// Draws low rates more often than high ones: a world in which nothing gets through shows little.
    fn draw(seed: u64, kind: Fault) -> Self {
        let part = |stream| Rng::stream(seed, kind.name(), stream).range(0..1_001_u64).pow(2);
        Self::at(kind, part)
    }

    /// As hard as the kind gets.
    fn hardest(kind: Fault) -> Self {
        Self::at(kind, |_| 1_000_000)
    }

    /// Where between mild and hard each number lies, in parts of a million.
    fn at(kind: Fault, part: impl Fn(u64) -> u64) -> Self {
        let scale = kind.scale();
        let between = |(mild, hard): (u64, u64), stream| {
            let way = way(mild.abs_diff(hard), part(stream));
            if hard >= mild { mild + way } else { mild - way }
        };
        Self {
            share: u32::try_from(between(scale.share, stream::SHARE)).expect("at most a million"),
            every: Duration::from_millis(between(scale.every, stream::EVERY)),
            lasts: Duration::from_millis(between(scale.lasts, stream::LASTS)),
            size: between(scale.size, stream::SIZE),
        }
    }

    /// What was drawn, in words.
    fn words(self, kind: Fault) -> String {
        let mut words = Vec::new();
        if self.share > 0 {
            words.push(format!("{:.3} %", f64::from(self.share) / 10_000.0));
        }
        if !self.every.is_zero() {
            words.push(format!("every {:.1?}", self.every));
        }
        if !self.lasts.is_zero() {
            words.push(format!("up to {:.1?}", self.lasts));
        }
        let scale = kind.scale();
        if scale.size != (0, 0) {
            let bound = if scale.size.0 <= scale.size.1 { "at most" } else { "at least" };
            words.push(format!("{bound} {} {}", self.size, scale.unit));
        }
        if words.is_empty() { "on".to_owned() } else { words.join(", ") }
    }
}

/// How far to go in whole steps, all as wide, when it is this part of a million.
fn way(whole: u64, part: u64) -> u64 {
    ((whole + 1) * part / 1_000_000).min(whole)
}

/// The faults of one run with their rates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The kinds that are on, and which of their strikes.
    pub on: Faults,
    /// Mean delay of a message.
    pub delay: Duration,
    /// Mean time of a disk operation.
    pub disk: Duration,
    /// One for each kind; zero for those that are off.
    rates: [Rate; Fault::ALL.len()],
}

impl Plan {
    /// Draws the faults of a run: each kind that is allowed is on with probability one half.
    #[must_use]
    pub fn draw(seed: u64, allowed: &Faults) -> Self {
        let on = allowed.filter(|kind| Rng::stream(seed, kind.name(), stream::COIN).coin());
        let rate = |kind| if on.contains(kind) { Rate::draw(seed, kind) } else { Rate::default() };
        let rates = Fault::ALL.map(rate);
        let part = |what, max: u64| {
            let part = Rng::stream(seed, what, 0).range(0..1_001_u64);
            max * part * part / 1_000_000
        };
        Self {
            on,
            delay: Duration::from_micros(1_000 + part("delay of messages", 59_000)),
            disk: Duration::from_micros(20 + part("time of disks", 4_000)),
            rates,
        }
    }

    /// Nothing goes wrong by itself, messages take about a millisecond, disks are fast.
    #[must_use]
    pub fn calm() -> Self {
        let (delay, disk) = (Duration::from_millis(1), Duration::from_micros(100));
        Self { delay, disk, ..Self::draw(0, &Faults::none()) }
    }

    /// The same without one kind.
    #[must_use]
    pub fn without(mut self, kind: Fault) -> Self {
        self.switch_off(kind);
        self
    }

    /// Whether a kind is on.
    #[must_use]
    pub const fn has(&self, kind: Fault) -> bool {
        self.on.contains(kind)
    }

    /// How often a kind strikes, and how hard; zeros where it is off.
    #[must_use]
    pub const fn rate(&self, kind: Fault) -> &Rate {
        &self.rates[kind as usize]
    }

    /// Switches a kind on, as hard as it gets, unless said otherwise.
    pub(crate) fn switch_on(&mut self, kind: Fault, change: impl FnOnce(&mut Rate)) {
        self.on.insert(kind);
        let mut rate = Rate::hardest(kind);
        change(&mut rate);
        self.rates[kind as usize] = rate;
    }

    pub(crate) fn switch_off(&mut self, kind: Fault) {
        self.on.remove(kind);
        self.rates[kind as usize] = Rate::default();
    }

    /// Everything that was drawn, by name, for people.
    #[must_use]
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let spans = [("delay of a message", self.delay), ("disk operation takes", self.disk)];
        let spans = spans.into_iter().map(|(name, span)| (name, format!("{span:.1?}")));
        let kinds = self.on.iter().map(|kind| (kind.name(), self.rate(kind).words(kind)));
        [("faults", self.on.to_string())].into_iter().chain(spans).chain(kinds).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taking_a_kind_away_leaves_all_others_as_they_were() {
        for seed in 0..50 {
            let whole = Plan::draw(seed, &Faults::all());
            for kind in Fault::ALL {
                let fewer = Plan::draw(seed, &Faults::all().without(kind));
                assert_eq!(fewer, whole.clone().without(kind), "seed {seed} without {kind}");
            }
        }
    }

    #[test]
    fn every_number_of_every_kind_is_drawn_from_mild_to_hard() {
        for kind in Fault::ALL {
            let drawn: Vec<Rate> = (0..400).map(|seed| Rate::draw(seed, kind)).collect();
            let scale = kind.scale();
            let check = |what: &str, (mild, hard): (u64, u64), of: &dyn Fn(&Rate) -> u64| {
                let (low, high) = (mild.min(hard), mild.max(hard));
                let within = drawn.iter().filter(|rate| (low..=high).contains(&of(rate))).count();
                assert_eq!(within, drawn.len(), "{what} of {kind}");
                // Half of all draws lie in the mildest quarter, and some in the hardest.
                let from_mild = |rate: &&Rate| of(rate).abs_diff(mild) * 4 <= high - low;
                let mild = drawn.iter().filter(from_mild).count();
                assert!((140..).contains(&mild), "{what} of {kind}: {mild} mild ones");
                let from_hard = |rate: &&Rate| of(rate).abs_diff(hard) * 4 <= high - low;
                let hard = drawn.iter().filter(from_hard).count();
                assert!(hard > 20, "{what} of {kind}: {hard} hard ones");
            };
            check("share", scale.share, &|rate| u64::from(rate.share));
            let millis = |span: Duration| u64::try_from(span.as_millis()).expect("short");
            check("every", scale.every, &|rate| millis(rate.every));
            check("lasts", scale.lasts, &|rate| millis(rate.lasts));
            check("size", scale.size, &|rate| rate.size);
        }
    }

    #[test]
    fn two_kinds_never_draw_the_same() {
        // Kinds of one scale would agree in every seed if they shared a stream.
        let plans: Vec<Plan> = (0..40).map(|seed| Plan::draw(seed, &Faults::all())).collect();
        let both = |plan: &&Plan| plan.has(Fault::Split) && plan.has(Fault::Ring);
        let plans: Vec<&Plan> = plans.iter().filter(both).collect();
        assert!(plans.len() > 3);
        assert!(plans.iter().any(|plan| plan.rate(Fault::Split) != plan.rate(Fault::Ring)));
    }
}
