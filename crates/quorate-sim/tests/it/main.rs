//! Integration tests of the simulator and its checkers.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "tests: they print what they counted, of numbers that are small"
)]

mod brute_force;
mod guide;
#[cfg(quorate_mutants)]
mod mutants;
mod planted;
mod random;
mod regressions;
mod report;
mod scripts;
mod second_opinion;
mod seeds;
mod small;
mod speed;
mod store;
mod strikes;
mod yours;

/// Switches on a deliberate bug, and the one that a build with such bugs is told to have.
fn pick_mutant(beside: &str) {
    let _ = beside;
    #[cfg(quorate_mutants)]
    {
        let told = std::env::var("QUORATE_MUTANT").unwrap_or_default();
        quorate_core::mutant::pick(&format!("{beside},{told}"));
    }
}
