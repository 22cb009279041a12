//! Makes a failing run small: takes away kinds of faults, single strikes of each, time, clients,
//! requests and nodes, until nothing more can go while the same invariant breaks.
//!
//! Every stream of randomness stands alone and strikes are numbered, so that what is taken away
//! changes as little as possible of the rest. What is left is a set of [`Faults`] and settings: both
//! have a text, for the command line and for a test.

use core::time::Duration;

use crate::run::{BuiltIn, Lines, Options, Outcome, Run, Target};
use crate::world::{Fault, Faults, Plan};

/// Runs after which the search ends with what it has.
const MOST_RUNS: u32 = 3_000;
/// Strikes up to which each is tried alone.
const FEW: usize = 48;

/// A run that still fails, and how it was found.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest settings that fail; they name the faults that are left.
    pub options: Options,
    /// The fewest faults that fail.
    pub plan: Plan,
    /// The run itself, with its last events.
    pub outcome: Outcome,
    /// Runs that it took.
    pub runs: u32,
}

/// Shrinks a failing seed of the built-in store; `None` where it does not fail.
#[must_use]
pub fn shrink(seed: u64, options: &Options) -> Option<Shrunk> {
    Run::new(BuiltIn, options.clone()).shrink(seed)
}

impl<T: Target> Run<T> {
    /// Shrinks a failing seed; `None` where it does not fail.
    #[must_use]
    pub fn shrink(&self, seed: u64) -> Option<Shrunk> {
        let first = self.seed(seed, Lines::None);
        let broken = first.broken.as_ref()?.invariant;
        let options = Options { faults: first.plan.on.clone(), ..self.options().clone() };
        let mut search = Search { run: self, seed, broken, runs: 1, options, last: first };
        while search.pass() {}
        let Search { runs, options, .. } = search;
        let outcome = self.with(options.clone()).seed(seed, Lines::Recent);
        Some(Shrunk { options, plan: outcome.plan.clone(), outcome, runs })
    }
}

struct Search<'a, T> {
    run: &'a Run<T>,
    seed: u64,
    broken: &'static str,
    runs: u32,
    /// The smallest settings that fail so far.
    options: Options,
    /// The run that they make.
    last: Outcome,
}

impl<T: Target> Search<'_, T> {
    /// Tries to take away everything once; says whether anything went.
    fn pass(&mut self) -> bool {
        let mut is_smaller = self.end_sooner();
        for kind in self.options.faults.clone().iter() {
            let fewer = self.options.faults.clone().without(kind);
            is_smaller |= self.tries_faults(fewer) || self.thin_out(kind);
        }
        for smaller in SMALLER {
            is_smaller |= self.tries(smaller(&self.options));
        }
        is_smaller && self.runs < MOST_RUNS
    }

    /// Nothing that comes after the failure is needed.
    fn end_sooner(&mut self) -> bool {
        let seen = whole_millis(self.last.simulated);
        seen < self.options.duration
            && self.tries(Options { duration: seen, ..self.options.clone() })
    }

    /// Takes away strikes of a kind: by rate while there are many, then one range after the other,
    /// down to single ones.
    fn thin_out(&mut self, kind: Fault) -> bool {
        let mut is_smaller = false;
        let mut each = 2;
        while self.left(kind).len() > FEW
            && self.tries_faults(self.options.faults.clone().one_in(kind, each))
        {
            (each, is_smaller) = (each * 2, true);
        }
        let mut chunk = self.left(kind).len().div_ceil(2);
        while chunk > 0 {
            let mut at = 0;
            loop {
                let left = self.left(kind);
                if at >= left.len() || left.len() < 2 {
                    break;
                }
                let end = (at + chunk).min(left.len());
                let fewer = left[..at].iter().chain(&left[end..]).copied();
                let fewer = self.options.faults.clone().strikes(kind, fewer);
                if self.tries_faults(fewer) {
                    is_smaller = true;
                } else {
                    at = end;
                }
            }
            chunk /= 2;
        }
        is_smaller
    }

    /// The numbers of the strikes of a kind that came up and were not left out.
    fn left(&self, kind: Fault) -> Vec<u32> {
        let so_far = self.last.strikes.get(&kind).copied().unwrap_or_default();
        (0..so_far).filter(|number| self.options.faults.leaves(kind, *number)).collect()
    }

    fn tries_faults(&mut self, faults: Faults) -> bool {
        self.tries(Options { faults, ..self.options.clone() })
    }

    /// Takes these settings if the run still fails with them.
    fn tries(&mut self, options: Options) -> bool {
        if options == self.options || self.runs >= MOST_RUNS {
            return false;
        }
        self.runs += 1;
        let outcome = self.run.with(options.clone()).seed(self.seed, Lines::None);
        let fails = outcome.broken.as_ref().is_some_and(|broken| broken.invariant == self.broken);
        if fails {
            (self.options, self.last) = (options, outcome);
        }
        fails
    }
}

/// A change that makes settings smaller in one way, or leaves them.
type Smaller = fn(&Options) -> Options;

/// Ways to make settings smaller.
const SMALLER: [Smaller; 8] = [
    |options| Options { nodes: less(options.nodes, 3, 2), ..options.clone() },
    |options| Options { nodes: less(options.nodes, 1, 1), ..options.clone() },
    |options| Options { clients: (options.clients / 2).max(1), ..options.clone() },
    |options| Options { clients: options.clients.max(2) - 1, ..options.clone() },
    |options| Options { rate: (options.rate / 2).max(1), ..options.clone() },
    |options| Options { duration: shorter(options.duration, 2, 1), ..options.clone() },
    |options| Options { duration: shorter(options.duration, 4, 3), ..options.clone() },
    |options| Options { duration: shorter(options.duration, 20, 19), ..options.clone() },
];

/// So many nodes less where more than `least` of them are left.
const fn less(nodes: usize, least: usize, fewer: usize) -> usize {
    if nodes >= least + fewer { nodes - fewer } else { nodes }
}

fn shorter(span: Duration, whole: u32, part: u32) -> Duration {
    whole_millis(span / whole * part).max(Duration::from_millis(1))
}

/// The same, rounded up: short to write in a test.
fn whole_millis(span: Duration) -> Duration {
    let millis = span.as_nanos().div_ceil(1_000_000);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}
