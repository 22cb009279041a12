//! The tests of the talent-plan dss labs under their own names, through the face of those labs.
//!
//! In virtual time, with a seed of their own each; `QUORATE_LAB_SEED` sets another one, and
//! `QUORATE_LAB_REAL_TIME=1` lets real time pass.
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::print_stdout, reason = "each test says its five numbers")]

use std::env;

use quorate_lab::dss::raft::DssRaft;
use quorate_lab::suite::{Clock, Run, find};
use tracing_subscriber::EnvFilter;

const SEED: u64 = 1;

/// Logs what `RUST_LOG` names: `quorate_lab=debug` has elections, cuts and crashes.
fn log() {
    let log = tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env());
    // The first test of the process sets it.
    drop(log.with_test_writer().try_init());
}

fn pass(name: &str) {
    log();
    let found = find(None, Some(name)).expect("the suites have every name of the labs");
    let [(suite, entry)] = found[..] else { panic!("{name} is one scenario, not {found:?}") };
    let seed = env::var("QUORATE_LAB_SEED")
        .map_or(SEED, |seed| seed.parse().expect("QUORATE_LAB_SEED is a number"));
    let is_real = env::var("QUORATE_LAB_REAL_TIME").is_ok_and(|value| value == "1");
    let clock = if is_real { Clock::Real } else { Clock::Virtual };
    let outcome = Run { clock, ..Run::new(suite, entry, seed) }.of::<DssRaft>();
    println!("{name}\n{outcome}");
    assert!(outcome.is_passed(), "{name}\n{outcome}");
}

macro_rules! tests {
    ($($name:ident)+) => {
        $(#[test]
        fn $name() {
            pass(stringify!($name));
        })+

        /// Every name of a suite of these labs is a test here, and the other way round.
        #[test]
        fn the_names_are_those_of_the_suites() {
            let mut here = vec![$(stringify!($name)),+];
            let of_the_labs = ["dss-2A", "dss-2B", "2C", "2D", "3A", "3B"];
            let suites = quorate_lab::suite::ALL.iter();
            let suites = suites.filter(|suite| of_the_labs.contains(&suite.name));
            let mut there: Vec<_> =
                suites.flat_map(|suite| suite.entries.iter().map(|entry| entry.name)).collect();
            here.sort_unstable();
            there.sort_unstable();
            assert_eq!(here, there);
            assert_eq!(here.len(), 44);
        }
    };
}

tests! {
    test_initial_election_2a
    test_reelection_2a
    test_many_election_2a
    test_basic_agree_2b
    test_fail_agree_2b
    test_fail_no_agree_2b
    test_concurrent_starts_2b
    test_rejoin_2b
    test_backup_2b
    test_count_2b
    test_persist1_2c
    test_persist2_2c
    test_persist3_2c
    test_figure_8_2c
    test_unreliable_agree_2c
    test_figure_8_unreliable_2c
    test_reliable_churn_2c
    test_unreliable_churn_2c
    test_snapshot_basic_2d
    test_snapshot_install_2d
    test_snapshot_install_unreliable_2d
    test_snapshot_install_crash_2d
    test_snapshot_install_unreliable_crash_2d
    test_basic_3a
    test_concurrent_3a
    test_unreliable_3a
    test_unreliable_one_key_3a
    test_one_partition_3a
    test_many_partitions_one_client_3a
    test_many_partitions_many_clients_3a
    test_persist_one_client_3a
    test_persist_concurrent_3a
    test_persist_concurrent_unreliable_3a
    test_persist_partition_3a
    test_persist_partition_unreliable_3a
    test_persist_partition_unreliable_linearizable_3a
    test_snapshot_rpc_3b
    test_snapshot_size_3b
    test_snapshot_recover_3b
    test_snapshot_recover_many_clients_3b
    test_snapshot_unreliable_3b
    test_snapshot_unreliable_recover_3b
    test_snapshot_unreliable_recover_concurrent_partition_3b
    test_snapshot_unreliable_recover_concurrent_partition_linearizable_3b
}
