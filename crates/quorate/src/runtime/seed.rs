//! What a data directory holds for a replica, kept until a cluster is founded.

use std::sync::Arc;

use quorate_core::{BootCounter, EntryId, HardState, Index, Instant, NodeId, Run};
use quorate_log::{Fs, Log, Recovered};

use crate::replica::{ReplicaConfig, ReplicaStart};
use crate::roster::FoundingRecord;

/// See the module.
#[derive(Debug)]
pub(crate) struct Seed {
    id: NodeId,
    boot: BootCounter,
    config: ReplicaConfig,
    elections: u64,
    hard_state: HardState,
    base: EntryId,
    runs: Vec<Run>,
    memberships: Vec<(Index, Vec<u8>)>,
    commit: Index,
    log_time_ms: u64,
}

impl Seed {
    /// Takes an opened directory apart: what the replica needs, and the log itself.
    pub(crate) fn new<F: Fs>(
        recovered: Recovered<F>,
        config: ReplicaConfig,
        elections: u64,
        log_time_ms: u64,
    ) -> (Self, Log<F>) {
        let seed = Self {
            id: recovered.identity.node,
            boot: recovered.boot,
            config,
            elections,
            hard_state: recovered.hard_state,
            base: recovered.base,
            runs: recovered.runs,
            memberships: recovered.memberships,
            commit: recovered.commit,
            log_time_ms,
        };
        (seed, recovered.log)
    }

    /// What the replica begins with, as a member of this cluster.
    pub(crate) fn start(self, record: &FoundingRecord, now: Instant) -> ReplicaStart {
        ReplicaStart {
            id: self.id,
            boot: self.boot,
            config: self.config,
            seed: self.elections,
            now,
            hard_state: self.hard_state,
            base: self.base,
            roster: Arc::new(record.roster.clone()),
            application_index: 0,
            snapshot: None,
            runs: self.runs,
            memberships: self.memberships,
            commit: self.commit,
            log_time_ms: self.log_time_ms,
        }
    }
}
