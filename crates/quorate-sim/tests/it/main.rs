//! Integration tests of the simulator and its checkers.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "tests: they print what they counted, of numbers that are small"
)]

mod brute_force;
mod planted;
mod random;
mod report;
mod scripts;
mod second_opinion;
mod seeds;
mod small;
mod speed;
mod store;
