//! Snapshots as files: what the state machine held when an entry had been executed.

use quorate_core::SnapshotId;

/// A snapshot that is durable here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSnapshot {
    /// Where it ends, and what its bytes are.
    pub id: SnapshotId,
    /// What its head says beside that; opaque here.
    pub meta: Vec<u8>,
}
