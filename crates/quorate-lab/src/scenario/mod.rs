//! Every scenario, written once: generic over the Raft and over the clock.
//!
//! A [`Scenario`] is a name for a list of steps and the figures that make it pass. Which document
//! calls it what, and with which network and timing it is run, is the [suite](crate::suite)'s.

mod by_hand;
mod election;
mod kv;
mod partition;
mod persistence;
mod replication;
mod rsm;
mod snapshot;
mod steps;
mod unreliable;

use crate::harness::{Failure, World};
use crate::raft::LabRaft;

macro_rules! scenarios {
    ($($id:ident $about:literal => $file:ident :: $function:ident,)+) => {
        /// A scenario by its id; `docs/lab.md` has the table of them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Scenario {
            $(#[doc = $about] $id,)+
        }

        impl Scenario {
            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$id,)+];

            /// Its id, such as `R6`.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self {
                    $(Self::$id => stringify!($id),)+
                }
            }

            /// What it shows, in a line.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self {
                    $(Self::$id => $about,)+
                }
            }

            /// Does its steps.
            ///
            /// # Errors
            ///
            /// The first thing that went wrong.
            pub async fn run<R: LabRaft>(self, world: &World<R>) -> Result<(), Failure> {
                // Boxed, or every run would be as large as the largest scenario.
                match self {
                    $(Self::$id => Box::pin($file::$function(world)).await,)+
                }
            }
        }
    };
}

scenarios! {
    E1 "a leader is elected and stays" => election::initial,
    E2 "a leader that fails is replaced, and only a majority elects" => election::re_election,
    E3 "a leader in every round of cut servers" => election::many,
    R1 "commands are committed everywhere at consecutive indices" => replication::basic,
    R2 "each command goes to each peer once: bytes are counted" => replication::byte_count,
    R3 "progress while followers fail, and none without a majority" => replication::follower_failure,
    R4 "progress while leaders fail, and none without a majority" => replication::leader_failure,
    R5 "a follower that was cut off catches up" => replication::fail_agree,
    R6 "nothing is committed without a majority" => replication::fail_no_agree,
    R7 "commands that are submitted at the same time all get a place" => replication::concurrent_starts,
    R8 "a partitioned leader's entries give way when it is back" => replication::rejoin,
    R9 "a leader backs up quickly over wrong logs" => replication::backup,
    R10 "requests are few: to elect, to commit, and in idleness" => replication::count,
    N1 "the majority's side commits, the minority's does not" => partition::majority_commits,
    N2 "of two leaders the one with the majority counts" => partition::two_leaders,
    N3 "what a leader alone accepted is lost, what the others committed is not" => partition::leader_alone,
    N4 "one partition after another" => partition::repeated,
    N5 "entries at the same indices on both sides: the majority's stand" => partition::conflicting_commits,
    P1 "servers crash and come back with what they knew" => persistence::basic,
    P2 "crashes and cuts of changing majorities" => persistence::more,
    P3 "leader and follower crash, the leader comes back alone" => persistence::leader_and_follower,
    P4 "one follower is killed and comes back" => persistence::one_follower,
    P5 "the leader is killed and comes back" => persistence::the_leader,
    P6 "two followers, then the leader, are killed and come back" => persistence::multiple,
    P7 "leaders crash a thousand times: only entries of the own term are committed by counting" => persistence::figure_8,
    P8 "a server that votes, crashes and is asked again in that term has one vote" => by_hand::vote,
    P9 "figure 8 step by step: an entry of an earlier term is not committed by counting" => by_hand::figure_8,
    U1 "agreement on an unreliable network" => unreliable::agreement,
    U2 "leaders are cut off a thousand times, with lost, late and reordered messages" => unreliable::figure_8,
    U3 "clients submit while servers come and go" => unreliable::churn,
    U4 "the same on an unreliable network" => unreliable::unreliable_churn,
    S1 "snapshots keep the log short" => snapshot::basic,
    S2 "a follower that was cut off gets a snapshot" => snapshot::install,
    S3 "the same on an unreliable network" => snapshot::install_unreliable,
    S4 "a follower that crashed gets a snapshot" => snapshot::install_crash,
    S5 "the same on an unreliable network" => snapshot::install_unreliable_crash,
    S6 "all servers crash, round after round, and go on from their snapshots" => snapshot::all_crash,
    S7 "a server that restarts keeps its snapshot when it next saves" => snapshot::init_after_crash,
    K1 "one client: its appends are there once and in order" => kv::basic,
    K2 "five clients" => kv::concurrent,
    K3 "five clients on an unreliable network" => kv::unreliable,
    K4 "many clients append to one key on an unreliable network" => kv::unreliable_one_key,
    K5 "progress in the majority, none in the minority, completion after healing" => kv::one_partition,
    K6 "partitions, one client" => kv::many_partitions_one_client,
    K7 "partitions, five clients" => kv::many_partitions_many_clients,
    K8 "restarts, one client" => kv::persist_one_client,
    K9 "restarts, five clients" => kv::persist_concurrent,
    K10 "restarts, unreliable, five clients" => kv::persist_concurrent_unreliable,
    K11 "restarts and partitions" => kv::persist_partition,
    K12 "restarts, partitions, unreliable" => kv::persist_partition_unreliable,
    K13 "the same with random keys, checked for linearizability" => kv::persist_partition_unreliable_linearizable,
    K14 "a server that lags gets a snapshot" => kv::snapshot_rpc,
    K15 "snapshots stay small" => kv::snapshot_size,
    K16 "restarts from snapshots" => kv::snapshot_recover,
    K17 "restarts from snapshots, twenty clients" => kv::snapshot_recover_many_clients,
    K18 "snapshots, unreliable" => kv::snapshot_unreliable,
    K19 "snapshots, unreliable, restarts" => kv::snapshot_unreliable_recover,
    K20 "snapshots, unreliable, restarts, partitions" => kv::snapshot_unreliable_recover_partition,
    K21 "the same with random keys, checked for linearizability" => kv::snapshot_unreliable_recover_partition_linearizable,
    K22 "a thousand operations, three in a heartbeat at least" => kv::speed,
    M1 "increments are counted everywhere" => rsm::basic,
    M2 "concurrent increments are all counted" => rsm::concurrent,
    M3 "a leader fails" => rsm::leader_failure,
    M4 "what a partitioned leader was given does not succeed, and ends" => rsm::leader_partition,
    M5 "a restart replays the log" => rsm::restart_replay,
    M6 "a shutdown ends what is outstanding" => rsm::shutdown,
    M7 "submitting goes on after a shutdown and a restart" => rsm::restart_submit,
    M8 "snapshots keep the state small, and a restart begins from one" => rsm::snapshot,
}

impl Scenario {
    /// The scenario with this id, in either case.
    #[must_use]
    pub fn by_id(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|scenario| scenario.id().eq_ignore_ascii_case(id))
    }
}
