//! How long the checker takes to decide histories of a correct store.
//!
//! `cargo run --release -p quorate-sim --example check_speed`
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::disallowed_types,
    clippy::cast_possible_truncation,
    reason = "a measurement"
)]
#![allow(dead_code, reason = "the tests use the rest")]

use std::time::Instant;

use quorate_sim::{Checker, KeyValue};

#[path = "../tests/it/store.rs"]
mod store;

fn main() {
    let usual = store::Setting::usual(1);
    let settings = [
        ("usual", usual.clone()),
        ("no unknown", store::Setting { unknown: 0, ..usual.clone() }),
        ("no cas/delete", store::Setting { puts: 30, appends: 30, gets: 40, ..usual.clone() }),
        ("no append", store::Setting { puts: 40, appends: 0, ..usual.clone() }),
        (
            "one key, 8 clients",
            store::Setting { keys: 1, clients: 8, operations: 3_000, ..usual.clone() },
        ),
        (
            "one key, 12 clients",
            store::Setting { keys: 1, clients: 12, operations: 3_000, ..usual },
        ),
    ];
    for (name, setting) in settings {
        for seed in 1..=3 {
            let history = store::run(store::Setting { seed, ..setting.clone() }).history;
            let begin = Instant::now();
            let verdict = Checker::new(KeyValue).check(&history);
            let took = begin.elapsed();
            println!("{name}, seed {seed}: {} operations in {took:?}: {verdict}", history.len());
        }
    }
}
