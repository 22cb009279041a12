//! What a replica shows of itself: for metrics, for people, for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_core::{DropReason, Index, NodeId, RoleName, SnapshotId, Status, Term};

use super::Replica;
use crate::roster::Roster;

/// Counts of what a replica dropped or had to do a second time. Each is no error, but tells much.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaCounters {
    /// Messages that the protocol dropped, by reason.
    pub dropped: BTreeMap<DropReason, u64>,
    /// Frames that were forged, stale, duplicated or unreadable.
    pub frames_dropped: u64,
    /// Appends that could not leave, because a queue was full or their entries were rewritten.
    pub sends_dropped: u64,
    /// Appends whose entries at hand were not those that they name.
    pub attach_mismatches: u64,
    /// Times that entries were read back from the log.
    pub read_backs: u64,
    /// Snapshots that were begun.
    pub snapshots_begun: u64,
    /// Snapshots that could not be taken or received.
    pub snapshots_failed: u64,
    /// Snapshots that took the place of log and state.
    pub snapshots_installed: u64,
}

impl ReplicaCounters {
    pub(super) fn dropped(&mut self, reason: DropReason) {
        *self.dropped.entry(reason).or_default() += 1;
    }
}

/// What a replica is at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// What the protocol is.
    pub raft: Status,
    /// The roster in force.
    pub roster: Arc<Roster>,
    /// Proposals of this node that wait for their apply.
    pub proposals: usize,
    /// Calls that wait for a leader.
    pub waiting: usize,
    /// Calls that wait for the leader's answer.
    pub forwarded: usize,
    /// Bytes of recent entries in memory.
    pub tail_bytes: usize,
    /// Bytes handed to the state machine and not executed yet.
    pub apply_bytes: usize,
    /// Bytes of calls that wait, for a leader or for its answer.
    pub call_bytes: usize,
    /// Messages held back.
    pub held_messages: usize,
    /// Bytes held back for the one peer for whom most are.
    pub held_bytes: usize,
    /// Messages dropped because too much was held back, or their entries came too late.
    pub held_dropped: u64,
    /// Whether a snapshot is being taken.
    pub taking_snapshot: bool,
    /// Bytes of pieces of snapshots that are being read for peers.
    pub piece_bytes: u64,
}

impl Replica {
    /// What this replica is at this moment.
    #[must_use]
    pub fn status(&self) -> ReplicaStatus {
        ReplicaStatus {
            raft: self.raft.status(),
            roster: self.roster(),
            proposals: self.proposals.len(),
            waiting: self.calls.waiting(),
            forwarded: self.calls.forwarded(),
            tail_bytes: self.tail.bytes(),
            apply_bytes: self.feed.bytes(),
            call_bytes: self.calls.bytes(),
            held_messages: self.outbox.len(),
            held_bytes: self.outbox.bytes(),
            held_dropped: self.outbox.dropped(),
            taking_snapshot: self.snapshots.is_taking(),
            piece_bytes: self.snapshots.reading_bytes(),
        }
    }

    /// What this replica counted.
    #[must_use]
    pub const fn counters(&self) -> &ReplicaCounters {
        &self.counters
    }

    /// The roster in force: that of the last membership entry in the log, or of the base.
    #[must_use]
    pub fn roster(&self) -> Arc<Roster> {
        let (_, roster) = self.rosters.last().expect("there is a roster at the base");
        Arc::clone(roster)
    }

    /// The present role.
    #[must_use]
    pub fn role(&self) -> RoleName {
        if self.raft.is_leader() { RoleName::Leader } else { self.raft.status().role }
    }

    /// The present term.
    #[must_use]
    pub const fn term(&self) -> Term {
        self.raft.term()
    }

    /// Highest entry known committed.
    #[must_use]
    pub const fn commit(&self) -> Index {
        self.raft.commit()
    }

    /// Index of the last entry.
    #[must_use]
    pub fn last(&self) -> Index {
        self.raft.last().index
    }

    /// Entries up to here are durable here.
    #[must_use]
    pub const fn persisted(&self) -> Index {
        self.raft.durable()
    }

    /// Number of commands up to and including `index`: the application's own index of the command
    /// there, known before it is executed.
    #[must_use]
    pub fn commands_through(&self, index: Index) -> u64 {
        self.snapshots.base_commands() + self.raft.commands_through(index)
    }

    /// The newest durable snapshot.
    #[must_use]
    pub const fn snapshot(&self) -> Option<SnapshotId> {
        self.raft.snapshot()
    }

    /// The leader of the present term, where known.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.raft.leader()
    }
}
