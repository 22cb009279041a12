//! Every scenario under every name once, in virtual time; and what virtual time promises.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use quorate_lab::suite::{Outcome, Run, find};

/// Runs a suite's scenarios with one seed, on all cores.
fn run(suite: Option<&str>, seed: u64) -> Vec<Outcome> {
    let entries = find(suite, None).expect("it is in the table");
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    let work = || {
        while let Some((suite, entry)) = entries.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = Run::new(suite, entry, seed).of_quorate();
            outcomes.lock().expect("no run panics").push(outcome);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(work);
        }
    });
    outcomes.into_inner().expect("no run panics")
}

/// Processor time that this process has used, in seconds; nothing where the system does not tell.
fn used() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / 100.0)
}

#[test]
fn every_scenario_passes_in_virtual_time() {
    let before = used();
    let outcomes = run(None, 1);
    if let Some((before, after)) = before.zip(used()) {
        // The other tests of this process run meanwhile, and all of it together is less.
        let used = after - before;
        println!("{} runs used {used:.2} s of processor time", outcomes.len());
        assert!(used < 60.0, "every scenario once used {used:.1} s of processor time");
    }
    let failed: Vec<String> =
        outcomes.iter().filter(|outcome| !outcome.is_passed()).map(ToString::to_string).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[test]
fn a_seed_is_the_same_run_again_and_another_seed_is_another() {
    let numbers = |outcome: &Outcome| (outcome.elapsed, outcome.tally);
    for name in ["U2", "N4", "S5", "R10"] {
        let (suite, entry) = find(None, Some(name)).unwrap()[0];
        let once = |seed| numbers(&Run::new(suite, entry, seed).of_quorate());
        let first = once(7);
        assert_eq!(first, once(7), "{name} is not the same again");
        assert_ne!(first, once(8), "{name} is the same with another seed");
    }
}
