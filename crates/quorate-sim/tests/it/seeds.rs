//! Whole clusters in virtual worlds: every seed is clean, and a seed is one run.

use std::collections::BTreeMap;

use quorate_sim::run::{Lines, Options, run_seed};
use quorate_sim::world::{Fault, Faults, TraceEvent};

#[test]
fn seeds_are_clean_and_show_what_they_promise() {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..24 {
        let outcome = run_seed(seed, &Options::default(), Lines::None);
        if outcome.broken.is_some() {
            panic!("{}", run_seed(seed, &Options::default(), Lines::Recent));
        }
        for (what, count) in outcome.counts {
            *counts.entry(what).or_default() += count;
        }
    }
    for what in ["acknowledged", "leader", "truncation", "recovery", "unsynced"] {
        assert!(counts.get(what).is_some_and(|count| *count > 0), "no {what} in {counts:?}");
    }
    for what in [Fault::Drop, Fault::Corrupt, Fault::Crash, Fault::Split, Fault::SyncError] {
        let what = what.name();
        assert!(counts.get(what).is_some_and(|count| *count > 0), "no {what} in {counts:?}");
    }
}

#[test]
fn two_runs_of_a_seed_are_one_run() {
    for seed in 100..104 {
        let first = run_seed(seed, &Options::default(), Lines::None);
        for lines in [Lines::Recent, Lines::All] {
            // Making events must not change what happens.
            let second = run_seed(seed, &Options::default(), lines);
            assert_eq!(first.hash, second.hash, "seed {seed}");
            assert_eq!(first.counts, second.counts, "seed {seed}");
        }
    }
}

#[test]
fn a_calm_world_answers_everything() {
    let options = Options { faults: Faults::none(), ..Options::default() };
    let outcome = run_seed(1, &options, Lines::None);
    assert_eq!(outcome.broken, None);
    assert_eq!(outcome.count("acknowledged"), outcome.count("request"));
    assert!(outcome.count("acknowledged") > 1500, "{:?}", outcome.counts);
}

#[test]
fn the_whole_trace_tells_what_was_counted() {
    let outcome = run_seed(7, &Options::default(), Lines::All);
    let happened = |is: fn(&TraceEvent) -> bool| {
        outcome.events.iter().filter(|traced| is(&traced.event)).count() as u64
    };
    let counted = |what| outcome.count(what);
    assert!(outcome.events.is_sorted_by_key(|traced| traced.at));
    assert_eq!(happened(|event| matches!(event, TraceEvent::Sends { .. })), counted("frame"));
    assert_eq!(happened(|event| matches!(event, TraceEvent::Asks { .. })), counted("request"));
    assert_eq!(happened(|event| matches!(event, TraceEvent::Starts { .. })), counted("recovery"));
    assert_eq!(happened(|event| matches!(event, TraceEvent::Dies { .. })), counted("crash"));
    assert_eq!(
        happened(|event| matches!(event, TraceEvent::Truncates { .. })),
        counted("truncation")
    );
    assert_eq!(
        happened(|event| matches!(event, TraceEvent::Persists { .. })),
        counted("persisted")
    );
}
