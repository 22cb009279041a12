//! Whole clusters in virtual worlds: every seed is clean, and a seed is one run.

use core::time::Duration;

use quorate_sim::run::{Lines, Options, run_seed};
use quorate_sim::totals::{Bounds, Totals};
use quorate_sim::world::{Fault, Faults, TraceEvent};

#[test]
fn seeds_are_clean_and_show_what_they_promise() {
    let options = Options::default();
    let mut totals = Totals::new(Bounds::of(&options));
    for seed in 0..24 {
        let outcome = run_seed(seed, &options, Lines::None);
        if outcome.broken.is_some() {
            panic!("{}", run_seed(seed, &options, Lines::Recent));
        }
        totals.add(&outcome);
    }
    println!("{totals}");
    assert_eq!(totals.verdict(), Ok(()));
    for what in ["acknowledged", "leader", "truncation", "recovery"] {
        assert!(totals.count(what) > 0, "no {what}\n{totals}");
    }
    for kind in Fault::ALL {
        assert!(totals.count(kind.name()) > 0, "no {kind}\n{totals}");
    }
}

#[test]
fn a_run_that_shows_too_little_is_worth_nothing() {
    let options = Options { faults: Faults::none(), ..Options::default() };
    let outcome = run_seed(2, &options, Lines::None);
    let mut totals = Totals::new(Bounds::of(&Options::default()));
    for _ in 0..100 {
        totals.add(&outcome);
    }
    let lacks = totals.verdict().unwrap_err();
    assert!(lacks.contains("seed 2 does not count: it had 0 faults only"), "{lacks}");
    assert!(lacks.contains("never happened in 100 seeds: unknown, truncation, "), "{lacks}");
    assert!(lacks.contains("partitions overlap, drop, "), "{lacks}");
    assert_eq!(totals.counted(), 0);
    let mut totals = Totals::new(Bounds::of(&options));
    (0..100).for_each(|_| totals.add(&outcome));
    assert_eq!(totals.verdict(), Ok(()));
}

#[test]
fn a_run_that_acknowledges_too_little_of_what_is_offered_fails() {
    let verdict = |acknowledged, seeds| {
        let options = Options { faults: Faults::none(), ..Options::default() };
        let mut outcome =
            run_seed(2, &Options { duration: Duration::ZERO, ..options.clone() }, Lines::None);
        outcome.simulated = Duration::from_secs(60);
        outcome.counts.extend([("offered", 1_000), ("acknowledged", acknowledged)]);
        let mut totals = Totals::new(Bounds::of(&options));
        (0..seeds).for_each(|_| totals.add(&outcome));
        totals.verdict()
    };
    assert_eq!(verdict(900, 100), Ok(()));
    assert_eq!(verdict(899, 99), Ok(()), "a few seeds may have been bad ones");
    assert_eq!(
        verdict(899, 100).unwrap_err(),
        "89900 of 100000 offered requests were acknowledged, fewer than 90 in a hundred"
    );
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
    // A seed in which no node is left behind in the end.
    let options = Options { faults: Faults::none(), ..Options::default() };
    let outcome = run_seed(2, &options, Lines::None);
    assert_eq!(outcome.broken, None);
    let ended = outcome.count("acknowledged") + outcome.count("session errand");
    assert_eq!(ended, outcome.count("request"));
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
    assert_eq!(happened(|event| matches!(event, TraceEvent::Dies { .. })), counted("death"));
    assert_eq!(
        happened(|event| matches!(event, TraceEvent::Truncates { .. })),
        counted("truncation")
    );
    assert_eq!(
        happened(|event| matches!(event, TraceEvent::Persists { .. })),
        counted("persisted")
    );
}
