//! Faults planted in long histories are found, and shown by a minimal counter-example.

use quorate_sim::{Checker, Explanation, KeyValue, Violation};

use crate::brute_force::{NEVER, Plain, Texts, has_order, plain};
use crate::store::{Plant, Run, Setting, run};

/// Asserts that the counter-example has no order, and that leaving out any operation gives it one or
/// takes away what an answer rests on, so that the explanation explains no more. All by brute
/// force, which shares nothing with the checker.
pub(crate) fn assert_minimal(violation: &Violation<KeyValue>) {
    let start: Texts =
        violation.start.iter().map(|text| (violation.key.to_string(), text.to_string())).collect();
    let operations = plain(&violation.counter_example);
    assert_eq!(operations.len(), violation.operations.len());
    assert!(operations.len() <= 12, "too large for brute force:\n{violation}");
    assert!(!has_order(&start, &operations), "has an order:\n{violation}");
    let explained = |left: &[(usize, Plain)]| {
        repaired(violation, left).is_some_and(|repaired| has_order(&start, &repaired))
    };
    let numbered: Vec<(usize, Plain)> = operations.iter().cloned().enumerate().collect();
    let has_explanation = violation.explanation != Explanation::Unexplained;
    assert_eq!(explained(&numbered), has_explanation, "{violation}");
    for out in 0..numbered.len() {
        let mut left = numbered.clone();
        left.remove(out);
        let plain: Vec<Plain> = left.iter().map(|(_, one)| one.clone()).collect();
        let is_fine = has_order(&start, &plain) || (has_explanation && !explained(&left));
        assert!(is_fine, "{} is not needed:\n{violation}", violation.operations[out]);
    }
}

/// The operations if the explanation had happened; `None` without one.
fn repaired(violation: &Violation<KeyValue>, left: &[(usize, Plain)]) -> Option<Vec<Plain>> {
    let (culprit, explanation) = match violation.explanation {
        Explanation::Early { operation, .. } | Explanation::Late { operation, .. } => {
            (operation, violation.explanation)
        }
        Explanation::Lost(operation) | Explanation::Twice(operation) => {
            (operation, violation.explanation)
        }
        Explanation::Unexplained => return None,
    };
    let place = violation.operations.iter().position(|id| *id == culprit)?;
    let mut repaired = Vec::new();
    let mut seen = false;
    for (index, one) in left {
        if *index != place {
            repaired.push(one.clone());
            continue;
        }
        seen = true;
        match explanation {
            Explanation::Lost(_) => {}
            Explanation::Twice(_) => {
                repaired.push(one.clone());
                repaired.push(Plain { answer: None, returned: NEVER, ..one.clone() });
            }
            _ => repaired.push(Plain { called: 0, returned: NEVER, ..one.clone() }),
        }
    }
    seen.then_some(repaired)
}

/// A workload in which a lost or doubled change is seen: few writes hide what came before.
fn setting(seed: u64, plant: Plant) -> Setting {
    Setting { puts: 3, appends: 37, gets: 60, plant, ..Setting::usual(seed) }
}

fn find(seed: u64, plant: Plant) -> (Run, Box<Violation<KeyValue>>) {
    let run = run(setting(seed, plant));
    assert!(!run.planted.is_empty(), "{plant:?} found no place with seed {seed}");
    let verdict = Checker::new(KeyValue).check(&run.history);
    let quorate_sim::Verdict::Broken(violation) = verdict else {
        panic!("{plant:?} with seed {seed}: {verdict}");
    };
    (run, violation)
}

/// Plants a fault under ten seeds; the explanations.
fn plant_and_check(plant: Plant, most: usize) -> Vec<Explanation> {
    let mut explanations = Vec::new();
    for seed in 1..=10 {
        let (run, violation) = find(seed, plant);
        println!("{plant:?}, seed {seed}: {:?}", violation.explanation);
        if seed < 3 || violation.explanation == Explanation::Unexplained {
            println!("{violation}\n");
        }
        let planted = run.planted[0];
        assert_eq!(violation.key, run.history.operation(planted).input.key, "{violation}");
        let involved = violation.operations.iter().any(|id| run.planted.contains(id));
        assert!(involved, "planted {:?}, found\n{violation}", run.planted);
        assert!(violation.operations.len() <= most, "{plant:?}, seed {seed}:\n{violation}");
        assert_minimal(&violation);
        explanations.push(violation.explanation);
    }
    explanations
}

#[test]
fn a_stale_read_is_shown_minimally() {
    for explanation in plant_and_check(Plant::StaleRead, 8) {
        assert!(matches!(explanation, Explanation::Early { .. }), "{explanation:?}");
    }
}

#[test]
fn a_lost_update_is_shown_minimally() {
    plant_and_check(Plant::LostUpdate, 8);
}

#[test]
fn a_double_append_is_shown_minimally() {
    for explanation in plant_and_check(Plant::DoubleAppend, 8) {
        assert!(matches!(explanation, Explanation::Twice(_)), "{explanation:?}");
    }
}

#[test]
fn a_reordered_pair_is_shown_minimally() {
    for explanation in plant_and_check(Plant::ReorderedPair, 12) {
        let is_order = matches!(explanation, Explanation::Early { .. } | Explanation::Late { .. });
        assert!(is_order, "{explanation:?}");
    }
}
