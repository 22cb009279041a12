//! Tests of the protocol from outside: random clusters, rules of the paper, golden transcripts.
#![allow(missing_docs, unreachable_pub, reason = "tests")]

mod cluster;
mod paper;
mod property;
mod scenario;

#[path = "../../examples/drive_core_by_hand.rs"]
mod drive_core_by_hand;

#[test]
fn the_example_commits_its_entry() {
    drive_core_by_hand::main().expect("the example ends well");
}
