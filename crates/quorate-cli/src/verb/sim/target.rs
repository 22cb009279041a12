//! What the worlds run: the one place that names the state machine and its clients.

use quorate_sim::run::{Lines, Options, Outcome, Run};
use quorate_sim::shrink::Shrunk;

use super::kv::Kv;

/// Runs one seed.
pub(super) fn run(seed: u64, options: &Options, keep: Lines) -> Outcome {
    Run::new(Kv, options.clone()).seed(seed, keep)
}

/// Makes a failing seed small; `None` where it does not fail.
pub(super) fn shrink(seed: u64, options: &Options) -> Option<Shrunk> {
    Run::new(Kv, options.clone()).shrink(seed)
}
