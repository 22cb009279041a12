//! What seeds notice of a mutant of the code, they must notice with the checks as they are told to
//! be: a mutant of a check shows here what it misses.

use std::ops::Range;

use quorate_sim::run::{Lines, Options, run_seed};

/// Every seed that notices `mutant` notices it with the check that the test is told to have, too.
fn notices(mutant: &str, seeds: Range<u64>) {
    let mut noticed = 0;
    for seed in seeds {
        quorate_core::mutant::pick(mutant);
        let expected = run_seed(seed, &Options::default(), Lines::None);
        if let Some(expected) = &expected.broken {
            crate::pick_mutant(mutant);
            let seen = run_seed(seed, &Options::default(), Lines::None);
            assert!(seen.broken.is_some(), "seed {seed} misses {mutant}: {expected}");
            noticed += 1;
        }
    }
    assert!(noticed > 0, "no seed notices {mutant}");
}

#[test]
fn a_leader_that_counts_what_is_not_durable_is_noticed() {
    notices("M22", 0..16);
}

#[test]
fn elections_that_take_too_long_are_noticed() {
    notices("M56", 0..16);
}
