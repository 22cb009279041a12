//! The table: every name that a document has for a scenario.

use super::{Document, Entry, Suite};
use crate::scenario::Scenario::{self, *};

const fn plain(name: &'static str, scenario: Scenario) -> Entry {
    Entry { name, also: name, scenario, peers: None, max_state: None }
}

/// A name in words, and that of the function in the document's code.
const fn go(name: &'static str, also: &'static str, scenario: Scenario) -> Entry {
    Entry { name, also, scenario, peers: None, max_state: None }
}

/// Every suite, in the order in which they are listed.
pub const ALL: &[Suite] = &[
    Suite {
        name: "async-rust",
        about: "the 25 tests of the async Rust lab",
        document: Document::AsyncRust,
        entries: ASYNC_RUST,
    },
    Suite {
        name: "2A",
        about: "elections, as the Go course lab has them",
        document: Document::GoCourse,
        entries: GO_2A,
    },
    Suite {
        name: "2B",
        about: "log replication, as the Go course lab has it",
        document: Document::GoCourse,
        entries: GO_2B,
    },
    Suite {
        name: "dss-2A",
        about: "elections, as the talent-plan dss labs have them",
        document: Document::Dss,
        entries: DSS_2A,
    },
    Suite {
        name: "dss-2B",
        about: "log replication, as the dss labs have it",
        document: Document::Dss,
        entries: DSS_2B,
    },
    Suite {
        name: "2C",
        about: "persistence and unreliable networks, of the dss labs",
        document: Document::Dss,
        entries: DSS_2C,
    },
    Suite {
        name: "2D",
        about: "log compaction, of the dss labs",
        document: Document::Dss,
        entries: DSS_2D,
    },
    Suite {
        name: "3A",
        about: "a fault-tolerant key-value service, of the dss labs",
        document: Document::Dss,
        entries: DSS_3A,
    },
    Suite {
        name: "3B",
        about: "the key-value service with snapshots, of the dss labs",
        document: Document::Dss,
        entries: DSS_3B,
    },
    Suite {
        name: "RSM",
        about: "a replicated state machine driver, of the 2025 Go course",
        document: Document::GoCourse,
        entries: RSM,
    },
    Suite {
        name: "more",
        about: "further scenarios of the Go course's later years",
        document: Document::GoCourse,
        entries: MORE,
    },
    Suite {
        name: "own",
        about: "what no document has: bad luck, brought about step by step",
        document: Document::Own,
        entries: OWN,
    },
    Suite {
        name: "3A-tight",
        about: "3A with a snapshot after every command (maxraftstate 1)",
        document: Document::Dss,
        entries: DSS_3A_TIGHT,
    },
];

/// Suites that a document has, in its order.
pub fn documents(document: Document) -> impl Iterator<Item = &'static Suite> {
    ALL.iter().filter(move |suite| suite.document == document)
}

const ASYNC_RUST: &[Entry] = &[
    plain("test_initial_election", E1),
    plain("test_re_election", E2),
    plain("test_many_elections", E3),
    plain("test_basic_agree", R1),
    plain("test_follower_failure", R3),
    plain("test_leader_failure", R4),
    plain("test_fail_agree", R5),
    plain("test_fail_no_agree", R6),
    plain("test_concurrent_starts", R7),
    plain("test_rejoin", R8),
    plain("test_backup", R9),
    plain("test_partition_majority_commits", N1),
    plain("test_partition_two_leaders", N2),
    plain("test_partition_leader_alone", N3),
    plain("test_partition_repeated", N4),
    plain("test_partition_conflicting_commits", N5),
    plain("test_persist1", P1),
    plain("test_persist2", P2),
    plain("test_persist3", P3),
    plain("test_persist_basic", P4),
    plain("test_persist_leader", P5),
    plain("test_persist_multiple", P6),
    plain("test_figure8", P7),
    plain("test_reliable_churn", U3),
    plain("test_unreliable_churn", U4),
];

const GO_2A: &[Entry] = &[
    go("initial election", "TestInitialElection2A", E1),
    go("election after network failure", "TestReElection2A", E2),
];

const GO_2B: &[Entry] = &[
    go("basic agreement", "TestBasicAgree2B", R1),
    go("RPC byte count", "TestRPCBytes2B", R2),
    go("agreement despite follower disconnection", "TestFailAgree2B", R5),
    go("no agreement if too many followers disconnect", "TestFailNoAgree2B", R6),
    go("concurrent Start()s", "TestConcurrentStarts2B", R7),
    go("rejoin of partitioned leader", "TestRejoin2B", R8),
    go("leader backs up quickly over incorrect follower logs", "TestBackup2B", R9),
    go("RPC counts aren't too high", "TestCount2B", R10),
];

const DSS_2A: &[Entry] = &[
    plain("test_initial_election_2a", E1),
    plain("test_reelection_2a", E2),
    plain("test_many_election_2a", E3),
];

const DSS_2B: &[Entry] = &[
    Entry { peers: Some(5), ..plain("test_basic_agree_2b", R1) },
    plain("test_fail_agree_2b", R5),
    plain("test_fail_no_agree_2b", R6),
    plain("test_concurrent_starts_2b", R7),
    plain("test_rejoin_2b", R8),
    plain("test_backup_2b", R9),
    plain("test_count_2b", R10),
];

const DSS_2C: &[Entry] = &[
    plain("test_persist1_2c", P1),
    plain("test_persist2_2c", P2),
    plain("test_persist3_2c", P3),
    plain("test_figure_8_2c", P7),
    plain("test_unreliable_agree_2c", U1),
    plain("test_figure_8_unreliable_2c", U2),
    plain("test_reliable_churn_2c", U3),
    plain("test_unreliable_churn_2c", U4),
];

const DSS_2D: &[Entry] = &[
    plain("test_snapshot_basic_2d", S1),
    plain("test_snapshot_install_2d", S2),
    plain("test_snapshot_install_unreliable_2d", S3),
    plain("test_snapshot_install_crash_2d", S4),
    plain("test_snapshot_install_unreliable_crash_2d", S5),
];

const DSS_3A: &[Entry] = &[
    plain("test_basic_3a", K1),
    plain("test_concurrent_3a", K2),
    plain("test_unreliable_3a", K3),
    plain("test_unreliable_one_key_3a", K4),
    plain("test_one_partition_3a", K5),
    plain("test_many_partitions_one_client_3a", K6),
    plain("test_many_partitions_many_clients_3a", K7),
    plain("test_persist_one_client_3a", K8),
    plain("test_persist_concurrent_3a", K9),
    plain("test_persist_concurrent_unreliable_3a", K10),
    plain("test_persist_partition_3a", K11),
    plain("test_persist_partition_unreliable_3a", K12),
    plain("test_persist_partition_unreliable_linearizable_3a", K13),
];

const DSS_3B: &[Entry] = &[
    plain("test_snapshot_rpc_3b", K14),
    plain("test_snapshot_size_3b", K15),
    plain("test_snapshot_recover_3b", K16),
    plain("test_snapshot_recover_many_clients_3b", K17),
    plain("test_snapshot_unreliable_3b", K18),
    plain("test_snapshot_unreliable_recover_3b", K19),
    plain("test_snapshot_unreliable_recover_concurrent_partition_3b", K20),
    plain("test_snapshot_unreliable_recover_concurrent_partition_linearizable_3b", K21),
];

const RSM: &[Entry] = &[
    go("RSM basic", "TestBasic4A", M1),
    go("RSM concurrent submit", "TestConcurrent4A", M2),
    go("RSM leader failure", "TestLeaderFailure4A", M3),
    go("RSM partition", "TestLeaderPartition4A", M4),
    go("RSM restart", "TestRestartReplay4A", M5),
    go("RSM shutdown", "TestShutdown4A", M6),
    go("RSM restart and submit", "TestRestartSubmit4A", M7),
    go("RSM snapshot", "TestSnapshot4A", M8),
];

const MORE: &[Entry] = &[
    go("progressive failure of followers", "TestFollowerFailure", R3),
    go("failure of leaders", "TestLeaderFailure", R4),
    go("crash and restart all servers", "TestSnapshotAllCrash", S6),
    go("snapshot initialization after crash", "TestSnapshotInit", S7),
    go("speed", "TestSpeed4B", K22),
    Entry { max_state: Some(1000), ..go("speed with snapshots", "TestSpeed4C", K22) },
];

const OWN: &[Entry] =
    &[plain("test_vote_survives_crash", P8), plain("test_figure8_step_by_step", P9)];

/// An entry of 3A with a snapshot after every command.
const fn tight(name: &'static str, scenario: Scenario) -> Entry {
    Entry { max_state: Some(1), ..plain(name, scenario) }
}

const DSS_3A_TIGHT: &[Entry] = &[
    tight("test_basic_3a_tight", K1),
    tight("test_concurrent_3a_tight", K2),
    tight("test_unreliable_3a_tight", K3),
    tight("test_unreliable_one_key_3a_tight", K4),
    tight("test_one_partition_3a_tight", K5),
    tight("test_many_partitions_one_client_3a_tight", K6),
    tight("test_many_partitions_many_clients_3a_tight", K7),
    tight("test_persist_one_client_3a_tight", K8),
    tight("test_persist_concurrent_3a_tight", K9),
    tight("test_persist_concurrent_unreliable_3a_tight", K10),
    tight("test_persist_partition_3a_tight", K11),
    tight("test_persist_partition_unreliable_3a_tight", K12),
    tight("test_persist_partition_unreliable_linearizable_3a_tight", K13),
];
