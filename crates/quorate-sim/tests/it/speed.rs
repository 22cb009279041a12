//! Long histories are decided, and quickly.

use core::time::Duration;

use quorate_sim::{Checker, KeyValue};

use crate::store::{Plant, Setting, run};

#[test]
fn ten_thousand_operations_by_ten_clients_on_five_keys_are_decided() {
    for seed in 1..=3 {
        let history = run(Setting::usual(seed)).history;
        assert_eq!(history.len(), 10_000);
        let begin = processor_time();
        Checker::new(KeyValue).check(&history).assert_linearizable();
        let Some(took) = begin.zip(processor_time()).map(|(begin, end)| end - begin) else {
            println!("seed {seed}: decided; this system does not tell a thread's processor time");
            continue;
        };
        println!("seed {seed}: {took:?} of processor time");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

/// Time that this thread has had a processor: what others do meanwhile does not count.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
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
