//! The example's Raft: nothing is wrong with it but what is planted, and that is found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use quorate_lab::raft::LabRaft;
use quorate_lab::recording::Recording;
use quorate_lab::suite::{Outcome, Run, find};
use quorate_sim::world::{TraceEvent, Traced};

use crate::small::{NONE, Small, plant};

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
    let (mut passed, mut services, mut left_out) = (0, 0, Vec::new());
    for (suite, entry) in find(None, None).unwrap() {
        let outcome = with(None, || Run::new(suite, entry, 1).of::<Raft>());
        assert!(!outcome.is_broken(), "{outcome}");
        let is_service = entry.scenario.id().starts_with(['K', 'M']);
        if outcome.is_passed() {
            (passed, services) = (passed + 1, services + usize::from(is_service));
        } else {
            left_out.push(entry.scenario.id());
        }
    }
    let is_of_snapshots = |id: &&str| id.starts_with(['S', 'K']) || *id == "M8";
    assert!(left_out.iter().all(is_of_snapshots), "{left_out:?}");
    assert_eq!(
        (passed, services),
        (78, 21),
        "all that need none, in the number that docs/lab.md has"
    );
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

/// What the events of a run have to be, whatever the Raft.
fn check_events(recording: &Recording) {
    let events = recording.events();
    assert!(events.is_sorted_by_key(|event| event.at), "times go back");
    let mut sent = BTreeMap::new();
    let (mut asked, mut starts) = (BTreeSet::new(), 0);
    for Traced { event, .. } in events {
        match event {
            TraceEvent::Sends { frame, from, to, .. } => {
                assert!(sent.insert(*frame, (*from, *to)).is_none(), "frame {frame} leaves twice");
            }
            TraceEvent::Arrives { frame, from, to, .. } => {
                assert_eq!(
                    sent.get(frame),
                    Some(&(*from, *to)),
                    "frame {frame} comes from nowhere"
                );
            }
            TraceEvent::Asks { request, .. } => assert!(asked.insert(*request)),
            TraceEvent::Ends { request, .. } => assert!(asked.contains(request)),
            TraceEvent::Starts { .. } => starts += 1,
            _ => {}
        }
    }
    assert!(starts >= 3 && sent.len() > 20 && !asked.is_empty());
}

/// Records a run, and asserts that it is the one that it is without that.
fn record<R: LabRaft>(name: &str, seed: u64) -> (Outcome, Recording) {
    let (suite, entry) = find(None, Some(name)).expect("it is in the table")[0];
    let run = Run::new(suite, entry, seed);
    let ((outcome, recording), plain) = (run.record::<R>(), run.of::<R>());
    assert_eq!((outcome.elapsed, outcome.tally), (plain.elapsed, plain.tally), "{name}");
    assert_eq!(outcome.failure, plain.failure, "{name}");
    check_events(&recording);
    (outcome, recording)
}

#[test]
fn a_recorded_run_is_the_same_run_and_tells_what_broke() {
    for bug in Bug::ALL {
        let (outcome, recording) = with(Some(bug), || record::<Raft>(bug.found_by(), 2));
        let broken: Vec<&TraceEvent> = recording
            .events()
            .iter()
            .map(|traced| &traced.event)
            .filter(|event| matches!(event, TraceEvent::Broken { .. }))
            .collect();
        let [TraceEvent::Broken { what, .. }] = broken[..] else { panic!("{broken:?}") };
        assert_eq!(Some(what), outcome.failure.as_ref().map(|failure| &failure.what));
        let page = recording.page(&outcome);
        assert!(page.contains(&format!("{}, seed 2", bug.found_by())));
        assert!(page.contains("\"numbered_from\":0"));
    }
    for name in ["test_figure_8_unreliable_2c", "test_unreliable_churn", "test_persist2_2c"] {
        let (outcome, recording) = with(None, || record::<Raft>(name, 3));
        assert!(outcome.is_passed(), "{outcome}");
        let is_broken = |traced: &Traced| matches!(traced.event, TraceEvent::Broken { .. });
        assert!(!recording.events().iter().any(is_broken));
    }
}

#[test]
fn a_raft_that_tells_nothing_has_a_page_with_roles_and_what_it_applied() {
    let (outcome, recording) = plant(NONE, || record::<Small>("test_rejoin_2b", 1));
    assert!(outcome.is_passed(), "{outcome}");
    let has =
        |words: &str| recording.events().iter().any(|traced| traced.event.to_string() == words);
    for words in ["n1 applies up to 4", "n2 commits up to 4", "n3 applies up to 4"] {
        assert!(has(words), "{words}");
    }
    let count = |wanted: fn(&TraceEvent) -> bool| {
        recording.events().iter().filter(|traced| wanted(&traced.event)).count()
    };
    assert!(count(|event| matches!(event, TraceEvent::Role { role: "candidate", .. })) > 0);
    assert!(count(|event| matches!(event, TraceEvent::Role { role: "leader", .. })) >= 3);
    assert!(count(|event| matches!(event, TraceEvent::Saves { .. })) > 5);
    // Two leaders are cut off, one after the other, and come back.
    assert_eq!(count(|event| matches!(event, TraceEvent::Network { .. })), 4);
}
