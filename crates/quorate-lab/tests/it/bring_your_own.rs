//! The example's Raft: nothing is wrong with it but what is planted, and that is found.

use std::sync::{Mutex, PoisonError};

use quorate_lab::suite::{Outcome, Run, find};

#[path = "../../examples/bring_your_own/bugs.rs"]
mod bugs;
#[path = "../../examples/bring_your_own/raft.rs"]
mod raft;

use bugs::Bug;
use raft::Raft;

static PLANTING: Mutex<()> = Mutex::new(());

/// Does something while a bug is planted; one at a time.
fn with<T>(bug: Option<Bug>, act: impl FnOnce() -> T) -> T {
    let _one = PLANTING.lock().unwrap_or_else(PoisonError::into_inner);
    Bug::plant(bug);
    act()
}

/// Runs the scenario with a name.
fn run(name: &str, seed: u64) -> Outcome {
    let (suite, entry) = find(None, Some(name)).expect("it is in the table")[0];
    Run::new(suite, entry, seed).of::<Raft>()
}

#[test]
fn the_raft_of_the_example_passes_what_needs_no_snapshots() {
    let mut runs = 0;
    for (suite, entry) in find(None, None).unwrap() {
        let kind = entry.scenario.id().as_bytes()[0];
        if matches!(kind, b'K' | b'M') {
            continue;
        }
        let outcome = with(None, || Run::new(suite, entry, 1).of::<Raft>());
        assert_eq!(outcome.is_passed(), kind != b'S', "{}: {outcome}", entry.name);
        assert!(!outcome.is_broken(), "{outcome}");
        runs += usize::from(outcome.is_passed());
    }
    assert!(runs > 50, "{runs} runs");
}

/// Each bug, and how it is told.
const TOLD: [(Bug, &str); 3] = [
    (Bug::ForgetsVote, "both led in term"),
    (Bug::CountsOldTerms, "two values were committed at index 2"),
    (Bug::TrustsHeartbeats, "two values were committed at index 2"),
];

#[test]
fn each_planted_bug_is_found_with_every_seed() {
    for (bug, words) in TOLD {
        let name = bug.found_by();
        for seed in 0..20 {
            let outcome = with(Some(bug), || run(name, seed));
            let text = outcome.to_string();
            assert!(outcome.is_broken() && text.contains(words), "{}: {text}", bug.name());
            let outcome = with(None, || run(name, seed));
            assert!(outcome.is_passed(), "{outcome}");
        }
    }
}

#[test]
fn every_bug_has_a_name_and_a_lesson() {
    for bug in Bug::ALL {
        assert_eq!(Bug::by_name(bug.name()), Some(bug));
        assert!(!bug.about().is_empty() && bug.lesson().len() > 100, "{}", bug.name());
        assert_eq!(with(Some(bug), Bug::planted), Some(bug));
    }
    assert_eq!(with(None, Bug::planted), None);
    assert_eq!(Bug::by_name("none"), None);
}
