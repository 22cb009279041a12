//! Tests of the protocol from outside: random clusters, rules of the paper, golden transcripts.
#![allow(missing_docs, unreachable_pub, reason = "tests")]

mod cluster;
mod paper;
mod property;
mod scenario;

#[path = "../../examples/drive_core_by_hand.rs"]
mod drive_core_by_hand;

/// Switches on the deliberate bug that a build with such bugs is told to.
fn pick_mutant() {
    #[cfg(quorate_mutants)]
    #[expect(clippy::disallowed_methods, reason = "a test may be told which bug to have")]
    quorate_core::mutant::pick(&std::env::var("QUORATE_MUTANT").unwrap_or_default());
}

#[test]
fn the_example_commits_its_entry() {
    drive_core_by_hand::main().expect("the example ends well");
}
