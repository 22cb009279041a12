//! K1 to K22: a replicated key-value store, whatever elects and replicates below it.
//!
//! Most are one [`Plan`] with other faults: clients append to keys of their own while servers are cut
//! apart, crash, and restart, and every append has to be there once, in order. The plans are in the
//! table here, their body is in `plan.rs`; the ones with steps of their own are in `steps.rs`.
//!
//! Between two operations a client pauses, [`PACE`] in the mean: otherwise a client in virtual time, where
//! a call on a reliable network takes next to nothing, would do nothing but fill the log.

mod clients;
#[cfg(test)]
mod fixtures;
mod plan;
mod steps;

use std::time::Duration;

pub(super) use steps::{one_partition, snapshot_rpc, snapshot_size, speed, unreliable_one_key};

use self::plan::Plan;
use crate::harness::{Failure, World, ensure};
use crate::raft::LabRaft;
use crate::service::{Group, KvServer};

/// How long a client pauses between two operations, in the mean.
const PACE: Duration = Duration::from_millis(50);
/// One election timeout, as the documents count it.
const T: Duration = Duration::from_secs(1);
/// The bound for the state of the Raft below where a scenario sets one.
const MAX_STATE: usize = 1000;

/// The bound that a suite sets for the state of the Raft below.
///
/// # Errors
///
/// A skip, where there is one and the Raft takes no snapshots.
fn bound_of_the_suite<R: LabRaft>(world: &World<R>) -> Result<Option<usize>, Failure> {
    let bound = world.settings().max_state;
    bound.map_or(Ok(()), |_| world.needs_snapshots())?;
    Ok(bound)
}

/// With so tight a bound a snapshot follows every command.
const TIGHT: usize = 1;

/// # Errors
///
/// When a bound that no state is below has made no server take a snapshot.
fn snapshots_where_tight<R: LabRaft>(
    world: &World<R>,
    group: &Group<R, KvServer<R>>,
) -> Result<(), Failure> {
    let is_tight = world.settings().max_state == Some(TIGHT);
    ensure!(!is_tight || group.largest_snapshot() > 0, "no snapshot was taken");
    Ok(())
}

macro_rules! plans {
    ($($(#[$doc:meta])* $name:ident: $clients:literal $(, $fault:ident $(: $value:expr)?)*;)+) => {
        $($(#[$doc])*
        pub(super) async fn $name<R: LabRaft>(world: &World<R>) -> Result<(), Failure> {
            let plan = Plan { $($fault: plans!(@ $($value)?),)* ..Plan::with_clients($clients) };
            plan.run(world).await
        })+
    };
    (@) => { true };
    (@ $value:expr) => { $value };
}

plans! {
    /// K1.
    basic: 1;
    /// K2.
    concurrent: 5;
    /// K3.
    unreliable: 5, is_unreliable;
    /// K6.
    many_partitions_one_client: 1, has_partitions;
    /// K7.
    many_partitions_many_clients: 5, has_partitions;
    /// K8.
    persist_one_client: 1, has_crashes;
    /// K9.
    persist_concurrent: 5, has_crashes;
    /// K10.
    persist_concurrent_unreliable: 5, is_unreliable, has_crashes;
    /// K11.
    persist_partition: 5, has_crashes, has_partitions;
    /// K12.
    persist_partition_unreliable: 5, is_unreliable, has_crashes, has_partitions;
    /// K13.
    persist_partition_unreliable_linearizable: 15, servers: 7,
        is_unreliable, has_crashes, has_partitions, is_checked;
    /// K16.
    snapshot_recover: 1, has_crashes, max_state: Some(MAX_STATE);
    /// K17.
    snapshot_recover_many_clients: 20, has_crashes, max_state: Some(MAX_STATE);
    /// K18.
    snapshot_unreliable: 5, is_unreliable, max_state: Some(MAX_STATE);
    /// K19.
    snapshot_unreliable_recover: 5, is_unreliable, has_crashes, max_state: Some(MAX_STATE);
    /// K20.
    snapshot_unreliable_recover_partition: 5,
        is_unreliable, has_crashes, has_partitions, max_state: Some(MAX_STATE);
    /// K21.
    snapshot_unreliable_recover_partition_linearizable: 15, servers: 7,
        is_unreliable, has_crashes, has_partitions, is_checked, max_state: Some(MAX_STATE);
}
