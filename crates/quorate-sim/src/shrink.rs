//! Makes a failing run small: takes away kinds of faults, time, clients and nodes, as long as the
//! same invariant breaks.
//!
//! Every stream of randomness stands alone, so that what is taken away changes as little as
//! possible of the rest.

use core::time::Duration;

use crate::run::{Lines, Options, Outcome, run_plan};
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

/// Shrinks a failing seed; `None` where it does not fail.
#[must_use]
pub fn shrink(seed: u64, options: &Options) -> Option<Shrunk> {
    let plan = Plan::draw(seed, &options.faults);
    let first = run_plan(seed, options, plan.clone(), Lines::None);
    let broken = first.broken?.invariant;
    let mut search = Search { seed, broken, runs: 1 };
    let mut options =
        Options { duration: first.simulated.min(options.duration), ..options.clone() };
    let mut plan = plan;
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
    let outcome = run_plan(seed, &options, plan.clone(), Lines::Recent);
    Some(Shrunk { options, plan, outcome, runs: search.runs })
}

struct Search {
    seed: u64,
    broken: &'static str,
    runs: u32,
}

impl Search {
    fn fails(&mut self, options: &Options, plan: &Plan) -> bool {
        self.runs += 1;
        let outcome = run_plan(self.seed, options, plan.clone(), Lines::None);
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
        all.push(Options { duration: options.duration * 3 / 4, ..options.clone() });
    }
    all
}
