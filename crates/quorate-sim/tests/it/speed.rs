//! Long histories are decided, and quickly.

use quorate_sim::{Checker, KeyValue};

use crate::store::{Plant, Setting, run};

#[test]
fn ten_thousand_operations_by_ten_clients_on_five_keys_are_decided() {
    for seed in 1..=3 {
        let history = run(Setting::usual(seed)).history;
        assert_eq!(history.len(), 10_000);
        #[allow(clippy::disallowed_types, reason = "a measurement")]
        let begin = std::time::Instant::now();
        Checker::new(KeyValue).check(&history).assert_linearizable();
        let took = begin.elapsed();
        println!("seed {seed}: {took:?}");
        // The aim is a second; this guard only tells a slow machine from a search that exploded.
        assert!(took.as_secs() < 20, "{took:?}");
    }
}

#[test]
fn many_unknown_outcomes_do_not_make_the_search_endless() {
    for seed in 1..=3 {
        let setting = Setting { unknown: 20, operations: 4_000, ..Setting::usual(seed) };
        Checker::new(KeyValue).check(&run(setting).history).assert_linearizable();
    }
}

#[test]
fn eight_clients_on_one_key_are_decided() {
    let setting = Setting { keys: 1, clients: 8, operations: 3_000, ..Setting::usual(5) };
    Checker::new(KeyValue).check(&run(setting).history).assert_linearizable();
}

#[test]
fn a_search_that_grows_too_large_says_so() {
    let setting = Setting { plant: Plant::Nothing, ..Setting::usual(1) };
    let verdict = Checker::new(KeyValue).max_states(50).check(&run(setting).history);
    assert!(!verdict.is_linearizable() && verdict.violation().is_none());
    assert!(verdict.to_string().contains("undecided"), "{verdict}");
}
