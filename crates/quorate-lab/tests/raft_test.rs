//! The 25 tests of the async Rust lab, under its names and through its interface.
//!
//! In virtual time, where all of them take seconds; with `QUORATE_LAB_REAL_TIME=1` by the clock, on
//! tokio. `cargo test --test raft_test test_initial_election -- --test-threads=1` runs one.
//! `QUORATE_LAB_SEED` chooses another seed.

#![allow(missing_docs, reason = "tests")]
#![allow(clippy::print_stdout, reason = "each test says its five numbers")]

use std::env;

use quorate_lab::kv_raft::KvRaft;
use quorate_lab::suite::{Clock, Run, find};
use tracing_subscriber::EnvFilter;

/// Logs what `RUST_LOG` names: `quorate_lab=debug` has elections, cuts and crashes.
fn log() {
    let log = tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env());
    // The first test of the process sets it.
    drop(log.with_test_writer().try_init());
}

fn run(name: &str) {
    log();
    let (suite, entry) = find(Some("async-rust"), Some(name)).expect("it is in the table")[0];
    let seed = env::var("QUORATE_LAB_SEED")
        .map_or(0, |seed| seed.parse().expect("QUORATE_LAB_SEED is a number"));
    let is_real = env::var("QUORATE_LAB_REAL_TIME").is_ok_and(|value| value == "1");
    let clock = if is_real { Clock::Real } else { Clock::Virtual };
    let outcome = Run { clock, ..Run::new(suite, entry, seed) }.of::<KvRaft>();
    println!("Test: {name} ...\n{outcome}");
    assert!(outcome.is_passed(), "{outcome}");
}

macro_rules! tests {
    ($($name:ident)+) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )+
    };
}

tests! {
    test_initial_election
    test_re_election
    test_many_elections
    test_basic_agree
    test_follower_failure
    test_leader_failure
    test_fail_agree
    test_fail_no_agree
    test_concurrent_starts
    test_rejoin
    test_backup
    test_partition_majority_commits
    test_partition_two_leaders
    test_partition_leader_alone
    test_partition_repeated
    test_partition_conflicting_commits
    test_persist1
    test_persist2
    test_persist3
    test_persist_basic
    test_persist_leader
    test_persist_multiple
    test_figure8
    test_reliable_churn
    test_unreliable_churn
}
