//! Snapshots of a cluster in memory: taking, receiving and installing them, and logs that begin
//! elsewhere afterwards.
//!
//! A file is its name and how much of it is there. Pieces of two snapshots in one file are noticed
//! here; what a snapshot says of its members comes from the entries that it covers.

use std::sync::Arc;

use quorate_core::{Effect, EntryId, Index, Input, NodeId, SnapshotId};

use super::{Cluster, Job, Store, Why};

impl Cluster {
    /// The node takes a snapshot of what it executed, of so many bytes; nothing where that is what
    /// its newest one has. Without the end of the wake-up.
    pub fn take_snapshot(&mut self, id: NodeId, bytes: u64, hash: u128) -> Option<SnapshotId> {
        let alive = self.nodes[&id].alive.as_ref().expect("the node runs");
        let (index, newest) = (alive.applied, alive.raft.snapshot());
        if newest.is_some_and(|newest| newest.last.index >= index) || index == Index::ZERO {
            return None;
        }
        let term = alive.raft.term_at(index).expect("what is above the base is held");
        let snapshot = SnapshotId { last: EntryId::new(index, term), bytes, hash };
        let mut in_use = alive.raft.snapshots_in_use();
        in_use.extend(newest);
        self.nodes.get_mut(&id).expect("the node exists").disk.keep(snapshot, &in_use);
        self.tally.snapshots_taken += 1;
        self.input(id, Input::SnapshotTaken(snapshot));
        Some(snapshot)
    }

    /// The log is told to give up what it may.
    pub fn compact(&mut self, id: NodeId) -> Option<EntryId> {
        let base = self.raft(id).compaction_target()?;
        let jobs = &mut self.alive_mut(id).writes;
        if !jobs.iter().any(|job| matches!(job, Job::Begin(..))) {
            jobs.push_back(Job::Begin(base, Why::Compaction));
        }
        Some(base)
    }

    /// The log durably begins after `base`.
    pub(super) fn begun(&mut self, id: NodeId, base: EntryId, why: Why) {
        match why {
            Why::Compaction => {
                self.tally.compactions += 1;
                self.input(id, Input::Compacted(base));
            }
            Why::Installation(snapshot) => {
                self.tally.installations += 1;
                let membership = self.checker.membership_at(base, &self.membership);
                let raft = self.raft(id);
                let keeps_suffix = raft.term_at(base.index) == Some(base.term);
                let has_suffix = raft.last().index > base.index;
                self.tally.logs_replaced += u64::from(!keeps_suffix && has_suffix);
                self.checker.installing(id, base, keeps_suffix);
                let alive = self.alive_mut(id);
                alive.applied = alive.applied.max(base.index);
                alive.applying = alive.applying.filter(|index| *index > base.index);
                let membership = Arc::new(membership);
                self.input(id, Input::SnapshotInstalled { id: snapshot, membership });
                if self.checked {
                    self.checker.check_membership(self.raft(id), &self.membership);
                }
            }
        }
    }

    pub(super) fn take_store(&mut self, id: NodeId, effect: &Effect) {
        let job = match *effect {
            Effect::ReceiveSnapshot(id) => Store::Open(id),
            Effect::StoreChunk { id, offset, bytes } => Store::Piece { id, offset, bytes },
            Effect::InstallSnapshot(id) => Store::Verify(id),
            _ => unreachable!("no job for the store"),
        };
        self.alive_mut(id).store.push_back(job);
    }

    /// Completes the first `count` jobs of the store, without the end of the wake-up.
    pub fn complete_store(&mut self, id: NodeId, count: usize) {
        for _ in 0..count {
            let Some(job) = self.alive_mut(id).store.pop_front() else { return };
            let node = self.nodes.get_mut(&id).expect("the node exists");
            let partial = &mut node.disk.partial;
            match job {
                Store::Open(snapshot) => {
                    let left = partial.filter(|(other, _)| *other == snapshot);
                    let received = left.map_or(0, |(_, bytes)| bytes);
                    *partial = Some((snapshot, received));
                    self.tally.resumptions += u64::from(received > 0);
                    self.input(id, Input::ChunkStored { id: snapshot, received });
                }
                Store::Piece { id: snapshot, offset, bytes } => {
                    let (open, stored) = partial.expect("a file is open");
                    assert_eq!(open, snapshot, "pieces of two snapshots in one file");
                    assert_eq!(stored, offset, "a piece continues the file");
                    let received = offset + u64::from(bytes);
                    assert!(received <= snapshot.bytes, "a file is no longer than its snapshot");
                    *partial = Some((snapshot, received));
                    self.tally.pieces += 1;
                    self.input(id, Input::ChunkStored { id: snapshot, received });
                }
                Store::Verify(snapshot) => {
                    let stored = partial.take();
                    assert_eq!(stored, Some((snapshot, snapshot.bytes)), "all of it is there");
                    let in_use =
                        node.alive.as_ref().expect("the node runs").raft.snapshots_in_use();
                    node.disk.keep(snapshot, &in_use);
                    let why = Why::Installation(snapshot);
                    self.alive_mut(id).writes.push_back(Job::Begin(snapshot.last, why));
                }
            }
        }
    }

    /// What was received is not what it claims to be, or the store cannot take it: nothing of it is
    /// left. Without the end of the wake-up.
    pub fn reject_snapshot(&mut self, id: NodeId) -> bool {
        let node = self.nodes.get_mut(&id).expect("the node exists");
        let alive = node.alive.as_mut().expect("the node runs");
        // What the log is about to begin after is durable, and rejected no more.
        let Some((snapshot, _)) = node.disk.partial else { return false };
        let is_other = |job: &Store| match job {
            Store::Open(id) | Store::Piece { id, .. } | Store::Verify(id) => *id != snapshot,
        };
        if alive.store.iter().any(is_other) {
            return false;
        }
        alive.store.clear();
        node.disk.partial = None;
        self.tally.rejections += 1;
        self.input(id, Input::SnapshotFailed(snapshot));
        true
    }
}
