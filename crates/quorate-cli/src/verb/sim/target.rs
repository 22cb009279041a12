//! What the worlds run: the one place that names the state machine and its clients.

use quorate_sim::run::{Lines, Options, Outcome, run_seed};
use quorate_sim::shrink::Shrunk;

/// Runs one seed.
pub(super) fn run(seed: u64, options: &Options, keep: Lines) -> Outcome {
    run_seed(seed, options, keep)
}

/// Makes a failing seed small; `None` where it does not fail.
pub(super) fn shrink(seed: u64, options: &Options) -> Option<Shrunk> {
    quorate_sim::shrink::shrink(seed, options)
}
