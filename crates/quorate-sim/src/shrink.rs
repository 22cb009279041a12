//! Makes a failing run small: takes away kinds of faults, time, clients and nodes, as long as the
//! same invariant breaks.
//!
//! Every stream of randomness stands alone, so that what is taken away changes as little as
//! possible of the rest.

use core::time::Duration;

use crate::run::{BuiltIn, Lines, Options, Outcome, Run, Target};
use crate::world::Plan;

/// A run that still fails, and how it was found.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest settings that fail.
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
        let mut plan = Plan::draw(seed, &self.options().faults);
        let first = self.plan(seed, plan.clone(), Lines::None);
        let broken = first.broken?.invariant;
        let mut search = Search { run: self, seed, broken, runs: 1 };
        let duration = whole_millis(first.simulated.min(self.options().duration));
        let mut options = Options { duration, ..self.options().clone() };
        loop {
            let before = (options.clone(), plan.clone());
            for kind in plan.on.clone() {
                let fewer = plan.clone().without(kind);
                if search.fails(&options, &fewer) {
                    plan = fewer;
                }
            }
            for smaller in smaller(&options) {
                if search.fails(&smaller, &plan) {
                    options = smaller;
                }
            }
            if (&options, &plan) == (&before.0, &before.1) {
                break;
            }
        }
        let runs = search.runs;
        let outcome = self.with(options.clone()).plan(seed, plan.clone(), Lines::Recent);
        Some(Shrunk { options, plan, outcome, runs })
    }
}

struct Search<'a, T> {
    run: &'a Run<T>,
    seed: u64,
    broken: &'static str,
    runs: u32,
}

impl<T: Target> Search<'_, T> {
    fn fails(&mut self, options: &Options, plan: &Plan) -> bool {
        self.runs += 1;
        let outcome = self.run.with(options.clone()).plan(self.seed, plan.clone(), Lines::None);
        outcome.broken.is_some_and(|broken| broken.invariant == self.broken)
    }
}

/// Settings that are smaller in one way each.
fn smaller(options: &Options) -> Vec<Options> {
    let mut all = Vec::new();
    if options.nodes > 3 {
        all.push(Options { nodes: options.nodes - 2, ..options.clone() });
    }
    if options.clients > 1 {
        all.push(Options { clients: options.clients / 2, ..options.clone() });
    }
    if options.duration > Duration::from_secs(1) {
        all.push(Options { duration: whole_millis(options.duration * 3 / 4), ..options.clone() });
    }
    all
}

/// The same, rounded up: short to write in a test.
fn whole_millis(span: Duration) -> Duration {
    let millis = span.as_nanos().div_ceil(1_000_000);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}
