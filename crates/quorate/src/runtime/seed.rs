//! What a data directory holds for a replica, kept until a cluster is founded.

use std::sync::Arc;

use quorate_core::{BootCounter, EntryId, HardState, Index, Instant, NodeId, Run};
use quorate_log::{Fs, Log, Recovered, SnapshotStore, StoredSnapshot};

use crate::replica::{ReplicaConfig, ReplicaStart};
use crate::roster::FoundingRecord;
use crate::snapshot::SnapshotMeta;

/// See the module.
#[derive(Debug)]
pub(crate) struct Seed {
    id: NodeId,
    boot: BootCounter,
    config: ReplicaConfig,
    elections: u64,
    hard_state: HardState,
    base: EntryId,
    base_meta: Option<SnapshotMeta>,
    snapshot: Option<StoredSnapshot>,
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
        (base_meta, log_time_ms): (Option<SnapshotMeta>, u64),
    ) -> (Self, Log<F>, SnapshotStore<F>) {
        let seed = Self {
            id: recovered.identity.node,
            boot: recovered.boot,
            config,
            elections,
            hard_state: recovered.hard_state,
            base: recovered.base,
            base_meta,
            snapshot: recovered.snapshots.newest().cloned(),
            runs: recovered.runs,
            memberships: recovered.memberships,
            commit: recovered.commit,
            log_time_ms,
        };
        (seed, recovered.log, recovered.snapshots)
    }

    /// What the replica begins with, as a member of this cluster.
    pub(crate) fn start(self, record: &FoundingRecord, now: Instant) -> ReplicaStart {
        // The members in force where the log begins: those of the snapshot, else of the founding.
        let (roster, application_index) = match self.base_meta {
            Some(meta) => (meta.roster, meta.application_index),
            None => (Arc::new(record.roster.clone()), 0),
        };
        ReplicaStart {
            id: self.id,
            boot: self.boot,
            config: self.config,
            seed: self.elections,
            now,
            hard_state: self.hard_state,
            base: self.base,
            roster,
            application_index,
            snapshot: self.snapshot,
            runs: self.runs,
            memberships: self.memberships,
            commit: self.commit,
            log_time_ms: self.log_time_ms,
        }
    }
}
