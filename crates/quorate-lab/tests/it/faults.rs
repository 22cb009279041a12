//! Every scenario can fail: each planted fault is found by the scenarios that are there for it.

use quorate_lab::suite::{Outcome, Run, find};

use crate::small::{self, Small, plant};

/// Seeds of which one finds a fault that needs bad luck.
const SEEDS: u64 = 40;

/// The first seed with which a scenario, under its name, does not pass.
fn failing(fault: u8, name: &str) -> Option<Outcome> {
    let (suite, entry) = find(None, Some(name)).expect("it is in the table")[0];
    let outcome = |seed| Run::new(suite, entry, seed).of::<Small>();
    plant(fault, || (0..SEEDS).map(outcome).find(Outcome::is_broken))
}

/// Asserts that a fault is found by a scenario, and told with these words.
fn finds(fault: u8, name: &str, words: &str) {
    let Some(outcome) = failing(fault, name) else {
        panic!("fault {fault} is not found by {name} in {SEEDS} seeds");
    };
    let text = outcome.to_string();
    println!("fault {fault}: {text}");
    assert!(text.contains(words), "fault {fault} is told in other words: {text}");
    let again = format!("--scenario {name} --seed {}", outcome.run.seed);
    assert!(text.contains(&again), "the command that repeats it is missing: {text}");
}

#[test]
fn a_raft_of_another_make_passes_what_needs_no_snapshots() {
    for (suite, entry) in find(None, None).unwrap() {
        let is_of_raft = !matches!(entry.scenario.id().as_bytes()[0], b'K' | b'M');
        if !is_of_raft {
            continue;
        }
        let outcome = plant(small::NONE, || Run::new(suite, entry, 3).of::<Small>());
        let is_of_snapshots = entry.scenario.id().starts_with('S');
        assert_eq!(outcome.is_passed(), !is_of_snapshots, "{outcome}");
        assert!(!outcome.is_broken(), "{outcome}");
    }
}

#[test]
fn forgotten_votes_and_logs_are_found() {
    finds(small::FORGETS_LOG, "test_persist1_2c", "");
    finds(small::FORGETS_LOG, "test_persist_multiple", "");
}

#[test]
fn commits_that_are_none_are_found() {
    finds(small::NEEDS_NOBODY, "test_fail_no_agree_2b", "could not be committed");
    finds(small::NEEDS_NOBODY, "test_partition_leader_alone", "two values");
    finds(small::COUNTS_OLD_TERMS, "test_figure_8_2c", "two values were committed");
}

#[test]
fn what_is_applied_twice_is_found() {
    finds(small::APPLIES_TWICE, "test_basic_agree", "again");
}

#[test]
fn wrong_leaders_and_wrong_logs_are_found() {
    finds(small::ELECTS_ANYBODY, "test_backup_2b", "two values");
    finds(small::KEEPS_CONFLICTS, "test_rejoin_2b", "");
    finds(small::STAYS_LEADER, "test_re_election", "");
    finds(small::SAME_TIMEOUTS, "test_unreliable_agree_2c", "");
}

#[test]
fn indices_that_go_to_something_else_are_found() {
    finds(small::HAS_NO_OPS, "test_basic_agree", "an index went to something else");
    finds(small::HAS_NO_OPS, "TestBasicAgree2B", "index");
}

#[test]
fn what_costs_too_much_is_found() {
    finds(small::SENDS_EVERYTHING, "TestRPCBytes2B", "are allowed");
    finds(small::CHATTERS, "test_count_2b", "are allowed");
}

#[test]
fn waiting_for_calls_that_take_seconds_is_found() {
    finds(small::WAITS_FOR_CALLS, "test_fail_agree_2b", "");
}

#[test]
fn a_raft_that_blocks_spins_or_panics_is_told_plainly() {
    finds(small::SPINS, "test_basic_agree", "time stands still");
    finds(small::BLOCKS, "test_basic_agree", "`start` of peer");
    finds(small::PANICS, "test_basic_agree", "no room for a command");
}
